"""``profile --kind critical``, in this process on tiny runs: of images, text and a loop of one's own."""

import json
import os
import re
import shlex
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from adasearch.io.progress import StepDisplay
from adasearch.profiles.branch_plan import PARTS
from adasearch.profiles.critical import CriticalProfile
from adasearch.records import IntervalRecord, TrialRecord
from adasearch.runs import branched_run, critical_profile
from adasearch.store import Store
from tests.commands.test_profile import Shell, shell

__all__ = ["shell"]  # the fixture

NET = "tests.own_nets:Good"
SMALL = ["--subset", "100", "--smallest", "4", "--largest", "16", "--set", "train/batch_size=4"]
TRAIN = ["--set", "train/optimizer=sgd", "--set", "train/lr=0.02", "--set", "train/lr_schedule=cosine"]
WHERE = ["--architecture", NET, *SMALL, *TRAIN]
BRANCHED = ["profile", *WHERE, "--epochs", "20", "--kind", "critical"]


def only(shell: Shell, results: str = "results") -> CriticalProfile:
    (found,) = type(shell.profiles)(results).critical()
    return found


def losses(rows: list[IntervalRecord]) -> list[float]:
    return [row.signals.train_loss for row in rows]


def test_critical_batch_is_measured_by_branches_kept_and_printed(shell: Shell) -> None:
    finished = shell(*BRANCHED)
    profile = only(shell)
    trials = shell.store.trials("profiles")
    told = re.search(
        r"branches of 4, 8, 16 at 4 marks, .*'linear'; this takes ([\d.]+) trainings", finished.out
    )
    assert told is not None
    base, *branches = trials
    assert [(trial.role, trial.status) for trial in branches] == [("branch", "complete")] * 8
    assert [trial.final_batch_size for trial in branches] == [8, 16] * 4
    assert {trial.adaptations for trial in branches} == {0}
    budget = profile.budget
    spent = base.examples_seen + 8 * PARTS * profile.interval
    assert spent / budget == pytest.approx(float(told[1]), abs=0.01)
    assert spent <= 1.5 * budget
    marks = sorted({each.mark for each in profile.excess})
    assert [trial.examples_seen for trial in branches] == [
        mark + PARTS * profile.interval for mark in marks for _ in (8, 16)
    ]
    assert "Critical batch of tests.own_nets:Good" in finished.out
    assert not list(shell.store.checkpointed("profiles"))
    assert shell.store.studies() == []
    shell("doctor", "results")  # finds nothing wrong


def test_a_branch_is_the_run_whose_size_changes_there(shell: Shell) -> None:
    """Bit for bit, as a ramp trains it in one go."""
    shell(*BRANCHED)
    profile = only(shell)
    base, *branches = shell.store.trials("profiles")
    stored = shell.store.intervals("profiles")
    mark = sorted({each.mark for each in profile.excess})[1]
    where = [*WHERE, "--epochs", "20", "--interval", f"{profile.interval}ex"]
    point = f"scheduler/points=16*4.0@{mark}"
    shell("train", *where, "--scheduler", "ramp", "--set", point, "--set", "scheduler/coupling=none")
    (ramp,) = shell.store.trials("train")
    whole = losses(shell.store.intervals("train")[ramp.trial_id])
    branch = losses(stored[branches[3].trial_id])  # of the second mark the second
    assert branch == whole[: len(branch)]
    assert branch != losses(stored[base.trial_id])[: len(branch)]
    at_mark = mark // profile.interval
    assert branch[:at_mark] == losses(stored[base.trial_id])[:at_mark]


