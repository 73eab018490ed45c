"""A whole search with its results in S3: killed, cut off for a while, cut off for good, and gone on with."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from adasearch.doctor.examine import examine
from adasearch.records import TrialRecord
from adasearch.store import Store
from tests.commands.test_search import TINY, adasearch, assert_gone, descendants, run, wait_for
from tests.object_store import S3, SECRET, s3_server

pytestmark = [pytest.mark.ray, pytest.mark.soak]

SEARCH = (
    "search --architecture mobilenet_v3_small --scheduler deba --space deba_short --seed 3 --trials 40 "
    "--checkpoint-every 2 --stopper none"
).split() + TINY


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    with s3_server() as server:
        yield server


def ended(uri: str) -> dict[str, TrialRecord]:
    store = Store(uri)
    trials = [trial for study in store.studies() for trial in store.trials(study.study)]
    assert len({trial.trial_id for trial in trials}) == len(trials), "a trial is there twice"
    return {trial.trial_id: trial for trial in trials if trial.status != "running"}


def test_search_in_a_bucket_loses_and_doubles_nothing_whatever_happens(
    s3: S3, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bucket = s3.bucket()
    uri, direct = s3.uri(bucket, bad_weather=True), s3.uri(bucket)
    command = [*SEARCH, "--results", uri]
    said, seconds = "", {}

    # Killed; the lease of a process that is gone is taken over at once.
    first = adasearch(*command, cwd=tmp_path)
    wait_for(lambda: len(ended(direct)) >= 3, first, 600)
    below = descendants(first)
    first.kill()
    said += "".join(first.communicate())
    assert_gone(below, seconds=180)
    kept = ended(direct)

    # Cut off for a while, in which trials end, and then for good.
    began = time.monotonic()
    second = adasearch(*command, cwd=tmp_path)
    wait_for(lambda: len(ended(direct)) > len(kept), second, 600)
    seconds["killed, until the next trial ended"] = time.monotonic() - began
    held = run(*command, cwd=tmp_path, timeout=600)
    assert held.code == 1
    assert f"process {second.pid}" in held.err
    before = len(ended(direct))
    s3.proxy.always = "drop"
    time.sleep(15)
    assert second.poll() is None
    s3.proxy.always = "fine"
    began = time.monotonic()
    wait_for(lambda: len(ended(direct)) > before, second, 600)
    seconds["cut off for 15 s, until the next trial ended"] = time.monotonic() - began
    s3.proxy.always = "busy"
    began = time.monotonic()
    out, err = second.communicate(timeout=600)
    seconds["cut off for good, until the search ended"] = time.monotonic() - began
    assert second.returncode == 1, out + err
    last = err.splitlines()[-1]
    assert "(tried for 60 s); what is finished is kept. To go on: adasearch search" in last
    said += out + err
    s3.proxy.calm()
    for trial_id, trial in kept.items():
        assert ended(direct)[trial_id] == trial
    kept = ended(direct)

    # The same command goes on to the end.
    third = run(*command, cwd=tmp_path, timeout=600)
    assert third.code == 0, third.err
    said += third.out + third.err + held.out + held.err
    trials = ended(direct)
    assert {trial_id: trials[trial_id] for trial_id in kept} == kept
    store = Store(direct)
    assert len(store.studies()) == 2
    for study in store.studies():
        numbers = [trial.number for trial in store.trials(study.study)]
        assert numbers == list(range(40))
        for trial in store.trials(study.study):
            course = store.intervals(study.study)[trial.trial_id]
            assert [record.signals.interval for record in course] == list(range(len(course)))
            assert trial.status == "complete", trial.error
            assert course[-1].signals.examples_seen == trial.examples_seen
    assert examine(store).findings == []
    assert SECRET not in said
    assert "Traceback" not in said
    assert SECRET.encode() not in s3.everything(bucket)
    assert not [key for key in s3.keys(bucket) if ".ray" in key]
    with capsys.disabled():
        print(json.dumps({what: round(took, 1) for what, took in seconds.items()}))  # noqa: T201
