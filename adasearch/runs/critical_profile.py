"""The critical batch of a network: one run, branched at some marks at several sizes; it goes on where cut.

The run at the base size and each of its branches are trials of phase "profile". A branch begins with what the
run had done until its mark, as if it were one run whose size then changes, and ends with the branch.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from adasearch.choices import BranchCoupling
from adasearch.environment import versions
from adasearch.errors import AdasearchError, InputError
from adasearch.profiles.branch_plan import PARTS, BranchPlan, branch_plan
from adasearch.profiles.critical import CriticalProfile, excess_loss
from adasearch.profiles.profile_store import ProfileStore
from adasearch.records import Decision, IntervalRecord, StudyRecord, TrialRecord
from adasearch.runs.execute import run_and_keep
from adasearch.runs.live_trial import LiveTrial
from adasearch.runs.profile_run import ProfileRun, is_over
from adasearch.store.trials import PROFILES, begin_trial
from adasearch.training.task import Outcome

if TYPE_CHECKING:
    from adasearch.tasks.base import Data

__all__ = ["critical_profile"]


def critical_profile(
    run: ProfileRun, budget: int, seeds: int, coupling: BranchCoupling | None
) -> CriticalProfile:
    """Run what is missing of the profile, and keep what comes of it.

    Args:
        run: of which network, and how.
        budget: examples of the run.
        seeds: runs that are branched.
        coupling: how the learning rate follows the size; None is "linear" for SGD, else "sqrt".

    Raises:
        InputError: the run is too short, or the training function keeps no checkpoints.
        AdasearchError: a run failed, other than by diverging.
    """
    params = run.params
    plan = branch_plan(int(params["train/batch_size"]), run.study.record.limits, budget)
    coupling = coupling or ("linear" if params.get("train/optimizer") == "sgd" else "sqrt")
    record = _record(run, plan, coupling)
    stored = [trial for trial in run.store.trials(PROFILES) if trial.study == record.study]
    per_seed = 1 + len(plan.branches)
    seeds = max(seeds, *(1 + trial.number // per_seed for trial in stored), 1)
    _announce(run, plan, seeds, coupling)
    branched = []
    for seed in range(seeds):
        own = [trial for trial in stored if trial.number // per_seed == seed]
        branched.append(_Branched(run, record, plan, coupling, own, seed=seed, seeds=seeds))
        branched[-1].train()
    whole = [each for each in branched if not each.diverged]
    excess = [
        found
        for mark in (plan.marks if whole else ())
        for found in excess_loss(
            mark * plan.interval,
            [(size, [each.losses(mark, size) for each in whole]) for size in plan.sizes],
        )
    ]
    profile = CriticalProfile(
        profile=record.study,
        setting=run.setting,
        subset=record.subset,
        seed=record.seed,
        train_examples=record.train_examples,
        budget=budget,
        interval=plan.interval,
        base_batch_size=plan.sizes[0],
        coupling=coupling,
        params=params,
        excess=tuple(excess),
        seeds=seeds,
        diverged=seeds - len(whole),
        created_at=datetime.now(timezone.utc),
    )
    run.store.locks.check()
    ProfileStore(run.store.name).write(profile)
    return profile


def _announce(run: ProfileRun, plan: BranchPlan, seeds: int, coupling: str) -> None:
    """Say what is to be done, and what it takes."""
    record = run.study.record
    length = record.sequence_length or 1
    sizes = ", ".join(f"{size * length:,}" for size in plan.sizes)
    unit = "" if record.sequence_length is None else " tokens"
    each = "" if seeds == 1 else f" for each of {seeds} seeds"
    run.say(
        f"{record.architecture}: critical batch by branches of {sizes}{unit} at {len(plan.marks)} marks, "
        f"learning rate by '{coupling}'; this takes {plan.trainings:.2f} trainings of "
        f"{plan.budget / record.train_examples:g} epochs{each}"
    )


def _record(run: ProfileRun, plan: BranchPlan, coupling: str) -> StudyRecord:
    """Return what the runs are told, under a name that only the same runs have."""
    former = run.study.record
    spans = [former.subset, former.seed, former.train_examples, plan.budget, plan.interval]
    return replace(
        former,
        study=run.name("critical", [*spans, plan.sizes, plan.marks, coupling]),
        scheduler="constant",
        budget=plan.budget,
        interval=plan.interval,
        evaluate_every=plan.budget,
        stopper="none",
    )


class _Branched:
    """One seed's run at the base size, and its branches."""

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
        self._run, self.record, self._plan, self._coupling = run, record, plan, coupling
        self._seed, self._seeds = seed, seeds
        self._data: Data | None = None
        self._first = seed * (1 + len(plan.branches))
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
        """Return the training losses of a branch by interval; None if it diverged."""
        live = self._lives[self._number(mark, size)]
        if live.record.status == "failed":
            return None
        return [each.signals.train_loss for each in live.intervals[mark : mark + PARTS]]

    def train(self) -> None:
        """Run what is missing, mark after mark."""
        if self._first not in self._lives:
            self._begin(self._first, "profile")
        for mark in self._plan.marks:
            if not self._go_on(mark):
                return
            for size in self._plan.sizes[1:]:
                self._branch(mark, size)
        self._go_on(self._plan.end)

    def _number(self, mark: int, size: int) -> int:
        if size == self._plan.sizes[0]:
            return self._first
        return self._first + 1 + self._plan.branches.index((mark, size))

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
            self._train(live, until, every=self._plan.marks[0], last=until == self._plan.end)
        return not self.diverged

    def _branch(self, mark: int, size: int) -> None:
        """Run a branch to its end."""
        number = self._number(mark, size)
        live = self._lives.get(number)
        if live is None or (live.record.status == "failed" and not is_over(live.record)):
            live = self._branched(number, mark, size)
        if not is_over(live.record):
            self._train(live, mark + PARTS, every=self._run.options.checkpoint_every, last=True)

    def _branched(self, number: int, mark: int, size: int) -> LiveTrial:
        """Begin a branch where the run at the base size stands."""
        from adasearch.training.checkpoint import Checkpoints

        store, base = self._run.store, self._lives[self._first]
        times = size / self._plan.sizes[0]
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
        plan, base = self._plan, self._first
        spent = sum(
            len(live.intervals) - (0 if number == base else plan.branches[number - base - 1][0])
            for number, live in self._lives.items()
        )
        whole = plan.end + len(plan.branches) * PARTS
        what = f"{self.record.architecture}: branches"
        self._run.progress(what, self._seed * whole + spent, self._seeds * whole)
        return interval.signals.interval + 1 < until
