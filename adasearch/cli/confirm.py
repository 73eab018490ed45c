"""The command ``adasearch confirm``."""

from typing import Any, get_args

import click

from adasearch.analysis.enough import MIN_PAIRS
from adasearch.choices import Controls
from adasearch.cli.groups import run_options, slot_options
from adasearch.cli.options import IMAGES, LOG, RESULTS, WIDE, console_of
from adasearch.errors import Interrupted
from adasearch.runtime import runtime_of

__all__ = ["confirm"]


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
    "chosen",
    multiple=True,
    metavar="TRIAL",
    help="Confirm this trial, of constant studies, too; repeatable.  [default: each study's candidate]",
)
@click.option(
    "--seeds",
    type=int,
    default=5,
    show_default=True,
    metavar="N",
    help=f"Fresh seeds per run; below {MIN_PAIRS} there is no verdict.",
)
@click.option(
    "--controls",
    type=click.Choice(get_args(Controls)),
    default="matched",
    show_default=True,
    help="none: the trials alone; reference: that control alone; all adds the largest constant batch with a "
    "scaled learning rate, and AdaBatch.",
)
@click.option(
    "--until-clear",
    is_flag=True,
    help="Look after 4, 6, 8, 12, ... seeds, --seeds at most, and stop once the answer is clear.",
)
@IMAGES
@slot_options
@run_options
@RESULTS
@LOG
@WIDE
def confirm(
    *,
    studies: tuple[str, ...],
    chosen: tuple[str, ...],
    seeds: int,
    controls: Controls,
    until_clear: bool,
    images: str | None,
    results: str,
    log: tuple[str, ...],
    wide: bool,
    **options: Any,
) -> None:
    """Run each study's candidate and its controls on fresh seeds, and evaluate them on the test split.

    The controls are the reference, the untuned default, a constant batch of the candidate's mean size, and
    the candidate's path as learning-rate decay instead of growth. The same command goes on after an
    interruption.

    \b
    Example:
      adasearch confirm --results results/demo --seeds 5
      adasearch confirm --study resnet18-nano-deba-digits --controls all
      adasearch confirm --seeds 16 --controls reference --until-clear
    """
    from adasearch import commands

    whole = commands.confirm(
        runtime_of(options),
        results=results,
        console=console_of(),
        studies=studies,
        trials=chosen,
        seeds=seeds,
        controls=controls,
        until_clear=until_clear,
        wide=wide,
        images=images,
        log=log,
    )
    if not whole:
        raise Interrupted
