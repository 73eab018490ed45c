"""``adasearch profile`` and what rests on it, in this process on tiny runs of real digits."""

import json
import re
import shlex
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from adasearch.cli.main import main
from adasearch.functions.source import digest_of
from adasearch.io.progress import StepDisplay
from adasearch.profiles import profile
from adasearch.profiles.profile_store import ProfileStore
from adasearch.profiles.stability import DIVIDED, DIVIDED_SPREAD, FIGURES, SPREAD
from adasearch.records import IntervalRecord
from adasearch.runs import speed, speed_profile, stability_profile
from adasearch.store import Store
from adasearch.studies.request import Request
from adasearch.studies.resolve import resolve
from adasearch.studies.wanted import nothing_stored
from tests.profile_rows import speed_of

NET = "tests.own_nets:good"
TINY = ["--subset", "100", "--interval", "0.5", "--smallest", "16", "--largest", "32"]
PROFILE = ["profile", "--architecture", NET, *TINY, "--set", "train/optimizer=sgd", "--set", "train/lr=0.05"]
STEADY = [*PROFILE, "--kind", "stability", "--seeds", "2", "--intervals", "6"]
SHORT = """
scheduler: deba
fields:
  confidence_threshold: {quantile: [0.1, 0.9], default: 0.5}
  stability_threshold: {quantile: [0.1, 0.9], default: 0.5}
  window: {int: [3, 4], default: 3}
  cooldown: {fixed: 1}
"""


@dataclass(frozen=True)
class Finished:
    out: str
    err: str


class Shell:
    def __init__(self, capture: pytest.CaptureFixture[str]) -> None:
        self._capture = capture
        self.store = Store("results")
        self.profiles = ProfileStore("results")

    def __call__(self, *arguments: str, code: int = 0) -> Finished:
        self._capture.readouterr()
        ended: object = 0
        try:
            main(list(arguments))
        except SystemExit as stop:
            ended = stop.code
        finished = Finished(*self._capture.readouterr())
        assert ended == code, finished
        return finished


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "500")
    monkeypatch.setattr(speed_profile, "POINT_SECONDS", 0.0)
    monkeypatch.setattr(speed, "BLOCK_SECONDS", 0.0)
    return Shell(capsys)


def test_profile_of_both_kinds_is_printed_and_kept(shell: Shell) -> None:
    finished = shell(*PROFILE, "--seeds", "2", "--intervals", "6")
    assert "Stability at a fixed batch" in finished.out
    assert "Speed, alone on the device" in finished.out
    (steady,), (fast,) = shell.profiles.stability(), shell.profiles.speed()
    assert (steady.seeds, steady.intervals, steady.diverged, steady.batch_size) == (2, 6, 0, 32)
    assert {each.name for each in steady.figures} == {*FIGURES, SPREAD}
    assert all(each.mean is not None for each in steady.figures if each.epoch is None)
    assert [point.batch_size for point in fast.points] == [16, 32]
    assert fast.setting == steady.setting
    trials = shell.store.trials("profiles")
    assert [(t.phase, t.status, t.seed, t.adaptations) for t in trials] == [
        ("profile", "complete", seed, 0) for seed in (0, 1)
    ]
    rows = shell.store.intervals("profiles")[trials[0].trial_id]
    assert len(rows) == 6
    assert all(row.signals.grad_norm and row.signals.mean_grad_norm for row in rows)
    assert all(row.signals.grad_noise is not None for row in rows)
    study = shell.store.study_of(trials[0])
    assert study is not None
    assert study.study == steady.profile
    assert shell.store.studies() == []  # no study of a search


def test_profile_of_an_adam_run_has_the_noise_of_preconditioned_gradients(shell: Shell) -> None:
    adam = ["--set", "train/optimizer=adamw", "--set", "train/lr=0.01"]
    shell(
        "profile",
        "--architecture",
        NET,
        *TINY,
        *adam,
        "--kind",
        "stability",
        "--seeds",
        "1",
        "--intervals",
        "4",
    )
    (steady,) = shell.profiles.stability()
    assert {each.name for each in steady.figures} == {*FIGURES, SPREAD, DIVIDED, DIVIDED_SPREAD}
    (trial,) = shell.store.trials("profiles")
    rows = shell.store.intervals("profiles")[trial.trial_id]
    assert all(row.signals.preconditioned_noise is not None for row in rows)


