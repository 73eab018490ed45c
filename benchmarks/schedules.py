"""What the schedules themselves are worth: time to the final error of the tuned constant batch size.

Reads confirmed studies, by default the real study in ``notebooks/data`` and that of late and gentle growth in
``notebooks/data_schedules``, and trains nothing. Per seed the target is the validation error with which the
tuned reference ended; its time is that of its first evaluation at or below it. The speed-up is the
reference's time over the candidate's on the same seed, 0 where the candidate never got there; shown are the
median over seeds, the least and the greatest. ``vs default`` is the same with the untuned default's error and
time. The default itself, AdaBatch as published and the decay instead of growth are judged in the same way,
where they were run. The ceiling is how many times as fast a whole run at the fastest size is as one at the
reference's, by the speed profile: growth saves no more than that on equally many examples.
"""

import math
from collections.abc import Mapping, Sequence

from adasearch.choice import seconds
from adasearch.clocks import curve_of, intervals_of
from adasearch.records import IntervalRecord, StudyRecord, TrialRecord
from adasearch.store import Store
from adasearch.tables import Column, number, times
from adasearch.targets import median_reached, to_target
from common import Row, keep, parser_of

AIM = 1.5
DATA = ("notebooks/data", "notebooks/data_schedules")
ROLES = ("candidate", "default", "adabatch", "decay")


def runs_of(trials: Sequence[TrialRecord], role: str) -> dict[int, TrialRecord]:
    """Return the complete confirming runs of a role by seed."""
    return {
        trial.seed: trial
        for trial in trials
        if (trial.phase, trial.role, trial.status) == ("confirm", role, "complete")
    }


def speedups(
    own: Mapping[int, TrialRecord],
    base: Mapping[int, TrialRecord],
    intervals: Mapping[str, Sequence[IntervalRecord]],
    clock: str,
) -> tuple[list[float], list[float]]:
    """Return per common seed the seconds to the other's final error, and how many times sooner that is."""
    spans, ratios = [], []
    for seed in sorted(own.keys() & base.keys()):
        target = base[seed].val_error
        theirs, *_ = to_target(intervals.get(base[seed].trial_id, ()), target, clock)
        span, *_ = to_target(intervals.get(own[seed].trial_id, ()), target, clock)
        spans.append(span)
        ratios.append(theirs / span)
    return spans, ratios


def ceiling_of(store: Store, study: StudyRecord, reference: TrialRecord) -> float | None:
    """Return the greatest throughput within the study's limits over that of the reference's size."""
    curve, size = curve_of(store, study), reference.params["train/batch_size"]
    if curve is None or not isinstance(size, int):
        return None
    inside = [*(each for each in curve.sizes if study.limits.admit(each)), size]
    return max(each / curve.step(each) for each in inside) * curve.step(size) / size


def row_of(
    store: Store,
    study: StudyRecord,
    role: str,
    trials: Sequence[TrialRecord],
    intervals: Mapping[str, Sequence[IntervalRecord]],
) -> Row | None:
    """Return what a role is worth beside the reference; None where they have no seed in common."""
    own, reference = runs_of(trials, role), runs_of(trials, "reference")
    default = runs_of(trials, "default") or reference  # the same trial is run once
    spans, ratios = speedups(own, reference, intervals, study.clock)
    if not ratios:
        return None
    spent = median_reached(spans)  # in words if most never got there
    _, beside_default = speedups(own, default, intervals, study.clock)
    one = next(iter(reference.values()))
    return {
        "architecture": study.architecture,
        "study": study.study,
        "scheduler": next(iter(own.values())).scheduler,
        "role": role,
        "clock": study.clock,
        "seeds": len(ratios),
        "reached": sum(map(math.isfinite, spans)),
        "reference_batch": one.params["train/batch_size"],
        "ceiling": ceiling_of(store, study, one),
        "reference_seconds": median_reached([seconds(trial, study.clock) for trial in reference.values()]),
        "target_seconds": spent if isinstance(spent, float) else None,
        "speedup": median_reached(ratios),
        "speedup_low": min(ratios),
        "speedup_high": max(ratios),
        "default_speedup": median_reached(beside_default),
        "default_speedup_low": min(beside_default, default=None),
        "default_speedup_high": max(beside_default, default=None),
    }


def rows_of(results: str) -> list[Row]:
    """Return the rows of a results folder's confirmed studies."""
    store = Store(results, must_exist=True)
    rows = []
    for study in store.studies():
        trials = [trial for trial in store.trials(study.study) if trial.phase == "confirm"]
        intervals = intervals_of(store, study, [trial.trial_id for trial in trials])
        rows += [row_of(store, study, role, trials, intervals) for role in ROLES]
    return [row for row in rows if row is not None]


def main() -> None:
    """Read and print."""
    parser = parser_of(__doc__, "schedules")
    parser.add_argument("--results", action="append", help=f"of confirmed studies [default: {DATA}]")
    arguments = parser.parse_args()
    rows = [row for results in arguments.results or DATA for row in rows_of(results)]
    columns = [
        Column("architecture", "architecture"),
        Column("scheduler", "scheduler"),
        Column("role", "role"),
        Column("seeds", "seeds"),
        Column("reached", "reached"),
        Column("reference_batch", "reference batch"),
        Column("ceiling", "ceiling", times),
        Column("reference_seconds", "reference s", number),
        Column("target_seconds", "s to its error", number),
        Column("speedup", "speed-up", times),
        Column("speedup_low", "least", times),
        Column("speedup_high", "greatest", times),
        Column("default_speedup", "vs default", times),
        Column("default_speedup_low", "least", times),
        Column("default_speedup_high", "greatest", times),
    ]
    keep(rows, columns, arguments.out)
    good = {row["architecture"] for row in rows if row["role"] == "candidate" and row["speedup"] >= AIM}  # type: ignore[operator]
    print(
        f"at least {AIM}x by the median on {len(good)} network(s): {', '.join(sorted(map(str, good))) or '-'}"
    )


if __name__ == "__main__":
    main()
