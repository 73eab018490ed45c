"""The command ``adasearch export``."""

from typing import Any, get_args

import click

from adasearch.choices import ScheduleForm
from adasearch.cli.options import RESULTS, existing

__all__ = ["export"]


@click.command()
@click.argument("study")
@click.option("--output", required=True, metavar="FILE", help="The file to write.")
@click.option(
    "--as",
    "form",
    type=click.Choice(get_args(ScheduleForm)),
    default="rule",
    show_default=True,
    help="The scheduler that reacts; the sizes that the trial took as a timetable of examples (ramp); or "
    "these for other software.",
)
@click.option(
    "--sequence-length", type=int, metavar="TOKENS", help="Of an example, for megatron, olmo in tokens."
)
@click.option("--trial", "trial_id", metavar="TRIAL", help="Of the study.  [default: the candidate]")
@RESULTS
def export(*, study: str, results: str, **options: Any) -> None:
    """Write the schedule that a study found, for a loop of your own, 'train --schedule' or other software.

    Without a candidate the complete trial of lowest error is taken, and the file says so.

    \b
    Example:
      adasearch export resnet18-nano-deba-digits --output schedule.yaml --as ramp
      adasearch export resnet18-nano-deba-digits --output steps.txt --as megatron
    """
    from adasearch import commands

    for line in commands.export(existing(results), study, **options):
        click.echo(line)
