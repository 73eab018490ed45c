"""What is minimised may be a loss: it is told in its own numbers, and compared by a margin of its own."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from adasearch.analysis.compare import compare
from adasearch.analysis.confirmed_runs import confirmed_rows
from adasearch.analysis.paired_tests import paired, verdict
from adasearch.analysis.search_table import describe, search_rows
from adasearch.errors import InputError
from adasearch.plots import pareto
from adasearch.records import StudyRecord, TrialRecord
from adasearch.runs.execute import interval_line
from adasearch.store import Store
from tests.analysis.test_confirmed import SEARCH, case
from tests.rows import interval_at, study_of

SCALE = 20.0  # of the errors there: losses of 2 to 3


def loss(study: StudyRecord) -> StudyRecord:
    return replace(study, task="own", objective="loss", val_examples=0, dataset="own")


def as_losses(trials: Sequence[TrialRecord]) -> list[TrialRecord]:
    return [
        replace(
            trial,
            objective="loss",
            val_error=None if trial.val_error is None else SCALE * trial.val_error,
            test_error=None if trial.test_error is None else SCALE * trial.test_error,
        )
        for trial in trials
    ]


CONSTANT, DEBA = loss(study_of("constant")), loss(study_of("deba"))
TRIALS = as_losses([*SEARCH, *case()])


@pytest.fixture
def store(tmp_path: Path) -> Store:
    written = Store(str(tmp_path / "results"))
    for study in (CONSTANT, DEBA):
        written.write_study(study)
    for trial in TRIALS:
        written.write_trial(trial)
    return written


def test_tables_call_a_loss_what_it_is(store: Store) -> None:
    text = compare(store)
    assert "error" not in text.replace("standard error", "").partition("a dash")[0].partition("verdicts")[0]
    for word in ("test loss", "val loss", "loss vs reference", "its test loss", "candidate's loss"):
        assert word in text
    assert " pp" not in text
    assert "2.2000 [" in text  # the candidate's mean over its seeds


def test_losses_within_half_a_percent_are_equal() -> None:
    rows = {row.role: row for row in confirmed_rows([CONSTANT, DEBA], TRIALS, {})}
    candidate = rows["candidate"]
    assert candidate.error_margin == pytest.approx(0.005 * SCALE * 0.11)  # of the reference's median
    assert candidate.objective == "loss"
    assert candidate.runs.target_error == pytest.approx(SCALE * 0.11 * 1.005)
    assert candidate.paired is not None
    assert candidate.paired.learnt  # whatever its value: two thirds are a bound for fractions
    (given, *_) = confirmed_rows([CONSTANT, DEBA], TRIALS, {}, margin=1.5)
    assert given.error_margin == 1.5


def test_margin_beyond_one_is_for_losses_alone(store: Store, tmp_path: Path) -> None:
    rows = json.loads(compare(store, form="json", margin=1.5))["rows"]
    assert {row["objective"] for row in rows} == {"loss"}
    with pytest.raises(InputError, match=r"--margin must be greater than 0 but got 0"):
        compare(store, margin=0)
    other = Store(str(tmp_path / "fractions"))
    other.write_study(study_of("constant"))
    with pytest.raises(InputError, match=r"it must lie between 0 and 1, both left out, but got 1\.5"):
        compare(other, margin=1.5)


def test_loss_above_two_thirds_is_no_lack_of_learning() -> None:
    pairs, times = [(2.0 + n / 1000, 2.0) for n in range(5)], [(10.0, 12.0 + n) for n in range(5)]
    assert verdict(paired(pairs, times, margin=0.01)) == "too few to say"
    assert verdict(paired(pairs, times, margin=0.01, objective="loss")) != "too few to say"


def test_sentences_lines_and_figures_tell_the_loss() -> None:
    rows = search_rows([CONSTANT, DEBA], TRIALS)
    assert describe(rows[0]).startswith("resnet18, constant: 2 validation loss in 50.0 s")
    assert "  val loss  2.345" in interval_line(interval_at(0, val_error=2.345), "loss")
    assert "  error  12.0%" in interval_line(interval_at(0, val_error=0.12))
    axes = pareto([CONSTANT, DEBA], TRIALS).axes[0]
    assert axes.get_ylabel() == "validation loss"
    assert 2.0 in [y for line in axes.lines for y in line.get_ydata()]  # type: ignore[union-attr]
