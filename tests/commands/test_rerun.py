"""A stored trial is run again and comes out the same, and where it does not, that is said."""

import io
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import pytest
from rich.console import Console

from adasearch.analysis.trajectory_diff import differences
from adasearch.cli.main import main
from adasearch.commands import rerun
from adasearch.data.load import load_dataset
from adasearch.data.spec import DataSpec
from adasearch.doctor.examine import examine
from adasearch.environment import device_name, git_commit, versions
from adasearch.errors import AdasearchError, InputError
from adasearch.records import IntervalRecord, StudyRecord, TrialRecord
from adasearch.runtime import RunOptions
from adasearch.schedulers import make_scheduler
from adasearch.store import Store
from adasearch.store.trials import close_trial
from adasearch.studies.settings import rungs_of
from adasearch.training.config import TrainConfig
from adasearch.training.loop import train
from tests.rows import interval_at

DEBA, CONSTANT = "resnet18-nano-deba-digits", "resnet18-nano-constant-digits"


@pytest.fixture
def store(small_results: Path, tmp_path: Path) -> Store:
    """A copy of the small search whose first DEBA trial ran as a search runs it: evaluated at its rungs."""
    results = tmp_path / "results"
    shutil.copytree(small_results, results)
    store = Store(str(results))
    trial = store.trials(DEBA)[0]
    ran(
        store, replace(trial, versions=versions(1, device_name("cpu"))), evaluate_at=rungs_of(study_of(store))
    )
    return store


def study_of(store: Store) -> StudyRecord:
    study = store.study(DEBA)
    assert study is not None
    return study


def ran(
    store: Store, trial: TrialRecord, *, evaluate_at: tuple[int, ...] = (), test: bool = False
) -> TrialRecord:
    """Train a trial of the DEBA study and store it."""
    study = study_of(store)
    data = load_dataset(
        DataSpec(source=study.dataset, subset=study.subset, seed=study.seed), include_test=test
    )
    config = replace(TrainConfig.of(study, trial), evaluate_at=evaluate_at, test=test)
    scheduler = make_scheduler(trial.scheduler, trial.fields_of("scheduler"))
    rows = list(train(config, scheduler, study.limits, data))
    closed = close_trial(trial, rows, status="complete", ended_at=datetime.now(timezone.utc))
    store.write_intervals(closed, rows)
    store.write_trial(closed)
    return closed


def said(store: Store, trial_id: str, tolerance: float | None = None, threads: int | None = None) -> str:
    console = Console(file=io.StringIO(), width=500)
    rerun(store, trial_id, console=console, tolerance=tolerance, threads=threads)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def changed(store: Store, trial_id: str, index: int, **columns: float) -> None:
    """Store another course for a trial than it had."""
    (trial,) = [each for each in store.trials(DEBA) if each.trial_id == trial_id]
    rows = store.intervals(DEBA)[trial_id]
    rows[index] = replace(rows[index], signals=replace(rows[index].signals, **columns))  # type: ignore[arg-type]
    store.write_intervals(trial, rows)


def test_trial_of_a_search_comes_out_the_same_and_is_kept_beside_it(store: Store) -> None:
    text = said(store, f"{DEBA}-search-0")
    assert "equal in all 7 intervals: batch sizes, losses, signals" in text
    assert "then" not in text
    again = next(trial for trial in store.trials(DEBA) if trial.phase == "rerun")
    source = next(trial for trial in store.trials(DEBA) if trial.phase == "search")
    assert (again.trial_id, again.source_trial_id) == (f"{DEBA}-rerun-0", source.trial_id)
    assert (again.seed, again.params, again.val_error) == (source.seed, source.params, source.val_error)
    assert again.adaptations > 0
    assert examine(store).findings == []
    said(store, f"{DEBA}-search-0")
    assert f"{DEBA}-rerun-1" in {trial.trial_id for trial in store.trials(DEBA)}


def test_rungs_are_part_of_what_is_repeated(store: Store) -> None:
    """Were they left out, the interval at the first rung would not be evaluated."""
    rows = store.intervals(DEBA)[f"{DEBA}-search-0"]
    cadence = [index for index, row in enumerate(rows) if row.val_error is not None]
    assert len(cadence) > 2  # the epochs' ends, and a rung


