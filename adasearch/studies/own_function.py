"""A study of a training function of the user's own: what its first steps tell, and what it is then."""

import re
from collections.abc import Sequence
from dataclasses import replace

from adasearch.callbacks import Say
from adasearch.choices import Task
from adasearch.data.cards import DataCard
from adasearch.data.spec import DataSpec
from adasearch.errors import InputError, few
from adasearch.functions.evaluation import LOSS
from adasearch.functions.rehearsal import FunctionRehearsal, Learnt, rehearse_function
from adasearch.functions.source import digest_of, function_of
from adasearch.records import Limits, StudyRecord
from adasearch.schedulers.registry import BASELINE
from adasearch.spaces.space import Space
from adasearch.spaces.study_spaces import function_space_of
from adasearch.studies.request import Defaults, Request, ResolvedStudy
from adasearch.studies.settings import EPOCHS
from adasearch.studies.wanted import Wanted, assembled

__all__ = ["OWN", "check_code", "check_flags", "function_studies"]

OWN: Task = "own"
"""The task of a training function of the user's own, and what its data are called."""

LARGE = frozenset({"accuracy", "acc", "iou", "miou", "f1", "auc", "auroc", "bleu", "psnr", "ssim", "reward"})
"""Last words of the names of figures that nobody minimises."""

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


def function_studies(wanted: Sequence[Wanted], baseline: StudyRecord | None, say: Say) -> list[ResolvedStudy]:
    """Return the studies of a function, whose first steps are tried for it, as they are on any device.

    ``baseline`` is what is stored of the one that all are compared with, whether it is wanted or not.

    Raises:
        InputError: its first steps fail, its code is another and that was not accepted, or the spaces or
            sizes break a rule.
    """
    stored = [baseline, *(each.defaults.stored for each in wanted)]
    for study in {each.study: each for each in stored if each is not None}.values():
        check_code(study, wanted[0].request.accept_changed_code, say)
    learnt = _learn([(each, each.scheduler_space()) for each in wanted])
    return [_study(each, learnt, say) for each in wanted]


def _learn(studies: Sequence[tuple[Wanted, Space]]) -> Learnt:
    """Return what the first steps of a function show; with each scheduler whose study is new, or its code."""
    learnt = None
    for wanted, space in studies:
        request, defaults, function = wanted.request, wanted.defaults, wanted.network
        former = defaults.stored
        if former is not None and former.code == digest_of(function):
            figures = (former.objective,)
            learnt = learnt or Learnt(
                examples=former.train_examples, figures=figures, tests=False, resumes=False
            )
            continue
        if wanted.scheduler == BASELINE and len(studies) > 1:  # it measures nothing that others do not
            continue
        train_space, _ = function_space_of(function, ANY_SIZE, wanted.train_sources, wanted.fixed)
        epochs = request.epochs
        if epochs is None:
            stored = defaults.former
            epochs = EPOCHS if stored is None else stored.budget / stored.train_examples
        learnt = rehearse_function(
            FunctionRehearsal(
                function=function,
                params=train_space.first_values(),
                scheduler=wanted.scheduler,
                fields=space.first_values(),
                epochs=epochs,
                objective=defaults.pick(request.objective, lambda study: study.objective, None),
                seed=defaults.pick(request.seed, lambda study: study.seed, 0),
                workers=defaults.pick(request.workers, lambda study: study.workers, 1),
                device=request.device or "cpu",
                silence_seconds=request.silence_seconds,
            )
        )
    if learnt is None:  # the baseline alone is new
        return _learn([each for each in studies if each[0].scheduler == BASELINE])
    return learnt


def _study(wanted: Wanted, learnt: Learnt, say: Say) -> ResolvedStudy:
    request, defaults, function = wanted.request, wanted.defaults, wanted.network
    card = DataCard(train=learnt.examples, val=0, classes=0, image_size=0, fingerprint=function, task=OWN)
    study = assembled(
        wanted,
        DataSpec(source=OWN, seed=defaults.pick(request.seed, lambda study: study.seed, 0)),
        card,
        lambda limits, _: function_space_of(function, limits, wanted.train_sources, wanted.fixed),
        say,
    )
    objective, code = _objective(request, defaults, learnt), digest_of(function)
    return replace(study, record=replace(study.record, dataset=OWN, objective=objective, code=code))


def _objective(request: Request, defaults: Defaults, learnt: Learnt) -> str:
    """Return which of the figures is minimised.

    Raises:
        InputError: it is not there, or not said, or by its name one that is to be large.
    """
    stored = defaults.pick(None, lambda study: study.objective, None)
    wanted = stored if request.objective is None else request.objective
    figures = [name for name in learnt.figures if not name.endswith("_se")]
    if wanted is None and (len(figures) == 1 or LOSS in figures):
        wanted = figures[0] if len(figures) == 1 else LOSS
    if wanted is not None and wanted != stored and re.split("[^a-z0-9]+", wanted.lower())[-1] in LARGE:
        raise InputError(
            f"the objective is minimised, and {wanted!r} is to be large: have evaluate return an error or a "
            f"loss, such as 1 - {wanted}, and name it otherwise"
        )
    if wanted is not None:
        return wanted
    raise InputError(f"evaluate returns {few(figures)}: say which of them is minimised with --objective NAME")
