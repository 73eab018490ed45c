"""What an object store fails to answer is asked again, less and less often, for a minute."""

import re
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from tenacity import RetryCallState

__all__ = ["RETRY_SECONDS", "again", "said"]

T = TypeVar("T")

RETRY_SECONDS = 60.0  # for which an object store is asked again
LONGEST_WAIT_SECONDS = 8.0  # between two tries
FINAL = re.compile(
    "ACCESS_DENIED|NO_SUCH_BUCKET|INVALID_ACCESS_KEY_ID|SIGNATURE_DOES_NOT_MATCH|EXPIRED_TOKEN"
)


def again(work: Callable[[], T]) -> T:
    """Do something that may be done twice, again and again while it fails in passing.

    Raises:
        OSError: the last of its failures.
    """
    # No local disk needs it.
    from tenacity import Retrying, retry_if_exception, stop_before_delay, wait_random_exponential

    retrying = Retrying(
        retry=retry_if_exception(_may_pass),
        stop=stop_before_delay(RETRY_SECONDS),
        wait=wait_random_exponential(multiplier=0.5, max=LONGEST_WAIT_SECONDS),
        before_sleep=_say_once,
        reraise=True,
    )
    return retrying(work)


def said(error: OSError, *, asked_again: bool) -> str:
    """Return what an error says, in one line, and for how long was tried where it might have passed."""
    tried = f" (tried for {RETRY_SECONDS:g} s)" if asked_again and _may_pass(error) else ""
    return f"{_reason(error)}{tried}"


def _may_pass(error: BaseException) -> bool:
    """Tell whether an error may pass: neither a file that is not there nor access that is refused."""
    final = FileNotFoundError | IsADirectoryError | NotADirectoryError | PermissionError
    return isinstance(error, OSError) and not isinstance(error, final) and not FINAL.search(str(error))


def _reason(error: BaseException | None) -> str:
    text = error.strerror if isinstance(error, OSError) and error.errno is not None else None
    return " ".join((text or str(error)).split())


def _say_once(state: "RetryCallState") -> None:
    if state.attempt_number == 1 and state.outcome is not None:
        what = f"the object store fails ({_reason(state.outcome.exception())})"
        print(f"adasearch: {what}; trying again for {RETRY_SECONDS:g} s", file=sys.stderr)  # noqa: T201
