"""``adasearch search`` up to the engine, in whose place a stand-in is."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from adasearch.records import Params, StudyRecord
from adasearch.spaces.optuna_trials import stored_spaces
from adasearch.store import Store
from tests.cli.shell import SEARCH, Engine, Shell
from tests.rows import STUDY, study_of, trial_of


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ["--workers", "3"],
            "a trial needs --workers 3 worker(s) with 1 CPU(s) and 0 GPU(s) each, but the cluster has 2 CPU",
        ),
        (["--cpus-per-worker", "3"], "but the cluster has 2 CPU(s) and 0 GPU(s)"),
        (["--gpus-per-worker", "1"], "but the cluster has 2 CPU(s) and 0 GPU(s)"),
        (["--slots", "3"], "--slots 3 trials of 1 worker(s) with 1 CPU(s) and 0 GPU(s) each do not fit"),
    ],
)
def test_search_refuses_more_than_the_cluster_has(shell: Shell, arguments: list[str], says: str) -> None:
    shell.refuses(*SEARCH, *arguments, says=says)


def test_search_writes_the_studies_and_prints_the_table(shell: Shell, engine: Engine) -> None:
    finished = shell(*SEARCH, "--scheduler", "adabatch", "--largest", "64", "--trials", "3")
    assert (finished.code, finished.err) == (0, "")
    studies = shell.store.studies()
    assert [study.scheduler for study in studies] == ["adabatch", "constant"]
    assert {study.largest for study in studies} == {64}
    assert finished.out.count("initial batch sizes lie in 16 to 64 only") == 1
    assert "adabatch allows train/lr_schedule constant only" in finished.out
    assert "no complete trial" in finished.out
    assert [plan.study.scheduler for plan in engine.asked[0]] == ["constant", "adabatch"]
    assert {plan.trials for plan in engine.asked[0]} == {3}


@pytest.mark.usefixtures("engine")
def test_what_too_few_trials_or_seeds_cannot_tell_is_said_beforehand(shell: Shell) -> None:
    few = shell(*SEARCH, "--trials", "5").out
    assert few.startswith("5 trials per study will be too few to say whether anything is gained")
    assert (
        "too few to say" not in shell(*SEARCH, "--trials", "6", "--study", "more").out.partition("Search:")[0]
    )
    confirming = ("confirm", "--results", "results")
    assert "a verdict takes at least 4 (--seeds)" in shell(*confirming, "--seeds", "2").out
    assert "a verdict takes" not in shell(*confirming, "--seeds", "4").out
    assert "Below 6 that end" in " ".join(shell("search", "--help").out.split())
    assert "below 4 there is no verdict" in " ".join(shell("confirm", "--help").out.split())


def defaults_of(study: StudyRecord) -> Params:
    """What a study tries first."""
    spaces = stored_spaces(study)
    return {name: value for space in spaces for name, value in {**space.fixed(), **space.first()}.items()}


def test_same_search_goes_on_with_what_is_stored(shell: Shell, engine: Engine) -> None:
    flags = ["--epochs", "2", "--seed", "3", "--set", "train/lr=0.05", "--interval", "100ex"]
    shell(*SEARCH, *flags)
    before = shell.store.studies()
    trial = trial_of(before[1], 0, val_error=0.1, seconds=1, params=defaults_of(before[1]))
    shell.store.write_trial(trial)
    for again in (flags, []):  # what is left open is taken from the stored study
        assert shell(*SEARCH, *again).code == 0
        assert shell.store.studies() == before
    assert [list(plan.stored) for plan in engine.asked[-1]] == [[], [trial]]


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize(
    ("flags", "field_name"),
    [
        (["--epochs", "7"], "budget"),
        (["--seed", "1"], "seed"),
        (["--interval", "0.25"], "interval"),
        (["--evaluate-every", "3"], "evaluate_every"),
        (["--largest", "64"], "largest"),
        (["--subset", "500"], "subset"),
        (["--sampler", "random"], "sampler"),
        (["--stopper", "none"], "stopper"),
        (["--precision", "bfloat16"], "precision"),
        (["--workers", "2"], "workers"),
        (["--space", "deba_short"], "scheduler_space confidence_threshold"),
        (["--set", "train/lr=0.1"], "train_space lr"),
    ],
)
def test_search_refuses_a_study_of_another_identity(shell: Shell, flags: list[str], field_name: str) -> None:
    shell(*SEARCH)
    shell.refuses(*SEARCH, *flags, says=f" exists with {field_name}=")


@pytest.mark.skipif(torch.cuda.is_available(), reason="the driver has a GPU itself")
def test_search_on_a_cluster_whose_device_the_driver_lacks_goes_on(shell: Shell, engine: Engine) -> None:
    engine.gpus = 1.0
    for _ in range(2):
        finished = shell(*SEARCH, "--address", "127.0.0.1:1")
        assert (finished.code, finished.err) == (0, "")
    assert {study.device for study in shell.store.studies()} == {"cuda"}
    assert len(engine.asked) == 2
    engine.gpus = 0.0
    assert " exists with device=cuda but this search has device=cpu" in shell(*SEARCH, "--address", "a:1").err


@pytest.mark.usefixtures("engine")
def test_search_under_a_prefix_is_another_study(shell: Shell) -> None:
    shell(*SEARCH)
    assert shell(*SEARCH, "--epochs", "7", "--study", "mine").code == 0
    assert {study.study for study in shell.store.studies()} == {
        f"{prefix}resnet18-nano-{name}-digits" for prefix in ("", "mine-") for name in ("constant", "deba")
    }


def test_search_goes_on_without_a_baseline_that_another_search_holds(shell: Shell, engine: Engine) -> None:
    with shell.store.locks.hold(study_of("constant").study):
        finished = shell(*SEARCH)
    assert finished.code == 0
    assert f"process {os.getpid()}); going on without it" in finished.out
    assert [plan.study.scheduler for plan in engine.asked[0]] == ["deba"]
    assert [study.scheduler for study in shell.store.studies()] == ["deba"]


def test_search_ends_at_once_where_another_search_holds_its_study(shell: Shell, engine: Engine) -> None:
    with shell.store.locks.hold(STUDY.study):
        finished = shell(*SEARCH)
    assert finished.code == 1
    assert f"study {STUDY.study} is held by another live search (host " in finished.err
    assert len(finished.err.splitlines()) == 1
    assert not engine.asked
    assert not shell.store.studies()


def test_search_that_was_interrupted_says_how_to_go_on(shell: Shell, engine: Engine) -> None:
    engine.whole = False
    finished = shell(*SEARCH)
    assert finished.code == 130
    assert finished.err.endswith("To go on: adasearch search --architecture resnet18\n")
    assert "verdict" not in finished.out


def test_search_without_a_baseline_searches_the_scheduler_alone(shell: Shell, engine: Engine) -> None:
    shell(*SEARCH, "--no-baseline")
    assert [plan.study.scheduler for plan in engine.asked[0]] == ["deba"]


def test_finished_trials_are_told_to_the_engine_in_order(shell: Shell, engine: Engine) -> None:
    shell(*SEARCH, "--no-baseline")
    (study,) = shell.store.studies()
    for n in (2, 0, 1):
        shell.store.write_trial(trial_of(study, n, status="failed", params=defaults_of(study)))
    shell(*SEARCH, "--no-baseline")
    assert [trial.number for trial in engine.asked[-1][0].stored] == [0, 1, 2]


@pytest.mark.usefixtures("engine")
def test_trials_without_an_identity_are_not_continued(shell: Shell) -> None:
    shell(*SEARCH, "--no-baseline")
    (study,) = shell.store.studies()
    shell.store.write_trial(trial_of(study, 0))
    (identity,) = Path("results", study.study, "studies").glob("*.parquet")
    identity.write_bytes(identity.read_bytes()[:100])
    finished = shell(*SEARCH, "--no-baseline", "--epochs", "7")
    assert finished.code == 2
    assert "has 1 trials but no readable identity" in finished.err.splitlines()[-1]
    assert len(identity.read_bytes()) == 100


@pytest.mark.usefixtures("engine")
def test_a_space_is_the_same_whatever_the_order_of_its_fields(shell: Shell) -> None:
    fields = ["  window: {int: [3, 9]}", "  cooldown: {int: [1, 5]}"]
    for name, lines in (("a", fields), ("b", fields[::-1])):
        Path(f"{name}.yaml").write_text("\n".join(["scheduler: deba", "fields:", *lines]))
    assert shell(*SEARCH, "--space", "a.yaml").code == 0
    assert shell(*SEARCH, "--space", "b.yaml").code == 0


def test_a_finished_search_does_not_start_ray(shell: Shell, engine: Engine) -> None:
    shell(*SEARCH, "--no-baseline", "--trials", "1")
    (study,) = shell.store.studies()
    shell.store.write_trial(trial_of(study, 0, val_error=0.1, seconds=1))
    finished = shell(*SEARCH, "--no-baseline", "--trials", "1")
    assert finished.code == 0
    assert "starting Ray" not in finished.out
    assert "no reference" in finished.out
    assert len(engine.asked) == 1


def test_failed_trials_are_tried_again_by_the_same_command(shell: Shell, engine: Engine) -> None:
    flags = (*SEARCH, "--no-baseline", "--trials", "2")
    shell(*flags)
    (study,) = shell.store.studies()
    for number in range(2):
        failed = trial_of(study, number, status="failed", params=defaults_of(study))
        mended = replace(failed, error="ValueError: bad; traceback: x", cause="raised")
        shell.store.write_trial(mended)
    kept = shell(*flags, "--no-retry-failed")
    assert kept.code == 1
    assert len(engine.asked) == 1  # there was nothing to do
    assert "failed: 2 × ValueError: bad, such as" in kept.out
    assert "nothing completed, 2 of 2 trials failed" in kept.err
    again = shell(*flags)
    assert "2 failed trials, all by ValueError: bad: they are tried again" in again.out
    assert [trial.status for trial in engine.asked[-1][0].stored] == ["running", "running"]
    shell.store.write_trial(trial_of(study, 0, val_error=0.1, seconds=1, params=defaults_of(study)))
    assert shell(*flags).code == 0  # one failed, which is no pattern
    assert len(engine.asked) == 2
    assert shell(*flags, "--retry-failed").code == 0
    assert [trial.status for trial in engine.asked[-1][0].stored] == ["complete", "running"]


OWN = """
from torch import nn

