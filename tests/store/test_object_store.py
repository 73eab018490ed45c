"""Results in a real S3 server on this machine, in good and in bad weather."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow.fs as pafs
import pytest

from adasearch.cli.main import main
from adasearch.doctor.examine import examine
from adasearch.doctor.repair import repair
from adasearch.errors import InputError, StoreError
from adasearch.io import filesystem as files
from adasearch.io import patience
from adasearch.io.filesystem import locate, read_whole, write_whole
from adasearch.records import TrialRecord
from adasearch.store import Store
from adasearch.store.locks import StudyLocked
from adasearch.training.checkpoint import Checkpoints
from tests.object_store import S3, SECRET, Fault, s3_server
from tests.rows import STUDY, interval_at, trial_of

TRIAL = trial_of(STUDY, 0, val_error=0.1, seconds=2.0)
COURSE = [interval_at(0), interval_at(1, val_error=0.1)]
TRAIN = (
    "train --architecture mobilenet_v3_small --dataset digits --subset 150 --epochs 2 --interval 0.5".split()
)


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    with s3_server() as server:
        yield server


@pytest.fixture(autouse=True)
def _weather(s3: S3, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Begin with fine weather, and with less patience than people have."""
    monkeypatch.setattr(patience, "RETRY_SECONDS", 4.0)
    monkeypatch.setattr(patience, "LONGEST_WAIT_SECONDS", 0.3)
    monkeypatch.setattr(files, "REQUEST_SECONDS", 1.0)
    s3.proxy.calm()
    yield
    s3.proxy.calm()


@pytest.fixture
def bucket(s3: S3) -> str:
    return s3.bucket()


@pytest.fixture
def uploaded(s3: S3, bucket: str, small_results: Path) -> str:
    """The URI of a small search's results."""
    uri = s3.uri(bucket)
    target, path = locate(uri)
    pafs.copy_files(str(small_results), path, destination_filesystem=target)
    return uri


def ended(*arguments: str) -> object:
    """Run a command in this process and return its exit code."""
    try:
        main(list(arguments))
    except SystemExit as stop:
        return stop.code
    return 0


# --- in good weather --------------------------------------------------------------------------------


def test_rows_are_in_a_bucket_what_they_are_in_a_folder(
    s3: S3, bucket: str, uploaded: str, small_results: Path
) -> None:
    """Read, written one by one, listed and compacted."""
    here, there = Store(str(small_results)), Store(uploaded, must_exist=True)
    copy = Store(s3.uri(bucket, "copy"))
    for study in here.studies():
        copy.write_study(study)
        for trial in here.trials(study.study):
            copy.write_intervals(trial, here.intervals(study.study)[trial.trial_id])
            copy.write_trial(trial)
    for store in (there, copy):
        assert store.studies() == here.studies()
        for study in here.studies():
            assert store.trials(study.study) == here.trials(study.study)
            assert dict(store.intervals(study.study)) == dict(here.intervals(study.study))
    uploads = s3.client.list_multipart_uploads(Bucket=bucket)
    assert "Uploads" not in uploads


