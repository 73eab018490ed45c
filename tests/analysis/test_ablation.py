import csv
import io
import json
from collections.abc import Sequence
from dataclasses import replace

import pytest

from adasearch.analysis.ablation import MAX_LEVELS, LevelRow, by_level, level_table
from adasearch.analysis.paired_tests import error_of, speedup_of
from adasearch.errors import InputError
from adasearch.records import TrialRecord
from tests.rows import study_of, trial_of

STUDY = study_of("deba")
FIELD = "scheduler/cooldown"
ERRORS = (0.10, 0.14, 0.09, 0.12, 0.11)  # of the rounds; the levels differ by less than these
OFFSET = {1: 0.0, 3: 0.001, 10: 0.05}
FACTOR = {1: 1.0, 3: 0.8, 10: 1.0}


def rounds(seeds: int = 5, study: str = STUDY.study) -> list[TrialRecord]:
    """A grid of three cooldowns: 3 takes a fifth less time at about equal error, 10 is worse by 5 points."""
    record = replace(STUDY, study=study)
    found = []
    for seed in range(seeds):
        for place, level in enumerate(OFFSET):
            noise = 0.0002 * ((seed * 3 + place) % 4)
            error = ERRORS[seed] + OFFSET[level] + noise
            spent = (20 + seed) * FACTOR[level] * (1 + 5 * noise)
            trial = trial_of(
                record,
                3 * seed + place,
                val_error=error,
                seconds=spent,
                params={FIELD: level, "train/lr": 0.1},
            )
            found.append(replace(trial, seed=seed))
    return found


def row_of(rows: Sequence[LevelRow], level: object) -> LevelRow:
    (row,) = [row for row in rows if row.level == level]
    return row


def test_levels_are_in_order_with_their_means_and_intervals() -> None:
    rows = by_level([STUDY], rounds(), FIELD)
    assert [row.level for row in rows] == [1, 3, 10]
    first = rows[0]
    assert (first.trials, first.complete, first.pairs, first.verdict) == (5, 5, None, "first level")
    assert first.val_error is not None
    assert first.val_error.mean == pytest.approx(sum(ERRORS) / 5, abs=1e-3)
    assert first.val_error.low is not None
    assert first.val_error.low < first.val_error.mean


def test_pairs_of_one_seed_show_what_the_spread_over_seeds_would_hide() -> None:
    rows = by_level([STUDY], rounds(), FIELD)
    faster, worse = row_of(rows, 3), row_of(rows, 10)
    assert faster.pairs == worse.pairs == 5
    assert faster.verdict == "faster at equal error"
    assert worse.verdict == "worse"
    gain, difference = speedup_of(faster.paired), error_of(worse.paired)
    assert gain is not None
    assert difference is not None
    assert difference.mean == pytest.approx(0.05, abs=1e-3)
    assert gain.mean == pytest.approx(1.25, rel=0.01)
    # The levels' own intervals overlap: five points lie within the spread over seeds.
    assert worse.val_error is not None
    assert rows[0].val_error is not None
    assert difference.low is not None
    assert difference.low > 0.04


def test_trials_that_differ_in_seed_or_in_anything_else_are_no_pairs() -> None:
    seeds = [replace(trial, seed=trial.number) for trial in rounds()]
    rates = [replace(trial, params={**trial.params, "train/lr": 0.1 + trial.number}) for trial in rounds()]
    for trials in (seeds, rates):
        for row in by_level([STUDY], trials, FIELD)[1:]:
            assert (row.pairs, row.verdict, row.paired) == (0, "no pairs", None)
            assert row.complete == 5


def test_what_did_not_end_is_no_part_of_a_mean_or_a_pair() -> None:
    trials = rounds()
    trials[1] = replace(trials[1], status="failed", val_error=None)
    trials[4] = replace(trials[4], status="pruned")
    trials.append(replace(trials[7], trial_id="another", phase="confirm", val_error=0.9))
    row = row_of(by_level([STUDY], trials, FIELD), 3)
    assert (row.trials, row.complete, row.pairs, row.verdict) == (5, 3, 3, "too few seeds")
    assert row.val_error is not None
    assert row.val_error.mean < 0.13


def test_level_of_which_nothing_ended_is_a_row() -> None:
    trials = [replace(t, status="failed") if t.params[FIELD] == 1 else t for t in rounds(2)]
    rows = by_level([STUDY], trials, FIELD)
    assert [(row.complete, row.verdict) for row in rows] == [
        (0, "first level"),
        (2, "no pairs"),
        (2, "no pairs"),
    ]
    assert "-" in level_table(rows, "text").splitlines()[2]


def test_studies_are_compared_within_themselves() -> None:
    rows = by_level([STUDY, replace(STUDY, study="other")], [*rounds(5), *rounds(2, "other")], FIELD)
    assert [(row.study, row.pairs) for row in rows if row.level == 3] == [("other", 2), (STUDY.study, 5)]


def test_words_and_truth_values_are_levels_too() -> None:
    trials = [replace(t, params={"scheduler/rule": "noise" if t.number % 3 else "settle"}) for t in rounds()]
    assert [row.level for row in by_level([STUDY], trials, "scheduler/rule")] == ["noise", "settle"]


@pytest.mark.parametrize(
    ("field", "says"),
    [
        ("scheduler/cooldwn", r"unknown field 'scheduler/cooldwn'; did you mean 'scheduler/cooldown'\?"),
        ("train/lr", "needs a field of several values but train/lr has one"),
        (
            "scheduler/many",
            f"at most {MAX_LEVELS} different values but scheduler/many has 15 in {STUDY.study}",
        ),
    ],
)
def test_field_without_levels_is_refused(field: str, says: str) -> None:
    trials = [replace(t, params={**t.params, "scheduler/many": t.number}) for t in rounds()]
    with pytest.raises(InputError, match=says):
        by_level([STUDY], trials, field)


def test_text_and_markdown_read_well() -> None:
    rows = by_level([STUDY], rounds(), FIELD)
    lines = level_table(rows, "text").splitlines()
    assert lines[0] == "scheduler/cooldown, level by level"
    assert lines[2].startswith("resnet18")
    assert lines[3].split()[2] == "3"
    assert lines[3].endswith("faster at equal error")
    assert "1.25x" in lines[3]
    assert "+5.0 pp" in lines[4]
    assert "| resnet18 | deba | 3 | 5 |" in level_table(rows, "markdown")


def test_json_and_csv_hold_means_and_ends_of_intervals() -> None:
    rows = by_level([STUDY], rounds(), FIELD)
    found = json.loads(level_table(rows, "json"))["rows"]
    assert found[1]["speedup"] == pytest.approx(1.25, rel=0.01)
    assert found[1]["speedup_low"] < found[1]["speedup"] < found[1]["speedup_high"]
    assert found[0]["error_difference"] is None
    assert found[1]["field"] == FIELD
    assert len(list(csv.DictReader(io.StringIO(level_table(rows, "csv"))))) == 3


def test_thresholds_that_follow_from_quantiles_do_not_hinder_pairs() -> None:
    window = "scheduler/window"
    trials = []
    for number in range(8):
        level, seed = (3, 6)[number % 2], number // 2
        params = {
            window: level,
            "quantile/stability_threshold": 0.5,
            "scheduler/stability_threshold": 0.1 * level + seed / 100,  # its value depends on the window
        }
        trial = trial_of(STUDY, number, val_error=0.1 + level / 100, seconds=10.0, params=params)
        trials.append(replace(trial, seed=seed))
    assert row_of(by_level([STUDY], trials, window), 6).pairs == 4
