"""The command ``adasearch report``."""

import click

from adasearch.choices import Clock
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
def report(
    *,
    output: str,
    studies: tuple[str, ...],
    clock: Clock | None,
    device_profile: str | None,
    force: bool,
    results: str,
) -> None:
    """Write verdicts, figures and study health as one HTML file that needs nothing else.

    \b
    Example:
      adasearch report --results results/demo --output report.html
    """
    from adasearch import commands

    line = commands.report(
        existing(results),
        output,
        studies=studies or None,
        clock=clock,
        device_profile=device_profile,
        force=force,
        console=console_of(stderr=True),
    )
    click.echo(line)
