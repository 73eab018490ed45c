"""What is handed to a controller: refused where it is of another kind; optimisers with closures."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from adasearch import BatchSizeController, Limits
from adasearch.errors import InputError
from tests.controller.test_state import numbers

LIMITS = Limits(smallest=4, largest=24)


class Sam(torch.optim.SGD):
    """Sharpness-aware minimisation as it is usually written: a step up, the closure, a step."""

    def step(self, closure: Callable[[], Tensor] | None = None) -> None:  # type: ignore[override]
        assert closure is not None, "Sharpness Aware Minimization requires closure, but it was not provided"
        parameters = [p for group in self.param_groups for p in group["params"]]
        steps = [0.05 * p.grad / p.grad.norm() for p in parameters]
        with torch.no_grad():
            for p, step in zip(parameters, steps, strict=True):
                p.add_(step)
            self.zero_grad()
            with torch.enable_grad():
                closure().backward()
            for p, step in zip(parameters, steps, strict=True):
                p.sub_(step)
        super().step()


def lbfgs(parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.LBFGS(parameters, lr=0.1, max_iter=3)


OPTIMIZERS: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "LBFGS": lbfgs,
    "Sam": lambda parameters: Sam(parameters, lr=0.1),
}


def closure_of(name: str, optimizer: torch.optim.Optimizer, loss_of: Callable[[], Tensor]) -> Any:
    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = loss_of()
        loss.backward()
        return loss

    return closure if name == "LBFGS" else loss_of


def build(name: str) -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))
    return model, OPTIMIZERS[name](model.parameters())


def controlled(model: nn.Module, optimizer: torch.optim.Optimizer, **options: Any) -> BatchSizeController:
    return BatchSizeController(model, optimizer, numbers(), **{"batch_size": 8, "limits": LIMITS, **options})


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimiser_with_a_closure_is_refused_by_update_and_works_in_pieces(name: str) -> None:
    data = numbers()
    model, optimizer = build(name)
    plain, other = build(name)
    controller = controlled(model, optimizer)
    inputs, labels = next(controller.batches(DataLoader(data, batch_sampler=controller.sampler)))
    assert controller.backward(nn.functional.cross_entropy(model(inputs), labels))
    with pytest.raises(InputError, match=rf"^{name} steps with a closure: .* optimizer\.step\(closure\) and"):
        controller.update()
    controller = controlled(model, optimizer)  # the refusal left weights and learning rates as they were
    norms = []
    for inputs, labels in controller.batches(DataLoader(data, batch_sampler=controller.sampler)):

        def loss_of(network: nn.Module = model, inputs: Tensor = inputs, labels: Tensor = labels) -> Tensor:
            return nn.functional.cross_entropy(network(inputs), labels)

        if controller.backward(loss_of()):
            controller.before_update()
            optimizer.step(closure_of(name, optimizer, loss_of))
            controller.after_update()
        other.zero_grad()
        first = loss_of(plain)
        first.backward()
        norms.append(torch.cat([p.grad.flatten() for p in plain.parameters() if p.grad is not None]).norm())
        other.step(closure_of(name, other, lambda: loss_of(plain)))
    for p, q in zip(model.parameters(), plain.parameters(), strict=True):
        assert torch.equal(p, q)
    assert controller.history[0].grad_norm == pytest.approx(torch.stack(norms).mean().item(), rel=1e-5)
    assert optimizer.param_groups[0]["lr"] == 0.1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": "32"}, "batch_size must be a whole number but is '32'"),
        ({"batch_size": 8.0}, "batch_size must be a whole number but is 8.0"),
        ({"batch_size": True}, "batch_size must be a whole number but is True"),
        ({"limits": (4, 24)}, "limits must be adasearch.Limits or None but is of type tuple"),
        ({"interval": "1"}, "interval must be a number of epochs but is '1'"),
        ({"device_batch": 4.5}, "device_batch must be a whole number or None but is 4.5"),
        ({"seed": None}, "seed must be a whole number but is of type NoneType"),
        ({"evaluate": 0.5}, "evaluate must be a function or None but is 0.5"),
    ],
)
def test_argument_of_another_kind_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as raised:
        controlled(*build("Sam"), **change)
    assert str(raised.value) == message


def test_several_optimisers_and_what_is_no_module_are_refused() -> None:
    model, optimizer = build("Sam")
    options: Any = {"batch_size": 8, "limits": LIMITS}
    several: Any = [optimizer, optimizer]
    function: Any = torch.sigmoid
    with pytest.raises(
        InputError, match=r"^optimizer must be one torch\.optim\.Optimizer but is of type list$"
    ):
        BatchSizeController(model, several, numbers(), **options)
    with pytest.raises(
        InputError, match=r"^model must be a torch\.nn\.Module but is of type builtin_function_or_method$"
    ):
        BatchSizeController(function, optimizer, numbers(), **options)


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (
            lambda loss: loss.expand(8),
            r"one number, the mean over the examples at hand, but has shape \(8,\)",
        ),
        (lambda loss: loss.item(), "one number, the mean over the examples at hand, but is float"),
        (lambda loss: loss.detach(), "depends on no parameter that requires one"),
    ],
)
def test_what_is_no_loss_is_refused(loss: Callable[[Tensor], Any], message: str) -> None:
    model, optimizer = build("Sam")
    controller = controlled(model, optimizer)
    inputs, labels = next(controller.batches(DataLoader(numbers(), batch_sampler=controller.sampler)))
    with pytest.raises(InputError, match=message):
        controller.backward(loss(nn.functional.cross_entropy(model(inputs), labels)))


def test_timetable_that_goes_beyond_the_run_is_warned_of() -> None:
    model, optimizer = build("Sam")
    points = {"points": "8@30, 16@5000"}
    with pytest.warns(UserWarning, match=r"1 of 2 points never taken \(16@5000\): the run ends at "):
        BatchSizeController(
            model, optimizer, numbers(), "ramp", fields=points, batch_size=4, limits=LIMITS, epochs=2
        )
