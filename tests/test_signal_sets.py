"""The table of measured signals, and what must go with it."""

import dataclasses

from adasearch.records import Signals
from adasearch.signal_sets import GROUPED, MEAN_GRADIENT, MEASURED, MOMENTS, NOISE, PER_STEP, PRECONDITIONED
from adasearch.store.schemas import SCHEMAS


def test_every_optional_signal_but_the_validation_loss_is_in_the_table_once() -> None:
    optional = [field.name for field in dataclasses.fields(Signals) if field.default is None]
    assert [*MEASURED, *sorted(PRECONDITIONED)] == [name for name in optional if name != "val_loss"]


def test_the_sets_share_the_signals_out() -> None:
    assert sorted([*PER_STEP, *MEAN_GRADIENT, *NOISE]) == sorted(MEASURED)
    assert MOMENTS < GROUPED - PRECONDITIONED < NOISE
    assert PRECONDITIONED < GROUPED


def test_the_table_of_intervals_holds_every_signal_in_its_order() -> None:
    optional = [field.name for field in dataclasses.fields(Signals) if field.default in (None, 0)]
    columns = SCHEMAS["intervals"].names
    assert [name for name in columns if name in optional] == optional
