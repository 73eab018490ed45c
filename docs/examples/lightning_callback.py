"""A callback that gives a Lightning trainer an adaptive batch size, in one process or under DDP."""

from collections.abc import Iterator
from typing import Any

import lightning
import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR
from torch.utils.data import DataLoader, TensorDataset

from adasearch import BatchSizeController, Limits

EPOCHS = 8


class AdaptiveBatchSize(lightning.Callback):
    """Tell a controller what the trainer does; the controller's state lies in the trainer's checkpoints.

    Lightning makes every item of the loader an update, so the batches come whole, and it wraps the model when
    the fit starts, so the controller is built then: give ``trainer.fit`` this callback's :meth:`loader`.

    Args:
        data: the data set.
        options: of the controller; under DDP the sizes must be multiples of the number of processes.
    """

    controller: BatchSizeController

    def __init__(self, data: TensorDataset, **options: Any) -> None:
        self.data = data
        self._options = options
        self._saved: Any = None
        self._updated = True

    def loader(self, **options: Any) -> "Batches":
        """Return the loader for ``trainer.fit``; ``options`` are of the ``DataLoader``."""
        return Batches(self, options)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Build the controller around what the strategy made of the model."""
        if trainer.accumulate_grad_batches != 1:
            raise ValueError("leave accumulate_grad_batches out: the controller makes the batches as large")
        if not isinstance(trainer.strategy, (SingleDeviceStrategy, DDPStrategy)):
            raise ValueError('an adaptive batch size needs one device, or Trainer(strategy="ddp")')
        model, (optimizer,) = trainer.strategy.model, trainer.optimizers
        assert model is not None
        self.controller = BatchSizeController(
            model, optimizer, self.data, whole_batches=True, **self._options
        )
        if self._saved is not None:
            self.controller.load_state_dict(self._saved)
        # Right after the update, before Lightning steps the learning-rate curve.
        optimizer.register_step_post_hook(self._after_update)

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Learn the size of the batch."""
        self.controller.begin()
        self._updated = False

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        """Learn its loss, which is scaled by now in float16."""
        scaler = getattr(trainer.precision_plugin, "scaler", None)
        self.controller.record(loss if scaler is None else loss / scaler.get_scale())

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer
    ) -> None:
        """Measure the gradient, which is unscaled by now, and couple the learning rate."""
        self.controller.measure()
        self.controller.before_update()

    def _after_update(self, *_: object) -> None:
        self._updated = True
        self.controller.after_update()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count a batch whose update the scaler of float16 skipped."""
        if not self._updated:
            self.controller.after_update(updated=False)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin a new permutation of the examples."""
        self.controller.sampler.end_epoch()

    def state_dict(self) -> dict[str, Any]:
        """Return the controller's state for the trainer's checkpoint."""
        return {"controller": self.controller.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep it until the controller is built."""
        self._saved = state_dict["controller"]


class Batches:
    """A loader without its length, which Lightning would ask for once and end every epoch by.

    It is no ``DataLoader``, of which Lightning would replace the sampler. Its place is in the controller's
    state.
    """

    def __init__(self, callback: AdaptiveBatchSize, options: dict[str, Any]) -> None:
        self.callback, self.options = callback, options

    def __iter__(self) -> Iterator[Any]:
        """Hand out the rest of the epoch."""
        sampler = self.callback.controller.sampler
        return iter(DataLoader(self.callback.data, batch_sampler=sampler, **self.options))

    def state_dict(self) -> dict[str, Any]:
        """Tell Lightning that an epoch may go on from its middle."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Leave it to the controller."""


class Digits(LightningModule):
    """A small network for scikit-learn's digits."""

    def __init__(self) -> None:
        super().__init__()
        self.network = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
        self.sgd = torch.optim.SGD(self.parameters(), lr=0.05, momentum=0.9)

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        """Return the mean loss of a batch."""
        inputs, labels = batch
        loss: Tensor = nn.functional.cross_entropy(self.network(inputs), labels)
        return loss

    def configure_optimizers(self) -> Any:
        """Return the optimiser that the controller knows, and its curve."""
        return [self.sgd], [CosineAnnealingLR(self.sgd, T_max=EPOCHS)]


def main(devices: int = 1, *, epochs: int = EPOCHS, checkpoint: str | None = None, **options: Any) -> Any:
    """Train, print the course, and return callback and model; ``options`` are of the ``Trainer``."""
    images, digits = load_digits(return_X_y=True)
    data = TensorDataset(torch.tensor(images / 16, dtype=torch.float32), torch.tensor(digits))
    torch.manual_seed(0)
    model = Digits()
    adaptive = AdaptiveBatchSize(
        data,
        scheduler="adabatch",
        fields={"period": 2},
        batch_size=32,  # of all processes together
        limits=Limits(smallest=16, largest=224, multiple_of=devices),
    )
    trainer = Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        devices=devices,
        strategy="ddp" if devices > 1 else "auto",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **{"enable_checkpointing": False, **options, "callbacks": [adaptive, *options.get("callbacks", ())]},
    )
    trainer.fit(model, adaptive.loader(), ckpt_path=checkpoint)
    for row in adaptive.controller.history:
        print(
            f"epoch {row.epoch:5.2f}  batch {row.batch_size:3d}  lr {row.lr:.4f}  loss {row.train_loss:.3f}"
        )
    return adaptive, model


if __name__ == "__main__":
    main()
