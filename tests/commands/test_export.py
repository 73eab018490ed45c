import dataclasses
import shutil
from pathlib import Path

import pytest
import yaml

import adasearch
from adasearch.analysis.replay import virtual_decisions
from adasearch.cli.main import main
from adasearch.commands import export
from adasearch.errors import InputError
from adasearch.records import Limits
from adasearch.schedule_file import load_schedule
from adasearch.schedulers import make_scheduler
from adasearch.schedulers.follow import Followed, followed_of
from adasearch.schedulers.ramp import Ramp
from adasearch.store import Store
from adasearch.studies.request import Defaults, Request, departures, with_schedule
from adasearch.studies.settings import spans_of
from tests.rows import at_marks, enough, study_of, trial_of

STUDY = "resnet18-nano-deba-digits"


@pytest.fixture
def store(small_results: Path) -> Store:
    return Store(str(small_results))


# --- export -----------------------------------------------------------------------------------------


def test_rule_holds_scheduler_settings_and_provenance(store: Store, tmp_path: Path) -> None:
    said = export(store, STUDY, output=str(tmp_path / "found.yaml"))
    found = load_schedule(tmp_path / "found.yaml")
    trial = next(t for t in store.trials(STUDY) if t.trial_id == found.provenance.trial)
    assert said[0] == f"{tmp_path}/found.yaml: deba of {trial.trial_id} ({found.provenance.verdict})"
    assert found.scheduler == make_scheduler("deba", trial.fields_of("scheduler"))
    assert (found.batch_size, found.limits) == (16, Limits(smallest=16, largest=64))
    assert (found.interval, found.epochs, found.train["lr"]) == (0.25, 2.0, trial.params["train/lr"])
    origin = found.provenance
    assert (origin.study, origin.search_seed, origin.confirm_seeds) == (STUDY, trial.seed, ())
    assert origin.versions == trial.versions


def test_ramp_replays_the_trial(store: Store, tmp_path: Path) -> None:
    trial = f"{STUDY}-search-1"
    export(store, STUDY, output=str(tmp_path / "found.yaml"), form="ramp", trial_id=trial)
    found = load_schedule(tmp_path / "found.yaml")
    made = store.intervals(STUDY)[trial][:-1]
    decisions = virtual_decisions([record.signals for record in made], found.scheduler, found.limits)
    assert [d.batch_size for d in decisions] == [record.decision.batch_size for record in made]
    assert any(d.action == "grow" for d in decisions)


