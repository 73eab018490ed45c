"""The command ``adasearch profile``."""

from dataclasses import replace
from typing import Any, get_args

import click

from adasearch.choices import BranchCoupling, Format, ProfileKind
from adasearch.cli.groups import training_options
from adasearch.cli.options import ARCHITECTURES, FORMAT, console_of
from adasearch.errors import InputError
from adasearch.io.text import counted
from adasearch.runtime import RunOptions, record_of

__all__ = ["profile"]


@click.command()
@ARCHITECTURES
@click.option("--train", metavar="MODULE:FUNCTION", help="A training function of your own, in its place.")
@click.option(
    "--kind",
    type=click.Choice(get_args(ProfileKind)),
    help="Only how steadily the network trains, only how fast, or its critical batch.  "
    "[default: the first two]",
)
@click.option(
    "--intervals",
    type=int,
    metavar="N",
    help="Length of a run at a fixed batch; --epochs 100 is the DEBA paper's.  [default: 20 and the longest "
    "window of DEBA's space (--space, else 'deba')]",
)
@click.option(
    "--seeds", type=int, metavar="N", help="Runs at a fixed batch.  [default: 3; of --kind critical 1]"
)
@click.option(
    "--coupling",
    type=click.Choice(get_args(BranchCoupling)),
    help="How the learning rate follows the size in --kind critical.  [default: linear for SGD, else sqrt]",
)
@click.option(
    "--slots",
    type=int,
    default=1,
    show_default=True,
    metavar="N",
    help="Runs of --kind critical at a time: 1 in this process, more on Ray.",
)
@click.option(
    "--cpus-per-worker", "threads", type=int, default=1, show_default=True, help="As in the search."
)
@click.option(
    "--device-profile",
    "name",
    metavar="NAME",
    help="What to call the speed profile.  [default: the device's name]",
)
@click.option(
    "--export", metavar="FILE", help="Write the stored profiles, or those of --device-profile, to a file."
)
@click.option("--import", "take_in", metavar="FILE", help="Keep the profiles of an exported file.")
@training_options
@FORMAT
def profile(
    *,
    kind: ProfileKind | None,
    intervals: int | None,
    seeds: int | None,
    coupling: BranchCoupling | None,
    slots: int,
    threads: int,
    name: str | None,
    export: str | None,
    take_in: str | None,
    results: str,
    form: Format,
    **options: Any,
) -> None:
    """Measure how steadily and how fast a network trains here, before any search.

    Runs at a fixed batch, the network's default, tell how steady training is, and give thresholds as
    quantiles their values; they go on where they were cut. Step times at growing batch sizes tell how fast,
    and let a search be judged in the time of this device, alone; have nothing else run on it meanwhile. To
    judge by another machine, export its profiles there and import them here.

    --kind critical measures the critical batch: one run is branched at four marks at several batch sizes,
    whose losses are compared after the same examples. It takes at most one and a half trainings, of which
    --slots trains as many runs at a time.

    \b
    Example:
      adasearch profile --architecture resnet18 --architecture vit_b_16 --dataset digits
      adasearch profile --architecture resnet18 --dataset digits --kind critical --epochs 30
      adasearch profile --export h100.parquet --device-profile h100
      adasearch profile --import h100.parquet
    """
    from adasearch import commands
    from adasearch.studies.request import Request

    request = record_of(Request, options)
    asked = (request.architectures or None, request.train, export, take_in)
    if sum(each is not None for each in asked) != 1:
        raise InputError(
            "give one of --architecture NAME (see 'list architectures'), --train, --export and --import"
        )
    if export is not None:
        written = commands.export_profiles(results, export, name)
        click.echo(f"{counted(written, 'profile')} written to {export}")
        return
    if take_in is not None:
        click.echo(f"{counted(commands.import_profiles(results, take_in), 'new profile')} from {take_in}")
        return
    wish = commands.ProfileWish(
        intervals=intervals,
        seeds=seeds,
        coupling=coupling,
        slots=slots,
        name=name,
        threads=threads,
        space=request.spaces[0] if request.spaces else "deba",
    )
    found = commands.profile(
        replace(request, space=None),
        wish if kind is None else replace(wish, kinds=(kind,)),
        results=results,
        # What is said on the way goes to stderr where the table is for a machine.
        console=console_of(stderr=form in ("csv", "json")),
        options=record_of(RunOptions, options),
    )
    click.echo(found.table(form), nl=False)
