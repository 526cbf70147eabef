#!/usr/bin/env python3
"""What share of the machine's limit each kernel reaches: a markdown table of what criterion has measured last.

    cargo bench -p spnc-runtime
    python3 compiler/bench/shares.py [target/criterion]

Arithmetic is compared with fused multiply-adds, the rest with copying: numbers of a cache of the core where all fit into it, else
numbers beyond it. Of each kernel the fastest sample counts, which other programs disturbed least. Nothing but Python's own library is
needed.
"""
import json
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
CACHE = 256 * 1024                # bytes that are read and written within a cache of the core


def measured(folder):
    """Group and name of each benchmark, what it counts (`Elements` or `Bytes`), how many, and how many a nanosecond."""
    for path in sorted(folder.glob("*/*/new/benchmark.json")):
        about = json.loads(path.read_text())
        sample = json.loads((path.parent / "sample.json").read_text())
        if about["throughput"]:
            (unit, count), = about["throughput"].items()
            nanoseconds = min(time / n for time, n in zip(sample["times"], sample["iters"]))
            yield about["group_id"], about["function_id"], unit, count, count / nanoseconds


def main():
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "target/criterion"
    found = list(measured(folder))
    rates = {(group, name): rate for group, name, *_, rate in found}
    try:
        peak = rates["peak", "fused multiply-add"]
        near, far = rates["copy", "128 KiB"], rates["copy", "16 MiB"]
    except KeyError as lacking:
        sys.exit(f"{folder} lacks {' '.join(lacking.args[0])}: run `cargo bench -p spnc-runtime` first")
    print(f"Limits: {peak:.0f} GFLOP/s; copies {near:.0f} GB/s within a cache of the core, {far:.0f} beyond.\n")
    print("| kernel | | share of the limit |\n|---|---|---|")
    for group, name, unit, count, rate in found:
        if group in ("peak", "copy"):
            continue
        limit, text = (peak, "GFLOP/s") if unit == "Elements" else (near if count <= CACHE else far, "GB/s")
        print(f"| {group}: {name} | {rate:.1f} {text} | {rate / limit:.0%} |")


if __name__ == "__main__":
    main()
