"""A network's buffers (BatchNorm's running statistics and counters) as one tensor per type.

One copy or one reduction then serves them all, however many layers there are.
"""

import operator
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch import distributed as dist

from adasearch.signals.torch_private import buffers_of

__all__ = ["JoinedBuffers", "mean_state"]


class JoinedBuffers:
    """Moves the buffers of ``network`` into one flat tensor per type, of which each becomes a view.

    Call it after the network is on its device. A buffer that several modules share stays shared. One that the
    network replaces instead of changing it in place is taken in again by the next method called here.
    """

    def __init__(self, network: nn.Module) -> None:
        self._homes: list[dict[str, Tensor | None]] = []  # each buffer's, in the module that has it
        self._names: list[str] = []
        buffers: list[Tensor] = []
        found: dict[torch.dtype, dict[int, Tensor]] = {}
        for module in network.modules():
            for name, buffer in module.named_buffers(recurse=False, remove_duplicate=False):
                found.setdefault(buffer.dtype, {})[id(buffer)] = buffer
                self._homes.append(buffers_of(module))
                self._names.append(name)
                buffers.append(buffer)
        self._flats = [torch.cat([each.flatten() for each in same.values()]) for same in found.values()]
        views: dict[int, Tensor] = {}
        for flat, same in zip(self._flats, found.values(), strict=True):
            parts = flat.split([each.numel() for each in same.values()])
            views |= {
                key: part.view(each.shape) for (key, each), part in zip(same.items(), parts, strict=True)
            }
        self._views = [views[id(buffer)] for buffer in buffers]
        for home, name, view in zip(self._homes, self._names, self._views, strict=True):
            home[name] = view
        self._saved = [flat.clone() for flat in self._flats]

    def _take_in(self) -> None:
        """Copy what the network put in place of a view into it."""
        present = map(operator.getitem, self._homes, self._names)
        if all(map(operator.is_, present, self._views)):  # at every step, so a loop in C
            return
        for home, name, view in zip(self._homes, self._names, self._views, strict=True):
            own = home[name]
            if own is not None and own is not view:
                view.copy_(own.detach())
                home[name] = view

    def save(self) -> None:
        """Remember the present values, in place of those remembered before."""
        self._take_in()
        for saved, flat in zip(self._saved, self._flats, strict=True):
            saved.copy_(flat)

    def restore(self) -> None:
        """Go back to the values remembered."""
        self.load(self._saved)

    def average(self) -> None:
        """Give all processes of the group the mean of their values; counters are alike on all."""
        self._take_in()
        if dist.is_initialized() and dist.get_world_size() > 1:
            for flat in self._flats:
                if flat.is_floating_point():
                    dist.all_reduce(flat)
                    flat /= dist.get_world_size()

    def state(self) -> list[Tensor]:
        """Return the values on the CPU, one tensor (numbers,) per type."""
        self._take_in()
        return [flat.to("cpu", copy=True) for flat in self._flats]

    def load(self, state: Sequence[Tensor]) -> None:
        """Take values that :meth:`state` returned."""
        for flat, values in zip(self._flats, state, strict=True):
            flat.copy_(values)
        for home, name, view in zip(self._homes, self._names, self._views, strict=True):
            home[name] = view  # whatever the network put in its place, nothing included


def mean_state(states: Sequence[Sequence[Tensor]]) -> list[Tensor]:
    """Return the mean of what :meth:`JoinedBuffers.state` returned on several processes."""
    return [
        torch.stack(same).mean(dim=0) if same[0].is_floating_point() else same[0]
        for same in (list(each) for each in zip(*states, strict=True))
    ]
