"""What the tests of the store share: a small one, a study's trial, and a process that holds a study."""

from pathlib import Path

import pytest

from adasearch.store import Store
from tests.rows import STUDY
from tests.store.held import INTERVALS, TRIAL


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return tmp_path / "results"


@pytest.fixture
def store(results: Path) -> Store:
    return Store(str(results))


@pytest.fixture
def full(store: Store) -> Store:
    """A store with one study, one trial and its two intervals."""
    store.write_study(STUDY)
    store.write_intervals(TRIAL, INTERVALS)
    store.write_trial(TRIAL)
    return store
