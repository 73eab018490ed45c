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
    """List architectures, schedulers, datasets, spaces, experiments, or the studies of a results folder.

    \b
    Example:
      adasearch list schedulers
    """
    from adasearch import commands

    click.echo(commands.catalogue(what, results=results, form=form, width=width_of(wide)), nl=False)
