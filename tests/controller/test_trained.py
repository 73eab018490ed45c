"""Signals are of what the optimiser updates, whatever that is by now and whatever its gradients are."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from adasearch import SCHEDULERS, BatchSizeController, Limits
from adasearch.errors import InputError
from adasearch.records import Decision, Signals
from adasearch.schedulers.base import LR_SCHEDULES, hold
from adasearch.signal_sets import MEASURED

EXAMPLES, SIZE, STEPS = 96, 24, 4  # a step is a batch of SIZE, an epoch is STEPS of them


@dataclass(frozen=True)
class WantsAll:
    """Hold, and have every signal measured."""

    needs: ClassVar[frozenset[str]] = frozenset(MEASURED)
    lr_schedules: ClassVar[frozenset[str]] = LR_SCHEDULES

    def decide(self, history: Sequence[Signals], limits: Limits) -> Decision:
        return hold(history[-1], "as asked")


@pytest.fixture(autouse=True)
def _double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def numbers() -> TensorDataset:
    random = torch.Generator().manual_seed(0)
    return TensorDataset(
        torch.randn(EXAMPLES, 6, generator=random), torch.randint(3, (EXAMPLES,), generator=random)
    )


def wide(part: Tensor) -> Tensor:
    return part.to_dense().resolve_conj().to(torch.complex128 if part.is_complex() else torch.float64)


def flat(parts: Sequence[Tensor | None], parameters: Sequence[nn.Parameter]) -> NDArray[np.float64]:
    """Return a gradient as numbers: two for a complex one, all of a sparse one, zeros for none."""
    found = []
    for part, p in zip(parts, parameters, strict=True):
        array = np.zeros(p.shape) if part is None else wide(part).numpy()
        found.append(array.astype(complex).ravel().view(float) if p.is_complex() else array.ravel())
    return np.concatenate(found).astype(float)


@dataclass
class Reference:
    """The signals of an interval by their definitions, from each part's gradient by autograd."""

    steps: list[list[tuple[int, NDArray[np.float64]]]]  # of each step's parts: examples, mean gradient

    def row(self) -> dict[str, float]:
        whole = [np.sum([n / SIZE * g for n, g in parts], axis=0) for parts in self.steps]
        mean = np.mean(whole, axis=0) if len({*map(len, whole)}) == 1 else None
        cut = [(w, parts) for w, parts in zip(whole, self.steps, strict=True) if len(parts) > 1]
        noise = [sum(n * np.sum((g - w) ** 2) for n, g in parts) / (len(parts) - 1) for w, parts in cut]
        spread = [sum(n * (g @ w - w @ w) ** 2 for n, g in parts) / (len(parts) - 1) for w, parts in cut]
        halves = [np.sum([n * g for n, g in parts[: len(parts) // 2]], axis=0) / SIZE for _, parts in cut]
        cosines = [
            h @ (w - h) / np.linalg.norm(h) / np.linalg.norm(w - h)
            for h, (w, _) in zip(halves, cut, strict=True)
        ]
        square = float(np.mean([w @ w for w, _ in cut]))
        found = {
            "grad_norm": float(np.mean([np.linalg.norm(w) for w in whole])),
            "grad_component_variance": float(np.mean([np.var(w) for w in whole])),
            "grad_noise": float(np.mean(noise)),
            "grad_sq_norm": square - float(np.mean(noise)) / SIZE,
            "batch_grad_sq_norm": square,
            "half_cosine": float(np.mean(cosines)),
            "inner_product_variance": float(np.mean(spread)),
        }
        if mean is not None:
            found |= {
                "mean_grad_norm": float(np.linalg.norm(mean)),
                "mean_grad_component_variance": float(np.var(mean)),
            }
        return found


Change = Callable[[int], None]  # of model and optimiser, before the step of this number


def train(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    change: Change = lambda step: None,
    *,
    epochs: int = 4,
    data: TensorDataset | None = None,
    device_batch: int | None = None,
    loss_of: Callable[[Tensor, Tensor], Tensor] = nn.functional.cross_entropy,
    updated: Callable[[], list[nn.Parameter]] | None = None,
) -> tuple[BatchSizeController, list[Reference]]:
    """Train in an ordinary loop; return the controller and each interval's reference."""
    data = data or numbers()
    controller = BatchSizeController(
        model,
        optimizer,
        data,
        WantsAll(),
        batch_size=SIZE,
        limits=Limits(smallest=SIZE, largest=SIZE),
        device_batch=device_batch,
    )
    loader = DataLoader(data, batch_sampler=controller.sampler)
    found = []
    for _ in range(epochs):
        steps: list[list[tuple[int, NDArray[np.float64]]]] = []
        for inputs, labels in controller.batches(loader):
            if controller.part.first:
                change(controller.steps)
                steps.append([])
            mine = (updated or (lambda: [p for g in optimizer.param_groups for p in g["params"]]))()
            mine = [p for p in dict.fromkeys(mine) if p.requires_grad]
            loss = loss_of(model(inputs), labels)
            gradient = torch.autograd.grad(loss, mine, retain_graph=True, allow_unused=True)
            steps[-1].append((len(labels), flat(gradient, mine)))
            controller.step(loss)
        found.append(Reference(steps))
    return controller, found


def check(controller: BatchSizeController, found: list[Reference], rel: float = 1e-8) -> None:
    assert len(controller.history) == len(found)
    for row, reference in zip(controller.history, found, strict=True):
        for name, value in reference.row().items():
            assert getattr(row, name) == pytest.approx(value, rel=rel, abs=1e-12), (name, row.interval)


# --- parameters that come and go ---------------------------------------------------------------------


def net() -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))


def body_and_head(model: nn.Sequential) -> tuple[nn.Module, nn.Module]:
    return model[0], model[2]


@pytest.mark.parametrize("device_batch", [None, 7])
@pytest.mark.parametrize("frozen", [True, False], ids=["frozen", "linear probe"])
def test_body_that_joins_is_measured_from_then_on(frozen: bool, device_batch: int | None) -> None:
    model = net()
    body, head = body_and_head(model)
    body.requires_grad_(not frozen)
    optimizer = torch.optim.SGD(head.parameters(), lr=0.1)

    def change(step: int) -> None:
        if step == 2 * STEPS and len(optimizer.param_groups) == 1:
            body.requires_grad_(True)
            optimizer.add_param_group({"params": list(body.parameters()), "lr": 0.01})

    check(*train(model, optimizer, change, device_batch=device_batch))


def test_gradients_that_the_optimiser_does_not_know_do_not_add_up() -> None:
    model = net()
    body, head = body_and_head(model)
    data = numbers()
    controller = BatchSizeController(
        model,
        torch.optim.SGD(head.parameters(), lr=0.0),
        data,
        "constant",
        batch_size=SIZE,
        limits=Limits(smallest=SIZE, largest=SIZE),
    )
    for inputs, labels in controller.batches(DataLoader(data, batch_sampler=controller.sampler)):
        controller.step(nn.functional.cross_entropy(model(inputs), labels))
        loss = nn.functional.cross_entropy(model(inputs), labels)
        for p, gradient in zip(
            body.parameters(), torch.autograd.grad(loss, [*body.parameters()]), strict=True
        ):
            torch.testing.assert_close(p.grad, gradient)


@pytest.mark.parametrize("at", [1, 2, 3, 6])
def test_change_within_an_interval_holds_from_the_next_step_on(at: int) -> None:
    """The mean gradient is that of what is trained at the end, zeros where it was not trained yet."""
    model = net()
    body, head = body_and_head(model)
    optimizer = torch.optim.SGD(head.parameters(), lr=0.1)
    vectors: list[dict[nn.Parameter, Tensor]] = []
    optimizer.register_step_pre_hook(
        lambda *_: vectors.append(
            {p: p.grad.clone() for g in optimizer.param_groups for p in g["params"] if p.grad is not None}
        )
    )

    def change(step: int) -> None:
        if step == at and len(optimizer.param_groups) == 1:
            optimizer.add_param_group({"params": list(body.parameters())})

    controller, found = train(model, optimizer, change, epochs=2)
    check(controller, found)
    for row in controller.history:
        own = vectors[row.interval * STEPS : row.step]
        parameters = [p for p in model.parameters() if p in own[-1]]
        zeros = {p: torch.zeros_like(p) for p in parameters}
        mean = torch.stack(
            [torch.cat([{**zeros, **step}[p].flatten() for p in parameters]) for step in own]
        ).mean(dim=0)
        assert row.mean_grad_norm == pytest.approx(mean.norm().item(), rel=1e-9)
        assert row.mean_grad_component_variance == pytest.approx(mean.var(correction=0).item(), rel=1e-8)


def test_parameters_that_leave_are_measured_no_more() -> None:
    model = net()
    body, head = body_and_head(model)
    optimizer = torch.optim.SGD([{"params": [*head.parameters()]}, {"params": [*body.parameters()]}], lr=0.1)

    def change(step: int) -> None:
        if step == STEPS:
            del optimizer.param_groups[1:]
        if step == 2 * STEPS:
            model[2].bias.requires_grad_(False)

    check(*train(model, optimizer, change))


def test_head_that_was_replaced_is_measured_no_more() -> None:
    """The optimiser still holds the old one, which gets no gradient and does not move."""
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    old = list(model[2].parameters())

    def change(step: int) -> None:
        if step == STEPS:
            model[2] = nn.Linear(8, 3)
            optimizer.add_param_group({"params": list(model[2].parameters())})

    check(*train(model, optimizer, change, updated=lambda: [*model.parameters()]))
    assert all(p.grad is None for p in old)


def test_parameters_of_the_loss_are_measured_too() -> None:
    model, temperature = net(), nn.Parameter(torch.tensor(1.5))
    optimizer = torch.optim.SGD([{"params": [temperature]}, {"params": [*model.parameters()]}], lr=0.1)

    def loss_of(outputs: Tensor, labels: Tensor) -> Tensor:
        return nn.functional.cross_entropy(outputs / temperature, labels)

    check(*train(model, optimizer, loss_of=loss_of))


def test_parameters_that_two_modules_share_count_once() -> None:
    torch.manual_seed(1)
    shared = nn.Linear(6, 6)
    model = nn.Sequential(shared, nn.Tanh(), shared, nn.Linear(6, 3))
    groups: list[dict[str, Any]] = [{"params": [*module.parameters()]} for module in (model[3], shared)]
    optimizer = torch.optim.SGD(groups, lr=0.1)
    check(*train(model, optimizer))


def test_order_of_the_optimisers_groups_changes_no_bit() -> None:
    def run(*, turned: bool) -> list[Signals]:
        model = net()
        groups: list[dict[str, Any]] = [{"params": [p]} for p in model.parameters()]
        optimizer = torch.optim.SGD(groups[::-1] if turned else groups, lr=0.1)
        return train(model, optimizer)[0].history

    assert run(turned=True) == run(turned=False)


def _thaw(module: nn.Module) -> None:
    module.requires_grad_(True)


def test_model_of_which_nothing_is_trainable_yet_may_have_a_controller() -> None:
    model = net().requires_grad_(False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    check(*train(model, optimizer, lambda step: _thaw(model[2])))


def test_loss_without_a_gradient_is_refused() -> None:
    model = net().requires_grad_(False)
    data = numbers()
    controller = BatchSizeController(
        model,
        torch.optim.SGD(model.parameters(), lr=0.1),
        data,
        "deba",
        batch_size=SIZE,
        limits=Limits(smallest=SIZE, largest=SIZE),
    )
    inputs, labels = next(controller.batches(DataLoader(data, batch_sampler=controller.sampler)))
    with pytest.raises(
        InputError, match="the loss has no gradient: it depends on no parameter that requires"
    ):
        controller.step(nn.functional.cross_entropy(model(inputs), labels))


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("name", sorted({*SCHEDULERS} - {"plateau", "ramp", "lr_tail"}))
def test_interval_without_a_gradient_holds_and_says_so(name: str, scaled: bool) -> None:
    """The optimiser holds what the loss does not reach, and later something that it does."""
    model, idle = net(), nn.Parameter(torch.zeros(3))
    own = list(model.parameters())
    model.register_parameter("idle", idle)
    optimizer = torch.optim.SGD([idle], lr=0.1)
    data = numbers()
    controller = BatchSizeController(
        model,
        optimizer,
        data,
        name,
        batch_size=SIZE,
        limits=Limits(smallest=8, largest=48),
        evaluate=lambda: 1.0,
        scaler=torch.amp.GradScaler("cpu", init_scale=8.0) if scaled else None,
    )
    measures = bool(controller.scheduler.needs & {*MEASURED})
    for epoch in range(4):
        if epoch == 2:
            optimizer.add_param_group({"params": own})
        for inputs, labels in controller.batches(DataLoader(data, batch_sampler=controller.sampler)):
            controller.step(nn.functional.cross_entropy(model(inputs), labels))
        row = controller.history[-1]
        values = [getattr(row, each) for each in controller.scheduler.needs & {*MEASURED}]
        if epoch < 2 and measures:
            assert all(math.isnan(value) for value in values)
            assert row.noise_count == 0
            assert controller.decision.action == "hold"
            assert controller.decision.reason == "no parameter of the optimiser had a gradient"
        else:
            assert all(value is not None and math.isfinite(value) for value in values)
            assert controller.decision.reason != "no parameter of the optimiser had a gradient"
        assert math.isfinite(row.train_loss)


def test_step_without_a_gradient_is_no_zero_in_the_means() -> None:
    """Every second batch's loss depends on what the optimiser does not hold."""
    model, other = net(), nn.Parameter(torch.ones(()))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    data = numbers()
    controller = BatchSizeController(
        model,
        optimizer,
        data,
        WantsAll(),
        batch_size=SIZE,
        limits=Limits(smallest=SIZE, largest=SIZE),
        device_batch=SIZE // 2,
    )
    steps: list[list[tuple[int, NDArray[np.float64]]]] = []
    for inputs, labels in controller.batches(DataLoader(data, batch_sampler=controller.sampler)):
        if controller.steps % 2 == 0:
            controller.step(other * 2)
            continue
        loss = nn.functional.cross_entropy(model(inputs), labels)
        gradient = torch.autograd.grad(loss, [*model.parameters()], retain_graph=True)
        steps += [[]] if controller.part.first else []
        steps[-1].append((len(labels), flat(gradient, [*model.parameters()])))
        controller.step(loss)
    (row,) = controller.history
    assert (row.step, row.noise_count, len(steps)) == (STEPS, STEPS // 2, STEPS // 2)
    check(controller, [Reference(steps)])


def test_noise_is_refused_where_the_parts_are_not_handed_over() -> None:
    """It would have been of no gradient at all, and the update of none."""
    model, data = net(), numbers()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    controller = BatchSizeController(
        model,
        optimizer,
        data,
        WantsAll(),
        batch_size=SIZE,
        limits=Limits(smallest=SIZE, largest=SIZE),
        device_batch=SIZE // 2,
    )
    for inputs, labels in DataLoader(data, batch_sampler=controller.sampler):
        part = controller.begin()
        loss = nn.functional.cross_entropy(model(inputs), labels)
        (loss * part.examples / part.batch_size).backward()
        controller.record(loss)
        if part.last:
            break
    with pytest.raises(InputError, match=r"none was taken: call controller\.backward\(loss\)"):
        controller.measure()
    assert all(p.grad is not None for p in model.parameters())


def test_run_goes_on_bit_for_bit_where_the_body_has_joined() -> None:
    def build() -> tuple[nn.Sequential, torch.optim.Optimizer]:
        model = net()
        return model, torch.optim.SGD(model[2].parameters(), lr=0.1)

    def join(model: nn.Sequential, optimizer: torch.optim.Optimizer) -> None:
        optimizer.add_param_group({"params": list(model[0].parameters())})

    def go(
        model: nn.Sequential, optimizer: torch.optim.Optimizer, controller: BatchSizeController, until: int
    ) -> None:
        data = numbers()
        while controller.steps < until:
            for inputs, labels in controller.batches(DataLoader(data, batch_sampler=controller.sampler)):
                if controller.steps == 2 and len(optimizer.param_groups) == 1:
                    join(model, optimizer)
                if controller.step(nn.functional.cross_entropy(model(inputs), labels)):
                    break

    def controlled(model: nn.Sequential, optimizer: torch.optim.Optimizer) -> BatchSizeController:
        return BatchSizeController(
            model,
            optimizer,
            numbers(),
            WantsAll(),
            batch_size=SIZE,
            limits=Limits(smallest=SIZE, largest=SIZE),
        )

    model, optimizer = build()
    whole = controlled(model, optimizer)
    go(model, optimizer, whole, 2 * STEPS)
    first = build()
    cut = controlled(*first)
    go(*first, cut, 3)  # in mid-interval, one step after the body joined
    second = build()
    join(*second)
    resumed = controlled(*second)
    second[0].load_state_dict(first[0].state_dict())
    resumed.load_state_dict(cut.state_dict())
    go(*second, resumed, 2 * STEPS)
    assert resumed.history == whole.history


# --- gradients that are not dense and real -----------------------------------------------------------


class Waves(nn.Module):
    """Complex weights, or the same numbers as pairs of real ones."""

    def __init__(self, *, real: bool, shape: tuple[int, ...] = (6, 5)) -> None:
        super().__init__()
        torch.manual_seed(2)
        weight = torch.randn(shape, dtype=torch.complex128) / 4
        self.weight = nn.Parameter(torch.view_as_real(weight).clone() if real else weight)
        self.head = nn.Linear(shape[-1], 3)

    def forward(self, inputs: Tensor) -> Tensor:
        weight = self.weight if self.weight.is_complex() else torch.view_as_complex(self.weight)
        outputs: Tensor = self.head((inputs.to(torch.complex128) @ weight.conj()).abs())
        return outputs


@pytest.mark.parametrize("device_batch", [None, 7])
@pytest.mark.parametrize("shape", [(6, 5), (6, 11_000)], ids=["small", "large"])
def test_complex_weights_have_the_signals_of_their_real_twins(
    shape: tuple[int, ...], device_batch: int | None
) -> None:
    histories = []
    for real in (True, False):
        model = Waves(real=real, shape=shape)
        found = train(
            model, torch.optim.SGD(model.parameters(), lr=0.05), epochs=2, device_batch=device_batch
        )
        check(*found)
        histories.append(found[0].history)
    for one, other in zip(*histories, strict=True):
        for name in MEASURED:
            assert getattr(one, name) == pytest.approx(getattr(other, name), rel=1e-9), name


class Words(nn.Module):
    """An embedding, sparse or not, of indices that come several times in a batch."""

    def __init__(self, *, sparse: bool, words: int, tied: bool = False) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.embedding = nn.Embedding(words, 3, sparse=sparse)
        self.head = nn.Linear(3, 3)
        self.tied = tied

    def forward(self, inputs: Tensor) -> Tensor:
        found = self.embedding(inputs)
        outputs: Tensor = self.head(found.sum(dim=1))
        return outputs + found.mean(dim=1) @ self.embedding.weight[:3] if self.tied else outputs


@pytest.mark.parametrize("device_batch", [None, 7])
@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("words", [20, 30_000])
def test_sparse_gradients_have_the_signals_of_dense_ones(
    words: int, tied: bool, device_batch: int | None
) -> None:
    random = torch.Generator().manual_seed(0)
    indices = torch.randint(words, (EXAMPLES, 4), generator=random)
    indices[:, 1] = indices[:, 0]
    data = TensorDataset(indices, torch.randint(3, (EXAMPLES,), generator=random))
    weights = []
    for sparse in (True, False):
        model = Words(sparse=sparse, words=words, tied=tied)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
        check(*train(model, optimizer, data=data, epochs=2, device_batch=device_batch))
        weights.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    torch.testing.assert_close(*weights, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("device_batch", [None, 7])
def test_weights_in_half_precision_lose_no_more_than_their_gradients_do(
    dtype: torch.dtype, device_batch: int | None
) -> None:
    """Sums over components, and over steps, are in single precision at least."""
    torch.set_default_dtype(torch.float32)
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(6, 300), nn.ReLU(), nn.Linear(300, 300), nn.ReLU(), nn.Linear(300, 3))
    model.to(dtype)
    data = TensorDataset(numbers().tensors[0].to(dtype), numbers().tensors[1])
    found = train(
        model,
        torch.optim.SGD(model.parameters(), lr=0.05),
        data=data,
        device_batch=device_batch,
        loss_of=lambda outputs, labels: nn.functional.cross_entropy(outputs.float(), labels),
    )
    check(*found, rel=0.1)  # a part's gradient is rounded to 8 bits once more when it is weighted
    tight = {"mean_grad_norm", "grad_norm", "batch_grad_sq_norm"}
    for row, reference in zip(found[0].history, found[1], strict=True):
        for name, value in reference.row().items():
            if name in tight:
                assert getattr(row, name) == pytest.approx(value, rel=4e-3), name


def test_large_gradients_in_float16_do_not_overflow() -> None:
    torch.set_default_dtype(torch.float32)
    model = nn.Linear(6, 3).half()
    data = TensorDataset(torch.full((EXAMPLES, 6), 200.0, dtype=torch.float16), numbers().tensors[1])
    found = train(
        model,
        torch.optim.SGD(model.parameters(), lr=0.0),
        data=data,
        epochs=1,
        loss_of=lambda outputs, labels: (outputs.float() * 200).sum(dim=1).mean(),
    )
    assert found[0].history[0].grad_norm == pytest.approx(found[1][0].row()["grad_norm"], rel=1e-3)
    assert found[1][0].row()["grad_norm"] > 65_504


# --- what the controller's optimiser does not know ---------------------------------------------------------


@dataclass
class Thawing:
    """A head under the controller, a body that is thawed after an epoch, and another optimiser."""

    other: Callable[[nn.Module, nn.Module], torch.optim.Optimizer | None]
    steps: bool = False  # whether the loop steps it

    def run(self, *, frozen: bool = True, add: bool = False) -> None:
        body, head = nn.Linear(6, 8), nn.Linear(8, 3)
        model = nn.Sequential(body, nn.Tanh(), head)
        body.requires_grad_(not frozen)
        optimizer = torch.optim.SGD(head.parameters(), lr=0.1)
        controller = BatchSizeController(
            model, optimizer, numbers(), "constant", batch_size=8, limits=Limits(smallest=8, largest=8)
        )
        loader = DataLoader(numbers(), batch_sampler=controller.sampler)
        other = None
        for epoch in range(3):
            if epoch == 1:
                body.requires_grad_(True)
                if add:
                    optimizer.add_param_group({"params": list(body.parameters())})
                other = self.other(body, model)
            for inputs, labels in controller.batches(loader):
                controller.step(nn.functional.cross_entropy(model(inputs), labels))
                if self.steps and other is not None:
                    other.step()
        if other is not None:
            other.step()  # behind the loop, which nobody minds


def none(body: nn.Module, model: nn.Module) -> None:
    return None


def of_all(body: nn.Module, model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.AdamW(model.parameters(), lr=0.1)


def of_body(body: nn.Module, model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(body.parameters(), lr=0.1, fused=True)


@pytest.mark.parametrize("other", [none, of_all, of_body])
def test_layer_that_was_thawed_and_that_nobody_updates_is_told(other: Any) -> None:
    says = r"parameter '0\.weight' was thawed, added or replaced, but no optimizer updates it: give it to"
    with pytest.warns(UserWarning, match=says) as told:
        Thawing(other).run()
    assert len(told) == 1


def test_another_optimizer_of_the_same_parameters_is_told() -> None:
    says = r"step\(\) of another AdamW with the same parameters is called beside the controller"
    with pytest.warns(UserWarning, match=says) as told:
        Thawing(of_all, steps=True).run()
    assert len(told) == 1


def test_layer_that_is_somebody_elses_is_left_alone() -> None:
    Thawing(of_body, steps=True).run()
    Thawing(none).run(add=True)
    Thawing(none).run(frozen=False)  # a linear probe, whose body keeps its gradients


def test_layer_that_is_added_and_that_nobody_updates_is_told() -> None:
    model = nn.Sequential(nn.Linear(6, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    controller = BatchSizeController(
        model, optimizer, numbers(), "constant", batch_size=8, limits=Limits(smallest=8, largest=8)
    )
    loader = DataLoader(numbers(), batch_sampler=controller.sampler)

    def run() -> None:
        for epoch in range(3):
            if epoch == 1:
                model.append(nn.Linear(3, 3))
            for inputs, labels in controller.batches(loader):
                controller.step(nn.functional.cross_entropy(model(inputs), labels))

    with pytest.warns(UserWarning, match=r"parameter '1\.weight' was thawed, added or replaced"):
        run()


def test_optimizer_of_before_a_layer_was_replaced_is_told() -> None:
    model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 5))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model[2] = nn.Linear(8, 3)  # for other classes, and too late
    controller = BatchSizeController(
        model, optimizer, numbers(), "constant", batch_size=8, limits=Limits(smallest=8, largest=8)
    )

    def run() -> None:
        for inputs, labels in controller.batches(DataLoader(numbers(), batch_sampler=controller.sampler)):
            controller.step(nn.functional.cross_entropy(model(inputs), labels))

    with pytest.warns(UserWarning, match=r"parameter '2\.weight' was thawed, added or replaced, but no"):
        run()


def test_parameters_of_a_loss_beside_a_probe_are_left_alone() -> None:
    model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))
    scale = nn.Parameter(torch.ones(()))
    optimizer = torch.optim.SGD([*model[2].parameters(), scale], lr=0.1)
    controller = BatchSizeController(
        model, optimizer, numbers(), "constant", batch_size=8, limits=Limits(smallest=8, largest=8)
    )
    for inputs, labels in controller.batches(DataLoader(numbers(), batch_sampler=controller.sampler)):
        controller.step(nn.functional.cross_entropy(model(inputs) * scale, labels))
