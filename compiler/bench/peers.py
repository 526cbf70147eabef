#!/usr/bin/env python3
"""Times spnc and its peers on the same work, alternately, and prints markdown tables.

    python compiler/bench/peers.py --peers DIR --results FILE [--write docs/benchmarks.md]

DIR holds the peers' scripts (`common.py`, `torch_peer.py`, …); they need numpy and PyTorch, JAX or ONNX Runtime in the Python that runs
this. Without --peers, or without these packages, spnc is timed alone and the tables say so. Start values and data are the peers' own, so
the losses of the first steps must agree: the exit status is 1 where they do not. FILE keeps what was measured: run the same command
again to go on after an interruption.
"""
import argparse, datetime, hashlib, importlib.util, os, pathlib, subprocess, sys, tempfile, time

import table
from measure import HERE, PEERS, ROOT, Peer, Spnc, SpncInference, SpncShrunk, group
from results import Results
from workloads import INFERENCE, WORKLOADS


def parse():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--peers", type=pathlib.Path, metavar="DIR", help="the folder of the peers' scripts")
    p.add_argument("--spnc", type=pathlib.Path, default=ROOT / "target/release/spnc", help="the program to time")
    p.add_argument("--only", nargs="+", metavar="NAME", choices=[*WORKLOADS, *INFERENCE], help="these of " + ", ".join([*WORKLOADS, *INFERENCE]))
    p.add_argument("--against", nargs="+", metavar="PEER", choices=PEERS, default=list(PEERS), help="these of " + ", ".join(PEERS))
    p.add_argument("--rounds", type=int, default=9)
    p.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    p.add_argument("--seconds", type=float, default=.25, help="how long a repeat takes")
    p.add_argument("--timeout", type=float, default=240., help="seconds in which a peer must have done its first steps")
    p.add_argument("--limit", type=float, default=float("inf"), help="start no workload after so many seconds; run again to go on")
    p.add_argument("--results", type=pathlib.Path, metavar="FILE", help="keep what is measured here, and measure only what is not here yet")
    p.add_argument("--retry", action="store_true", help="try again what failed")
    p.add_argument("--write", type=pathlib.Path, metavar="FILE", help="put the tables into this markdown file, between its two comments")
    return p.parse_args()


def main():
    a, start = parse(), time.monotonic()
    if not os.access(a.spnc, os.X_OK):
        sys.exit(f"{a.spnc} is not there: `cargo build --release` makes it")
    results = Results(a.results, machine(a))
    if a.retry:
        results.forget_failures()
    peers = [who for who in a.against if a.peers and importlib.util.find_spec(PEERS[who][1])]
    lacking = sorted({PEERS[who][1] for who in a.against} - {PEERS[who][1] for who in peers}) if a.peers else []
    can_infer = subprocess.run([a.spnc, "bench", "--help"], capture_output=True).returncode == 0
    wanted = [w for name, w in (WORKLOADS | (INFERENCE if can_infer else {})).items() if not a.only or name in a.only]
    left = 0
    with tempfile.TemporaryDirectory() as data:
        for workload in wanted:
            for threads in a.threads:
                if time.monotonic() - start < a.limit:
                    measure(a, results, workload, threads, peers, pathlib.Path(data))
                else:
                    left += 1
    text, agree = report(a, results, peers, lacking, can_infer)
    print(text)
    if left:
        sys.exit(f"{left} of {len(wanted) * len(a.threads)} workloads and numbers of threads are left: run the same command again")
    if a.write:
        table.replace(a.write, text)
    if not agree:
        sys.exit("losses differ by more than the tolerance")


def machine(a):
    """What results of different runs must have in common to stand in one table, and when and where they were measured."""
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "unknown")
    spnc = hashlib.sha256(a.spnc.read_bytes()).hexdigest()[:12]
    return dict(spnc=spnc, cpu=cpu, cores=len(os.sched_getaffinity(0)), seconds=a.seconds, date=datetime.date.today().isoformat())


def measure(a, results, workload, threads, peers, data):
    """Adds what is lacking of a workload with so many threads."""
    name = table.name(workload)
    done = lambda who, k: results.cell(name, threads, who).done(k)
    whos = ["spnc", *(who for who in workload.peers if who in peers)]
    if all(done(who, k) for who in whos for k in range(a.rounds)):
        return
    folder = data / workload.program
    if not folder.exists():
        # In a process of its own, so that this one stays small: Linux counts it in what its children use at most.
        command = [sys.executable, HERE / "workloads.py", data, workload.program, *(["--peers", a.peers] if a.peers else [])]
        subprocess.run(command, check=True)
    ours = Spnc if name in WORKLOADS else SpncShrunk if workload.shrunk else SpncInference
    sides = {"spnc": lambda: ours(a.spnc, workload, threads, folder, a.timeout)}
    sides |= {who: lambda who=who: Peer(who, a.peers.resolve(), workload, threads, a.timeout) for who in whos[1:]}

    def record(who, event, fields):
        results.add(dict(name=name, threads=threads, who=who, event=event) | fields)
        said = fields.get("reason") or (f"{fields['rate']:.1f} {workload.unit}" if "rate" in fields else f"first step {fields.get('first_step_s', 0):.2f} s")
        print(f"{name}, {threads} threads, {who}: {said}", file=sys.stderr, flush=True)

    group(sides, a.rounds, a.seconds, record, done)


def report(a, results, peers, lacking, can_infer):
    """The text for people, and whether the losses agree."""
    tables = table.Tables(results, a.threads, peers)
    names = a.only or [*WORKLOADS, *INFERENCE]
    training = [w for name, w in WORKLOADS.items() if name in names]
    inference = [w for name, w in INFERENCE.items() if name in names]
    m = results.machine
    parts = [f"{m['date']}, {m['cores']} cores ({m['cpu']}), rounds of {a.seconds:g} s: {a.rounds}. {tables.disturbed(training + inference)}"]
    if not peers:
        parts.append("No peer was at hand: spnc is alone.")
    elif lacking:
        parts.append(f"Not at hand: {', '.join(lacking)}.")
    columns = ["spnc", *peers]
    if training:
        bold = "; in bold the best peer, to which the ratio is" if peers else ""
        parts += [f"Training: samples a second (of the LSTM sequences of 35 words), the fastest of the rounds (their median){bold}.", tables.rates(training, columns),
                  "Peak memory in MB / seconds until the first step is done, tracing and compiling included.", tables.costs(training, columns)]
    agree = True
    if training and peers:
        losses, agree = tables.losses(training)
        parts += ["How far the losses of the peers are from spnc's at most, relative; in bold what is beyond the tolerance (1e-05 at step 0).", losses]
    if inference and can_infer:
        parts += ["Inference: samples a second, the fastest of the rounds (their median).", tables.rates(inference, columns)]
    elif inference:
        parts.append("Inference is not in the table: this spnc has no `bench`.")
    return "\n\n".join([*parts, *([str(tables.notes).strip()] if tables.notes.texts else [])]), agree


if __name__ == "__main__":
    main()
