"""A profile of the critical batch as rows of the table of profiles, and back: one per mark and size."""

import json
from collections.abc import Sequence
from typing import Any

from adasearch.profiles.critical import CriticalProfile, ExcessLoss
from adasearch.profiles.profile import Setting
from adasearch.store.rows import plain

__all__ = ["critical_of", "critical_rows"]

Row = dict[str, Any]
SHARED = (
    "subset",
    "seed",
    "train_examples",
    "budget",
    "interval",
    "base_batch_size",
    "coupling",
    "seeds",
    "diverged",
)
EXCESS = ("mark", "batch_size", "mean", "low", "high")


def critical_rows(profile: CriticalProfile) -> tuple[Row, list[Row]]:
    """Return the columns that all rows of a profile have beside its name and setting, and those of each."""
    shared = {name: getattr(profile, name) for name in SHARED}
    shared |= {"kind": "critical", "params": json.dumps(dict(profile.params))}
    own = [
        {
            "figure": "excess_loss",
            "epoch": each.mark / profile.train_examples,
            **{name: getattr(each, name) for name in EXCESS},
        }
        for each in profile.excess
    ]
    return shared, own


def critical_of(rows: Sequence[Row], setting: Setting) -> CriticalProfile:
    """Return the profile that rows hold.

    Raises:
        ValueError: they hold none.
    """
    first = rows[0]
    for name in ("budget", "base_batch_size", "train_examples"):
        if not first[name] or first[name] < 1:
            raise ValueError(f"{name} is {first[name]}")
    excess = [ExcessLoss(**{name: row[name] for name in EXCESS}) for row in rows if row["figure"] is not None]
    if any(each.mark is None or each.batch_size is None for each in excess):
        raise ValueError("a row has no mark or no batch_size")
    return CriticalProfile(
        profile=first["profile"],
        setting=setting,
        **{name: first[name] for name in SHARED},
        params=plain(first["params"]),
        excess=tuple(excess),
        created_at=first["created_at"],
    )
