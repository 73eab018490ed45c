"""Which signals a loop of one's own can have."""

import dataclasses

from adasearch.records import Signals
from adasearch.signal_sets import MEASURED

__all__ = ["missing_signals"]

FREE = frozenset(field.name for field in dataclasses.fields(Signals) if field.default is dataclasses.MISSING)


def missing_signals(needs: frozenset[str], *, evaluated: bool) -> str | None:
    """Return which of ``needs`` a loop of one's own does not have, and what to do about it.

    >>> missing_signals(frozenset({"grad_norm", "train_loss"}), evaluated=False)
    >>> missing_signals(frozenset({"val_loss"}), evaluated=False)
    'val_loss: give evaluate=, a function that returns the validation loss'
    """
    measured = {*MEASURED, "val_loss"}
    unknown = needs - FREE - measured
    if unknown:
        known = ", ".join(sorted(measured))
        return f"{', '.join(sorted(unknown))}, which the controller cannot measure; it measures {known}"
    if "val_loss" in needs and not evaluated:
        return "val_loss: give evaluate=, a function that returns the validation loss"
    return None