def test_same_command_finds_its_profiles_and_more_seeds_add_runs(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell(*STEADY)
    before = shell.store.trials("profiles")
    with monkeypatch.context() as patch:
        patch.setattr(stability_profile, "run_and_keep", lambda *_: pytest.fail("this would train"))
        shell(*STEADY)
    shell(*STEADY[:-4], "--seeds", "3", "--intervals", "6")
    after = shell.store.trials("profiles")
    assert after[:2] == before
    assert [trial.seed for trial in after] == [0, 1, 2]
    assert [each.seeds for each in shell.profiles.stability()] == [3]


def test_profile_that_was_cut_goes_on(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    heard = StepDisplay.__call__

    def cut(display: object, what: str, done: int, total: int) -> None:
        if done == 9:
            raise KeyboardInterrupt

    monkeypatch.setattr(StepDisplay, "__call__", cut)
    finished = shell(*STEADY, "--checkpoint-every", "1", code=130)
    assert "To go on: adasearch profile" in finished.err
    assert [trial.status for trial in shell.store.trials("profiles")] == ["complete", "running"]
    monkeypatch.setattr(StepDisplay, "__call__", heard)
    shell(*STEADY)
    cut_short = list(shell.store.intervals("profiles").values())
    assert [trial.status for trial in shell.store.trials("profiles")] == ["complete"] * 2
    shell(*STEADY, "--results", "whole")
    whole = list(Store("whole").intervals("profiles").values())

    def signals(runs: list[list[IntervalRecord]]) -> list[list[object]]:
        return [[row.signals for row in rows] for rows in runs]

    assert signals(cut_short) == signals(whole)


def test_speed_profile_that_was_cut_is_not_kept_and_says_so(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(display: object, what: str, done: int, total: int) -> None:
        if done == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(StepDisplay, "__call__", cut)
    finished = shell(*PROFILE, "--kind", "speed", code=130)
    assert "a speed profile is kept once it is whole: what was timed now is timed again\n" in finished.out
    assert "To go on: adasearch profile" in finished.err
    assert shell.profiles.speed() == []


def test_run_that_diverges_is_stored_as_such_and_predicts_nothing(shell: Shell) -> None:
    wild = [*STEADY, "--set", "train/lr=1e30"]
    finished = shell(*wild)
    assert "failed, so the profile predicts nothing: train_loss is" in finished.out
    (steady,) = shell.profiles.stability()
    assert (steady.diverged, steady.figures) == (2, ())
    assert {trial.status for trial in shell.store.trials("profiles")} == {"failed"}
    Path("short.yaml").write_text(SHORT)
    train = ["train", "--architecture", NET, *TINY, "--scheduler", "deba", "--space", "short.yaml"]
    wild = ["--set", "train/lr=1e30", "--set", "train/optimizer=sgd"]
    refused = shell(*train, *wild, code=2)
    assert "predicts nothing, since 3 of its 3 runs diverged" in refused.err


def test_raw_values_are_one_table(shell: Shell) -> None:
    finished = shell(*STEADY, "--format", "json")
    (row,) = json.loads(finished.out)["rows"]
    assert row["kind"] == "stability"
    assert len(row["stability_score"]) == 3


def test_speed_profile_is_measured_once_per_name(shell: Shell) -> None:
    fast = [*PROFILE, "--kind", "speed", "--device-profile", "mine"]
    shell(*fast)
    (stored,) = shell.profiles.speed()
    assert "speed profile mine of tests.own_nets:good is there already" in shell(*fast).out
    shell.profiles.write(replace(stored, setting=replace(stored.setting, device_name="Colossus")))
    refused = shell(*fast, code=2)
    assert "is there already, with device Colossus, not" in refused.err


def test_training_function_is_timed_and_judged_by_it(shell: Shell) -> None:
    own = ["--train", "tests.own_loops:plain"]
    table = shell("profile", *own, "--kind", "speed", "--smallest", "16", "--largest", "32")
    assert "tests.own_loops:plain is searched over batch_size and lr alone" in table.out
    (found,) = shell.profiles.speed()
    assert (found.setting.architecture, found.setting.dataset) == ("tests.own_loops:plain", "own")
    assert found.setting.versions["source"] == digest_of("tests.own_loops:plain")
    assert [point.batch_size for point in found.points] == [16, 32]
    for point in found.points:
        assert 0 < point.step_seconds < 1
        assert all(seconds >= 0 for seconds in point.measure_seconds.values())
        assert re.search(rf"tests\.own_loops:plain +{point.batch_size} ", table.out)
    refused = shell("predict", code=2)
    assert "'adasearch profile --train tests.own_loops:plain' takes those of one" in refused.err
    shell("profile", *own, "--kind", "stability", "--seeds", "1", "--intervals", "3")
    guess = shell("predict")
    assert re.search(r"tests\.own_loops:plain +own +deba ", guess.out)
    assert "of language models and training functions nothing but the ceiling is told" in " ".join(
        guess.out.split()
    )
    request = Request(train="tests.own_loops:plain", schedulers=("deba",), epochs=4, objective="loss")
    said: list[str] = []
    for study in resolve(request, nothing_stored, said.append, profiles=shell.profiles.speed()):
        assert (study.record.clock, study.record.device_profile) == ("modelled", found.profile)
    assert f"tests.own_loops:plain: speed profile {found.profile}, modelled clock" in said


def test_wider_wish_times_the_sizes_that_a_stored_profile_lacks(shell: Shell) -> None:
    fast = [*PROFILE, "--kind", "speed", "--device-profile", "mine"]
    shell(*fast)
    (stored,) = shell.profiles.speed()
    wider = shell(*fast, "--largest", "50")
    assert "is there already, from 16 to 32; 50 are timed as well" in wider.out
    (found,) = shell.profiles.speed()
    assert [point.batch_size for point in found.points] == [16, 32, 50]
    assert found.points[:2] == stored.points
    assert "is there already\n" in shell(*fast, "--largest", "40").out
    assert shell.profiles.speed() == [found]


def test_what_predict_and_profile_advise_runs_as_it_is_printed(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(profile, "rising_at", lambda sizes, _: sizes[-1])  # whatever was measured
    name = ["--device-profile", "mine", "--results", "my results"]
    printed = shell(*PROFILE, *name, "--seeds", "2", "--intervals", "6").out
    assert f"{NET}: still rising at the largest timed size 32; the same command with a greater" in printed
    told = shell("predict", "--results", "my results").out
    assert f"{NET} nano: still rising at the largest timed size 32, so the ceiling of" in " ".join(
        told.split()
    )
    (words,) = [shlex.split(line)[1:] for line in re.findall("^ +(adasearch profile .*)", told, re.M)]
    assert {"--largest", "64", "--subset", "100", "--results", "my results"} <= set(words)
    assert "64 are timed as well" in shell(*words).out
    refused = shell("predict", "--architecture", "tests.own_nets:god", "--results", "my results", code=2).err
    assert f"did you mean {NET!r}? 'adasearch profile --architecture tests.own_nets:god --results" in refused


def test_speed_profile_that_a_clock_lacks_is_taken_by_the_command_that_it_names(shell: Shell) -> None:
    train = ["train", "--architecture", NET, *TINY, "--epochs", "1", "--clock", "modelled"]
    refused = shell(*train, "--results", "my results", code=2)
    (line,) = re.findall("'(adasearch profile .*)' takes one", refused.err)
    shell(*shlex.split(line)[1:], "--largest", "32")
    assert "modelled clock" in shell(*train, "--results", "my results").out


def test_profiles_are_exported_and_imported(shell: Shell) -> None:
    shell(*PROFILE, "--kind", "speed", "--device-profile", "mine")
    assert "1 profile written to out.parquet" in shell("profile", "--export", "out.parquet").out
    taken = shell("profile", "--import", "out.parquet", "--results", "there")
    assert "1 new profile from" in taken.out
    assert ProfileStore("there").speed() == shell.profiles.speed()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["profile"], "give one of --architecture NAME"),
        (["profile", "--architecture", NET, "--export", "x"], "give one of --architecture NAME"),
        ([*PROFILE, "--intervals", "0"], "--intervals must be at least 1 but got 0"),
        ([*PROFILE, "--seeds", "0"], "--seeds must be at least 1 but got 0"),
        ([*PROFILE, "--cpus-per-worker", "0"], "--cpus-per-worker must be at least 1 but got 0"),
        ([*PROFILE, "--device-profile", "a/b"], "--device-profile must be letters, digits"),
        ([*PROFILE, "--intervals", "5", "--epochs", "5"], "give --intervals or --epochs, not both"),
        ([*PROFILE, "--intervals", "5", "--budget", "90ex"], "give --intervals or --budget, not both"),
        ([*PROFILE, "--space", "debba"], "unknown space for schedulers 'debba'"),
        ([*PROFILE, "--space", "adabatch"], "--space adabatch is for adabatch, not deba"),
        (["profile", "--architecture", "resnet19"], "unknown architecture 'resnet19'"),
        (["profile", "--import", "none.parquet"], "--import none.parquet: "),
        (["profile", "--export", "x.parquet"], "--export: there is no profile"),
    ],
    ids=lambda a: " ".join(a)[-30:],
)
def test_bad_input_is_refused_in_one_line_and_nothing_is_written(
    shell: Shell, arguments: list[str], says: str
) -> None:
    refused = shell(*arguments, code=2)
    assert says in refused.err
    assert len(refused.err.splitlines()) == 1
    assert not Path("results").exists()


def test_quantile_without_a_profile_makes_one_first_after_saying_so(shell: Shell) -> None:
    Path("short.yaml").write_text(SHORT)
    train = ["train", "--architecture", NET, *TINY, "--epochs", "2", "--scheduler", "deba"]
    first = shell(*train, "--space", "short.yaml")
    assert "need a stability profile, which comes first: 3 runs of 24 intervals" in first.out
    (trial,) = shell.store.trials("train")
    (steady,) = shell.profiles.stability()
    assert trial.params["quantile/confidence_threshold"] == 0.5
    assert isinstance(trial.params["scheduler/confidence_threshold"], float)
    study = shell.store.study_of(trial)
    assert study is not None
    assert study.stability_profile == steady.profile
    again = shell(*train, "--space", "short.yaml")
    assert "comes first" not in again.out
    assert shell.store.trials("train")[-1].params == trial.params
    other = shell(*train, "--space", "short.yaml", "--set", "train/weight_decay=0.001")
    assert f"profile {steady.profile} is not used: train/weight_decay" in other.out


def test_run_where_a_speed_profile_fits_carries_modelled_seconds(shell: Shell) -> None:
    shell(*PROFILE, "--kind", "speed", "--device-profile", "mine")
    (mine,) = shell.profiles.speed()
    train = ["train", "--architecture", NET, *TINY, "--epochs", "2"]
    assert "speed profile mine, modelled clock" in shell(*train).out
    trial = shell.store.trials("train")[-1]
    rows = shell.store.intervals("train")[trial.trial_id]
    assert trial.modelled_seconds == pytest.approx(trial.steps * mine.curve.step(32))
    assert trial.modelled_seconds == pytest.approx(sum(row.modelled_seconds or 0 for row in rows))
    study = shell.store.study_of(trial)
    assert study is not None
    shell.profiles.write(speed_of(study, "slow", device_name="Abacus"))
    told = shell(*train, "--device-profile", "slow")
    assert "modelled seconds are those of slow: device Abacus, not" in told.out
    assert shell.store.trials("train")[-1].modelled_seconds == pytest.approx(trial.steps * 2.0)
