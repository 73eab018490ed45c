"""One study that a request asks for: its name, and what it is in all that the tasks have in common."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from adasearch.callbacks import Say
from adasearch.data.spec import DataSpec
from adasearch.errors import InputError
from adasearch.io.text import MAX_NAME_BYTES, slug
from adasearch.records import Limits, StudyRecord
from adasearch.schedulers.registry import BASELINE
from adasearch.spaces.space import Space
from adasearch.spaces.study_spaces import Fixed, SpaceSources, scheduler_space_of
from adasearch.studies.request import Defaults, Request, ResolvedStudy
from adasearch.studies.settings import limits_of, spans_of

if TYPE_CHECKING:
    from adasearch.tasks.registry import Card

__all__ = [
    "Lookup",
    "Wanted",
    "assembled",
    "given_space",
    "import_paths",
    "nothing_stored",
    "study_name",
    "wanted_study",
]

Lookup = Callable[[str], StudyRecord | None]
NUMBERED = 20  # bytes that a trial's id adds to its study's name


def nothing_stored(name: str) -> None:
    """Find no study: what is resolved does not go on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A study that is asked for, and what is stored of it.

    Args:
        request: what was asked for.
        network: for this architecture, or this training function of the user's own.
        scheduler: and this scheduler.
        defaults: where what was left open comes from.
        name: what the study is called.
        fixed: what the user took out of the search.
    """

    request: Request
    network: str
    scheduler: str
    defaults: Defaults
    name: str
    fixed: Sequence[Fixed]

    @property
    def train_sources(self) -> SpaceSources:
        """Where the space of its training may come from."""
        former, published = self.defaults.former, self.request.experiment
        return SpaceSources(
            given=self.request.train_space,
            published=published.train_space(self.network) if published else None,
            stored=former.train_space if former else None,
        )

    def scheduler_space(self) -> Space:
        """Return the space of its scheduler.

        Raises:
            InputError: a space for another scheduler, or a value that breaks a rule.
        """
        stored, published = self.defaults.stored, self.request.experiment
        sources = SpaceSources(
            given=given_space(self.request, self.scheduler),
            published=published.scheduler_space(self.scheduler) if published else None,
            stored=stored.scheduler_space if stored else None,
        )
        return scheduler_space_of(self.scheduler, sources, self.fixed)


def wanted_study(request: Request, network: str, scheduler: str, stored: Lookup) -> Wanted:
    """Return a study of a request with what ``stored`` finds of it."""
    own = stored(_name(request, network, scheduler, stored))
    return Wanted(
        request=request,
        network=network,
        scheduler=scheduler,
        defaults=Defaults(
            stored=own, baseline=None if own else stored(_name(request, network, BASELINE, stored))
        ),
        name=own.study if own else _name(request, network, scheduler, nothing_stored),
        fixed=request.settings(request.schedulers),
    )


def _name(request: Request, network: str, scheduler: str, stored: Lookup) -> str:
    """Return what a study is called; one of a user's own network has its scale if that was given.

    As it had it in version 0.2.0, whose studies go on under their names.
    """

    def named(scale: str | None) -> str:
        return study_name(network, scale, scheduler, request.sized_dataset, request.study)

    former = named(request.scale or "nano")
    own = ":" in network and request.scale is None
    return named(None) if own and stored(former) is None else former


def study_name(
    architecture: str, scale: str | None, scheduler: str, dataset: str, prefix: str | None = None
) -> str:
    """Return a study's default name; paths, ``module:function`` and ``module:Class`` become slugs.

    ``scale`` is None for a network of the user's own, which has none.

    >>> study_name("resnet18", "nano", "deba", "parquet:../data/cifar10/")
    'resnet18-nano-deba-parquet-cifar10'
    >>> study_name("resnet18", "full", "deba", "folder:/data/imagenet@224")
    'resnet18-full-deba-folder-imagenet-224'
    >>> study_name("my_package.nets:make_net", None, "my_module:MyScheduler", "digits")
    'my_package.nets-make_net-my_module-MyScheduler-digits'

    Raises:
        InputError: it is too long for a folder's name.
    """
    parts = [prefix, architecture, scale, scheduler, dataset]
    name = "-".join(slug(part) for part in parts if part)
    if len(name) > MAX_NAME_BYTES - NUMBERED:
        raise InputError(
            f"a study's name must have at most {MAX_NAME_BYTES - NUMBERED} characters but {name!r} has "
            f"{len(name)}; it is made of --study and the names of network, scheduler and data"
        )
    return name


def import_paths(study: StudyRecord) -> list[str]:
    """Return what a study names as ``module:attribute``, which ``folder:PATH`` and ``text:PATH`` are not."""
    from adasearch.data.sources.registry import KINDS
    from adasearch.data.text.kinds import PLACED

    names = (study.architecture, study.scheduler, study.source)
    return [name for name in names if ":" in name and name.partition(":")[0] not in {*KINDS, *PLACED}]


def given_space(request: Request, scheduler: str) -> str | None:
    """Return the file or name of the space that the user gave for a scheduler; None where they gave none.

    Raises:
        InputError: of several schedulers it is not said for which one it is.
    """
    adaptive = [name for name in dict.fromkeys(request.schedulers) if name != BASELINE]
    named = {name: text for name in adaptive for text in request.spaces if text.startswith(f"{name}=")}
    plain = [text for text in request.spaces if text not in named.values()]
    if plain and (len(adaptive) != 1 or len(request.spaces) > 1):
        found = f"{len(adaptive)}: {', '.join(adaptive)}" if adaptive else "none"
        raise InputError(
            f"--space needs exactly one scheduler besides constant, or SCHEDULER=FILE for each, but got "
            f"--space {plain[0]} and {found}"
        )
    if scheduler in named:
        return named[scheduler].removeprefix(f"{scheduler}=")
    return plain[0] if plain and scheduler != BASELINE else None


def assembled(
    wanted: Wanted,
    data: DataSpec,
    card: "Card",
    train_space_in: Callable[[Limits, Space], tuple[Space, list[str]]],
    say: Say,
) -> ResolvedStudy:
    """Return a study without its objective, and without what depends on the device that it runs on.

    ``train_space_in`` returns the space of its training within limits beside its scheduler's, and what is to
    be said of it.

    Raises:
        InputError: spans, sizes or spaces that break a rule.
    """
    request, pick, length = wanted.request, wanted.defaults.pick, data.sequence_length
    workers = pick(request.workers, lambda study: study.workers, 1)
    limits = limits_of(request, wanted.defaults, examples=card.train, workers=workers, sequence_length=length)
    scheduler_space = wanted.scheduler_space()
    train_space, notes = train_space_in(limits, scheduler_space)
    for note in notes:
        say(note)
    spans = spans_of(
        request, wanted.defaults, examples=card.train, validation=card.val, sequence_length=length
    )
    stored = wanted.defaults.stored
    record = StudyRecord(
        study=wanted.name,
        architecture=wanted.network,
        scale=request.scale or "nano",
        scheduler=wanted.scheduler,
        dataset=request.sized_dataset,
        image_size=request.image_size,
        fingerprint=card.fingerprint,
        subset=data.subset,
        seed=data.seed,
        train_examples=card.train,
        val_examples=card.val,
        budget=spans.budget,
        interval=spans.interval,
        evaluate_every=spans.evaluate_every,
        workers=workers,
        objectives="val_error,train_seconds",
        clock="measured",
        device="cpu",
        device_profile=None,
        stability_profile=stored.stability_profile if stored else None,
        precision=pick(request.precision, lambda study: study.precision, "float32"),
        compile=pick(request.compile, lambda study: study.compile, False),
        per_example=pick(request.per_example, lambda study: study.per_example, False),
        sampler=pick(request.sampler, lambda study: study.sampler, "tpe"),
        stopper=pick(request.stopper, lambda study: study.stopper, "halving"),
        smallest=limits.smallest,
        largest=limits.largest,
        multiple_of=limits.multiple_of,
        train_space=train_space.complete().to_json(),
        scheduler_space=scheduler_space.complete().to_json(),
        prefix=request.study,
        task=card.task,
        sequence_length=length,
        tokenizer=data.tokenizer,
        **asdict(data.selection),
        created_at=datetime.now(timezone.utc),
    )
    return ResolvedStudy(
        record=record,
        train_space=train_space,
        scheduler_space=scheduler_space,
        data=data,
        card=card,
        defaults=wanted.defaults,
    )
