"""Hugging Face's Trainer with an adaptive batch size, also ``torchrun --nproc-per-node 2 hf_trainer.py``."""

import sys
from pathlib import Path
from typing import Any

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.utils.data import Dataset
from transformers import Trainer, TrainingArguments

from adasearch import Limits
from adasearch.integrations.transformers import AdaptiveBatches


class AdaptiveTrainer(AdaptiveBatches, Trainer):  # type: ignore[misc, unused-ignore]
    """The Trainer whose batch size adapts; mix it into another one in the same way."""


class Digits(Dataset[dict[str, Tensor]]):
    """scikit-learn's digits, named as the Trainer hands them to the model."""

    def __init__(self) -> None:
        images, digits = load_digits(return_X_y=True)
        self.images = torch.tensor(images / 16, dtype=torch.float32)
        self.labels = torch.tensor(digits)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.labels)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """Return one of them."""
        return {"images": self.images[index], "labels": self.labels[index]}


class Classifier(nn.Module):
    """A small network that returns its loss, as models of transformers do."""

    def __init__(self) -> None:
        super().__init__()
        self.network = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))

    def forward(self, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Return the mean loss of a batch."""
        outputs = self.network(images)
        return {"loss": nn.functional.cross_entropy(outputs, labels), "logits": outputs}


def main(folder: Path, processes: int = 1, resume: bool = False, **options: Any) -> AdaptiveTrainer:
    """Train, print the course, and return the Trainer."""
    torch.manual_seed(0)
    model = Classifier()
    arguments = {
        "output_dir": str(folder),
        "num_train_epochs": 6,  # of examples, whatever the sizes; so is max_steps, at the first size
        "per_device_train_batch_size": 32 // processes,
        "lr_scheduler_type": "linear",  # over the same examples
        "data_seed": 0,
        "max_grad_norm": 0.0,
        "logging_strategy": "epoch",
        "save_strategy": "epoch",
        "use_cpu": True,
        "report_to": [],
        "disable_tqdm": True,
        **options,
    }
    trainer = AdaptiveTrainer(
        model=model,
        args=TrainingArguments(**arguments),
        train_dataset=Digits(),
        optimizers=(torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9), None),
        adaptive={
            "scheduler": "adabatch",
            "fields": {"period": 2},
            "limits": Limits(smallest=32, largest=256, multiple_of=processes),
        },
    )
    trainer.train(resume_from_checkpoint=resume)
    return trainer


if __name__ == "__main__":
    import os

    found = main(
        Path(sys.argv[1] if len(sys.argv) > 1 else "results"), int(os.environ.get("WORLD_SIZE", "1"))
    )
    for row in found.controller.history:
        print(
            f"epoch {row.epoch:5.2f}  batch {row.batch_size:3d}  lr {row.lr:.4f}  loss {row.train_loss:.3f}"
        )
