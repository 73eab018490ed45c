"""What a person reads counts in: tokens where an example is a sequence of them, elsewhere examples.

Whatever is stored, given as a flag or measured counts examples, sequences among them. ``sequence_length`` is
that of a study, None where its examples are no sequences.
"""

from collections.abc import Iterable

__all__ = ["count", "headed", "moved", "size", "told", "unit_of"]


def count(examples: float, sequence_length: int | None) -> float:
    """Return a number of examples in the unit that it is told in.

    >>> count(32, None), count(32, 128)
    (32, 4096)
    """
    return examples * (sequence_length or 1)


def size(batch_size: int, sequence_length: int | None) -> str:
    """Return a batch size as it is told.

    >>> size(2048, None), size(32, 128)
    ('2048', '4,096')
    """
    return str(batch_size) if sequence_length is None else f"{batch_size * sequence_length:,}"


def told(batch_size: int, sequence_length: int | None) -> str:
    """Return a batch size with its unit, unless that is examples.

    >>> told(2048, None), told(32, 128)
    ('2048', '4,096 tokens')
    """
    return f"{size(batch_size, sequence_length)}{'' if sequence_length is None else ' tokens'}"


def moved(old: int, new: int, sequence_length: int | None) -> str:
    """Return a change of the batch size; that of sequences in them, too, since its reason counts them.

    >>> moved(32, 48, None), moved(32, 48, 128)
    ('32 → 48', '4,096 → 6,144 (32 → 48 sequences)')
    """
    change = f"{size(old, sequence_length)} → {size(new, sequence_length)}"
    return change if sequence_length is None else f"{change} ({old} → {new} sequences)"


def headed(what: str, sequence_lengths: Iterable[int | None]) -> str:
    """Return what a column of counts is called: with its unit, unless that is examples.

    >>> headed("batch", [None]), headed("batch", [128])
    ('batch', 'batch (tokens)')
    """
    unit = unit_of(sequence_lengths)
    return what if unit == "examples" else f"{what} ({unit})"


def unit_of(sequence_lengths: Iterable[int | None]) -> str:
    """Return what the counts of studies are told in.

    >>> unit_of([None]), unit_of([128, 64]), unit_of([128, None])
    ('examples', 'tokens', 'tokens or examples')
    """
    units = {"examples" if length is None else "tokens" for length in sequence_lengths}
    return " or ".join(sorted(units, reverse=True)) or "examples"
