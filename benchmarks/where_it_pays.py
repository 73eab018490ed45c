"""Where a changing batch pays: schedules beside constant batches under the same learning-rate curve.

Reads a results folder of the experiments ``where_*`` (default ``notebooks/data_where``). Of each network,
curve and schedule, and of each constant size, the searched trial of least validation error counts, its
learning rate so tuned, on one seed. ``--confirm`` runs these on fresh seeds and the test split; else what is
stored is read and nothing is trained.

All runs of a network take the same examples. A schedule is compared on the same seeds with every constant
size that takes no more time, on three devices:

* **examples**: bound by examples, a step of B examples takes B, so that all runs take alike;
* **this CPU**: by the stored speed profile, without what measuring signals takes;
* **steps**: bound by steps, each of which takes the same whatever its size.

Beside the sizes that take less time the schedule meets one that takes as much, between two that ran (error
linear in the logarithm of the time, which is that of the size where steps count). Errors are mostly convex
there, so the true one is a little lower: that favours the schedule.

A schedule *gains* where it is better than each of them: p is the greatest of the one-sided t tests. It
*loses* where one of them is better: p is the least, times their number. Both are then corrected (Holm) over
all rows of their device and kind, and a claim is what has p below 0.01. The difference that is shown is to
the size of least mean error, whatever the search would have chosen, so it favours the constant batches. Rows
of several networks test a seed's mean over them: for a gain over each combination of their sizes, for a loss
to one size for all. All p values are given these networks, and learning rates that one seed tuned.
"""

import argparse
from collections.abc import Hashable, Mapping

import numpy as np
import pandas as pd

import adasearch
from adasearch.analysis.enough import MIN_PAIRS
from adasearch.io.tables import Column, number, render
from adasearch.objective import ERROR
from adasearch.profiles.modelled_time import SpeedCurve
from adasearch.profiles.profile_store import ProfileStore
from adasearch.schedulers.registry import BASELINE
from common import Row, keep, parser_of, positive
from paired_rivals import corrected, pooled, rivals

RESULTS = "notebooks/data_where"
CLAIM = 0.01
IMAGES = "image networks"
CASE = ["architecture", "curve"]
DEVICES = ("examples", "this CPU", "steps")


def tidy(trials: pd.DataFrame) -> pd.DataFrame:
    """Return the complete trials with curve, initial size and point: a scheduler, or a constant size."""
    trials = trials[trials["status"] == "complete"].copy()
    trials["curve"], trials["size"] = trials["train/lr_schedule"], trials["train/batch_size"].astype(int)
    constant = trials["scheduler"] == BASELINE
    trials["point"] = trials["scheduler"].where(~constant, "constant " + trials["size"].astype(str))
    return trials


def tuned(found: adasearch.Results) -> pd.DataFrame:
    """Return the tuned trial of each network, curve and point; ``at_end`` tells of an end of its rates."""
    best = tidy(found.tuned(["architecture", "train/lr_schedule", "scheduler", "train/batch_size"]))
    trials, point = tidy(found.trials()), [*CASE, "point"]
    tried = trials[trials["phase"] == "search"].groupby(point)["train/lr"].agg(["min", "max"]).reset_index()
    best = best.merge(tried, on=point)
    best["at_end"] = (best["train/lr"] == best["min"]) | (best["train/lr"] == best["max"])
    return best


def confirmed(trials: pd.DataFrame, best: pd.DataFrame) -> pd.DataFrame:
    """Return the complete runs of the tuned trials on fresh seeds, each seed once."""
    fresh = trials[(trials["phase"] == "confirm") & (trials["role"] == "candidate")]
    return fresh[fresh["source_trial_id"].isin(best["trial_id"]) & fresh["test_error"].notna()]


def cpu_seconds(intervals: pd.DataFrame, curve: SpeedCurve) -> float:
    """Return what a run's steps take by a speed profile, from its intervals in order."""
    steps = intervals["step"].diff().fillna(intervals["step"])
    return float(sum(n * curve.step(size) for n, size in zip(steps, intervals["batch_size"], strict=True)))


def with_times(
    runs: pd.DataFrame, found: adasearch.Results, curves: Mapping[str, SpeedCurve]
) -> pd.DataFrame:
    """Return the runs with their time on each device; of a CPU without a profile there is none."""
    runs = runs.assign(examples=1.0, steps=runs["steps"].astype(float))
    intervals = found.intervals(sorted(runs["study"].unique()))
    intervals = intervals[intervals["trial_id"].isin(runs["trial_id"])].sort_values(["trial_id", "interval"])
    by_trial = dict(list(intervals.groupby("trial_id")))
    runs["this CPU"] = [
        cpu_seconds(by_trial[trial], curves[name]) if name in curves else np.nan
        for trial, name in zip(runs["trial_id"], runs["architecture"], strict=True)
    ]
    return runs


