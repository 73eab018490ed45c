"""The command line over :mod:`adasearch.commands`. Exit codes: 0, 1 failure, 2 wrong usage, 130 Ctrl-C."""

import os
import shlex
import sys
import threading
from collections import Counter
from contextlib import suppress
from functools import partial

import click

from adasearch._version import __version__
from adasearch.cli.advise import advise
from adasearch.cli.compact import compact
from adasearch.cli.compare import compare
from adasearch.cli.confirm import confirm
from adasearch.cli.dashboard import dashboard
from adasearch.cli.doctor import doctor
from adasearch.cli.export import export
from adasearch.cli.list import list_
from adasearch.cli.predict import predict
from adasearch.cli.profile import profile
from adasearch.cli.replay import replay
from adasearch.cli.report import report
from adasearch.cli.rerun import rerun
from adasearch.cli.search import search
from adasearch.cli.train import train
from adasearch.cli.watch import watch
from adasearch.errors import INTERRUPTED, AdasearchError, InputError, Interrupted, StoreError, one_line
from adasearch.io.damage import each_once
from adasearch.io.text import cut, printable, redacted

__all__ = ["main"]

OUT_OF_MEMORY = ("allocate memory", "failed to map segment")
"""How torch, and the system's loader of libraries, tell that there is no memory left."""


class _Commands(click.Group):
    """Refuses several values of an option that other commands take several times and this one once.

    Of other options the last counts, as everywhere: a script may add to what it always gives.
    """

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        if command is not None:
            given: list[click.Parameter] = []
            with suppress(click.UsageError):  # which is told when the command is called
                parser = command.make_parser(click.Context(command, parent=ctx, info_name=name))
                _, _, given = parser.parse_args(list(rest))
            for option, times in Counter(given).items():
                one = isinstance(option, click.Option) and not option.multiple
                if one and times > 1 and set(option.opts) & self._repeatable():
                    raise click.UsageError(
                        f"{option.opts[0]} takes one value but was given {times} times", ctx
                    )
        return name, command, rest

    def _repeatable(self) -> set[str]:
        every = [option for command in self.commands.values() for option in command.params]
        return {
            name for each in every if isinstance(each, click.Option) and each.multiple for name in each.opts
        }


@click.group(
    cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.version_option(__version__, prog_name="adasearch")
def cli() -> None:
    """Find the adaptive batch-size schedule that suits your network.

    \b
    Example:
      adasearch search --architecture resnet18 --scheduler deba --dataset digits --trials 10
      adasearch compare
    """


# In the order of the documentation's page.
for command in (
    *(
        advise,
        search,
        train,
        replay,
        list_,
        compare,
        compact,
        confirm,
        dashboard,
        doctor,
        export,
        predict,
        profile,
    ),
    *(report, rerun, watch),
):
    cli.add_command(command)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    former, threading.excepthook = threading.excepthook, partial(_ended_by_a_thread, arguments)
    try:
        _run(arguments)
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
    except (MemoryError, RuntimeError, ImportError) as error:
        if not (isinstance(error, MemoryError) or any(words in str(error) for words in OUT_OF_MEMORY)):
            raise
        _fail(f"there is not enough memory for this: {one_line(error)}", 1)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader left, as `| head` does
        sys.exit(1)
    finally:
        threading.excepthook = former


def _run(arguments: list[str]) -> None:
    with each_once():
        cli.main(arguments or ["--help"], prog_name="adasearch", standalone_mode=False)
    if not arguments:  # a script that forgot the command shall not go on
        raise click.exceptions.Exit(2)


def _to_go_on(arguments: list[str]) -> str:
    """Return of a command that goes on that what is finished is kept, and how it does; nothing of others."""
    if arguments[:1] not in (["search"], ["confirm"], ["train"], ["profile"], ["rerun"], ["advise"]):
        return ""
    return f"; what is finished is kept. To go on: {shlex.join(['adasearch', *arguments])}"


def _ended_by_a_thread(arguments: list[str], raised: threading.ExceptHookArgs) -> None:
    """End the process with a thread's error if it is one of ours: the main thread cannot get away."""
    if not isinstance(raised.exc_value, StoreError):
        threading.__excepthook__(raised)
        return
    try:
        _fail(f"{raised.exc_value}{_to_go_on(arguments)}", 1)
    finally:
        sys.stderr.flush()
        os._exit(1)


def _fail(message: str, code: int) -> None:
    click.echo(printable(cut(f"adasearch: {redacted(' '.join(message.split()))}")), err=True)
    sys.exit(code)
