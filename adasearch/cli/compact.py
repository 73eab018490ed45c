"""The command ``adasearch compact``."""

import click

from adasearch.cli.options import FOLDER, console_of, existing

__all__ = ["compact"]


@click.command()
@FOLDER
@click.option(
    "--study",
    "studies",
    multiple=True,
    metavar="NAME",
    help="Only this study, or 'train'; repeatable.  [default: every folder]",
)
def compact(*, results: str, studies: tuple[str, ...]) -> None:
    """Write a study's many small files once more as few, which are read many times faster.

    Nothing is deleted: <study>/compacted/ lies beside the tables, and what is newer than it is read from its
    own file. A live search may go on. A search does it at its end where a thousand trials lie in own files.

    \b
    Example:
      adasearch compact results/demo
    """
    from adasearch import commands

    if not commands.compact(existing(results), studies, say=click.echo, console=console_of(stderr=True)):
        click.echo("there is nothing to compact")
