"""Which data a run trains on, in a few words that travel: the search's actors hold them without torch."""

from dataclasses import dataclass

__all__ = ["MEMORY_LIMIT", "DataSpec"]

MEMORY_LIMIT = 2 * 2**30
"""Bytes of decoded images up to which a set is held in memory: 2 GiB.

A process that trains holds each training image twice, the second time with its padding (2.6 times its bytes
in all), and a search runs several such processes. The same on every machine, so that a study can go on
elsewhere.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSpec:
    """Which data: everything that decides what the splits contain.

    Args:
        source: one of ``adasearch.data.sources.registry.SOURCES``.
        image_size: pixels that images are resized and cropped to; None takes them as they are.
        subset: training examples to keep (a stratified draw), None for all.
        seed: of the split and of the draw.
        memory_limit: bytes of decoded images above which they are streamed.
    """

    source: str
    image_size: int | None = None
    subset: int | None = None
    seed: int = 0
    memory_limit: int = MEMORY_LIMIT
