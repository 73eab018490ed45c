"""What the schedules themselves are worth: time to the final error of the tuned constant batch size.

Reads confirmed studies, by default the real study in ``notebooks/data`` and that of late and gentle growth in
``notebooks/data_schedules``, and trains nothing. Per seed the target is the validation error with which the
tuned reference ended; its time is that of its first evaluation at or below it. The speed-up is the
reference's time over the candidate's on the same seed, 0 where the candidate never got there; shown are the
median over seeds, the least and the greatest. ``vs default`` is the same with the untuned default's error and
time. The default itself, AdaBatch as published, its mean size and decay in place of growth are judged alike,
where they were run. The ceiling is how many times as fast a whole run at the fastest size is as one at the
reference's, by the speed profile: growth saves no more than that on equally many examples.
"""

import math
from collections.abc import Mapping, Sequence

from adasearch.analysis.time_to_target import median_reached, to_target
from adasearch.io.tables import Column, fraction, number, render, times
from adasearch.profiles.clock import curve_of, intervals_of
from adasearch.profiles.modelled_time import SpeedCurve
from adasearch.profiles.profile_store import ProfileStore
from adasearch.records import IntervalRecord, Limits, StudyRecord, TrialRecord
from adasearch.store import Store
from common import Row, keep, parser_of

AIM = 1.5
SIZES = (16, 32)
"""From which growth starts: the smallest of the studies, and the untuned default."""
DATA = ("notebooks/data", "notebooks/data_schedules")
ROLES = ("candidate", "default", "adabatch", "mean_batch", "decay")


Runs = dict[int, TrialRecord]
"""Confirming runs by seed."""


def runs_of(trials: Sequence[TrialRecord], role: str) -> list[Runs]:
    """Return the complete confirming runs of a role, one group for each trial that they repeat."""
    groups: dict[str, Runs] = {}
    for trial in trials:
        if (trial.phase, trial.role, trial.status) == ("confirm", role, "complete"):
            groups.setdefault(trial.source_trial_id or "", {})[trial.seed] = trial
    return [groups[name] for name in sorted(groups)]


def speedups(
    own: Runs,
    base: Runs,
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


def ceiling(curve: SpeedCurve, size: int, limits: Limits) -> float:
    """Return the greatest profiled throughput within the limits over that of a size."""
    inside = [*(each for each in curve.sizes if limits.admit(each)), size]
    return max(each / curve.step(each) for each in inside) * curve.step(size) / size


def ceiling_of(store: Store, study: StudyRecord, reference: TrialRecord) -> float | None:
    """Return the ceiling over a study's reference, None where the profile is gone."""
    curve, size = curve_of(store, study), reference.params["train/batch_size"]
    return None if curve is None or not isinstance(size, int) else ceiling(curve, size, study.limits)


def ceilings_of(results: str) -> list[Row]:
    """Return per profiled network the ceilings over small sizes, and what 1.5 times asks of a schedule.

    With ceiling c a share of ``(1 - 1/1.5) / (1 - 1/c)`` of the examples must be taken at the fastest size.
    """
    rows: list[Row] = []
    for profile in ProfileStore(results).speed():
        curve = profile.curve
        limits = Limits(smallest=curve.sizes[0], largest=curve.sizes[-1])
        row: Row = {"architecture": profile.setting.network[0], "results": results}
        row["fastest"] = max(curve.sizes, key=lambda size: size / curve.step(size))
        for size in SIZES:
            c = ceiling(curve, size, limits)
            row[f"ceiling_{size}"] = c
            row[f"share_{size}"] = (1 - 1 / AIM) / (1 - 1 / c) if c >= AIM else None
        rows.append(row)
    return rows


def row_of(
    store: Store,
    study: StudyRecord,
    own: Runs,
    reference: Runs,
    default: Runs,
    intervals: Mapping[str, Sequence[IntervalRecord]],
) -> Row:
    """Return what one trial's runs are worth beside the reference's and the default's."""
    spans, ratios = speedups(own, reference, intervals, study.clock)
    _, beside_default = speedups(own, default, intervals, study.clock)
    spent = median_reached(spans)  # in words if most never got there
    one, base = next(iter(own.values())), next(iter(reference.values()))
    return {
        "architecture": study.architecture,
        "scheduler": one.scheduler,
        "role": one.role,
        "trial": one.source_trial_id,
        "clock": study.clock,
        "seeds": len(ratios),
        "reached": sum(map(math.isfinite, spans)),
        "reference_batch": base.params["train/batch_size"],
        "ceiling": ceiling_of(store, study, base),
        "reference_seconds": median_reached([trial.seconds(study.clock) for trial in reference.values()]),
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
        for reference in runs_of(trials, "reference"):
            default = next(iter(runs_of(trials, "default")), reference)  # the same trial is run once
            owners = [own for role in ROLES for own in runs_of(trials, role) if own.keys() & reference.keys()]
            rows += [row_of(store, study, own, reference, default, intervals) for own in owners]
    return rows


def main() -> None:
    """Read and print."""
    parser = parser_of(__doc__, "schedules")
    parser.add_argument("--results", action="append", help=f"of confirmed studies [default: {DATA}]")
    arguments = parser.parse_args()
    rows = [row for results in arguments.results or DATA for row in rows_of(results)]
    ceilings = [Column("architecture", "architecture"), Column("fastest", "fastest batch")]
    for size in SIZES:
        ceilings += [
            Column(f"ceiling_{size}", f"ceiling from {size}", times),
            Column(f"share_{size}", f"examples for {AIM}x", fraction),
        ]
    for results in arguments.results or DATA:
        print(f"{results}, by its speed profiles", render(ceilings_of(results), ceilings, "text"), sep="\n")
    columns = [
        Column("architecture", "architecture"),
        Column("scheduler", "scheduler"),
        Column("role", "role"),
        Column("trial", "trial"),
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
