"""A callback that gives a Lightning trainer an adaptive batch size (automatic optimisation, one process)."""

from collections.abc import Iterator
from typing import Any

import lightning
import torch
from lightning import LightningModule, Trainer
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR
from torch.utils.data import DataLoader, TensorDataset

from adasearch import BatchSizeController

EPOCHS = 8


class AdaptiveBatchSize(lightning.Callback):
    """Tell a controller what the trainer does; the controller's state lies in the trainer's checkpoints.

    Give the trainer's loader ``batch_sampler=controller.sampler``, :class:`Unsized` around it, and the
    controller ``whole_batches=True``: Lightning makes every item of the loader an update.
    Train in float32 or bfloat16: the callback does not hear of updates that the scaler of float16 skips.
    """

    def __init__(self, controller: BatchSizeController, optimizer: Optimizer) -> None:
        self.controller = controller
        # Right after the update, before Lightning steps the learning-rate curve.
        optimizer.register_step_post_hook(lambda *_: controller.after_update())

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Learn the size of the batch."""
        self.controller.begin()

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        """Learn its loss."""
        self.controller.record(loss)

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer
    ) -> None:
        """Measure the gradient and couple the learning rate."""
        self.controller.measure()
        self.controller.before_update()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin a new permutation of the examples."""
        self.controller.sampler.end_epoch()

    def state_dict(self) -> dict[str, Any]:
        """Return the controller's state for the trainer's checkpoint."""
        return {"controller": self.controller.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take it back."""
        self.controller.load_state_dict(state_dict["controller"])


class Unsized:
    """A loader without its length, which Lightning would ask for once and end every epoch by."""

    def __init__(self, loader: DataLoader[Any]) -> None:
        self.loader = loader

    def __iter__(self) -> Iterator[Any]:
        """Hand out what the loader does."""
        return iter(self.loader)


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


def main() -> BatchSizeController:
    """Train, print the course, and return the controller."""
    images, digits = load_digits(return_X_y=True)
    data = TensorDataset(torch.tensor(images / 16, dtype=torch.float32), torch.tensor(digits))
    torch.manual_seed(0)
    model = Digits()
    controller = BatchSizeController(
        model, model.sgd, data, "adabatch", {"period": 2}, batch_size=32, whole_batches=True
    )
    loader = DataLoader(data, batch_sampler=controller.sampler)
    trainer = Trainer(
        max_epochs=EPOCHS,
        accelerator="cpu",
        callbacks=[AdaptiveBatchSize(controller, model.sgd)],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(model, Unsized(loader))
    for row in controller.history:
        print(
            f"epoch {row.epoch:5.2f}  batch {row.batch_size:3d}  lr {row.lr:.4f}  loss {row.train_loss:.3f}"
        )
    return controller


if __name__ == "__main__":
    main()
