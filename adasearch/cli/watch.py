"""The command ``adasearch watch``."""

import click

from adasearch.cli.options import FOLDER, STUDIES, console_of, existing

__all__ = ["watch"]


@click.command()
@FOLDER
@STUDIES
@click.option("--once", is_flag=True, help="Show it once and end.")
@click.option(
    "--every",
    type=click.FloatRange(0.1, 3600),
    default=3,
    show_default=True,
    metavar="SECONDS",
    help="Between two looks.",
)
def watch(*, results: str, studies: tuple[str, ...], once: bool, every: float) -> None:
    """Show what runs in a results folder now, from another terminal, too, until Ctrl-C.

    The folder is only read. Trials are stored as they begin and end, their intervals with each checkpoint
    (every 30 seconds, see --checkpoint-every of 'search'), so that a running trial is shown as it was then;
    the time left counts from there. How many trials a search is to make is not stored.

    \b
    Example:
      adasearch watch results/demo
      adasearch watch results/demo --once
    """
    from adasearch import commands

    commands.watch(existing(results), console=console_of(), studies=studies, once=once, every=every)
