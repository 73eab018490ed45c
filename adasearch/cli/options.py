"""Options that several commands share."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import click
from click.core import ParameterSource

__all__ = [
    "CLOCK",
    "DEVICE_PROFILE",
    "FORMAT",
    "NETWORK",
    "RESULTS",
    "RUNTIME_OPTIONS",
    "RUN_OPTIONS",
    "SAMPLER",
    "from_default",
    "popped",
    "run_options",
    "runtime_options",
    "slot_options",
    "training_options",
    "with_schedule",
]

CLOCK = click.option(
    "--clock",
    type=click.Choice(["measured", "modelled"]),
    help="Seconds of this machine, or those of a speed profile (see 'profile').  [default: the study's; of a "
    "new one modelled where a profile of this network on this device is stored]",
)
DEVICE_PROFILE = click.option(
    "--device-profile",
    metavar="NAME",
    help="The speed profile that modelled seconds come from, one of another device, too.",
)
SAMPLER = click.option(
    "--sampler",
    type=click.Choice(["tpe", "random", "grid"]),
    help="How trials are proposed; tpe: the default, the same at two larger batch sizes, a few at random, "
    "then by what was found; grid: every combination of the choices, then again with the next seed.  "
    "[default: tpe]",
)
RUN_OPTIONS = ("device_batch", "memory_gib", "checkpoint_every")
RUNTIME_OPTIONS = (
    "trials",
    "slots",
    "cpus_per_worker",
    "gpus_per_worker",
    "attempts",
    "isolation",
    "address",
    "wait_for_nodes",
)

F = TypeVar("F", bound=Callable[..., Any])

NETWORK = (
    "A network: a name from 'list architectures', any classification network of torchvision (--scale full), "
    "or module:function of your own"
)
RESULTS = click.option(
    "--results",
    default="results",
    show_default=True,
    metavar="FOLDER",
    help="Where Parquet tables are kept; a path or a URI (s3://...).",
)
FORMAT = click.option(
    "--format",
    "form",
    type=click.Choice(["text", "markdown", "csv", "json"]),
    default="text",
    show_default=True,
)

_RUN = [
    click.option(
        "--device-batch",
        type=int,
        metavar="N",
        help="Examples per forward pass and device.  [default: found, and kept for the next run]",
    ),
    click.option(
        "--memory-per-worker",
        "memory_gib",
        type=float,
        metavar="GIB",
        help="What a worker on a CPU may take.  [default: its share of 90 %]",
    ),
    click.option(
        "--checkpoint-every",
        type=int,
        metavar="N",
        help="Intervals between two checkpoints; 0 for none.  [default: one every 30 seconds]",
    ),
]


def run_options(command: F) -> F:
    """Add the flags that say how a trial goes about on a device."""
    for option in reversed(_RUN):
        command = option(command)
    return command


def _added(options: Sequence[Callable[[F], F]], command: F) -> F:
    """Add options to a command, the first one first in its help."""
    for option in reversed(options):
        command = option(command)
    return command


def training_options(command: F) -> F:
    """Add the flags that search and train share."""
    options = [
        click.option(
            "--dataset",
            default="digits",
            show_default=True,
            metavar="NAME",
            help="See 'list datasets': digits, cifar10[:ROOT], parquet:PATH, folder:PATH, module:function...",
        ),
        click.option(
            "--image-size",
            type=int,
            metavar="PIXELS",
            help="Resize the shorter side to this and keep the middle square.  [default: images as they are]",
        ),
        click.option(
            "--download", is_flag=True, help="Fetch cifar10, cifar100 or fashion_mnist if it is not there."
        ),
        click.option(
            "--scale",
            type=click.Choice(["nano", "full"]),
            default="nano",
            show_default=True,
            help="Small relatives of the networks, or those of the papers; of no effect on module:function.",
        ),
        click.option("--subset", type=int, metavar="N", help="Training examples to use (a stratified draw)."),
        click.option("--epochs", type=float, help="Length of a run.  [default: 20]"),
        click.option(
            "--interval",
            metavar="SPAN",
            help="Between two decisions: epochs (0.5) or examples (2000ex).  [default: 1]",
        ),
        click.option(
            "--seed", type=int, help="Of the split, the weights and the order of the data.  [default: 0]"
        ),
        click.option(
            "--smallest",
            type=int,
            metavar="N",
            help="Least batch size.  [default: 16, at least 2 per worker]",
        ),
        click.option(
            "--largest",
            type=int,
            metavar="N",
            help="Greatest batch size.  [default: 2048, at most an eighth of the training examples]",
        ),
        click.option(
            "--precision",
            type=click.Choice(["float32", "tf32", "bfloat16", "float16"]),
            help="tf32 needs a GPU; bfloat16 and float16 are automatic mixed precision.  [default: float32]",
        ),
        click.option(
            "--compile/--no-compile",
            default=None,
            help="Let torch.compile make the kernels.  [default: no-compile]",
        ),
        click.option(
            "--per-example/--no-per-example",
            default=None,
            help="Estimate noise from each example's gradient (not with BatchNorm or dropout).  "
            "[default: no-per-example]",
        ),
        *_RUN,
        click.option(
            "--space",
            metavar="FILE",
            help="Search space of the scheduler: a YAML file or a name from 'list spaces'.",
        ),
        click.option(
            "--train-space",
            metavar="FILE",
            help="Search space of the training: a YAML file or a name from 'list spaces'.",
        ),
        click.option(
            "--set",
            "fixed",
            multiple=True,
            metavar="FIELD=VALUE",
            help="Fix a field: scheduler/window=15 or train/lr=0.1. Repeatable.",
        ),
        RESULTS,
    ]
    return _added(options, command)


def runtime_options(command: F) -> F:
    """Add the flags that say how a search runs."""
    options = [
        click.option(
            "--trials",
            type=int,
            default=20,
            show_default=True,
            help="Trials per study in all; those that are stored count.",
        ),
        click.option("--workers", type=int, help="Ray Train workers per trial.  [default: 1]"),
    ]
    command = slot_options(command)
    return _added(options, command)


def slot_options(command: F) -> F:
    """Add the flags that say what trials run on."""
    options = [
        click.option("--cpus-per-worker", type=int, default=1, show_default=True),
        click.option(
            "--gpus-per-worker",
            type=float,
            help="A fraction only with one worker.  [default: 1 if there is one]",
        ),
        click.option("--slots", type=int, metavar="N", help="Trials at a time.  [default: as many as fit]"),
        click.option(
            "--attempts",
            type=int,
            default=2,
            show_default=True,
            help="Times to try a trial whose worker died.",
        ),
        click.option(
            "--isolation",
            type=click.Choice(["pooled", "fresh"]),
            default="pooled",
            show_default=True,
            help="Keep a slot's workers for all its trials, or start new ones for each.",
        ),
        click.option(
            "--address", metavar="HOST:PORT", help="Join this Ray cluster instead of starting Ray here."
        ),
        click.option(
            "--wait-for-nodes",
            type=float,
            default=0,
            metavar="SECONDS",
            help="Wait so long for the cluster, and for nodes on which the trials fit.  "
            "[default: refuse at once]",
        ),
    ]
    return _added(options, command)


def from_default(context: click.Context, name: str) -> bool:
    """Tell whether the user left an option to its default."""
    return context.get_parameter_source(name) in (ParameterSource.DEFAULT, ParameterSource.DEFAULT_MAP)


def popped(options: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Take some options out of all of them."""
    return {name: options.pop(name) for name in names}


def with_schedule(options: dict[str, Any], context: click.Context, file: str) -> dict[str, Any]:
    """Return the options of a training with those of a schedule file where the user gave none."""
    from adasearch.errors import InputError
    from adasearch.schedule_file import load_schedule, training_flags

    given = {name for name in options if not from_default(context, name)}
    if "scheduler" in given:
        raise InputError("--schedule names a scheduler already, so --scheduler cannot be given beside it")
    flags = training_flags(load_schedule(file))
    if "dataset" in given:  # other data have other sizes
        flags |= {"image_size": None, "subset": None}
    flags["fixed"] += options["fixed"]  # the later one counts
    known = ("architecture", "scale", "dataset", "subset", "epochs")
    other = [f"{name} {options[name]}" for name in known if name in given and options[name] != flags[name]]
    if other:
        click.echo(f"{file} was found in another run than one with {', '.join(other)}", err=True)
    return options | {name: value for name, value in flags.items() if name not in given or name == "fixed"}
