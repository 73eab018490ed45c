"""What a scheduler decides on a made-up course of training, as a figure."""

import io
import math
import random
import re

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from adasearch.records import Decision, Limits, Signals
from adasearch.schedulers import BatchSizeScheduler, decide
from adasearch.schedulers.run_plan import LrCurve, RunPlan, planned

__all__ = ["EXAMPLES", "INTERVALS", "LIMITS", "SIZE", "course", "figure"]

LIMITS = Limits(smallest=16, largest=1024)
SIZE = 32
EXAMPLES = 50_000
"""Of an epoch; an interval is one epoch."""
INTERVALS = 100
COMPONENTS = 10_000  # of the gradient
INK, ACCENT = "#010203", "#040506"  # stand for the page's own colours


def course(scheduler: BatchSizeScheduler) -> list[tuple[Signals, Decision]]:
    """Return the intervals of a run that was never made, and what ``scheduler`` decided after each.

    Loss and squared gradient fall as powers of time towards a floor, with some scatter; the noise between
    examples stays. What depends on the batch size follows from the size in force.
    """
    plan = RunPlan(budget=INTERVALS * EXAMPLES, interval=EXAMPLES, curve=LrCurve(lr_schedule="constant"))
    scheduler = planned(scheduler, plan)
    scatter = random.Random(0)
    size, lr_scale, lr = SIZE, 1.0, 0.1
    history: list[Signals] = []
    decisions = []
    for interval in range(INTERVALS):
        done = interval / INTERVALS
        loss = (0.15 + 2.2 * math.exp(-6 * done)) * scatter.uniform(0.97, 1.03)
        square = (0.02 + 0.8 * math.exp(-5 * done)) * scatter.uniform(0.9, 1.1)
        noise = 40 * scatter.uniform(0.9, 1.1)
        steps = EXAMPLES // size
        batch_square = square + noise / size
        mean_square = square + noise / (size * steps)
        last = Signals(
            interval=interval,
            epoch=interval + 1.0,
            step=(history[-1].step if history else 0) + steps,
            examples_seen=(interval + 1) * EXAMPLES,
            initial_batch_size=SIZE,
            batch_size=size,
            lr=lr * lr_scale,
            lr_scale=lr_scale,
            train_loss=loss,
            val_loss=max(loss, 0.3) * scatter.uniform(1.0, 1.03),
            grad_norm=math.sqrt(batch_square),
            grad_component_variance=batch_square / COMPONENTS,
            mean_grad_norm=math.sqrt(mean_square),
            mean_grad_component_variance=mean_square / COMPONENTS,
            grad_noise=noise,
            grad_sq_norm=square,
            noise_count=8,
            batch_grad_sq_norm=batch_square,
            half_cosine=1 / (1 + 2 * noise / (square * size)),
            inner_product_variance=noise * square / 50,
        )
        history.append(last)
        decision = decide(scheduler, history, LIMITS)
        decisions.append((last, decision))
        size, lr_scale = decision.batch_size, decision.lr_scale
    return decisions


def figure(taken: list[tuple[Signals, Decision]]) -> str:
    """Return batch sizes, and learning-rate factors if they change, as an SVG in the page's colours."""
    factors = [row.lr_scale for row, _ in taken]
    panels = 2 if any(factor != 1 for factor in factors) else 1
    with mpl.rc_context(
        {
            "svg.fonttype": "none",
            "svg.hashsalt": "adasearch",
            "font.family": "sans-serif",
            "text.color": INK,
            "axes.edgecolor": INK,
            "axes.labelcolor": INK,
            "xtick.color": INK,
            "ytick.color": INK,
        }
    ):
        drawn = Figure(figsize=(7.5, 2.4 + 1.2 * (panels - 1)), layout="constrained")
        rows = drawn.subplots(panels, sharex=True, squeeze=False, height_ratios=[2, 1][:panels])[:, 0]
        sizes = [row.batch_size for row, _ in taken]
        last = taken[-1][1]
        for axes, values, label in zip(
            rows,
            ([*sizes, last.batch_size], [*factors, last.lr_scale]),
            ("batch size", "factor on the\nlearning rate"),
            strict=False,
        ):
            axes.plot(range(len(taken) + 1), values, color=ACCENT, drawstyle="steps-post", linewidth=1.8)
            axes.set_yscale("log", base=2)
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.4g}"))
            axes.yaxis.set_minor_locator(NullLocator())
            axes.spines[["top", "right"]].set_visible(False)
            axes.set_ylabel(label)
            axes.patch.set_visible(False)
        rows[0].set_ylim(LIMITS.smallest / 1.2, LIMITS.largest * 1.2)
        rows[-1].set_xlim(0, len(taken))
        rows[-1].xaxis.set_major_locator(MaxNLocator(10, integer=True))
        rows[-1].set_xlabel("interval")
        drawn.patch.set_visible(False)
        file = io.StringIO()
        drawn.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    svg = re.sub(r"(?s)^.*?(?=<svg)", "", file.getvalue())
    svg = re.sub(r"(?s)\s*<metadata>.*?</metadata>", "", svg)
    svg = svg.replace(INK, "currentColor").replace(ACCENT, "var(--md-accent-fg-color)")
    return re.sub(r"\n\s*\n", "\n", svg)
