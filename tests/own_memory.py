"""A user's own network that runs out of memory on the second of two workers, in the middle of training."""

import torch
from torch import Tensor, nn
from torch import distributed as dist

MOST = 8
"""Examples of a pass that fit there."""


class RunsOut(nn.Module):
    """Trying a size (on empty images) does not show it: memory that was there is gone later."""

    def __init__(self, classes: int, image_size: int) -> None:
        super().__init__()
        self.last = nn.Linear(3 * image_size**2, classes)
        self.steps = 0

    def forward(self, images: Tensor) -> Tensor:
        if self.training and images.abs().sum() > 0 and dist.is_initialized() and dist.get_rank() == 1:
            self.steps += 1
            if self.steps > 12 and len(images) > MOST:
                raise torch.OutOfMemoryError("the second worker's memory is gone")
        output: Tensor = self.last(images.flatten(1))
        return output


def make(classes: int, image_size: int) -> nn.Module:
    return RunsOut(classes, image_size)
