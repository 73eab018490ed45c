"""Loops as people write them: with the controller they train as a plain loop over the same examples does."""

import copy
import itertools
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, update_bn
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader, TensorDataset

from adasearch import BatchSizeController, Limits
from adasearch.schedulers.adabatch import AdaBatch

EXAMPLES, EPOCHS = 96, 3
RANDOM = torch.Generator().manual_seed(0)
INPUTS, LABELS = torch.randn(EXAMPLES, 6, generator=RANDOM), torch.randint(3, (EXAMPLES,), generator=RANDOM)
DATA = TensorDataset(INPUTS, LABELS, torch.arange(EXAMPLES))
PARTS: dict[str, Any] = {"device_batch": 4}
cross = nn.functional.cross_entropy


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 3)
        self.second.weight = self.first.weight

    def forward(self, inputs: Tensor) -> Tensor:
        found: Tensor = self.head(self.second(self.first(inputs).tanh()).tanh())
        return found


class Rows(nn.Module):
    """Sequences of several lengths, packed."""

    def __init__(self) -> None:
        super().__init__()
        self.gru, self.head = nn.GRU(1, 4), nn.Linear(4, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        rows = [each[: 2 + 2 * int(each[0] > 0), None] for each in inputs]
        found: Tensor = self.head(self.gru(nn.utils.rnn.pack_sequence(rows, enforce_sorted=False))[1][0])
        return found


def plain_net() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))


def frozen_norm() -> nn.Module:
    model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Linear(8, 3))
    model[1].eval().requires_grad_(False)
    return model


def normed() -> nn.Module:
    return nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(6, 8)), nn.Tanh(), nn.Linear(8, 3))


def compiled() -> nn.Module:
    found: nn.Module = torch.compile(plain_net(), backend="eager")  # type: ignore[assignment]
    return found


