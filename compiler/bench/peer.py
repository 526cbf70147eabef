"""Keeps one of the peers' scripts ready to be timed: `peer.py DIR CASE BATCHES SCRIPT [arguments of the script]`.

The script gets the batches that spnc gets. One line of JSON says how long the first step took and what the losses of the first six steps
were: on the first batch again and again, so that the order of batches does not matter, or along the streams of words. Then each line
on standard input, a number of seconds, is answered by a line: how many samples a second were computed in about so long. The end of
standard input ends it.
"""
import json, math, pathlib, runpy, sys, time

folder, case, n, script = sys.argv[1:5]
sys.path[:0] = [folder]
import common
import workloads

common.W |= workloads.CASES
given = workloads.batches(case, int(n))
common.batches = lambda *_: given * (8 // len(given))         # the scripts go round in eight
WARM_UP = 0.4


def say(**line):
    print(json.dumps(line | {"peak_mb": common.rss_mb()}), flush=True)


def serve(a, _, version, step, sync):
    """In place of `common.run`: `step(i)` does a step on batch `i % 8`, `sync` waits for what it returns."""
    now, streams = time.perf_counter, a.family == "lstm"
    start = now()
    losses = [float(sync(step(0)))]
    first = now() - start
    losses += [float(sync(step(i if streams else 0))) for i in range(1, workloads.STEPS)]
    say(version=version, first_step_s=first, losses=losses)
    i, start = workloads.STEPS, now()
    while now() - start < WARM_UP:
        sync(step(i))
        i += 1
    pace = (now() - start) / (i - workloads.STEPS)
    for line in sys.stdin:
        steps = max(1, math.ceil(float(line) / pace))
        busy, own, start = common.machine_busy(), time.process_time(), now()
        for i in range(i, i + steps):
            last = step(i)
        sync(last)
        taken = now() - start
        others = common.machine_busy() - busy - (time.process_time() - own)
        i, pace = i + 1, taken / steps
        say(rate=steps * a.opt["batch"] / taken, load=max(0., others / taken))


common.run = serve
sys.argv = [script, case, *sys.argv[5:]]
runpy.run_path(str(pathlib.Path(folder) / script), run_name="__main__")
