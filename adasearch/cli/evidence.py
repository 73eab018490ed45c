"""The commands that turn what was found into evidence and into something to use."""

from typing import Any

import click

from adasearch.cli.options import (
    CLOCK,
    DEVICE_PROFILE,
    RESULTS,
    RUN_OPTIONS,
    RUNTIME_OPTIONS,
    popped,
    run_options,
    slot_options,
)
from adasearch.errors import InputError, Interrupted
from adasearch.runtime import RunOptions

__all__ = ["confirm", "export", "report"]


@click.command()
@click.option(
    "--study",
    "studies",
    multiple=True,
    metavar="NAME",
    help="Only these studies; repeatable.  [default: all adaptive ones]",
)
@click.option(
    "--trial",
    "trials",
    multiple=True,
    metavar="TRIAL",
    help="Confirm this trial; repeatable.  [default: each study's candidate]",
)
@click.option("--seeds", type=int, default=5, show_default=True, metavar="N", help="Fresh seeds per run.")
@click.option(
    "--controls",
    type=click.Choice(["matched", "all"]),
    default="matched",
    show_default=True,
    help="all adds the largest constant batch with a scaled learning rate, and AdaBatch.",
)
@slot_options
@run_options
@RESULTS
def confirm(results: str, **options: Any) -> None:
    """Run each study's candidate and its controls on fresh seeds, and evaluate them on the test split.

    The controls are the reference, the untuned default, a constant batch of the candidate's mean size, and
    the candidate's path as learning-rate decay instead of growth. The same command goes on after an
    interruption.

    \b
    Example:
      adasearch confirm --results results/demo --seeds 5
      adasearch confirm --study resnet18-nano-deba-digits --controls all
    """
    from rich.console import Console

    from adasearch import commands

    runtime = popped(options, [name for name in RUNTIME_OPTIONS if name != "trials"])
    run = RunOptions(**popped(options, RUN_OPTIONS))
    console = Console(soft_wrap=True)
    if not commands.confirm(
        commands.Runtime(**runtime, options=run), results=results, console=console, **options
    ):
        raise Interrupted


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
    from adasearch.commands import export as write
    from adasearch.store.store import Store

    for line in write(Store(results, must_exist=True), study, **options):
        click.echo(line)


@click.command()
@click.option(
    "--output", default="report.html", show_default=True, metavar="FILE", help="The HTML file to write."
)
@click.option(
    "--study",
    "studies",
    multiple=True,
    metavar="NAME",
    help="Only these studies; repeatable.  [default: all]",
)
@CLOCK
@DEVICE_PROFILE
@click.option(
    "--force", is_flag=True, help="Show different data, budgets or splits together; marks the page."
)
@RESULTS
def report(results: str, output: str, studies: tuple[str, ...], **options: Any) -> None:
    """Write verdicts, figures and study health as one HTML file that needs nothing else.

    \b
    Example:
      adasearch report --results results/demo --output report.html
    """
    from rich.console import Console

    from adasearch.io.progress import StepDisplay
    from adasearch.store.store import Store

    try:
        from adasearch.report.page import report as write
    except ImportError as error:
        raise InputError(f"report needs matplotlib: pip install 'adasearch[report]' ({error})") from error
    store = Store(results, must_exist=True)
    with StepDisplay(Console(soft_wrap=True, stderr=True)) as progress:
        line = write(store, output, progress=progress, studies=studies or None, **options)
    click.echo(line)
