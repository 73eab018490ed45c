"""The columns of the store, with their meanings."""

from pathlib import Path

import yaml
from site_markdown import arguments, table

from adasearch.records import Decision, IntervalRecord, Signals
from adasearch.store.schemas import SCHEMAS

__all__ = ["columns_page"]

MEANINGS = Path(__file__).parents[1] / "columns.yaml"


def columns_page() -> str:
    """Return the page of all tables and their columns.

    Raises:
        ValueError: a column without a meaning, or a meaning without a column.
    """
    own = yaml.safe_load(MEANINGS.read_text())
    records = {
        name: text for record in (Decision, IntervalRecord, Signals) for name, text in _said(record).items()
    }
    parts = ["# Columns\n\nGenerated from `adasearch/store/schemas.py`. Errors are fractions in [0, 1].\n"]
    for name, schema in SCHEMAS.items():
        known = {**(records if name == "intervals" else {}), **own["every"], **own[name]}
        missing, strange = set(schema.names) - set(known), set(own[name]) - set(schema.names)
        if missing or strange:
            raise ValueError(
                f"{MEANINGS.name}, {name}: no meaning of {sorted(missing)}, no column {sorted(strange)}"
            )
        rows = [
            {"column": f"`{field.name}`", "type": str(field.type), "meaning": known[field.name]}
            for field in schema
        ]
        parts.append(f"## {name}\n\n{own['tables'][name]}\n\n{table(['column', 'type', 'meaning'], rows)}")
    return "\n".join(parts)


def _said(record: type) -> dict[str, str]:
    return {
        name: text for name, text in arguments(record.__doc__).items() if name not in ("signals", "decision")
    }
