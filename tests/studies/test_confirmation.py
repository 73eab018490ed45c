"""What is read of a results folder to confirm some of its studies; a damaged file tells when it is opened."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from adasearch.choices import Controls
from adasearch.errors import InputError
from adasearch.records import StudyRecord
from adasearch.store import Store
from adasearch.studies.confirmation import Job, jobs_of
from tests.rows import at_marks, study_of, trial_of

CONSTANT, DEBA, ADABATCH = (study_of(name) for name in ("constant", "deba", "adabatch"))
ELSEWHERE = [study_of(name, "vgg11") for name in ("constant", "deba", "adabatch")]
PARAMS = {"train/lr": 0.1, "train/batch_size": 32}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Two networks, three studies of two trials each; the adaptive ones gain."""
    store = Store(str(tmp_path / "results"))
    for study in (CONSTANT, DEBA, ADABATCH, *ELSEWHERE):
        store.write_study(study)
        for number in range(2):
            seconds = 50.0 if study.scheduler == "constant" else 40.0 + number
            trial = trial_of(study, number, val_error=0.1, seconds=seconds, params=PARAMS)
            store.write_trial(replace(trial, adaptations=1, mean_batch_size=40.0))
            store.write_intervals(trial, at_marks((0.4, 20.0), (0.1, 20.0)))
    return store


def spoil(store: Store, study: StudyRecord, number: int, *tables: str) -> None:
    for table in tables:
        path = Path(store.name) / study.study / table / f"{study.study}-search-{number}.parquet"
        path.write_bytes(b"damaged")


def jobs(
    store: Store, *studies: str, trials: Sequence[str] = (), controls: Controls = "matched"
) -> list[Job]:
    return jobs_of(store, studies, trials, seeds=1, controls=controls, console=Console(quiet=True))


@pytest.mark.parametrize(
    ("studies", "trials"), [([DEBA.study], []), ([], [f"{DEBA.study}-search-0"])], ids=["study", "trial"]
)
def test_confirming_reads_the_study_its_baseline_and_the_intervals_of_the_candidate(
    store: Store, capsys: pytest.CaptureFixture[str], studies: list[str], trials: list[str]
) -> None:
    for study in (*ELSEWHERE, ADABATCH):
        spoil(store, study, 0, "trials", "intervals")
    for study, number in ((CONSTANT, 0), (CONSTANT, 1), (DEBA, 1)):
        spoil(store, study, number, "intervals")
    (job,) = jobs(store, *studies, trials=trials)
    assert capsys.readouterr().err == ""
    assert [(run.role, run.source_trial_id) for run in job.runs] == [
        ("candidate", f"{DEBA.study}-search-0"),
        ("reference", f"{CONSTANT.study}-search-0"),
    ]


def test_all_controls_read_the_adabatch_study_beside_it_too(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    for study in ELSEWHERE:
        spoil(store, study, 0, "trials", "intervals")
    (job,) = jobs(store, DEBA.study, controls="all")
    assert capsys.readouterr().err == ""
    roles = ["candidate", "reference", "largest", "adabatch", "adabatch_tuned"]
    assert [run.role for run in job.runs] == roles
    assert job.runs[-1].source_trial_id == f"{ADABATCH.study}-search-0"
    (job,) = jobs(store, ADABATCH.study, controls="all")
    assert "adabatch_tuned" not in {run.role for run in job.runs}


def test_every_adaptive_study_is_confirmed_where_none_is_named(store: Store) -> None:
    adaptive = [DEBA, ADABATCH, *ELSEWHERE[1:]]
    assert {job.study.study for job in jobs(store)} == {study.study for study in adaptive}


@pytest.mark.parametrize(
    ("number", "controls", "expected"),
    [
        (0, "matched", ["candidate"]),  # it is the reference, and the untuned default, itself
        (1, "matched", ["candidate", "reference"]),
        (1, "none", ["candidate"]),
    ],
)
def test_a_constant_trial_is_confirmed_where_it_is_named(
    store: Store, number: int, controls: Controls, expected: list[str]
) -> None:
    (job,) = jobs(store, trials=[f"{CONSTANT.study}-search-{number}"], controls=controls)
    assert job.study == CONSTANT
    assert [run.role for run in job.runs] == expected
    assert job.runs[0].source_trial_id == f"{CONSTANT.study}-search-{number}"


def test_a_reference_that_is_named_itself_runs_once(store: Store) -> None:
    (job,) = jobs(store, trials=[f"{CONSTANT.study}-search-{number}" for number in (0, 1)])
    assert [(run.role, run.source_trial_id) for run in job.runs] == [
        ("candidate", f"{CONSTANT.study}-search-0"),
        ("candidate", f"{CONSTANT.study}-search-1"),
    ]


def test_an_adaptive_trial_is_confirmed_alone_where_no_controls_are_wanted(store: Store) -> None:
    (job,) = jobs(store, DEBA.study, controls="none")
    assert [run.role for run in job.runs] == ["candidate"]


def test_a_trial_that_cannot_be_confirmed_is_refused_with_those_of_every_study(store: Store) -> None:
    for name in (f"{CONSTANT.study}-search-9", "nowhere-search-0", "nonsense"):
        with pytest.raises(InputError, match=f"unknown complete trial '{name}'") as refused:
            jobs(store, trials=[name])
        assert f"{ELSEWHERE[2].study}-search-1" in str(refused.value)
