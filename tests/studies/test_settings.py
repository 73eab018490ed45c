"""A study's limits and spans: what was asked for, what is stored, what is built in; no data are read."""

from dataclasses import replace

import pytest

from adasearch.errors import InputError
from adasearch.records import Limits, StudyRecord
from adasearch.studies.request import Defaults, Request
from adasearch.studies.settings import Spans, limits_of, spans_of
from tests.rows import STUDY, study_of

NONE = Defaults()
STORED = replace(STUDY, seed=1, smallest=32, largest=64, budget=1200, interval=100, evaluate_every=200)
BASELINE = replace(study_of("constant"), seed=2)


@pytest.mark.parametrize(
    ("given", "stored", "baseline", "seed"),
    [
        (5, STORED, BASELINE, 5),
        (0, STORED, BASELINE, 0),
        (None, STORED, BASELINE, 1),
        (None, None, BASELINE, 2),
        (None, None, None, 7),
    ],
)
def test_flag_comes_before_stored_study_before_stored_baseline_before_what_is_built_in(
    given: int | None, stored: StudyRecord | None, baseline: StudyRecord | None, seed: int
) -> None:
    defaults = Defaults(stored=stored, baseline=baseline)
    assert defaults.pick(given, lambda study: study.seed, 7) == seed


@pytest.mark.parametrize(
    ("smallest", "largest", "defaults", "examples", "workers", "limits"),
    [
        (None, None, NONE, 1437, 1, (16, 179)),
        (None, None, NONE, 1_000_000, 1, (16, 2048)),
        (None, None, NONE, 10_000, 16, (32, 1250)),
        (None, 48, NONE, 100, 1, (16, 48)),  # an eighth would be 12
        (64, None, NONE, 1437, 1, (64, 179)),
        (None, None, Defaults(stored=STORED), 1437, 1, (32, 64)),
        (16, None, Defaults(stored=STORED), 1437, 1, (16, 64)),
        (None, None, Defaults(baseline=STORED), 1437, 1, (32, 64)),
    ],
)
def test_limits(
    smallest: int | None,
    largest: int | None,
    defaults: Defaults,
    examples: int,
    workers: int,
    limits: tuple[int, int],
) -> None:
    request = Request(smallest=smallest, largest=largest)
    found = limits_of(request, defaults, examples=examples, workers=workers)
    assert found == Limits(smallest=limits[0], largest=limits[1])


@pytest.mark.parametrize(
    ("request_", "examples", "workers", "says"),
    [
        (Request(), 100, 1, r"smallest=16, largest=12 \(the training split has 100 examples, .*--largest\)"),
        (Request(smallest=64, largest=32), 1437, 1, "largest must be at least smallest"),
        (Request(smallest=8), 1437, 8, "--smallest must be at least 2 x workers = 16 but got 8"),
    ],
)
def test_limits_that_contradict_each_other_are_refused(
    request_: Request, examples: int, workers: int, says: str
) -> None:
    with pytest.raises(InputError, match=says):
        limits_of(request_, NONE, examples=examples, workers=workers)


@pytest.mark.parametrize(
    ("request_", "defaults", "spans"),
    [
        (Request(), NONE, (20_000, 1000, 1000)),
        (Request(epochs=0.5), NONE, (500, 500, 1000)),  # evaluated at its end alone
        (Request(epochs=2, interval="0.25"), NONE, (2000, 250, 1000)),
        (Request(evaluate_every="2"), NONE, (20_000, 1000, 2000)),
        (Request(evaluate_every="300ex", interval="100ex"), NONE, (20_000, 100, 300)),
        (Request(evaluate_every="0.0001"), NONE, (20_000, 1000, 1)),
        (Request(), Defaults(stored=STORED), (1200, 100, 200)),
        (Request(), Defaults(baseline=STORED), (1200, 100, 200)),
        (Request(epochs=3, evaluate_every="1"), Defaults(stored=STORED), (3000, 100, 1000)),
    ],
)
def test_spans_of_1000_examples(request_: Request, defaults: Defaults, spans: tuple[int, int, int]) -> None:
    budget, interval, evaluate_every = spans
    expected = Spans(budget=budget, interval=interval, evaluate_every=evaluate_every)
    assert spans_of(request_, defaults, examples=1000) == expected


@pytest.mark.parametrize(
    ("epochs", "validation", "evaluate_every"),
    [
        (20, 111, 1000),  # a tenth of the pool: an evaluation is 1 / 28 of an epoch
        (20, 250, 2000),  # a fifth: 1 / 13
        (20, 1000, 5000),  # four times, although that takes more
        (8, 250, 2000),
        (7, 250, 1000),  # else fewer than four
        (20, 0, 1000),
    ],
)
def test_evaluating_takes_a_twentieth_of_a_run_or_is_done_four_times(
    epochs: int, validation: int, evaluate_every: int
) -> None:
    spans = spans_of(Request(epochs=epochs), NONE, examples=1000, validation=validation)
    assert spans.evaluate_every == evaluate_every
    given = spans_of(Request(epochs=epochs, evaluate_every="1"), NONE, examples=1000, validation=validation)
    assert given.evaluate_every == 1000


@pytest.mark.parametrize(("validation", "evaluate_every"), [(30, 250), (39, 250), (50, 500), (500, 500)])
def test_text_is_evaluated_at_quarters_or_halves_of_a_run(validation: int, evaluate_every: int) -> None:
    spans = spans_of(Request(), NONE, examples=1000, validation=validation, sequence_length=128)
    assert spans.evaluate_every == evaluate_every


@pytest.mark.parametrize(
    ("request_", "spans"),
    [
        (Request(), (1000, 50, 250)),
        (Request(epochs=2), (2000, 100, 500)),
        (Request(budget="25600tokens"), (200, 10, 50)),
        (Request(interval="0.5"), (1000, 500, 500)),  # never between two decisions
        (Request(evaluate_every="12800tokens"), (1000, 50, 100)),
    ],
)
def test_text_is_evaluated_at_quarters_of_a_run(request_: Request, spans: tuple[int, int, int]) -> None:
    budget, interval, evaluate_every = spans
    expected = Spans(budget=budget, interval=interval, evaluate_every=evaluate_every)
    assert spans_of(request_, NONE, examples=1000, sequence_length=128) == expected


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        (
            Request(interval="often"),
            r"--interval must be epochs \(0.5\) or examples \(2000ex\) but got 'often'",
        ),
        (Request(evaluate_every="0"), "--evaluate-every must be greater than 0 but got '0'"),
        (Request(evaluate_every="ex"), r"--evaluate-every must be epochs .* but got 'ex'"),
        (Request(epochs=1, interval="2"), "--interval must be at most the run's 1000 examples but got 2000"),
    ],
)
def test_spans_that_are_none_are_refused(request_: Request, says: str) -> None:
    with pytest.raises(InputError, match=says):
        spans_of(request_, NONE, examples=1000)
