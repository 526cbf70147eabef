"""Starts spnc and its peers, each in a process of its own and pinned to so many cores, and times them alternately.

A peer starts once for each workload and number of threads, and waits while the others are timed; spnc starts anew for each round. What
is measured becomes records (`results.py`):

| event | fields |
|---|---|
| `start` | `first_step_s`: tracing or compiling, and a step; `losses` of six steps; `version`; of spnc `step_s` |
| `round` | `round`, `rate` (samples a second), `load` (cores that other processes used meanwhile), `peak_mb` |
| `failed` | `reason` |
"""
import contextlib, json, math, os, pathlib, queue, signal, subprocess, sys, tempfile, threading, time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
# What people call it, the package that it needs, its script and arguments.
PEERS = {
    "torch-eager": ("PyTorch eager", "torch", "torch_peer.py"),
    "torch-eager-cl": ("eager, channels last", "torch", "torch_peer.py", "--channels-last"),
    "torch-compile": ("`torch.compile`", "torch", "torch_peer.py", "--mode", "compile"),
    "torch-lstm": ("eager, library LSTM", "torch", "torch_peer.py"),
    "jax-jit": ("JAX `jit`", "jax", "jax_peer.py"),
    "ort": ("ONNX Runtime", "onnxruntime", "ort_peer.py"),
}
CASES = {"torch-lstm": "W4-fused"}            # those that are not the workload's own
# Freed memory is kept: else PyTorch's temporaries fault in page by page, up to twice as slow.
KEEP_MEMORY = {"MALLOC_TRIM_THRESHOLD_": "2000000000", "MALLOC_MMAP_THRESHOLD_": "2000000000"}


class Failed(Exception):
    """A process ended badly, or not in time."""


class Process:
    """A process of its own, pinned to the last `threads` cores, whose standard output is lines of JSON between others."""

    def __init__(self, command, threads, cwd=None, extra={}):
        cores = sorted(os.sched_getaffinity(0))[-threads:]
        self.errors = tempfile.TemporaryFile()
        self.child = subprocess.Popen(
            list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, cwd=cwd, text=True,
            env=os.environ | extra, start_new_session=True, preexec_fn=lambda: os.sched_setaffinity(0, cores))
        self.lines = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.child.stdout:
            if line.startswith("{"):
                self.lines.put(json.loads(line))
        self.lines.put(None)

    def line(self, timeout):
        """The next line, or none at the end."""
        try:
            return self.lines.get(timeout=timeout)
        except queue.Empty:
            raise Failed(f"no answer in {timeout:.0f} s") from None

    def ask(self, question, timeout):
        """The line that answers a line, which may be empty: then nothing is asked."""
        with contextlib.suppress(BrokenPipeError):
            self.child.stdin.write(question)
            self.child.stdin.flush()
        answer = self.line(timeout)
        if answer is None:
            self.child.wait()
            raise Failed(self.complaint())
        return answer

    def complaint(self):
        self.errors.seek(0)
        said = self.errors.read().decode(errors="replace").strip().splitlines()
        return (said or [f"exit status {self.child.returncode}"])[-1][:200]

    def end(self):
        """Ends it and all that it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.child.pid, signal.SIGKILL)
        self.child.wait()
        self.errors.close()


def run(command, threads, timeout):
    """The lines of a process that ends by itself, its peak memory in MB, and how many cores others used meanwhile.

    The peak is that until the last epoch of training ended, as the peers' own is; what closes a run counts zeros, which they do not.
    """
    busy, start = machine_busy(), time.perf_counter()
    process = Process(command, threads)
    try:
        process.child.stdin.close()
        lines, peak = [], None
        for line in iter(lambda: process.line(timeout), None):
            lines.append(line)
            if line.get("event") == "epoch":
                peak = peak_mb(process.child.pid)
        _, status, usage = os.wait4(process.child.pid, 0)
        process.child.returncode = os.waitstatus_to_exitcode(status)
        if status or not lines:
            raise Failed(process.complaint())
    finally:
        process.end()
    taken = time.perf_counter() - start
    others = (machine_busy() - busy - usage.ru_utime - usage.ru_stime) / taken
    return lines, peak or usage.ru_maxrss / 1024, max(0., others)


def peak_mb(pid):
    """The most memory that a process has had until now."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024


def machine_busy():
    """CPU seconds that all processes of the machine have used."""
    ticks = [int(n) for n in pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:8]]
    return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")


