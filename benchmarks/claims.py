"""What of DEBA's and AdaBatch's own gains is the batch, what is the decay, and what is the baseline.

Reads a results folder of the experiments ``claims_*`` (default ``notebooks/data_claims``) whose candidates
ran on fresh seeds; ``--confirm`` first makes those runs. Of each network, beside the fixed batch that nobody
tuned, on the same seeds:

* **deba** or **adabatch**: the schedule, under the conditions of its paper as far as they are known;
* **decay**: the fixed batch, its learning rate decayed as much as growth would;
* **mean_batch**: a constant batch of the schedule's mean size;
* **cosine**: the fixed batch at its own learning rate, but decayed along a cosine;
* **tuned**: the constant batch of least validation error, two sizes by three learning rates under a cosine.

The schedule is also told beside each of these, and a schedule's networks together, seed by seed their mean.
Differences are of the test error, with a 95 % interval of Student's t and p of a paired t test, corrected
(Holm) over the single networks and over those together; time is of this CPU by the stored speed profiles,
without what measuring signals takes.
"""

import argparse
from collections.abc import Sequence

import pandas as pd
from scipy import stats

import adasearch
from adasearch.analysis.enough import MIN_PAIRS
from adasearch.analysis.paired_tests import holm
from adasearch.io.tables import Column, fraction, render
from adasearch.schedulers.registry import BASELINE
from common import Row, keep, parser_of, positive
from paired_rivals import by_seed
from where_it_pays import curves_of, small, tidy, with_times, written

RESULTS = "notebooks/data_claims"
FIXED = "fixed"
SCHEDULES = ("deba", "adabatch")
TUNED = "tuned-"
"""Prefix of the studies of ``claims_tuned``."""
Pair = tuple[str, str]


def chosen(found: adasearch.Results) -> pd.DataFrame:
    """Return the searched trials that are run again and what each stands for, one of them perhaps twice."""
    swept = [name for name in found.names() if name.startswith(TUNED)]
    claimed = [name for name in found.names() if name not in swept]
    of_claims = found.tuned(["architecture", "scheduler"], study=claimed)
    schedules = of_claims[of_claims["scheduler"] != BASELINE]
    stands = [(row.trial_id, row.scheduler) for row in schedules.itertuples()]
    if not swept:
        return pd.DataFrame(stands, columns=["source_trial_id", "what"])
    sizes = found.tuned(["architecture", "train/batch_size", "train/lr"], study=swept)
    for name, own in sizes.groupby("architecture"):
        rates = of_claims[of_claims["architecture"] == name]["train/lr"]
        least = own[own["train/batch_size"] == own["train/batch_size"].min()]
        stands += [(each, "cosine") for each in least[least["train/lr"].isin(rates)]["trial_id"]]
    best = found.tuned(["architecture"], study=swept)["trial_id"]
    stands += [(each, "tuned") for each in best]
    return pd.DataFrame(stands, columns=["source_trial_id", "what"])


def fresh_runs(trials: pd.DataFrame, stands: pd.DataFrame) -> pd.DataFrame:
    """Return the complete runs on fresh seeds, with what they stand for: "fixed" is the untuned reference.

    A decay and a mean batch are those of the trial that stands for its schedule.
    """
    runs = trials[(trials["phase"] == "confirm") & trials["test_error"].notna()]
    candidates = runs[runs["role"] == "candidate"].merge(stands, on="source_trial_id")
    fixed = runs[runs["role"].isin(("reference", "default")) & ~runs["study"].str.startswith(TUNED)]
    controls = runs[runs["role"].isin(("decay", "mean_batch"))]
    controls = controls[controls["source_trial_id"].isin(stands["source_trial_id"])]
    found = pd.concat([candidates, fixed.assign(what=FIXED), controls.assign(what=controls["role"])])
    for (name, what), own in found.groupby(["architecture", "what"]):
        if own["params"].nunique() > 1:
            raise SystemExit(f"{name}, {what}: fresh seeds ran with several settings")
    return found.drop_duplicates(["architecture", "what", "seed"])


def differences(runs: pd.DataFrame) -> dict[Pair, pd.Series]:
    """Return by seed each test error less that of the fixed batch, and a schedule's less each other's.

    Where another is the fixed batch by another name, as AdaBatch's decay is, a schedule is told beside one.
    """
    errors = {str(what): own.set_index("seed")["test_error"] for what, own in runs.groupby("what")}
    pairs = [(what, FIXED) for what in errors if what != FIXED]
    found = {(what, other): (errors[what] - errors[other]).dropna() for what, other in pairs}
    others = [what for (what, _), each in found.items() if what not in SCHEDULES and each.any()]
    pairs = [(what, other) for what in errors if what in SCHEDULES for other in others]
    return found | {(what, other): (errors[what] - errors[other]).dropna() for what, other in pairs}


