"""What the pool of workers is given of a critical profile, by one in this process that trains it for real."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch

from adasearch.commands import _profile
from adasearch.commands._branches import BranchSource, failed_of
from adasearch.profiles.branch_plan import PARTS
from adasearch.records import IntervalRecord, TrialRecord
from adasearch.runs.branched_run import BranchedRun
from adasearch.runs.live_trial import LiveTrial
from adasearch.runs.profile_run import ProfileRun
from adasearch.store import Store
from adasearch.training.loop import train_trial
from adasearch.training.task import Outcome, TrialTask, failed
from tests.commands.test_critical_profile import BRANCHED, losses, only
from tests.commands.test_profile import Shell, shell

__all__ = ["shell"]  # the fixture

Fails = Callable[[IntervalRecord, TrialRecord], bool]


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> "Pool":
    made = Pool()
    monkeypatch.setattr(_profile, "side_by_side", made)
    return made


class Pool:
    """Takes the place of Ray: one slot, whose tasks are in ``order``; ``fails`` tells where one raises."""

    def __init__(self) -> None:
        self.order: list[tuple[str, int]] = []
        self.fails: Fails = lambda interval, trial: False

    def __call__(self, run: ProfileRun, branched: Sequence[BranchedRun], **_: Any) -> None:
        sources = [BranchSource(run, each, 1) for each in branched]
        for source in sources:
            while source.left:
                assert source.ready
                self._train(source, run)
        failed_of(sources)

    def _train(self, source: BranchSource, run: ProfileRun) -> None:
        trial = source.ask()
        stored = source.plan.intervals[trial.trial_id]
        live = LiveTrial(trial, run.store, intervals=stored)
        task = source.plan.told(live.task(source.plan.study, source.plan.data, source.plan.options))
        assert task.until is not None
        self.order.append((trial.trial_id.rpartition("-")[2], task.until))
        live.keep(source.tell(live.close(self._outcome(task, live, run))))

    def _outcome(self, task: TrialTask, live: LiveTrial, run: ProfileRun) -> Outcome:
        def heard(interval: IntervalRecord) -> bool:
            live.add(interval)
            if interval.checkpoint_seconds is not None:
                live.write_intervals()
            if self.fails(interval, live.record):
                raise RuntimeError("the dog ate it")
            return len(live.intervals) != task.until

        try:
            found = train_trial(task, run.data(), torch.device("cpu"), heard)  # type: ignore[arg-type]
        except RuntimeError as error:
            return failed(error)
        return Outcome(status="complete") if found is None else found


POOLED = [*BRANCHED, "--slots", "2"]


def test_the_run_is_trained_part_by_part_and_its_branches_once_it_is_there(shell: Shell, pool: Pool) -> None:
    shell(*POOLED)
    parts = [until for number, until in pool.order if number == "0"]
    first = parts[0]
    assert parts == [first, 2 * first, 4 * first, 6 * first, 6 * first + PARTS]
    branches = [(number, until) for number, until in pool.order if number != "0"]
    marks = [first, first, 2 * first, 2 * first, 4 * first, 4 * first, 6 * first, 6 * first]
    assert branches == [(str(number), mark + PARTS) for number, mark in enumerate(marks, start=1)]
    shell(*BRANCHED, "--results", "whole")
    assert only(shell).excess == only(shell, "whole").excess
    pool.order.clear()
    shell(*POOLED, "--seeds", "2")  # of another seed alone
    assert [number for number, _ in pool.order if number in ("0", "9")] == ["9"] * 5


def test_a_branch_that_fails_stays_open_and_goes_on_from_its_checkpoint(shell: Shell, pool: Pool) -> None:
    pool.fails = lambda interval, trial: (
        trial.trial_id.endswith("-3") and interval.signals.batch_size == 8 and interval.signals.step % 3 == 0
    )
    told = shell(*POOLED, "--checkpoint-every", "2", code=1)
    assert "-profile-3 failed: RuntimeError: the dog ate it" in told.err
    trials = {trial.number: trial for trial in shell.store.trials("profiles")}
    assert (trials[3].status, trials[3].error) == ("running", None)
    shell(*BRANCHED)  # in this process
    shell(*BRANCHED, "--results", "whole")
    assert only(shell).excess == only(shell, "whole").excess
    runs, whole = shell.store.intervals("profiles"), Store("whole").intervals("profiles")
    assert {name: losses(rows) for name, rows in runs.items()} == {
        name: losses(rows) for name, rows in whole.items()
    }


def test_a_run_that_diverges_leaves_nothing_to_do(shell: Shell, pool: Pool) -> None:
    wild = [*POOLED, "--set", "train/lr=1e30"]
    assert "the run diverged, so nothing was measured" in shell(*wild).out
    assert [number for number, _ in pool.order] == ["0"]
    assert [trial.cause for trial in shell.store.trials("profiles")] == ["diverged"]
    pool.order.clear()
    shell(*wild)
    assert pool.order == []


def test_a_branch_whose_checkpoint_is_gone_is_no_branch_and_that_is_said(shell: Shell, pool: Pool) -> None:
    pool.fails = lambda interval, trial: trial.trial_id.endswith("-3") and interval.signals.batch_size == 8
    shell(*POOLED, code=1)
    pool.fails = lambda interval, trial: False
    (trial,) = [each for each in shell.store.trials("profiles") if each.number == 3]
    shell.store.remove_checkpoints(trial)
    told = shell(*BRANCHED, code=1)
    assert "-profile-3 lost the checkpoint that it began with" in told.err
