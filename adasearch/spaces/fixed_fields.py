"""What of a stored study was not searched but fixed, beside what the spaces that come with adasearch fix.

Reads fields as they are written, so that a command that only shows results waits for no Optuna, and imports
nothing that the store names.
"""

import dataclasses
import json
from collections.abc import Mapping
from importlib import resources

from adasearch.errors import InputError
from adasearch.io.text import is_name
from adasearch.io.yaml_text import parse_yaml
from adasearch.records import StudyRecord
from adasearch.schedulers.registry import SCHEDULERS, field_defaults

__all__ = ["fixed_elsewhere"]


def fixed_elsewhere(study: StudyRecord) -> list[str]:
    """Return the parameters of a stored study that are fixed to what is neither ours nor a default."""
    from adasearch.training.config import Hyperparameters

    parts: list[tuple[str, str, Mapping[str, object], Mapping[str, object]]] = [
        (
            "train",
            study.train_space,
            {field.name: field.default for field in dataclasses.fields(Hyperparameters)},
            _ours("architectures", study.architecture) or _ours("architectures", _general(study)),
        )
    ]
    if study.scheduler in SCHEDULERS:
        defaults, ours = field_defaults(study.scheduler), _ours("schedulers", study.scheduler)
        parts.append(("scheduler", study.scheduler_space, defaults, ours))
    return [
        f"{kind}/{name}"
        for kind, stored, defaults, ours in parts
        for name, value in _fixed(stored).items()
        if value not in (defaults.get(name), ours.get(name))
    ]


def _general(study: StudyRecord) -> str:
    return "any_language" if study.task == "language" else "any"


def _ours(kind: str, name: str) -> dict[str, object]:
    file = resources.files("adasearch") / "search_spaces" / kind / f"{name}.yaml"
    return _fixed(file.read_text(encoding="utf-8")) if is_name(name) and file.is_file() else {}


def _fixed(text: str) -> dict[str, object]:
    """Return the fixed fields of a space; none of one that cannot be read."""
    try:
        content = json.loads(text)  # as a store holds it; YAML would take 1e-08 for a text
    except (ValueError, RecursionError):
        try:
            content = parse_yaml(text, "space")
        except InputError:
            return {}
    fields = content.get("fields") if isinstance(content, Mapping) else None
    return {
        str(name): space["fixed"]
        for name, space in (fields if isinstance(fields, Mapping) else {}).items()
        if isinstance(space, Mapping) and "fixed" in space
    }
