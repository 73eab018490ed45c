"""Importances of a known function, and what is said where there are too few trials."""

import csv
import io
import json
import math
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from adasearch.analysis.importance import MIN_TRIALS, ImportanceRow, importance_rows, importance_table
from adasearch.errors import InputError
from adasearch.records import Params, StudyRecord, TrialRecord
from tests.rows import study_of, trial_of

SPACE = {
    "window": {"int": [3, 10]},
    "growth": {"float": [1.2, 3.0], "log": True},
    "rule": {"choice": ["settle", "noise"]},
    "shrink": {"fixed": 0.8},
}


def searched(architecture: str = "resnet18", scheduler: str = "deba") -> StudyRecord:
    """A study of three searched fields of the scheduler and one of the training."""
    train = {"architecture": architecture, "fields": {"lr": {"float": [0.01, 0.1], "log": True}}}
    return replace(
        study_of(scheduler, architecture),
        train_space=json.dumps(train),
        scheduler_space=json.dumps({"scheduler": scheduler, "fields": SPACE}),
    )


def drawn(study: StudyRecord, count: int, seed: int = 0) -> list[TrialRecord]:
    """Trials whose error follows the growth above all, and whose seconds follow the window alone."""
    random = np.random.default_rng(seed)
    found = []
    for number in range(count):
        params: Params = {
            "scheduler/window": int(random.integers(3, 11)),
            "scheduler/growth": float(math.exp(random.uniform(math.log(1.2), math.log(3)))),
            "scheduler/rule": str(random.choice(["settle", "noise"])),
            "scheduler/shrink": 0.8,
            "train/lr": float(random.uniform(0.01, 0.1)),
        }
        error = 0.1 * float(params["scheduler/growth"]) + 0.2 * float(params["train/lr"])
        seconds = float(params["scheduler/window"])
        found.append(trial_of(study, number, val_error=error, seconds=seconds, params=params))
    return found


def shares(rows: Sequence[ImportanceRow], objective: str) -> dict[str, float]:
    return {row.parameter: row.importance or 0.0 for row in rows if row.objective == objective}


STUDY = searched()


@pytest.mark.parametrize(("evaluator", "count"), [("fanova", 24), ("ped-anova", 60)])
def test_what_a_value_follows_is_named_and_all_shares_add_up_to_one(evaluator: str, count: int) -> None:
    rows = importance_rows([STUDY], drawn(STUDY, count), evaluator=evaluator, seeds=2)
    for objective, first in (("val_error", "scheduler/growth"), ("seconds", "scheduler/window")):
        found = shares(rows, objective)
        assert max(found, key=found.__getitem__) == first
        assert found[first] > 0.5
        assert math.fsum(found.values()) == pytest.approx(1)
        assert found.keys() == {
            "scheduler/window",
            "scheduler/growth",
            "scheduler/rule",
            "train/lr",
        }  # not shrink
    assert {(row.evaluator, row.seeds, row.complete) for row in rows} == {(evaluator, 2, count)}


def test_same_seeds_give_the_same_importances_and_their_spread_is_known() -> None:
    first, again = (importance_rows([STUDY], drawn(STUDY, 10), seeds=2) for _ in range(2))
    assert first == again
    assert any(row.spread for row in first)
    assert all(row.spread is not None and row.spread >= 0 for row in first)


def test_spread_grows_where_trials_are_few() -> None:
    """The evaluator's own randomness alone would hide how much hangs on which trials there are."""

    def spread(count: int) -> float:
        rows = importance_rows([STUDY], drawn(STUDY, count), seeds=3)
        return max(row.spread or 0.0 for row in rows if row.objective == "val_error")

    assert spread(8) > 1.5 * spread(24)


@pytest.mark.parametrize("evaluator", ["fanova", "ped-anova"])
def test_too_few_complete_trials_are_told_instead_of_numbers(evaluator: str) -> None:
    enough = MIN_TRIALS[evaluator]
    trials = drawn(STUDY, enough)
    others = [
        replace(trials[0], status="pruned"),
        replace(trials[1], phase="confirm"),
        replace(trials[2], train_seconds=None),  # complete, but its clock has no time
    ]
    rows = importance_rows([STUDY], [*trials[3:], *others], evaluator=evaluator)
    assert {row.note for row in rows} == {f"too few trials: {enough - 3}, at least {enough}"}
    assert {(row.importance, row.spread) for row in rows} == {(None, None)}


