"""From what a user asked for to studies with a full identity.

Every setting is resolved in one order: what the user gave, the stored study, the stored constant study of the
same network and data, our default. So the same command always goes on with what is there.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, fields, replace
from datetime import datetime, timezone
from functools import partial
from operator import attrgetter

from adasearch.callbacks import Progress, Say, no_progress, once
from adasearch.choices import Task
from adasearch.data.sources.registry import fetch
from adasearch.data.spec import DataSpec, Selection
from adasearch.environment import versions
from adasearch.errors import InputError
from adasearch.io.text import slug
from adasearch.profiles.clock import (
    StatedClock,
    check_clock,
    choose_clock,
    clock_notes,
    newest_fitting,
    with_clock,
)
from adasearch.profiles.profile import SpeedProfile, here
from adasearch.records import Limits, StudyRecord
from adasearch.schedulers.registry import BASELINE, scheduler_class
from adasearch.spaces.space import Space
from adasearch.spaces.study_spaces import (
    GENERAL_SPACE,
    LANGUAGE_SPACE,
    Fixed,
    SpaceSources,
    scheduler_space_of,
    train_space_of,
)
from adasearch.store.trials import RESERVED
from adasearch.studies.identity import check_together, refuse_other
from adasearch.studies.naming import study_name
from adasearch.studies.own_function import OWN, check_code, function_study, learn
from adasearch.studies.own_function import check_flags as check_function_flags
from adasearch.studies.request import Defaults, Request, ResolvedStudy
from adasearch.studies.settings import check_numbers, limits_of, spans_of
from adasearch.studies.text_data import check_flags, text_settings
from adasearch.tasks.registry import Card, absolute, card_of, check_name, kind_of, task_of

__all__ = ["nothing_stored", "on_device", "resolve"]

Lookup = Callable[[str], StudyRecord | None]


def nothing_stored(name: str) -> None:
    """Find no study: what is resolved does not go on."""


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
        studies = _of_function(request, request.train, schedulers, stored, say)
        return [on_device(study, request, profiles, say) for study in studies]
    resolved = []
    for architecture in dict.fromkeys(request.architectures):
        for scheduler in schedulers:
            defaults = _defaults(request, architecture, scheduler, stored)
            study = _study(request, architecture, scheduler, defaults, card, say)
            resolved.append(on_device(study, request, profiles, say))
    return resolved


def _of_function(
    request: Request, function: str, schedulers: Sequence[str], stored: Lookup, say: Say
) -> list[ResolvedStudy]:
    """Return the studies of a training function of the user's own, whose first steps are tried for it."""
    fixed = request.settings(request.schedulers)
    defaults = {each: _defaults(request, function, each, stored) for each in schedulers}
    compared = stored(_name(request, function, BASELINE, stored))  # whether it is searched here or not
    known = [each for each in (compared, *(found.stored for found in defaults.values())) if each is not None]
    for study in {each.study: each for each in known}.values():
        check_code(study, request.accept_changed_code, say)
    spaces = {each: _scheduler_space(request, each, defaults[each], fixed) for each in schedulers}
    learnt = learn(request, [(each, defaults[each], spaces[each]) for each in schedulers], fixed)
    return [
        function_study(
            request,
            each,
            defaults[each],
            learnt,
            spaces[each],
            fixed,
            partial(_name, request, function, each, nothing_stored),
            say,
        )
        for each in schedulers
    ]


def _check(request: Request) -> None:
    for architecture in request.architectures:  # none beside a training function
        kind = _task(request, architecture)
        check_name(kind, architecture, _scale(request))
        check_flags(request, kind)
    for scheduler in request.schedulers:
        scheduler_class(scheduler)
    adaptive = [name for name in request.schedulers if name != BASELINE]
    _given_space(request, BASELINE)
    text = any(_task(request, each) == "language" for each in request.architectures)
    check_numbers(request, tokens=text)
    if request.study is not None and (request.study in RESERVED or slug(request.study) != request.study):
        raise InputError(
            f"--study must be letters, digits, '_', '.' or '-' and not reserved but got {request.study!r}"
        )
    request.settings(adaptive)


def _given_space(request: Request, scheduler: str) -> str | None:
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


def _scale(request: Request) -> str:
    return request.scale or "nano"


def _task(request: Request, architecture: str) -> Task:
    return kind_of(request.source, architecture, sequences=request.sequence_length is not None)


def _name(request: Request, architecture: str, scheduler: str, stored: Lookup) -> str:
    """Return what a study is called; one of a user's own network has its scale if that was given.

    As it had it in version 0.2.0, whose studies go on under their names.
    """

    def named(scale: str | None) -> str:
        return study_name(architecture, scale, scheduler, request.sized_dataset, request.study)

    former = named(_scale(request))
    own = ":" in architecture and request.scale is None
    return named(None) if own and stored(former) is None else former


