"""A study of a training function of the user's own: what its first steps tell, and what it is then."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timezone

from adasearch.callbacks import Say
from adasearch.choices import Task
from adasearch.data.load import DataCard
from adasearch.data.spec import DataSpec
from adasearch.errors import InputError, few
from adasearch.functions.evaluation import LOSS
from adasearch.functions.rehearsal import FunctionRehearsal, Learnt, rehearse_function
from adasearch.functions.source import digest_of, function_of
from adasearch.records import Limits, StudyRecord, Value
from adasearch.schedulers.registry import BASELINE
from adasearch.spaces.space import Space
from adasearch.spaces.study_spaces import Fixed, SpaceSources, function_space_of
from adasearch.studies.request import Defaults, Request, ResolvedStudy
from adasearch.studies.settings import EPOCHS, limits_of, spans_of

__all__ = ["OWN", "check_code", "check_flags", "function_study", "learn"]

OWN: Task = "own"
"""The task of a training function of the user's own, and what its data are called."""

ANY_SIZE = Limits(smallest=1, largest=2**30)
FOREIGN = {
    "architectures": "--architecture",
    "dataset": "--dataset",
    "image_size": "--image-size",
    "label_column": "--label-column",
    "image_column": "--image-column",
    "config": "--config",
    "split": "--split",
    "weights": "--weights",
    "download": "--download",
    "scale": "--scale",
    "subset": "--subset",
    "precision": "--precision",
    "compile": "--compile",
    "per_example": "--per-example",
    "experiment": "--experiment",
}
"""What a training function decides itself."""


def check_flags(request: Request) -> None:
    """Refuse what does not go together with a training function, or only with one.

    Raises:
        InputError: the first of it.
    """
    if request.train is None:
        if request.objective is not None:
            raise InputError("--objective goes with --train: other tasks have one of their own")
        return
    for name, flag in FOREIGN.items():
        if getattr(request, name) not in (None, (), [], False):
            raise InputError(f"{flag} does not go with --train: the training function decides that itself")
    function_of(request.train)


def check_code(study: StudyRecord, accepted: bool, say: Say) -> StudyRecord:
    """Return a stored study with the code that its function has now.

    Raises:
        InputError: its source changed, and that was not accepted.
    """
    if study.task != OWN:
        return study
    function_of(study.architecture)
    code = digest_of(study.architecture)
    if study.code == code:
        return study
    what = f"{study.study}: the source of {study.architecture} changed since it was searched"
    if not accepted:
        raise InputError(
            f"{what}; where its trials may still be compared give --accept-changed-code, else --study PREFIX"
        )
    say(f"{what}, which is accepted")
    return replace(study, code=code)


def learn(
    request: Request,
    studies: Sequence[tuple[str, Defaults, Space]],
    fixed: Sequence[Fixed],
) -> Learnt:
    """Return what the first steps of a function show; with each scheduler whose study is new, or its code.

    Args:
        request: with the function.
        studies: schedulers with what is stored of them, and their spaces.
        fixed: what the user took out of the search.

    Raises:
        InputError: they fail.
    """
    function = request.train
    assert function is not None
    code = digest_of(function)
    learnt = None
    for scheduler, defaults, space in studies:
        former = defaults.stored
        if former is not None and former.code == code:
            figures = (former.objective,)
            learnt = learnt or Learnt(
                examples=former.train_examples, figures=figures, tests=False, resumes=False
            )
            continue
        if scheduler == BASELINE and len(studies) > 1:  # it measures nothing that others do not
            continue
        train_space, _ = function_space_of(function, ANY_SIZE, _sources(request, defaults), fixed)
        epochs = request.epochs
        if epochs is None:
            stored = defaults.former
            epochs = EPOCHS if stored is None else stored.budget / stored.train_examples
        learnt = rehearse_function(
            FunctionRehearsal(
                function=function,
                params=_first(train_space),
                scheduler=scheduler,
                fields=_first(space),
                epochs=epochs,
                objective=defaults.pick(request.objective, lambda study: study.objective, None),
                seed=defaults.pick(request.seed, lambda study: study.seed, 0),
                workers=defaults.pick(request.workers, lambda study: study.workers, 1),
                device=request.device or "cpu",
                silence_seconds=request.silence_seconds,
            )
        )
    if learnt is None:  # the baseline alone is new
        return learn(request, [each for each in studies if each[0] == BASELINE], fixed)
    return learnt


