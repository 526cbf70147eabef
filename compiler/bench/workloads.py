"""The workloads: their data and start values, from the peers' scripts, under the names and in the layouts of `examples/bench`.

    python workloads.py FOLDER [--peers DIR] NAME …

writes `FOLDER/NAME/time`, what a run is timed on, and `FOLDER/NAME/check-1` …, what its losses are compared on. Images are NHWC in
the peers' scripts and NCHW here, filters HWIO there and OIHW here. Without the peers' scripts data is random, masks too, and the programs
draw their own start values.
"""
import argparse, dataclasses, pathlib, sys

import numpy as np


@dataclasses.dataclass(frozen=True)
class Workload:
    """A training program of `examples/bench` and what the peers' scripts call it."""
    program: str
    case: str                     # a key of `common.W`
    what: str                     # for people
    batch: int
    peers: tuple                  # names of `measure.PEERS`
    batches: int = 8              # how many different ones; fewer where an epoch would take seconds
    times: int = 1                # how often an epoch goes through them, where steps are short beside what an epoch begins and ends with
    tolerance: float = 1e-5       # of the loss at step 5, relative; at step 0 it is 1e-5
    why: str = ""                 # the tolerance is wider

    @property
    def unit(self):
        return "sequences/s" if self.case == "W4" else "samples/s"


@dataclasses.dataclass(frozen=True)
class Inference:
    """A network of a training program, asked for the outputs of `batch` samples."""
    program: str
    case: str                     # a key of `common.W`, or of `CASES`
    what: str
    batch: int
    peers: tuple = ("torch-eager", "torch-compile", "jax-jit", "ort")
    batches: int = 8
    shrunk: bool = False          # what `spnc shrink` leaves of it after an epoch, beside the peers' masked network
    unit = "samples/s"

    @property
    def name(self):
        return f"{self.program}-infer-b{self.batch}"


ALL = ("torch-eager", "torch-compile", "jax-jit")
IMAGES = ("torch-eager", "torch-eager-cl", "torch-compile", "jax-jit")
ROUNDING = "rounding grows: another order of the samples in the batch moves spnc's loss by up to 2.8e-4 and PyTorch's by up to 1.4e-4"
WORKLOADS = {w.program: w for w in [
    Workload("w1", "W1-b64", "LeNet-300-100", 64, ALL, times=8),
    Workload("w1s90", "W1s90-b64", "LeNet-300-100, 90 % zeros", 64, ALL, times=8),
    Workload("w1s95", "W1s95-b64", "LeNet-300-100, 95 % zeros", 64, ALL, times=8),
    Workload("w2", "W2", "LeNet-5", 64, IMAGES),
    Workload("w3", "W3", "ResNet-20", 128, IMAGES, batches=2),
    Workload("w3s", "W3s-zero", "ResNet-20, half of the channels zero", 128, IMAGES, batches=2),
    Workload("w4", "W4", "LSTM 2 × 200", 20, ALL + ("torch-lstm",)),
    Workload("w5", "W5", "graph convolution, 170 nodes", 32, ALL),
    Workload("w6", "W6", "VGG-16-BN", 64, IMAGES, batches=2, tolerance=5e-4, why=ROUNDING),
]}
INFERENCE = {w.name: w for w in [
    Inference(program, f"{case}-b{batch}", what, batch, shrunk=program == "w3s")
    for program, case, what in [
        ("w1", "I1", "LeNet-300-100"),
        ("w1s95", "I1s95", "LeNet-300-100, 95 % zeros"),
        ("w3", "I3", "ResNet-20"),
        ("w3s", "I3s", "ResNet-20, half of the channels zero, shrunk"),
    ]
    for batch in (1, 128)
]}
# What `common.W` lacks.
CASES = {f"I1s95-b{batch}": ("mlp", dict(batch=batch, infer=True, sparsity=.95)) for batch in (1, 128)} | {
    f"I3s-b{batch}": ("resnet", dict(batch=batch, widths=(16, 32, 64), inner=1.0, zero=True, infer=True)) for batch in (1, 128)
}
STEPS = 6                         # whose losses are compared
WORDS, UNROLL = 10000, 35


