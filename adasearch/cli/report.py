"""The command ``adasearch report``."""

from typing import Any

import click

from adasearch.cli.options import CLOCK, DEVICE_PROFILE, RESULTS, STUDIES, console_of, existing

__all__ = ["report"]


@click.command()
@click.option(
    "--output", default="report.html", show_default=True, metavar="FILE", help="The HTML file to write."
)
@STUDIES
@CLOCK
@DEVICE_PROFILE
@click.option(
    "--force", is_flag=True, help="Show different data, budgets or splits together; marks the page."
)
@RESULTS
def report(*, output: str, studies: tuple[str, ...], results: str, **options: Any) -> None:
    """Write verdicts, figures and study health as one HTML file that needs nothing else.

    \b
    Example:
      adasearch report --results results/demo --output report.html
    """
    from adasearch import commands

    store, console = existing(results), console_of(stderr=True)
    line = commands.report(store, output, studies=studies or None, console=console, **options)
    click.echo(line)
