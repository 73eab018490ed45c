"""From what a user asked for to studies with a full identity.

Every setting is resolved in one order: what the user gave, the stored study, the stored constant study of the
same network and data, our default. So the same command always goes on with what is there.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from typing import TypeVar

from adasearch.callbacks import Progress, Say, no_progress
from adasearch.data.load import load_dataset
from adasearch.data.sources.registry import absolute, fetch
from adasearch.data.spec import DataSpec
from adasearch.data.splits import Dataset
from adasearch.environment import versions
from adasearch.errors import InputError
from adasearch.io.text import slug
from adasearch.networks.registry import check_model, check_name
from adasearch.profiles.clock import with_clock
from adasearch.profiles.profile import SpeedProfile, here
from adasearch.records import Limits, StudyRecord
from adasearch.schedulers.registry import BASELINE, scheduler_class
from adasearch.spaces.study_spaces import parse_fixed, scheduler_space_of, train_space_of
from adasearch.store.trials import RESERVED
from adasearch.studies.identity import check_together, refuse_other
from adasearch.studies.naming import study_name
from adasearch.studies.request import Request, ResolvedStudy
from adasearch.studies.spans import interval_examples

__all__ = ["resolve"]

T = TypeVar("T")
Lookup = Callable[[str], StudyRecord | None]
DEFAULT_EPOCHS = 20.0


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
    _check(request)
    if request.download:
        fetch(request.dataset)
    datasets: dict[DataSpec, Dataset] = {}

    def data_of(spec: DataSpec) -> Dataset:
        if spec not in datasets:
            datasets[spec] = load_dataset(spec, progress=progress)
        return datasets[spec]

    said: set[str] = set()

    def say_once(text: str) -> None:
        if text not in said:
            said.add(text)
            say(text)

    resolved = []
    for architecture in dict.fromkeys(request.architectures):
        baseline = [BASELINE] if request.baseline or BASELINE in request.schedulers else []
        for scheduler in dict.fromkeys([*baseline, *(s for s in request.schedulers if s != BASELINE)]):
            resolved.append(
                _resolve_one(request, architecture, scheduler, stored, data_of, say_once, profiles)
            )
    return resolved


def _check(request: Request) -> None:
    for architecture in request.architectures:
        check_name(architecture, request.scale)
    for scheduler in request.schedulers:
        scheduler_class(scheduler)
    adaptive = [name for name in request.schedulers if name != BASELINE]
    if request.space is not None and len(adaptive) != 1:
        raise InputError(
            f"--space needs exactly one scheduler besides constant but got {len(adaptive)}: "
            f"{', '.join(adaptive)}"
        )
    for name in ("subset", "workers", "smallest", "largest"):
        value = getattr(request, name)
        if value is not None and value < 1:
            raise InputError(f"--{name} must be at least 1 but got {value}")
    if request.epochs is not None and not 0 < request.epochs < math.inf:
        raise InputError(f"--epochs must be greater than 0 but got {request.epochs}")
    if request.seed is not None and not 0 <= request.seed < 2**31:
        raise InputError(f"--seed must lie in 0 to 2^31 - 1 but got {request.seed}")
    if request.study is not None and (request.study in RESERVED or slug(request.study) != request.study):
        raise InputError(
            f"--study must be letters, digits, '_', '.' or '-' and not reserved but got {request.study!r}"
        )
    for text in request.fixed:
        parse_fixed(text, adaptive)


def _resolve_one(
    request: Request,
    architecture: str,
    scheduler: str,
    lookup: Lookup,
    data_of: Callable[[DataSpec], Dataset],
    say: Say,
    profiles: Sequence[SpeedProfile],
) -> ResolvedStudy:
    def name_of(which: str) -> str:
        return study_name(architecture, request.scale, which, request.sized_dataset, request.study)

    stored = lookup(name_of(scheduler))
    other = stored or lookup(name_of(BASELINE))

    def pick(given: T | None, name: str, default: T) -> T:
        if given is not None:
            return given
        return default if other is None else getattr(other, name)

    subset = pick(request.subset, "subset", None)
    seed = pick(request.seed, "seed", 0)
    spec = DataSpec(source=absolute(request.dataset), image_size=request.image_size, subset=subset, seed=seed)
    data = data_of(spec)
    n = len(data.train)
    per_example = pick(request.per_example, "per_example", False)
    check_model(
        architecture,
        request.scale,
        classes=data.classes,
        image_size=data.image_size,
        per_example=per_example,
    )
    workers = pick(request.workers, "workers", 1)
    try:
        limits = Limits.default(
            n,
            workers,
            smallest=pick(request.smallest, "smallest", None),
            largest=pick(request.largest, "largest", None),
        )
    except ValueError as error:
        raise InputError(
            f"{error} (the training split has {n} examples, and sizes reach an eighth of it by default; see "
            "--smallest and --largest)"
        ) from error
    if limits.smallest < 2 * workers:
        raise InputError(f"--smallest must be at least 2 x workers = {2 * workers} but got {limits.smallest}")
    train_space = train_space_of(
        architecture,
        scheduler,
        limits,
        given=request.train_space,
        published=request.experiment.train_space(architecture) if request.experiment else None,
        stored=other.train_space if other else None,
        fixed=[parse_fixed(text, request.schedulers) for text in request.fixed],
        say=say,
    )
    scheduler_space = scheduler_space_of(
        scheduler,
        given=request.space,
        published=request.experiment.scheduler_space(scheduler) if request.experiment else None,
        stored=stored.scheduler_space if stored else None,
        fixed=[parse_fixed(text, request.schedulers) for text in request.fixed],
    )
    epochs = None if request.epochs is None else math.ceil(request.epochs * n)
    budget = pick(epochs, "budget", math.ceil(DEFAULT_EPOCHS * n))
    span = None if request.interval is None else interval_examples(request.interval, n)
    interval = pick(span, "interval", min(n, budget))
    if interval > budget:
        raise InputError(f"--interval must be at most the run's {budget} examples but got {interval}")
    record = StudyRecord(
        study=name_of(scheduler),
        architecture=architecture,
        scale=request.scale,
        scheduler=scheduler,
        dataset=request.sized_dataset,
        fingerprint=data.fingerprint,
        subset=subset,
        seed=seed,
        train_examples=n,
        val_examples=len(data.val),
        budget=budget,
        interval=interval,
        evaluate_every=pick(None, "evaluate_every", n),
        workers=workers,
        objectives="val_error,train_seconds",
        clock="measured",
        device=request.device,
        device_profile=None,
        stability_profile=stored.stability_profile if stored else None,
        precision=pick(request.precision, "precision", "float32"),
        compile=pick(request.compile, "compile", False),
        per_example=per_example,
        sampler=pick(request.sampler, "sampler", "tpe"),
        stopper=pick(request.stopper, "stopper", "halving"),
        smallest=limits.smallest,
        largest=limits.largest,
        multiple_of=limits.multiple_of,
        train_space=train_space.complete().to_json(),
        scheduler_space=scheduler_space.complete().to_json(),
        versions=versions(),
        created_at=datetime.now(timezone.utc),
    )
    record = with_clock(
        record,
        other,
        here(record, request.threads),
        profiles,
        clock=request.clock,
        device_profile=request.device_profile,
        say=say,
    )
    check_together(record)
    if stored is not None:
        refuse_other(stored, record)
        record = replace(
            record, created_at=stored.created_at, versions=stored.versions, dataset=stored.dataset
        )
    return ResolvedStudy(
        record=record,
        train_space=train_space,
        scheduler_space=scheduler_space,
        data=spec,
        stored=stored is not None,
    )
