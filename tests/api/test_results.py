"""What a notebook reads of a results folder."""

import warnings
from dataclasses import replace
from pathlib import Path

import pandas as pd
import polars as pl
import pytest
import torch
from matplotlib.figure import Figure
from torch import nn
from torch.optim import SGD
from torch.utils.data import TensorDataset

import adasearch
from adasearch.errors import InputError
from adasearch.records import Params, Status, StudyRecord
from adasearch.store import Store
from tests.rows import STUDY, study_of, trial_of
from tests.small_study import write_small_study, write_the_evidence

DEBA, CONSTANT = "resnet18-nano-deba-digits", "resnet18-nano-constant-digits"


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> adasearch.Results:
    results = tmp_path_factory.mktemp("results")
    write_small_study(results, ["resnet18"])
    write_the_evidence(results)
    return adasearch.load(str(results))


def test_a_folder_that_is_not_there_is_refused() -> None:
    with pytest.raises(InputError, match="nowhere"):
        adasearch.load("nowhere")


def test_frames_have_a_row_each_and_parameters_as_columns(found: adasearch.Results) -> None:
    assert list(found.studies["study"]) == [CONSTANT, DEBA]
    trials = found.trials(DEBA)
    assert isinstance(trials, pd.DataFrame)
    assert set(trials["study"]) == {DEBA}
    assert trials["train/batch_size"].tolist() == [16] * len(trials)
    intervals = found.intervals()
    assert {"trial_id", "batch_size", "grad_norm", "next_batch_size", "reason"} <= set(intervals.columns)
    counted = intervals.groupby("trial_id").size()
    assert set(counted.index) == set(found.trials()["trial_id"])


def test_polars_frames_hold_the_same_values(found: adasearch.Results) -> None:
    theirs, ours = found.intervals(polars=True), found.intervals()
    assert isinstance(theirs, pl.DataFrame)
    assert theirs.columns == list(ours.columns)
    assert theirs["train_loss"].to_list() == ours["train_loss"].to_list()


def test_the_table_has_the_trial_that_counts_of_each_study(found: adasearch.Results) -> None:
    table = found.table()
    assert table["study"].tolist() == [CONSTANT, DEBA]
    assert table["trial_id"].tolist()[1] == found.best("resnet18", "deba").trial_id
    assert "reference" in table["verdict"].tolist()
    assert "table" not in table.columns
    assert {"speedup", "time_saved", "speedup_default", "mean_batch_size"} <= set(table.columns)


def test_confirmed_rows_are_candidates_and_controls(found: adasearch.Results) -> None:
    rows = found.confirmed()
    assert "candidate" in set(rows["role"])
    assert set(rows["study"]) == {DEBA}


def test_the_best_trial_builds_its_scheduler_and_a_controller(found: adasearch.Results) -> None:
    best = found.best("resnet18", "deba")
    scheduler = adasearch.make_scheduler(best.scheduler, best.fields)
    assert all(getattr(scheduler, name) == value for name, value in best.fields.items())
    model = nn.Linear(2, 2)
    data = TensorDataset(torch.zeros(400, 2))
    controller = adasearch.BatchSizeController(
        model,
        SGD(model.parameters(), lr=float(best.train["lr"])),
        data,
        best.scheduler,
        best.fields,
        batch_size=best.batch_size,
        limits=best.limits,
    )
    assert controller.scheduler == replace(scheduler, noise="raw")  # type: ignore[type-var]


