"""Ray Train's own loop: two workers share every batch, and go on from Ray's checkpoint."""

import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from ray import train
from ray.train import Checkpoint, Result, RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer, prepare_data_loader, prepare_model
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from adasearch import BatchSizeController, Limits


def train_loop(config: dict[str, Any]) -> None:
    """Train on scikit-learn's digits; each worker runs this."""
    images, digits = load_digits(return_X_y=True)
    data = TensorDataset(torch.tensor(images / 16, dtype=torch.float32), torch.tensor(digits))
    torch.manual_seed(0)
    model = prepare_model(nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10)))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    controller = BatchSizeController(  # behind prepare_model, which wraps the model
        model,
        optimizer,
        data,
        "adabatch",
        {"period": 2},
        batch_size=32,  # of both workers together
        limits=Limits(smallest=32, largest=256),
    )
    loader = prepare_data_loader(
        DataLoader(data, batch_sampler=controller.sampler),
        add_dist_sampler=False,  # with True Ray Train drops the batch sampler, and controller.batches refuses
    )
    if (checkpoint := train.get_checkpoint()) is not None:
        with checkpoint.as_directory() as folder:
            saved = torch.load(Path(folder, "saved.pt"), weights_only=True)
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        controller.load_state_dict(saved["controller"])

    for _ in range(controller.epoch, config["epochs"]):
        for inputs, labels in controller.batches(loader):
            controller.step(nn.functional.cross_entropy(model(inputs), labels))
        last = controller.history[-1]
        metrics = {"epoch": controller.epoch, "batch_size": last.batch_size, "loss": last.train_loss}
        with tempfile.TemporaryDirectory() as folder:
            states = {
                "model": model.state_dict(),
                "optimizer": optimizer.state_dict(),
                "controller": controller.state_dict(),
            }
            torch.save(states, Path(folder, "saved.pt"))
            first = train.get_context().get_world_rank() == 0
            train.report(metrics, checkpoint=Checkpoint.from_directory(folder) if first else None)


def main(results: Path, epochs: int = 6) -> Result:
    """Train in two workers, and print the course."""
    trainer = TorchTrainer(
        train_loop,
        train_loop_config={"epochs": epochs},
        scaling_config=ScalingConfig(num_workers=2),
        run_config=RunConfig(name="digits", storage_path=str(results.resolve())),
    )
    result = trainer.fit()
    for _, metrics in result.best_checkpoints:
        print(f"epoch {metrics['epoch']}  batch {metrics['batch_size']:3d}  loss {metrics['loss']:.4f}")
    return result


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "results"))
