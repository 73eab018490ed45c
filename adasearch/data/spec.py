"""Which data a run trains on, in a few words that travel: the search's actors hold them without torch."""

from dataclasses import dataclass, fields

from adasearch.choices import Task

__all__ = ["MEMORY_LIMIT", "NO_SELECTION", "DataSpec", "Selection"]

MEMORY_LIMIT = 2 * 2**30
"""Bytes of decoded images up to which a set is held in memory: 2 GiB.

A process that trains holds each training image twice, the second time with its padding (2.6 times its bytes
in all), and a search runs several such processes. The same on every machine, so that a study can go on
elsewhere.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which part of a source; None leaves it to what the source's own names say.

    Args:
        label_column: of a Parquet file.
        image_column: likewise.
        config: configuration of a set that has several.
        split: to train on.
        weights: by which training examples are drawn, with replacement: "balanced" for those that make all
            classes alike, or a column; None takes each example once an epoch.
    """

    label_column: str | None = None
    image_column: str | None = None
    config: str | None = None
    split: str | None = None
    weights: str | None = None

    @classmethod
    def of(cls, holder: object) -> "Selection":
        """Return what a request, a study or a schedule's origin selects."""
        return cls(**{field.name: getattr(holder, field.name) for field in fields(cls)})


NO_SELECTION = Selection()


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSpec:
    """Which data: everything that decides what the splits contain.

    Args:
        source: one of ``adasearch.data.sources.registry.SOURCES``.
        selection: of the source's columns, configurations and splits.
        image_size: pixels that images are resized and cropped to; None takes them as they are.
        subset: training examples to keep (a stratified draw), None for all.
        seed: of the split and of the draw.
        memory_limit: bytes of decoded images above which they are streamed.
        sequence_length: tokens of an example of a language task; None where the examples are images.
        tokenizer: file of the ``tokenizers`` library that makes the tokens of text, or whose vocabulary
            tokens are of; None where they are bytes.
    """

    source: str
    selection: Selection = NO_SELECTION
    image_size: int | None = None
    subset: int | None = None
    seed: int = 0
    memory_limit: int = MEMORY_LIMIT
    sequence_length: int | None = None
    tokenizer: str | None = None

    @property
    def task(self) -> Task:
        """Which task the data are for."""
        return "images" if self.sequence_length is None else "language"