def test_the_path_of_a_trial_needs_no_other_trials_intervals(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(store.name, tmp_path / "results")
    (tmp_path / "results" / STUDY / "intervals" / f"{STUDY}-search-0.parquet").write_bytes(b"damaged")
    damaged = Store(str(tmp_path / "results"))
    export(damaged, STUDY, output=str(tmp_path / "a.yaml"), form="ramp", trial_id=f"{STUDY}-search-1")
    assert capsys.readouterr().err == ""


def test_path_without_a_turn_is_a_constant_size(store: Store, tmp_path: Path) -> None:
    export(store, STUDY.replace("deba", "constant"), output=str(tmp_path / "found.yaml"), form="ramp")
    assert load_schedule(tmp_path / "found.yaml").name == "constant"


def test_path_for_other_software_is_that_of_the_trial(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trial, output = f"{STUDY}-search-1", str(tmp_path / "steps.txt")
    command = ["export", STUDY, "--results", store.name, "--output", output, "--trial", trial]
    main([*command, "--as", "megatron"])
    stages = [tuple(map(int, word.split(":"))) for word in (tmp_path / "steps.txt").read_text().split()]
    made = store.intervals(STUDY)[trial]
    assert [size for _, size in stages] == list(dict.fromkeys(record.signals.batch_size for record in made))
    assert capsys.readouterr().out.startswith(
        f"{output}: megatron of {trial} (too few to say)\nthresholds are samples"
    )
    for words, says in (
        (["--as", "olmo"], "adasearch: olmo counts in tokens: give --sequence-length\n"),
        (["--sequence-length", "8"], "with --as megatron or olmo, but got 8 with rule\n"),
    ):
        with pytest.raises(SystemExit) as stop:
            main([*command, *words])
        assert stop.value.code == 2
        assert capsys.readouterr().err.endswith(says)


def test_a_file_that_is_replaced_is_said_to_be(store: Store, tmp_path: Path) -> None:
    for form in ("rule", "ramp", "json"):
        output = tmp_path / f"found.{form}"
        first, *_ = export(store, STUDY, output=str(output), form=form)
        assert "replaces" not in first
        former = output.read_text()
        again, *_ = export(store, STUDY, output=str(output), form=form)
        assert again == f"{first}; it replaces a file that was there"
        assert output.read_text() == former


def test_without_a_candidate_the_trial_of_lowest_error_is_taken_and_named_so(tmp_path: Path) -> None:
    store, study = Store(str(tmp_path / "results")), study_of("deba")
    store.write_study(study)
    store.write_study(study_of("constant"))
    for trial in (
        trial_of(study_of("constant"), 0, val_error=0.1, seconds=5, params={"train/lr": 0.1}),
        trial_of(study, 0, val_error=0.3, seconds=9, params={"train/lr": 0.1}),
        trial_of(study, 1, val_error=0.2, seconds=9, params={"train/lr": 0.2}),
    ):
        store.write_trial(dataclasses.replace(trial, params={**trial.params, "train/batch_size": 32}))
    for trial in enough(study, study_of("constant")):
        store.write_trial(trial)
    best = next(trial for trial in store.trials(study.study) if trial.val_error == 0.2)
    store.write_intervals(best, at_marks((0.3, 1.0), (0.2, 1.0)))
    for form in ("ramp", "json", "hf", "rule"):
        said = export(store, study.study, output=str(tmp_path / "found.yaml"), form=form)
        assert said[-1] == "no gain in search: the complete trial of lowest error was taken"
    found = load_schedule(tmp_path / "found.yaml").provenance
    assert (found.trial, found.verdict) == (f"{study.study}-search-1", "no gain in search")


def test_public_name_gives_a_scheduler_that_decides(store: Store, tmp_path: Path) -> None:
    export(store, STUDY, output=str(tmp_path / "found.yaml"), form="ramp")
    found = adasearch.load_schedule(tmp_path / "found.yaml")
    seen = [record.signals for record in store.intervals(STUDY)[found.provenance.trial]]
    assert found.limits.admit(found.scheduler.decide(seen, found.limits).batch_size)


def test_training_takes_just_the_spans_that_were_meant(store: Store, tmp_path: Path) -> None:
    export(store, STUDY, output=str(tmp_path / "found.yaml"))
    found = load_schedule(tmp_path / "found.yaml")
    origin = found.provenance.model_copy(update={"train_examples": 1437})
    third = found.model_copy(update={"interval": 479 / 1437, "provenance": origin})
    request = with_schedule(Request(), third)
    assert spans_of(request, Defaults(), examples=1437).interval == 479  # rounded up
    assert (request.dataset, request.subset) == ("digits", 120)


@pytest.mark.parametrize(
    ("version", "dataset", "image_size", "source", "pixels"),
    [
        (1, "folder:/a@b@32", None, "folder:/a@b", 32),
        (1, "digits", None, "digits", None),
        (2, "parquet:/data/imagenet@2012", None, "parquet:/data/imagenet@2012", None),
        (2, "folder:/a@b", 32, "folder:/a@b", 32),
    ],
)
def test_schedule_names_source_and_image_size_which_version_1_told_in_one(
    store: Store, tmp_path: Path, version: int, dataset: str, image_size: int | None, source: str, pixels: int
) -> None:
    path = tmp_path / "found.yaml"
    export(store, STUDY, output=str(path))
    content = yaml.safe_load(path.read_text()) | {"schedule_version": version}
    content["provenance"] |= {"dataset": dataset, "image_size": image_size}
    if version == 1:
        del content["provenance"]["image_size"]
    path.write_text(yaml.safe_dump(content))
    request = with_schedule(Request(), load_schedule(path))
    assert (request.dataset, request.image_size) == (source, pixels)


def test_train_runs_the_schedule(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    trial = f"{STUDY}-search-0"
    for words in (
        ["export", STUDY, "--results", store.name, "--output", "found.yaml", "--trial", trial],
        ["train", "--schedule", "found.yaml"],
    ):
        main(words)
    (made,) = Store("results").intervals("train").values()
    sizes = [record.signals.batch_size for record in store.intervals(STUDY)[trial]]
    assert [record.signals.batch_size for record in made] == sizes  # the same seed, so the same run


# --- bad input --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("study", "trial", "says"),
    [
        ("resnet18-nano-debba-digits", None, "did you mean 'resnet18-nano-deba-digits'"),
        (STUDY, "resnet18-nano-deba-digits-search-7", "unknown trial 'resnet18-nano-deba-digits-search-7'"),
    ],
)
def test_export_refuses(store: Store, tmp_path: Path, study: str, trial: str | None, says: str) -> None:
    with pytest.raises(InputError, match=says):
        export(store, study, output=str(tmp_path / "found.yaml"), trial_id=trial)
    assert not list(tmp_path.iterdir())


def test_what_follows_the_size_is_kept_and_other_software_is_not_told_half(
    store: Store, tmp_path: Path
) -> None:
    shutil.copytree(store.name, tmp_path / "results")
    followed, name = Store(str(tmp_path / "results")), f"{STUDY}-search-1"
    trial, _ = followed.find_trial(name)
    followed.write_trial(
        dataclasses.replace(trial, params={**trial.params, "scheduler/wrappers.beta2": True})
    )
    with pytest.raises(InputError, match=f"hf has no words for wrappers.beta2, which {name} had"):
        export(followed, STUDY, output=str(tmp_path / "steps.txt"), form="hf", trial_id=name)
    for form in ("rule", "ramp"):
        export(followed, STUDY, output=str(tmp_path / "found.yaml"), form=form, trial_id=name)
        rule = load_schedule(tmp_path / "found.yaml").scheduler
        assert followed_of(rule) == Followed(beta2=True)


def test_export_refuses_what_cannot_be_written_and_what_is_not_complete(tmp_path: Path) -> None:
    store, study = Store(str(tmp_path / "results")), study_of("deba")
    store.write_study(study)
    store.write_trial(trial_of(study, 0, status="running"))
    with pytest.raises(InputError, match="has no complete trial to export"):
        export(store, study.study, output=str(tmp_path / "found.yaml"))
    with pytest.raises(InputError, match="must be complete but is running"):
        export(store, study.study, output="x.yaml", trial_id=f"{study.study}-search-0")
    store.write_trial(trial_of(study, 0, val_error=0.1, seconds=5, params={"train/batch_size": 32}))
    (tmp_path / "no").write_text("")
    with pytest.raises(InputError, match=r"--output .*: Not a directory"):
        export(store, study.study, output=str(tmp_path / "no" / "found.yaml"))
    export(store, study.study, output=str(tmp_path / "new" / "folder" / "found.yaml"))
    assert (tmp_path / "new" / "folder" / "found.yaml").is_file()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"schedule_version": 3}, "must be at most 2 for this adasearch but got 3"),
        ({"name": "debba"}, "unknown scheduler 'debba'"),
        ({"fields": {"windw": 3}}, "unknown field of deba 'windw'"),
        ({"batch_size": 8}, "batch_size must lie in .* but got 8"),
        ({"interval": 0}, "interval must be greater than 0 but got 0"),
        ({"train": {"lr": -1}}, "lr must be greater than 0 but got lr=-1"),
        ({"train": {"rate": 1}}, "train has no field 'rate'"),
        ({"colour": 1}, "colour.* unknown key"),
        ({"smallest": 128}, "largest must be at least smallest"),
    ],
)
def test_load_refuses_in_one_line(
    store: Store, tmp_path: Path, changes: dict[str, object], says: str
) -> None:
    path = tmp_path / "found.yaml"
    export(store, STUDY, output=str(path))
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | changes))
    with pytest.raises(InputError, match=says) as refused:
        load_schedule(path)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "No such file"),
        ("a: [", "is not YAML"),
        ("- 1", "must be a mapping"),
        ("a: 1", "schedule_version"),
    ],
)
def test_load_refuses_what_is_no_schedule(tmp_path: Path, text: str | None, says: str) -> None:
    path = tmp_path / "found.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=says):
        load_schedule(path)


