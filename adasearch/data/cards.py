"""What there is to know of a data set before anything trains on it; opens without torch."""

from collections.abc import Sequence
from dataclasses import dataclass

from adasearch.choices import Task

__all__ = ["DataCard", "TextCard"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DataCard:
    """A set of images.

    Args:
        train: examples of the training split.
        val: examples of the validation split.
        classes: how many there are.
        image_size: height and width in pixels of the decoded images.
        fingerprint: identifies the examples, their official split included.
        understood: lines that say what the source was taken for.
    """

    train: int
    val: int
    classes: int
    image_size: int
    fingerprint: str
    understood: Sequence[str] = ()
    task: Task = "images"


@dataclass(frozen=True, slots=True, kw_only=True)
class TextCard:
    """A set of sequences, in which its splits are counted."""

    train: int
    val: int
    vocabulary: int
    sequence_length: int
    fingerprint: str
    understood: Sequence[str] = ()
    task: Task = "language"