def _sources(request: Request, defaults: Defaults) -> SpaceSources:
    former = defaults.former
    return SpaceSources(given=request.train_space, stored=former.train_space if former else None)


def _first(space: Space) -> dict[str, Value]:
    """Return the values of a space's first trial by bare name, but for thresholds given as quantiles."""
    start = f"{space.kind}/"
    values = {**space.fixed(), **space.first()}
    return {name.removeprefix(start): value for name, value in values.items() if name.startswith(start)}


def function_study(
    request: Request,
    scheduler: str,
    defaults: Defaults,
    learnt: Learnt,
    scheduler_space: Space,
    fixed: Sequence[Fixed],
    named: Callable[[], str],
    say: Say,
) -> ResolvedStudy:
    """Return the study of a function with all that does not depend on the device that it runs on.

    Raises:
        InputError: the spaces or sizes break a rule, or its code is another and that was not accepted.
    """
    function = request.train
    assert function is not None
    pick = defaults.pick
    workers = pick(request.workers, lambda study: study.workers, 1)
    limits = limits_of(request, defaults, examples=learnt.examples, workers=workers)
    train_space, notes = function_space_of(function, limits, _sources(request, defaults), fixed)
    for note in notes:
        say(note)
    spans = spans_of(request, defaults, examples=learnt.examples)
    seed = pick(request.seed, lambda study: study.seed, 0)
    former = defaults.stored
    record = StudyRecord(
        study=former.study if former else named(),
        architecture=function,
        scale="nano",
        scheduler=scheduler,
        dataset=OWN,
        fingerprint=function,
        subset=None,
        seed=seed,
        train_examples=learnt.examples,
        val_examples=0,
        budget=spans.budget,
        interval=spans.interval,
        evaluate_every=spans.evaluate_every,
        workers=workers,
        objectives="val_error,train_seconds",
        clock="measured",
        device="cpu",
        device_profile=None,
        stability_profile=former.stability_profile if former else None,
        precision="float32",
        sampler=pick(request.sampler, lambda study: study.sampler, "tpe"),
        stopper=pick(request.stopper, lambda study: study.stopper, "halving"),
        smallest=limits.smallest,
        largest=limits.largest,
        multiple_of=limits.multiple_of,
        train_space=train_space.complete().to_json(),
        scheduler_space=scheduler_space.complete().to_json(),
        prefix=request.study,
        task=OWN,
        objective=_objective(request, defaults, learnt),
        code=digest_of(function),
        created_at=datetime.now(timezone.utc),
    )
    card = DataCard(train=learnt.examples, val=0, classes=0, image_size=0, fingerprint=function)
    return ResolvedStudy(
        record=record,
        train_space=train_space,
        scheduler_space=scheduler_space,
        data=DataSpec(source=OWN, seed=seed),
        card=card,
        defaults=defaults,
    )


def _objective(request: Request, defaults: Defaults, learnt: Learnt) -> str:
    """Return which of the figures is minimised.

    Raises:
        InputError: it is not there, or not said.
    """
    wanted = defaults.pick(request.objective, lambda study: study.objective, None)
    figures = [name for name in learnt.figures if not name.endswith("_se")]
    if wanted is not None:
        return wanted
    if len(figures) == 1 or LOSS in figures:
        return figures[0] if len(figures) == 1 else LOSS
    raise InputError(f"evaluate returns {few(figures)}: say which of them is minimised with --objective NAME")