@pytest.mark.parametrize("cut_at", [5, 26, 40, -1])
def test_one_that_was_cut_goes_on_and_comes_to_the_same(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, cut_at: int
) -> None:
    heard = StepDisplay.__call__

    def cut(display: object, what: str, done: int, total: int) -> None:
        if "branches" in what and done == (total if cut_at < 0 else cut_at):
            raise KeyboardInterrupt

    monkeypatch.setattr(StepDisplay, "__call__", cut)
    assert "To go on: adasearch profile" in shell(*BRANCHED, code=130).err
    assert cut_at >= 0 or shell.store.trials("profiles")[0].status == "running"
    over = [trial for trial in shell.store.trials("profiles") if trial.status == "complete"]
    monkeypatch.setattr(StepDisplay, "__call__", heard)
    shell(*BRANCHED)
    assert {trial.status for trial in shell.store.trials("profiles")} == {"complete"}
    assert [each for each in shell.store.trials("profiles") if each in over] == over  # none was done again
    shell(*BRANCHED, "--results", "whole")
    assert only(shell).excess == only(shell, "whole").excess
    runs, whole = shell.store.intervals("profiles"), Store("whole").intervals("profiles")
    assert {name: losses(rows) for name, rows in runs.items()} == {
        name: losses(rows) for name, rows in whole.items()
    }


def test_same_command_trains_nothing_and_more_seeds_add_runs(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell(*BRANCHED)
    before = shell.store.trials("profiles")
    with monkeypatch.context() as patch:
        patch.setattr(branched_run, "run_and_keep", lambda *_, **__: pytest.fail("this would train"))
        again = shell(*BRANCHED, "--format", "json")
    rows = json.loads(again.out)["rows"]
    assert [row["kind"] for row in rows] == ["critical"] * 4
    assert rows[0]["excess_loss_8"] == only(shell).excess[0].mean
    assert "for each of 2 seeds" in shell(*BRANCHED, "--seeds", "2").out
    after = shell.store.trials("profiles")
    assert after[: len(before)] == before
    assert len(after) == 2 * len(before)
    assert {trial.seed for trial in after} == {0, 1}
    assert only(shell).seeds == 2
    shell(*BRANCHED)  # what is known is not forgotten
    assert only(shell).seeds == 2


def test_noise_scale_stands_beside_it_and_its_ramp_is_a_command_that_runs(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell("profile", *WHERE, "--epochs", "20", "--kind", "stability", "--seeds", "1")
    monkeypatch.setattr(critical_profile, "excess_loss", free_at_the_end)
    finished = shell(*BRANCHED)
    assert re.search(r"noise scale \(examples\)", finished.out)
    (line,) = re.findall("follows it: (.*)", finished.out)
    words = shlex.split(line)
    assert words == ["--scheduler", "ramp", *words[2:]]
    assert "scheduler/points=4x@72%" in words
    shell("train", *WHERE, "--epochs", "20", "--interval", "0.5", *words)
    (ramp,) = shell.store.trials("train")
    assert (ramp.status, ramp.final_batch_size, ramp.adaptations) == ("complete", 16, 1)


def free_at_the_end(mark: int, losses: list[tuple[int, object]]) -> list[object]:
    from adasearch.profiles.critical import ExcessLoss

    value = 0.0 if mark > 1000 else 1.0
    return [
        ExcessLoss(mark=mark, batch_size=size, mean=value, low=value, high=value) for size, _ in losses[1:]
    ]


def test_run_that_diverges_is_stored_as_such(shell: Shell) -> None:
    wild = [*BRANCHED, "--set", "train/lr=1e30"]
    assert "the run diverged, so nothing was measured" in shell(*wild).out
    profile = only(shell)
    assert (profile.diverged, profile.excess) == (1, ())
    assert len(shell.store.trials("profiles")) == 1


def test_text_is_told_in_tokens(shell: Shell) -> None:
    text = ["--dataset", "python_source", "--sequence-length", "16", "--subset", "600", "--smallest", "4"]
    fixed = ["--set", "train/batch_size=4", "--largest", "8", "--epochs", "1.5"]
    finished = shell("profile", "--architecture", "gpt", *text, *fixed, "--kind", "critical")
    assert "branches of 64, 128 tokens at 4 marks, learning rate by 'sqrt'" in finished.out
    assert "tokens seen" in finished.out
    assert only(shell).setting.sequence_length == 16


def test_training_function_that_keeps_checkpoints_is_branched_and_another_is_refused(shell: Shell) -> None:
    own = ["--smallest", "4", "--largest", "8", "--set", "train/batch_size=4", "--epochs", "6"]
    critical = [*own, "--kind", "critical"]
    shell("profile", "--train", "tests.own_loops:resumes", *critical)
    base, *branches = shell.store.trials("profiles")
    assert (base.status, len(branches)) == ("complete", 4)
    assert {trial.final_batch_size for trial in branches} == {8}
    refused = shell("profile", "--train", "tests.own_loops:plain", *critical, "--results", "other", code=2)
    assert "must hand its network and its optimiser over to trial.checkpoint()" in refused.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([*BRANCHED, "--epochs", "2"], "needs a run of at least"),
        ([*BRANCHED, "--largest", "4"], "needs sizes of at least twice the batch of 4, but --largest is 4"),
        (["profile", *WHERE, "--slots", "2"], "--slots is for --kind critical alone but got 2"),
        ([*BRANCHED, "--slots", "0"], "--slots must be at least 1 but got 0"),
        (["profile", *WHERE, "--coupling", "sqrt"], "--coupling is for --kind critical alone but got sqrt"),
    ],
)
def test_bad_input_is_refused_in_one_line(shell: Shell, arguments: list[str], says: str) -> None:
    refused = shell(*arguments, code=2)
    assert says in refused.err
    assert len(refused.err.splitlines()) == 1
    assert shell.profiles.critical() == []