def test_equal_values_have_no_importances() -> None:
    trials = [replace(trial, val_error=0.5) for trial in drawn(STUDY, 8)]
    rows = importance_rows([STUDY], trials, seeds=2)
    assert {row.note for row in rows if row.objective == "val_error"} == {"all 8 trials have the same value"}
    assert all(row.importance is not None for row in rows if row.objective == "seconds")


def test_modelled_clock_asks_for_modelled_seconds() -> None:
    study = replace(STUDY, clock="modelled")
    trials = [
        replace(trial, modelled_seconds=float(trial.params["scheduler/growth"])) for trial in drawn(STUDY, 20)
    ]
    found = shares(importance_rows([study], trials, seeds=2), "seconds")
    assert max(found, key=found.__getitem__) == "scheduler/growth"


def test_study_without_anything_to_search_has_no_rows() -> None:
    study = study_of("deba")
    assert importance_rows([study], [trial_of(study, 0, val_error=0.1, seconds=1)]) == []
    assert importance_table([], "text") == "nothing was searched\n"


def test_scheduler_of_ones_own_need_not_be_importable() -> None:
    study = replace(
        STUDY, scheduler="gone:Mine", scheduler_space=STUDY.scheduler_space.replace("deba", "gone:Mine")
    )
    assert importance_rows([study], drawn(study, 8), seeds=2)[0].importance is not None


@pytest.mark.parametrize(
    ("options", "says"), [({"evaluator": "anova"}, "'anova'"), ({"seeds": 1}, "at least 2")]
)
def test_unknown_evaluator_and_a_single_seed_are_refused(options: dict[str, object], says: str) -> None:
    with pytest.raises(InputError, match=says):
        importance_rows([STUDY], [], **options)  # type: ignore[arg-type]


# --- as a table -------------------------------------------------------------------------------------

VIT = searched("vit_b_16")
BOTH = importance_rows([VIT, STUDY], [*drawn(STUDY, 12), *drawn(VIT, 5)], seeds=2)


def test_table_has_networks_side_by_side_and_the_schedulers_parameters_first() -> None:
    text = importance_table(BOTH, "text")
    error, seconds = text.split("\n\n")[:2]
    assert error.splitlines()[0] == "deba: what mattered for validation error"
    assert seconds.splitlines()[0] == "deba: what mattered for seconds (measured clock)"
    assert error.splitlines()[1].split() == ["parameter", "resnet18", "vit_b_16", "mean"]
    names = [line.split()[0] for line in error.splitlines()[2:6]]
    assert names[0] == "scheduler/growth"
    assert names[-1] == "train/lr"
    growth = next(row for row in BOTH if (row.study, row.parameter) == (STUDY.study, "scheduler/growth"))
    assert f"{growth.importance:.2f} ± {growth.spread:.2f}" in error
    assert error.splitlines()[2].split()[-2:] == ["-", f"{growth.importance:.2f}"]
    assert error.splitlines()[-1] == "vit_b_16: too few trials: 5, at least 8"
    assert "fanova" in text
    assert "2 seeds" in text
    assert "5 to 12 complete trials" in " ".join(text.split())


def test_two_studies_of_one_network_are_told_apart_by_name() -> None:
    other = replace(STUDY, study="second")
    rows = importance_rows([STUDY, other], [*drawn(STUDY, 8), *drawn(other, 8)], seeds=2)
    assert {STUDY.study, "second"} <= set(importance_table(rows, "text").splitlines()[1].split())


def test_markdown_is_a_table_with_its_notes_apart() -> None:
    text = importance_table(BOTH, "markdown")
    assert "| parameter | resnet18 | vit_b_16 | mean |" in text
    assert "|\n\nvit_b_16: too few trials" in text


def test_json_and_csv_hold_every_raw_row() -> None:
    rows = json.loads(importance_table(BOTH, "json"))["rows"]
    assert len(rows) == len(BOTH) == 2 * 2 * 4
    assert rows[0]["importance"] == BOTH[0].importance
    assert len(list(csv.DictReader(io.StringIO(importance_table(BOTH, "csv"))))) == len(rows)


def test_help_and_a_plain_comparison_do_without_optuna() -> None:
    code = (
        "import sys, adasearch.cli.main, adasearch.analysis.compare, adasearch.analysis.importance; "
        "import adasearch.analysis.ablation; "
        "print('optuna' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
