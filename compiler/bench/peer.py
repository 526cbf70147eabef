"""Runs one of the peers' scripts on the batches that spnc gets: `peer.py DIR CASE SCRIPT check|time [arguments of the script]`.

`time` leaves the measuring to the script. `check` prints the losses of the first six steps instead: on the first batch again and
again, so that the order of batches does not matter, or along the streams of words.
"""
import json, pathlib, runpy, sys

folder, case, script, mode = sys.argv[1:5]
sys.path[:0] = [folder]
import common
import workloads

common.PEERS_BATCHES = common.batches
STEPS = 6


def given(*_):
    """What `common.batches` returns to the script."""
    if common.W[case][0] == "lstm":
        return workloads.batches(case, STEPS if mode == "check" else workloads.BATCHES)
    return workloads.batches(case, 1) * workloads.BATCHES if mode == "check" else workloads.batches(case)


def losses(_, peer, version, step, sync):
    """In place of `common.run`: no timing."""
    print(json.dumps({"peer": peer, "version": version, "losses": [float(sync(step(i))) for i in range(STEPS)]}))


common.batches = given
if mode == "check":
    common.run = losses
sys.argv = [script, case, *sys.argv[5:]]
runpy.run_path(str(pathlib.Path(folder) / script), run_name="__main__")
