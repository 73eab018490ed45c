import threading
from collections.abc import Callable
from itertools import pairwise

from adasearch.tuning.stop_signal import StopSignal


def signal() -> tuple[Callable[[], bool], threading.Event]:
    """A mailbox that is asked whether a task is over, and what ends the task."""
    over = threading.Event()
    return lambda: over.wait(0.05), over


def alone(wish: tuple[bool, int] | None) -> tuple[bool, int]:
    raise AssertionError("one worker has nobody to agree with")


def test_one_worker_leaves_at_its_next_step_once_the_task_is_over() -> None:
    wait, over = signal()
    halt = StopSignal(wait, alone, alone=True)
    assert not any(halt() for _ in range(1000))
    over.set()
    while not halt():  # a thread passes it on
        pass
    assert halt()


def test_workers_leave_at_the_same_step_whoever_hears_first() -> None:
    """Two ranks in lock-step, the lead's answers passed on as a broadcast does."""
    wait, over = signal()
    said: list[tuple[bool, int]] = []

    def lead_says(wish: tuple[bool, int] | None) -> tuple[bool, int]:
        assert wish is not None
        said.append(wish)
        return wish

    def follower_hears(wish: tuple[bool, int] | None) -> tuple[bool, int]:
        assert wish is None
        return said[-1]

    lead, follower = StopSignal(wait, lead_says, alone=False), StopSignal(None, follower_hears, alone=False)
    looks = 0
    for step in range(1_000_000):
        if step == 5000:
            over.set()
        before = len(said)
        halted = lead()
        looks += len(said) - before
        assert follower() == halted
        if halted:
            break
    assert halted
    assert looks < step / 10  # most steps cost nothing but a count


def test_a_slow_step_is_followed_by_a_look_at_once() -> None:
    """Steps of more than a second are all looked after; the pace grows no faster than twofold."""
    wait, over = signal()
    asked: list[int] = []

    def say(wish: tuple[bool, int] | None) -> tuple[bool, int]:
        assert wish is not None
        asked.append(wish[1])
        return wish

    halt = StopSignal(wait, say, alone=False)
    for _ in range(100):
        halt()
    assert all(later <= 2 * former for former, later in pairwise(asked))
    over.set()