def test_ramp_is_what_a_ramp_file_loads() -> None:
    assert make_scheduler("ramp", {"points": "64*0.5@9"}) == Ramp(points="64*0.5@9")


def test_schedule_beside_a_scheduler_is_refused_and_flags_come_first(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    export(store, STUDY, output="found.yaml", form="ramp")
    for words, says in (
        (["--scheduler", "deba"], "--schedule names a scheduler already"),
        (["--set", "scheduler/window=3"], "unknown field of the searched schedulers 'window'"),
        (["--epochs", "0"], "--epochs must be greater than 0 but got 0"),
        (["--dataset", "digits", "--subset", "1"], "--subset must lie between 10"),
    ):
        with pytest.raises(SystemExit) as stop:
            main(["train", "--schedule", "found.yaml", *words])
        assert stop.value.code == 2
        assert says in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["found.yaml"]


def test_schedule_is_blamed_for_what_it_says_and_flags_for_what_they_change(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    export(store, STUDY, output="new/found.yaml", form="ramp")
    found = load_schedule("new/found.yaml")
    largest = str(found.batch_size - 1)
    with pytest.raises(SystemExit):
        main(["train", "--schedule", "new/found.yaml", "--smallest", "2", "--largest", largest])
    err = capsys.readouterr().err
    assert "--schedule train/batch_size must lie in 2 to" in err
    assert "--set" not in err
    assert f"found in another run than one with smallest 2, largest {largest}" in err
    request = Request(fixed=("train/lr=0.7", f"train/batch_size={found.batch_size}"), largest=99)
    assert departures(request, found) == "largest 99, train/lr 0.7"
