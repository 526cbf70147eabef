"""What was measured, as lines of JSON in a file that a later run adds to. `measure.py` says what the records hold."""
import json, statistics


class Results:
    """Records of one spnc binary on one machine, in memory and, if there is a path, in its file."""

    def __init__(self, path, machine):
        self.path, self.records = path, []
        if path and path.exists():
            # A run that was killed may have left half a line.
            whole = [line for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]
            self.records = [json.loads(line) for line in whole]
            path.write_text("".join(whole))
        if not self.records:
            self.add(machine | {"event": "machine"})
        self.machine = self.records[0]
        differs = [key for key in ("spnc", "cpu", "seconds") if self.machine[key] != machine[key]]
        if differs:
            raise SystemExit(f"{path} was measured with another {' and '.join(differs)}: take a new file")

    def add(self, record):
        self.records.append(record)
        if self.path:
            with self.path.open("a") as file:
                file.write(json.dumps(record) + "\n")

    def cell(self, name, threads, who):
        return Cell([r for r in self.records if (r.get("name"), r.get("threads"), r.get("who")) == (name, threads, who)])

    def forget_failures(self):
        """So that they are tried again."""
        self.records = [record for record in self.records if record["event"] != "failed"]
        if self.path:
            self.path.write_text("".join(json.dumps(record) + "\n" for record in self.records))


class Cell:
    """What one side did in one workload with so many threads."""

    def __init__(self, records):
        self.rounds = {r["round"]: r for r in records if r["event"] == "round"}
        self.failed = next((r["reason"] for r in records if r["event"] == "failed"), None)
        self.start = next((r for r in records if r["event"] == "start"), {})

    def done(self, k):
        return k in self.rounds or self.failed is not None

    @property
    def rates(self):
        return [r["rate"] for r in self.rounds.values()]

    @property
    def fastest(self):
        """What others on the machine disturbed least."""
        return max(self.rates, default=None)

    @property
    def median(self):
        return statistics.median(self.rates) if self.rates else None

    @property
    def peak_mb(self):
        return max((r["peak_mb"] for r in self.rounds.values()), default=None)

    @property
    def loads(self):
        return [r["load"] for r in self.rounds.values()]
