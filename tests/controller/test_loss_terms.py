"""What a loss is a mean over is seen behind other terms, too, and a loss that is right hears nothing."""

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from adasearch import BatchSizeController, Limits
from adasearch.controller.loss_graph import terms_of

EXAMPLES, CLASSES, SIZE = 112, 3, 14  # in four parts of 4, 3, 4 and 3
WEIGHTS = torch.tensor([1.0, 2.0, 30.0])
WEIGH, SUM = "give controller.step(loss, weight=...)", "the loss looks like the sum over the"

cross = nn.functional.cross_entropy
square = nn.functional.mse_loss


def each(out: Tensor, y: Tensor) -> Tensor:
    return cross(out, y, reduction="none")


def chosen(y: Tensor) -> Tensor:
    return y != 1


def onehot(out: Tensor, y: Tensor) -> Tensor:
    return nn.functional.one_hot(y, CLASSES).to(out)


SCALE = nn.Parameter(torch.ones(()))
Loss = Callable[[Tensor, Tensor], Tensor]

WEIGHED: dict[str, Loss] = {
    "class weights": lambda out, y: cross(out, y, weight=WEIGHTS),
    "behind a penalty": lambda out, y: cross(out, y, weight=WEIGHTS) + 1e-4 * out.square().mean(),
    "behind a penalty in front": lambda out, y: 1e-4 * out.square().mean() + cross(out, y, weight=WEIGHTS),
    "half of it": lambda out, y: 0.5 * cross(out, y, weight=WEIGHTS),
    "divided once more": lambda out, y: cross(out, y, ignore_index=1) / 4,
    "label smoothing": lambda out, y: cross(out, y, weight=WEIGHTS, label_smoothing=0.1),
    "label smoothing and padding": lambda out, y: cross(out, y, ignore_index=1, label_smoothing=0.1),
    "by log-softmax": lambda out, y: nn.functional.nll_loss(out.log_softmax(1), y, weight=WEIGHTS),
    "in two dimensions": lambda out, y: cross(
        out[:, :, None].expand(-1, -1, 5), y[:, None].expand(-1, 5), ignore_index=1
    ),
    "three terms in a stack": lambda out, y: torch.stack(
        [out.mean(), cross(out, y, ignore_index=1), out.square().mean()]
    ).sum(),
    "sum of a list": lambda out, y: sum([cross(out, y), cross(out, y, ignore_index=1)], torch.zeros(())),
    "mask": lambda out, y: (each(out, y) * chosen(y)).sum() / chosen(y).sum(),
    "mask that may be empty": lambda out, y: (each(out, y) * chosen(y)).sum() / chosen(y).sum().clamp(min=1),
    "mask and a number": lambda out, y: (each(out, y) * chosen(y)).sum() / max(1, int(chosen(y).sum())),
    "mask by its mean": lambda out, y: (each(out, y) * chosen(y)).mean() / chosen(y).float().mean(),
    "mask by a reciprocal": lambda out, y: (each(out, y) * chosen(y)).sum() * (1 / chosen(y).sum()),
    "mask behind a term": lambda out, y: (
        square(out, onehot(out, y)) + 0.3 * (each(out, y) * chosen(y)).sum() / chosen(y).sum()
    ),
    "weights of examples": lambda out, y: (each(out, y) * WEIGHTS[y]).sum() / WEIGHTS[y].sum(),
    "weights and a product": lambda out, y: each(out, y) @ WEIGHTS[y] / WEIGHTS[y].sum(),
    "selection": lambda out, y: each(out, y)[chosen(y)].mean(),
    "masked selection": lambda out, y: each(out, y).masked_select(chosen(y)).mean() + 0.1 * out.mean(),
    "without what is NaN": lambda out, y: each(out, y).masked_fill(~chosen(y), torch.nan).nanmean(),
    "sum, then divided": lambda out, y: cross(out, y, ignore_index=1, reduction="sum") / chosen(y).sum(),
}

PLAIN: dict[str, Loss] = {
    "mean": cross,
    "label smoothing": lambda out, y: cross(out, y, label_smoothing=0.1),
    "equal weights": lambda out, y: cross(out, y, weight=torch.full((3,), 2.0)),
    "an index that is not there": lambda out, y: cross(out, y, ignore_index=7),
    "divided": lambda out, y: cross(out, y) / 4,
    "by a parameter": lambda out, y: cross(out, y) / SCALE.exp() + SCALE,
    "by hand": lambda out, y: each(out, y).sum() / len(y),
    "by hand, a reciprocal": lambda out, y: each(out, y).sum() * (1 / len(y)),
    "over tokens, all of them": lambda out, y: cross(out.repeat(5, 1), y.repeat(5)),
    "sum over tokens, mean over examples": lambda out, y: (out - onehot(out, y)).square().sum(1).mean(),
    "penalty of weights": lambda out, y: cross(out, y) + 1e-3 * SCALE.square().sum(),
    "mean of weights": lambda out, y: cross(out, y) + 0.1 * torch.outer(WEIGHTS, SCALE * WEIGHTS).mean(),
    "mask that leaves out none": lambda out, y: (each(out, y) * (y < 9)).sum() / (y < 9).sum(),
    "mask within each example": lambda out, y: (
        ((out - 1).square() * (out > 0)).sum(1) / (out > 0).sum(1).clamp(min=1)
    ).mean(),
    "weighed, and a mean": lambda out, y: (each(out, y) * WEIGHTS[y]).mean(),
    "mixed examples": lambda out, y: (
        (share := float(torch.rand(()))) * cross(out, y) + (1 - share) * cross(out, y.flip(0))
    ),
    "list": lambda out, y: sum((cross(out[[n]], y[[n]]) for n in range(len(y))), torch.zeros(())) / len(y),
    "stack of the examples'": lambda out, y: torch.stack(
        [cross(a, b) for a, b in zip(out, y, strict=True)]
    ).mean(),
    "by kernels": lambda out, y: nn.functional.kl_div(
        out.log_softmax(1), onehot(out, y), reduction="batchmean"
    ),
    "contrast of pairs": lambda out, y: nn.functional.cosine_embedding_loss(
        out, out.flip(0), torch.where(y > 0, 1, -1)
    ),
}

