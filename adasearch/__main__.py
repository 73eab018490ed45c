"""The command line as a process: ``adasearch`` and ``python -m adasearch``."""

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType

__all__ = ["run"]


def run() -> None:
    """Run the command line, to which SIGTERM is what Ctrl-C is, and exit with its code.

    What an interrupt left at work in Ray's own threads can crash the last steps of the interpreter, and a
    signal's number would then stand for our exit code: interrupted, it leaves after Python's own exit hooks.
    """
    import atexit
    import signal
    from contextlib import suppress

    from adasearch.errors import INTERRUPTED

    code: object = None

    def leave() -> None:
        if code == INTERRUPTED:
            for stream in (sys.stdout, sys.stderr):
                with suppress(OSError, ValueError):
                    stream.flush()
            os._exit(INTERRUPTED)

    atexit.register(leave)  # before all others, so that it is called after them
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        from adasearch.cli.main import main

        main()
    except SystemExit as stop:
        code = stop.code
    except KeyboardInterrupt:  # before the command line was there, or a second one while it told of the first
        code = INTERRUPTED
    if code == INTERRUPTED:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
    sys.exit(code)  # type: ignore[arg-type]


def _interrupt(_number: int, _frame: "FrameType | None") -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    # `python -m` puts the current folder first, where a file would take the place of a library. Nothing was
    # imported from there yet: Python has its own os and sys before it begins.
    if sys.path[:1] == [os.getcwd()]:
        del sys.path[0]
    run()
