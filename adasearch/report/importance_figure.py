"""The report's figure of what mattered in a search: the share of each searched setting."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from adasearch.analysis.importance import ImportanceRow, importance_rows
from adasearch.analysis.selection import complete
from adasearch.records import StudyRecord, TrialRecord
from adasearch.report.axes import WIDTH, legend, short
from adasearch.report.svg import GREY, INK, SERIES, Picture, picture, themed

__all__ = ["importance_picture", "searched_importances"]

KINDS = {"val_error": ("validation error", SERIES[0], -0.19), "seconds": ("training time", GREY, 0.19)}
LISTED = 14  # settings: the most important ones
MANY = 100  # complete trials of a study, on which fanova takes some 10 s; with more it takes minutes


def searched_importances(
    studies: Sequence[StudyRecord], trials: Sequence[TrialRecord]
) -> list[ImportanceRow]:
    """Return the importances of each study's settings: fanova's, and of very many trials ped-anova's."""
    rows: list[ImportanceRow] = []
    for study in studies:
        own = [trial for trial in trials if trial.study == study.study]
        evaluator = "ped-anova" if len(complete(own)) > MANY else "fanova"
        rows += importance_rows([study], own, evaluator=evaluator)
    return rows


@themed
def importance_picture(about: str, rows: Sequence[ImportanceRow], *, name: str) -> Picture | None:
    """Draw how much of error and time each setting of one study explains.

    Args:
        about: the network.
        rows: of one study, as :func:`~adasearch.analysis.importance.importance_rows` returns them.
        name: what the study is called here.

    Returns:
        None where nothing has a share, as with too few trials.
    """
    known = [row for row in rows if row.importance is not None]
    if not known:
        return None
    most = {row.parameter: max(_share(r) for r in known if r.parameter == row.parameter) for row in known}
    names = sorted(most, key=lambda each: (-most[each], each))[:LISTED]
    figure = Figure(figsize=(WIDTH, 1.1 + 0.36 * len(names)), layout="constrained")
    axes = figure.add_subplot()
    tips: dict[str, list[str]] = {}
    for objective, (label, colour, shift) in KINDS.items():
        own = {row.parameter: row for row in known if row.objective == objective}
        if own:
            axes.fill_between([], [], color=colour, lw=0, label=label)
        for place, parameter in enumerate(names):
            if parameter not in own:
                continue
            share, spread = _share(own[parameter]), own[parameter].spread
            (bar,) = axes.barh(place + shift, share, color=colour, height=0.34)
            bar.set_gid(f"{objective} {place}")
            band = "" if spread is None else f" ± {spread:.2f}"
            tips[f"{objective} {place}"] = [f"{parameter}, of {label}: {share:.2f}{band}"]
            if spread:
                ends = [max(0.0, share - spread), min(1.0, share + spread)]
                axes.plot(ends, [place + shift] * 2, color=INK, lw=1)
    axes.set_yticks(range(len(names)), [short(each, 34) for each in names])
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)
    axes.set_xlim(left=0)
    axes.set_xlabel("share of what the settings explain")
    legend(figure)
    first = known[0]
    note = (
        f"{first.evaluator} on {first.complete} complete trials; lines: the spread if the trials are drawn "
        "anew. Trials that were stopped early do not count."
    )
    return picture(figure, f"What mattered: {name}", about=about, tips=tips, note=note)


def _share(row: ImportanceRow) -> float:
    return row.importance or 0.0
