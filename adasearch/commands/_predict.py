"""``adasearch predict``: whether a growing batch will pay on a network, guessed from its profiles."""

from collections.abc import Sequence

from adasearch.analysis.prediction_table import predict_table
from adasearch.choices import Format
from adasearch.store.store import Store

__all__ = ["predict"]


def predict(
    store: Store,
    *,
    architectures: Sequence[str] = (),
    schedulers: Sequence[str] = (),
    check: bool = False,
    form: Format = "text",
    width: int | None = None,
) -> str:
    """Return the table of guesses for profiled networks, or with ``check`` of guesses beside outcomes.

    Raises:
        InputError: no profiles, none of a network that was named, or too few networks to check, which
            are no rows for machines.
    """
    return predict_table(
        store, architectures=architectures, schedulers=schedulers, check=check, form=form, width=width
    )
