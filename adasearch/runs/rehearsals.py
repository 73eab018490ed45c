"""The first steps of every study whose network or scheduler is not ours, before anything starts."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from adasearch.training.config import TrainConfig

if TYPE_CHECKING:
    from adasearch.studies.request import ResolvedStudy
    from adasearch.training.rehearsal import Rehearsal

__all__ = ["rehearse_studies"]


def rehearse_studies(studies: "Sequence[ResolvedStudy]") -> None:
    """Take the first steps of a trial of each study; of several alike only where one measures more.

    Our own networks with our own schedulers are tested, and left out, but for Muon's.

    Raises:
        InputError: the steps fail; with what to change where that is known.
    """
    from adasearch.schedulers.registry import make_scheduler
    from adasearch.tasks.registry import task_of
    from adasearch.training.rehearsal import OURS, Rehearsal, rehearse

    wanted: list[tuple[Rehearsal, frozenset[str]]] = []
    for study in studies:
        record = study.record
        if record.task == "own":  # what it is was found by its first steps
            continue
        training = study.train_space.first_values()
        ours = record.architecture in OURS and ":" not in record.scheduler
        if ours and training.get("optimizer") != "muon":  # which not every network has matrices for
            continue
        fields = study.scheduler_space.first_values()
        rehearsal = Rehearsal(
            config=TrainConfig.of_values(record, training, record.seed),
            scheduler=record.scheduler,
            fields=fields,
            task=task_of(study.card),
            workers=record.workers,
        )
        wanted.append((rehearsal, make_scheduler(record.scheduler, fields).needs))
    done: list[tuple[Rehearsal, frozenset[str]]] = []
    for rehearsal, needs in sorted(wanted, key=lambda each: -len(each[1])):
        own = ":" in rehearsal.scheduler
        known = (needs <= more and _steps(rehearsal) == _steps(other) for other, more in done)
        if own or not any(known):
            rehearse(rehearsal)
            done.append((rehearsal, needs))


def _steps(rehearsal: "Rehearsal") -> tuple[object, ...]:
    """Return what the first steps depend on beside the scheduler."""
    config = rehearsal.config
    return (
        *(config.architecture, config.scale, config.precision, config.compile, config.per_example),
        *(config.hyperparameters.optimizer, rehearsal.task, rehearsal.workers),
    )
