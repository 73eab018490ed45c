"""What the training needs to know of a task; it does not know which one it trains."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeVar

import torch
from torch import Tensor, nn

from adasearch.choices import Task as Kind

__all__ = ["Data", "Evaluation", "HeldOut", "Stream", "Task"]

HeldOut = Literal["val", "test"]


class Data(Protocol):
    """A data set ready to train on; the test split is absent unless it was asked for."""

    @property
    def task(self) -> Kind:
        """Which task they are of."""
        ...

    @property
    def train(self) -> Any:
        """The training split, which has a length: its examples."""
        ...

    @property
    def val(self) -> Any:
        """The validation split, likewise."""
        ...

    @property
    def test(self) -> Any:
        """The test split, or None."""
        ...

    @property
    def fingerprint(self) -> str:
        """What identifies the examples."""
        ...

    def to(self, device: torch.device) -> "Data":
        """Return the data set with what its splits give on ``device``."""
        ...


class Stream(Protocol):
    """Training batches of any size, see :class:`~adasearch.data.batches.Batches`."""

    def prepare(self, offset: int, batch_size: int, steps: int, parts: int, mine: range) -> None:
        """Hear what the next steps take."""
        ...

    def chunks(
        self, offset: int, step: int, batch_size: int, parts: int, mine: range
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield this worker's parts of one global batch: inputs and targets, whose first axis is examples."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What an evaluation found, each a mean over the examples.

    Args:
        loss: of the training's own.
        objective: what a search minimises.
        objective_se: its standard error, from the spread of the examples'; None for a fraction of errors,
            whose own says it.
        metrics: what else was found, by name.
    """

    loss: float
    objective: float
    objective_se: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)


D = TypeVar("D")


class Task(Protocol[D]):
    """A task for data of one shape; small enough to travel, and without data itself.

    Attributes:
        objective: the name of what a search minimises.
        shape: of an example, in words; a device batch that fits is remembered by it.
        pass_size: examples per forward pass on a CPU; larger passes gain no speed there.
        scored: how many sums :meth:`scores` returns.
    """

    @property
    def objective(self) -> str: ...  # noqa: D102 - see the class

    @property
    def shape(self) -> str: ...  # noqa: D102

    @property
    def pass_size(self) -> int: ...  # noqa: D102

    @property
    def scored(self) -> int: ...  # noqa: D102

    def network(self, architecture: str, scale: str) -> nn.Module:
        """Return a network with fresh weights from torch's global generator."""
        ...

    def check_network(self, architecture: str, scale: str, *, per_example: bool) -> None:
        """Refuse a network that does not fit; nothing is allocated where it allows that."""
        ...

    def stream(self, data: D, seed: int) -> Stream:
        """Return the training batches of a run."""
        ...

    def loss(self, output: Tensor, targets: Tensor) -> Tensor:
        """Return the sum of the examples' losses."""
        ...

    def pieces(self, data: D, split: HeldOut, rank: int, world: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield worker ``rank``'s inputs and targets of a split that is evaluated."""
        ...

    def scores(self, output: Tensor, targets: Tensor) -> Sequence[Tensor]:
        """Return the sums over examples that :meth:`evaluation` is made of."""
        ...

    def evaluation(self, data: D, split: HeldOut, means: Sequence[float]) -> Evaluation:
        """Return what the sums over a whole split, divided by its examples, come to."""
        ...

    def blank(self, examples: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """Return inputs and targets that show nothing, to try how large a pass may be."""
        ...

    def made_up(self, train: int, val: int) -> D:
        """Return data that show nothing, to rehearse a run."""
        ...
