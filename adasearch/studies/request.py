"""What a user asked for, and the studies that it comes to."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, TypeVar, cast

from adasearch.choices import Clock, Precision, Sampler, Scale, Stopper
from adasearch.data.spec import NO_SELECTION, DataSpec, Selection
from adasearch.errors import InputError
from adasearch.records import StudyRecord
from adasearch.spaces.experiments import Experiment
from adasearch.spaces.space import Space
from adasearch.spaces.study_spaces import Fixed, parse_fixed

if TYPE_CHECKING:
    from adasearch.schedule_file import Schedule
    from adasearch.tasks.registry import Card

__all__ = ["Defaults", "Request", "ResolvedStudy", "departures", "with_experiment", "with_schedule"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the user asked for; None, and an empty sequence, is what was left open.

    ``schedulers`` may leave out the constant baseline, which ``baseline`` adds unless it is False.
    ``budget``, which stands for ``epochs``, ``interval`` and ``evaluate_every`` are in epochs ("0.5"),
    examples ("2000ex") or, of a language task, tokens ("100000tokens"). ``fixed`` holds
    ``train/field=value`` and ``scheduler/field=value``. ``space`` holds a file or a name, or several as
    ``scheduler=file``. The spaces of an ``experiment`` take the place of
    those that come with adasearch. ``scheduled`` holds what an exported schedule fixes. ``device`` is None
    where it is not known yet. ``results`` is the folder that advice names.

    ``train`` names a training function of the user's own in place of ``architectures``, and ``objective``
    what of its evaluation is minimised; its ``train_space`` may be what such a file holds.
    """

    architectures: Sequence[str] = ()
    train: str | None = None
    objective: str | None = None
    schedulers: Sequence[str] = ()
    dataset: str | None = None
    image_size: int | None = None
    sequence_length: int | None = None
    tokenizer: str | None = None
    label_column: str | None = None
    image_column: str | None = None
    config: str | None = None
    split: str | None = None
    weights: str | None = None
    download: bool = False
    scale: Scale | None = None
    baseline: bool | None = None
    subset: int | None = None
    epochs: float | None = None
    budget: str | None = None
    interval: str | None = None
    evaluate_every: str | None = None
    seed: int | None = None
    workers: int | None = None
    smallest: int | None = None
    largest: int | None = None
    precision: Precision | None = None
    compile: bool | None = None
    per_example: bool | None = None
    sampler: Sampler | None = None
    stopper: Stopper | None = None
    space: str | Sequence[str] | None = None
    train_space: str | Mapping[str, object] | None = None
    fixed: Sequence[str] = ()
    scheduled: Sequence[str] = ()
    study: str | None = None
    experiment: Experiment | None = None
    device: str | None = None
    threads: int = 1
    clock: Clock | None = None
    device_profile: str | None = None
    results: str = "results"
    accept_changed_code: bool = False
    silence_seconds: float = 600.0

    @property
    def networks(self) -> Sequence[str]:
        """The architectures, or the training function in place of one."""
        return self.architectures if self.train is None else (self.train,)

    @property
    def source(self) -> str:
        """The data set: digits unless there is another."""
        return "digits" if self.dataset is None else self.dataset

    @property
    def spaces(self) -> Sequence[str]:
        """What was given as ``space``, one after the other."""
        return (self.space,) if isinstance(self.space, str) else self.space or ()

    @property
    def sized_dataset(self) -> str:
        """The data set as studies name it: with the size of its examples that was asked for, if any.

        That is the size that images are resized to, or the length of sequences.
        """
        size = self.sequence_length if self.image_size is None else self.image_size
        return self.source if size is None else f"{self.source}@{size}"

    def settings(self, schedulers: Sequence[str]) -> list[Fixed]:
        """Return the fields that are fixed: those of a schedule which the user did not set, then the user's.

        Raises:
            InputError: one is none of ``schedulers``.
        """
        given = [parse_fixed(text, schedulers) for text in self.fixed]
        named = {(each.kind, each.name) for each in given}
        found = [parse_fixed(text, schedulers, "--schedule") for text in self.scheduled]
        return [*(each for each in found if (each.kind, each.name) not in named), *given]

    def filled(self, other: "Request") -> "Request":
        """Return the request with what it leaves open as another has it; of ``fixed`` the later one counts.

        >>> Request(epochs=5, fixed=("train/lr=1",)).filled(Request(epochs=9, seed=3)).seed
        3
        """
        left_open = {
            field.name: getattr(other, field.name)
            for field in fields(Request)
            if getattr(self, field.name) in (None, ())
        }
        if self.epochs is not None or self.budget is not None:  # one stands for the other
            left_open |= {"epochs": self.epochs, "budget": self.budget}
        return replace(self, **left_open | {"fixed": (*other.fixed, *self.fixed)})


