"""Records of quick intervals go together, and none that somebody waits for is held back."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from adasearch.records import IntervalRecord
from adasearch.tuning.post import GATHER_SECONDS, Post
from tests.rows import interval_at


def quiet(number: int) -> IntervalRecord:
    return replace(interval_at(number), val_error=None, checkpoint_seconds=None, decided=True)


class Box:
    """Takes messages, and refuses from one on."""

    def __init__(self, until: int = 10**6) -> None:
        self.messages: list[list[int]] = []
        self.until = until
        self.now = 0.0

    def put(self, records: Sequence[IntervalRecord]) -> bool:
        self.messages.append([record.signals.interval for record in records])
        return len(self.messages) < self.until

    def clock(self) -> float:
        return self.now


def posted(box: Box, after: float, *records: IntervalRecord) -> list[bool]:
    post = Post(box.put, box.clock)
    goes_on = []
    for record in records:
        box.now += after
        goes_on.append(post(record))
    post.send()
    return goes_on


def test_slow_intervals_go_one_by_one_and_quick_ones_together() -> None:
    slow, quick = Box(), Box()
    posted(slow, GATHER_SECONDS, *map(quiet, range(3)))
    posted(quick, GATHER_SECONDS / 4, *map(quiet, range(7)))
    assert slow.messages == [[0], [1], [2]]
    assert quick.messages == [[0], [1, 2, 3, 4], [5, 6]]


def test_what_decides_about_a_trial_goes_at_once_with_all_before_it() -> None:
    changes: list[Callable[[IntervalRecord], IntervalRecord]] = [
        lambda record: replace(record, val_error=0.5),
        lambda record: replace(record, checkpoint_seconds=0.1),
        lambda record: replace(record, decided=False),
    ]
    for change in changes:
        box = Box()
        posted(box, 0.0, quiet(0), quiet(1), change(quiet(2)), quiet(3))
        assert box.messages == [[0], [1, 2], [3]]


def test_a_refusal_is_heard_with_the_message_that_got_it() -> None:
    assert posted(Box(until=2), GATHER_SECONDS / 2, *map(quiet, range(4))) == [True, True, False, True]


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans())))
def test_every_record_goes_once_in_order(course: Sequence[tuple[float, bool]]) -> None:
    box = Box()
    post = Post(box.put, box.clock)
    for number, (after, told) in enumerate(course):
        box.now += after
        post(replace(quiet(number), val_error=0.5) if told else quiet(number))
    post.send()
    assert [number for message in box.messages for number in message] == [*range(len(course))]
    assert all(box.messages)
