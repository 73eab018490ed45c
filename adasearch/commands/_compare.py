"""``adasearch compare``: the tables of a results folder, which parameters mattered, or the levels of one."""

from collections.abc import Sequence

from adasearch.analysis.compare import compare as tables
from adasearch.analysis.gather import Scope, mark, select
from adasearch.analysis.paired_tests import check_margin
from adasearch.choices import Clock, Evaluator, Format
from adasearch.errors import InputError
from adasearch.store.store import Store

__all__ = ["compare"]


def compare(
    store: Store,
    *,
    studies: Sequence[str] | None = None,
    form: Format = "text",
    force: bool = False,
    margin: float | None = None,
    clock: Clock | None = None,
    device_profile: str | None = None,
    importance: bool = False,
    evaluator: Evaluator | None = None,
    by: str | None = None,
    width: int | None = None,
) -> str:
    """Return the tables of a results folder as :func:`adasearch.analysis.compare.compare` does.

    With ``importance`` it is instead a table of which searched parameters mattered, by ``evaluator``; with
    ``by`` one of the levels of a field, such as "scheduler/window", in pairs against the first.

    Raises:
        InputError: choices that do not go together, an unknown study or field, studies of different data,
            budgets or splits without ``force``, or a device profile that is of none of them.
    """
    scope = Scope(studies=studies, force=force, clock=clock, device_profile=device_profile)
    if importance and by is not None:
        raise InputError("give one of --importance and --by FIELD")
    if evaluator is not None and not importance:
        raise InputError("--evaluator goes with --importance")
    if importance:
        check_margin(margin)
    if not importance and by is None:
        return tables(store, scope, form=form, margin=margin, width=width)
    selected = select(store, scope)
    if by is not None:
        from adasearch.analysis.ablation import by_level, level_table

        levels = by_level(selected.chosen, selected.trials, by, margin=margin)
        return level_table(levels, form, mark=mark(selected.unlike), width=width)
    from adasearch.analysis.importance import importance_rows, importance_table  # half a second

    rows = importance_rows(selected.chosen, selected.trials, evaluator=evaluator or "fanova")
    return importance_table(rows, form, mark=mark(selected.unlike), width=width)
