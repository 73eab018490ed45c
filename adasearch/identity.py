"""What makes a study that study: nothing stored is continued with other settings."""

from collections.abc import Sequence

from adasearch.errors import InputError
from adasearch.records import StudyRecord, TrialRecord

__all__ = ["IDENTITY", "check_identity", "refuse_other", "same_study"]

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
)


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
    return all(getattr(one, name) == getattr(other, name) for name in IDENTITY)


def refuse_other(stored: StudyRecord, record: StudyRecord) -> None:
    """Refuse to go on with a stored study of another identity.

    Raises:
        InputError: the first field that differs, by name.
    """
    for name in IDENTITY:
        there, here = getattr(stored, name), getattr(record, name)
        if there != here:
            raise InputError(
                f"study {stored.study} exists with {name}={there} but this search has {name}={here}; "
                "use --study PREFIX or --results FOLDER for another"
            )
