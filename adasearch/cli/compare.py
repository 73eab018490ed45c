"""The command ``adasearch compare``."""

from typing import Any, get_args

import click

from adasearch.choices import Evaluator
from adasearch.cli.options import (
    CLOCK,
    DEVICE_PROFILE,
    FORMAT,
    RESULTS,
    STUDIES,
    WIDE,
    existing,
    width_of,
)

__all__ = ["compare"]


@click.command()
@STUDIES
@CLOCK
@DEVICE_PROFILE
@click.option("--force", is_flag=True, help="Compare different data, budgets or splits; marks the table.")
@click.option(
    "--margin",
    type=float,
    help="Difference of errors, as a fraction, or of losses that counts as none.  [default: 0.01; of a loss "
    "half a percent of the reference's]",
)
@click.option(
    "--importance",
    is_flag=True,
    help="Print instead which searched parameters mattered, per scheduler with the networks side by side.",
)
@click.option(
    "--evaluator",
    type=click.Choice(get_args(Evaluator)),
    help="Of importances: fanova needs 8 complete trials, ped-anova 50.  [default: fanova]",
)
@click.option(
    "--by",
    metavar="FIELD",
    help="Print instead the levels of a field, such as scheduler/window, in pairs against the first.",
)
@RESULTS
@FORMAT
@WIDE
def compare(*, studies: tuple[str, ...], results: str, wide: bool, **options: Any) -> None:
    """Print the architecture-by-scheduler table of a results folder: what was confirmed, then the search.

    \b
    Example:
      adasearch compare --results results --format markdown
      adasearch compare --importance
      adasearch compare --by scheduler/cooldown
    """
    from adasearch import commands

    store, width = existing(results), width_of(wide)
    text = commands.compare(store, studies=studies or None, width=width, **options)
    click.echo(text, nl=False)
