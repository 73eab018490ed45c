"""What the schedules themselves are worth: time to the final error of the tuned constant batch size.

Reads confirmed studies, by default those of the real study in ``notebooks/data``, and trains nothing. Per
seed the target is the validation error with which the tuned reference ended; its time is that of its first
evaluation at or below it. The speed-up is the reference's time over the candidate's on the same seed, 0 where
the candidate never got there; shown are the median over seeds, the least and the greatest. The untuned
default is judged in the same way, as what tuning alone is worth.
"""

import math
from collections.abc import Mapping, Sequence

from adasearch.choice import seconds
from adasearch.clocks import intervals_of
from adasearch.records import IntervalRecord, StudyRecord, TrialRecord
from adasearch.store import Store
from adasearch.tables import Column, number, times
from adasearch.targets import median_reached, to_target
from common import Row, keep, parser_of

AIM = 1.5


def runs_of(trials: Sequence[TrialRecord], role: str) -> dict[int, TrialRecord]:
    """Return the complete confirming runs of a role by seed."""
    return {
        trial.seed: trial
        for trial in trials
        if (trial.phase, trial.role, trial.status) == ("confirm", role, "complete")
    }


def row_of(
    study: StudyRecord,
    role: str,
    trials: Sequence[TrialRecord],
    intervals: Mapping[str, Sequence[IntervalRecord]],
) -> Row | None:
    """Return what a role is worth beside the reference; None where they have no seed in common."""
    own, reference = runs_of(trials, role), runs_of(trials, "reference")
    common = sorted(own.keys() & reference.keys())
    if not common:
        return None
    spans, speedups = [], []
    for seed in common:
        target = reference[seed].val_error
        base, *_ = to_target(intervals.get(reference[seed].trial_id, ()), target, study.clock)
        span, *_ = to_target(intervals.get(own[seed].trial_id, ()), target, study.clock)
        spans.append(span)
        speedups.append(base / span)
    spent = median_reached(spans)  # in words if most never got there
    return {
        "architecture": study.architecture,
        "scheduler": study.scheduler if role == "candidate" else "constant",
        "role": role,
        "clock": study.clock,
        "seeds": len(common),
        "reached": sum(map(math.isfinite, spans)),
        "reference_seconds": median_reached([seconds(reference[seed], study.clock) for seed in common]),
        "target_seconds": spent if isinstance(spent, float) else None,
        "speedup": median_reached(speedups),
        "speedup_low": min(speedups),
        "speedup_high": max(speedups),
    }


def main() -> None:
    """Read and print."""
    parser = parser_of(__doc__, "schedules")
    parser.add_argument("--results", default="notebooks/data", help="of confirmed studies")
    arguments = parser.parse_args()
    store = Store(arguments.results, must_exist=True)
    rows: list[Row] = []
    for study in store.studies():
        trials = [trial for trial in store.trials(study.study) if trial.phase == "confirm"]
        intervals = intervals_of(store, study, [trial.trial_id for trial in trials])
        found = (row_of(study, role, trials, intervals) for role in ("candidate", "default"))
        rows += [row for row in found if row is not None]
    columns = [
        Column("architecture", "architecture"),
        Column("scheduler", "scheduler"),
        Column("role", "role"),
        Column("seeds", "seeds"),
        Column("reached", "reached"),
        Column("reference_seconds", "reference s", number),
        Column("target_seconds", "s to its error", number),
        Column("speedup", "speed-up", times),
        Column("speedup_low", "least", times),
        Column("speedup_high", "greatest", times),
    ]
    keep(rows, columns, arguments.out)
    good = {row["architecture"] for row in rows if row["role"] == "candidate" and row["speedup"] >= AIM}  # type: ignore[operator]
    print(
        f"at least {AIM}x by the median on {len(good)} network(s): {', '.join(sorted(map(str, good))) or '-'}"
    )


if __name__ == "__main__":
    main()
