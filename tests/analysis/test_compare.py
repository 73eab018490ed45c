import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from adasearch.analysis.compare import compare
from adasearch.analysis.gather import Scope
from adasearch.choices import Format
from adasearch.errors import InputError
from adasearch.records import Params
from adasearch.store import Store
from tests.rows import enough, study_of, trial_of

CONSTANT, DEBA, VIT = study_of("constant"), study_of("deba"), study_of("deba", "vit_b_16")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """ResNet: DEBA gains a quarter; ViT: no baseline, and nothing finished but one pruned trial."""
    store = Store(str(tmp_path / "results"))
    for study in (CONSTANT, DEBA, VIT):
        store.write_study(study)

    def params(lr: float, window: int | None = None) -> Params:
        return {
            "train/lr": lr,
            "train/momentum": 0.9,
            **({} if window is None else {"scheduler/window": window}),
        }

    for trial in (
        trial_of(CONSTANT, 0, val_error=0.10, seconds=50, params=params(0.1)),
        trial_of(CONSTANT, 1, val_error=0.30, seconds=20, params=params(0.2)),
        trial_of(DEBA, 0, val_error=0.11, seconds=40, params=params(0.1, 8)),
        trial_of(DEBA, 1, val_error=0.20, seconds=30, params=params(0.3, 5)),
        trial_of(DEBA, 2, status="failed"),
        trial_of(VIT, 0, status="pruned", val_error=0.4, seconds=4, params=params(0.1, 8)),
        trial_of(VIT, 1, status="running"),
        *enough(CONSTANT, DEBA),
    ):
        changed = trial.scheduler == "deba" and trial.status == "complete"
        store.write_trial(
            replace(trial, adaptations=3, mean_batch_size=40.5, final_batch_size=72) if changed else trial
        )
    return store


def test_trials_without_settings_have_no_table_of_them(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "results"))
    store.write_study(CONSTANT)
    store.write_trial(trial_of(CONSTANT, 0, val_error=0.1, seconds=50))
    assert "Settings" not in compare(store)


def test_text_has_the_table_the_settings_and_what_is_missing(store: Store) -> None:
    text = compare(store)
    lines = {tuple(line.split()) for line in text.splitlines()}
    deba = "resnet18 deba 11.0 % 40.0 1.25x 20.0 % 1.25x 3 40.5 72 2 2 8 not confirmed"
    assert tuple(deba.split()) in lines
    assert any(line[:2] == ("resnet18", "constant") and line[-1] == "reference" for line in lines)
    assert any(
        line[:2] == ("vit_b_16", "deba") and line[-3:] == ("no", "complete", "trial") for line in lines
    )
    assert "resnet18-nano-deba-digits: 2 complete, 5 stopped early, 1 failed, 0 unfinished" in text
    assert "vit_b_16-nano-deba-digits: 0 complete, 1 stopped early, 0 failed, 1 unfinished" in text
    assert "measured clock" in text
    assert "window and cooldown count intervals (here of 1 epochs)" in text


def test_settings_show_what_was_searched_the_schedulers_first(store: Store) -> None:
    lines = [line.split() for line in compare(store).splitlines()]
    start = lines.index(["Settings", "of", "these", "trials"])
    assert lines[start + 1 : start + 4] == [
        ["architecture", "scheduler", "window", "lr"],  # momentum never varied
        ["resnet18", "constant", "-", "0.1"],
        ["resnet18", "deba", "8", "0.1"],
    ]


def test_markdown_has_both_tables(store: Store) -> None:
    text = compare(store, form="markdown")
    assert text.count("| --- |") >= 2
    assert "| resnet18 | deba | 11.0 % | 40.0 | 1.25x |" in text
    assert "| resnet18 | deba | 8 | 0.1 |" in text


def test_json_has_raw_values_by_name(store: Store) -> None:
    rows = json.loads(compare(store, form="json"))["rows"]
    assert [(row["architecture"], row["scheduler"], row["verdict"]) for row in rows] == [
        ("resnet18", "constant", "reference"),
        ("resnet18", "deba", "not confirmed"),
        ("vit_b_16", "deba", "no complete trial"),
    ]
    assert (rows[1]["val_error"], rows[1]["seconds"], rows[1]["speedup"]) == (0.11, 40, 1.25)
    assert rows[2]["val_error"] is None


def test_csv_has_the_same_values_as_json(store: Store) -> None:
    read = list(csv.DictReader(io.StringIO(compare(store, form="csv"))))
    rows = json.loads(compare(store, form="json"))["rows"]
    assert read == [
        {name: "" if value is None else str(value) for name, value in row.items()} for row in rows
    ]


def test_chosen_studies_keep_their_baseline(store: Store) -> None:
    (row,) = json.loads(compare(store, Scope(studies=[DEBA.study]), form="json"))["rows"]
    assert (row["scheduler"], row["speedup"]) == ("deba", 1.25)


def test_unknown_study_is_refused_with_the_nearest(store: Store) -> None:
    with pytest.raises(
        InputError, match=r"'resnet18-nano-debba-digits'; did you mean 'resnet18-nano-deba-digits'\?"
    ):
        compare(store, Scope(studies=["resnet18-nano-debba-digits"]))


@pytest.mark.parametrize("form", get_args(Format))
def test_empty_results_are_told_as_such(tmp_path: Path, form: str) -> None:
    text = compare(Store(str(tmp_path), must_exist=True), form=form)
    assert text.endswith("\n")
    if form == "json":
        assert json.loads(text) == {"rows": []}
    elif form != "csv":
        assert f"no study in {tmp_path}" in text


@pytest.mark.parametrize("form", get_args(Format))
def test_study_without_trials_is_a_row(tmp_path: Path, form: str) -> None:
    store = Store(str(tmp_path))
    store.write_study(DEBA)
    text = compare(store, form=form)
    assert "no complete trial" in text
    if form in ("text", "markdown"):
        assert "resnet18-nano-deba-digits: 0 complete, 0 stopped early, 0 failed, 0 unfinished" in text


def test_note_on_the_paper_is_for_deba_alone(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    store.write_study(CONSTANT)
    assert "paper" not in compare(store)