def tested(networks: Sequence[pd.Series]) -> Row:
    """Return a mean difference with its interval and its p, still uncorrected; none where all are alike."""
    pairs, values = pd.concat(networks), by_seed(networks)
    row: Row = {"pairs": len(pairs), "difference": values.mean(), "better": int((pairs < 0).sum())}
    if not pairs.any():
        return row
    low, high = stats.t.interval(0.95, len(values) - 1, values.mean(), stats.sem(values))
    return row | {"low": low, "high": high, "p": float(stats.ttest_1samp(values, 0.0).pvalue)}


def rows_of(runs: pd.DataFrame) -> list[Row]:
    """Return each network's rows, then those of a schedule's networks together."""
    rows: list[Row] = []
    together: dict[tuple[str, str, str], list[pd.Series]] = {}
    for name, group in runs.groupby("architecture"):
        fixed = group[group["what"] == FIXED]
        if len(fixed) < MIN_PAIRS:
            print(f"left out: {name}: below {MIN_PAIRS} fresh seeds of its fixed batch")
            continue
        by_what = group.groupby("what")
        errors, times = by_what["test_error"].mean().to_dict(), by_what["this CPU"].mean().to_dict()
        shared: Row = {"architecture": name, "kind": "network"}
        own: Row = {"pairs": len(fixed), "test_error": errors[FIXED], "seconds": 1.0}
        rows.append(shared | {"what": FIXED} | own)
        schedule = next((what for what in errors if what in SCHEDULES), FIXED)
        for (what, other), found in differences(group).items():
            if len(found) < MIN_PAIRS:
                continue
            own = {"test_error": errors[what], "seconds": times[what] / times[other]}
            rows.append(shared | {"what": what, "beside": other} | own | tested([found]))
            together.setdefault((schedule, what, other), []).append(found)
    for (schedule, what, other), each in together.items():
        if len(each) > 1:
            shared = {"architecture": f"{len(each)} of {schedule}", "kind": "pooled"}
            rows.append(shared | {"what": what, "beside": other} | tested(each))
    for kind in ("network", "pooled"):
        family = [row for row in rows if row["kind"] == kind and "p" in row]
        for row, p in zip(family, holm([float(str(row["p"])) for row in family]), strict=True):
            row["p"] = p
    return [
        {key: None if isinstance(value, float) and pd.isna(value) else value for key, value in row.items()}
        for row in rows
    ]


COLUMNS = (
    Column("architecture", "architecture"),
    Column("what", "what"),
    Column("beside", "beside"),
    Column("pairs", "pairs"),
    Column("test_error", "test error", fraction),
    Column("difference", "difference", written),
    Column("low", "from", written),
    Column("high", "to", written),
    Column("better", "better in"),
    Column("p", "p", small),
    Column("seconds", "seconds, over the other's", fraction),
)


def main() -> None:
    """Confirm where it is asked for, read and print."""
    parser = parser_of(__doc__, "claims")
    parser.add_argument(
        "--results", default=RESULTS, help=f"of the experiments claims_* [default: {RESULTS}]"
    )
    parser.add_argument("--confirm", action="store_true", help="first run what is not there yet")
    parser.add_argument("--seeds", type=positive, default=5, help="fresh seeds of --confirm [default: 5]")
    parser.add_argument("--slots", type=positive, default=2, help="runs at a time of --confirm [default: 2]")
    arguments: argparse.Namespace = parser.parse_args()
    found = adasearch.load(arguments.results)
    stands = chosen(found)
    if arguments.confirm:
        seeds = 1 if arguments.quick else arguments.seeds
        constant = stands["what"].isin(("cosine", "tuned"))
        ids = [list(stands[which]["source_trial_id"].unique()) for which in (~constant, constant)]
        if ids[0]:
            adasearch.confirm(found, trial=ids[0], seeds=seeds, controls="matched", slots=arguments.slots)
        if ids[1]:
            adasearch.confirm(found, trial=ids[1], seeds=seeds, controls="none", slots=arguments.slots)
        found = adasearch.load(arguments.results)
    curves = curves_of(arguments.results, found.studies)
    runs = with_times(fresh_runs(tidy(found.trials()), stands), found, curves)
    rows = rows_of(runs)
    if not rows:
        print(render([], COLUMNS, "text"), "nothing has run on enough fresh seeds yet", sep="")
        return
    keep(rows, COLUMNS, arguments.out)


if __name__ == "__main__":
    main()
