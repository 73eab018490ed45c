"""What ``advise`` costs, and whether it is right, beside a search of 24 trials a study and a confirmation.

On each of six problems (four image networks, a small language model, a training function of
``docs/examples``) both ways are gone for real, each in a folder of its own:

- **advise**: ``adasearch.advise`` as it is;
- **today**: ``adasearch.search`` of a scheduler beside the constant batch, then ``adasearch.confirm``.

Both are judged by the modelled seconds of one speed profile, which is measured first and counts for neither:
it takes seconds of the device (column ``profile_seconds``), not examples. The **price** is every example that
a way trained on, profiles and stopped trials among them, over the examples of one training.

A **verdict** is what one would take along. Advise says whether a changing batch pays. Today's way says so
where the confirmed row is a gain over the tuned constant batch (faster at equal error, better at equal time,
or both); "no evidence", "equal" and all that is worse are no. The two are the **same** where both take a
schedule along, or neither does. Where they differ, the schedule that one of them takes is run on ten further
seeds beside that way's tuned constant batch, and the verdict of these seeds alone tells which was right.

The same command goes on where it was stopped, with the trainings that are stored. Prints a table and keeps it
as Parquet after each problem. The six take an hour or two on two cores, on digits half of that.
"""

import os
import statistics
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from adasearch.io.tables import Column, fraction, number
from adasearch.records import TrialRecord
from adasearch.store import Store
from advise_ways import (
    EXAMPLES,
    PAYS,
    Problem,
    advised,
    everything,
    further,
    once,
    priced,
    problems,
    profiled,
    searched,
)
from common import Row, clock_of, clocked, keep, parser_of, positive

COLUMNS = [
    Column("problem", "problem"),
    Column("advise", "advise"),
    Column("today", "today's way"),
    Column("same", "same"),
    Column("advise_batch", "constant batch"),
    Column("today_batch", "today's"),
    Column("advise_trainings", "trainings", number),
    Column("today_trainings", "today's", number),
    Column("ratio", "ratio", fraction),
    Column("further", "on further seeds"),
]
SETTINGS = (
    "dataset",
    "image_size",
    "subset",
    "sequences",
    "epochs",
    "intervals",
    "scheduler",
    "space",
    "trials",
)


def row_of(problem: Problem, folder: Path, chosen: Namespace) -> Row:
    """Go both ways on a problem, as far as they are not gone yet."""
    folder.mkdir(parents=True, exist_ok=True)
    row: Row = {"problem": problem.name}
    row |= once(folder / "profile.json", lambda: profiled(problem, folder, clock_of(chosen)))
    row |= once(folder / "advise.json", lambda: advised(problem, folder, chosen))
    row |= once(folder / "today.json", lambda: searched(problem, folder, chosen))
    row |= compared(row, everything(Store(str(folder / "advise"))))
    if not row["same"] and chosen.further:
        row |= once(folder / "further.json", lambda: further(folder, row, chosen))
    return row


def compared(row: Row, trials: Sequence[TrialRecord]) -> Row:
    """Return what a row's ``advise`` cost, of whose folder these are the trials, and how both ways compare.

    >>> row = {"advise": "not clear", "today": "does not pay", "today_trainings": 40.0, "budget": 100}
    >>> compared(row, [])
    {'advise_trainings': 0.0, 'same': True, 'ratio': 0.0}
    >>> compared({**row, "advise": "pays"}, [])["same"]
    False
    """
    budget, today = row["budget"], row["today_trainings"]
    assert isinstance(budget, int)
    assert isinstance(today, float)
    spent = priced(trials, budget)
    same = (row["advise"] == PAYS) == (row["today"] == PAYS)
    return {"advise_trainings": spent, "same": same, "ratio": spent / today}


def summary(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return what the rows come to, in words.

    >>> print(summary([{"same": k < 3, "advise_trainings": float(k), "ratio": k / 10} for k in (1, 2, 3)]))
    same verdict on 2 of 3; advise took 2.0 trainings in the median, 20 % of today's way, 30 % at most
    """
    spent = statistics.median(row["advise_trainings"] for row in rows)
    ratios = [row["ratio"] for row in rows]
    return (
        f"same verdict on {sum(row['same'] for row in rows)} of {len(rows)}; advise took {spent:.1f} "
        f"trainings in the median, {100 * statistics.median(ratios):.0f} % of today's way, "
        f"{100 * max(ratios):.0f} % at most"
    )


def parser() -> ArgumentParser:
    """Return the parser of the command line."""
    found = clocked(parser_of(__doc__, "advise_price"))
    found.add_argument("--problem", action="append", help="by its name, repeatable [default: all six]")
    found.add_argument("--dataset", default="digits", help="of images, as of adasearch search")
    found.add_argument("--image-size", type=positive)
    found.add_argument("--subset", type=positive, help="training images")
    found.add_argument("--sequences", type=positive, default=3200, help="of 32 bytes, once, for the gpt")
    found.add_argument("--epochs", type=float, default=8.0, help="of all but the gpt")
    found.add_argument("--intervals", type=positive, default=32, help="of a training")
    found.add_argument("--scheduler", default="deba", help="of today's way")
    found.add_argument("--space", default="deba_short", help="of the scheduler")
    found.add_argument("--trials", type=positive, default=24)
    found.add_argument("--seeds", type=positive, default=5)
    found.add_argument("--further", type=int, default=10, help="seeds where verdicts differ")
    found.add_argument("--slots", type=positive, default=2)
    found.add_argument("--address", help="of a Ray cluster to join, where starting Ray so often takes long")
    found.add_argument("--results", type=Path, default=Path("results/bench/advise_price"))
    return found


def main() -> None:
    """Measure and print."""
    chosen = parser().parse_args()
    if chosen.quick:
        chosen.subset, chosen.sequences, chosen.epochs, chosen.intervals = 400, 100, 2, 16
        chosen.trials, chosen.problem = 6, chosen.problem or ["mobilenet_v3_small"]
    paths = [each for each in (os.environ.get("PYTHONPATH"), str(EXAMPLES)) if each]
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)  # of Ray's workers
    sys.path.append(str(EXAMPLES))
    rows = []
    for problem in problems(chosen):
        row = row_of(problem, chosen.results / problem.name, chosen)
        rows.append({**row, **{name: getattr(chosen, name) for name in SETTINGS}})
        keep(rows, COLUMNS, chosen.out)
    print(summary(rows))


if __name__ == "__main__":
    main()