def test_commands_say_of_a_bucket_what_they_say_of_the_folder(
    uploaded: str, small_results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = []
    for place in (str(small_results), uploaded):
        assert ended("compare", "--results", place) == 0
        assert ended("doctor", place) == 0
        assert ended("compare", "--results", place, "--format", "json") == 0
        assert ended("list", "studies", "--results", place) == 0
        said.append(capsys.readouterr())
    assert said[0].out == said[1].out
    assert "resnet18" in said[0].out
    assert said[0].err == said[1].err == ""


def test_compacted_bucket_is_read_as_before(
    uploaded: str, small_results: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adasearch.store.compaction.SETTLED_SECONDS", -1)  # S3 tells whole seconds
    assert ended("compact", uploaded) == 0
    assert "resnet18-nano-deba-digits: 2 trials and 14 intervals compacted" in capsys.readouterr().out
    here, there = Store(str(small_results)), Store(uploaded)
    for study in here.studies():
        assert there.trials(study.study) == here.trials(study.study)
        assert dict(there.intervals(study.study)) == dict(here.intervals(study.study))
    assert examine(there).findings == []


def test_search_that_is_finished_is_found_finished_in_a_bucket(
    uploaded: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same command goes on from there: here with nothing, so that no Ray is started."""
    settings = "rule=settle confidence_threshold=3 stability_threshold=5 cooldown=2".split()
    fixed = [flag for each in settings for flag in ("--set", f"scheduler/{each}")]
    told = "--dataset digits --subset 120 --epochs 2 --interval 0.25 --largest 64 --set train/batch_size=16"
    search = ["search", "--architecture", "resnet18", *told.split(), *fixed, "--trials", "2"]
    assert ended(*search, "--results", uploaded) == 0
    assert "resnet18" in capsys.readouterr().out
    assert ended(*search, "--epochs", "3", "--results", uploaded) == 2
    assert "budget" in capsys.readouterr().err


def test_damage_in_a_bucket_is_named_and_set_aside(s3: S3, bucket: str, uploaded: str) -> None:
    store = Store(uploaded)
    study = store.studies()[0].study
    key = f"results/{study}/trials/{study}-search-1.parquet"
    s3.client.put_object(Bucket=bucket, Key=key, Body=b"half")
    report = examine(store)
    assert report.findings[0].path == key.removeprefix("results/")
    assert [line for line in repair(store, report.findings) if "moved to .damaged/" in line]
    assert f"results/.damaged/{key.removeprefix('results/')}" in s3.keys(bucket)
    assert examine(store).findings == []


# --- in bad weather ---------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["drop", "busy", "late", "half", "deaf"])
def test_faults_that_pass_lose_and_double_nothing(s3: S3, bucket: str, fault: Fault) -> None:
    """Every second request fails, of reading and of writing."""
    uri = s3.uri(bucket, bad_weather=True)
    store = Store(uri)
    s3.proxy.plan.extend([fault, "fine"] * 2)
    store.write_intervals(TRIAL, COURSE)
    store.write_trial(TRIAL)
    s3.proxy.plan.append(fault)
    assert store.trials(STUDY.study) == [TRIAL]
    s3.proxy.plan.append(fault)
    assert dict(store.intervals(STUDY.study)) == {TRIAL.trial_id: COURSE}
    assert s3.proxy.injected[fault] in ((4,) if fault != "late" else (3, 4))  # late is not always asked again
    assert len(s3.keys(bucket)) == 2


def test_server_that_does_not_answer_is_asked_again(s3: S3, bucket: str) -> None:
    """Without a time limit of its own, pyarrow waits for it for ever."""
    store = Store(s3.uri(bucket, bad_weather=True))
    s3.proxy.plan.append("silent")
    store.write_trial(TRIAL)
    assert s3.proxy.injected["silent"] == 1
    assert store.trials(STUDY.study) == [TRIAL]


def test_store_that_is_back_in_time_is_written_and_told_once(
    s3: S3, bucket: str, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store(s3.uri(bucket, bad_weather=True))
    s3.proxy.plan.extend(["busy"] * 5)
    store.write_trial(TRIAL)
    assert store.trials(STUDY.study) == [TRIAL]
    assert capsys.readouterr().err.count("trying again for 4 s") == 1
    assert not s3.proxy.plan


def test_file_that_is_not_answered_for_is_no_damaged_file(
    s3: S3, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To skip it would let a search run its trial once more."""
    monkeypatch.setattr(patience, "RETRY_SECONDS", 0.3)
    store = Store(s3.uri(bucket, bad_weather=True))
    store.write_trial(TRIAL)
    files_, root = locate(s3.uri(bucket, bad_weather=True))
    path = f"{root}/{STUDY.study}/trials/{TRIAL.trial_id}.parquet"
    s3.proxy.always = "busy"
    with pytest.raises(StoreError, match="cannot read"):
        store.trials(STUDY.study)
    with pytest.raises(StoreError, match=r"cannot read .*parquet: .* \(tried for 0.3 s\)"):
        read_whole(files_, path)
    with pytest.raises(StoreError, match="cannot read"):
        Checkpoints(s3.uri(bucket, "checkpoints", bad_weather=True))._paths()


def test_what_cannot_pass_is_not_tried_again(s3: S3, bucket: str) -> None:
    s3.proxy.always = "refuse"
    for uri in (s3.uri("nowhere"), s3.uri(bucket, bad_weather=True)):
        with pytest.raises(StoreError, match="cannot write") as caught:
            write_whole(*locate(uri), memoryview(b""))
        assert "tried for" not in str(caught.value)
    with pytest.raises(FileNotFoundError):
        read_whole(*locate(s3.uri(bucket, "not/there")))


def test_run_ends_clearly_with_the_store_and_goes_on_once_it_is_back(
    s3: S3, bucket: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "RETRY_SECONDS", 0.5)
    uri = s3.uri(bucket, bad_weather=True)
    command = [*TRAIN, "--checkpoint-every", "1", "--results", uri]
    writes = Store.write_intervals

    def fails_after_two(store: Store, trial: TrialRecord, intervals: list[object]) -> None:
        writes(store, trial, intervals)  # type: ignore[arg-type]
        if len(intervals) == 2:
            s3.proxy.always, s3.proxy.only = "busy", ".parquet"

    monkeypatch.setattr(Store, "write_intervals", fails_after_two)
    assert ended(*command) == 1
    err = capsys.readouterr().err.splitlines()
    assert err[-1].startswith("adasearch: cannot ")
    assert "(tried for 0.5 s); what is finished is kept. To go on: adasearch train" in err[-1]
    assert "Traceback" not in "".join(err)
    s3.proxy.calm()
    assert [trial.status for trial in Store(uri).trials("train")] == ["running"]
    monkeypatch.setattr(Store, "write_intervals", writes)
    assert ended(*command) == 0
    assert "goes on after" in capsys.readouterr().out
    (trial,) = Store(uri).trials("train")
    assert trial.status == "complete"
    assert len(Store(uri).intervals("train")[trial.trial_id]) == 4
    assert examine(Store(uri)).findings == []


# --- credentials ------------------------------------------------------------------------------------

NAMED = [
    "s3://KEY:{secret}@bucket/results",
    "s3://bucket/results?access_key=KEY&secret_key={secret}&region=us-east-1",
    "s3://bucket/results?session_token={secret}",
    "abfs://:{secret}@account.blob.core.windows.net/results",
]


@pytest.mark.parametrize("place", NAMED)
@pytest.mark.parametrize(
    "command", [["search", "--architecture", "resnet18"], TRAIN, ["compare"], ["profile"]]
)
def test_credentials_in_a_name_are_refused_and_not_repeated(
    place: str, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    place = place.format(secret=SECRET)
    assert ended(*command, "--results", place) == 2
    told = capsys.readouterr()
    assert SECRET not in told.out + told.err
    if command != ["profile"]:
        assert "must not hold credentials" in told.err
    for refused in (Store, locate, lambda name: locate(name, "--output")):
        with pytest.raises(InputError, match="must not hold credentials") as caught:
            refused(place)
        assert SECRET not in str(caught.value)


def test_credentials_are_not_in_any_message_of_wrong_usage_or_of_how_to_go_on(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = NAMED[0].format(secret=SECRET)
    assert ended("compare", place) == 2
    assert ended("doctor", place) == 2
    assert ended("search", f"--{place}") == 2

    def interrupted(results: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("adasearch.store.store.locate", interrupted)
    assert ended(*TRAIN, "--results", place) == 130
    told = capsys.readouterr()
    assert SECRET not in told.out + told.err
    assert "To go on: adasearch train" in told.err


def test_credentials_of_the_environment_are_neither_stored_nor_told(
    s3: S3, bucket: str, capsys: pytest.CaptureFixture[str]
) -> None:
    uri = s3.uri(bucket, bad_weather=True)
    store = Store(uri)
    with store.locks.hold(STUDY.study), pytest.raises(StudyLocked), Store(uri).locks.hold(STUDY.study):
        pass
    store.write_study(STUDY)
    store.write_trial(TRIAL)
    s3.proxy.always = "refuse"
    assert ended("compare", "--results", uri) in (1, 2)
    assert ended("doctor", uri) in (1, 2)
    told = capsys.readouterr()
    assert SECRET not in told.out + told.err
    assert "Traceback" not in told.err
    assert SECRET.encode() not in s3.everything(bucket)