def schedule_rows(runs: pd.DataFrame, ends: Mapping[Hashable, bool]) -> list[Row]:
    """Return each schedule of a network beside the constants of its curve, and image networks together."""
    rows: list[Row] = []
    images: dict[tuple[str, ...], list[Mapping[str, pd.Series]]] = {}
    for (name, curve), group in runs.groupby(CASE):
        constants = group[group["scheduler"] == BASELINE]
        for scheduler, own in group[group["scheduler"] != BASELINE].groupby("scheduler"):
            for device in DEVICES:
                case: Row = {"architecture": name, "curve": curve, "scheduler": scheduler, "device": device}
                timed = bool(group[device].notna().all())
                found = rivals(own, constants, device) if timed else {}
                if not found or min(map(len, found.values())) < MIN_PAIRS:
                    why = f"below {MIN_PAIRS} common seeds" if found else "no constant takes as little"
                    why = why if timed else "no speed profile"
                    print(f"left out: {', '.join(map(str, case.values()))}: {why}")
                    continue
                row = case | pooled([found]) | {"kind": "network", "steps": own["steps"].mean()}
                row["at_end"] = ends.get((name, curve, scheduler), False)
                rows.append(row)
                if own["objective"].iloc[0] == ERROR:
                    key = (str(curve), str(scheduler), device)
                    images.setdefault(key, []).append(found)
    for (curve, scheduler, device), each in images.items():
        if len(each) > 1:
            case = {"architecture": f"{len(each)} {IMAGES}", "curve": curve, "scheduler": scheduler}
            case |= {"device": device, "kind": "pooled"}
            rows.append(case | pooled(each))
    return corrected(rows)


def constant_rows(runs: pd.DataFrame) -> list[Row]:
    """Return the mean test errors of the constant sizes under each curve."""
    rows: list[Row] = []
    for (name, curve), group in runs[runs["scheduler"] == BASELINE].groupby(CASE):
        means = group.groupby("size")["test_error"].mean()
        spread = group.groupby("size")["test_error"].sem().max()
        row: Row = {"architecture": name, "curve": curve, "seeds": group["seed"].nunique()}
        row |= {"best": means.idxmin(), "greatest_se": None if pd.isna(spread) else spread}
        rows.append(row | {f"at_{size}": mean for size, mean in means.items()})
    return rows


def curves_of(results: str, studies: pd.DataFrame) -> dict[str, SpeedCurve]:
    """Return the stored speed profiles of the networks on the device and at the scale of their studies."""
    found = {}
    known = {(row.architecture, row.scale) for row in studies.itertuples()}
    for each in ProfileStore(results).speed():
        if each.setting.network in known and each.setting.device == "cpu":
            found[each.setting.network[0]] = each.curve
    return found


def plain(value: object) -> str:
    """Write an error or a loss."""
    return f"{value:.4f}"


def written(value: object) -> str:
    """Write a difference with its sign."""
    return f"{value:+.4f}"


def small(value: object) -> str:
    """Write a p value."""
    return f"{value:.2g}"


SCHEDULES = (
    Column("architecture", "architecture"),
    Column("curve", "curve"),
    Column("scheduler", "scheduler"),
    Column("device", "device"),
    Column("beside", "best constant"),
    Column("pairs", "pairs"),
    Column("mean", "difference", written),
    Column("low", "from", written),
    Column("high", "to", written),
    Column("better", "better in"),
    Column("p_gain", "p gain", small),
    Column("p_loss", "p loss", small),
    Column("steps", "steps", number),
)


def main() -> None:
    """Confirm where it is asked for, read and print."""
    parser = parser_of(__doc__, "where_it_pays")
    parser.add_argument("--results", default=RESULTS, help=f"of the experiments where_* [default: {RESULTS}]")
    parser.add_argument("--confirm", action="store_true", help="first run what is not there yet")
    parser.add_argument("--architecture", action="append", help="confirm these only; repeatable")
    parser.add_argument("--seeds", type=positive, default=8, help="fresh seeds of --confirm [default: 8]")
    parser.add_argument("--slots", type=positive, default=2, help="runs at a time of --confirm [default: 2]")
    arguments: argparse.Namespace = parser.parse_args()
    found = adasearch.load(arguments.results)
    best = tuned(found)
    if arguments.confirm:
        chosen = (
            best if not arguments.architecture else best[best["architecture"].isin(arguments.architecture)]
        )
        adasearch.confirm(
            found,
            trial=list(chosen["trial_id"]),
            seeds=1 if arguments.quick else arguments.seeds,
            controls="none",
            slots=arguments.slots,
        )
        found = adasearch.load(arguments.results)
    for row in best[best["at_end"]].itertuples():
        print(f"at an end of the rates that were tried: {row.architecture}, {row.curve}, {row.point}")
    curves = curves_of(arguments.results, found.studies)
    runs = with_times(confirmed(tidy(found.trials()), best), found, curves)
    sizes = sorted(runs[runs["scheduler"] == BASELINE]["size"].unique())
    columns = [
        Column("architecture", "architecture"),
        Column("curve", "curve"),
        Column("seeds", "seeds"),
        *(Column(f"at_{size}", f"constant {size}", plain) for size in sizes),
        Column("best", "best"),
        Column("greatest_se", "standard error, at most", plain),
    ]
    print(render(constant_rows(runs), columns, "text"), end="")
    ends = best.set_index([*CASE, "point"])["at_end"].to_dict()
    rows = schedule_rows(runs, ends)
    if not rows:
        print(f"no schedule has {MIN_PAIRS} fresh seeds beside a constant batch yet")
        return
    keep(rows, SCHEDULES, arguments.out)
    for question in ("gain", "loss"):
        claims = [row for row in rows if float(str(row[f"p_{question}"])) < CLAIM]
        print(f"{question}: {len(claims)} of {len(rows)} have p below {CLAIM} after correction")


if __name__ == "__main__":
    main()
