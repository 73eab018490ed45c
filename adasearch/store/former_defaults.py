"""Fields that later versions added to schedulers with another default than what earlier ones did.

A row that lacks such a field was written by a version that knew one way only, which the field now names.
"""

import json
from collections.abc import Collection, Mapping

from adasearch.records import Value

__all__ = ["with_former_fields", "with_former_space"]

FORMER: Mapping[str, Mapping[str, Value]] = {"divebatch": {"diversity": "noise_scale"}}
"""By scheduler: the fields that rows up to 0.2.0 lack, and what those versions did."""

NOISE: Mapping[str, Value] = {"noise": "raw"}
"""Likewise of every scheduler of ours with a coupling: preconditioned gradients were not measured."""


def _former(scheduler: str, fields: Collection[str]) -> Mapping[str, Value]:
    coupled = "coupling" in fields and ":" not in scheduler
    return {**FORMER.get(scheduler, {}), **(NOISE if coupled else {})}


def with_former_fields(scheduler: str, params: dict[str, Value]) -> dict[str, Value]:
    """Return a trial's parameters with the fields that its version did not know.

    >>> with_former_fields("divebatch", {"scheduler/delta": 0.1})
    {'scheduler/delta': 0.1, 'scheduler/diversity': 'noise_scale'}
    """
    fields = [name.removeprefix("scheduler/") for name in params]
    former = {f"scheduler/{name}": value for name, value in _former(scheduler, fields).items()}
    return params | {name: value for name, value in former.items() if name not in params}


def with_former_space(scheduler: str, text: str) -> str:
    """Return a stored space, as JSON, with the fields that its version did not know.

    >>> with_former_space("divebatch", '{"scheduler": "divebatch", "fields": {}}')
    '{"scheduler": "divebatch", "fields": {"diversity": {"fixed": "noise_scale"}}}'
    """
    try:
        space = json.loads(text)
        former = {name: {"fixed": value} for name, value in _former(scheduler, space["fields"]).items()}
        missing = not former.keys() <= space["fields"].keys()
        return json.dumps({**space, "fields": former | space["fields"]}) if missing else text
    except (ValueError, KeyError, TypeError, AttributeError):
        return text  # no space: whoever reads it says so
