#!/usr/bin/env python3
"""How the time of a step grows: trains `examples/bench/growth.spnet` at other widths, depths, batches and densities on one thread.

    cargo build --release
    python3 compiler/bench/growth.py --out /tmp/growth --plots docs/plots

Prints a table for each: milliseconds a step (median of the runs), and nanoseconds for each multiplication and addition that is not with a zero; draws
the runs with `spnc plot`. Nothing but Python's own library is needed.
"""

import argparse
import json
import pathlib
import statistics
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "examples/bench/growth.spnet"

# What grows, through which values, and what stays.
AXES = {
    "width": ([64, 128, 256, 512, 1024, 2048], {}),
    "depth": ([1, 2, 4, 8, 16], {}),
    "batch": ([16, 32, 64, 128, 256, 512], {}),
    "density": ([0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1], {"width": 1024}),
}


def run(spnc, folder, constants):
    """Trains once; milliseconds a step at the end, and what a sample's forward pass multiplies and adds."""
    if not (folder / "report.json").exists():
        sets = [part for name, value in constants.items() for part in ("--set", f"{name}={value}")]
        command = [spnc, "run", PROGRAM, "-q", "--threads", "1", "--out", folder, *sets]
        subprocess.run([str(part) for part in command], check=True)
    history = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    before, last = history[-2:]
    report = json.loads((folder / "report.json").read_text())
    steps = last["step"] - before["step"]
    return 1000 * last["seconds"] / steps, report["remaining"]["live_flops"] / 2


def grow(spnc, out, axis, rounds):
    """The runs of an axis: their folders, by value and round."""
    values, others = AXES[axis]
    print(f"\n| {axis} | ms a step | ns a multiply-add |\n|---|---|---|")
    folders = []
    for value in values:
        runs = []
        for number in range(rounds):
            folder = out / f"{axis}-{value}-{number}"
            runs.append(run(spnc, folder, {**others, axis: value}))
            folders.append(folder)
        ms, work = statistics.median(ms for ms, _ in runs), runs[0][1]
        batch = value if axis == "batch" else 64
        # A step multiplies and adds three times as much as the forward pass.
        print(f"| {value} | {ms:.3f} | {1e6 * ms / (3 * work * batch):.4f} |")
    return folders


def plot(spnc, axis, folders, to):
    """Draws milliseconds against the axis."""
    runs = [f"spnc={folder}" for folder in folders]
    labels = ["--y-label", "milliseconds a step", "--x-label", axis, "--log-x", "--log-y"]
    command = [spnc, "plot", *runs, "--x", axis, "--y", "milliseconds", *labels, "--output", to / f"growth_{axis}.svg"]
    subprocess.run([str(part) for part in command], check=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spnc", default=ROOT / "target/release/spnc", type=pathlib.Path)
    parser.add_argument("--out", required=True, type=pathlib.Path, help="where the runs go; those that are there are kept")
    parser.add_argument("--plots", required=True, type=pathlib.Path, help="where the pictures go")
    parser.add_argument("--rounds", default=3, type=int, help="runs for each value")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    args.plots.mkdir(parents=True, exist_ok=True)
    for axis in AXES:
        plot(args.spnc, axis, grow(args.spnc, args.out, axis, args.rounds), args.plots)


if __name__ == "__main__":
    main()
