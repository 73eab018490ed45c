"""The commands that turn what was found into evidence and into something to use."""

from typing import Any

import click

from adasearch.cli_options import RESULTS

__all__ = ["export"]


@click.command()
@click.argument("study")
@click.option("--output", required=True, metavar="FILE", help="The YAML file to write.")
@click.option(
    "--as",
    "form",
    type=click.Choice(["rule", "ramp"]),
    default="rule",
    show_default=True,
    help="The scheduler that reacts, or the sizes that the trial took as a timetable of examples.",
)
@click.option("--trial", "trial_id", metavar="TRIAL", help="Of the study.  [default: the candidate]")
@RESULTS
def export(study: str, results: str, **options: Any) -> None:
    """Write the schedule that a study found as YAML, for a loop of your own or 'train --schedule'.

    Without a candidate the complete trial of lowest error is taken, and the file says so.

    \b
    Example:
      adasearch export resnet18-nano-deba-digits --output schedule.yaml --as ramp
    """
    from adasearch.export import export as write
    from adasearch.store import Store

    for line in write(Store(results, must_exist=True), study, **options):
        click.echo(line)
