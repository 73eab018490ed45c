"""Where a changing batch pays: schedules beside constant batches under the same learning-rate curve.

Reads a results folder of the experiments ``where_*`` (default ``notebooks/data_where``). Of each network,
curve and schedule, and of each constant size, the searched trial of least validation error counts, its
learning rate so tuned. ``--confirm`` runs these on fresh seeds and the test split; else what is stored is
read and nothing is trained.

All runs of a network take the same examples. A schedule's error is compared with that of the best constant
batch that takes no more time, on three devices:

* **examples**: bound by examples, a step of B examples takes B, so that all runs take alike;
* **this CPU**: by the stored speed profile, without what measuring signals takes;
* **steps**: bound by steps, each of which takes the same whatever its size.

Constant sizes between those that ran have errors in between (linear in the logarithm of the size). Which size
is best is judged, for each seed, by the other seeds, so that a baseline is neither chosen by its own luck nor
spared. Negative: the schedule is better. ``p`` is of a paired t test, corrected (Holm) over all rows of its
device and kind; a claim is what has p below 0.01. Rows of several networks pool their pairs.
"""

import argparse
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy import stats

import adasearch
from adasearch.analysis.paired_tests import holm
from adasearch.io.tables import Column, number, render
from adasearch.profiles.modelled_time import SpeedCurve
from adasearch.profiles.profile_store import ProfileStore
from adasearch.schedulers.registry import BASELINE
from common import Row, keep, parser_of, positive

RESULTS = "notebooks/data_where"
CLAIM = 0.01
OCTAVE = 16
"""Constant sizes between two that ran, an octave apart, among which the best is looked for."""
SLACK = 1.001
"""Time that counts as no more: whole steps of the last interval differ by so much."""
IMAGES = "all image networks"
POINT = ["architecture", "curve", "point"]

Times = Mapping[str, np.ndarray]
"""By device, the time of a constant batch of each size of a grid."""


def tidy(found: adasearch.Results) -> pd.DataFrame:
    """Return the complete trials with curve, initial size and point: a scheduler, or a constant size."""
    trials = found.trials()
    trials = trials[trials["status"] == "complete"].copy()
    trials["curve"], trials["size"] = trials["train/lr_schedule"], trials["train/batch_size"].astype(int)
    constant = trials["scheduler"] == BASELINE
    trials["point"] = trials["scheduler"].where(~constant, "constant " + trials["size"].astype(str))
    return trials


def tuned(trials: pd.DataFrame) -> pd.DataFrame:
    """Return the searched trial of least validation error of each network, curve and point."""
    searched = trials[(trials["phase"] == "search") & trials["val_error"].notna()]
    first = searched.groupby("study")["seed"].transform("min")
    searched = searched[searched["seed"] == first]  # a grid that was over went on with the next seed
    best = searched.sort_values(["val_error", "number"], kind="stable").groupby(POINT, as_index=False).first()
    rates = searched.groupby(POINT)["train/lr"].agg(["min", "max"]).reset_index()
    best = best.merge(rates, on=POINT)
    best["at_edge"] = np.isclose(best["train/lr"], best["min"]) | np.isclose(best["train/lr"], best["max"])
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
    runs = runs.assign(**{"time examples": runs["examples_seen"], "time steps": runs["steps"]})
    intervals = found.intervals(sorted(runs["study"].unique()))
    intervals = intervals[intervals["trial_id"].isin(runs["trial_id"])].sort_values(["trial_id", "interval"])
    by_trial = dict(list(intervals.groupby("trial_id")))
    runs["time this CPU"] = [
        cpu_seconds(by_trial[trial], curves[name]) if name in curves else np.nan
        for trial, name in zip(runs["trial_id"], runs["architecture"], strict=True)
    ]
    return runs


DEVICES = ("examples", "this CPU", "steps")


def grid_of(sizes: Sequence[int]) -> np.ndarray:
    """Return the sizes among which a constant batch is chosen."""
    low, high = np.log2(min(sizes)), np.log2(max(sizes))
    return 2 ** np.linspace(low, high, round((high - low) * OCTAVE) + 1)


def constants_of(runs: pd.DataFrame, curve: SpeedCurve | None) -> tuple[pd.DataFrame, Times]:
    """Return errors of constant batches, a row per seed, a column per size of the grid, and their times."""
    own = runs[runs["scheduler"] == BASELINE]
    errors = own.pivot(index="seed", columns="size", values="test_error").dropna()
    sizes = grid_of([int(size) for size in errors.columns])
    logs = np.log2(errors.columns.to_numpy(dtype=float))
    between = np.array([np.interp(np.log2(sizes), logs, row) for row in errors.to_numpy()])
    examples = float(own["examples_seen"].median())
    times = {"examples": np.full_like(sizes, examples), "steps": examples / sizes}
    if curve is not None:
        times["this CPU"] = np.array([examples / size * curve.step(round(size)) for size in sizes])
    return pd.DataFrame(between, index=errors.index, columns=sizes), times


def beside(errors: pd.Series, constants: pd.DataFrame, allowed: np.ndarray) -> pd.Series:
    """Return by seed a schedule's error less the best allowed constant's, which the other seeds choose.

    >>> constants = pd.DataFrame({16.0: [0.3, 0.3, 0.6], 32.0: [0.4, 0.4, 0.1]})
    >>> found = beside(pd.Series([0.35, 0.35, 0.35]), constants, np.array([True, True]))
    >>> [round(float(value), 2) for value in found]  # by the others 32, 32 and 16 are best
    [-0.05, -0.05, -0.25]
    """
    inside = constants.loc[:, allowed]
    seeds = errors.index.intersection(inside.index)
    found = {}
    for seed in seeds:
        chosen = inside.loc[seeds.drop(seed)].mean().idxmin()
        found[seed] = errors[seed] - inside[chosen][seed]
    return pd.Series(found, dtype=float)