def mean_loss(model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
    return cross(model(inputs), labels)


def checkpointed(model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
    found: Tensor = checkpoint(lambda x: cross(model(x), labels), inputs, use_reentrant=False)
    return found


def offloaded(model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
    with torch.autograd.graph.save_on_cpu():
        return cross(model(inputs), labels)


def penalised(model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
    output = model(inputs)
    slopes = torch.autograd.grad(output.square().mean(), list(model.parameters()), create_graph=True)
    return cross(output, labels) + sum((0.1 * each.square().sum() for each in slopes), torch.zeros(()))


def adapted(model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
    """The outer loss of meta-learning: one step on half of the examples, the loss on the rest."""
    weights, half = dict(model.named_parameters()), len(inputs) // 2
    call = torch.func.functional_call
    inner = cross(model(inputs[:half]), labels[:half])
    slopes = torch.autograd.grad(inner, list(weights.values()), create_graph=True)
    moved = {name: w - 0.1 * g for (name, w), g in zip(weights.items(), slopes, strict=True)}
    return cross(call(model, moved, (inputs[half:],)), labels[half:])


@dataclass
class Run:
    """A controller in a loop, and what it was handed."""

    make: Callable[[], nn.Module] = plain_net
    loss: Callable[[nn.Module, Tensor, Tensor], Tensor] = mean_loss
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        torch.manual_seed(1)
        self.model = self.make()
        self.optimizer = self.sgd(self.model)
        self.rates: list[float] = []
        self.optimizer.register_step_pre_hook(lambda one, *_: self.rates.append(one.param_groups[0]["lr"]))
        settings = {
            "scheduler": AdaBatch(period=1),
            "batch_size": 16,
            "limits": Limits(smallest=8, largest=64),
        }
        self.controller = BatchSizeController(
            *(self.model, self.optimizer, DATA), **{**settings, **self.options}
        )
        self.loader: DataLoader[Any] = DataLoader(DATA, batch_sampler=self.controller.sampler)
        self.batches: list[list[int]] = [[]]

    @staticmethod
    def sgd(model: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1, momentum=0.9)

    def step(self, item: list[Tensor]) -> bool:
        inputs, labels, numbers = item
        updated = self.controller.step(self.loss(self.model, inputs, labels))
        self.batches[-1] += numbers.tolist()
        if updated:
            self.batches.append([])
        return updated

    def plainly(self) -> Tensor:
        torch.manual_seed(1)
        model = self.make()
        optimizer = self.sgd(model)
        for numbers, rate in zip(self.batches[:-1], self.rates, strict=True):
            optimizer.param_groups[0]["lr"] = rate
            optimizer.zero_grad()
            self.loss(model, INPUTS[numbers], LABELS[numbers]).backward()
            optimizer.step()
        return flat(model)


def flat(model: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def simply(run: Run, wrap: Callable[[Iterable[Any]], Iterable[Any]] = lambda loader: loader) -> None:
    for _ in range(run.controller.epoch, EPOCHS):
        for item in run.controller.batches(wrap(run.loader)):
            run.step(item)


def broken_off(run: Run) -> None:
    while run.controller.epoch < EPOCHS:
        loader = DataLoader(DATA, batch_sampler=run.controller.sampler)
        for number, item in enumerate(run.controller.batches(loader)):
            if number == 3:
                break
            run.step(item)


def failing(run: Run) -> None:
    times = iter(range(1000))
    while run.controller.epoch < EPOCHS:
        with suppress(MemoryError):
            for item in run.controller.batches(run.loader):
                if next(times) % 4 == 2:
                    raise MemoryError
                run.step(item)


def evaluated_between(run: Run) -> None:
    average = AveragedModel(run.model, multi_avg_fn=get_ema_multi_avg_fn(0.9))
    for _ in range(EPOCHS):
        for item in run.controller.batches(run.loader):
            if run.step(item):
                average.update_parameters(run.model)
            kept = copy.deepcopy(run.model.state_dict())
            run.model.load_state_dict(average.module.state_dict())
            with torch.no_grad():
                run.model.eval()(INPUTS)
            run.model.train().load_state_dict(kept)
    update_bn(run.loader, average)


def cleared(run: Run) -> None:
    for _ in range(EPOCHS):
        for item in run.controller.batches(run.loader):
            run.optimizer.zero_grad(set_to_none=False)
            run.step(item)
            run.optimizer.zero_grad()


def without_end(run: Run) -> None:
    def items() -> Iterator[Any]:
        while True:
            yield from run.controller.batches(run.loader)

    for item in items():
        run.step(item)
        if run.controller.examples_seen >= EPOCHS * EXAMPLES:
            break


def by_next(run: Run) -> None:
    items = run.controller.batches(run.loader)
    while run.controller.examples_seen < EPOCHS * EXAMPLES:
        try:
            item = next(items)
        except StopIteration:
            items = run.controller.batches(run.loader)
            item = next(items)
        run.step(item)


def beside_another(run: Run) -> None:
    other = itertools.cycle(DataLoader(DATA, batch_size=5))
    for _ in range(EPOCHS):
        for _, item in zip(other, run.controller.batches(run.loader), strict=False):
            run.step(item)


def with_workers(run: Run) -> None:
    run.loader = DataLoader(
        DATA, batch_sampler=run.controller.sampler, num_workers=2, persistent_workers=True, prefetch_factor=3
    )
    simply(run)


LOOPS: dict[str, Callable[[Run], None]] = {
    "simple": simply,
    "broken off, each with a new loader": broken_off,
    "an error that is caught": failing,
    "an average of the weights, evaluated in mid-epoch": evaluated_between,
    "gradients cleared at every turn": cleared,
    "a generator without an end": without_end,
    "next()": by_next,
    "zip() with another loader": beside_another,
    "a generator around the loader": lambda run: simply(run, lambda loader: (item for item in loader)),
    "workers that stay": with_workers,
}
NETWORKS: dict[str, dict[str, Any]] = {
    "tied weights": {"make": Tied},
    "packed sequences": {"make": Rows},
    "a frozen norm": {"make": frozen_norm},
    "weight norm": {"make": normed},
    "compiled": {"make": compiled},
    "gradient checkpoints": {"loss": checkpointed},
    "activations on the host": {"loss": offloaded},
}


def check(run: Run, *, epochs: int = EPOCHS) -> None:
    torch.testing.assert_close(flat(run.model), run.plainly(), rtol=1e-4, atol=1e-6)
    drawn = [*itertools.chain.from_iterable(run.batches)]
    for start in range(0, epochs * EXAMPLES, EXAMPLES):
        assert sorted(drawn[start : start + EXAMPLES]) == [*range(EXAMPLES)]
    assert run.controller.examples_seen == len(drawn)


CUT = {"broken off, each with a new loader", "an error that is caught"}  # which need a batch to get through


@pytest.mark.parametrize(
    ("name", "parts"),
    [(name, parts) for name in LOOPS for parts in ({}, PARTS) if not (parts and name in CUT)],
)
def test_loop_has_the_examples_and_the_weights_of_a_plain_one(name: str, parts: dict[str, Any]) -> None:
    run = Run(options=parts)
    LOOPS[name](run)
    check(run)
    assert [row.batch_size for row in run.controller.history] == [16, 32, 64]


@pytest.mark.parametrize("scheduler", ["adabatch", "noise_scale"])
@pytest.mark.parametrize("name", NETWORKS)
def test_network_has_the_weights_of_a_plain_loop_in_parts(name: str, scheduler: str) -> None:
    run = Run(**NETWORKS[name], options={"scheduler": scheduler, **PARTS})
    simply(run)
    check(run)


@pytest.mark.parametrize("loss", [penalised, adapted])
def test_loss_that_is_no_mean_over_examples_has_whole_batches(loss: Any) -> None:
    run = Run(loss=loss, options={"whole_batches": True})
    simply(run)
    check(run)
