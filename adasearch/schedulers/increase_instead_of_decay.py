"""Don't decay the learning rate, increase the batch size (Smith, Kindermans, Ying, Le; arXiv 1711.00489).

At each milestone where a schedule would divide the learning rate by ``factor``::

    B <- factor * B,   lr unchanged

so the ratio of learning rate to batch, and with it the noise scale ``g ~ lr * N/B`` of SGD, falls as in the
run that decays. Known: the rule and, from background knowledge, the CIFAR run with factor 5 at epochs 60,
120 and 160 of 200 (the default is that timetable for 100 epochs) and the practice of growing to about N/10,
then decaying.

Where we differ: what growth does not achieve, the learning rate does. It is multiplied by
``(new/old) / factor`` with the size really reached, so at the cap it decays as in the fixed run, and lr/B
keeps to the path whatever the limits and the rounding. A milestone inside an interval takes effect at that
interval's end; two in one interval take effect together.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from adasearch.errors import require
from adasearch.records import Decision, Limits, Signals
from adasearch.schedulers.base import change, hold, milestones_of, milestones_reached, reachable

__all__ = ["IncreaseInsteadOfDecay"]


@dataclass(frozen=True, slots=True, kw_only=True)
class IncreaseInsteadOfDecay:
    """Multiply the batch where a schedule would divide the learning rate.

    Args:
        milestones: rising epochs, greater than 0, as text: "60, 120, 160".
        factor: what the schedule would divide the learning rate by, in (1, 100].

    >>> IncreaseInsteadOfDecay(factor=0.2)
    Traceback (most recent call last):
    ...
    adasearch.errors.InputError: factor must lie in (1, 100] but got factor=0.2
    """

    milestones: str = "30, 60, 80"
    factor: float = 5.0

    needs: ClassVar[frozenset[str]] = frozenset()
    lr_schedules: ClassVar[frozenset[str]] = frozenset({"constant"})

    def __post_init__(self) -> None:
        """Refuse values outside the rule's domain."""
        milestones_of(self.milestones)
        require(1 < self.factor <= 100, "factor must lie in (1, 100]", factor=self.factor)

    def decide(self, history: Sequence[Signals], limits: Limits) -> Decision:
        """Multiply once for each milestone that the last interval reached."""
        last, epochs = history[-1], milestones_of(self.milestones)
        reached = milestones_reached(history, epochs)
        if reached == 0:
            later = [epoch for epoch in epochs if epoch > last.epoch]
            return hold(last, f"next milestone at epoch {later[0]:g}" if later else "no milestone left")
        factor = self.factor**reached
        size = reachable(last.batch_size, last.batch_size * factor, limits)
        reason = f"{reached} milestone{'s' * (reached > 1)} reached by epoch {last.epoch:g}: times {factor:g}"
        if size == last.batch_size:
            reason += f", but {size} is the largest size: the learning rate decays alone"
        return change(last, size, reason, lr_scale=last.lr_scale * size / last.batch_size / factor)
