"""The command ``adasearch export``."""

from typing import get_args

import click

from adasearch.choices import ScheduleForm
from adasearch.cli.options import RESULTS, existing

__all__ = ["export"]


@click.command()
@click.argument("study")
@click.option("--output", required=True, metavar="FILE", help="The YAML file to write.")
@click.option(
    "--as",
    "form",
    type=click.Choice(get_args(ScheduleForm)),
    default="rule",
    show_default=True,
    help="The scheduler that reacts, or the sizes that the trial took as a timetable of examples.",
)
@click.option("--trial", "trial_id", metavar="TRIAL", help="Of the study.  [default: the candidate]")
@RESULTS
def export(*, study: str, output: str, form: ScheduleForm, trial_id: str | None, results: str) -> None:
    """Write the schedule that a study found as YAML, for a loop of your own or 'train --schedule'.

    Without a candidate the complete trial of lowest error is taken, and the file says so.

    \b
    Example:
      adasearch export resnet18-nano-deba-digits --output schedule.yaml --as ramp
    """
    from adasearch import commands

    for line in commands.export(existing(results), study, output=output, form=form, trial_id=trial_id):
        click.echo(line)
