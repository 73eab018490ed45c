"""The command ``adasearch doctor``."""

import click

from adasearch.cli.options import FOLDER, console_of, existing
from adasearch.errors import AdasearchError
from adasearch.io.text import printable

__all__ = ["doctor"]


@click.command()
@FOLDER
@click.option(
    "--repair",
    is_flag=True,
    help="Move what cannot be read into RESULTS/.damaged/, misplaced files to their places, and remove what "
    "killed processes left: drafts, locks and Ray's own files. Nothing else is deleted.",
)
def doctor(*, results: str, repair: bool) -> None:
    """Find damage in a results folder and say of each file what is wrong, what that means and what to do.

    Exits with 1 if there is damage that is not repaired. Leftovers of killed processes are named, too, but
    are no damage. Nothing is unpickled, and nothing is changed without --repair; a live search may go on.

    \b
    Example:
      adasearch doctor results/demo
      adasearch doctor results/demo --repair
    """
    from adasearch import commands

    report = commands.doctor(
        existing(results),
        repair=repair,
        say=lambda line: click.echo(printable(line)),
        console=console_of(stderr=True),
    )
    if report.damaged:
        raise AdasearchError(report.summary())
    click.echo(report.summary())
