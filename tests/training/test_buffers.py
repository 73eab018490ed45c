"""Buffers of a network as one tensor per type: what the network sees of it is nothing."""

import pytest
import torch
from torch import Tensor, nn

from adasearch.training.buffers import JoinedBuffers, mean_state


class Own(nn.Module):
    """Buffers of every kind; one is put in place of its former self, as one's own code may do."""

    here: Tensor
    exact: Tensor
    flag: Tensor
    replaced: Tensor

    def __init__(self) -> None:
        super().__init__()
        shared = torch.zeros(3)
        self.register_buffer("here", shared)
        self.register_buffer("alias", shared)
        self.inner = nn.BatchNorm1d(3, momentum=None)  # weighs by its counter
        self.inner.register_buffer("there", shared)
        self.register_buffer("nothing", None)
        self.register_buffer("exact", torch.ones(2, dtype=torch.float64))
        self.register_buffer("flag", torch.tensor(False))
        self.register_buffer("replaced", torch.zeros(2), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        self.here += 1
        self.exact *= 2
        self.flag |= True
        self.replaced = self.replaced + 1
        output: Tensor = self.inner(x)
        return output


def values(network: nn.Module) -> dict[str, list[float]]:
    return {name: b.flatten().tolist() for name, b in network.named_buffers(remove_duplicate=False)}


def test_buffers_keep_their_values_types_and_sharing() -> None:
    network = Own()
    before, types = values(network), {name: b.dtype for name, b in network.named_buffers()}
    JoinedBuffers(network)
    assert values(network) == before
    assert {name: b.dtype for name, b in network.named_buffers()} == types
    assert "replaced" not in network.state_dict()
    network(torch.randn(4, 3))
    found = values(network)
    assert found["here"] == found["alias"] == found["inner.there"] == [1.0] * 3


def test_undoing_a_step_brings_back_a_buffer_that_was_taken_away() -> None:
    network = Own()
    joined = JoinedBuffers(network)
    before = values(network)
    network.register_buffer("replaced", None)
    joined.restore()
    assert values(network) == before


def test_undoing_a_step_reaches_every_buffer() -> None:
    network = Own()
    joined = JoinedBuffers(network)
    network(torch.randn(4, 3))
    joined.save()
    before = values(network)
    network(torch.randn(4, 3))
    assert all(values(network)[name] != before[name] for name in before if name != "flag")
    joined.restore()
    assert values(network) == before


def test_state_holds_what_was_replaced_and_means_spare_counters() -> None:
    one, two = Own(), Own()
    for network, steps in ((one, 1), (two, 3)):
        joined = JoinedBuffers(network)
        for _ in range(steps):
            network(torch.full((2, 3), float(steps)))
        if network is one:
            first = joined.state()
    joined.load(mean_state([first, joined.state()]))
    found = values(two)
    assert found["here"] == [2.0] * 3
    assert found["replaced"] == [2.0] * 2
    assert found["exact"] == [5.0] * 2
    assert found["inner.num_batches_tracked"] == [1]
    assert found["inner.running_mean"] == pytest.approx([2.0] * 3)


def test_network_without_buffers_has_nothing_to_join() -> None:
    joined = JoinedBuffers(nn.Linear(2, 2))
    joined.save()
    joined.restore()
    joined.average()
    assert joined.state() == []