def test_control_of_a_confirmation_runs_its_own_scheduler_on_the_test_split(store: Store) -> None:
    source = next(trial for trial in store.trials(DEBA) if trial.phase == "search")
    control = replace(
        source,
        trial_id=f"{DEBA}-confirm-0",
        phase="confirm",
        role="mean_batch",
        scheduler="constant",
        seed=10**6,
        params={name: value for name, value in source.params.items() if name.startswith("train/")},
    )
    assert ran(store, control, test=True).test_error is not None
    assert "equal in all" in said(store, control.trial_id)
    again = next(trial for trial in store.trials(DEBA) if trial.phase == "rerun")
    assert again.scheduler == "constant"
    assert again.test_error is not None


@pytest.mark.parametrize(("column", "factor"), [("train_loss", 1.01), ("grad_norm", 1.01)])
def test_difference_is_named_by_interval_and_column(store: Store, column: str, factor: float) -> None:
    trial_id = f"{DEBA}-search-0"
    for index in (3, 5):
        was = getattr(store.intervals(DEBA)[trial_id][index].signals, column)
        changed(store, trial_id, index, **{column: was * factor})
    with pytest.raises(AdasearchError, match=f"tolerance of 0, first in interval 3: {column} ") as caught:
        said(store, trial_id)
    assert not isinstance(caught.value, InputError)
    text = said(store, trial_id, tolerance=0.02)
    assert "within the tolerance of 0.02 in all 7 intervals" in text
    assert [line.split()[0] for line in text.splitlines() if column in line] == ["3", "5"]
    with pytest.raises(AdasearchError, match=r"tolerance of 0.005, first in interval 3"):
        said(store, trial_id, tolerance=0.005)


def test_what_is_different_now_is_said_and_loosens_the_tolerance(store: Store) -> None:
    source = next(trial for trial in store.trials(DEBA) if trial.phase == "search")
    store.write_trial(replace(source, versions={**source.versions, "torch": "2.0"}, workers=2))
    changed(
        store,
        source.trial_id,
        2,
        train_loss=store.intervals(DEBA)[source.trial_id][2].signals.train_loss * 1.01,
    )
    text = said(store, source.trial_id)
    assert "torch: 2.0 then, " in text
    assert "workers: 2 then, 1 now" in text
    assert "within the tolerance of 0.05" in text


def test_course_of_another_length_differs(store: Store) -> None:
    source = next(trial for trial in store.trials(DEBA) if trial.phase == "search")
    store.write_intervals(source, store.intervals(DEBA)[source.trial_id][:-1])
    with pytest.raises(AdasearchError, match="first in interval 6: interval none then, 6 now"):
        said(store, source.trial_id, tolerance=100)


