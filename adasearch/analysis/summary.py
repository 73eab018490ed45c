"""What a results folder shows, as one sentence that a report begins with."""

from collections import Counter
from collections.abc import Sequence

from adasearch.analysis.confirmed import ConfirmedRow
from adasearch.analysis.estimates import written
from adasearch.analysis.paired_tests import speedup_of
from adasearch.analysis.search_table import SearchRow
from adasearch.analysis.verdicts import GAINS
from adasearch.schedulers.registry import BASELINE

__all__ = ["in_one_sentence"]


def in_one_sentence(rows: Sequence[SearchRow], evidence: Sequence[ConfirmedRow]) -> str:
    """Return what was gained, surely, and what of the rest is known.

    Args:
        rows: those of the search table.
        evidence: those of what was confirmed.
    """
    adaptive = [row for row in rows if row.scheduler != BASELINE]
    if not adaptive:
        return "No adaptive schedule was searched here yet."
    candidates = [
        row for row in evidence if row.table == "confirmed" and row.scheduler != BASELINE and row.pairs
    ]
    gained = [row for row in candidates if not row.idle and row.outcome in GAINS]
    checked = {row.study for row in candidates}
    others = [row.verdict for row in candidates if row not in gained]
    unchecked = [row.verdict for row in adaptive if row.study not in checked]
    rest = [
        *([f"{len(others)} checked on fresh seeds ({_counted(others)})"] if others else []),
        *([f"{len(unchecked)} not checked ({_counted(unchecked)})"] if unchecked else []),
    ]
    if not gained:
        return f"Against a tuned constant batch no schedule is confirmed to gain: {' and '.join(rest)}."
    left = f"; of the others {' and '.join(rest)}" if rest else ""
    return f"Against a tuned constant batch {'; '.join(map(_gain, gained))}{left}."


def _gain(row: ConfirmedRow) -> str:
    speed = written(speedup_of(row.paired), 1, "x", digits=2)
    how = f", {speed}" if speed else ""
    return f"{row.architecture} with {row.scheduler} is {row.verdict}{how} (over {row.pairs} fresh seeds)"


def _counted(words: Sequence[str]) -> str:
    return ", ".join(f"{count} {each}" for each, count in Counter(words).most_common())
