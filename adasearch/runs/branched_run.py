"""A run at one size and its branches at others, trained one after the other in this process.

All are trials of phase "profile". A branch begins with what the run had done until its mark, as if it were
one run whose size then changes, and ends with the branch. Whoever trains them side by side
(:mod:`adasearch.commands._branches`) begins a mark's branches once the run is there, as is done here, and
comes to the same: a branch knows of no other.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from adasearch.choices import BranchCoupling
from adasearch.environment import versions
from adasearch.errors import AdasearchError, InputError
from adasearch.profiles.branch_plan import PARTS, BranchPlan
from adasearch.records import Decision, IntervalRecord, StudyRecord, TrialRecord
from adasearch.runs.execute import run_and_keep
from adasearch.runs.live_trial import LiveTrial
from adasearch.runs.profile_run import ProfileRun, is_over
from adasearch.store.trials import PROFILES, begin_trial
from adasearch.training.task import Outcome

if TYPE_CHECKING:
    from adasearch.tasks.base import Data

__all__ = ["BranchedRun"]


class BranchedRun:
    """One seed's run at the base size, and its branches.

    Attributes:
        record: what they are told.
        plan: where the run is branched, and at which sizes.
    """

    def __init__(
        self,
        run: ProfileRun,
        record: StudyRecord,
        plan: BranchPlan,
        coupling: BranchCoupling,
        stored: Sequence[TrialRecord],
        *,
        seed: int,
        seeds: int,
    ) -> None:
        self._run, self.record, self.plan, self._coupling = run, record, plan, coupling
        self._seed, self._seeds = seed, seeds
        self._data: Data | None = None
        self._first = seed * plan.runs
        kept = run.store.intervals(PROFILES, [trial.trial_id for trial in stored])
        self._lives = {
            trial.number: LiveTrial(trial, run.store, intervals=kept.get(trial.trial_id, []))
            for trial in stored
        }

    @property
    def diverged(self) -> bool:
        """Whether the run at the base size did."""
        return self._lives[self._first].record.status == "failed"

    def losses(self, mark: int, size: int) -> list[float] | None:
        """Return the training losses of a branch by interval; None if it diverged.

        Raises:
            AdasearchError: it is no branch, for its checkpoint was lost and it began anew.
        """
        live = self._lives[self._number(mark, size)]
        if live.record.status == "failed":
            return None
        if live.intervals[mark].signals.batch_size != size:
            raise AdasearchError(
                f"{live.record.trial_id} lost the checkpoint that it began with: remove what is named "
                f"{self.record.study}-* below {self._run.store.name}/{PROFILES}, and give the command again"
            )
        return [each.signals.train_loss for each in live.intervals[mark : mark + PARTS]]

    def train(self) -> None:
        """Run what is missing, mark after mark."""
        self.begun()
        for mark in self.plan.marks:
            if not self._go_on(mark):
                return
            for size in self.plan.sizes[1:]:
                self._train_branch(self._branch(mark, size), mark)
        self._go_on(self.plan.end)

    def begun(self) -> LiveTrial:
        """Return the run at the base size, which begins now if it is not stored."""
        return self._lives.get(self._first) or self._begin(self._first, "profile")

    def branches(self, mark: int) -> list[LiveTrial]:
        """Return the branches of a mark that are not over; those that are not stored begin now.

        Raises:
            InputError: there is no checkpoint from which they could.
        """
        found = [self._branch(mark, size) for size in self.plan.sizes[1:]]
        return [live for live in found if not is_over(live.record)]

    def stood(self, base: LiveTrial) -> None:
        """Hear where the run at the base size stands, which others trained."""
        self._lives[self._first] = base

    def begins(self, trial: TrialRecord) -> int:
        """Return after how many intervals of the run at the base size a trial, of any seed, begins."""
        number = trial.number % self.plan.runs
        return self.plan.branches[number - 1][0] if number else 0

    @property
    def spent(self) -> dict[str, int]:
        """How many intervals each trial has of its own."""
        return {
            live.record.trial_id: len(live.intervals) - self.begins(live.record)
            for live in self._lives.values()
        }

    def _number(self, mark: int, size: int) -> int:
        if size == self.plan.sizes[0]:
            return self._first
        return self._first + 1 + self.plan.branches.index((mark, size))

    def _begin(self, number: int, role: str) -> LiveTrial:
        store, record = self._run.store, self.record
        trial = begin_trial(
            record,
            phase="profile",
            number=number,
            params=self._run.params,
            seed=record.seed + self._seed,
            versions=versions(),
            role=role,
        )
        store.write_train_study(trial, record)
        live = LiveTrial(trial, store)
        if role == "profile":
            store.write_trial(trial)
            self._lives[number] = live
        return live

    def _go_on(self, until: int) -> bool:
        """Take the run at the base size to a mark, or to its end; tell whether it has not diverged."""
        live = self._lives[self._first]
        if not is_over(live.record):
            self._train(live, until, every=self.plan.marks[0], last=until == self.plan.end)
        return not self.diverged

    def _train_branch(self, live: LiveTrial, mark: int) -> None:
        if not is_over(live.record):
            self._train(live, mark + PARTS, every=self._run.options.checkpoint_every, last=True)

    def _branch(self, mark: int, size: int) -> LiveTrial:
        """Return a branch, which begins now if it is not stored, or failed."""
        number = self._number(mark, size)
        live = self._lives.get(number)
        if live is None or (live.record.status == "failed" and not is_over(live.record)):
            live = self._branched(number, mark, size)
        return live

    def _branched(self, number: int, mark: int, size: int) -> LiveTrial:
        """Begin a branch where the run at the base size stands."""
        from adasearch.training.checkpoint import Checkpoints

        store, base = self._run.store, self._lives[self._first]
        times = size / self.plan.sizes[0]
        decision = Decision(
            batch_size=size,
            lr_scale=times if self._coupling == "linear" else times**0.5,
            action="grow",
            reason=f"branch at {times:g} times the size",
        )
        live = self._begin(number, "branch")
        there = store.checkpoint_folder(base.record)
        if not Checkpoints(there).branch(mark, store.checkpoint_folder(live.record), decision):
            raise InputError(
                f"{base.record.trial_id} has no checkpoint at the mark that is branched: a training function "
                "must hand its network and its optimiser over to trial.checkpoint()"
            )
        live = self._lives[number] = LiveTrial(live.record, store, intervals=base.intervals[:mark])
        live.write_intervals()
        store.write_trial(live.record)  # last: where it is there, so is what it goes on from
        return live

    def _train(self, live: LiveTrial, until: int, *, every: int | None, last: bool) -> None:
        """Train a run until so many intervals; ``last`` says that it is over then."""
        from adasearch.runs.speed import FixedBatch

        run = self._run
        if len(live.intervals) < until:
            self._data = self._data or run.data()
            run_and_keep(
                live,
                live.task(self.record, run.study.data, replace(run.options, checkpoint_every=every)),
                self._data,
                run.store,
                device=self.record.device,
                heard=lambda interval: self._heard(interval, until),
                say=run.say,
                scheduler=FixedBatch(),
            )
        if last and live.record.status == "running":
            live.keep(live.close(Outcome(status="complete")))
            run.store.remove_checkpoints(live.record)
        elif live.record.status == "failed" and not is_over(live.record):
            raise AdasearchError(f"{live.record.trial_id} failed: {live.record.error}")

    def _heard(self, interval: IntervalRecord, until: int) -> bool:
        """Show how far all is; tell whether the run goes on."""
        whole, spent = self.plan.intervals, sum(self.spent.values())
        what = f"{self.record.architecture}: branches"
        self._run.progress(what, self._seed * whole + spent, self._seeds * whole)
        return interval.signals.interval + 1 < until
