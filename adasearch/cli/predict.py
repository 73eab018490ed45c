"""The command ``adasearch predict``."""

from typing import Any

import click

from adasearch.cli.options import FORMAT, RESULTS, WIDE, existing, width_of

__all__ = ["predict"]


@click.command()
@click.option(
    "--architecture",
    "architectures",
    multiple=True,
    metavar="NAME",
    help="Only these networks; repeatable.  [default: all that were profiled]",
)
@click.option(
    "--scheduler",
    "schedulers",
    multiple=True,
    metavar="NAME",
    help="Whose outcomes to guess; repeatable.  [default: deba]",
)
@click.option("--check", is_flag=True, help="Guess each network that was searched from the others instead.")
@RESULTS
@FORMAT
@WIDE
def predict(*, results: str, wide: bool, **options: Any) -> None:
    """Guess from its profiles whether a growing batch will pay on a network, before any search.

    The speed profile says how much a larger batch could save here at most, the stability profile and the
    outcomes of other networks what to expect: those in the results folder, and where these are fewer than
    four, those of the study that comes with adasearch. --check holds each network out in turn
    and tells how good such guesses were.

    \b
    Example:
      adasearch predict --architecture vit_b_16
      adasearch predict --check
    """
    from adasearch import commands

    click.echo(commands.predict(existing(results), width=width_of(wide), **options), nl=False)
