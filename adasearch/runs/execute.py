"""A run in this process, kept in the store."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console

from adasearch.callbacks import Say
from adasearch.counts import count, size
from adasearch.data.spec import DataSpec, Selection
from adasearch.errors import InputError, StoreError, traceback_in_user_code
from adasearch.io.progress import StepDisplay
from adasearch.objective import ERROR, brief, is_fraction, named
from adasearch.records import IntervalRecord, StudyRecord, TrialRecord
from adasearch.runs.live_trial import LiveTrial
from adasearch.store.store import Store
from adasearch.training.task import TrialTask, failed

if TYPE_CHECKING:
    from adasearch.schedulers.base import BatchSizeScheduler
    from adasearch.tasks.base import Data

__all__ = ["data_of", "interval_line", "run_and_keep", "unchanged", "with_threads"]


def run_and_keep(
    live: LiveTrial,
    task: TrialTask,
    data: "Data | None",
    store: Store,
    *,
    device: str,
    heard: Callable[[IntervalRecord], bool | None],
    say: Say,
    scheduler: "BatchSizeScheduler | None" = None,
) -> TrialRecord:
    """Train a trial in this process from what is stored of it to its end, and keep what comes of it.

    ``data`` are None for a training function of the user's own. ``heard`` is told of each interval, ``say``
    of what a person should know; ``scheduler`` None is the task's. After Ctrl-C, or where the store cannot be
    written, the trial's row says "running", so that it goes on another time; so it does where ``heard``
    stopped the run before its end by returning False.

    Raises:
        StoreError: the store cannot be written.
    """
    import torch

    from adasearch.functions.train_function import train_function
    from adasearch.training.loop import train_trial

    def on_interval(interval: IntervalRecord) -> bool:
        live.add(interval)
        goes_on = heard(interval) is not False
        if interval.checkpoint_seconds is not None:
            live.write_intervals()
        return goes_on

    try:
        place = torch.device(device)
        if data is None:
            outcome = train_function(task, place, on_interval, scheduler=scheduler, say=say)
        else:
            outcome = train_trial(task, data, place, on_interval, scheduler=scheduler, say=say)
    except KeyboardInterrupt:
        live.write_intervals()
        raise
    except StoreError:  # the trial goes on another time
        raise
    except Exception as error:  # noqa: BLE001 - whatever ends the run is its row's error
        outcome = failed(error)
        if frames := traceback_in_user_code(error):
            say(f"in your own code:\n{frames}")
    if outcome is None:
        live.write_intervals()
        return live.record
    closed = live.close(outcome)
    live.keep(closed)
    store.remove_checkpoints(closed)
    return closed


def interval_line(record: IntervalRecord, objective: str = ERROR, sequence_length: int | None = None) -> str:
    """Return what a person sees of an interval as one line; of sequences in tokens."""
    signals, decision = record.signals, record.decision
    error = ""
    if record.val_error is not None:
        word = named(objective) if is_fraction(objective) else f"val {named(objective)}"
        error = f"  {word} {brief(record.val_error, objective):>6}"
        if (bits := record.metrics.get("bits_per_byte")) is not None:
            error += f" ({bits:.4g} bits a byte)"
    change = (
        ""
        if decision.action == "hold"
        else f"  {decision.action} to {_new_size(decision.batch_size, sequence_length)}: {decision.reason}"
    )
    if sequence_length is None:
        place = f"epoch {signals.epoch:6.2f}  batch {signals.batch_size:5d}"
    else:
        seen = count(signals.examples_seen, sequence_length)
        place = f"tokens {seen:11,}  batch {size(signals.batch_size, sequence_length):>7}"
    return f"{place}  lr {signals.lr:.2e}  loss {signals.train_loss:.3f}{error}{change}"


def _new_size(batch_size: int, sequence_length: int | None) -> str:
    """Return a batch size that was decided on; in sequences, too, which its reason counts."""
    new = size(batch_size, sequence_length)
    return new if sequence_length is None else f"{new} ({batch_size} sequences)"


def unchanged(intervals: Sequence[IntervalRecord]) -> str:
    """Return that a scheduler never changed the batch size, and why it last did not, as one line."""
    reasons = [each.decision.reason for each in intervals if each.decided is not False]
    if not reasons:
        return "no batch size was decided: the run is one interval long (see --interval)"
    times = f"{len(reasons)} decisions" if len(reasons) > 1 else "one decision"
    return f"the batch size never changed, in {times}; the last: {reasons[-1]}"


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


def data_of(study: StudyRecord, console: Console, tell: Say, images: str | None = None) -> DataSpec:
    """Return the data of a study, after a look whether they are the same still; tell what they are.

    Args:
        study: whose data.
        console: shows the steps of reading.
        tell: is told what was understood of them.
        images: where they lie now, if they have moved.

    Raises:
        InputError: they are not there, or others.
    """
    from adasearch.tasks.registry import absolute, card_of

    if study.task == "own":
        if images is not None:
            raise InputError(f"--images is for images that lie in files but {study.study} is of a function")
        return DataSpec(source=study.dataset, seed=study.seed)
    source = _moved(study, images)
    spec = DataSpec(
        source=absolute(source),
        selection=Selection.of(study),
        image_size=study.image_size,
        subset=study.subset,
        seed=study.seed,
        sequence_length=study.sequence_length,
        tokenizer=study.tokenizer,
    )
    try:
        with StepDisplay(console) as progress:
            card = card_of(spec, progress)
    except InputError as error:
        hint = "; where they have moved, give --images PATH" if images is None and ":" in source else ""
        raise InputError(f"{error}{hint}") from error
    for line in card.understood:
        tell(line)
    fingerprint = card.fingerprint
    if fingerprint != study.fingerprint:
        raise InputError(
            f"study {study.study} was searched on data with fingerprint {study.fingerprint}, but "
            f"{source} now has {fingerprint}"
        )
    if (card.train, card.val) != (study.train_examples, study.val_examples):
        raise InputError(
            f"study {study.study} trained on {study.train_examples} and validated on {study.val_examples} "
            f"examples, but of {source} there are now {card.train} and {card.val}"
        )
    return spec


def _moved(study: StudyRecord, images: str | None) -> str:
    """Return a study's source at the place where it lies now."""
    from adasearch.data.sources.registry import KINDS
    from adasearch.data.text.kinds import PLACED

    if images is None:
        return study.source
    kind = study.source.partition(":")[0]
    if kind not in {*KINDS, *PLACED} - {"digits"}:
        raise InputError(
            f"--images is for images that lie in files but {study.study} was searched on {study.source}"
        )
    return f"{kind}:{images}"
