"""From what a user asked for to studies with a full identity.

Every setting is resolved in one order: what the user gave, the stored study, the stored constant study of the
same network and data, our default. So the same command always goes on with what is there.
"""

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from operator import attrgetter

from adasearch.callbacks import Progress, Say, no_progress, once
from adasearch.choices import Task
from adasearch.data.sources.registry import fetch
from adasearch.data.spec import DataSpec, Selection
from adasearch.errors import InputError
from adasearch.io.text import slug
from adasearch.profiles.profile import SpeedProfile
from adasearch.records import Limits
from adasearch.schedulers.registry import BASELINE, scheduler_class
from adasearch.spaces.space import Space
from adasearch.spaces.study_spaces import GENERAL_SPACE, LANGUAGE_SPACE, train_space_of
from adasearch.store.trials import RESERVED
from adasearch.studies.device import on_device
from adasearch.studies.identity import check_together
from adasearch.studies.own_function import OWN, function_studies
from adasearch.studies.own_function import check_flags as check_function_flags
from adasearch.studies.request import Defaults, Request, ResolvedStudy
from adasearch.studies.settings import check_numbers
from adasearch.studies.text_data import check_flags, text_settings
from adasearch.studies.wanted import Lookup, Wanted, assembled, given_space, wanted_study
from adasearch.tasks.registry import Card, absolute, card_of, check_name, kind_of, task_of

__all__ = ["resolve"]


def resolve(
    request: Request,
    stored: Lookup,
    say: Say,
    progress: Progress = no_progress,
    profiles: Sequence[SpeedProfile] = (),
) -> list[ResolvedStudy]:
    """Return the studies of a request: per architecture the baseline first, then each scheduler.

    ``stored`` looks up a study by name; ``profiles`` are the speed profiles there are.
    Reads data, and fetches it if asked to; writes nothing else.

    Raises:
        InputError: an unknown name, a value that breaks a rule, or a stored study of another identity.
        AdasearchError: the data cannot be downloaded.
    """
    check_function_flags(request)
    _check(request)
    if request.train is not None:
        request = replace(request, dataset=OWN)
    if request.download:
        fetch(request.source)
    cards: dict[DataSpec, Card] = {}

    def card(spec: DataSpec) -> Card:
        if spec not in cards:
            cards[spec] = card_of(spec, progress)
        return cards[spec]

    say = once(say)
    baseline = [BASELINE] if request.baseline is not False or BASELINE in request.schedulers else []
    schedulers = list(dict.fromkeys([*baseline, *(s for s in request.schedulers if s != BASELINE)]))
    if request.train is not None:
        wanted = [wanted_study(request, request.train, scheduler, stored) for scheduler in schedulers]
        compared = wanted_study(request, request.train, BASELINE, stored).defaults.stored  # searched or not
        studies = function_studies(wanted, compared, say)
        return [on_device(study, request, profiles, say) for study in studies]
    resolved = []
    for architecture in dict.fromkeys(request.architectures):
        for scheduler in schedulers:
            study = _of_network(wanted_study(request, architecture, scheduler, stored), card, say)
            resolved.append(on_device(study, request, profiles, say))
    return resolved


def _check(request: Request) -> None:
    for architecture in request.architectures:  # none beside a training function
        kind = _task(request, architecture)
        check_name(kind, architecture, _scale(request))
        check_flags(request, kind)
    for scheduler in request.schedulers:
        scheduler_class(scheduler)
    adaptive = [name for name in request.schedulers if name != BASELINE]
    given_space(request, BASELINE)
    text = any(_task(request, each) == "language" for each in request.architectures)
    check_numbers(request, tokens=text)
    if request.study is not None and (request.study in RESERVED or slug(request.study) != request.study):
        raise InputError(
            f"--study must be letters, digits, '_', '.' or '-' and not reserved but got {request.study!r}"
        )
    request.settings(adaptive)


def _scale(request: Request) -> str:
    return request.scale or "nano"


def _task(request: Request, architecture: str) -> Task:
    return kind_of(request.source, architecture, sequences=request.sequence_length is not None)


def _data(request: Request, architecture: str, defaults: Defaults) -> DataSpec:
    kind = _task(request, architecture)
    length, tokenizer = text_settings(request, kind, _scale(request), defaults)
    return DataSpec(
        source=absolute(request.source),
        selection=Selection(
            **{
                field.name: defaults.pick(getattr(request, field.name), attrgetter(field.name), None)
                for field in fields(Selection)
            }
        ),
        image_size=request.image_size,
        subset=defaults.pick(request.subset, lambda study: study.subset, None),
        seed=defaults.pick(request.seed, lambda study: study.seed, 0),
        sequence_length=length,
        tokenizer=tokenizer,
    )


def _of_network(wanted: Wanted, card_of: Callable[[DataSpec], Card], say: Say) -> ResolvedStudy:
    """Return the study of a network with all that does not depend on the device that it runs on."""
    request, architecture = wanted.request, wanted.network
    spec = _data(request, architecture, wanted.defaults)
    card = card_of(spec)
    for line in card.understood:
        say(line)
    per_example = wanted.defaults.pick(request.per_example, lambda study: study.per_example, False)
    task = task_of(card)
    task.check_network(architecture, _scale(request), per_example=per_example)
    general = LANGUAGE_SPACE if _task(request, architecture) == "language" else GENERAL_SPACE

    def train_space_in(limits: Limits, scheduler_space: Space) -> tuple[Space, list[str]]:
        sources, fixed = wanted.train_sources, wanted.fixed
        return train_space_of(architecture, scheduler_space, limits, sources, fixed, general=general)

    study = assembled(wanted, spec, card, train_space_in, say)
    study = replace(study, record=replace(study.record, objective=task.objective))
    check_together(study.record)
    return study
