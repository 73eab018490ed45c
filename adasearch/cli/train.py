"""The command ``adasearch train``."""

from dataclasses import replace
from typing import Any

import click

from adasearch.cli.groups import training_options
from adasearch.cli.options import CLOCK, DEVICE_PROFILE, LOG, NETWORK, console_of
from adasearch.errors import AdasearchError, ended_by
from adasearch.objective import brief, named
from adasearch.runtime import RunOptions, record_of

__all__ = ["train"]


@click.command()
@click.option("--architecture", metavar="NAME", help=f"{NETWORK}.  [default: the schedule's]")
@click.option(
    "--scheduler",
    metavar="NAME",
    help="A batch-size scheduler, or module:Class.  [default: constant]",
)
@click.option(
    "--schedule",
    metavar="FILE",
    help="An exported schedule, on its own network and data unless other flags say otherwise.",
)
@training_options
@CLOCK
@DEVICE_PROFILE
@LOG
def train(
    *,
    architecture: str | None,
    scheduler: str | None,
    schedule: str | None,
    results: str,
    log: tuple[str, ...],
    **options: Any,
) -> None:
    """Train once, without Ray, every field at its default unless set.

    \b
    Example:
      adasearch train --architecture resnet18 --scheduler deba --epochs 5 --set scheduler/window=5
      adasearch train --schedule schedule.yaml --seed 7
    """
    from adasearch import commands
    from adasearch.schedule_file import load_schedule
    from adasearch.studies.request import Request, departures, with_schedule

    request = replace(
        record_of(Request, options),
        architectures=() if architecture is None else (architecture,),
        schedulers=() if scheduler is None else (scheduler,),
    )
    if schedule is not None:
        found = load_schedule(schedule)
        other = departures(request, found)
        request = with_schedule(request, found)
        if other:
            click.echo(f"{schedule} was found in another run than one with {other}", err=True)
    run = record_of(RunOptions, options)
    trial = commands.train(request, results=results, console=console_of(), options=run, log=log)
    if trial.status != "complete":
        raise AdasearchError(f"{trial.trial_id} failed: {ended_by(trial.error, results)}")
    error = f"{named(trial.objective)} {brief(trial.known_error, trial.objective)}"
    click.echo(f"{trial.trial_id}: {error} in {trial.train_seconds:.1f} s of training")
