"""Networks that pass a look at two images, and fail in the first steps of a training all the same."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch import distributed as dist

from adasearch.records import Decision, Limits, Signals
from adasearch.schedulers.base import LR_SCHEDULES, hold


class Base(nn.Module):
    """A network that trains."""

    def __init__(self, *, classes: int, image_size: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(), nn.Linear(3 * image_size**2, 8), nn.ReLU(), nn.Linear(8, classes)
        )

    def forward(self, images: Tensor) -> Tensor:
        outputs: Tensor = self.layers(images)
        return outputs


class Normed(Base):
    """It trains, too; BatchNorm wants two examples at least."""

    def __init__(self, *, classes: int, image_size: int) -> None:
        super().__init__(classes=classes, image_size=image_size)
        self.layers.insert(2, nn.BatchNorm1d(8))


class InPlace(Base):
    def forward(self, images: Tensor) -> Tensor:
        outputs = torch.sigmoid(super().forward(images))
        return outputs.add_(1) * outputs.mul_(2)


class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, numbers: Tensor) -> Tensor:
        return numbers * 2

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        raise NotImplementedError("no way\nback")


class NoBackward(Base):
    def forward(self, images: Tensor) -> Tensor:
        outputs: Tensor = Doubled.apply(super().forward(images))
        return outputs


class Detached(Base):
    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images).detach()


class NoEvaluation(Base):
    def forward(self, images: Tensor) -> Tensor:
        if not self.training:
            raise RuntimeError("only for training")
        return super().forward(images)


class Looks(Base):
    """It trains, but no function can be mapped over its examples."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images) * (1.0 if images.abs().max().item() >= 0 else 2.0)


class Stateful(Base):
    """What it keeps beside its tensors is written, but not read again."""

    def get_extra_state(self) -> object:
        return {"half": Fraction(1, 2)}

    def set_extra_state(self, state: object) -> None:
        assert state


class Idle(Base):
    """The loss does not reach a layer, which DDP has to average."""

    def __init__(self, *, classes: int, image_size: int) -> None:
        super().__init__(classes=classes, image_size=image_size)
        self.idle = nn.Linear(2, 2)


class Dies(Base):
    def forward(self, images: Tensor) -> Tensor:
        if dist.is_initialized():
            os._exit(9)
        return super().forward(images)


class TooLarge(Base):
    """For this machine; the trials may have another."""

    def forward(self, images: Tensor) -> Tensor:
        if images.device.type == "cpu" and len(images) > 2:
            raise torch.OutOfMemoryError("no room")
        return super().forward(images)


@dataclass(frozen=True)
class Falls:
    """A scheduler that fails when it is asked."""

    needs: ClassVar[frozenset[str]] = frozenset()
    lr_schedules: ClassVar[frozenset[str]] = LR_SCHEDULES

    def decide(self, history: Sequence[Signals], limits: Limits) -> Decision:
        return hold(history[-7], "seven ago")


@dataclass(frozen=True)
class Works(Falls):
    def decide(self, history: Sequence[Signals], limits: Limits) -> Decision:
        return hold(history[-1], "always")
