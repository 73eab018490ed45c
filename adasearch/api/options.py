"""The keyword arguments of the interface: those of the command line, by the same names."""

from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypedDict, get_type_hints

import yaml

from adasearch.choices import Clock, Isolation, Precision, Sampler, Scale, Stopper
from adasearch.errors import InputError, unknown
from adasearch.records import Value
from adasearch.studies.request import Request
from adasearch.user_code import give

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "Options",
    "RuntimeOptions",
    "SearchOptions",
    "as_request",
    "check",
    "one_or_more",
]


class _OnDevice(TypedDict, total=False):
    device_batch: int
    memory_gib: float
    checkpoint_every: int


class Options(_OnDevice, total=False):
    """What a run may be told, by the names of the command line's flags; see ``adasearch train --help``.

    Args:
        image_size: pixels that images are resized to.
        label_column, image_column, config, split, weights: what to take of the data.
        download: fetch CIFAR-10 and the like where they are not there.
        scale: "nano" or "full".
        subset: training examples to use.
        evaluate_every: epochs (0.5) or examples ("2000ex").
        seed: of the split, the weights and the order of the data.
        workers: training processes of a trial.
        smallest, largest: batch sizes that are allowed.
        precision, compile, per_example: how a trial computes.
        space, train_space: search spaces, as files, names or dictionaries of fields.
        set: fields that are fixed, such as ``{"scheduler/window": 15, "train/lr": 0.1}``.
        study: what stands before the study's name.
        clock, device_profile: the seconds that judge.
        device_batch, memory_gib, checkpoint_every: see :class:`adasearch.runtime.RunOptions`.
        budget: in place of ``epochs``, such as "2000000tokens".
        sequence_length, tokenizer: of a language task.
        objective: of a training function, which of its figures is minimised.
        silence_minutes: after which a training function counts as stuck.
    """

    image_size: int
    label_column: str
    image_column: str
    config: str
    split: str
    weights: str
    download: bool
    scale: Scale
    subset: int
    evaluate_every: "float | str"
    seed: int
    workers: int
    smallest: int
    largest: int
    precision: Precision
    compile: bool
    per_example: bool
    space: "str | Mapping[str, Any]"
    train_space: "str | Mapping[str, Any]"
    set: Mapping[str, Value]
    study: str
    clock: Clock
    device_profile: str
    budget: str
    sequence_length: int
    tokenizer: str
    objective: str
    silence_minutes: float


class RuntimeOptions(_OnDevice, total=False):
    """How a search goes about on a machine or a cluster; see ``adasearch search --help``.

    Args:
        slots: trials at a time.
        cpus_per_worker, gpus_per_worker, attempts, isolation: see :class:`adasearch.runtime.Runtime`.
        address: of a Ray cluster; without one Ray is started on this machine.
        wait_for_nodes: seconds.
        retry_failed: try failed trials again.
        device_batch, memory_gib, checkpoint_every: see :class:`adasearch.runtime.RunOptions`.
    """

    slots: int
    cpus_per_worker: int
    gpus_per_worker: float
    attempts: int
    isolation: Isolation
    address: str
    wait_for_nodes: float
    retry_failed: bool


class SearchOptions(Options, RuntimeOptions, total=False):
    """What a search may be told: :class:`Options`, :class:`RuntimeOptions` and these.

    Args:
        baseline: whether the constant batch is searched, too.
        sampler, stopper: how trials are proposed, and stopped early.
        transfer: try first what suited other networks and data.
        accept_changed_code: go on although a training function changed.
    """

    baseline: bool
    sampler: Sampler
    stopper: Stopper
    transfer: bool
    accept_changed_code: bool


def one_or_more(given: Any) -> list[Any]:
    """Return what was given as a list: one of a kind, or several.

    >>> one_or_more("resnet18"), one_or_more(["resnet18", "vit_b_16"])
    (['resnet18'], ['resnet18', 'vit_b_16'])
    """
    return list(given) if isinstance(given, list | tuple) else [given]


