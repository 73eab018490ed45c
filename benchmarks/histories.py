"""Made-up intervals, for decisions to be timed on."""

from adasearch.records import Limits, Signals

__all__ = ["INITIAL", "LIMITS", "row_of"]

INITIAL = 16
LIMITS = Limits(smallest=INITIAL, largest=4096)


def row_of(index: int, batch_size: int, lr_scale: float = 1.0) -> Signals:
    """Return an interval of an epoch in which everything was measured."""
    wave = 1 + (index * 7 % 11) / 10
    return Signals(
        interval=index,
        epoch=index + 1.0,
        step=100 * (index + 1),
        examples_seen=3200 * (index + 1),
        initial_batch_size=INITIAL,
        batch_size=batch_size,
        lr=0.1,
        lr_scale=lr_scale,
        train_loss=wave / (index + 1),
        val_loss=wave / (index + 1),
        grad_norm=wave,
        grad_component_variance=wave,
        mean_grad_norm=wave,
        mean_grad_component_variance=wave,
        grad_noise=50 * wave,
        grad_sq_norm=wave,
        noise_count=8,
        batch_grad_sq_norm=wave,
        half_cosine=0.2,
        inner_product_variance=wave,
    )
