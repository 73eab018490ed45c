"""A run in this process, kept in the store."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from rich.console import Console

from adasearch.data.spec import DataSpec
from adasearch.errors import InputError, StoreError
from adasearch.io.progress import StepDisplay
from adasearch.profiles.modelled_time import SpeedCurve, modelled
from adasearch.records import IntervalRecord, Status, StudyRecord, TrialRecord
from adasearch.runtime import RunOptions
from adasearch.store.store import Store
from adasearch.store.trials import close_trial

if TYPE_CHECKING:
    from adasearch.data.splits import Dataset
    from adasearch.schedulers.base import BatchSizeScheduler

__all__ = ["data_of", "interval_line", "run_and_keep", "with_threads"]


def run_and_keep(
    trial: TrialRecord,
    study: StudyRecord,
    intervals: list[IntervalRecord],
    scheduler: "BatchSizeScheduler | None",
    data: "Dataset",
    store: Store,
    options: RunOptions,
    heard: Callable[[IntervalRecord], None],
    curve: SpeedCurve | None = None,
    *,
    evaluate_at: tuple[int, ...] = (),
    test: bool = False,
) -> TrialRecord:
    """Train a trial in this process from what is stored of it to its end, and keep what comes of it.

    ``intervals`` are the stored ones, and are added to; ``scheduler`` None is the study's. ``heard`` is told
    of each interval; ``curve`` gives modelled seconds; ``evaluate_at`` and ``test`` are the run's own.
    After Ctrl-C, or where the store cannot be written, the trial's row says "running", so that it goes on
    another time.

    Raises:
        StoreError: the store cannot be written.
    """
    import torch

    from adasearch.schedulers.registry import make_scheduler
    from adasearch.training.checkpoint import Checkpoints
    from adasearch.training.config import TrainConfig
    from adasearch.training.loop import train
    from adasearch.training.memory import PeakMemory, default_limit

    config = TrainConfig.of(
        study,
        trial,
        device_batch=options.device_batch,
        memory_limit=options.memory_limit or default_limit(),
        evaluate_at=evaluate_at,
        test=test,
    )
    checkpoints = Checkpoints(
        store.checkpoint_folder(trial), every=options.checkpoint_every, stored=len(intervals)
    )
    memory = PeakMemory(torch.device(study.device))
    status: Status = "complete"
    error: str | None = None
    try:
        scheduler = scheduler or make_scheduler(study.scheduler, trial.fields_of("scheduler"))
        for interval in train(
            config, scheduler, study.limits, data, device=study.device, checkpoints=checkpoints
        ):
            del intervals[interval.signals.interval :]
            former = intervals[-1] if intervals else None
            intervals.append(interval if curve is None else modelled(interval, former, curve))
            heard(interval)
            if interval.checkpoint_seconds is not None:
                store.write_intervals(trial, intervals)
    except KeyboardInterrupt:
        if intervals:
            store.write_intervals(trial, intervals)
        raise
    except StoreError:  # the trial goes on another time
        raise
    except Exception as failure:  # whatever ends the run is its row's error
        status, error = "failed", f"{type(failure).__name__}: {failure}"
    trial = close_trial(
        trial,
        intervals,
        status=status,
        error=error,
        ended_at=datetime.now(timezone.utc),
        peak_memory_bytes=memory.read(),
    )
    if intervals:
        store.write_intervals(trial, intervals)
    store.write_trial(trial)
    store.remove_checkpoints(trial)
    return trial


def interval_line(record: IntervalRecord) -> str:
    """Return what a person sees of an interval as one line."""
    signals, decision = record.signals, record.decision
    error = "" if record.val_error is None else f"  error {record.val_error:6.1%}"
    change = (
        ""
        if decision.action == "hold"
        else f"  {decision.action} to {decision.batch_size}: {decision.reason}"
    )
    return (
        f"epoch {signals.epoch:6.2f}  batch {signals.batch_size:5d}  lr {signals.lr:.2e}  "
        f"loss {signals.train_loss:.3f}{error}{change}"
    )


@contextmanager
def with_threads(count: int) -> Iterator[None]:
    """Let this process compute with so many threads, as a worker of a search does."""
    import torch

    former = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(former)


def data_of(study: StudyRecord, console: Console) -> DataSpec:
    """Return the data of a study, after a look whether they are the same still."""
    from adasearch.data.load import card_of
    from adasearch.data.sources.registry import absolute

    spec = DataSpec(
        source=absolute(study.source), image_size=study.image_size, subset=study.subset, seed=study.seed
    )
    with StepDisplay(console) as progress:
        fingerprint = card_of(spec, progress).fingerprint
    if fingerprint != study.fingerprint:
        raise InputError(
            f"study {study.study} was searched on data with fingerprint {study.fingerprint}, but "
            f"{study.source} now has {fingerprint}"
        )
    return spec
