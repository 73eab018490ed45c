import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from adasearch.data.spec import DataSpec
from adasearch.records import Limits
from adasearch.training.config import Hyperparameters, TrainConfig
from adasearch.training.task import Outcome, TrialTask
from adasearch.tuning.mailbox import Delivery, Mailbox, Message
from tests.rows import interval_at

NOW, SOON = 0.01, 5.0  # seconds: not worth waiting for, and never reached by a test that passes
DONE = Outcome(status="complete")


def task(name: str) -> TrialTask:
    config = TrainConfig(
        architecture="resnet18",
        scale="nano",
        seed=0,
        hyperparameters=Hyperparameters(),
        budget=100,
        interval=10,
        evaluate_every=10,
    )
    limits = Limits(smallest=16, largest=64)
    return TrialTask(
        trial_id=name,
        config=config,
        scheduler="constant",
        scheduler_fields={},
        limits=limits,
        data=DataSpec(source="digits"),
        checkpoints="/nowhere",
    )


A, B = task("a"), task("b")
FIRST, SECOND, THIRD = (interval_at(n) for n in range(3))


def scenario(play: Callable[[Mailbox], Awaitable[None]]) -> Callable[[], None]:
    """Make a test from a coroutine that gets a mailbox of two attempts."""

    def test() -> None:
        async def stage() -> None:
            await play(Mailbox(attempts=2))

        asyncio.run(stage())

    test.__name__ = play.__name__
    test.__module__ = play.__module__
    return test


def run_of(message: Message) -> tuple[int, TrialTask]:
    assert message[0] == "run"
    return message[1], message[2]


@scenario
async def test_task_is_handed_out_and_its_records_and_outcome_come_back(box: Mailbox) -> None:
    await box.submit(A)
    sequence, given = run_of(await box.next_task(SOON))
    assert given == A
    assert await box.put(sequence, [FIRST])
    assert await box.put(sequence, [SECOND])
    assert await box.take(SOON) == Delivery(records=(FIRST, SECOND), outcome=None)
    assert await box.put(sequence, [THIRD])
    await box.end(sequence, DONE)
    assert await box.take(SOON) == Delivery(records=(THIRD,), outcome=DONE)
    assert await box.take(NOW) == Delivery(records=(), outcome=DONE)
    assert await box.next_task(NOW) == ("idle",)


@scenario
async def test_without_a_task_workers_idle_and_without_records_the_trial_waits(box: Mailbox) -> None:
    began = time.monotonic()
    assert await box.next_task(0.05) == ("idle",)
    assert await box.take(0.05) == Delivery(records=(), outcome=None)
    assert 0.09 < time.monotonic() - began < SOON


@scenario
async def test_waiting_ends_as_soon_as_something_comes(box: Mailbox) -> None:
    waiting = asyncio.create_task(box.next_task(SOON))
    await asyncio.sleep(NOW)
    await box.submit(A)
    sequence, _ = run_of(await waiting)
    taking = asyncio.create_task(box.take(SOON))
    await asyncio.sleep(NOW)
    await box.put(sequence, [FIRST])
    assert (await taking).records == (FIRST,)
    taking = asyncio.create_task(box.take(SOON))
    await asyncio.sleep(NOW)
    await box.end(sequence, DONE)
    assert (await taking).outcome == DONE


@scenario
async def test_a_restarted_worker_gets_the_task_again_and_attempts_are_counted(box: Mailbox) -> None:
    await box.submit(A)
    assert await box.attempts_made() == 0
    for attempt in (1, 2):
        assert run_of(await box.next_task(SOON))[1] == A
        assert await box.attempts_made() == attempt


