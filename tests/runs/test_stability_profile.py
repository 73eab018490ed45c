"""The runs that a stability profile rests on, out of those of all profiles."""

from dataclasses import replace
from pathlib import Path

import pytest

from adasearch.errors import InputError
from adasearch.runs.stability_profile import histories_of
from adasearch.store import Store
from tests.rows import STUDY, at_marks, trial_of


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Two profiles: three runs of one, of which one failed, and one of another."""
    store = Store(str(tmp_path / "results"))
    for name, number in (("mine", 0), ("mine", 1), ("mine", 2), ("other", 0)):
        trial = trial_of(replace(STUDY, study=name), number, phase="profile")
        store.write_trial(replace(trial, status="failed" if number == 1 else "complete"))
        store.write_intervals(trial, at_marks((0.5, 1.0), (0.4, 1.0)))
    return store


def test_histories_are_those_of_the_complete_runs_by_seed(store: Store) -> None:
    signals = [record.signals for record in at_marks((0.5, 1.0), (0.4, 1.0))]
    assert histories_of(store, "mine") == [signals, signals]


def test_of_other_profiles_no_intervals_are_read(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("other-profile-0", "mine-profile-1"):
        (Path(store.name) / "profiles" / "intervals" / f"{name}.parquet").write_bytes(b"damaged")
    assert len(histories_of(store, "mine")) == 2
    assert capsys.readouterr().err == ""


def test_a_profile_without_runs_is_refused(store: Store) -> None:
    with pytest.raises(InputError, match="stability profile theirs has no runs in "):
        histories_of(store, "theirs")