def streams(batch, n):
    """Streams of words, [n · 35 + 1, batch]. Every window begins with word 0, the end of a line, and so the target of a window's last word is
    0 too: where a stream is cut makes no difference."""
    words = np.random.default_rng(1).integers(1, WORDS, (n * UNROLL + 1, batch))
    words[::UNROLL] = 0
    return words


def batches(case, n):
    """`n` batches of a workload, as the peers' steps take them. Words come in streams that go on from batch to batch."""
    import common
    family, options = (common.W | CASES)[case]
    if family != "lstm":
        return list(common.batches(family, options, n))
    words = streams(options["batch"], n)
    return [(words[k:k + UNROLL], words[k + 1:k + UNROLL + 1]) for k in range(0, n * UNROLL, UNROLL)]


def write(workload, folder, n, peers=True, times=1):
    """Writes `n` batches, several times over, and the start values of a workload into a folder, for `--data` and `--init`."""
    folder.mkdir(parents=True, exist_ok=True)
    if workload.case == "W4":
        data, order = text(streams(workload.batch, n))
        (folder / workload.program).mkdir(exist_ok=True)
        (folder / workload.program / "train.txt").write_text(data)
    else:
        x, y = (np.concatenate(part) for part in zip(*(batches(workload.case, n) if peers else noise(workload, n))))
        x = x.transpose(0, 3, 1, 2) if x.ndim == 4 else x
        x, y = (np.concatenate([part] * times) for part in (x, y))
        np.savez(folder / f"{workload.program}.npz", x=x, y=y if y.dtype == np.float32 else y.astype(np.int32))
    if not peers:
        if start := masks(workload.program):
            np.savez(folder / "init.npz", **start)
        return
    import common
    family, options = common.W[workload.case]
    params, _, constants = common.init(family, options)
    if workload.case == "W4":
        params |= {"emb": params["emb"][order], "wout": params["wout"][:, order], "bout": params["bout"][order]}
    np.savez(folder / "init.npz", **globals()[family](params, constants))


def text(words):
    """A text of streams, one behind the other, a line for each window, and the words in the order in which they occur first: the program
    numbers them so."""
    lines = words[:-1].T.reshape(-1, UNROLL)[:, 1:]
    seen, first = np.unique(words[:-1].T, return_index=True)
    order = np.concatenate([seen[np.argsort(first)], np.setdiff1d(np.arange(WORDS), seen)])
    return "\n" + "".join(" ".join(f"w{word}" for word in line) + "\n" for line in lines), order


def noise(workload, n):
    """Random batches in the shapes of a workload."""
    r = np.random.default_rng(1)
    shape = {"w2": (28, 28, 1), "w3": (32, 32, 3), "w3s": (32, 32, 3), "w5": (170, 8), "w6": (32, 32, 3)}.get(workload.program, (784,))
    for _ in range(n):
        y = r.normal(size=(workload.batch, 170)).astype(np.float32) if workload.program == "w5" else r.integers(0, 10, workload.batch)
        yield r.normal(size=(workload.batch, *shape)).astype(np.float32), y


