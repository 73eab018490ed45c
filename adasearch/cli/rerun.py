"""The command ``adasearch rerun``."""

from typing import Any

import click

from adasearch.cli.groups import run_options
from adasearch.cli.options import IMAGES, RESULTS, console_of, existing
from adasearch.runtime import RunOptions, record_of

__all__ = ["rerun"]


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
@IMAGES
@run_options
@RESULTS
def rerun(
    *,
    trial_id: str,
    threads: int | None,
    tolerance: float | None,
    images: str | None,
    results: str,
    **options: Any,
) -> None:
    """Run a stored trial again with its seed and settings, and compare the two interval by interval.

    It says what is different now (versions, device, threads, workers), and exits with 1 if the runs differ
    beyond the tolerance. The rerun is kept beside the trial as phase "rerun", which no table counts.

    \b
    Example:
      adasearch rerun resnet18-nano-deba-digits-search-0 --results results/demo
    """
    from adasearch import commands

    commands.rerun(
        existing(results),
        trial_id,
        console=console_of(),
        options=record_of(RunOptions, options),
        threads=threads,
        tolerance=tolerance,
        images=images,
    )
