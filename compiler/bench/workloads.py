"""The workloads: their data and start values, from the peers' scripts, under the names and in the layouts of `examples/bench`.

Images are NHWC there and NCHW here, filters HWIO there and OIHW here.
"""
import dataclasses, math, pathlib

import numpy as np


@dataclasses.dataclass(frozen=True)
class Workload:
    """A program of `examples/bench` and what the peers' scripts call it."""
    program: str
    case: str                     # a key of `common.W`
    what: str                     # for people
    epochs: int                   # of eight batches, in a round of timing
    peers: tuple                  # `run_all.py`'s names
    tolerance: float = 1e-5       # of losses, relative


ALL = ("torch-eager", "torch-compile", "jax-jit")
IMAGES = ALL + ("torch-eager-cl", "torch-compile-cl")
WORKLOADS = {w.program: w for w in [
    Workload("w1", "W1-b64", "LeNet-300-100", 500, ALL),
    Workload("w1s90", "W1s90-b64", "LeNet-300-100, 90 % zeros", 500, ALL),
    Workload("w1s95", "W1s95-b64", "LeNet-300-100, 95 % zeros", 500, ALL),
    Workload("w2", "W2", "LeNet-5", 24, IMAGES),
    Workload("w3", "W3", "ResNet-20", 3, IMAGES),
    Workload("w3s", "W3s-zero", "ResNet-20, half of the channels zero", 3, IMAGES),
    Workload("w4", "W4", "LSTM 2 × 200", 3, ALL + ("torch-eager:W4-fused",)),
    Workload("w5", "W5", "graph convolution, 170 nodes", 30, ALL),
    Workload("w6", "W6", "VGG-16-BN", 1, IMAGES, 6e-5),
]}
BATCHES = 8


def streams(case, n):
    """Random streams of words in which each word first occurs in the order of its number: [batch, n · 35 + 1]."""
    import common
    size = common.W[case][1]["batch"]
    words = np.random.default_rng(1).integers(0, common.VOCAB, size * (n * common.UNROLL + 1))
    _, first, number = np.unique(words, return_index=True, return_inverse=True)
    rank = np.empty(len(first), int)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[number].reshape(size, -1)


def batches(case, n=BATCHES):
    """The batches of a workload, as the peers' steps take them. Words come in streams that go on from batch to batch."""
    import common
    family, options = common.W[case]
    if family != "lstm":
        return list(common.PEERS_BATCHES(family, options, n))
    words, length = streams(case, n).T, common.UNROLL
    return [(words[k * length:(k + 1) * length], words[k * length + 1:(k + 1) * length + 1]) for k in range(n)]


def write(workload, folder, n=BATCHES):
    """Writes `n` batches and the start values of a workload into a folder, for `--data` and `--init`."""
    import common
    family, options = common.W[workload.case]
    folder.mkdir(exist_ok=True)
    if family == "lstm":
        text(workload.case, folder / workload.program, n)
    else:
        x, y = (np.concatenate(part) for part in zip(*batches(workload.case, n)))
        x = x.transpose(0, 3, 1, 2) if x.ndim == 4 else x
        np.savez(folder / f"{workload.program}.npz", x=x, y=y if y.dtype == np.float32 else y.astype(np.int32))
    params, _, constants = common.init(family, options)
    np.savez(folder / "init.npz", **globals()[family](params, constants))


def text(case, folder, n):
    """One stream behind the other, in one line: ends of lines are words too. What follows the last word of a stream is the first of the next."""
    folder.mkdir(exist_ok=True)
    words = streams(case, n)[:, :-1].ravel()
    (folder / "train.txt").write_text(" ".join(f"w{n}" for n in words))


def filters(w):
    return w.transpose(3, 2, 0, 1)


def mlp(p, k):
    out = {f"net.fc{i + 1}.{n}": p[f"{n}{i}"] for i in range(3) for n in "wb"}
    return out | {f"kept.net.fc{i + 1}.w.mask": k[f"w{i}"] for i in range(3) if k}


def lenet5(p, k):
    out = {f"net.conv{i + 1}.w": filters(p[f"w{i}"]) for i in range(2)} | {f"net.conv{i + 1}.b": p[f"b{i}"] for i in range(2)}
    rows = p["w2"].reshape(4, 4, 50, 500).transpose(2, 0, 1, 3).reshape(800, 500)
    return out | {"net.fc1.w": rows, "net.fc1.b": p["b2"], "net.fc2.w": p["w3"], "net.fc2.b": p["b3"]}


def resnet(p, k):
    blocks = [f"stage1.{b}" for b in range(3)] + [f for s in (2, 3) for f in (f"enter{s}", f"stage{s}.0", f"stage{s}.1")]
    there = [f"{s}{b}" for s in range(3) for b in range(3)]
    names = {"stem": ("net.conv", "net.norm")}
    names |= {t + x: (f"net.{b}.conv{i}", f"net.{b}.norm{i}") for b, t in zip(blocks, there) for i, x in ((1, "a"), (2, "b"))}
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
