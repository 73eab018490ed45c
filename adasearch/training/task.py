"""What a trial is told, and how it ended; no torch, since the actors between search and workers have none."""

import traceback
from collections.abc import Mapping
from dataclasses import dataclass

from adasearch.data.spec import DataSpec
from adasearch.errors import one_line, place_in_user_code
from adasearch.records import Cause, Limits, Params, Status, Value
from adasearch.training.config import TrainConfig

__all__ = ["MAX_ERROR", "DivergedError", "FunctionTask", "Outcome", "TrialTask", "failed"]

MAX_ERROR = 400  # characters of an error in a trial's row
MAX_TRACEBACK = 20_000  # characters that are kept of it, from its end


class DivergedError(ArithmeticError):
    """A loss became NaN or infinite; the message says which and when."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionTask:
    """What a training function of the user's own is told beside a run's configuration.

    Args:
        params: of its space, by name.
        epochs: length of the run.
        examples: of its training data, which the study was made with; None in a rehearsal, which finds out.
        objective: what of its evaluation is minimised; None in a rehearsal.
        phase: of the trial: "search", "confirm", "rerun".
        role: of the trial.
        code: digest of its module; None lets any pass.
        silence_seconds: without a sign of it after which it counts as stuck.
    """

    params: Params
    epochs: float
    examples: int | None = None
    objective: str | None = None
    phase: str = "search"
    role: str = "search"
    code: str | None = None
    silence_seconds: float = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialTask:
    """All that is needed to train one trial, in this process or on workers.

    Args:
        trial_id: the trial's.
        config: what to train.
        scheduler: its name, or ``module:Class``.
        scheduler_fields: its hyperparameters.
        limits: the batch sizes that it may choose.
        data: which data, as every node finds them.
        checkpoints: folder or URI of the trial's checkpoints.
        checkpoint_every: intervals between two of them; None for one every 30 seconds, 0 for none.
        stored: intervals of this trial that are known already; training begins at or before their end.
        until: how many intervals there shall be, of a trial that is over before its budget; None for all.
        function: of a training function of the user's own, which ``config.architecture`` names; None else.
    """

    trial_id: str
    config: TrainConfig
    scheduler: str
    scheduler_fields: Mapping[str, Value]
    limits: Limits
    data: DataSpec
    checkpoints: str
    checkpoint_every: int | None = None
    stored: int = 0
    until: int | None = None
    function: FunctionTask | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a trial ended: complete, or failed with an error.

    ``traceback`` is the whole of the error's, where something was raised. ``unwritten`` says why a checkpoint
    could not be written: the search then ends, and the trial stays open. ``outside`` is a reason that has
    nothing to do with the trial, which stays open as well.
    """

    status: Status
    error: str | None = None
    cause: Cause | None = None
    traceback: str | None = None
    peak_memory_bytes: int | None = None
    unwritten: str | None = None
    outside: str | None = None


def failed(error: BaseException) -> Outcome:
    """Return the outcome of a trial that raised an error: one line, with the place in the user's own code.

    >>> failed(DivergedError("train_loss is nan in interval 3 (step 12)")).error
    'train_loss is nan in interval 3 (step 12)'
    """
    if isinstance(error, DivergedError):
        return Outcome(status="failed", error=str(error), cause="diverged")
    line, place = one_line(error), place_in_user_code(error)
    line = line if len(line) <= MAX_ERROR else f"{line[:MAX_ERROR]}..."
    return Outcome(
        status="failed",
        error=line if place is None else f"{line} ({place})",
        cause="raised",
        traceback="".join(traceback.format_exception(error))[-MAX_TRACEBACK:],
    )
