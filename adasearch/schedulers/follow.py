"""A wrapper: let more of the optimiser than the learning rate follow the size, whatever the scheduler wants.

With S = B/B0, the size over the initial one, and f the factor on the learning rate, a step takes::

    beta2' = beta2 ** S              the half-life of Adam's second average, in examples, stays
    weight_decay' = weight_decay * S / f     what the weights lose by decay, per example, stays

The first is the rule of Marek et al. (arXiv 2507.07101), who hold the half-life in tokens. The second follows
from a step's decay, ``lr * weight_decay`` of the weights, over its B examples; it keeps AdamW's timescale
``B / (lr * weight_decay * D)``, and Power Lines (Bergsma et al., arXiv 2505.13738) finds the best weight
decay to grow linearly with B, at a fixed network, data and learning rate. Both papers compare constant sizes;
that the rules serve in mid-run is ours. PyTorch corrects the bias of Adam's averages as if beta2 had always
been the present one, which is off while few steps have been made.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from adasearch.records import Decision, Limits, Signals
from adasearch.schedulers.base import BatchSizeScheduler, Wrapping

__all__ = ["NOTHING", "Follow", "Followed", "followed_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """What of an optimiser follows the size beside its learning rate.

    >>> both = Followed(beta2=True, weight_decay=True)
    >>> round(both.beta2_at(0.99, 4), 6), both.weight_decay_at(0.1, scale=4, factor=2)
    (0.960596, 0.2)
    """

    beta2: bool = False
    weight_decay: bool = False

    def beta2_at(self, beta2: float, scale: float) -> float:
        """Return beta2 at ``scale`` times the initial size."""
        return beta2**scale if self.beta2 else beta2

    def weight_decay_at(self, weight_decay: float, *, scale: float, factor: float) -> float:
        """Return the weight decay there, where the learning rate is multiplied by ``factor``."""
        return weight_decay * scale / factor if self.weight_decay else weight_decay


NOTHING = Followed()


@dataclass(frozen=True, slots=True, kw_only=True)
class Follow(Wrapping):
    """Let AdamW's second average, or the weight decay, count in examples, as the size changes.

    The size and the learning rate are those of the rule inside. By name it is the fields ``wrappers.beta2``
    and ``wrappers.weight_decay``.

    Args:
        scheduler: the rule inside.
        beta2: whether the half-life of AdamW's second average stays, in examples.
        weight_decay: whether what the weights lose by decay stays, per example.

    >>> from adasearch.schedulers import SCHEDULERS
    >>> followed_of(Follow(scheduler=SCHEDULERS["cabs"](), beta2=True))
    Followed(beta2=True, weight_decay=False)
    """

    scheduler: BatchSizeScheduler
    beta2: bool = False
    weight_decay: bool = False

    def decide(self, history: Sequence[Signals], limits: Limits) -> Decision:
        """Ask the scheduler inside."""
        return self.scheduler.decide(history, limits)


def followed_of(scheduler: object) -> Followed:
    """Return what follows the size under a scheduler, or under one that it wraps."""
    if isinstance(scheduler, Follow):
        return Followed(beta2=scheduler.beta2, weight_decay=scheduler.weight_decay)
    inside = getattr(scheduler, "scheduler", None)
    return NOTHING if inside is None else followed_of(inside)
