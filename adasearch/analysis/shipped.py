"""What is known of a network before any was searched here: its ceiling, and the study of ours that ships."""

import json
from pathlib import Path

from adasearch.analysis.prediction import Gain, Traits, worth_growing
from adasearch.counts import told, unit_of

__all__ = ["LOSS_NOTE", "NOTES", "SHIPPED_NOTE", "ceiling_said", "shipped_outcomes"]

SHIPPED_NOTE = (
    "this folder knows too few networks: those of the study that comes with adasearch (five nano networks, "
    "4,000 images of CIFAR-10, one CPU core) stand beside them"
)

LOSS_NOTE = (
    "of language models and training functions nothing but the ceiling is told: what other networks gained "
    "is known by the errors of classification"
)

NOTES = [
    "ceiling: throughput at the best timed batch size over that at the default one, by the speed profile",
    "speed-up and change of error (points): against a tuned constant batch, with their 90 % range, from what "
    "the store knows of other networks, and no speed-up beyond the ceiling",
    "pays: five percent faster or more, at most a point worse, over the whole range; may pay: on average; "
    "unlikely: not on average; not worth it: nowhere in the range, or the ceiling is below 1.05x: a larger "
    "batch than the default one is no faster here; a dash: not known, or not at equal error, so that times "
    "do not compare",
]
"""What the columns of guesses mean."""


def shipped_outcomes() -> list[Gain]:
    """Return what each scheduler was worth in the study that comes with adasearch."""
    rows = json.loads((Path(__file__).parent / "shipped_outcomes.json").read_text(encoding="utf-8"))
    return [Gain(**{**row, "traits": Traits(**row["traits"])}) for row in rows]


def ceiling_said(traits: Traits) -> str:
    """Return what the ceiling alone says of a network, whatever a schedule does.

    >>> ceiling_said(Traits(architecture="vgg", scale="nano", dataset="digits", ceiling=1.25,
    ...     stability_score=None, noise_scale=None))[:58]
    'vgg nano: at equal examples a larger batch is at most 1.25'
    """
    length = traits.sequence_length
    who = traits.architecture if traits.dataset == "own" else f"{traits.architecture} {traits.scale}"
    if traits.rising_at is not None:
        return (
            f"{who}: still rising at the largest timed size {told(traits.rising_at, length)}, so the ceiling "
            f"of {traits.ceiling:.2f}x is the least that it may be"
        )
    equal = f"{who}: at equal {unit_of([length])} a larger batch is"
    if not worth_growing(traits):
        return f"{equal} no faster here (ceiling {traits.ceiling:.2f}x), so growing it saves no time"
    return (
        f"{equal} at most {traits.ceiling:.2f} times as fast here, so growing it saves at most "
        f"{100 * (1 - 1 / traits.ceiling):.0f} % of the time"
    )
