"""A network's floating-point buffers (BatchNorm's running statistics) as one tensor.

One copy or one reduction then serves them all, however many layers there are.
"""

import torch
from torch import distributed as dist
from torch import nn

__all__ = ["JoinedBuffers"]


class JoinedBuffers:
    """Moves the buffers of ``network`` into one flat tensor, of which each becomes a view.

    Call it after the network is on its device. Buffers of another type than torch's default (counters) stay
    where they are.

    Attributes:
        flat: all values, shape (numbers,).
    """

    def __init__(self, network: nn.Module) -> None:
        dtype = torch.get_default_dtype()
        places = [
            (module, name, buffer)
            for module in network.modules()
            for name, buffer in module.named_buffers(recurse=False)
            if buffer.dtype == dtype
        ]
        self.flat = torch.cat([buffer.flatten() for _, _, buffer in places]) if places else torch.empty(0)
        self._saved = self.flat.clone()
        start = 0
        for module, name, buffer in places:
            setattr(module, name, self.flat[start : start + buffer.numel()].view(buffer.shape))
            start += buffer.numel()

    def save(self) -> None:
        """Remember the present values, in place of those remembered before."""
        self._saved.copy_(self.flat)

    def restore(self) -> None:
        """Go back to the values remembered."""
        self.flat.copy_(self._saved)

    def average(self) -> None:
        """Give all processes of the group the mean of their values."""
        if self.flat.numel() and dist.is_initialized() and dist.get_world_size() > 1:
            dist.all_reduce(self.flat)
            self.flat /= dist.get_world_size()
