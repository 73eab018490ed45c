"""Hand-made intervals, and the shortest closed loop: a scheduler that meets the same signals for ever."""

from hypothesis import settings

from adasearch.records import Limits, Signals
from adasearch.schedulers import BatchSizeScheduler

WIDE = Limits(smallest=16, largest=2048)
REPEATABLE = settings(deadline=None, derandomize=True, database=None)


def row(
    interval: int = 0,
    *,
    epoch: float | None = None,
    batch_size: int = 32,
    lr_scale: float = 1.0,
    loss: float = 1.0,
    norm: float | None = 1.0,
    variance: float | None = 1.0,
    mean_norm: float | None = None,
    mean_variance: float | None = None,
) -> Signals:
    """One interval of one epoch, unless ``epoch`` says otherwise."""
    return Signals(
        interval=interval,
        epoch=interval + 1.0 if epoch is None else epoch,
        step=100 * (interval + 1),
        examples_seen=100_000 * (interval + 1),
        initial_batch_size=32,
        batch_size=batch_size,
        lr=0.1 * lr_scale,
        lr_scale=lr_scale,
        train_loss=loss,
        grad_norm=norm,
        grad_component_variance=variance,
        mean_grad_norm=mean_norm,
        mean_grad_component_variance=mean_variance,
    )


def run(
    scheduler: BatchSizeScheduler,
    intervals: int,
    *,
    start: int = 32,
    limits: Limits = WIDE,
    epochs_per_interval: float = 1.0,
) -> list[Signals]:
    """Obey the scheduler for some intervals of constant signals; the rows tell the sizes in force."""
    history = [row(epoch=epochs_per_interval, batch_size=start)]
    while len(history) < intervals:
        decision = scheduler.decide(history, limits)
        interval = len(history)
        epoch = (interval + 1) * epochs_per_interval
        history.append(row(interval, epoch=epoch, batch_size=decision.batch_size, lr_scale=decision.lr_scale))
    return history
