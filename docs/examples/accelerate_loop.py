"""A loop with accelerate: run it with ``accelerate launch --num-processes 2 accelerate_loop.py``.

``prepare`` gets model and optimiser, not the loader: it would share the batches out once more.
"""

import torch
from accelerate import Accelerator
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from adasearch import BatchSizeController, Limits

EPOCHS = 6


def main() -> tuple[BatchSizeController, nn.Module]:
    """Train on scikit-learn's digits; return the controller and the network."""
    accelerator = Accelerator()
    images, digits = load_digits(return_X_y=True)
    data = TensorDataset(torch.tensor(images / 16, dtype=torch.float32), torch.tensor(digits))
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
    model, optimizer = accelerator.prepare(
        network, torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9)
    )
    controller = BatchSizeController(  # behind prepare, which wraps the model
        model,
        optimizer,
        data,
        "adabatch",
        {"period": 2},
        batch_size=32,  # of all processes together
        limits=Limits(smallest=32, largest=256),
        device_batch=32,  # in place of gradient_accumulation_steps
    )
    loader = DataLoader(data, batch_sampler=controller.sampler)  # not through prepare
    for epoch in range(controller.epoch, EPOCHS):
        for inputs, labels in controller.batches(loader):
            inputs, labels = inputs.to(accelerator.device), labels.to(accelerator.device)
            with accelerator.autocast():
                loss = nn.functional.cross_entropy(model(inputs), labels)
            controller.step(loss)  # in place of accelerator.backward and optimizer.step
        for last in controller.history[-1:]:
            accelerator.print(f"epoch {epoch + 1}  batch {last.batch_size:3d}  loss {last.train_loss:.4f}")
    return controller, network


if __name__ == "__main__":
    main()
    Accelerator().end_training()
