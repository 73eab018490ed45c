"""The commands ``adasearch profile`` and ``adasearch predict``."""

from typing import Any

import click

from adasearch.cli.options import FORMAT, NETWORK, RESULTS, RUN_OPTIONS, popped, training_options
from adasearch.errors import InputError
from adasearch.runtime import RunOptions

__all__ = ["predict", "profile"]


@click.command()
@click.option(
    "--architecture", "architectures", multiple=True, metavar="NAME", help=f"{NETWORK}; repeatable."
)
@click.option(
    "--kind",
    type=click.Choice(["stability", "speed"]),
    help="Only how steadily the network trains, or only how fast.  [default: both]",
)
@click.option(
    "--intervals",
    type=int,
    metavar="N",
    help="Length of a run at a fixed batch; --epochs 100 is the DEBA paper's.  [default: 20 and the longest "
    "window of DEBA's space (--space, else 'deba')]",
)
@click.option("--seeds", type=int, default=3, show_default=True, metavar="N", help="Runs at a fixed batch.")
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
def profile(export: str | None, take_in: str | None, form: str, **options: Any) -> None:
    """Measure how steadily and how fast a network trains here, before any search.

    Runs at a fixed batch, the network's default, tell how steady training is, and give thresholds as
    quantiles their values; they go on where they were cut. Step times at growing batch sizes tell how fast,
    and let a search be judged in the time of this device, alone; have nothing else run on it meanwhile. To
    judge by another machine, export its profiles there and import them here.

    \b
    Example:
      adasearch profile --architecture resnet18 --architecture vit_b_16 --dataset digits
      adasearch profile --export h100.parquet --device-profile h100
      adasearch profile --import h100.parquet
    """
    from rich.console import Console

    from adasearch import commands
    from adasearch.analysis.profile_tables import profile_tables
    from adasearch.profiles.profile_store import ProfileStore
    from adasearch.studies.request import Request

    architectures = options.pop("architectures")
    results = options.pop("results")
    if sum((bool(architectures), export is not None, take_in is not None)) != 1:
        raise InputError("give one of --architecture NAME (see 'list architectures'), --export and --import")
    stored = ProfileStore(results)
    if export is not None:
        click.echo(f"{stored.export(export, options['name'])} profiles written to {export}")
        return
    if take_in is not None:
        click.echo(f"{stored.take_in(take_in)} new profiles from {take_in}")
        return
    kind = options.pop("kind")
    wish = commands.ProfileWish(
        kinds=("stability", "speed") if kind is None else (kind,),
        space=options.pop("space") or "deba",
        **popped(options, ("intervals", "seeds", "name", "threads")),
    )
    run_options = RunOptions(**popped(options, RUN_OPTIONS))
    request = Request(architectures=architectures, schedulers=("constant",), **options)
    # What is said on the way goes to stderr where the table is for a machine.
    console = Console(soft_wrap=True, stderr=form in ("csv", "json"))
    found = commands.profile(request, wish, results=results, console=console, options=run_options)
    click.echo(profile_tables(*found, form), nl=False)


@click.command()
@click.option(
    "--architecture",
    "architectures",
    multiple=True,
    metavar="NAME",
    help="Only these networks; repeatable.  [default: all that were profiled]",
)
@click.option(
    "--scheduler",
    "schedulers",
    multiple=True,
    metavar="NAME",
    help="Whose outcomes to guess; repeatable.  [default: deba]",
)
@click.option("--check", is_flag=True, help="Guess each network that was searched from the others instead.")
@RESULTS
@FORMAT
def predict(results: str, **options: Any) -> None:
    """Guess from its profiles whether a growing batch will pay on a network, before any search.

    The speed profile says how much a larger batch could save here at most, the stability profile and the
    outcomes of other networks in the results folder what to expect. --check holds each network out in turn
    and tells how good such guesses were.

    \b
    Example:
      adasearch predict --architecture vit_b_16
      adasearch predict --check
    """
    from adasearch.analysis.prediction_table import outlook
    from adasearch.store.store import Store

    click.echo(outlook(Store(results, must_exist=True), **options), nl=False)
