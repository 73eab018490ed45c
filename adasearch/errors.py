"""The errors and warnings that a person can act on; everything else is a bug and keeps its traceback."""

import difflib
import sysconfig
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path

__all__ = [
    "INTERRUPTED",
    "TRACEBACK",
    "AdasearchError",
    "InputError",
    "Interrupted",
    "LoopWarning",
    "StoreError",
    "ended_by",
    "few",
    "one_line",
    "parts_of",
    "place_in_user_code",
    "require",
    "shortened",
    "text_of",
    "traceback_in_user_code",
    "unknown",
]

MAX_VALUE = 120  # characters of a value in a message

INTERRUPTED = 130
"""The exit code after Ctrl-C or SIGTERM."""

TRACEBACK = "; traceback: "
"""What a failed trial's error says between what ended it and where its traceback lies within the results."""

MOST_KNOWN = 30  # names that an error lists


class LoopWarning(UserWarning):
    """What a loop of one's own does beside its controller, or what cannot be meant.

    A search tells it of a trial.
    """


class AdasearchError(Exception):
    """Work that was asked for properly and failed; the message is one line (exit code 1)."""


class InputError(AdasearchError, ValueError):
    """Input that breaks a rule; the message names the value and the rule in one line (exit code 2)."""


class StoreError(AdasearchError):
    """Results that cannot be read or written now; what is finished is kept (exit code 1)."""


class Interrupted(Exception):  # noqa: N818 - no error: somebody wanted it
    """Work that was ended by a signal in good order; what is finished is kept (exit code 130)."""


def few(names: Sequence[object], most: int = 8) -> str:
    """Return names in a row, with how many are left out behind the first few.

    >>> few("abc"), few(range(5), most=2)
    ('a, b, c', '0, 1 and 3 more')
    """
    shown = ", ".join(str(name) for name in names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def unknown(kind: str, name: str, known: Iterable[str]) -> InputError:
    """Return the error for a name that does not exist, with the nearest one that does.

    >>> str(unknown("scheduler", "debba", ["adabatch", "deba"]))
    "unknown scheduler 'debba'; did you mean 'deba'? known: adabatch, deba"
    """
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return InputError(
        f"unknown {kind} {shortened(repr(name))}; {hint}known: {few(known, MOST_KNOWN) or 'none'}"
    )


def one_line(error: BaseException) -> str:
    """Return what somebody else's error says as one line with its type.

    >>> one_line(ValueError("first\\nsecond"))
    'ValueError: first second'
    """
    return text_of(f"{type(error).__name__}: {error}").removesuffix(":")


def text_of(error: object) -> str:
    """Return what somebody else's error says as one line, without its type.

    >>> text_of(ValueError("first\\n  second"))
    'first second'
    """
    return " ".join(str(error).split())


def place_in_user_code(error: BaseException) -> str | None:
    """Return the last place of an error's traceback that is neither ours nor a library's; None if none is.

    It reads "nets.py, line 12, in forward".
    """
    frames = _frames_of_user_code(error)
    return (
        f"{Path(frames[-1].filename).name}, line {frames[-1].lineno}, in {frames[-1].name}"
        if frames
        else None
    )


def traceback_in_user_code(error: BaseException) -> str:
    """Return the part of an error's traceback that is neither ours nor a library's; empty if none is."""
    return "".join(traceback.format_list(_frames_of_user_code(error))).rstrip()


def _frames_of_user_code(error: BaseException) -> list[traceback.FrameSummary]:
    installed = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    ours = {*installed, str(Path(__file__).parent)}
    frames = []
    for frame in traceback.extract_tb(error.__traceback__):
        file = Path(frame.filename)
        libraries = {"site-packages", "dist-packages"} & set(file.parts)
        if file.suffix == ".py" and not libraries and not ours & set(map(str, file.parents)):
            frames.append(frame)
    return frames


def parts_of(error: str | None) -> tuple[str, str | None]:
    """Return what ended a failed trial, without what is its own, and where its traceback lies, if anywhere.

    >>> parts_of("ValueError: no (nets.py, line 3, in forward); traceback: train/errors/a.txt")
    ('ValueError: no (nets.py, line 3, in forward)', 'train/errors/a.txt')
    """
    what, _, where = (error or "no error was stored").partition(TRACEBACK)
    return what, where or None


def ended_by(error: str | None, results: str) -> str:
    """Return a failed trial's error with the place of its traceback from the results folder on.

    >>> ended_by("ValueError: no; traceback: train/errors/a.txt", "runs/")
    'ValueError: no; traceback: runs/train/errors/a.txt'
    """
    what, where = parts_of(error)
    return what if where is None else f"{what}{TRACEBACK}{results.rstrip('/')}/{where}"


def require(holds: bool, rule: str, /, **named: object) -> None:
    """Refuse a value that breaks a rule.

    Raises:
        InputError: with the rule and the values.

    >>> require(0.5 > 1, "growth must be greater than 1", growth=0.5)
    Traceback (most recent call last):
    ...
    adasearch.errors.InputError: growth must be greater than 1 but got growth=0.5
    """
    if not holds:
        got = ", ".join(f"{name}={shortened(repr(value))}" for name, value in named.items())
        raise InputError(f"{rule} but got {got}")


def shortened(text: str) -> str:
    """Return a text that a line of a message has room for: of a long one both ends.

    >>> shortened("short"), len(shortened("x" * 1000))
    ('short', 120)
    """
    keep = MAX_VALUE // 2 - 2
    return text if len(text) <= MAX_VALUE else f"{text[:keep]} .. {text[-keep:]}"
