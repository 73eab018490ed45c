"""A search whose thresholds are quantiles and whose clock is a profile's, on real Ray Train workers."""

from pathlib import Path

import pytest

from adasearch.profiles.profile_store import ProfileStore
from adasearch.profiles.quantiles import thresholds
from adasearch.runs.stability_profile import histories_of
from adasearch.store import Store
from tests import own_nets
from tests.commands.test_profile import SHORT, TINY
from tests.commands.test_search import run

pytestmark = [pytest.mark.ray, pytest.mark.soak]


def test_search_of_quantiles_by_modelled_time(tmp_path: Path) -> None:
    (tmp_path / "short.yaml").write_text(SHORT)
    (tmp_path / "own_nets.py").write_text(Path(own_nets.__file__).read_text())
    assert run("profile", "--architecture", "own_nets:good", *TINY, "--kind", "speed", cwd=tmp_path).code == 0
    search = ["search", "--architecture", "own_nets:good", *TINY, "--epochs", "2", "--scheduler", "deba"]
    first = run(*search, "--space", "short.yaml", "--slots", "1", "--trials", "2", cwd=tmp_path)
    assert first.code == 0, first.err
    assert "need a stability profile, which comes first" in first.out
    assert "by the modelled (" in first.out
    store = Store(str(tmp_path / "results"))
    (speed,) = ProfileStore(store.name).speed()
    studies = store.studies()
    assert [(s.clock, s.device_profile) for s in studies] == [("modelled", speed.profile)] * 2
    (study,) = [each for each in studies if each.scheduler == "deba"]
    assert study.stability_profile is not None
    runs = histories_of(store, study.stability_profile)
    trials = store.trials(study.study)
    assert [trial.number for trial in trials] == [0, 1]
    for trial in trials:
        absolute = thresholds("deba", trial.params, runs)
        assert len(absolute) == 2
        assert {name: trial.params[name] for name in absolute} == absolute
        if trial.status == "complete":
            assert trial.modelled_seconds is not None
            assert trial.modelled_seconds > 0
    judged = run("compare", "--clock", "measured", cwd=tmp_path)
    assert "by the measured clock" in judged.out