@contextmanager
def as_request(
    networks: Any,
    data: Any,
    *,
    options: Mapping[str, Any],
    schedulers: Any = (),
    epochs: float | None = None,
    interval: "float | str | None" = None,
    train: Any = None,
) -> "Iterator[Request]":
    """Yield what the user asked for; spaces that are dictionaries lie in files meanwhile.

    Without ``data`` a network has "digits", and a training function its own.

    Raises:
        InputError: an option that does not exist, or an object of another kind.
    """
    known = {field.name for field in fields(Request)}
    names = _names(schedulers)
    given = {name: value for name, value in options.items() if name in known and value is not None}
    if (evaluate_every := given.get("evaluate_every")) is not None:
        given["evaluate_every"] = str(evaluate_every)
    with TemporaryDirectory() as folder:
        if (space := given.pop("space", None)) is not None:
            given["space"] = _spaces(space, names, Path(folder))
        if isinstance(space := given.get("train_space"), Mapping) and train is not None:
            given["train_space"] = _fields(space)
        elif isinstance(space, Mapping):
            network = _named(one_or_more(networks)[0])
            given["train_space"] = _file(Path(folder, "train_space.yaml"), space, architecture=network)
        yield Request(
            architectures=() if train is not None and networks is None else tuple(_names(networks)),
            train=None if train is None else _named(train),
            schedulers=tuple(names),
            dataset=_dataset("digits" if data is None and train is None else data),
            epochs=epochs,
            interval=None if interval is None else str(interval),
            fixed=tuple(f"{name}={_text(value)}" for name, value in options.get("set", {}).items()),
            **given,
        )


def check(options: Mapping[str, Any], known: type) -> None:
    """Refuse options that do not exist.

    Raises:
        InputError: the first of them, with the one that may have been meant.
    """
    names = get_type_hints(known)
    for name in options:
        if name not in names:
            raise unknown("option", name, names)


def _names(given: Any) -> list[str]:
    """Return the names of one or several networks or schedulers.

    Raises:
        InputError: two of them are objects of one name, or one is of another kind.
    """
    things: dict[str, object] = {}
    for thing in one_or_more(given):
        name = _named(thing)
        if things.setdefault(name, thing) is not thing and not isinstance(thing, str):
            raise InputError(f"two objects are called {name}; give functions with names of their own")
    return list(things)


def _named(thing: object) -> str:
    if isinstance(thing, str):
        return thing
    if not callable(thing):
        raise InputError(f"a network or a scheduler must be a name, a function or a class but is {thing!r}")
    return give(thing)


def _dataset(data: object) -> str | None:
    if data is None or isinstance(data, str):
        return data
    if callable(data):
        return give(data)
    if isinstance(data, tuple) and len(data) == 2:
        train = data[0]
        count = f"-{len(train)}" if hasattr(train, "__len__") else ""
        return give(lambda: data, f"{type(train).__name__}{count}")
    raise InputError(
        "data must be a name, a function or a pair (train, test) of data sets but is of type "
        f"{type(data).__name__}"
    )


def _spaces(space: Any, schedulers: Sequence[str], folder: Path) -> "str | list[str]":
    """Return a space as a file or a name, or one for each of several schedulers."""
    if not isinstance(space, Mapping):
        return space  # type: ignore[no-any-return]
    if space.keys() <= set(schedulers):  # one for each
        return [
            f"{name}={_file(folder / f'space-{place}.yaml', each, scheduler=name)}"
            if isinstance(each, Mapping)
            else f"{name}={each}"
            for place, (name, each) in enumerate(space.items())
        ]
    adaptive = [name for name in schedulers if name != "constant"]
    return _file(folder / "space.yaml", space, scheduler=adaptive[0] if adaptive else "constant")


def _file(path: Path, space: Mapping[str, Any], **owner: str) -> str:
    """Write a space to a file."""
    space = _fields(space)
    path.write_text(yaml.safe_dump(dict(owner | space)), encoding="utf-8")
    return str(path)


def _fields(space: Mapping[str, Any]) -> dict[str, Any]:
    """Return a space with its fields under "fields"; a plain value is one that is fixed."""
    if "fields" in space:
        return dict(space)
    plain = (bool, int, float, str)
    return {
        "fields": {
            name: {"fixed": each} if isinstance(each, plain) else dict(each) for name, each in space.items()
        }
    }


def _text(value: Value) -> str:
    """Return a value as it is written behind ``--set``."""
    return str(value).lower() if isinstance(value, bool) else str(value)
