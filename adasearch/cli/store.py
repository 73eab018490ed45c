"""The commands that look after a results folder."""

from typing import Any

import click

from adasearch.cli.options import RESULTS, RUN_OPTIONS, popped, run_options
from adasearch.errors import AdasearchError
from adasearch.io.text import printable
from adasearch.runtime import RunOptions

__all__ = ["compact", "doctor", "rerun"]

FOLDER = click.argument("results", metavar="RESULTS")


@click.command()
@FOLDER
@click.option(
    "--repair",
    "wanted",
    is_flag=True,
    help="Move what cannot be read into RESULTS/.damaged/, misplaced files to their places, and remove what "
    "killed processes left: drafts, locks and Ray's own files. Nothing else is deleted.",
)
def doctor(results: str, wanted: bool) -> None:
    """Find damage in a results folder and say of each file what is wrong, what that means and what to do.

    Exits with 1 if there is damage that is not repaired. Leftovers of killed processes are named, too, but
    are no damage. Nothing is unpickled, and nothing is changed without --repair; a live search may go on.

    \b
    Example:
      adasearch doctor results/demo
      adasearch doctor results/demo --repair
    """
    from rich.console import Console

    from adasearch.doctor.examine import examine
    from adasearch.doctor.repair import repair
    from adasearch.io.progress import StepDisplay
    from adasearch.store.store import Store

    store = Store(results, must_exist=True)
    console = Console(soft_wrap=True, stderr=True)
    with StepDisplay(console) as progress:
        report = examine(store, progress)
    for finding in report.findings:
        click.echo(finding.line())
    if wanted and report.findings:
        store.check_writable()
        for line in repair(store, report.findings):
            click.echo(printable(line))
        with StepDisplay(console) as progress:
            report = examine(store, progress)
        click.echo("after the repair:")
        for finding in report.findings:
            click.echo(finding.line())
    if report.damaged:
        raise AdasearchError(report.summary())
    click.echo(report.summary())


@click.command()
@FOLDER
@click.option(
    "--study",
    "studies",
    multiple=True,
    metavar="NAME",
    help="Only this study, or 'train'; repeatable.  [default: every folder]",
)
def compact(results: str, studies: tuple[str, ...]) -> None:
    """Write a study's many small files once more as few, which are read many times faster.

    Nothing is deleted: <study>/compacted/ lies beside the tables, and what is newer than it is read from its
    own file. A live search may go on; run it again now and then.

    \b
    Example:
      adasearch compact results/demo
    """
    from rich.console import Console

    from adasearch.io.progress import StepDisplay
    from adasearch.store.store import Store

    store = Store(results, must_exist=True)
    store.check_writable()
    console = Console(soft_wrap=True, stderr=True)
    done = 0
    for study in studies or store.folders():
        with StepDisplay(console) as progress:
            rows = store.compact(study, progress)
        if any(rows.values()):
            done += 1
            click.echo(
                f"{study}: {' and '.join(f'{count} {table}' for table, count in rows.items())} compacted"
            )
    if not done:
        click.echo("there is nothing to compact")


@click.command()
@click.argument("trial_id", metavar="TRIAL")
@click.option(
    "--threads", type=int, metavar="N", help="Of this process.  [default: the trial's, 1 if not stored]"
)
@click.option(
    "--tolerance",
    type=float,
    metavar="X",
    help="Greatest difference that counts as none: relative, of errors as a fraction.  [default: 0 where "
    "both runs are on a CPU with one thread, one worker and the same torch, else 0.05]",
)
@run_options
@RESULTS
def rerun(results: str, trial_id: str, **options: Any) -> None:
    """Run a stored trial again with its seed and settings, and compare the two interval by interval.

    It says what is different now (versions, device, threads, workers), and exits with 1 if the runs differ
    beyond the tolerance. The rerun is kept beside the trial as phase "rerun", which no table counts.

    \b
    Example:
      adasearch rerun resnet18-nano-deba-digits-search-0 --results results/demo
    """
    from rich.console import Console

    from adasearch.commands import rerun as run
    from adasearch.store.store import Store

    run_options = RunOptions(**popped(options, RUN_OPTIONS))
    store = Store(results, must_exist=True)
    run(store, trial_id, console=Console(soft_wrap=True), options=run_options, **options)
