"""The command line over :mod:`adasearch.commands`. Exit codes: 0, 1 failure, 2 wrong usage, 130 Ctrl-C."""

import os
import shlex
import sys
from typing import Any

import click

from adasearch._version import __version__
from adasearch.cli.compare import compare
from adasearch.cli.dashboard import dashboard
from adasearch.cli.evidence import confirm, export, report
from adasearch.cli.options import (
    CLOCK,
    DEVICE_PROFILE,
    FORMAT,
    NETWORK,
    RESULTS,
    RUN_OPTIONS,
    RUNTIME_OPTIONS,
    SAMPLER,
    from_default,
    popped,
    runtime_options,
    training_options,
    with_schedule,
)
from adasearch.cli.profile import predict, profile
from adasearch.cli.store import compact, doctor, rerun
from adasearch.errors import INTERRUPTED, AdasearchError, InputError, Interrupted, StoreError
from adasearch.io.text import printable, redacted
from adasearch.runtime import RunOptions

__all__ = ["main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="adasearch")
def cli() -> None:
    """Find the adaptive batch-size schedule that suits your network.

    \b
    Example:
      adasearch search --architecture resnet18 --scheduler deba --dataset digits --trials 10
      adasearch compare
    """


@cli.command()
@click.option(
    "--architecture",
    "architectures",
    multiple=True,
    metavar="NAME",
    help=f"{NETWORK}; repeatable.",
)
@click.option(
    "--experiment",
    metavar="NAME",
    help="A published set-up: a name from 'list experiments' or a YAML file; other flags override it.",
)
@click.option(
    "--scheduler",
    "schedulers",
    multiple=True,
    metavar="NAME",
    help="A batch-size scheduler, or module:Class; repeatable.  [default: deba]",
)
@training_options
@runtime_options
@SAMPLER
@click.option(
    "--stopper",
    type=click.Choice(["halving", "none"]),
    help="Early stopping of poor trials.  [default: halving]",
)
@click.option("--no-baseline", is_flag=True, help="Do not search the constant baseline.")
@click.option(
    "--transfer",
    is_flag=True,
    help="Try right after the defaults what suited other networks and data sets in this folder, those of the "
    "nearest stability profile before others; thresholds carry over as quantiles only.",
)
@click.option("--study", metavar="PREFIX", help="Prefix of the studies' names.")
@CLOCK
@DEVICE_PROFILE
@click.pass_context
def search(context: click.Context, /, **options: Any) -> None:
    """Search a scheduler's parameters, per architecture, beside a constant batch size.

    The same command goes on with a search that was interrupted, or does nothing if all trials are there.

    \b
    Example:
      adasearch search --architecture resnet18 --architecture vit_b_16 --scheduler deba \\
          --space deba_short --dataset digits --epochs 10 --interval 0.5 --trials 10
      adasearch search --experiment adabatch_cifar --scale nano --dataset cifar10:data
    """
    from adasearch import commands
    from adasearch.spaces.experiments import load_experiment
    from adasearch.studies.request import Request

    if options["experiment"] is not None:
        given = {name for name in options if not from_default(context, name)}
        scale = options["scale"] if "scale" in given else None
        options["experiment"] = load_experiment(options["experiment"]).at(scale)
        flags = options["experiment"].flags()
        options |= {name: value for name, value in flags.items() if name not in given}
    if not options["architectures"]:
        raise InputError("give --architecture NAME (see 'list architectures') or --experiment NAME")
    run_options = RunOptions(**popped(options, RUN_OPTIONS))
    runtime = popped(options, (*RUNTIME_OPTIONS, "transfer"))
    results = options.pop("results")
    request = Request(
        schedulers=options.pop("schedulers") or ("deba",), baseline=not options.pop("no_baseline"), **options
    )
    if not commands.search(
        request, commands.Runtime(**runtime, options=run_options), results=results, console=_console()
    ):
        raise Interrupted


@cli.command()
@click.option("--architecture", metavar="NAME", help=f"{NETWORK}.  [default: the schedule's]")
@click.option(
    "--scheduler",
    default="constant",
    show_default=True,
    metavar="NAME",
    help="A batch-size scheduler, or module:Class.",
)
@click.option(
    "--schedule",
    metavar="FILE",
    help="An exported schedule, on its own network and data unless other flags say otherwise.",
)
@training_options
@CLOCK
@DEVICE_PROFILE
@click.pass_context
def train(context: click.Context, /, **options: Any) -> None:
    """Train once, without Ray, every field at its default unless set.

    \b
    Example:
      adasearch train --architecture resnet18 --scheduler deba --epochs 5 --set scheduler/window=5
      adasearch train --schedule schedule.yaml --seed 7
    """
    from adasearch import commands
    from adasearch.studies.request import Request

    file = options.pop("schedule")
    if file is not None:
        options = with_schedule(options, context, file)
    if options["architecture"] is None:
        raise InputError("give --architecture NAME (see 'list architectures') or --schedule FILE")
    results = options.pop("results")
    run_options = RunOptions(**popped(options, RUN_OPTIONS))
    request = Request(
        architectures=(options.pop("architecture"),), schedulers=(options.pop("scheduler"),), **options
    )
    trial = commands.train_once(request, results=results, console=_console(), options=run_options)
    if trial.status != "complete":
        raise AdasearchError(f"{trial.trial_id} failed: {trial.error}")
    click.echo(f"{trial.trial_id}: error {trial.val_error:.1%} in {trial.train_seconds:.1f} s of training")


@cli.command()
@click.argument("trial_id")
@click.option("--scheduler", required=True, metavar="NAME", help="A scheduler, or module:Class.")
@click.option(
    "--set",
    "fixed",
    multiple=True,
    metavar="scheduler/FIELD=VALUE",
    help="A field; repeatable.  [default: the run's own if it ran this scheduler, else the scheduler's]",
)
@click.option("--smallest", type=int, metavar="N", help="Least batch size.  [default: the study's]")
@click.option("--largest", type=int, metavar="N", help="Greatest batch size.  [default: the study's]")
@click.option("--plot", metavar="FILE", help="Draw both courses to this file, as its ending says.")
@RESULTS
@FORMAT
def replay(results: str, smallest: int | None, largest: int | None, **options: Any) -> None:
    """Show what a scheduler would have decided on the signals of a stored run: decisions, not outcomes.

    \b
    Example:
      adasearch replay resnet18-nano-deba-digits-search-0 --scheduler deba --set scheduler/cooldown=1
    """
    from adasearch.commands import replay as table
    from adasearch.commands._replay import NOTE
    from adasearch.records import Limits
    from adasearch.store.store import Store

    if (smallest is None) != (largest is None):
        raise InputError("give both --smallest and --largest, or neither")
    limits = None
    if smallest is not None and largest is not None:
        try:
            limits = Limits(smallest=smallest, largest=largest)
        except ValueError as error:
            raise InputError(str(error)) from error
    click.echo(table(Store(results, must_exist=True), limits=limits, **options), nl=False)
    if options["form"] in ("csv", "json"):
        click.echo(NOTE, err=True)


@cli.command("list")
@click.argument(
    "what",
    type=click.Choice(["architectures", "schedulers", "datasets", "spaces", "experiments", "studies"]),
    metavar="WHAT",
)
@RESULTS
@FORMAT
def list_(what: str, results: str, form: str) -> None:
    """List architectures, schedulers, datasets, spaces, experiments, or the studies of a results folder.

    \b
    Example:
      adasearch list schedulers
    """
    from adasearch.commands import catalogue

    click.echo(catalogue(what, results=results, form=form), nl=False)


for command in (compare, compact, confirm, dashboard, doctor, export, predict, profile, report, rerun):
    cli.add_command(command)


def _console() -> "Any":
    from rich.console import Console

    return Console(soft_wrap=True)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        cli.main(arguments or ["--help"], prog_name="adasearch", standalone_mode=False)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except (click.Abort, KeyboardInterrupt, Interrupted):
        _fail(f"interrupted{_to_go_on(arguments)}", INTERRUPTED)
    except click.ClickException as error:
        _fail(error.format_message(), error.exit_code)
    except InputError as error:
        _fail(str(error), 2)
    except StoreError as error:
        _fail(f"{error}{_to_go_on(arguments)}", 1)
    except AdasearchError as error:
        _fail(str(error), 1)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader left, as `| head` does
        sys.exit(1)


def _to_go_on(arguments: list[str]) -> str:
    """Return of a command that goes on that what is finished is kept, and how it does; nothing of others."""
    if arguments[:1] not in (["search"], ["confirm"], ["train"], ["profile"], ["rerun"]):
        return ""
    return f"; what is finished is kept. To go on: {shlex.join(['adasearch', *arguments])}"


def _fail(message: str, code: int) -> None:
    click.echo(printable(f"adasearch: {redacted(' '.join(message.split()))}"), err=True)
    sys.exit(code)