@scenario
async def test_a_restarted_worker_is_told_how_many_records_came_in_and_may_repeat_some(box: Mailbox) -> None:
    await box.submit(A)
    sequence, given = run_of(await box.next_task(SOON))
    assert given.stored == 0
    await box.put(sequence, [FIRST])
    assert (await box.take(SOON)).records == (FIRST,)
    await box.put(sequence, [SECOND])
    sequence, given = run_of(await box.next_task(SOON))
    assert given == replace(A, stored=2)
    for record in (SECOND, THIRD):  # its checkpoint was one interval behind
        assert await box.put(sequence, [record])
    assert (await box.take(SOON)).records == (SECOND, SECOND, THIRD)


@scenario
async def test_a_trial_that_goes_on_begins_after_its_stored_records(box: Mailbox) -> None:
    await box.submit(replace(A, stored=2))
    sequence, given = run_of(await box.next_task(SOON))
    assert given.stored == 2
    await box.put(sequence, [THIRD])
    assert (await box.take(SOON)).records == (THIRD,)


@scenario
async def test_running_out_of_memory_makes_passes_smaller_and_is_no_attempt(box: Mailbox) -> None:
    await box.submit(A)
    for size in (64, 32, 16):
        sequence, _ = run_of(await box.next_task(SOON))
        await box.shrink(sequence, size)
        await box.shrink(sequence, size)  # the other worker ran out of memory, too
        assert await box.attempts_made() == 0
    _, given = run_of(await box.next_task(SOON))
    assert given.config.device_batch == 16
    assert await box.attempts_made() == 1
    await box.submit(B)
    await box.shrink(sequence, 8)  # of a trial that is over
    assert run_of(await box.next_task(SOON))[1] == B


@scenario
async def test_a_task_fails_with_the_noted_error_when_its_attempts_are_used(box: Mailbox) -> None:
    await box.submit(A)
    sequence, _ = run_of(await box.next_task(SOON))
    first = Outcome(status="failed", error="out of memory", cause="raised", traceback="Traceback ...")
    await box.note_failure(sequence, first)
    await box.note_failure(sequence, Outcome(status="failed", error="a rank that waited for the first"))
    await box.next_task(SOON)
    assert (await box.take(NOW)).outcome is None
    assert await box.next_task(NOW) == ("idle",)
    assert (await box.take(SOON)).outcome == first


@scenario
async def test_an_interval_ahead_of_the_next_is_a_bug_and_said(box: Mailbox) -> None:
    await box.submit(A)
    sequence, _ = run_of(await box.next_task(SOON))
    with pytest.raises(AssertionError, match="interval 1 came, but 0 is the next"):
        await box.put(sequence, [SECOND])


@scenario
async def test_notes_are_delivered_once(box: Mailbox) -> None:
    await box.submit(A)
    sequence, _ = run_of(await box.next_task(SOON))
    await box.note(sequence, "a checkpoint is passed over")
    assert (await box.take(NOW)).notes == ("a checkpoint is passed over",)
    assert (await box.take(NOW)).notes == ()


@scenario
async def test_a_task_whose_workers_died_in_silence_says_so(box: Mailbox) -> None:
    await box.submit(A)
    for _ in range(3):
        await box.next_task(NOW)
    outcome = (await box.take(SOON)).outcome
    assert outcome == Outcome(status="failed", error="its worker died in each of 2 attempts", cause="lost")


@scenario
async def test_the_next_task_starts_with_all_its_attempts_and_no_old_error(box: Mailbox) -> None:
    await box.submit(A)
    sequence, _ = run_of(await box.next_task(SOON))
    await box.note_failure(sequence, Outcome(status="failed", error="old"))
    await box.put(sequence, [FIRST])
    await box.submit(B)
    assert await box.take(NOW) == Delivery(records=(), outcome=None)
    for _ in range(2):
        assert run_of(await box.next_task(SOON))[1] == B
    await box.next_task(NOW)
    assert "old" not in str((await box.take(SOON)).outcome)