def make_net(classes, image_size):
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * image_size**2, classes))
"""


@pytest.mark.usefixtures("engine")
def test_study_of_ones_own_network_is_not_called_nano_but_goes_on_where_it_was(shell: Shell) -> None:
    shell.folder.joinpath("small_nets.py").write_text(OWN)
    search = ("search", "--architecture", "small_nets:make_net", "--no-baseline")
    shell(*search)
    assert [study.study for study in shell.store.studies()] == ["small_nets-make_net-deba-digits"]
    assert shell(*search, "--scale", "nano", "--results", "former").code == 0
    assert shell(*search, "--results", "former").code == 0
    former = [study.study for study in Store("former").studies()]
    assert former == ["small_nets-make_net-nano-deba-digits"]


@pytest.mark.usefixtures("engine")
def test_each_of_several_schedulers_may_have_a_space_of_its_own(shell: Shell) -> None:
    shell.folder.joinpath("mine.yaml").write_text("scheduler: cabs\nfields:\n  scale: {fixed: 0.5}\n")
    both = (*SEARCH, "--scheduler", "deba", "--scheduler", "cabs")
    assert shell(*both, "--space", "deba=deba_short", "--space", "cabs=mine.yaml").code == 0
    spaces = {study.scheduler: stored_spaces(study)[1] for study in shell.store.studies()}
    assert spaces["cabs"].fixed()["scheduler/scale"] == 0.5
    assert spaces["deba"].ends("window") == (3, 10)
    shell.refuses(
        *both,
        "--space",
        "deba_short",
        says="or SCHEDULER=FILE for each, but got --space deba_short and 2: deba, cabs",
    )


@pytest.mark.usefixtures("engine")
def test_flags_given_twice_count_once(shell: Shell) -> None:
    assert (
        shell(*SEARCH, "--architecture", "resnet18", "--scheduler", "deba", "--scheduler", "deba").code == 0
    )
    assert [study.scheduler for study in shell.store.studies()] == ["constant", "deba"]
