"""Losses that are means over something else than examples, and several losses, in batches of parts."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.multiprocessing.spawn import spawn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, TensorDataset

from adasearch import BatchSizeController, Limits
from adasearch.errors import InputError
from adasearch.records import Signals
from adasearch.signal_sets import NOISE
from tests.controller.test_controller import Script

EXAMPLES, SIZE, LENGTH, WORDS = 96, 24, 12, 7
CLASSES = torch.tensor([1.0, 1.0, 0.0, 30.0], dtype=torch.float64)
NOISY = Script(sizes=(), needs=NOISE | {"grad_norm"})
PLAIN = Script(sizes=(), needs=frozenset({"grad_norm"}))


@pytest.fixture(autouse=True)
def _double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


class Tokens:
    """Texts of several lengths; the loss is the mean over the tokens that are not padding."""

    def __init__(self) -> None:
        random = torch.Generator().manual_seed(0)
        lengths = torch.randint(0, LENGTH, (EXAMPLES,), generator=random)
        lengths[::3] = 0  # nothing but padding
        words = torch.randint(0, WORDS, (EXAMPLES, LENGTH), generator=random)
        self.data = TensorDataset(
            words, torch.where(torch.arange(LENGTH) < lengths[:, None], (words * 3 + 1) % WORDS, -100)
        )
        torch.manual_seed(1)
        self.model: nn.Module = nn.Sequential(nn.Embedding(WORDS, 4), nn.Linear(4, WORDS))

    def loss(self, inputs: Tensor, targets: Tensor) -> Tensor:
        return nn.functional.cross_entropy(self.model(inputs).flatten(0, 1), targets.flatten())

    def weight(self, targets: Tensor) -> float:
        return int((targets != -100).sum())


class Classes:
    """Examples of a rare class, which weighs more."""

    def __init__(self) -> None:
        random = torch.Generator().manual_seed(0)
        labels = torch.randint(0, 4, (EXAMPLES,), generator=random)
        self.data = TensorDataset(torch.randn(EXAMPLES, 5, generator=random), labels)
        torch.manual_seed(1)
        self.model: nn.Module = nn.Linear(5, 4)

    def loss(self, inputs: Tensor, labels: Tensor) -> Tensor:
        return nn.functional.cross_entropy(self.model(inputs), labels, weight=CLASSES)

    def weight(self, labels: Tensor) -> float:
        return CLASSES[labels].sum().item()


Task = Callable[[], Tokens | Classes]
Parts = list[tuple[int, Tensor, Tensor]]


def run(make: Task, scheduler: Any, **options: Any) -> tuple[Tensor, list[Signals], list[Parts]]:
    """Train an epoch; return the weights, the rows, and of each batch its parts, in any order."""
    task = make()
    if dist.is_initialized():
        task.model = DistributedDataParallel(task.model)
    optimizer = torch.optim.SGD(task.model.parameters(), lr=0.05, momentum=0.9)
    limits = Limits(smallest=SIZE, largest=SIZE)
    controller = BatchSizeController(
        task.model, optimizer, task.data, scheduler, batch_size=SIZE, limits=limits, **options
    )
    batches: list[Parts] = [[]]
    for inputs, targets in controller.batches(DataLoader(task.data, batch_sampler=controller.sampler)):
        batches[-1].append((len(targets), inputs, targets))
        if controller.step(task.loss(inputs, targets), weight=task.weight(targets)):
            batches.append([])
    return (
        torch.cat([p.detach().flatten() for p in task.model.parameters()]),
        controller.history,
        batches[:-1],
    )


def plain(make: Task) -> Tensor:
    """The weights after an ordinary loop over the same batches, each in one piece."""
    task = make()
    batches = run(make, "constant")[2]
    optimizer = torch.optim.SGD(task.model.parameters(), lr=0.05, momentum=0.9)
    for parts in batches:
        optimizer.zero_grad()
        inputs, targets = (torch.cat(each) for each in list(zip(*parts, strict=True))[1:])
        task.loss(inputs, targets).backward()
        optimizer.step()
    return torch.cat([p.detach().flatten() for p in task.model.parameters()])


TASKS = pytest.mark.parametrize("make", [Tokens, Classes])


@TASKS
@pytest.mark.parametrize("scheduler", [PLAIN, NOISY], ids=["plain", "noise"])
@pytest.mark.parametrize("device_batch", [None, 4, 10])
def test_weighed_parts_train_as_a_whole(make: Task, scheduler: Any, device_batch: int | None) -> None:
    weights, history, batches = run(make, scheduler, device_batch=device_batch)
    torch.testing.assert_close(weights, plain(make), rtol=1e-10, atol=1e-13)
    whole = run(make, PLAIN)
    for row, other in zip(history, whole[1], strict=True):
        assert row.train_loss == pytest.approx(other.train_loss, rel=1e-12)
        assert row.grad_norm == pytest.approx(other.grad_norm, rel=1e-10)
    in_parts = sum(len(parts) > 1 for parts in batches)
    assert in_parts == (len(batches) if device_batch is not None else scheduler is NOISY)


@TASKS
def test_batch_in_one_part_needs_no_weight(make: Task) -> None:
    assert torch.equal(run(make, PLAIN)[0], plain(make))


@TASKS
def test_scaled_losses_may_be_weighed(make: Task) -> None:
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    weights, history, _ = run(make, NOISY, device_batch=10, scaler=scaler)
    unscaled = run(make, NOISY, device_batch=10)
    torch.testing.assert_close(weights, unscaled[0], rtol=1e-10, atol=1e-13)
    for name in ("grad_noise", "grad_sq_norm", "inner_product_variance", "half_cosine", "train_loss"):
        assert getattr(history[0], name) == pytest.approx(getattr(unscaled[1][0], name), rel=1e-9), name


@TASKS
def test_noise_between_weighed_parts_takes_examples_for_what_they_weigh(make: Task) -> None:
    """By the formulas of signals/noise.py, a part of weight w having N w / W examples of the N."""
    task = make()
    optimizer = torch.optim.SGD(task.model.parameters(), lr=0.05)
    limits = Limits(smallest=SIZE, largest=SIZE)
    controller = BatchSizeController(
        task.model, optimizer, task.data, NOISY, batch_size=SIZE, limits=limits, device_batch=8, interval=0.25
    )
    parameters = list(task.model.parameters())
    parts: list[tuple[float, Tensor]] = []
    for inputs, targets in controller.batches(DataLoader(task.data, batch_sampler=controller.sampler)):
        loss, weight = task.loss(inputs, targets), task.weight(targets)
        assert weight
        gradient = torch.autograd.grad(loss, parameters, retain_graph=True)
        parts.append((weight, torch.cat([each.flatten() for each in gradient])))
        if controller.step(loss, weight=weight):
            break
    (row,) = controller.history
    total = sum(weight for weight, _ in parts)
    groups = [(SIZE * weight / total, gradient) for weight, gradient in parts]
    whole = torch.stack([count / SIZE * gradient for count, gradient in groups]).sum(dim=0)
    square = whole.square().sum()
    noise = sum(count * (gradient - whole).square().sum() for count, gradient in groups) / (len(groups) - 1)
    inner = sum(count * (gradient @ whole - square).square() for count, gradient in groups) / (
        len(groups) - 1
    )
    assert row.noise_count == 1
    assert row.grad_noise == pytest.approx(float(noise), rel=1e-9)
    assert row.batch_grad_sq_norm == pytest.approx(square.item(), rel=1e-9)
    assert row.inner_product_variance == pytest.approx(float(inner), rel=1e-9)


def test_part_that_weighs_nothing_is_left_out_and_its_loss_may_be_nan() -> None:
    model = nn.Linear(2, 2)
    data = TensorDataset(torch.ones(8, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    limits = Limits(smallest=8, largest=8)
    controller = BatchSizeController(
        model, optimizer, data, "constant", batch_size=8, limits=limits, device_batch=4
    )
    for number, (inputs,) in enumerate(
        controller.batches(DataLoader(data, batch_sampler=controller.sampler))
    ):
        loss = model(inputs).mean()
        controller.step(loss * torch.nan if number == 0 else loss, weight=3.0 * number)
    assert all(p.isfinite().all() for p in model.parameters())
    assert (controller.steps, controller.examples_seen) == (1, 8)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([-1.0], "weight must be finite and at least 0 but got weight=-1.0"),
        ([torch.tensor(torch.nan)], "weight must be finite and at least 0 but got weight=nan"),
        ([2.0, None], "weight= belongs to all parts of a batch or to none but got weight=None"),
        ([None, 2.0], "weight= belongs to all parts of a batch or to none but got weight=2.0"),
    ],
)
def test_weights_that_cannot_be_are_refused(weights: list[Any], message: str) -> None:
    model = nn.Linear(2, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    data = TensorDataset(torch.ones(16, 2))
    limits = Limits(smallest=16, largest=16)
    controller = BatchSizeController(
        model, optimizer, data, "constant", batch_size=16, limits=limits, device_batch=4
    )
    items = controller.batches(DataLoader(data, batch_sampler=controller.sampler))
    *before, last = weights
    for weight in before:
        controller.backward(model(next(items)[0]).mean(), weight=weight)
    (inputs,) = next(items)
    with pytest.raises(InputError, match=message):
        controller.backward(model(inputs).mean(), weight=last)


# --- whole batches --------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [8, 12, 24])
def test_who_needs_whole_batches_gets_them(size: int) -> None:
    model = nn.Linear(5, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    controller = BatchSizeController(
        *(model, optimizer, Classes().data, PLAIN),
        batch_size=size,
        limits=Limits(smallest=size, largest=size),
        whole_batches=True,
    )
    loader = DataLoader(Classes().data, batch_sampler=controller.sampler)
    for inputs, labels in controller.batches(loader):
        assert len(labels) == size
        assert controller.step(nn.functional.cross_entropy(model(inputs), labels))


@pytest.mark.parametrize(
    ("scheduler", "options", "message"),
    [
        ("noise_scale", {}, "scheduler NoiseScale needs grad_noise, grad_sq_norm, measured between parts"),
        ("simigrad", {}, "scheduler SimiGrad needs half_cosine, measured between parts"),
        ("constant", {"device_batch": 8}, "whole_batches takes no device_batch but got device_batch=8"),
    ],
)
def test_what_needs_parts_is_refused_by_name(scheduler: str, options: dict[str, Any], message: str) -> None:
    model = nn.Linear(5, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(InputError, match=message):
        BatchSizeController(
            *(model, optimizer, Classes().data, scheduler),
            batch_size=8,
            limits=Limits(smallest=8, largest=8),
            whole_batches=True,
            **options,
        )


# --- two optimisers -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scheduler", "device_batch"), [(PLAIN, None), (PLAIN, 6), (NOISY, None), (NOISY, 6)]
)
def test_other_networks_steps_between_the_parts_stay_out_of_the_gradient(
    scheduler: Any, device_batch: int | None
) -> None:
    """A GAN: the generator's backward passes go through the discriminator, which the controller trains."""

    def networks() -> tuple[nn.Module, nn.Module, torch.optim.Optimizer, torch.optim.Optimizer]:
        torch.manual_seed(2)
        one, two = nn.Linear(5, 1), nn.Linear(3, 5)
        return one, two, *(torch.optim.SGD(each.parameters(), lr=0.1) for each in (one, two))  # type: ignore[return-value]

    def real(one: nn.Module, inputs: Tensor) -> Tensor:
        output = one(inputs)
        return nn.functional.binary_cross_entropy_with_logits(output, torch.ones_like(output))

    def generate(one: nn.Module, two: nn.Module, optimizer: torch.optim.Optimizer, number: int) -> None:
        optimizer.zero_grad()
        noise = torch.randn(4, 3, generator=torch.Generator().manual_seed(number))
        real(one, two(noise)).backward()
        optimizer.step()

    discriminator, generator, of_one, of_two = networks()
    data = Classes().data
    controller = BatchSizeController(
        *(discriminator, of_one, data, scheduler),
        batch_size=SIZE,
        limits=Limits(smallest=SIZE, largest=SIZE),
        device_batch=device_batch,
    )
    batches: list[list[Tensor]] = [[]]
    loader = DataLoader(data, batch_sampler=controller.sampler)
    for items, (inputs, _) in enumerate(controller.batches(loader)):
        batches[-1].append(inputs)
        whole = controller.step(real(discriminator, inputs))
        generate(discriminator, generator, of_two, items)
        if whole:
            batches.append([])
    found = [p.detach().clone() for p in (*discriminator.parameters(), *generator.parameters())]

    discriminator, generator, of_one, of_two = networks()
    items = 0
    for parts in batches[:-1]:
        for _ in parts[:-1]:
            generate(discriminator, generator, of_two, items)
            items += 1
        of_one.zero_grad()
        real(discriminator, torch.cat(parts)).backward()
        of_one.step()
        generate(discriminator, generator, of_two, items)
        items += 1
    for p, expected in zip((*discriminator.parameters(), *generator.parameters()), found, strict=True):
        torch.testing.assert_close(p.detach(), expected, rtol=1e-10, atol=1e-13)
    assert items == sum(map(len, batches))


