import dataclasses
from dataclasses import replace
from datetime import timedelta

import pytest

from adasearch.records import Action, IntervalRecord, Limits, Signals, TrialRecord
from adasearch.store.trials import close_trial
from tests.rows import START, STUDY, interval_at, trial_of

END = START + timedelta(minutes=5)
PARAMS = {"train/lr": 0.1, "scheduler/window": 15, "trainer/lr": 0.3}
TRIAL = trial_of(STUDY, 3, status="running", params=PARAMS)


def interval(
    index: int,
    *,
    batch_size: int = 32,
    action: Action = "hold",
    val_error: float | None = None,
    modelled_seconds: float | None = None,
) -> IntervalRecord:
    """The index-th interval: 10 steps more, powers of ten as seconds, so that no two sums can be mistaken."""
    record = interval_at(
        index,
        seen=500 * (index + 1),
        val_error=val_error,
        seconds=1000.0,
        action=action,
        batch_size=batch_size,
    )
    return replace(
        record,
        signals=replace(record.signals, epoch=0.5 * (index + 1), step=10 * (index + 1)),
        measure_seconds=100.0,
        resize_seconds=10.0,
        eval_seconds=1.0,
        modelled_seconds=modelled_seconds,
    )


@pytest.mark.parametrize(
    ("smallest", "largest", "multiple_of", "message"),
    [
        (0, 32, 1, "smallest must be at least 1 but got smallest=0"),
        (-16, 32, 1, "smallest must be at least 1 but got smallest=-16"),
        (64, 63, 1, "largest must be at least smallest but got smallest=64, largest=63"),
        (16, 32, 0, "multiple_of must be at least 1 but got multiple_of=0"),
        (16, 32, -8, "multiple_of must be at least 1 but got multiple_of=-8"),
        (12, 32, 8, "must be multiples of multiple_of=8 but got smallest=12, largest=32"),
        (16, 36, 8, "must be multiples of multiple_of=8 but got smallest=16, largest=36"),
    ],
)
def test_limits_refuse_what_contradicts_itself(
    smallest: int, largest: int, multiple_of: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Limits(smallest=smallest, largest=largest, multiple_of=multiple_of)


@pytest.mark.parametrize(
    ("examples", "workers", "given", "smallest", "largest"),
    [
        (128, 1, {}, 16, 16),
        (1437, 1, {}, 16, 179),
        (50_000, 8, {}, 16, 2048),
        (50_000, 9, {}, 18, 2048),  # two a worker
        (50_000, 1, {"smallest": 3, "largest": 9000}, 3, 9000),
        (100, 1, {"smallest": 4}, 4, 12),
        (100, 1, {"largest": 64}, 16, 64),
        (5, 1, {"smallest": 1}, 1, 1),
    ],
)
def test_default_limits_follow_examples_and_workers(
    examples: int, workers: int, given: dict[str, int], smallest: int, largest: int
) -> None:
    found = Limits.default(examples, workers, **given)
    assert found == Limits(smallest=smallest, largest=largest)


def test_too_few_examples_for_the_default_limits_are_refused() -> None:
    with pytest.raises(ValueError, match="largest must be at least smallest but got smallest=16, largest=15"):
        Limits.default(127, 1)


@pytest.mark.parametrize(
    ("limits", "admitted", "refused"),
    [
        (Limits(smallest=1, largest=1), [1], [0, 2]),
        (Limits(smallest=16, largest=18), [16, 17, 18], [15, 19]),
        (Limits(smallest=16, largest=32, multiple_of=8), [16, 24, 32], [8, 17, 23, 40]),
    ],
)
def test_limits_admit_multiples_from_smallest_to_largest(
    limits: Limits, admitted: list[int], refused: list[int]
) -> None:
    assert all(limits.admit(size) for size in admitted)
    assert not any(limits.admit(size) for size in refused)


@pytest.mark.parametrize("record", [Limits(smallest=16, largest=32), interval(0).signals, interval(0), TRIAL])
def test_records_are_frozen_and_slotted(record: Limits | Signals | IntervalRecord | TrialRecord) -> None:
    name = dataclasses.fields(record)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(record, name, 1)
    with pytest.raises(AttributeError):
        object.__setattr__(record, "no_such_field", 1)


def test_study_record_gives_its_limits() -> None:
    study = replace(STUDY, smallest=16, largest=96, multiple_of=8)
    assert study.limits == Limits(smallest=16, largest=96, multiple_of=8)


@pytest.mark.parametrize(
    ("dataset", "image_size", "source"),
    [
        ("folder:/data/pets@64", 64, "folder:/data/pets"),
        ("parquet:/data/imagenet@2012", None, "parquet:/data/imagenet@2012"),
        ("parquet:/data/imagenet@2012@64", 64, "parquet:/data/imagenet@2012"),
        ("digits", None, "digits"),
    ],
)
def test_study_knows_its_source_and_its_image_size_apart(
    dataset: str, image_size: int | None, source: str
) -> None:
    assert replace(STUDY, dataset=dataset, image_size=image_size).source == source


def test_close_trial_sums_over_its_intervals() -> None:
    closed = close_trial(
        TRIAL,
        [
            interval(0, action="grow", modelled_seconds=5.0),
            interval(1, batch_size=48, action="shrink", modelled_seconds=6.0),
            interval(2, batch_size=38, modelled_seconds=7.0),
        ],
        status="complete",
        ended_at=END,
        peak_memory_bytes=123,
    )
    assert closed.train_seconds == 3000.0
    assert closed.measure_seconds == 300.0
    assert closed.resize_seconds == 30.0
    assert closed.eval_seconds == 3.0
    assert closed.modelled_seconds == 18.0
    assert closed.adaptations == 2
    assert closed.peak_memory_bytes == 123


def test_close_trial_takes_progress_from_the_last_interval() -> None:
    closed = close_trial(TRIAL, [interval(0), interval(1, batch_size=48)], status="complete", ended_at=END)
    assert (closed.examples_seen, closed.epochs, closed.steps) == (1000, 1.0, 20)
    assert closed.final_batch_size == 48
    assert closed.mean_batch_size == 50.0  # 1000 examples in 20 steps


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ([0.3, 0.1, 0.2], 0.2),  # the last one, not the least
        ([0.3, 0.1, None], 0.1),  # the last one there is
        ([None, None], None),
        ([None, 0.0], 0.0),  # a perfect evaluation is one
    ],
)
def test_close_trial_keeps_the_last_evaluation(errors: list[float | None], expected: float | None) -> None:
    intervals = [interval(index, val_error=error) for index, error in enumerate(errors)]
    assert close_trial(TRIAL, intervals, status="complete", ended_at=END).val_error == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [([1.0, 2.0], 3.0), ([1.0, None], None), ([None, None], None), ([0.0, 0.0], 0.0)],
)
def test_close_trial_models_the_whole_or_nothing(seconds: list[float | None], expected: float | None) -> None:
    intervals = [interval(index, modelled_seconds=value) for index, value in enumerate(seconds)]
    assert close_trial(TRIAL, intervals, status="complete", ended_at=END).modelled_seconds == expected


def test_close_trial_without_intervals_keeps_its_sums_unknown() -> None:
    closed = close_trial(TRIAL, [], status="failed", ended_at=END, error="out of memory", peak_memory_bytes=9)
    assert closed == replace(TRIAL, status="failed", ended_at=END, error="out of memory", peak_memory_bytes=9)
    assert closed.train_seconds is None
    assert closed.mean_batch_size is None


def test_close_trial_leaves_the_running_trial_alone() -> None:
    closed = close_trial(TRIAL, [interval(0, val_error=0.5)], status="pruned", ended_at=END)
    assert (TRIAL.status, TRIAL.val_error, TRIAL.ended_at) == ("running", None, None)
    assert (closed.status, closed.val_error, closed.ended_at) == ("pruned", 0.5, END)
    assert (closed.trial_id, closed.params, closed.started_at) == (TRIAL.trial_id, TRIAL.params, START)


def test_trial_gives_the_fields_under_a_prefix() -> None:
    assert TRIAL.fields_of("train") == {"lr": 0.1}
    assert TRIAL.fields_of("scheduler") == {"window": 15}
    assert TRIAL.fields_of("data") == {}
