"""One run without Ray, kept in ``<results>/train/``."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime, timezone
from functools import partial
from typing import TYPE_CHECKING

from rich.console import Console

from adasearch.calibration import thresholds
from adasearch.devices import device_name
from adasearch.errors import StoreError
from adasearch.identity import check_device
from adasearch.locks import StudyLocked
from adasearch.modelled import SpeedCurve, modelled
from adasearch.profile_files import ProfileStore
from adasearch.progress import StepDisplay, say
from adasearch.records import IntervalRecord, Params, Status, StudyRecord, TrialRecord
from adasearch.run_options import RunOptions
from adasearch.store import Store
from adasearch.trials import begin_trial, close_trial

if TYPE_CHECKING:
    from adasearch.data import Dataset
    from adasearch.plans import Request
    from adasearch.schedulers import BatchSizeScheduler

__all__ = ["interval_line", "local_device", "run_and_keep", "train_once"]


def local_device() -> str:
    """Return what this process trains on."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def train_once(
    request: "Request", *, results: str, console: Console, options: RunOptions | None = None
) -> TrialRecord:
    """Train one run without Ray, its fields at their defaults or as fixed; keep it in ``<results>/train/``.

    The same run, if it was interrupted, goes on from its last checkpoint.

    Raises:
        InputError: bad input; nothing was written.
    """
    import torch

    from adasearch.clocks import curve_of
    from adasearch.data import load_dataset
    from adasearch.plans import resolve
    from adasearch.profiling import histories_of, with_profile

    options = options or RunOptions()
    options.check()
    store = Store(results)
    store.check_writable()
    speeds = ProfileStore(results).speed()
    with StepDisplay(console) as progress:
        (study,) = resolve(
            replace(request, baseline=False, device=local_device(), threads=torch.get_num_threads()),
            lambda name: None,
            partial(say, console),
            progress,
            speeds,
        )
        check_device(study.record)
        data = load_dataset(study.data, progress=progress)
    study = with_profile(study, store, console, threads=torch.get_num_threads(), options=options)
    record = study.record
    params = {
        **study.train_space.fixed(),
        **study.train_space.first(),
        **study.scheduler_space.fixed(),
        **study.scheduler_space.first(),
    }
    if record.stability_profile is not None:
        runs = histories_of(store, record.stability_profile)
        params |= thresholds(record.scheduler, params, runs)
    with ExitStack() as held:
        trial, intervals = _begin_or_go_on(store, record, params, held)
        if intervals:
            say(console, f"{trial.trial_id} goes on after {intervals[-1].signals.epoch:.2f} epochs")

        def heard(interval: IntervalRecord) -> None:
            say(console, interval_line(interval))

        curve = curve_of(store, record)
        return run_and_keep(trial, record, intervals, None, data, store, options, heard, curve)


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

    from adasearch.checkpoint import Checkpoints
    from adasearch.memory import PeakMemory, default_limit
    from adasearch.schedulers import make_scheduler
    from adasearch.train import TrainConfig, train

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


def _begin_or_go_on(
    store: Store, study: StudyRecord, params: Params, held: ExitStack
) -> tuple[TrialRecord, list[IntervalRecord]]:
    """Return the interrupted trial of this very run with its intervals, or a new one; hold its lock."""
    import torch

    from adasearch.identity import same_study
    from adasearch.versions import versions

    with store.locks.hold("train", wait_seconds=10):  # two runs at a time must not take one number
        former = [
            trial for trial in store.trials("train") if (trial.study, trial.phase) == (study.study, "train")
        ]
        for trial in former:
            stored = store.train_study(trial)
            same = stored is not None and same_study(stored, study)
            same = same and {**params, **trial.params} == dict(params)  # a field may be of a later version
            if trial.status == "running" and same:
                try:
                    held.enter_context(store.locks.hold(_lock(trial)))
                except StudyLocked:
                    continue
                return trial, store.intervals("train").get(trial.trial_id, [])
        number = 1 + max((trial.number for trial in former), default=-1)
        trial = begin_trial(
            study,
            phase="train",
            number=number,
            params=params,
            seed=study.seed,
            versions=versions(torch.get_num_threads(), device_name(study.device)),
            workers=1,
        )
        held.enter_context(store.locks.hold(_lock(trial)))
        store.write_train_study(trial, study)
        store.write_trial(trial)
        return trial, []


def _lock(trial: TrialRecord) -> str:
    return f"train/checkpoints/{trial.trial_id}"


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