def masks(program):
    """Random masks for the programs that have some."""
    r = np.random.default_rng(0)
    if program in ("w1s90", "w1s95"):
        shapes = [(784, 300), (300, 100), (100, 10)]
        return {f"kept.net.fc{i + 1}.w.mask": np.float32(r.random(s) >= int(program[3:]) / 100) for i, s in enumerate(shapes)}
    if program == "w3s":
        widths = dict(zip((norm for _, norm in resnet_names().values()), [16] * 7 + [32] * 6 + [64] * 6))
        return {f"{norm}.mask": np.float32(np.arange(c) >= c // 2) for norm, c in widths.items()}
    if program == "w4":
        return {f"kept.net.lstm{i}.step.live.mask": np.float32(r.random(200) < .5) for i in (1, 2)}
    return {}


def filters(w):
    return w.transpose(3, 2, 0, 1)


def mlp(p, k):
    out = {f"net.fc{i + 1}.{n}": p[f"{n}{i}"] for i in range(3) for n in "wb"}
    return out | {f"kept.net.fc{i + 1}.w.mask": k[f"w{i}"] for i in range(3) if k}


def lenet5(p, k):
    out = {f"net.conv{i + 1}.w": filters(p[f"w{i}"]) for i in range(2)} | {f"net.conv{i + 1}.b": p[f"b{i}"] for i in range(2)}
    rows = p["w2"].reshape(4, 4, 50, 500).transpose(2, 0, 1, 3).reshape(800, 500)
    return out | {"net.fc1.w": rows, "net.fc1.b": p["b2"], "net.fc2.w": p["w3"], "net.fc2.b": p["b3"]}


def resnet_names():
    """The convolutions and norms of ResNet-20 in order, by the name of their layer in the peers' scripts."""
    blocks = [f"stage1.{b}" for b in range(3)] + [f for s in (2, 3) for f in (f"enter{s}", f"stage{s}.0", f"stage{s}.1")]
    there = [f"{s}{b}" for s in range(3) for b in range(3)]
    names = {"stem": ("net.conv", "net.norm")}
    return names | {t + x: (f"net.{b}.conv{i}", f"net.{b}.norm{i}") for b, t in zip(blocks, there) for i, x in ((1, "a"), (2, "b"))}


def resnet(p, k):
    names = resnet_names()
    out = {"net.fc.w": p["wfc"], "net.fc.b": p["bfc"]}
    masked = any((p["alpha" + n] == 0).any() for n in names)
    for n, (conv, norm) in names.items():
        out |= {conv + ".w": filters(p["w" + n])} | {f"{norm}.{t}": p[t + n] for t in ("alpha", "beta", "shift")}
        if masked:
            dead = p["alpha" + n] == 0
            out |= {norm + ".mask": np.float32(~dead), norm + ".alpha": np.where(dead, np.float32(1), p["alpha" + n])}
    return out


def vgg(p, k):
    blocks = [f"net.stage{s + 1}.{b}" for s, n in enumerate((2, 2, 3, 3, 3)) for b in range(n)]
    there = sorted(int(n[5:]) for n in p if n.startswith("gamma"))
    out = {"net.fc.w": p["wfc"], "net.fc.b": p["bfc"]}
    for b, i in zip(blocks, there):
        out |= {b + ".conv.w": filters(p[f"w{i}"]), b + ".norm.scale": p[f"gamma{i}"], b + ".norm.shift": p[f"shift{i}"]}
    return out


def lstm(p, k):
    out = {"net.words": p["emb"], "net.out.w": p["wout"], "net.out.b": p["bout"]}
    for i in range(2):
        lstm = f"net.lstm{i + 1}"
        gates = {lstm + ".w": p[f"wx{i}"], lstm + ".step.u": p[f"wh{i}"], lstm + ".step.b": p[f"b{i}"]}
        out |= {n: w.reshape(*w.shape[:-1], 4, 200) for n, w in gates.items()} | {f"kept.{lstm}.step.live.mask": k[f"m{i}"]}
    return out


def gcn(p, k):
    out = {"net.alpha": p["alpha"], "net.compete.beta_row": p["br"][:, 0], "net.compete.beta_col": p["bc"][0]}
    out |= {f"net.conv{i + 1}.{n}": p[f"{n}{i}"] for i in range(2) for n in "wb"}
    return out | {"net.w": p["w2"], "net.b": p["b2"]}


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("folder", type=pathlib.Path)
    p.add_argument("names", nargs="+", metavar="NAME", choices=WORKLOADS)
    p.add_argument("--peers", type=pathlib.Path, help="the folder of the peers' scripts")
    a = p.parse_args()
    sys.path.append(str(a.peers or ""))
    for workload in (WORKLOADS[name] for name in a.names):
        folder = a.folder / workload.program
        write(workload, folder / "time", workload.batches, bool(a.peers), workload.times)
        for n in range(1, STEPS + 1) if workload.case == "W4" else (1,):
            write(workload, folder / f"check-{n}", n, bool(a.peers))


if __name__ == "__main__":
    main()
