"""The tasks by name, and where their data come from."""

from collections.abc import Callable
from typing import Any, Protocol

from adasearch.callbacks import Progress, no_progress
from adasearch.choices import Task as Kind
from adasearch.data import load as images
from adasearch.data.cards import DataCard, TextCard
from adasearch.data.sources.registry import absolute as images_at
from adasearch.data.spec import DataSpec
from adasearch.data.text import load as text
from adasearch.data.text.kinds import absolute as text_at
from adasearch.data.text.kinds import is_text
from adasearch.errors import InputError
from adasearch.networks import language, registry
from adasearch.tasks.base import Data, Task
from adasearch.tasks.images import Images
from adasearch.tasks.language import Language

__all__ = ["Card", "absolute", "card_of", "check_name", "kind_of", "load_data", "task_of"]

Card = DataCard | TextCard
"""What there is to know of a data set before anything trains on it."""


class _OfATask(Protocol):
    @property
    def task(self) -> Kind: ...


_TASKS: dict[str, Callable[[Any], Task[Any]]] = {
    "images": lambda data: Images(classes=data.classes, image_size=data.image_size),
    "language": lambda data: Language(vocabulary=data.vocabulary, sequence_length=data.sequence_length),
}


def task_of(data: _OfATask) -> Task[Any]:
    """Return the task of a data set, or of its card."""
    return _TASKS[data.task](data)


def kind_of(source: str, architecture: str, *, sequences: bool = False) -> Kind:
    """Return which task a network trains on a source; ``sequences`` tells that their length was given.

    A Parquet file may hold images or text: it is text for a language model, or where sequences are spoken of.

    >>> kind_of("parquet:a.parquet", "gpt"), kind_of("parquet:a.parquet", "resnet18")
    ('language', 'images')
    """
    either = source.partition(":")[0] == "parquet"
    text = is_text(source) or (either and (architecture in language.LANGUAGE or sequences))
    return "language" if text else "images"


def absolute(source: str) -> str:
    """Return a source whose path does not depend on the working directory.

    Raises:
        InputError: an unknown source.
    """
    return text_at(source) if is_text(source) else images_at(source)


def check_name(kind: Kind, architecture: str, scale: str) -> None:
    """Refuse a network or a scale that does not exist for a task, before any data are read.

    Raises:
        InputError: which.
    """
    if kind == "language":
        language.check_name(architecture, scale)
    elif architecture in language.LANGUAGE:
        raise InputError(
            f"architecture {architecture!r} is a language model and the data are images; text is --dataset "
            "python_source, text:PATH, tokens:PATH or parquet:PATH"
        )
    else:
        registry.check_name(architecture, scale)


def card_of(spec: DataSpec, progress: Progress = no_progress) -> Card:
    """Return what there is to know of a data set.

    Raises:
        InputError: as :func:`load_data`.
    """
    of = text.card_of if spec.task == "language" else images.card_of
    return of(spec, progress)


def load_data(spec: DataSpec, *, include_test: bool = False, progress: Progress = no_progress) -> Data:
    """Return a data set ready to train on.

    Raises:
        InputError: an unknown source, missing or damaged files, or a subset that does not fit.
    """
    load: Callable[..., Data] = text.load_text if spec.task == "language" else images.load_dataset
    return load(spec, include_test=include_test, progress=progress)
