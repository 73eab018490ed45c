"""The command ``adasearch compare``."""

from typing import TYPE_CHECKING, Any

import click

from adasearch.cli.options import CLOCK, DEVICE_PROFILE, FORMAT, RESULTS
from adasearch.errors import InputError

if TYPE_CHECKING:
    from adasearch.store.store import Store

__all__ = ["compare"]


@click.command()
@click.option(
    "--study",
    "studies",
    multiple=True,
    metavar="NAME",
    help="Only these studies; repeatable.  [default: all]",
)
@CLOCK
@DEVICE_PROFILE
@click.option("--force", is_flag=True, help="Compare different data, budgets or splits; marks the table.")
@click.option(
    "--margin",
    type=float,
    default=0.01,
    show_default=True,
    help="Difference of errors, as a fraction, that counts as none.",
)
@click.option(
    "--importance",
    is_flag=True,
    help="Print instead which searched parameters mattered, per scheduler with the networks side by side.",
)
@click.option(
    "--evaluator",
    type=click.Choice(["fanova", "ped-anova"]),
    help="Of importances: fanova needs 8 complete trials, ped-anova 50.  [default: fanova]",
)
@click.option(
    "--by",
    metavar="FIELD",
    help="Print instead the levels of a field, such as scheduler/window, in pairs against the first.",
)
@RESULTS
@FORMAT
def compare(results: str, importance: bool, evaluator: str | None, by: str | None, **options: Any) -> None:
    """Print the architecture-by-scheduler table of a results folder: what was confirmed, then the search.

    \b
    Example:
      adasearch compare --results results --format markdown
      adasearch compare --importance
      adasearch compare --by scheduler/cooldown
    """
    from adasearch.analysis.compare import compare as table
    from adasearch.store.store import Store

    if importance and by is not None:
        raise InputError("give one of --importance and --by FIELD")
    if evaluator is not None and not importance:
        raise InputError("--evaluator goes with --importance")
    store = Store(results, must_exist=True)
    options["studies"] = options["studies"] or None
    if importance:
        text = _importance(store, evaluator or "fanova", **options)
    elif by is not None:
        text = _by(store, by, **options)
    else:
        text = table(store, **options)
    click.echo(text, nl=False)


def _importance(store: "Store", evaluator: str, *, form: str, margin: float, **selection: Any) -> str:
    from adasearch.analysis.gather import mark, select
    from adasearch.analysis.importance import importance_rows, importance_table
    from adasearch.analysis.paired_tests import check_margin

    check_margin(margin)
    selected = select(store, **selection)
    rows = importance_rows(selected.chosen, selected.trials, evaluator=evaluator)
    return importance_table(rows, form, mark=mark(selected.unlike))


def _by(store: "Store", field: str, *, form: str, margin: float, **selection: Any) -> str:
    from adasearch.analysis.ablation import by_level, level_table
    from adasearch.analysis.gather import mark, select

    selected = select(store, **selection)
    rows = by_level(selected.chosen, selected.trials, field, margin=margin)
    return level_table(rows, form, margin=margin, mark=mark(selected.unlike))
