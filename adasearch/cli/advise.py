"""The command ``adasearch advise``."""

from typing import Any

import click

from adasearch.cli.groups import slot_options, training_options
from adasearch.cli.options import ARCHITECTURES, console_of
from adasearch.runtime import record_of, runtime_of

__all__ = ["advise"]


@click.command()
@ARCHITECTURES
@click.option("--train", metavar="MODULE:FUNCTION", help="A training function of your own, in its place.")
@click.option(
    "--objective",
    metavar="NAME",
    help="What of --train's evaluation is minimised.  [default: the only figure, else loss]",
)
@click.option(
    "--seeds",
    type=int,
    default=12,
    show_default=True,
    metavar="N",
    help="Fresh seeds of the last step, at most; it looks after 4, 6, 8, 12, ...",
)
@click.option("--study", metavar="PREFIX", help="Prefix of its studies' names.  [default: advise]")
@slot_options
@training_options
def advise(*, seeds: int, results: str, **options: Any) -> None:
    """Tell for the price of a few trainings whether a changing batch size pays on a network.

    First the profiles, what they say that any schedule can save on this device, and the constant batch;
    it stops there if nothing is to be gained. Else it derives schedules from the noise scale and the learning
    rate, trains each once, and confirms what is faster against the tuned constant batch on fresh seeds until
    the answer is clear. What was spent is told at each step, in trainings, without the speed profile, which
    trains nothing. The same command goes on; one of another length needs another --study or --results.

    \b
    Example:
      adasearch advise --architecture resnet18 --dataset digits --epochs 10 --interval 0.5
    """
    from adasearch import commands
    from adasearch.studies.request import Request

    commands.advise(
        record_of(Request, options),
        runtime_of(options),
        results=results,
        console=console_of(),
        seeds=seeds,
    )
