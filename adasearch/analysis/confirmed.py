"""The rows of what was confirmed: what a candidate took, and what it is worth beside its controls."""

from dataclasses import dataclass, fields

from adasearch.analysis.estimates import Estimate, flat
from adasearch.analysis.paired_tests import QUESTIONS, Paired, error_of, speedup_of, verdict
from adasearch.analysis.verdicts import ConfirmedVerdict, SearchVerdict
from adasearch.objective import ERROR
from adasearch.schedulers.registry import BASELINE

__all__ = ["ConfirmedRow", "RunSummary", "flat_row", "whole_verdict"]

WHO = (
    *("study", "architecture", "scheduler", "scale", "dataset"),
    *("role", "ran", "trial_id", "source_trial_id"),
)
DOUBTFUL: frozenset[SearchVerdict] = frozenset({"no gain in search", "chosen by name"})


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """The runs of one role, and means over the ``seeds`` complete ones.

    Args:
        seeds, unfinished, failed: how many runs are complete, and how many are not.
        test_error, val_error: means of fractions, at the end of the run.
        seconds: by ``clock``; None where one of them has none.
        target_error: the validation error that was to be reached.
        target_seconds, target_examples, target_steps: what it took to reach it: the median over seeds, "not
            reached" unless more than half got there.
        reached: how many did.
        final_batch_size: the median.
        measure_share: of the training time, spent on signals.
        peak_memory_bytes: the greatest of all runs.
    """

    seeds: int
    unfinished: int
    failed: int
    test_error: Estimate | None
    val_error: float | None
    seconds: Estimate | None
    clock: str
    train_seconds: float | None
    modelled_seconds: float | None
    target_error: float | None
    target_seconds: float | str | None
    target_examples: float | str | None
    target_steps: float | str | None
    reached: int
    mean_batch_size: float | None
    final_batch_size: float | None
    adaptations: float | None
    measure_share: float | None
    peak_memory_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmedRow:
    """A candidate, or one of its controls, over its fresh seeds.

    Args:
        study, architecture, scheduler, scale, dataset: whose candidate it is.
        role, ran: "candidate" or which control, and the scheduler that really ran.
        trial_id, source_trial_id: the first of the runs, and the trial of the search that they repeat.
        runs: what they took.
        paired: the candidate over common seeds, against the reference in its own row and against the
            control in a control's; None without pairs. p values are corrected over the table.
        default: in the candidate's own row the same against the untuned default.
        error_margin: the difference of errors that counts as none.
        objective: what is called error here.
        sequence_length: tokens of an example, None where it is no sequence.
        search_verdict: what the search said of the candidate.
    """

    study: str
    architecture: str
    scheduler: str
    scale: str
    dataset: str
    role: str
    ran: str
    trial_id: str
    source_trial_id: str
    runs: RunSummary
    paired: Paired | None
    default: Paired | None
    error_margin: float
    search_verdict: SearchVerdict
    objective: str = ERROR
    sequence_length: int | None = None

    @property
    def table(self) -> str:
        """Which table it stands in: "confirmed" or "controls"."""
        return "confirmed" if self.role == "candidate" else "controls"

    @property
    def pairs(self) -> int:
        """Common seeds over which it is compared."""
        return 0 if self.paired is None else self.paired.seeds

    @property
    def idle(self) -> bool:
        """Whether this is a schedule's candidate whose runs never changed the batch size."""
        schedule = self.role == "candidate" and self.scheduler != BASELINE
        return schedule and self.runs.seeds > 0 and not self.runs.adaptations

    @property
    def outcome(self) -> ConfirmedVerdict:
        """What the candidate's runs show beside the reference's, or this control's."""
        if not self.runs.seeds:
            return "nothing complete"
        if self.paired is None:
            return "reference" if self.search_verdict == "reference" else "no reference"
        return verdict(self.paired)

    @property
    def verdict(self) -> str:
        """The outcome as tables print it; an idle candidate is another constant run."""
        return f"no change made ({self.outcome})" if self.idle else self.outcome


def whole_verdict(row: ConfirmedRow) -> str:
    """Return a row's verdict, with the search's doubts where there were any."""
    return f"{row.verdict} ({row.search_verdict})" if row.search_verdict in DOUBTFUL else row.verdict


def flat_row(row: ConfirmedRow) -> dict[str, object]:
    """Return a row in columns: an estimate's mean and ends, and what a pair shows, one by one."""
    runs: dict[str, object] = {}
    for each in fields(row.runs):
        value = getattr(row.runs, each.name)
        runs |= flat(each.name, value) if each.name in ("test_error", "seconds") else {each.name: value}
    default = row.default
    return {
        "table": row.table,
        **{name: getattr(row, name) for name in WHO},
        **runs,
        "pairs": row.pairs,
        **flat("error_difference", error_of(row.paired)),
        **flat("speedup", speedup_of(row.paired)),
        "time_saved": row.paired and row.paired.time_saved,
        **{name: row.paired and getattr(row.paired, name) for name in QUESTIONS},
        "error_margin": row.error_margin,
        "error_difference_default": default and default.error.mean,
        **flat("speedup_default", speedup_of(default)),
        "time_saved_default": default and default.time_saved,
        "verdict_default": default and verdict(default),
        "search_verdict": row.search_verdict,
        "verdict": row.verdict,
    }