@scenario
async def test_workers_of_a_former_task_are_told_to_leave_it_and_cannot_touch_the_next(box: Mailbox) -> None:
    await box.submit(A)
    old, _ = run_of(await box.next_task(SOON))
    assert await box.put(old, [FIRST])
    await box.submit(B)
    assert not await box.put(old, [SECOND])
    await box.end(old, DONE)
    await box.note_failure(old, Outcome(status="failed", error="stale"))
    await box.note(old, "stale")
    assert await box.take(NOW) == Delivery(records=(), outcome=None)
    new, given = run_of(await box.next_task(SOON))
    assert given == B
    assert new != old
    assert await box.put(new, [FIRST])


@scenario
async def test_a_task_that_ends_before_its_budget_is_complete_with_its_last_interval(box: Mailbox) -> None:
    await box.submit(replace(A, stored=1, until=3))
    sequence, _ = run_of(await box.next_task(NOW))
    assert await box.put(sequence, [SECOND])
    assert not await box.put(sequence, [THIRD])
    delivery = await box.take(NOW)
    assert (delivery.records, delivery.outcome) == ((SECOND, THIRD), DONE)
    assert await box.next_task(NOW) == ("idle",)  # it is not handed out again, whatever becomes of its worker


@scenario
async def test_records_that_come_together_count_as_far_as_the_task_goes(box: Mailbox) -> None:
    await box.submit(replace(A, until=2))
    sequence, _ = run_of(await box.next_task(NOW))
    assert not await box.put(sequence, [FIRST, SECOND, THIRD])
    assert await box.take(NOW) == Delivery(records=(FIRST, SECOND), outcome=DONE)


@scenario
async def test_records_after_the_outcome_are_refused(box: Mailbox) -> None:
    await box.submit(A)
    sequence, _ = run_of(await box.next_task(SOON))
    await box.end(sequence, DONE)
    assert not await box.put(sequence, [FIRST])
    await box.end(sequence, Outcome(status="failed", error="late"))
    assert await box.take(SOON) == Delivery(records=(), outcome=DONE)


@scenario
async def test_close_sends_the_workers_home(box: Mailbox) -> None:
    await box.submit(A)
    sequence, _ = run_of(await box.next_task(SOON))
    await box.close()
    assert not await box.put(sequence, [FIRST])
    assert await box.next_task(SOON) == ("close",)


@scenario
async def test_close_wakes_workers_that_wait(box: Mailbox) -> None:
    waiting = asyncio.create_task(box.next_task(SOON))
    await asyncio.sleep(NOW)
    await box.close()
    assert await waiting == ("close",)


@pytest.mark.parametrize("attempts", [1, 3])
def test_attempts_are_as_many_as_were_asked_for(attempts: int) -> None:
    async def stage() -> None:
        box = Mailbox(attempts)
        await box.submit(A)
        messages = [await box.next_task(NOW) for _ in range(attempts + 2)]
        assert [message[0] for message in messages] == ["run"] * attempts + ["idle"] * 2

    asyncio.run(stage())


@scenario
async def test_workers_hear_that_a_task_is_over_when_another_is_submitted(box: Mailbox) -> None:
    await box.submit(A)
    sequence, _ = run_of(await box.next_task(SOON))
    assert not await box.over(sequence, NOW)
    waiting = asyncio.create_task(box.over(sequence, SOON))
    await asyncio.sleep(0)
    await box.submit(B)
    assert await waiting


@scenario
async def test_workers_hear_that_a_task_is_over_when_the_search_ends(box: Mailbox) -> None:
    await box.submit(A)
    sequence, _ = run_of(await box.next_task(SOON))
    await box.close()
    assert await box.over(sequence, NOW)


@scenario
async def test_a_delivery_names_the_group_and_the_hardware_of_the_last_workers(box: Mailbox) -> None:
    await box.submit(A)
    assert (await box.take(NOW)).group is None
    await box.join("first", "a small CPU")
    await box.join("second", "a large CPU")
    delivery = await box.take(NOW)
    assert (delivery.group, delivery.hardware) == ("second", "a large CPU")
