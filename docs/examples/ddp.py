"""Two processes that share every batch, with gradients accumulated and a checkpoint in mid-epoch.

Run it with ``torchrun --nproc-per-node 2 ddp.py [CHECKPOINT]``; run it again to go on from the checkpoint.
"""

import sys
from pathlib import Path

import torch
from sklearn.datasets import load_digits
from torch import distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, TensorDataset

from adasearch import BatchSizeController, Limits

EPOCHS = 6
SAVE_EVERY = 40  # updates


def main(checkpoint: Path) -> None:
    """Train on scikit-learn's digits."""
    dist.init_process_group("gloo")
    torch.set_num_threads(1)
    images, digits = load_digits(return_X_y=True)
    data = TensorDataset(torch.tensor(images / 16, dtype=torch.float32), torch.tensor(digits))
    torch.manual_seed(0)
    model = DistributedDataParallel(nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10)))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    controller = BatchSizeController(
        model,
        optimizer,
        data,
        "adabatch",
        {"period": 1},
        batch_size=32,  # of both processes together
        limits=Limits(smallest=32, largest=256),
        device_batch=32,  # 256 examples are 2 processes times 4 passes
    )
    loader = DataLoader(data, batch_sampler=controller.sampler)
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        controller.load_state_dict(saved["controller"])
        say(f"going on at step {controller.steps} of epoch {controller.epoch + 1}")

    for epoch in range(controller.epoch, EPOCHS):
        for inputs, labels in controller.batches(loader):
            updated = controller.step(nn.functional.cross_entropy(model(inputs), labels))
            if updated and controller.steps % SAVE_EVERY == 0 and dist.get_rank() == 0:
                states = {
                    "model": model.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "controller": controller.state_dict(),
                }
                torch.save(states, checkpoint)
        lr = optimizer.param_groups[0]["lr"] * controller.decision.lr_scale
        for last in controller.history[-1:]:  # there is none before the first interval's end
            passes = controller.sampler.passes(last.batch_size)
            say(
                f"epoch {epoch + 1}  batch {last.batch_size} in {passes} passes  loss {last.train_loss:.4f}  "
                f"next: {controller.batch_size} at learning rate {lr:.4g}"
            )
    dist.barrier()  # no process leaves while another is still in a collective
    dist.destroy_process_group()


def say(text: str) -> None:
    """Print once, not once per process."""
    if dist.get_rank() == 0:
        print(text, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "ddp.pt"))
