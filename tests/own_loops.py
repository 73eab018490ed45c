"""Training functions as users write them, right and wrong."""

import random
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import CosineAnnealingLR
from torch.utils.data import DataLoader, TensorDataset

from adasearch import Trial

EXAMPLES = 200


def two_clouds(examples: int = EXAMPLES, seed: int = 0) -> TensorDataset:
    draw = torch.Generator().manual_seed(seed)
    labels = torch.arange(examples) % 2
    return TensorDataset(torch.randn(examples, 8, generator=draw) + 0.7 * labels[:, None], labels)


def network(dropout: float) -> nn.Module:
    layers = nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(dropout), nn.Linear(16, 2)
    return nn.Sequential(*layers)


class Parts:
    """The beginning of every function below."""

    def __init__(self, trial: Trial, examples: int = EXAMPLES, figures: str = "loss error") -> None:
        self.data = two_clouds(examples)
        self.model = trial.prepare(network(float(trial.value("dropout", 0.1))))
        self.optimizer = AdamW(self.model.parameters(), lr=trial.lr)
        self.held_out = two_clouds(100, seed=1).tensors
        self.figures = figures.split()
        self.controller = trial.controller(self.model, self.optimizer, self.data, evaluate=self.evaluate)
        self.loader = DataLoader(self.data, batch_sampler=self.controller.sampler)

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        self.model.eval()
        output = self.model(self.held_out[0])
        loss = nn.functional.cross_entropy(output, self.held_out[1])
        wrong = output.argmax(dim=1) != self.held_out[1]
        found = {"loss": loss.item(), "error": wrong.double().mean().item(), "margin": output.std().item()}
        if self.figures == ["not a number"]:
            return {"loss": float("nan")}
        return {name: found[name] for name in self.figures}

    def loss(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        inputs, labels = batch
        return nn.functional.cross_entropy(self.model(inputs), labels)


def plain(trial: Trial) -> None:
    parts = Parts(trial)
    for batch in trial.batches(parts.loader):
        parts.controller.step(parts.loss(batch))


def resumes(trial: Trial) -> None:
    """Draws random numbers of all kinds, and has a schedule; some batches are left out."""
    parts = Parts(trial)
    controller = parts.controller
    curve = controller.curve(lambda optimizer, steps: CosineAnnealingLR(optimizer, steps))
    trial.checkpoint(model=parts.model, optimizer=parts.optimizer, curve=curve)
    for batch in trial.batches(parts.loader):
        if random.random() < 0.1 and trial.world_size == 1:
            continue
        inputs, labels = batch
        inputs = inputs + 0.1 * torch.from_numpy(np.random.randn(*inputs.shape)).float()
        controller.step(parts.loss((inputs, labels)))


def epochs(trial: Trial) -> None:
    """A loop over epochs, which are left early."""
    parts = Parts(trial)
    for _ in range(1000):
        for number, batch in enumerate(trial.batches(parts.loader)):
            parts.controller.step(parts.loss(batch))
            if number == 3:
                break


def with_test(trial: Trial) -> None:
    data = two_clouds()
    model = trial.prepare(network(0.0))
    optimizer = AdamW(model.parameters(), lr=trial.lr)
    controller = trial.controller(
        model, optimizer, data, evaluate=lambda: 0.5, test=lambda: {"loss": 0.25, "other": 1.0}
    )
    for inputs, labels in trial.batches(DataLoader(data, batch_sampler=controller.sampler)):
        controller.step(nn.functional.cross_entropy(model(inputs), labels))


def one_by_one(trial: Trial) -> None:
    """Asks for its batches itself."""
    parts = Parts(trial)
    batches = trial.batches(parts.loader)
    while True:
        parts.controller.step(parts.loss(next(batches)))


def leaves_gradients_off(trial: Trial) -> None:
    def evaluate() -> float:
        torch.set_grad_enabled(False)
        return 0.5

    data = two_clouds()
    model = trial.prepare(network(0.0))
    optimizer = AdamW(model.parameters(), lr=trial.lr)
    controller = trial.controller(model, optimizer, data, evaluate=evaluate)
    for inputs, labels in trial.batches(DataLoader(data, batch_sampler=controller.sampler)):
        controller.step(nn.functional.cross_entropy(model(inputs), labels))


# Wrong ones


def updates_itself(trial: Trial) -> None:
    parts = Parts(trial)
    for batch in trial.batches(parts.loader):
        parts.optimizer.zero_grad()
        parts.loss(batch).backward()
        parts.optimizer.step()


def leaves_out_what_is_not_finite(trial: Trial) -> None:
    """Whose loss is not, after a while."""
    parts = Parts(trial)
    for number, batch in enumerate(trial.batches(parts.loader)):
        loss = parts.loss(batch) / (number < 9 or trial.phase == "rehearsal")
        if loss.isfinite():
            parts.controller.step(loss)


def overflows(trial: Trial) -> None:
    data = two_clouds()
    model = trial.prepare(network(0.0))
    optimizer = AdamW(model.parameters(), lr=trial.lr)
    scaler = torch.amp.GradScaler("cpu")
    controller = trial.controller(model, optimizer, data, evaluate=lambda: 0.5, scaler=scaler)
    for inputs, labels in trial.batches(DataLoader(data, batch_sampler=controller.sampler)):
        loss = nn.functional.cross_entropy(model(inputs), labels)
        controller.step(loss / (controller.steps < 9))


def leaves_out_parts(trial: Trial) -> None:
    """Takes parts of a batch for an epoch's rest."""
    data = two_clouds()
    model = trial.prepare(network(0.0))
    optimizer = AdamW(model.parameters(), lr=trial.lr)
    controller = trial.controller(model, optimizer, data, evaluate=lambda: 0.5, device_batch=7)
    for inputs, labels in trial.batches(DataLoader(data, batch_sampler=controller.sampler)):
        if len(inputs) > 5:
            controller.step(nn.functional.cross_entropy(model(inputs), labels))


def enumerates(trial: Trial) -> None:
    parts = Parts(trial)
    for _, batch in trial.batches(enumerate(parts.loader)):
        parts.controller.step(parts.loss(batch))


def epochs_around(trial: Trial) -> None:
    """Steps a schedule after each epoch, of which there is none."""
    parts = Parts(trial)
    schedule = CosineAnnealingLR(parts.optimizer, 3)
    for _ in range(3):
        for batch in trial.batches(parts.loader):
            parts.controller.step(parts.loss(batch))
        schedule.step()


def drops_updates(trial: Trial) -> None:
    """Accumulates as if nobody else did."""
    parts = Parts(trial)
    for number, batch in enumerate(trial.batches(parts.loader)):
        if parts.controller.backward(parts.loss(batch)) and number % 4 == 3:
            parts.controller.update()


class Once:
    """A loader that cannot be begun anew."""

    def __init__(self, loader: Iterable[Any]) -> None:
        self.items = iter(loader)

    def __iter__(self) -> "Once":
        return self

    def __next__(self) -> Any:
        return next(self.items)


def gone_over_once(trial: Trial) -> None:
    parts = Parts(trial)
    for batch in trial.batches(Once(parts.loader)):
        parts.controller.step(parts.loss(batch))


def never_reports(trial: Trial) -> None:
    del trial


def no_loop(trial: Trial) -> None:
    Parts(trial)


def returns_early(trial: Trial) -> None:
    parts = Parts(trial)
    for number, batch in enumerate(trial.batches(parts.loader)):
        parts.controller.step(parts.loss(batch))
        if number == 4:
            return


def raises(trial: Trial) -> None:
    plain_until(trial, 4)
    raise ZeroDivisionError("no luck")


def plain_until(trial: Trial, steps: int) -> None:
    parts = Parts(trial)
    for number, batch in enumerate(trial.batches(parts.loader)):
        if number == steps:
            return
        parts.controller.step(parts.loss(batch))


def exits(trial: Trial) -> None:
    plain_until(trial, 1)
    sys.exit(3)


def own_passes(trial: Trial) -> None:
    """Goes over the controller's batches, where no search can stop it."""
    parts = Parts(trial)
    for _ in range(100):
        for batch in parts.controller.batches(parts.loader):
            parts.controller.step(parts.loss(batch))


def no_batch(trial: Trial) -> None:
    parts = Parts(trial)
    parts.controller.step(parts.loss(parts.data[:4]))


def swallows(trial: Trial) -> None:
    """Goes on whatever happens."""
    parts = Parts(trial)
    while True:
        with suppress(Exception):
            for batch in trial.batches(parts.loader):
                parts.controller.step(parts.loss(batch))


def sleeps(trial: Trial) -> None:
    parts = Parts(trial)
    for batch in trial.batches(parts.loader):
        parts.controller.step(parts.loss(batch))
        if trial.phase != "rehearsal":
            time.sleep(600)


def bad_state(trial: Trial) -> None:
    class Keeps:
        def state_dict(self) -> dict[str, object]:
            return {"model": network(0.0)}

        def load_state_dict(self, state: dict[str, object]) -> None:
            del state

    parts = Parts(trial)
    trial.checkpoint(keeps=Keeps())
    for batch in trial.batches(parts.loader):
        parts.controller.step(parts.loss(batch))


def no_state(trial: Trial) -> None:
    Parts(trial)
    trial.checkpoint(model=3)  # type: ignore[arg-type]


def late_checkpoint(trial: Trial) -> None:
    parts = Parts(trial)
    for batch in trial.batches(parts.loader):
        trial.checkpoint(model=parts.model)
        parts.controller.step(parts.loss(batch))


def two_controllers(trial: Trial) -> None:
    Parts(trial)
    Parts(trial)


def percent(trial: Trial) -> None:
    data = two_clouds()
    model = trial.prepare(network(0.0))
    optimizer = AdamW(model.parameters(), lr=trial.lr)
    controller = trial.controller(model, optimizer, data, evaluate=lambda: {"error": 12.5})
    for inputs, labels in trial.batches(DataLoader(data, batch_sampler=controller.sampler)):
        controller.step(nn.functional.cross_entropy(model(inputs), labels))


def grows(trial: Trial) -> None:
    """Has other data in every trial."""
    parts = Parts(trial, examples=EXAMPLES + trial.seed)
    for batch in trial.batches(parts.loader):
        parts.controller.step(parts.loss(batch))


NUMBER = 3
NUMBER = 3


def one_figure(trial: Trial) -> None:
    data = two_clouds()
    model = trial.prepare(network(0.0))
    optimizer = AdamW(model.parameters(), lr=trial.lr)
    controller = trial.controller(model, optimizer, data, evaluate=lambda: 7.5)
    for inputs, labels in trial.batches(DataLoader(data, batch_sampler=controller.sampler)):
        controller.step(nn.functional.cross_entropy(model(inputs), labels))


def only_accuracy(trial: Trial) -> None:
    data = two_clouds()
    model = trial.prepare(network(0.0))
    optimizer = AdamW(model.parameters(), lr=trial.lr)
    controller = trial.controller(model, optimizer, data, evaluate=lambda: {"val/accuracy": 0.75})
    for inputs, labels in trial.batches(DataLoader(data, batch_sampler=controller.sampler)):
        controller.step(nn.functional.cross_entropy(model(inputs), labels))


def asleep(trial: Trial) -> None:
    parts = Parts(trial)
    for batch in trial.batches(parts.loader):
        parts.controller.step(parts.loss(batch))
        time.sleep(600)


def slow(trial: Trial) -> None:
    """The same as ``resumes``, with time to be killed in."""
    parts = Parts(trial)
    controller = parts.controller
    trial.checkpoint(model=parts.model, optimizer=parts.optimizer)
    for batch in trial.batches(parts.loader):
        inputs, labels = batch
        inputs = inputs + 0.1 * torch.from_numpy(np.random.randn(*inputs.shape)).float()
        controller.step(parts.loss((inputs, labels)))
        time.sleep(float(trial.value("pause", 0.0)) if trial.phase != "rehearsal" else 0)


FAULTS = {
    "none": "",
    "raises": "ZeroDivisionError: no luck (own_loops.py, line",
    "returns": "InputError: the training function returned after 80 of 400 examples",
    "nan": "val_loss is nan in interval 0",
    "sleeps": "nothing was heard of the training function for 0.05 minutes (see --silence): no batch, no",
    "swallows": "nothing was heard of the training function for 0.05 minutes (see --silence): it did not",
    "exits": "RuntimeError: the training function called sys.exit(3)",
}


def faulty(trial: Trial) -> None:
    """Goes wrong as its parameter says, but not in its first steps."""
    fault = "none" if trial.phase == "rehearsal" else str(trial.params["fault"])
    parts = Parts(trial)
    if fault == "nan":
        parts.figures = ["not a number"]
    while True:
        for number, batch in enumerate(trial.batches(parts.loader)):
            parts.controller.step(parts.loss(batch))
            if number == 4 and fault == "raises":
                raise ZeroDivisionError("no luck")
            if number == 4 and fault == "returns":
                return
            if number == 4 and fault == "exits":
                sys.exit(3)
            if fault == "sleeps":
                time.sleep(600)
        if fault != "swallows":
            return
        time.sleep(0.01)


def two_figures(trial: Trial) -> None:
    parts = Parts(trial, figures="error margin")
    for batch in trial.batches(parts.loader):
        parts.controller.step(parts.loss(batch))


def with_test_data(trial: Trial) -> None:
    data, held_out, test = two_clouds(), two_clouds(100, seed=1), two_clouds(100, seed=2)
    model = trial.prepare(network(0.1))
    optimizer = AdamW(model.parameters(), lr=trial.lr)

    @torch.no_grad()
    def loss_on(other: TensorDataset) -> float:
        model.eval()
        return nn.functional.cross_entropy(model(other.tensors[0]), other.tensors[1]).item()

    controller = trial.controller(
        model, optimizer, data, evaluate=lambda: loss_on(held_out), test=lambda: loss_on(test)
    )
    for inputs, labels in trial.batches(DataLoader(data, batch_sampler=controller.sampler)):
        controller.step(nn.functional.cross_entropy(model(inputs), labels))