@pytest.fixture
def own_nets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let workers import the networks of the tests, which are not installed and not in the current folder."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))


@pytest.mark.ray
@pytest.mark.usefixtures("own_nets")
def test_branches_side_by_side_give_the_same_curve(shell: Shell) -> None:
    """Bit for bit, from the beginning and where one process was cut."""
    whole = shell(*BRANCHED, "--results", "whole")
    together = shell(*BRANCHED, "--slots", "2")
    assert only(shell) == replace(only(shell, "whole"), created_at=only(shell).created_at)
    assert table(together.out) == table(whole.out)
    stores = [shell.store, Store("whole")]
    rows, alone = (store.intervals("profiles") for store in stores)
    assert {name: losses(each) for name, each in rows.items()} == {
        name: losses(each) for name, each in alone.items()
    }
    ended, expected = ([known(trial) for trial in store.trials("profiles")] for store in stores)
    assert ended == expected
    assert not list(shell.store.checkpointed("profiles"))
    shell("doctor", "results")


def table(out: str) -> str:
    return out[out.index("Critical batch of") :]


def known(trial: TrialRecord) -> tuple[object, ...]:
    """What of a run does not depend on the machine."""
    return trial.trial_id, trial.role, trial.seed, trial.status, trial.examples_seen, trial.final_batch_size


@pytest.mark.ray
@pytest.mark.usefixtures("own_nets")
@pytest.mark.parametrize("slots", [(1, 2), (2, 1)], ids=["one, then two", "two, then one"])
def test_what_was_cut_goes_on_side_by_side_and_the_other_way_round(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, slots: tuple[int, int]
) -> None:
    heard = StepDisplay.__call__
    cuts: list[int] = []  # several intervals may come at once, and a second Ctrl-C ends the process

    def cut(display: object, what: str, done: int, total: int) -> None:
        if "branches" in what and done >= 40 and not cuts:
            cuts.append(done)
            os.kill(os.getpid(), signal.SIGINT)

    first, then = slots
    with monkeypatch.context() as patch:
        patch.setattr(StepDisplay, "__call__", cut)
        shell(*BRANCHED, "--slots", str(first), "--checkpoint-every", "2", code=130)
    assert {trial.status for trial in shell.store.trials("profiles")} >= {"running"}
    assert StepDisplay.__call__ is heard
    shell(*BRANCHED, "--slots", str(then), "--checkpoint-every", "2")
    shell(*BRANCHED, "--results", "whole")
    assert only(shell).excess == only(shell, "whole").excess
    assert {trial.status for trial in shell.store.trials("profiles")} == {"complete"}
