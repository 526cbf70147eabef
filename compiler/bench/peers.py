#!/usr/bin/env python3
"""Times spnc and its peers on the same step, alternately, and prints a markdown table.

    python compiler/bench/peers.py --peers DIR [--rounds 5] [--threads 1 2]

DIR holds the peers' scripts (`common.py`, `jax_peer.py`); they need numpy and jax in the Python that runs this. Without --peers,
or without jax, spnc is timed alone and the table says so. Start values and data are the peers' own, so the objective of the first batch must
agree; the script fails if it does not.
"""
import argparse, json, os, pathlib, statistics, subprocess, sys, tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
SPNC = ROOT / "target" / "release" / "spnc"


def parse():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--peers", type=pathlib.Path, help="the folder of the peers' scripts")
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    p.add_argument("--epochs", type=int, default=500, help="epochs of eight batches in each round")
    return p.parse_args()


def write_inputs(peers, folder):
    """The peers' data and start values of W1, under the names that the program gives them."""
    import numpy as np
    if peers:
        sys.path.insert(0, str(peers))
        import common
        weights = common.init("mlp", dict(batch=64))[0]
        batches = list(common.batches("mlp", dict(batch=64)))
    else:
        r = np.random.default_rng(0)
        sizes = [(784, 300), (300, 100), (100, 10)]
        weights = {f"w{i}": r.normal(0, (2 / a) ** 0.5, (a, b)).astype(np.float32) for i, (a, b) in enumerate(sizes)}
        weights |= {f"b{i}": np.zeros(b, np.float32) for i, (_, b) in enumerate(sizes)}
        batches = [(r.normal(size=(64, 784)).astype(np.float32), r.integers(0, 10, 64)) for _ in range(8)]
    x, y = (np.concatenate(part) for part in zip(*batches))
    np.savez(folder / "w1.npz", x=x, y=y.astype(np.int32))
    names = {f"w{i}": f"net.fc{i + 1}.w" for i in range(3)} | {f"b{i}": f"net.fc{i + 1}.b" for i in range(3)}
    np.savez(folder / "init.npz", **{names[k]: v for k, v in weights.items()})


def run(command, threads, cwd=None):
    """Standard output's last line as JSON, and the peak memory of the process in MB."""
    cores = sorted(os.sched_getaffinity(0))[-threads:]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = subprocess.Popen(list(map(str, command)), stdout=out, stderr=err, cwd=cwd, preexec_fn=lambda: os.sched_setaffinity(0, cores))
        _, status, usage = os.wait4(child.pid, 0)
        out.seek(0), err.seek(0)
        lines = out.read().decode().strip().splitlines()
        if status or not lines:
            raise RuntimeError(err.read().decode()[-500:] or f"exit status {status}")
    return [json.loads(line) for line in lines if line.startswith("{")], usage.ru_maxrss / 1024


def spnc(folder, threads, epochs):
    command = [SPNC, "run", ROOT / "examples/bench/w1.spnet", "--data", folder, "--init", folder / "init.npz", "--json",
               "--threads", threads, "--epochs", epochs, "--out", tempfile.mkdtemp(dir=folder)]
    lines, peak = run(command, threads)
    rates = [line["samples"] / line["seconds"] for line in lines if line["event"] == "epoch"]
    return statistics.median(rates[len(rates) // 10:]), peak


def jax(peers, threads):
    lines, peak = run([sys.executable, peers / "jax_peer.py", "W1-b64", "--threads", threads, "--repeats", 5, "--min-repeat", 0.4], threads, peers)
    return lines[-1]["samples_per_s"], lines[-1]["rss_peak_mb"], lines[-1]["loss0"]


def first_objective(folder):
    lines, _ = run([SPNC, "grad", ROOT / "examples/bench/w1.spnet", "--data", folder, "--init", folder / "init.npz", "--json"], 1)
    return lines[-1]["objective"]


def main():
    a = parse()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        write_inputs(a.peers, folder)
        print("| W1, batch 64 | threads | samples/s, median (min–max) | peak MB | ratio |\n|---|---|---|---|---|")
        for threads in a.threads:
            ours, theirs = [], []
            for _ in range(a.rounds):
                ours.append(spnc(folder, threads, a.epochs))
                if a.peers:
                    theirs.append(jax(a.peers, threads))
            table(threads, ours, theirs)
        if a.peers:
            loss, ours = theirs[0][2], first_objective(folder)
            if abs(loss - ours) > 1e-5 * abs(loss):
                sys.exit(f"the objective of the first batch differs: {ours} here, {loss} there")
            print(f"\nObjective of the first batch: {ours:.6f} here, {loss:.6f} there.")


def table(threads, ours, theirs):
    def row(name, rates, peak, ratio):
        print(f"| {name} | {threads} | {statistics.median(rates):,.0f} ({min(rates):,.0f}–{max(rates):,.0f}) | {peak:.0f} | {ratio} |", flush=True)
    rates = [r for r, _ in ours]
    if theirs:
        peers = [r for r, *_ in theirs]
        row("JAX `jit`", peers, max(p for _, p, _ in theirs), "1")
        row("spnc", rates, max(p for _, p in ours), f"{statistics.median(rates) / statistics.median(peers):.2f}")
    else:
        row("spnc (no peer at hand)", rates, max(p for _, p in ours), "–")


if __name__ == "__main__":
    main()