def test_interrupted_rerun_goes_on_under_its_number(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(interval: IntervalRecord, *_: object) -> str:
        if interval.signals.interval == 4:
            raise KeyboardInterrupt
        return ""

    options, console = RunOptions(checkpoint_every=1), Console(file=io.StringIO())
    with monkeypatch.context() as patch:
        patch.setattr("adasearch.commands._rerun.interval_line", interrupt)
        with pytest.raises(KeyboardInterrupt):
            rerun(store, f"{DEBA}-search-0", console=console, options=options)
    assert next(trial for trial in store.trials(DEBA) if trial.phase == "rerun").status == "running"
    heard: list[int] = []

    def hear(interval: IntervalRecord, *_: object) -> str:
        heard.append(interval.signals.interval)
        return ""

    monkeypatch.setattr("adasearch.commands._rerun.interval_line", hear)
    rerun(store, f"{DEBA}-search-0", console=console, options=options)
    assert heard[0] > 0
    assert [trial.status for trial in store.trials(DEBA) if trial.phase == "rerun"] == ["complete"]
    assert store.checkpointed(DEBA) == []


def test_what_cannot_be_repeated_is_refused_and_writes_nothing(store: Store) -> None:
    source = next(trial for trial in store.trials(DEBA) if trial.phase == "search")
    store.write_trial(replace(source, trial_id=f"{DEBA}-search-8", number=8, status="pruned"))
    store.write_trial(replace(source, trial_id=f"{DEBA}-search-9", number=9))
    store.write_trial(replace(source, trial_id=f"{DEBA}-rerun-7", number=7, phase="rerun"))
    before = sorted(Path(store.name).rglob("*"))
    for trial_id, says in (
        (f"{DEBA}-search-77", "unknown trial"),
        (f"{DEBA}-search-8", "must be complete to be run again but is pruned"),
        (f"{DEBA}-search-9", "intervals .* are not stored"),
        (f"{DEBA}-rerun-7", "is of phase rerun"),
    ):
        with pytest.raises(InputError, match=says):
            said(store, trial_id)
    with pytest.raises(InputError, match="--threads must be at least 1 but got 0"):
        said(store, source.trial_id, threads=0)
    with pytest.raises(InputError, match="--tolerance must be at least 0 but got nan"):
        said(store, source.trial_id, tolerance=float("nan"))
    store.write_study(replace(study_of(store), fingerprint="other"))
    with pytest.raises(InputError, match="fingerprint other"):
        said(store, source.trial_id)
    assert sorted(Path(store.name).rglob("*")) == before


def test_single_run_is_repeated_by_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    single = ["train", "--architecture", "resnet18", "--subset", "100", "--largest", "48", "--epochs", "1"]

    def code_of(*arguments: str) -> object:
        try:
            main(list(arguments))
        except SystemExit as stop:
            return stop.code
        return 0

    assert code_of(*single) == 0
    assert code_of("rerun", f"{CONSTANT}-train-0") == 0
    assert "equal in all 1 intervals" in capsys.readouterr().out
    store = Store("results")
    assert [trial.trial_id for trial in store.trials("train")] == [
        f"{CONSTANT}-rerun-0",
        f"{CONSTANT}-train-0",
    ]
    assert examine(store).findings == []
    assert code_of(*single) == 0  # numbered among its kind
    assert store.trials("train")[-1].trial_id == f"{CONSTANT}-train-1"
    assert code_of("rerun", f"{CONSTANT}-train-7") == 2


# --- what is compared -----------------------------------------------------------------------------------


def test_costs_are_not_compared_and_decisions_are() -> None:
    one = interval_at(0)
    dearer = replace(one, train_seconds=9.0, device_batch=4, passes=8, eval_seconds=3.0, out_of_memory=1)
    assert differences([one], [dearer]) == []
    grown = interval_at(0, action="grow")
    assert {each.column for each in differences([one], [grown])} == {"action", "next_batch_size"}
    worded = replace(one, decision=replace(one.decision, reason="otherwise"))
    assert [each.column for each in differences([one], [worded])] == ["reason"]
    assert differences([one], [worded], words=False) == []


# --- versions -------------------------------------------------------------------------------------------


@pytest.fixture
def _commit_anew() -> Iterator[None]:
    git_commit.cache_clear()
    yield
    git_commit.cache_clear()


@pytest.mark.usefixtures("_commit_anew")
def test_commit_of_the_working_folder_is_stored_where_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert "git_commit" not in versions()
    who = ["-c", "user.name=a", "-c", "user.email=a@b.example"]
    for arguments in (["init", "-q"], [*who, "commit", "-q", "--allow-empty", "-m", "x"]):
        subprocess.run(["git", *arguments], check=True)
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    git_commit.cache_clear()
    assert versions()["git_commit"] == commit.stdout.strip()
    assert versions(threads=3)["threads"] == 3
    assert versions(hardware="a CPU")["hardware"] == "a CPU"


@pytest.mark.usefixtures("_commit_anew")
@pytest.mark.parametrize("script", [None, "exit 1", "echo no commit", "sleep 60"])
def test_git_that_is_missing_fails_or_hangs_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str | None
) -> None:
    if script is not None:
        (tmp_path / "git").write_text(
            f"#!/bin/sh\nexec /bin/{script}\n" if "sleep" in script else f"#!/bin/sh\n{script}\n"
        )
        (tmp_path / "git").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("adasearch.environment.GIT_SECONDS", 0.5)
    assert "git_commit" not in versions()
