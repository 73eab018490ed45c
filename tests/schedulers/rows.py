"""Hand-made intervals, and the shortest closed loop: a scheduler that meets the same signals for ever."""

from collections.abc import Callable, Mapping
from typing import Any

from hypothesis import settings

from adasearch.records import Limits, Signals
from adasearch.schedulers import BatchSizeScheduler

WIDE = Limits(smallest=16, largest=2048)
REPEATABLE = settings(deadline=None, derandomize=True, database=None)


def row(
    interval: int = 0,
    *,
    epoch: float | None = None,
    examples: int | None = None,
    initial: int = 32,
    batch_size: int = 32,
    lr: float = 0.1,
    lr_scale: float = 1.0,
    loss: float = 1.0,
    norm: float | None = 1.0,
    variance: float | None = 1.0,
    mean_norm: float | None = None,
    mean_variance: float | None = None,
    val_loss: float | None = None,
    noise: float | None = None,
    square: float | None = None,
    count: int = 0,
    batch_square: float | None = None,
    cosine: float | None = None,
    inner_variance: float | None = None,
    divided_noise: float | None = None,
    divided_square: float | None = None,
) -> Signals:
    """One interval of one epoch, unless ``epoch`` says otherwise."""
    return Signals(
        interval=interval,
        epoch=interval + 1.0 if epoch is None else epoch,
        step=100 * (interval + 1),
        examples_seen=100_000 * (interval + 1) if examples is None else examples,
        initial_batch_size=initial,
        batch_size=batch_size,
        lr=lr * lr_scale,
        lr_scale=lr_scale,
        train_loss=loss,
        grad_norm=norm,
        grad_component_variance=variance,
        mean_grad_norm=mean_norm,
        mean_grad_component_variance=mean_variance,
        val_loss=val_loss,
        grad_noise=noise,
        grad_sq_norm=square,
        noise_count=count,
        batch_grad_sq_norm=batch_square,
        half_cosine=cosine,
        inner_product_variance=inner_variance,
        preconditioned_noise=divided_noise,
        preconditioned_sq_norm=divided_square,
    )


def quiet(batch_size: int) -> Mapping[str, Any]:
    """Signals that no size changes: those that :func:`row` gives by itself."""
    return {}


def run(
    scheduler: BatchSizeScheduler,
    intervals: int,
    *,
    start: int = 32,
    limits: Limits = WIDE,
    epochs_per_interval: float = 1.0,
    signals: Callable[[int], Mapping[str, Any]] = quiet,
) -> list[Signals]:
    """Obey the scheduler for some intervals; the rows tell the sizes in force.

    ``signals`` gives the arguments of :func:`row` at a batch size: what growth does to the signals.
    """
    size, lr_scale = start, 1.0
    history: list[Signals] = []
    for interval in range(intervals):
        epoch = (interval + 1) * epochs_per_interval
        fields = {"initial": start, **signals(size)}
        history.append(row(interval, epoch=epoch, batch_size=size, lr_scale=lr_scale, **fields))
        decision = scheduler.decide(history, limits)
        size, lr_scale = decision.batch_size, decision.lr_scale
    return history
