from dataclasses import replace
from pathlib import Path

import pytest

from adasearch.analysis.gather import Scope, gather, select
from adasearch.profiles.profile_store import ProfileStore
from adasearch.records import StudyRecord, TrialRecord
from adasearch.store import Store
from tests.profile_rows import speed_of
from tests.rows import at_marks, study_of, trial_of

NETWORKS = ("alexnet", "resnet18", "vgg11")
CHOSEN = study_of("deba").study


def confirming(
    study: StudyRecord, source: TrialRecord, role: str, first: int, error: float
) -> list[TrialRecord]:
    """Five runs of one role whose errors and times scatter."""
    return [
        replace(
            trial_of(
                study, first + n, phase="confirm", val_error=error, seconds=30 + 2 * first + (n * 7) % 5
            ),
            role=role,
            source_trial_id=source.trial_id,
            seed=n,
            test_error=error + (n * 3 % 5) / 500,
            adaptations=1,
        )
        for n in range(5)
    ]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Three networks: DEBA gains on each, and was confirmed on the first two."""
    store = Store(str(tmp_path / "results"))
    for place, network in enumerate(NETWORKS):
        constant, deba = study_of("constant", network), study_of("deba", network)
        reference = trial_of(constant, 0, val_error=0.1, seconds=50)
        candidate = replace(trial_of(deba, 0, val_error=0.1, seconds=40), adaptations=1)
        runs = [
            *confirming(deba, candidate, "candidate", 0, 0.1),
            *confirming(deba, reference, "reference", 5, 0.1 + place / 100),
        ]
        for study in (constant, deba):
            store.write_study(study)
            ProfileStore(store.name).write(speed_of(study))
        for trial in [reference, candidate, *(runs if place < 2 else [])]:
            store.write_trial(trial)
            store.write_intervals(trial, at_marks((0.4, 20.0), (0.1, 20.0)))
    return store


def spoil(store: Store, study: StudyRecord, number: int = 0) -> str:
    """Damage a trial's row and its intervals; return the trial's name."""
    name = f"{study.study}-search-{number}"
    for table in ("trials", "intervals"):
        (Path(store.name) / study.study / table / f"{name}.parquet").write_bytes(b"damaged")
    return name


@pytest.mark.parametrize("device_profile", [None, "abacus"])
@pytest.mark.parametrize("network", NETWORKS)
def test_studies_asked_for_have_the_rows_that_they_have_among_all(
    store: Store, network: str, device_profile: str | None
) -> None:
    """The p values, too, which are corrected over everything that was confirmed."""
    name = study_of("deba", network).study
    every = gather(store, Scope(device_profile=device_profile))
    one = gather(store, Scope(studies=[name], device_profile=device_profile))
    assert list(one.rows) == [row for row in every.rows if row.study == name]
    assert list(one.evidence) == [row for row in every.evidence if row.study == name]
    assert len(one.evidence) == (0 if network == "vgg11" else 3)


def test_correction_is_over_all_that_was_confirmed(store: Store, tmp_path: Path) -> None:
    (row, *_) = gather(store, Scope(studies=[CHOSEN])).evidence
    alone = Store(str(tmp_path / "alone"))
    for scheduler in ("constant", "deba"):
        study = study_of(scheduler)
        alone.write_study(study)
        for trial in store.trials(study.study):
            alone.write_trial(trial)
    (single, *_) = gather(alone, Scope(studies=[CHOSEN])).evidence
    assert row.paired is not None
    assert single.paired is not None
    assert row.paired.p_time == pytest.approx(2 * single.paired.p_time)  # type: ignore[operator]


def test_only_the_studies_asked_for_and_their_baselines_are_read(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    for network in ("vgg11", "vit_b_16"):
        for scheduler in ("constant", "deba"):
            study = study_of(scheduler, network)
            store.write_study(study)
            store.write_trial(trial_of(study, 9, val_error=0.1, seconds=1))
            store.write_intervals(trial_of(study, 9), at_marks((0.1, 1.0)))
            spoil(store, study, 9)
    found = select(store, Scope(studies=[CHOSEN]))
    assert [study.study for study in found.studies] == [study_of("constant").study, CHOSEN]
    assert {trial.study for trial in found.trials} == {study_of("constant").study, CHOSEN}
    gather(store, Scope(studies=[CHOSEN], device_profile="abacus"))
    assert capsys.readouterr().err == ""
    baseline = spoil(store, study_of("constant"))
    select(store, Scope(studies=[CHOSEN]))
    assert baseline in capsys.readouterr().err


def test_all_studies_are_chosen_by_default(store: Store) -> None:
    found = select(store)
    assert list(found.chosen) == list(found.studies) == list(found.folder) == store.studies()
    assert len(found.trials) == 6 + 2 * 10
