"""Which failed trials are tried again: their cause may be mended, and a failed trial is no finished work."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from adasearch.errors import parts_of
from adasearch.io.text import counted
from adasearch.records import TrialRecord

__all__ = ["nothing_completed", "tell_retried", "with_retried"]


def with_retried(trials: Sequence[TrialRecord], phase: str, wanted: bool | None) -> list[TrialRecord]:
    """Return stored trials with the failed ones that are tried again as running ones, from their beginning.

    Args:
        trials: of one study.
        phase: of those that may be tried again.
        wanted: all failed ones, or none; None tries them where everything failed, or several did and all of
            them by the same error. One that diverged would diverge again, and is left alone then.
    """
    again = {trial.trial_id for trial in _again([t for t in trials if t.phase == phase], wanted)}
    return [
        replace(trial, status="running", error=None, cause=None, ended_at=None)
        if trial.trial_id in again
        else trial
        for trial in trials
    ]


def _again(trials: Sequence[TrialRecord], wanted: bool | None) -> list[TrialRecord]:
    failed = [trial for trial in trials if trial.status == "failed"]
    if wanted is not None:
        return failed if wanted else []
    mendable = [trial for trial in failed if trial.cause != "diverged"]
    everything = all(trial.status in ("failed", "running") for trial in trials)
    same = len(mendable) > 1 and len({parts_of(trial.error)[0] for trial in mendable}) == 1
    return mendable if everything or same else []


def tell_retried(
    study: str, stored: Sequence[TrialRecord], taken: Sequence[TrialRecord], say: Callable[[str], None]
) -> None:
    """Say which failed trials of a study are tried again, or how they can be."""
    before = {trial.trial_id for trial in stored if trial.status == "failed"}
    left = {trial.trial_id for trial in taken if trial.status == "failed"}
    if again := before - left:
        causes = {parts_of(trial.error)[0] for trial in stored if trial.trial_id in again}
        why = f", all by {next(iter(causes))}" if len(causes) == 1 < len(again) else ""
        they = "they are" if len(again) > 1 else "it is"
        say(f"{study}: {counted(len(again), 'failed trial')}{why}: {they} tried again")
    elif left:
        stay, them = ("stay", "them") if len(left) > 1 else ("stays", "it")
        say(f"{study}: {counted(len(left), 'failed trial')} {stay} so; --retry-failed tries {them} again")


def nothing_completed(study: str, trials: Sequence[TrialRecord]) -> str | None:
    """Return a line that says why no trial of a study completed; None if one did, or none failed."""
    failed = [trial for trial in trials if trial.status == "failed"]
    if not failed or any(trial.status == "complete" for trial in trials):
        return None
    return (
        f"{study}: nothing completed, {len(failed)} of {len(trials)} trials failed, such as "
        f"{failed[0].trial_id}: {parts_of(failed[0].error)[0]}"
    )
