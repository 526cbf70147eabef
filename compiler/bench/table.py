"""Markdown tables of what was measured: rates, memory and first steps, losses."""
from measure import PEERS

BEGIN, END = "<!-- peers.py: begin -->", "<!-- peers.py: end -->"
NOISE = 0.1                       # cores that others may use in a round without being mentioned
FIRST = 1e-5                      # of the loss at step 0, relative


def number(x):
    return f"{x:,.0f}" if x >= 100 else f"{x:.1f}" if x >= 10 else f"{x:.2f}"


class Notes:
    """Footnotes, each said once."""

    def __init__(self):
        self.texts = []

    def mark(self, text):
        if text not in self.texts:
            self.texts.append(text)
        return f"[{self.texts.index(text) + 1}]"

    def __str__(self):
        return "".join(f"\n[{i + 1}] {text.rstrip('.')}.  " for i, text in enumerate(self.texts))


class Tables:
    """The tables of `results` for workloads, numbers of threads and the peers at hand."""

    def __init__(self, results, threads, peers):
        self.results, self.threads, self.peers, self.notes = results, threads, peers, Notes()

    def _rows(self, workloads):
        for workload in workloads:
            for threads in self.threads:
                cells = {who: self.results.cell(name(workload), threads, who) for who in ("spnc", *workload.peers)}
                if any(cell.rounds or cell.failed for cell in cells.values()):
                    yield workload, threads, cells

    def _table(self, workloads, columns, show, last=()):
        """A row for each workload and number of threads; `show` makes a cell of what is measured."""
        rows = list(self._rows(workloads))
        columns = [who for who in columns if any(who in cells for *_, cells in rows)]
        heads = ["workload", "threads", *(head(who, self.peers) for who in columns), *(title for title, _ in last)]
        lines = [heads, ["---"] * len(heads)]
        for workload, threads, cells in rows:
            shown = [self._cell(who, cells, show) for who in columns]
            lines.append([label(workload), str(threads), *shown, *(value(cells) for _, value in last)])
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)

    def _cell(self, who, cells, show):
        """`–` where something went wrong, nothing where nothing is measured."""
        cell = cells.get(who)
        if cell is None:
            return ""
        if cell.rounds:
            return show(who, cell, cells)
        return f"– {self.notes.mark(f'{head(who, self.peers)}: {cell.failed}')}" if cell.failed else ""

    def rates(self, workloads, columns):
        def show(who, cell, cells):
            fastest = number(cell.fastest)
            fastest = f"**{fastest}**" if who == best(cells) else fastest
            note = self.notes.mark(f"{head(who, self.peers)}, after {len(cell.rounds)} rounds: {cell.failed}") if cell.failed else ""
            return f"{fastest} ({number(cell.median)}) {note}".rstrip()
        return self._table(workloads, columns, show, [("ratio", ratio)] if self.peers else [])

    def costs(self, workloads, columns):
        def show(_, cell, cells):
            first = cell.start.get("first_step_s")
            return f"{cell.peak_mb:,.0f} / {first:.2f}" if first is not None else f"{cell.peak_mb:,.0f}"
        return self._table(workloads, columns, show)

    def losses(self, workloads):
        """How far the peers' losses are from spnc's, at worst over numbers of threads; and whether that is within the tolerance."""
        lines, agree = ["| workload | step 0 | step 5 | tolerance at step 5 |", "|---|---|---|---|"], True
        for workload in workloads:
            tolerance = f"{workload.tolerance:.0e} {self.notes.mark(workload.why) if workload.why else ''}".strip()
            apart = [self._apart(workload, step) for step in (0, 5)]
            if None in apart:
                continue
            agree &= apart[0] <= FIRST and apart[1] <= workload.tolerance
            shown = [f"{a:.1e}" if a <= most else f"**{a:.1e}**" for a, most in zip(apart, (FIRST, workload.tolerance))]
            lines.append(f"| {label(workload)} | {' | '.join(shown)} | {tolerance} |")
        return "\n".join(lines), agree

    def _apart(self, workload, step):
        starts = [{who: cell.start["losses"][step] for who, cell in cells.items() if "losses" in cell.start} for *_, cells in self._rows([workload])]
        pairs = [(losses["spnc"], loss) for losses in starts if "spnc" in losses for who, loss in losses.items() if who != "spnc"]
        return max((abs(ours - theirs) / abs(theirs) for ours, theirs in pairs), default=None)

    def disturbed(self, workloads):
        loads = [load for *_, cells in self._rows(workloads) for cell in cells.values() for load in cell.loads]
        many = sum(load > NOISE for load in loads)
        return f"In {many} of {len(loads)} repeats other processes used more than {NOISE:.0%} of a core, at most {max(loads, default=0):.0%}."


def head(who, peers):
    if who == "spnc":
        return "spnc" if peers else "spnc (no peer at hand)"
    return PEERS[who][0]


def name(workload):
    return getattr(workload, "name", workload.program)


def label(workload):
    return f"{workload.what}, batch {workload.batch}"


def best(cells):
    """The fastest peer."""
    peers = {who: cell.fastest for who, cell in cells.items() if who != "spnc" and cell.rounds}
    return max(peers, key=peers.get, default=None)


def ratio(cells):
    peer = best(cells)
    return f"{cells['spnc'].fastest / cells[peer].fastest:.2f}" if peer and cells["spnc"].rounds else "–"


def replace(path, text):
    """Puts `text` between the two comments in a file."""
    before, _, rest = path.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise SystemExit(f"{path} lacks the lines {BEGIN} and {END}")
    path.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")
