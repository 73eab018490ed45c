"""The command ``adasearch dashboard``."""

import click

from adasearch.cli.options import RESULTS, STUDIES, existing

__all__ = ["dashboard"]


@click.command()
@STUDIES
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
def dashboard(*, studies: tuple[str, ...], port: int, host: str, results: str) -> None:
    """Show the studies of a results folder in optuna-dashboard, while they run, too.

    They are rebuilt in memory and read again every few seconds; the folder is only read. Needs
    optuna-dashboard: pip install 'adasearch[dashboard]'.

    \b
    Example:
      adasearch dashboard --results results
    """
    from adasearch import commands

    commands.dashboard(existing(results), studies=studies or None, host=host, port=port, say=click.echo)
