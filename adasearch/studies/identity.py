"""What makes a study that study: nothing stored is continued with other settings."""

import json
from collections.abc import Sequence

from adasearch.errors import InputError, shortened
from adasearch.io.yaml_text import parse_yaml
from adasearch.records import StudyRecord, TrialRecord
from adasearch.spaces.optuna_trials import combinations, distributions_of
from adasearch.spaces.space import parse_space

__all__ = [
    "IDENTITY",
    "check_device",
    "check_identity",
    "check_together",
    "refuse_other",
    "same_study",
]

IDENTITY = (
    "architecture",
    "scale",
    "scheduler",
    "fingerprint",
    "subset",
    "seed",
    "train_examples",
    "val_examples",
    "budget",
    "interval",
    "evaluate_every",
    "workers",
    "clock",
    "objectives",
    "device",
    "device_profile",
    "stability_profile",
    "precision",
    "compile",
    "per_example",
    "sampler",
    "stopper",
    "smallest",
    "largest",
    "multiple_of",
    "train_space",
    "scheduler_space",
    "label_column",
    "image_column",
    "config",
    "split",
    "weights",
    "task",
    "objective",
    "sequence_length",
    "tokenizer",
)

SPACES = ("train_space", "scheduler_space")
SPANS = {"budget": "--epochs", "interval": "--interval", "evaluate_every": "--evaluate-every"}
"""Fields in examples that a user gives in epochs."""


def check_together(study: StudyRecord) -> None:
    """Refuse settings that do not go together.

    Raises:
        InputError: which.
    """
    if study.precision == "float16" and study.per_example:
        raise InputError(
            "--per-example takes gradients that no scaler of the loss has seen, so --precision must not be "
            "float16 with it; bfloat16 needs no scaler"
        )
    if study.sampler == "grid":
        combinations(distributions_of(study))


def check_device(study: StudyRecord) -> None:
    """Refuse what the study's device cannot do.

    Raises:
        InputError: what.
    """
    if study.precision == "tf32" and study.device == "cpu":
        raise InputError("--precision tf32 needs a GPU but the device is cpu")


def check_identity(stored: StudyRecord | None, record: StudyRecord, trials: Sequence[TrialRecord]) -> None:
    """Check that what is stored under a study's name is that study.

    Raises:
        InputError: it has another identity, or trials without one.
    """
    if stored is not None:
        refuse_other(stored, record)
    elif trials:
        raise InputError(
            f"study {record.study} has {len(trials)} trials but no readable identity under studies/; "
            "use --study PREFIX or --results FOLDER for another"
        )


def same_study(one: StudyRecord, other: StudyRecord) -> bool:
    """Tell whether two records are of one study."""
    return all(_value(one, name) == _value(other, name) for name in IDENTITY)


def refuse_other(stored: StudyRecord, record: StudyRecord) -> None:
    """Refuse to go on with a stored study of another identity.

    Raises:
        InputError: the first field that differs, by name.
    """
    for name in IDENTITY:
        there, here = _value(stored, name), _value(record, name)
        if there == here:
            continue
        stored_said, said = _said(name, stored, there), _said(name, record, here)
        if name in SPACES:
            stored_said, said = _differing(name, str(there), str(here))
        raise InputError(
            f"study {stored.study} exists with {stored_said} but this search has {said}; use --study PREFIX "
            "or --results FOLDER for another"
        )


def _differing(name: str, there: str, here: str) -> tuple[str, str]:
    """Return the first field in which two spaces differ, as each has it.

    >>> _differing("train_space", '{"fields":{"lr":{"fixed":0.1}}}', '{"fields":{"lr":{"fixed":0.2}}}')
    ('train_space lr={"fixed":0.1}', 'train_space lr={"fixed":0.2}')
    """
    try:
        one, other = (dict(json.loads(text)["fields"]) for text in (there, here))
    except (LookupError, TypeError, ValueError, RecursionError):  # whatever a row holds
        one, other = {}, {}
    field = next((each for each in {**one, **other} if one.get(each) != other.get(each)), None)
    if field is None:
        return f"{name}={shortened(there)}", f"{name}={shortened(here)}"
    said = [json.dumps(each.get(field), separators=(",", ":")) for each in (one, other)]
    return f"{name} {field}={shortened(said[0])}", f"{name} {field}={shortened(said[1])}"


def _said(name: str, study: StudyRecord, value: object) -> str:
    """Return a field and its value, a span in examples as the user gave it in epochs, too.

    >>> from types import SimpleNamespace
    >>> study = SimpleNamespace(train_examples=400)
    >>> _said("budget", study, 1600), _said("seed", study, 3)
    ('budget=1600 (--epochs 4)', 'seed=3')
    """
    if name in SPANS:
        return f"{name}={value} ({SPANS[name]} {float(str(value)) / study.train_examples:.4g})"
    return f"{name}={shortened(str(value))}"


def _value(study: StudyRecord, name: str) -> object:
    """Return a field of a study as this version would write it.

    A space was complete when it was stored: what it lacks are fields of later versions, at their defaults.
    """
    value = getattr(study, name)
    if name not in SPACES:
        return value
    try:
        return (
            parse_space(parse_yaml(value, "stored space"), "stored space", study.scheduler)
            .complete()
            .to_json()
        )
    except InputError:
        return value
