"""What measuring few steps of an interval costs in accuracy, against how signals differ between intervals.

Trains on digits, measuring every step, and takes each interval's signals once from all its steps and once
from those that adasearch measures. The error is the root mean square of their relative difference; the
change that of the relative difference from one interval to the next, which is what a scheduler looks at. The
squared expected gradient may be near 0 or below: both are relative to the batch gradient's square instead,
and those of the cosine of two halves are differences of cosines.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from statistics import fmean

import torch

from adasearch.data.load import load_dataset
from adasearch.data.spec import DataSpec
from adasearch.io.tables import Column, fraction
from adasearch.signals.sampled_steps import costly_stride_of, stride_of
from adasearch.training.config import Hyperparameters, TrainConfig
from adasearch.training.run import Run
from common import Row, keep, parser_of

NETWORKS = ("mobilenet_v3_small", "vit_b_16", "resnet18")
BATCH = 32
STEPS = 32  # of an interval
WARM = 2  # intervals left out: at the start all falls steeply
COSTLY = {
    "grad_norm": False,
    "grad_component_variance": False,
    "grad_noise": True,
    "grad_sq_norm": True,
    "half_cosine": True,
}

Step = dict[str, float]


def signals_of(architecture: str, steps: int) -> list[Step]:
    """Train for so many steps; return every step's signals."""
    data = load_dataset(DataSpec(source="digits")).to(torch.device("cpu"))
    config = TrainConfig(
        architecture=architecture,
        scale="nano",
        seed=0,
        hyperparameters=Hyperparameters(batch_size=BATCH, lr=0.02),
        budget=steps * BATCH,
        interval=BATCH,
        evaluate_every=steps * BATCH,
    )
    run = Run(config, frozenset(COSTLY), data, torch.device("cpu"))
    found = []
    for _ in range(steps):
        signals = run.steps_until(run.examples_seen + BATCH, BATCH, 1.0)
        found.append({name: float(signals[name]) for name in (*COSTLY, "batch_grad_sq_norm")})
    return found


def root_mean_square(values: Sequence[float]) -> float:
    """Return the root of the mean of the squares."""
    return math.sqrt(fmean(value**2 for value in values))


def row_of(architecture: str, name: str, every: Sequence[Step]) -> Row:
    """Return the error of a signal and its change between intervals."""
    intervals = [every[start : start + STEPS] for start in range(WARM * STEPS, len(every), STEPS)]
    stride = costly_stride_of(STEPS) if COSTLY[name] else stride_of(STEPS)
    first = stride // 2 if COSTLY[name] else 0
    whole = [fmean(step[name] for step in steps) for steps in intervals]
    sampled = [fmean(step[name] for step in steps[first::stride]) for steps in intervals]
    scales = whole
    if name == "grad_sq_norm":
        scales = [fmean(step["batch_grad_sq_norm"] for step in steps) for steps in intervals]
    if name == "half_cosine":
        scales = [1.0] * len(whole)
    pairs = zip(sampled, whole, scales, strict=True)
    return {
        "architecture": architecture,
        "signal": name,
        "steps": STEPS,
        "measured_steps": len(range(first, STEPS, stride)),
        "error": root_mean_square([(one - all_) / scale for one, all_, scale in pairs]),
        "change": root_mean_square(
            [
                (after - before) / scale
                for (before, after), scale in zip(pairwise(whole), scales, strict=False)
            ]
        ),
    }


COLUMNS = (
    Column("architecture", "network"),
    Column("signal", "signal"),
    Column("steps", "steps"),
    Column("measured_steps", "measured"),
    Column("error", "error", fraction),
    Column("change", "change between intervals", fraction),
)


def main() -> None:
    """Measure and print."""
    arguments = parser_of(__doc__, "sampling_error").parse_args()
    torch.set_num_threads(1)
    rows = []
    for architecture in NETWORKS:
        every = signals_of(architecture, STEPS * (WARM + (6 if arguments.quick else 30)))
        rows += [row_of(architecture, name, every) for name in COSTLY]
    keep(rows, COLUMNS, arguments.out)


if __name__ == "__main__":
    main()