def test_a_tuned_trial_is_the_best_of_its_point_each_tried_once(tmp_path: Path) -> None:
    store, other = Store(str(tmp_path)), study_of("constant")
    cases: tuple[tuple[StudyRecord, int, int, float, float, Status], ...] = (
        (STUDY, 0, 16, 0.1, 0.30, "complete"),
        (STUDY, 1, 16, 0.2, 0.20, "complete"),  # the best of 16, though each trial has a seed of its own
        (STUDY, 2, 16, 0.3, 0.20, "complete"),  # as good, later
        (STUDY, 3, 32, 0.1, 0.40, "complete"),
        (STUDY, 4, 32, 0.2, 0.05, "pruned"),
        (STUDY, 5, 16, 0.1, 0.10, "complete"),  # of parameters that it had tried
        (other, 0, 16, 0.1, 0.35, "complete"),
    )
    for study, number, size, lr, error, status in cases:
        params: Params = {"train/batch_size": size, "train/lr": lr}
        store.write_study(study)
        store.write_trial(trial_of(study, number, status=status, val_error=error, params=params))
    params = {"train/batch_size": 16, "train/lr": 0.2}
    store.write_trial(trial_of(STUDY, 6, val_error=0.01, phase="confirm", params=params))
    found = adasearch.load(str(tmp_path))
    assert len(set(found.trials(STUDY.study)["seed"])) == len(cases)  # as every sampler but the grid has it
    best = found.tuned(["scheduler", "train/batch_size"])
    names = [f"{STUDY.study}-search-1", f"{STUDY.study}-search-3", f"{other.study}-search-0"]
    assert sorted(best["trial_id"]) == sorted(names)
    assert found.tuned([])["trial_id"].tolist() == [f"{STUDY.study}-search-1"]
    assert found.tuned("train/lr", study=STUDY.study)["train/lr"].tolist() == [0.1, 0.2, 0.3]
    with pytest.raises(InputError, match="unknown column 'train/lt'; did you mean 'train/lr'"):
        found.tuned(["train/lt"])
    with pytest.raises(InputError, match="unknown study"):
        found.tuned(["train/lr"], study="other")


def test_names_that_do_not_exist_are_refused_with_the_nearest(found: adasearch.Results) -> None:
    with pytest.raises(InputError, match="did you mean 'resnet18 with deba'"):
        found.best("resnet18", "debba")
    with pytest.raises(InputError, match=f"did you mean '{DEBA}'"):
        found.study(f"{DEBA}s")
    with pytest.raises(InputError, match="unknown study"):
        found.trials("other")
    with pytest.raises(InputError, match="unknown trial"):
        found.trial("other-search-1")


def test_a_study_becomes_optunas_with_the_same_values(found: adasearch.Results) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        study = found.to_optuna(DEBA)
    ours = found.trials(DEBA).query("phase == 'search'").set_index("trial_id")
    assert len(study.trials) == len(ours)
    for trial in study.trials:
        row = ours.loc[trial.user_attrs["trial_id"]]
        assert trial.values == [row["val_error"], row["train_seconds"]]
    assert study.metric_names == ["error", "seconds"]


def test_a_replay_is_a_frame(found: adasearch.Results) -> None:
    trial = found.best("resnet18", "deba")
    rows = found.replay(trial.trial_id, "deba", {"cooldown": 1})
    assert rows["batch_size"].tolist() == [
        each.signals.batch_size for each in trial.records() if each.decided
    ]


@pytest.mark.parametrize("name", ["pareto", "controls", "steps"])
def test_figures_of_the_folder_are_figures(found: adasearch.Results, name: str) -> None:
    assert isinstance(getattr(found.plot, name)(), Figure)


def test_figures_of_a_study_and_a_trial_are_figures(found: adasearch.Results) -> None:
    trial = found.best("resnet18", "deba").trial_id
    for figure in (
        found.plot.batch_sizes(trial),
        found.plot.signals(trial),
        found.plot.time_to_target(DEBA),
        found.plot.pareto(DEBA),
    ):
        assert isinstance(figure, Figure)
    with pytest.raises(InputError, match="at least 8"):
        found.plot.importance(DEBA)
    with pytest.raises(InputError, match="no confirmed candidate"):
        found.plot.time_to_target(CONSTANT)


def test_a_notebook_shows_words_a_table_and_a_picture(found: adasearch.Results) -> None:
    for shown in (found, found.study(DEBA), found.best("resnet18", "deba")):
        html = shown._repr_html_()
        assert "<p>" in html
        assert "<table>" in html
        assert "<svg" in html


def test_an_empty_folder_says_so(tmp_path: Path) -> None:
    found = adasearch.load(str(tmp_path))
    assert "no studies yet" in found._repr_html_()
    assert found.table().empty
    assert found.confirmed().empty
    with pytest.raises(InputError, match="no study"):
        found.plot.pareto()


def test_profiles_and_predictions_are_frames(found: adasearch.Results) -> None:
    assert set(found.profiles()["architecture"]) >= {"resnet18"}
    guesses = adasearch.predict(found, network="resnet18")
    assert set(guesses["architecture"]) == {"resnet18"}
