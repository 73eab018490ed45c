"""The dashboard through its real server: what it lists, what appears while it runs, and how it ends."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from adasearch.commands._dashboard import Mirror, own_hosts_only
from adasearch.errors import InputError
from adasearch.records import TrialRecord
from adasearch.store import Store
from tests.analysis.test_importance import drawn, searched
from tests.rows import START, trial_of

STUDY, CONSTANT = searched(), searched("vit_b_16")
DRAWN = drawn(STUDY, 6)
TRIALS = [
    *DRAWN[:2],
    replace(DRAWN[2], status="pruned"),
    replace(DRAWN[3], status="failed", val_error=None, train_seconds=None, error="train_loss is nan"),
    replace(DRAWN[4], status="running", val_error=None, train_seconds=None),
    trial_of(STUDY, 0, phase="confirm", val_error=0.5, seconds=1, params=DRAWN[0].params),
]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """One study with a trial of each state and one of a confirmation, and one without any trial."""
    store = Store(str(tmp_path / "results"))
    for study in (STUDY, CONSTANT):
        store.write_study(study)
    for trial in TRIALS:
        store.write_trial(trial)
    return store


def mirrored(mirror: Mirror, name: str = STUDY.study) -> list[optuna.trial.FrozenTrial]:
    return optuna.load_study(study_name=name, storage=mirror.storage).trials


# --- the studies in memory --------------------------------------------------------------------------


def test_trials_have_their_numbers_values_parameters_and_states(store: Store) -> None:
    trials = mirrored(Mirror(store))
    states = [TrialState.COMPLETE] * 2 + [TrialState.PRUNED, TrialState.FAIL, TrialState.RUNNING]
    assert [trial.state for trial in trials] == states
    assert [trial.number for trial in trials] == [0, 1, 2, 3, 4]
    assert trials[0].values == [DRAWN[0].val_error, DRAWN[0].train_seconds]
    assert trials[2].values is None
    assert trials[0].params == {name: DRAWN[0].params[name] for name in trials[0].params}
    assert "scheduler/growth" in trials[0].params
    assert "scheduler/shrink" not in trials[0].params  # fixed
    assert trials[3].user_attrs["trial_id"] == DRAWN[3].trial_id
    assert trials[3].user_attrs["error"] == "train_loss is nan"
    assert [trial.user_attrs["status"] for trial in trials[2:]] == ["pruned", "failed", "running"]


def test_running_trial_ends_and_new_ones_come_whatever_ends_first(store: Store) -> None:
    mirror = Mirror(store)
    sixth = replace(DRAWN[5], ended_at=START + timedelta(seconds=9), adaptations=2)
    store.write_trial(sixth)
    mirror.refresh()
    assert [trial.state for trial in mirrored(mirror)[4:]] == [TrialState.RUNNING, TrialState.COMPLETE]
    store.write_trial(replace(DRAWN[4], mean_batch_size=40.5))
    mirror.refresh()
    fifth = mirrored(mirror)[4]
    assert (fifth.state, fifth.values) == (TrialState.COMPLETE, [DRAWN[4].val_error, DRAWN[4].train_seconds])
    assert (fifth.user_attrs["status"], fifth.user_attrs["mean batch size"]) == ("complete", 40.5)
    assert mirrored(mirror)[5].user_attrs["changes of batch size"] == 2
    assert len(mirrored(mirror)) == 6


@pytest.mark.parametrize("status", ["pruned", "failed"])
def test_running_trial_that_was_stopped_or_failed_has_no_values(store: Store, status: Any) -> None:
    mirror = Mirror(store)
    store.write_trial(replace(DRAWN[4], status=status, error="why"))
    mirror.refresh()
    trial = mirrored(mirror)[4]
    assert trial.state == (TrialState.PRUNED if status == "pruned" else TrialState.FAIL)
    assert (trial.values, trial.user_attrs["error"]) == (None, "why")


def test_study_that_begins_later_appears_unless_others_were_asked_for(store: Store) -> None:
    every, one = Mirror(store), Mirror(store, [STUDY.study])
    store.write_study(searched("alexnet"))
    for mirror, count in ((every, 3), (one, 1)):
        mirror.refresh()
        assert mirror.studies == len(mirror.storage.get_all_studies()) == count


def test_only_what_changed_is_read_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror = Mirror(store)
    read: list[str] = []
    trials = Store.trials

    def counted(self: Store, study: str) -> list[TrialRecord]:
        read.append(study)
        return trials(self, study)

    monkeypatch.setattr(Store, "trials", counted)
    mirror.refresh()
    assert read == []
    store.write_trial(drawn(CONSTANT, 1)[0])
    mirror.refresh()
    assert read == [CONSTANT.study]


def test_unknown_study_is_refused(store: Store) -> None:
    with pytest.raises(InputError, match=f"did you mean '{STUDY.study}'"):
        Mirror(store, [f"{STUDY.study}s"])


# --- the server -------------------------------------------------------------------------------------


@contextmanager
def running(store: Store, *arguments: str) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """The dashboard of a folder as the command starts it, with its address."""
    command = [sys.executable, "-m", "adasearch", "dashboard", "--results", store.name, "--port", "0"]
    process = subprocess.Popen(
        [*command, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert "http://127.0.0.1:" in line, (line, process.stderr and process.stderr.read())
        yield line.partition(" at ")[2].partition(" ")[0].rstrip("/"), process
    finally:
        process.kill()
        process.communicate()


DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # this machine is asked itself


def get(address: str) -> Any:
    with DIRECT.open(address, timeout=30) as answer:
        return json.load(answer)


def test_dashboard_lists_the_studies_and_shows_a_trial_that_was_added_and_ends_with_130(store: Store) -> None:
    with running(store) as (address, process):
        studies = {
            each["study_name"]: each["study_id"] for each in get(f"{address}/api/studies")["study_summaries"]
        }
        assert set(studies) == {STUDY.study, CONSTANT.study}
        detail = get(f"{address}/api/studies/{studies[STUDY.study]}")
        assert [trial["number"] for trial in detail["trials"]] == [0, 1, 2, 3, 4]
        assert [trial["state"] for trial in detail["trials"]] == [
            "Complete",
            "Complete",
            "Pruned",
            "Fail",
            "Running",
        ]
        assert get(f"{address}/api/studies/{studies[CONSTANT.study]}")["trials"] == []

        store.write_trial(drawn(CONSTANT, 1)[0])
        until = time.monotonic() + 60
        while not (found := get(f"{address}/api/studies/{studies[CONSTANT.study]}")["trials"]):
            assert time.monotonic() < until
            time.sleep(0.5)
        assert found[0]["state"] == "Complete"

        # Nothing can be changed: a copy that differs from the store would mislead.
        delete = urllib.request.Request(f"{address}/api/studies/{studies[STUDY.study]}", method="DELETE")
        with pytest.raises(urllib.error.HTTPError) as refused:
            DIRECT.open(delete, timeout=30)
        with refused.value as answer:
            assert answer.code == 405
        assert len(get(f"{address}/api/studies")["study_summaries"]) == 2

        rebound = urllib.request.Request(f"{address}/api/studies", headers={"Host": "rebound.example"})
        with pytest.raises(urllib.error.HTTPError) as refused:
            DIRECT.open(rebound, timeout=30)
        with refused.value as answer:
            assert answer.code == 421

        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 130, err
        assert out == ""
        assert err.strip() == "adasearch: interrupted"  # after the line of the ^C


def test_sigterm_is_what_ctrl_c_is(store: Store) -> None:
    with running(store) as (_, process):
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 130
        assert err.strip() == "adasearch: interrupted"


def refused(*arguments: str, **environment: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "adasearch", "dashboard", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )
    assert len(done.stderr.splitlines()) == 1, done.stderr
    return done.returncode, done.stderr


def test_port_in_use_is_one_line(store: Store) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, says = refused("--results", store.name, "--port", str(port))
    assert code == 1
    assert f"cannot listen on 127.0.0.1, port {port}: Address already in use; see --port and --host" in says


def test_missing_extra_is_one_line_that_says_what_to_install(store: Store, tmp_path: Path) -> None:
    (tmp_path / "optuna_dashboard.py").write_text("raise ImportError('no such module')")
    paths = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    code, says = refused("--results", store.name, PYTHONPATH=paths)
    assert code == 2
    assert "pip install 'adasearch[dashboard]'" in says


def test_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    code, says = refused("--results", str(tmp_path / "nothing"))
    assert (code, "must be an existing folder but is not there" in says) == (2, True)


# --- whose pages it answers ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("listens", "asked", "answered"),
    [
        *[("127.0.0.1", name, True) for name in ("localhost", "LOCALHOST:8080", "127.0.0.1:9", "[::1]:8080")],
        *[
            ("127.0.0.1", name, False)
            for name in ("rebound.example", "rebound.example:8080", "", "a:b:c", "[")
        ],
        ("127.0.0.1", "127.0.0.1.rebound.example:8080", False),
        ("127.0.0.1", "localhost@rebound.example", False),
        ("127.0.0.1", "rebound.example@localhost", False),
        ("127.0.0.1", "10.0.0.7:8080", False),
        ("gpu7.lab", "gpu7.lab:8080", True),
        ("gpu7.lab", "gpu8.lab:8080", False),
        ("::1", "[::1]", True),
        ("0.0.0.0", "10.0.0.7:8080", True),
        ("0.0.0.0", f"{socket.gethostname()}:8080", True),
        ("0.0.0.0", "rebound.example:8080", False),
    ],
)
def test_only_its_own_names_are_answered(listens: str, asked: str, answered: bool) -> None:
    said: list[str] = []
    app = own_hosts_only(lambda environ, start: [b"studies"], listens)
    body = b"".join(app({"HTTP_HOST": asked}, lambda status, headers: said.append(status)))
    assert (body == b"studies") == answered
    assert said == ([] if answered else ["421 Misdirected Request"])


def test_request_without_a_host_is_refused() -> None:
    app = own_hosts_only(lambda environ, start: [b"studies"], "127.0.0.1")
    assert b"not a name of the dashboard" in b"".join(app({}, lambda status, headers: None))
