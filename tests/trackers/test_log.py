"""Trials in trackers, read back by the trackers' own libraries."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from adasearch import commands
from adasearch.doctor.examine import examine
from adasearch.errors import InputError
from adasearch.records import IntervalRecord, Params, TrialRecord
from adasearch.store import Store
from adasearch.trackers.log import TrialLog, check_log, trial_log
from tests.rows import START, STUDY, interval_at, trial_of
from tests.trackers.shown import READERS, Shown, read_tensorboard

pytestmark = pytest.mark.filterwarnings("ignore")  # of libraries that are not ours

PARAMS: Params = {"train/lr": 0.125, "train/momentum": 0.5, "scheduler/window": 5, "scheduler/rule": "settle"}
TRIAL = trial_of(STUDY, 0, status="running", params=PARAMS)
ROWS = [
    replace(interval_at(0, val_error=0.5), metrics={"top5_error": 0.125}),
    interval_at(1, val_error=0.25, action="grow"),
    interval_at(2, val_error=0.125),
]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(str(tmp_path / "results"))
    store.write_study(STUDY)
    store.write_trial(TRIAL)
    return store


@contextmanager
def log(store: Store, *names: str) -> Iterator[TrialLog]:
    """A log of which no tracker failed."""
    said: list[str] = []
    with trial_log(names, store, said.append) as found:
        yield found
    assert said == []


def read(store: Store, name: str) -> dict[str, Shown]:
    return READERS[name](Path(store.name) / "logs")


def tell(told: TrialLog, rows: list[IntervalRecord], ended: TrialRecord | None = None) -> None:
    told.started(TRIAL)
    for row in rows:
        told.progressed(TRIAL, row)
    if ended is not None:
        told.ended(ended)


@pytest.mark.parametrize("name", READERS)
def test_a_trial_is_shown_as_it_is_stored(name: str, store: Store) -> None:
    if name != "tensorboard":
        pytest.importorskip(name, reason=f"pip install 'adasearch[{name}]'")
    ended = replace(
        TRIAL, status="complete", val_error=0.125, adaptations=1, examples_seen=1200, ended_at=START
    )
    with log(store, name) as told:
        tell(told, ROWS, ended)
    shown = read(store, name)
    assert list(shown) == [TRIAL.trial_id]
    run = shown[TRIAL.trial_id]
    assert run.points["val/error"] == [(400, 0.5), (800, 0.25), (1200, 0.125)]
    assert run.points["val/top5_error"] == [(400, 0.125)]
    assert run.points["schedule/batch_size"] == [(400 * (n + 1), 32.0) for n in range(3)]
    assert run.points["decision/change"] == [(400, 0.0), (800, 1.0), (1200, 0.0)]
    assert [step for step, _ in run.points["seconds/train"]] == [400, 800, 1200]
    rates = [value for _, value in run.points["schedule/lr"]]
    assert rates == pytest.approx([row.signals.lr for row in ROWS])
    assert run.reasons == {row.signals.examples_seen: row.decision.reason for row in ROWS}
    told_params = {name: run.params[name] for name in PARAMS}
    assert {name: float(told_params[name]) for name in PARAMS if name != "scheduler/rule"} == {
        "train/lr": 0.125,
        "train/momentum": 0.5,
        "scheduler/window": 5,
    }
    assert told_params["scheduler/rule"] == "settle"
    assert run.params["trial/scheduler"] == "deba"
    assert run.status == "complete"
    assert float(run.outcome["outcome/val_error"]) == 0.125
    assert float(run.outcome["outcome/adaptations"]) == 1


@pytest.mark.parametrize("name", READERS)
def test_a_trial_that_goes_on_has_each_interval_once(name: str, store: Store) -> None:
    """Two of three intervals came in before the search was killed, one was stored: the second comes again."""
    if name != "tensorboard":
        pytest.importorskip(name, reason=f"pip install 'adasearch[{name}]'")
    with log(store, name) as told:
        tell(told, ROWS[:2])
    store.write_intervals(TRIAL, ROWS[:1])
    with log(store, name) as told:
        tell(told, ROWS[1:], replace(TRIAL, status="pruned"))
    run = read(store, name)[TRIAL.trial_id]
    assert run.points["val/error"] == [(400, 0.5), (800, 0.25), (1200, 0.125)]
    assert list(run.reasons) == [400, 800, 1200]
    assert run.status == "pruned"


@pytest.mark.parametrize("name", READERS)
def test_workers_that_go_back_to_a_checkpoint_double_nothing(name: str, store: Store) -> None:
    if name != "tensorboard":
        pytest.importorskip(name, reason=f"pip install 'adasearch[{name}]'")
    with log(store, name) as told:
        tell(told, [*ROWS[:2], replace(ROWS[1], val_error=0.375), ROWS[2]], replace(TRIAL, status="complete"))
    points = read(store, name)[TRIAL.trial_id].points
    assert points["val/error"] == [(400, 0.5), (800, 0.375), (1200, 0.125)]
    assert len(points["train/loss"]) == 3


def test_trials_at_a_time_are_apart_and_one_that_diverged_is_shown(store: Store) -> None:
    other = replace(TRIAL, trial_id=f"{STUDY.study}-search-1", number=1)
    lost = replace(ROWS[0], signals=replace(ROWS[0].signals, train_loss=math.nan))
    with log(store, "tensorboard") as told:
        told.started(TRIAL)
        told.started(other)
        told.progressed(other, lost)
        told.progressed(TRIAL, ROWS[0])
        told.ended(replace(other, status="failed", error="train_loss is nan", cause="diverged"))
        told.progressed(TRIAL, ROWS[1])
        told.ended(replace(TRIAL, status="complete"))
    shown = read(store, "tensorboard")
    assert {name: len(run.points["val/error"]) for name, run in shown.items()} == {
        TRIAL.trial_id: 2,
        other.trial_id: 1,
    }
    assert "train/loss" not in shown[other.trial_id].points
    assert shown[other.trial_id].status == "failed"


def test_tensorboards_own_reader_finds_the_same(store: Store) -> None:
    event_file = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="pip install tensorboard"
    )
    with log(store, "tensorboard") as told:
        tell(told, ROWS[:2])
        tell(told, ROWS, replace(TRIAL, status="complete", val_error=0.125))
    folder = Path(store.name, "logs", "tensorboard", STUDY.study, TRIAL.trial_id)
    found = event_file.EventAccumulator(str(folder)).Reload()
    scalars = [(each.step, each.value) for each in found.Scalars("val/error")]
    assert scalars == read_tensorboard(Path(store.name, "logs"))[TRIAL.trial_id].points["val/error"]
    assert "hparams" in found.summary_metadata["_hparams_/experiment"].plugin_data.plugin_name


def test_a_tracker_that_fails_is_told_of_once_and_ends_nothing(store: Store) -> None:
    said: list[str] = []
    place = Path(store.name) / "logs" / "tensorboard"
    place.mkdir(parents=True)
    (place / STUDY.study).write_text("a file where a folder should be")
    with trial_log(["tensorboard"], store, said.append) as told:
        tell(told, ROWS, replace(TRIAL, status="complete"))
    assert len(said) == 1
    assert said[0].startswith("tensorboard is not told of the runs any more, which go on: ")


def test_readers_of_the_results_do_not_look_into_the_logs(store: Store) -> None:
    before = (store.folders(), examine(store).findings)
    with log(store, "tensorboard") as told:
        tell(told, ROWS, replace(TRIAL, status="complete"))
    assert (store.folders(), examine(store).findings) == before
    assert store.studies() == [STUDY]
    with pytest.raises(InputError, match="unknown study 'logs'"):
        store.compact("logs")
    assert "logs" not in commands.catalogue("studies", results=store.name)


def test_unknown_trackers_and_missing_libraries_are_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = str(tmp_path / "none")
    with pytest.raises(InputError, match="unknown tracker 'tensorbord'; did you mean 'tensorboard'"):
        check_log(["tensorbord"], results)
    with pytest.raises(InputError, match="which must be a local one but is gs://bucket/results"):
        check_log(["tensorboard"], "gs://bucket/results")
    monkeypatch.setattr("adasearch.trackers.log.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"--log wandb needs wandb, .*: pip install 'adasearch\[wandb\]'"):
        check_log(["wandb"], results)
    assert not list(tmp_path.iterdir())