class Spnc:
    """spnc on one workload. A start is a run of six steps whose losses it prints, the rounds are runs of about so many seconds."""

    def __init__(self, binary, workload, threads, folder, timeout):
        self.binary, self.workload, self.threads, self.folder, self.timeout = binary, workload, threads, folder, timeout
        self.step_s = None

    def _command(self, verb, data, *more):
        program = ROOT / "examples" / "bench" / f"{self.workload.program}.spnet"
        start = ["--init", data / "init.npz"] if (data / "init.npz").exists() else []
        return [self.binary, verb, program, "--data", data, *start, "--json", "--threads", self.threads, *more]

    def _epochs(self, data, n):
        """Seconds of compilation, the lines of `n` epochs, the peak memory and the load."""
        with tempfile.TemporaryDirectory() as out:
            command = self._command("run", data, "--epochs", n, "--out", pathlib.Path(out) / "run")
            lines, *rest = run(command, self.threads, self.timeout)
        compiled = next(line["seconds"] for line in lines if line["event"] == "compiled")
        return compiled, [line for line in lines if line["event"] == "epoch"], *rest

    def start(self):
        """An epoch of the data for checks is one step, of streams as many as the name says."""
        folders = sorted(self.folder.glob("check-*"))
        if len(folders) == 1:
            compiled, epochs, *_ = self._epochs(folders[0], 6)
            losses = [epoch["objective"] for epoch in epochs]
            first, self.step_s = compiled + epochs[0]["seconds"], min(epoch["seconds"] for epoch in epochs)
        else:
            runs = [self._epochs(folder, 1) for folder in folders]
            sums = [0.] + [(n + 1) * epochs[0]["objective"] for n, (_, epochs, *_) in enumerate(runs)]
            losses = [after - before for before, after in zip(sums, sums[1:])]
            first, self.step_s = runs[0][0] + runs[0][1][0]["seconds"], runs[-1][1][0]["seconds"] / len(runs)
        return dict(first_step_s=first, losses=losses, step_s=self.step_s)

    def round(self, seconds):
        """The rate without the first epoch."""
        if not self.step_s:
            self.start()
        steps = self.workload.batches * self.workload.times
        n = 1 + max(1, math.ceil(seconds / (self.step_s * steps)))
        _, epochs, peak, load = self._epochs(self.folder / "time", n)
        return dict(rate=rate(epochs[1:]), load=load, peak_mb=peak)

    def end(self):
        pass


def rate(epochs):
    return sum(epoch["samples"] for epoch in epochs) / sum(epoch["seconds"] for epoch in epochs)


class SpncInference(Spnc):
    """Rounds of `spnc bench`, which times the outputs of 1 and of 128 samples."""

    def start(self):
        return {}

    def subject(self):
        """The command that times it."""
        return self._command("bench", self.folder / "time")

    def round(self, _):
        lines, peak, load = run(self.subject(), self.threads, self.timeout)
        batch = self.workload.batch
        return dict(rate=1e3 * batch / lines[-1]["inference"][f"batch_{batch}"]["ms"], load=load, peak_mb=peak)


class SpncShrunk(SpncInference):
    """The same of what `spnc shrink` leaves of a run of one epoch."""

    def __init__(self, *of):
        super().__init__(*of)
        self.runs = tempfile.TemporaryDirectory()

    def start(self):
        data, kept = self.folder / "time", pathlib.Path(self.runs.name)
        run(self._command("run", data, "--epochs", 1, "--out", kept / "run"), self.threads, self.timeout)
        run([self.binary, "shrink", kept / "run", "--data", data, "--out", kept / "small", "--json"], self.threads, self.timeout)
        return {}

    def subject(self):
        small = pathlib.Path(self.runs.name) / "small"
        return [self.binary, "bench", small, "--data", self.folder / "time", "--json", "--threads", self.threads]

    def end(self):
        self.runs.cleanup()


class Peer:
    """A peer's script on one workload, kept ready by `peer.py`."""

    def __init__(self, name, folder, workload, threads, timeout):
        _, _, script, *options = PEERS[name]
        case = CASES.get(name, workload.case)
        command = [sys.executable, HERE / "peer.py", folder, case, workload.batches, script, *options, "--threads", threads]
        self.process, self.timeout = Process(command, threads, folder, KEEP_MEMORY), timeout

    def start(self):
        return self.process.ask("", self.timeout)

    def round(self, seconds):
        return self.process.ask(f"{seconds}\n", self.timeout)

    def end(self):
        self.process.end()


def group(sides, rounds, seconds, record, done):
    """Times the sides of a workload alternately; `sides` has what opens each. `record(who, event, fields)` keeps what becomes of them,
    `done(who, round)` says what is kept already."""
    ready = {}
    try:
        for who, side in sides.items():
            if not all(done(who, k) for k in range(rounds)):
                ready[who] = side()
                attempt(ready, who, "start", record, lambda: ready[who].start())
        for k in range(rounds):
            for who in [who for who in ready if not done(who, k)]:
                attempt(ready, who, "round", record, lambda: {"round": k} | ready[who].round(seconds))
    finally:
        for side in ready.values():
            side.end()


def attempt(ready, who, event, record, measure):
    """Records what is measured; who fails is out of the group."""
    try:
        record(who, event, measure())
    except Failed as reason:
        record(who, "failed", {"reason": str(reason)})
        ready.pop(who).end()
