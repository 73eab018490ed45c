"""The command ``adasearch dashboard``."""

from typing import Any

import click

from adasearch.cli.options import RESULTS

__all__ = ["dashboard"]


@click.command()
@click.option(
    "--study",
    "studies",
    multiple=True,
    metavar="NAME",
    help="Only these studies; repeatable.  [default: all]",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8080,
    show_default=True,
    help="0 takes a free one.",
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Whoever reaches this address sees the studies; the default is this machine alone.",
)
@RESULTS
def dashboard(results: str, studies: tuple[str, ...], **options: Any) -> None:
    """Show the studies of a results folder in optuna-dashboard, while they run, too.

    They are rebuilt in memory and read again every few seconds; the folder is only read. Needs
    optuna-dashboard: pip install 'adasearch[dashboard]'.

    \b
    Example:
      adasearch dashboard --results results
    """
    from adasearch.commands._dashboard import serve
    from adasearch.store.store import Store

    serve(Store(results, must_exist=True), studies=studies or None, say=click.echo, **options)