SUMS: dict[str, Loss] = {
    "behind a term": lambda out, y: cross(out, y, reduction="sum") + 0.1 * out.mean(),
    "half the squares": lambda out, y: 0.5 * square(out, onehot(out, y), reduction="sum"),
    "squares by hand": lambda out, y: (out - onehot(out, y)).square().sum(),
    "two": lambda out, y: each(out, y).sum() + out.square().sum(),
    "as of an autoencoder": lambda out, y: (
        nn.functional.binary_cross_entropy_with_logits(out, onehot(out, y), reduction="sum")
        - 0.5 * (1 + out - out.exp()).sum()
    ),
}


def heard(loss: Loss, **options: Any) -> list[str]:
    """What a loop of an epoch is told."""
    torch.manual_seed(0)
    data = TensorDataset(torch.randn(EXAMPLES, 6), torch.tensor([0, 1, *[2] * 5] * 16))
    model = nn.Linear(6, CLASSES)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    settings: dict[str, Any] = {"batch_size": SIZE, "limits": Limits(smallest=SIZE, largest=SIZE)}
    controller = BatchSizeController(
        model, optimizer, data, "constant", **{**settings, "device_batch": 4, **options}
    )
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        for inputs, labels in controller.batches(DataLoader(data, batch_sampler=controller.sampler)):
            controller.step(loss(model(inputs), labels))
    return [str(each.message) for each in found]


@pytest.mark.parametrize("kind", WEIGHED)
def test_mean_over_something_else_than_examples_is_told_wherever_it_stands(kind: str) -> None:
    lines = heard(WEIGHED[kind])
    assert [WEIGH in line for line in lines] == [True], lines


@pytest.mark.parametrize("kind", WEIGHED)
def test_batch_in_one_part_may_be_a_mean_over_anything(kind: str) -> None:
    assert heard(WEIGHED[kind], device_batch=None) == []


@pytest.mark.parametrize("kind", PLAIN)
def test_mean_over_examples_is_left_alone(kind: str) -> None:
    assert heard(PLAIN[kind]) == []


@pytest.mark.parametrize("kind", SUMS)
def test_sum_is_told_wherever_it_stands(kind: str) -> None:
    lines = heard(SUMS[kind], device_batch=None)
    assert [SUM in line for line in lines] == [True], lines


@pytest.mark.parametrize("kind", [*PLAIN, *WEIGHED])
def test_mean_is_taken_for_no_sum(kind: str) -> None:
    assert heard((PLAIN | WEIGHED)[kind], device_batch=None) == []


def test_padding_that_comes_late_is_told() -> None:
    numbers = iter(range(10**6))

    def loss(out: Tensor, y: Tensor) -> Tensor:
        number = next(numbers)
        padded = (torch.arange(len(y)) == 0) & (number > 12) & (number % 2 == 0)
        return cross(out, torch.where(padded, -100, y))

    lines = heard(loss)
    assert [WEIGH in line for line in lines] == [True], lines


def test_loss_is_looked_at_in_few_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []

    def counted(loss: Tensor, examples: int, *, products: bool) -> object:
        looks.append(examples)
        return terms_of(loss, examples, products=products)

    monkeypatch.setattr("adasearch.controller.watch.terms_of", counted)
    assert heard(cross, batch_size=4, limits=Limits(smallest=4, largest=4), device_batch=None) == []
    assert looks == [4]
    looks.clear()
    torch.manual_seed(0)
    assert heard(cross, batch_size=8, limits=Limits(smallest=8, largest=8)) == []  # 14 batches of 2 parts
    assert len(looks) == 2 * len({1, 2, 3, 4, 8})


def values(node: object) -> Iterator[str]:
    yield from (name for name in dir(node) if name.startswith("_saved"))


def test_what_is_read_of_autograd_is_there() -> None:
    out, y = torch.randn(4, CLASSES, requires_grad=True), torch.arange(4) % CLASSES
    assert {"_saved_total_weight", "_saved_weight", "_saved_reduction"} <= {*values(cross(out, y).grad_fn)}
    assert "_saved_self_sym_sizes" in values(out.sum().grad_fn)
    assert "_saved_self_sym_numel" in values(out.mean().grad_fn)
    assert "_saved_other" in values((out.mean() / 2).grad_fn)
    assert "_saved_other" in values((out.mean() * 2).grad_fn)
    assert out.mean().grad_fn._input_metadata[0].shape == []  # type: ignore[union-attr]