def differences(runs: pd.DataFrame, curves: Mapping[str, SpeedCurve]) -> pd.DataFrame:
    """Return a row for each network, curve, schedule, device and seed."""
    rows = []
    for (name, lr_curve), group in runs.groupby(["architecture", "curve"]):
        constants, times = constants_of(group, curves.get(str(name)))
        for scheduler, own in group[group["scheduler"] != BASELINE].groupby("scheduler"):
            errors = own.set_index("seed")["test_error"]
            for device in times:
                allowed = times[device] <= SLACK * own[f"time {device}"].mean()
                if not allowed.any() or len(errors) < 2:
                    continue
                less = beside(errors, constants, allowed)
                rows += [
                    {"architecture": name, "curve": lr_curve, "scheduler": scheduler, "device": device}
                    | {"seed": seed, "difference": each, "objective": own["objective"].iloc[0]}
                    for seed, each in less.items()
                ]
    return pd.DataFrame(rows)


def tested(pairs: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """Return mean, 95 % interval of Student's t, and the corrected p of each group of differences."""
    rows = []
    for group, own in pairs.groupby(list(keys)):
        values = own["difference"].to_numpy()
        low, high = stats.t.interval(0.95, len(values) - 1, values.mean(), stats.sem(values))
        rows.append(
            dict(zip(keys, group, strict=True))
            | {"pairs": len(values), "mean": values.mean(), "low": low, "high": high}
            | {"better": int((values < 0).sum()), "p_alone": float(stats.ttest_1samp(values, 0.0).pvalue)}
        )
    found = pd.DataFrame(rows)
    found["p"] = found.groupby("device")["p_alone"].transform(lambda ps: holm(list(ps)))
    return found


def schedule_rows(runs: pd.DataFrame, curves: Mapping[str, SpeedCurve]) -> list[Row]:
    """Return the differences of single networks, then those pooled over networks that share an objective."""
    pairs = differences(runs, curves)
    sums = runs.groupby(["architecture", "curve", "scheduler"])[["steps", "test_error"]].mean().reset_index()
    single = tested(pairs, ["architecture", "curve", "scheduler", "device"]).merge(sums)
    images = pairs[pairs["objective"] == "error"].assign(architecture=IMAGES)
    rows = [single.assign(kind="network")]
    if images["seed"].size and pairs[pairs["objective"] == "error"]["architecture"].nunique() > 1:
        rows.append(tested(images, ["architecture", "curve", "scheduler", "device"]).assign(kind="pooled"))
    records = pd.concat(rows).replace({np.nan: None}).to_dict("records")
    return [{str(name): value for name, value in row.items()} for row in records]


def curve_rows(runs: pd.DataFrame) -> list[Row]:
    """Return the test errors of the constant sizes, and what the best one of a curve has, chosen as above."""
    rows: list[Row] = []
    for (name, curve), group in runs[runs["scheduler"] == BASELINE].groupby(["architecture", "curve"]):
        constants, _ = constants_of(group, None)
        zero = pd.Series(0.0, index=constants.index)
        best = -beside(zero, constants, np.full(constants.shape[1], True))
        row: Row = {"architecture": name, "curve": curve, "seeds": len(best), "best": best.mean()}
        row |= {"best_se": stats.sem(best), "best_size": constants.mean().idxmin()}
        row |= {f"at_{size}": own["test_error"].mean() for size, own in group.groupby("size")}
        rows.append(row)
    return rows


def written(value: object) -> str:
    """Write a difference with its sign, errors in points and losses as they are."""
    return f"{value:+.4f}"


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
    best = tuned(tidy(found))
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
    curves = {each.setting.network[0]: each.curve for each in ProfileStore(arguments.results).speed()}
    edges = best[best["at_edge"]]
    print(f"{len(best)} tuned trials, {len(edges)} of them at an end of the learning rates that were tried")
    runs = with_times(confirmed(tidy(found), best), found, curves)
    sizes = sorted({int(key[3:]) for row in curve_rows(runs) for key in row if key.startswith("at_")})
    columns = [
        Column("architecture", "architecture"),
        Column("curve", "curve"),
        Column("seeds", "seeds"),
        *(Column(f"at_{size}", f"constant {size}", number) for size in sizes),
        Column("best", "best constant", number),
        Column("best_se", "its standard error", number),
    ]
    print(render(curve_rows(runs), columns, "text"), end="")
    rows = schedule_rows(runs, curves)
    columns = [
        Column("architecture", "architecture"),
        Column("curve", "curve"),
        Column("scheduler", "scheduler"),
        Column("device", "device"),
        Column("pairs", "pairs"),
        Column("mean", "difference", written),
        Column("low", "from", written),
        Column("high", "to", written),
        Column("better", "better in"),
        Column("p", "p", number),
        Column("steps", "steps", number),
    ]
    keep(rows, columns, arguments.out)
    claims = [row for row in rows if isinstance(row["p"], float) and row["p"] < CLAIM]
    print(f"{len(claims)} of {len(rows)} differences have p below {CLAIM} after correction")


if __name__ == "__main__":
    main()