# --- several processes ----------------------------------------------------------------------------------

SHARED: dict[str, tuple[Task, Any, int | None]] = {
    "tokens": (Tokens, PLAIN, None),
    "tokens, in parts": (Tokens, PLAIN, 4),
    "classes": (Classes, NOISY, None),
    "classes, in parts": (Classes, NOISY, 6),
}


def _process(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    try:
        found = {name: run(*each[:2], device_batch=each[2])[:2] for name, each in SHARED.items()}
        torch.save(found, f"{folder}/{rank}")
        dist.barrier()  # no process leaves while another is still in a collective
    finally:
        dist.destroy_process_group()


def test_processes_weigh_their_parts_together(tmp_path: Path) -> None:
    spawn(_process, args=(str(tmp_path),), nprocs=2)
    first, second = (torch.load(tmp_path / str(rank), weights_only=False) for rank in range(2))
    for name, (make, _, _) in SHARED.items():
        (weights, history), other = first[name], second[name]
        assert torch.equal(weights, other[0]), name
        assert history == other[1], name
        torch.testing.assert_close(weights, plain(make), rtol=1e-9, atol=1e-12)
        loss = run(make, PLAIN)[1][0].train_loss
        assert history[0].train_loss == pytest.approx(loss, rel=1e-10), name
        if make is Classes:
            # Two processes with a part each are one process with two parts.
            alone = run(make, NOISY, device_batch=SIZE // 2)[1][0]
            assert history[0].grad_noise == pytest.approx(alone.grad_noise, rel=1e-8), name
            assert history[0].inner_product_variance == pytest.approx(alone.inner_product_variance, rel=1e-7)


OUT: dict[str, tuple[int | None, tuple[set[int], set[int]]]] = {
    "the very first batch": (None, (set(), {0})),
    "the first three": (None, ({0, 1, 2}, {3})),
    "both the first": (None, ({0}, {0})),
    "all parts of the first": (6, ({0, 1}, set())),
}


def _leaving_out(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    seconds = timedelta(seconds=30)
    meet = f"file://{folder}/meet"
    dist.init_process_group("gloo", init_method=meet, rank=rank, world_size=2, timeout=seconds)
    try:
        found = {}
        for name, (device_batch, out) in OUT.items():
            task = Classes()
            model = DistributedDataParallel(task.model)
            task.model = model
            optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
            limits = Limits(smallest=SIZE, largest=SIZE)
            controller = BatchSizeController(
                model,
                optimizer,
                task.data,
                PLAIN,
                batch_size=SIZE,
                limits=limits,
                device_batch=device_batch,
            )
            items = []
            for number, (inputs, labels) in enumerate(
                controller.batches(DataLoader(task.data, batch_sampler=controller.sampler))
            ):
                loss = task.loss(inputs, labels)
                items.append(None if number in out[rank] else (inputs, labels))
                if number not in out[rank]:
                    controller.step(loss, weight=task.weight(labels))
            weights = torch.cat([p.detach().flatten() for p in model.parameters()])
            found[name] = (weights, items, controller.steps)
        torch.save(found, f"{folder}/{rank}")
        for inputs, labels in controller.batches(DataLoader(task.data, batch_sampler=controller.sampler)):
            loss = task.loss(inputs, labels)
            with pytest.raises(InputError, match="weight= belongs to all batches or to none"):
                controller.step(loss)
            break
        dist.barrier()  # no process leaves while another is still in a collective
    finally:
        dist.destroy_process_group()


def test_process_that_leaves_its_first_batches_out_weighs_with_the_others(tmp_path: Path) -> None:
    spawn(_leaving_out, args=(str(tmp_path),), nprocs=2)
    first, second = (torch.load(tmp_path / str(rank), weights_only=False) for rank in range(2))
    for name, (device_batch, _) in OUT.items():
        (weights, items, steps), other = first[name], second[name]
        assert torch.equal(weights, other[0]), name
        task, passes = Classes(), 1 if device_batch is None else 2
        optimizer = torch.optim.SGD(task.model.parameters(), lr=0.05)
        made = 0
        for start in range(0, len(items), passes):
            parts = [each for found in (items, other[1]) for each in found[start : start + passes] if each]
            if parts:
                optimizer.zero_grad()
                inputs, labels = map(torch.cat, zip(*parts, strict=True))
                task.loss(inputs, labels).backward()
                optimizer.step()
                made += 1
        expected = torch.cat([p.detach().flatten() for p in task.model.parameters()])
        torch.testing.assert_close(weights, expected, rtol=1e-9, atol=1e-12)
        assert steps == other[2] == made, name