def with_experiment(request: Request, experiment: Experiment) -> Request:
    """Return a request with what it leaves open as an experiment has it, at the request's scale."""
    lines = experiment.at(request.scale)
    alike = {field.name for field in fields(Request)} & type(lines).model_fields.keys()
    said = {name: getattr(lines, name) for name in alike - {"train"}}  # a space, and here a function
    said |= {"architectures": lines.architectures or (), "schedulers": tuple(lines.schedulers or ())}
    baseline = None if lines.no_baseline is None else not lines.no_baseline
    return request.filled(Request(**said, baseline=baseline, experiment=lines))


def with_schedule(request: Request, schedule: "Schedule") -> Request:
    """Return a request with what it leaves open as a schedule was found, and that schedule.

    Raises:
        InputError: the request names a scheduler, too.
    """
    if request.schedulers:
        raise InputError("--schedule names a scheduler already, so --scheduler cannot be given beside it")
    found = _of_schedule(schedule)
    if request.dataset is not None:  # other data have other sizes
        found = replace(
            found, image_size=None, sequence_length=None, tokenizer=None, subset=None, **asdict(NO_SELECTION)
        )
    return request.filled(found)


def departures(request: Request, schedule: "Schedule") -> str:
    """Return in what a request goes beside the run that a schedule was found in; empty if in nothing."""
    found = _of_schedule(schedule)
    told: list[tuple[str, object, object]] = [
        ("architecture", ", ".join(request.architectures) or None, ", ".join(found.architectures)),
        ("scale", request.scale, found.scale),
        ("dataset", request.dataset, found.dataset),
        ("subset", request.subset, found.subset),
        ("epochs", request.epochs, schedule.epochs),
        ("interval", request.interval, f"{schedule.interval:g}"),
        ("smallest", request.smallest, found.smallest),
        ("largest", request.largest, found.largest),
        ("precision", request.precision, found.precision),
    ]
    its = {(each.kind, each.name): each.value for each in replace(found, fixed=()).settings(found.schedulers)}
    given = replace(request, scheduled=()).settings(found.schedulers)
    return ", ".join(
        [
            *(f"{name} {mine}" for name, mine, former in told if mine is not None and mine != former),
            *(
                f"{each.kind}/{each.name} {each.value}"
                for each in given
                if its.get((each.kind, each.name)) != each.value
            ),
        ]
    )


def _of_schedule(schedule: "Schedule") -> Request:
    origin = schedule.provenance
    settings = {
        **{f"train/{name}": value for name, value in schedule.train.items()},
        "train/batch_size": schedule.batch_size,
        **{f"scheduler/{name}": value for name, value in schedule.fields.items() if value != ""},
    }
    return Request(
        architectures=(origin.architecture,),
        schedulers=(schedule.name,),
        dataset=origin.dataset,
        image_size=origin.image_size,
        sequence_length=origin.sequence_length,
        tokenizer=origin.tokenizer,
        **asdict(Selection.of(origin)),
        scale=cast(Scale, origin.scale),  # another one is refused with the network
        subset=origin.subset,
        epochs=_just(schedule.epochs, origin.train_examples),
        interval=repr(_just(schedule.interval, origin.train_examples)),
        smallest=schedule.smallest,
        largest=schedule.largest,
        precision=cast(Precision, origin.precision),
        scheduled=tuple(f"{name}={json.dumps(value)}" for name, value in settings.items()),
    )


def _just(epochs: float, train_examples: int) -> float:
    """Return epochs that are rounded up to just as many examples as were meant, whatever the last bit."""
    return (round(epochs * train_examples) - 0.5) / train_examples


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """Where a setting that the user left open comes from: the stored study, else the stored baseline."""

    stored: StudyRecord | None = None
    baseline: StudyRecord | None = None

    @property
    def former(self) -> StudyRecord | None:
        """The stored study, else the stored constant study of the same network and data."""
        return self.stored or self.baseline

    def pick(self, given: T | None, of: Callable[[StudyRecord], T], built_in: T) -> T:
        """Return what the user gave, else what the former study has, else what is built in.

        >>> Defaults().pick(None, lambda study: study.seed, 7)
        7
        """
        if given is not None:
            return given
        return built_in if self.former is None else of(self.former)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ResolvedStudy:
    """A study ready to run: its identity, its spaces, where its data lie, and what was stored before."""

    record: StudyRecord
    train_space: Space
    scheduler_space: Space
    data: DataSpec
    card: "Card"
    defaults: Defaults

    @property
    def stored(self) -> bool:
        """Whether the study itself is stored."""
        return self.defaults.stored is not None