def _defaults(request: Request, architecture: str, scheduler: str, stored: Lookup) -> Defaults:
    own = stored(_name(request, architecture, scheduler, stored))
    baseline = None if own else stored(_name(request, architecture, BASELINE, stored))
    return Defaults(stored=own, baseline=baseline)


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


def _spaces(
    request: Request, architecture: str, scheduler: str, limits: Limits, defaults: Defaults, say: Say
) -> tuple[Space, Space]:
    """Return the spaces of the training and of the scheduler."""
    former, published = defaults.former, request.experiment
    fixed = request.settings(request.schedulers)
    scheduler_space = _scheduler_space(request, scheduler, defaults, fixed)
    train_space, notes = train_space_of(
        architecture,
        scheduler_space,
        limits,
        SpaceSources(
            given=request.train_space,
            published=published.train_space(architecture) if published else None,
            stored=former.train_space if former else None,
        ),
        fixed,
        general=LANGUAGE_SPACE if _task(request, architecture) == "language" else GENERAL_SPACE,
    )
    for note in notes:
        say(note)
    return train_space, scheduler_space


def _scheduler_space(request: Request, scheduler: str, defaults: Defaults, fixed: Sequence[Fixed]) -> Space:
    stored, published = defaults.stored, request.experiment
    return scheduler_space_of(
        scheduler,
        SpaceSources(
            given=_given_space(request, scheduler),
            published=published.scheduler_space(scheduler) if published else None,
            stored=stored.scheduler_space if stored else None,
        ),
        fixed,
    )


def _study(
    request: Request,
    architecture: str,
    scheduler: str,
    defaults: Defaults,
    card_of: Callable[[DataSpec], Card],
    say: Say,
) -> ResolvedStudy:
    """Return a study with all that does not depend on the device that it runs on."""
    pick = defaults.pick
    spec = _data(request, architecture, defaults)
    card = card_of(spec)
    for line in card.understood:
        say(line)
    per_example = pick(request.per_example, lambda study: study.per_example, False)
    task = task_of(card)
    task.check_network(architecture, _scale(request), per_example=per_example)
    workers = pick(request.workers, lambda study: study.workers, 1)
    length = spec.sequence_length
    limits = limits_of(request, defaults, examples=card.train, workers=workers, sequence_length=length)
    train_space, scheduler_space = _spaces(request, architecture, scheduler, limits, defaults, say)
    spans = spans_of(request, defaults, examples=card.train, sequence_length=length)
    former = defaults.stored
    record = StudyRecord(
        study=former.study if former else _name(request, architecture, scheduler, nothing_stored),
        architecture=architecture,
        scale=_scale(request),
        scheduler=scheduler,
        dataset=request.sized_dataset,
        image_size=request.image_size,
        fingerprint=card.fingerprint,
        subset=spec.subset,
        seed=spec.seed,
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
        stability_profile=defaults.stored.stability_profile if defaults.stored else None,
        precision=pick(request.precision, lambda study: study.precision, "float32"),
        compile=pick(request.compile, lambda study: study.compile, False),
        per_example=per_example,
        sampler=pick(request.sampler, lambda study: study.sampler, "tpe"),
        stopper=pick(request.stopper, lambda study: study.stopper, "halving"),
        smallest=limits.smallest,
        largest=limits.largest,
        multiple_of=limits.multiple_of,
        train_space=train_space.complete().to_json(),
        scheduler_space=scheduler_space.complete().to_json(),
        prefix=request.study,
        task=card.task,
        objective=task.objective,
        sequence_length=length,
        tokenizer=spec.tokenizer,
        **asdict(spec.selection),
        created_at=datetime.now(timezone.utc),
    )
    check_together(record)
    return ResolvedStudy(
        record=record,
        train_space=train_space,
        scheduler_space=scheduler_space,
        data=spec,
        card=card,
        defaults=defaults,
    )


def on_device(
    study: ResolvedStudy, request: Request, profiles: Sequence[SpeedProfile], say: Say
) -> ResolvedStudy:
    """Return a study as it runs on the device of a request, judged by the clock that is there.

    Raises:
        InputError: no speed profile for a modelled clock, or a stored study of another identity.
    """
    stored, former = study.defaults.stored, study.defaults.former
    device = study.defaults.pick(request.device, lambda each: each.device, "cpu")
    record = replace(study.record, device=device, versions=versions())
    place = here(record, request.threads)
    choice = choose_clock(
        StatedClock(clock=request.clock, profile=request.device_profile),
        StatedClock(clock=former.clock, profile=former.device_profile) if former else None,
        newest_fitting(place, profiles),
    )
    for note in clock_notes(record, choice, place, profiles):
        say(note)
    check_clock(record, choice, profiles, results=request.results)
    record = with_clock(record, choice)
    if stored is not None:
        refuse_other(stored, record)
        record = replace(
            record, created_at=stored.created_at, versions=stored.versions, dataset=stored.dataset
        )
    return replace(study, record=record)
