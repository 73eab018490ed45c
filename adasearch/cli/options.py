"""Single options that several commands share, and what they are opened with."""

import shutil
import sys
from typing import TYPE_CHECKING, get_args

import click

from adasearch.choices import Clock, Format, TrackerName

if TYPE_CHECKING:
    from rich.console import Console

    from adasearch.store.store import Store

__all__ = [
    "ARCHITECTURES",
    "CLOCK",
    "DEVICE_PROFILE",
    "FOLDER",
    "FORMAT",
    "IMAGES",
    "LOG",
    "NETWORK",
    "RESULTS",
    "STUDIES",
    "WIDE",
    "console_of",
    "existing",
    "width_of",
]

CLOCK = click.option(
    "--clock",
    type=click.Choice(get_args(Clock)),
    help="Seconds of this machine, or those of a speed profile (see 'profile').  [default: the study's; of a "
    "new one modelled where a profile of this network on this device is stored]",
)
DEVICE_PROFILE = click.option(
    "--device-profile",
    metavar="NAME",
    help="The speed profile that modelled seconds come from, one of another device, too.",
)
STUDIES = click.option(
    "--study",
    "studies",
    multiple=True,
    metavar="NAME",
    help="Only these studies; repeatable.  [default: all]",
)

NETWORK = (
    "A network: a name from 'list architectures', any classification network of torchvision (--scale full), "
    "a language model (gpt), or module:function of your own"
)
ARCHITECTURES = click.option(
    "--architecture", "architectures", multiple=True, metavar="NAME", help=f"{NETWORK}; repeatable."
)
RESULTS = click.option(
    "--results",
    default="results",
    show_default=True,
    metavar="FOLDER",
    help="Where Parquet tables are kept; a path or a URI (s3://...).",
)
FOLDER = click.argument("results", metavar="RESULTS")
FORMAT = click.option(
    "--format",
    "form",
    type=click.Choice(get_args(Format)),
    default="text",
    show_default=True,
)
IMAGES = click.option(
    "--images",
    metavar="PATH",
    help="Where the images lie now, if they have moved; they must be the same.  [default: where they lay]",
)
LOG = click.option(
    "--log",
    multiple=True,
    type=click.Choice(get_args(TrackerName)),
    help="Show runs in this tracker, too, while they go on: files in <results>/logs/, without account or "
    "network (pip install 'adasearch[NAME]'); repeatable.",
)
WIDE = click.option(
    "--wide", is_flag=True, help="Print tables with a line per row, even if the terminal is narrower."
)


def width_of(wide: bool) -> int | None:
    """Return the room for tables: the terminal's, if there is one, unless the user wants them wide."""
    return None if wide or not sys.stdout.isatty() else shutil.get_terminal_size().columns


def existing(results: str) -> "Store":
    """Return the results folder that a command reads.

    Raises:
        InputError: it is not there.
    """
    from adasearch.store.store import Store

    return Store(results, must_exist=True)


def console_of(*, stderr: bool = False) -> "Console":
    """Return the terminal, or what stands in its place."""
    from rich.console import Console

    return Console(soft_wrap=True, stderr=stderr)
