"""The critical batch of a network: one run, branched at some marks at several sizes; it goes on where cut."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timezone

from adasearch.choices import BranchCoupling
from adasearch.profiles.branch_plan import BranchPlan, branch_plan
from adasearch.profiles.critical import CriticalProfile, excess_loss
from adasearch.profiles.profile_store import ProfileStore
from adasearch.records import StudyRecord
from adasearch.runs.branched_run import BranchedRun
from adasearch.runs.profile_run import ProfileRun
from adasearch.store.trials import PROFILES

__all__ = ["critical_profile"]


def critical_profile(
    run: ProfileRun,
    budget: int,
    seeds: int,
    coupling: BranchCoupling | None,
    side_by_side: Callable[[ProfileRun, Sequence[BranchedRun]], None] | None = None,
) -> CriticalProfile:
    """Run what is missing of the profile, and keep what comes of it.

    Args:
        run: of which network, and how.
        budget: examples of the run.
        seeds: runs that are branched.
        coupling: how the learning rate follows the size; None is "linear" for SGD, else "sqrt".
        side_by_side: trains what is missing of the runs before they are gone through here.

    Raises:
        InputError: the run is too short, or the training function keeps no checkpoints.
        AdasearchError: a run failed, other than by diverging.
    """
    params = run.params
    plan = branch_plan(int(params["train/batch_size"]), run.study.record.limits, budget)
    coupling = coupling or ("linear" if params.get("train/optimizer") == "sgd" else "sqrt")
    record = _record(run, plan, coupling)
    stored = [trial for trial in run.store.trials(PROFILES) if trial.study == record.study]
    seeds = max(seeds, *(1 + trial.number // plan.runs for trial in stored), 1)
    _announce(run, plan, seeds, coupling)
    if side_by_side is not None:
        side_by_side(run, _branched_runs(run, record, plan, coupling, seeds))
    branched = _branched_runs(run, record, plan, coupling, seeds)
    for each in branched:
        each.train()
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


def _branched_runs(
    run: ProfileRun, record: StudyRecord, plan: BranchPlan, coupling: BranchCoupling, seeds: int
) -> list[BranchedRun]:
    """Return the runs of each seed, as far as they are stored."""
    stored = [trial for trial in run.store.trials(PROFILES) if trial.study == record.study]
    own = [[trial for trial in stored if trial.number // plan.runs == seed] for seed in range(seeds)]
    return [
        BranchedRun(run, record, plan, coupling, trials, seed=seed, seeds=seeds)
        for seed, trials in enumerate(own)
    ]
