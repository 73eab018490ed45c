"""The command ``adasearch replay``."""

from typing import TYPE_CHECKING

import click

from adasearch.choices import Format
from adasearch.cli.options import FORMAT, RESULTS, existing
from adasearch.errors import InputError

if TYPE_CHECKING:
    from adasearch.records import Limits

__all__ = ["replay"]


@click.command()
@click.argument("trial_id")
@click.option("--scheduler", required=True, metavar="NAME", help="A scheduler, or module:Class.")
@click.option(
    "--set",
    "fixed",
    multiple=True,
    metavar="scheduler/FIELD=VALUE",
    help="A field; repeatable.  [default: the run's own if it ran this scheduler, else the scheduler's]",
)
@click.option("--smallest", type=int, metavar="N", help="Least batch size.  [default: the study's]")
@click.option("--largest", type=int, metavar="N", help="Greatest batch size.  [default: the study's]")
@click.option("--plot", metavar="FILE", help="Draw both courses to this file, as its ending says.")
@RESULTS
@FORMAT
def replay(
    *,
    trial_id: str,
    scheduler: str,
    fixed: tuple[str, ...],
    smallest: int | None,
    largest: int | None,
    plot: str | None,
    results: str,
    form: Format,
) -> None:
    """Show what a scheduler would have decided on the signals of a stored run: decisions, not outcomes.

    \b
    Example:
      adasearch replay resnet18-nano-deba-digits-search-0 --scheduler deba --set scheduler/cooldown=1
    """
    from adasearch import commands

    table = commands.replay(
        existing(results),
        trial_id,
        scheduler,
        fixed=fixed,
        limits=_limits(smallest, largest),
        form=form,
        plot=plot,
        say=lambda note: click.echo(note, err=True),
    )
    click.echo(table, nl=False)


def _limits(smallest: int | None, largest: int | None) -> "Limits | None":
    from adasearch.records import Limits

    if smallest is None and largest is None:
        return None
    if smallest is None or largest is None:
        raise InputError("give both --smallest and --largest, or neither")
    try:
        return Limits(smallest=smallest, largest=largest)
    except ValueError as error:
        raise InputError(str(error)) from error
