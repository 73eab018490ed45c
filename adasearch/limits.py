"""The batch sizes that a run may take."""

from dataclasses import dataclass
from numbers import Integral

__all__ = ["Limits"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The batch sizes a scheduler may choose: global examples per optimiser step.

    Args:
        smallest: least batch size, at least 1; must be a multiple of ``multiple_of``.
        largest: greatest batch size, at least ``smallest``; must be a multiple of ``multiple_of``.
        multiple_of: every size is a multiple of this, at least 1.

    >>> Limits(smallest=64, largest=32)
    Traceback (most recent call last):
    ...
    ValueError: largest must be at least smallest but got smallest=64, largest=32
    """

    smallest: int
    largest: int
    multiple_of: int = 1

    def __post_init__(self) -> None:
        """Refuse limits that contradict each other."""
        if self.multiple_of < 1:
            raise ValueError(f"multiple_of must be at least 1 but got multiple_of={self.multiple_of}")
        for name in ("smallest", "largest", "multiple_of"):  # NumPy's numbers would travel into decisions
            if isinstance(value := getattr(self, name), Integral):
                object.__setattr__(self, name, int(value))
        if self.smallest < 1:
            raise ValueError(f"smallest must be at least 1 but got smallest={self.smallest}")
        if self.largest < self.smallest:
            raise ValueError(
                f"largest must be at least smallest but got smallest={self.smallest}, largest={self.largest}"
            )
        if self.smallest % self.multiple_of or self.largest % self.multiple_of:
            raise ValueError(
                f"smallest and largest must be multiples of multiple_of={self.multiple_of} but got "
                f"smallest={self.smallest}, largest={self.largest}"
            )

    @classmethod
    def default(
        cls, examples: int, workers: int, *, smallest: int | None = None, largest: int | None = None
    ) -> "Limits":
        """Return the limits of runs on so many training examples where nobody names both.

        From 16, or 2 for each worker, to 2048, or an eighth of the examples; what is given counts instead.

        Raises:
            ValueError: the examples are too few for them.

        >>> Limits.default(1437, workers=1)
        Limits(smallest=16, largest=179, multiple_of=1)
        >>> Limits.default(100_000, workers=12, largest=512)
        Limits(smallest=24, largest=512, multiple_of=1)
        """
        return cls(
            smallest=max(16, 2 * workers) if smallest is None else smallest,
            largest=min(2048, max(1, examples // 8)) if largest is None else largest,
        )

    def admit(self, batch_size: int) -> bool:
        """Tell whether ``batch_size`` lies inside the limits and is a multiple."""
        return self.smallest <= batch_size <= self.largest and batch_size % self.multiple_of == 0
