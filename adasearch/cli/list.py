"""The command ``adasearch list``."""

from typing import get_args

import click

from adasearch.choices import Catalogue, Format
from adasearch.cli.options import FORMAT, RESULTS, WIDE, width_of

__all__ = ["list_"]


@click.command("list")
@click.argument("what", type=click.Choice(get_args(Catalogue)), metavar="WHAT")
@RESULTS
@FORMAT
@WIDE
def list_(*, what: Catalogue, results: str, form: Format, wide: bool) -> None:
    """List what there is to choose from, or the studies or the failed trials of a results folder.

    WHAT is architectures, schedulers, datasets, spaces, experiments, studies or failures.

    \b
    Example:
      adasearch list schedulers
      adasearch list failures --results results
    """
    from adasearch import commands

    click.echo(commands.catalogue(what, results=results, form=form, width=width_of(wide)), nl=False)
