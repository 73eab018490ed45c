"""torchdata's StatefulDataLoader, which keeps a place of its own."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from adasearch import BatchSizeController
from adasearch.errors import InputError
from tests.frameworks import OPTIONS, Course, course, digits, network, together

stateful = pytest.importorskip(
    "torchdata.stateful_dataloader", reason="pip install 'adasearch[torchdata]'"
).StatefulDataLoader
# torchdata 0.11 calls what torch 2.14 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:'set_vital' is deprecated:UserWarning")


class Run:
    """A loop of an epoch that notes which examples it saw, and may be cut."""

    def __init__(self, workers: int, **loader: Any) -> None:
        self.model: nn.Module = network()
        data = digits()
        if dist.is_initialized():
            self.model = DistributedDataParallel(self.model)
        data.tensors += (torch.arange(len(data)),)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.05, momentum=0.9)
        self.controller = BatchSizeController(
            self.model, self.optimizer, data, "adabatch", {"period": 0.25}, interval=0.25, **OPTIONS
        )
        self.loader = stateful(data, batch_sampler=self.controller.sampler, num_workers=workers, **loader)
        self.seen: list[list[int]] = []

    def go_on(self, until: int | None = None) -> None:
        for inputs, labels, numbers in self.controller.batches(self.loader):
            self.seen.append(numbers.tolist())
            self.controller.step(nn.functional.cross_entropy(self.model(inputs), labels))
            if self.controller.steps == until:
                return

    def states(self) -> dict[str, Any]:
        return {name: getattr(self, name).state_dict() for name in self.NAMES}

    def load(self, states: dict[str, Any]) -> None:
        for name in states:
            getattr(self, name).load_state_dict(states[name])

    NAMES = "model", "optimizer", "controller", "loader"


def cut_at_a_pending_change(workers: int, *, share: int = 32, **loader: Any) -> tuple[Run, dict[str, Any]]:
    """Return a run that decided on a size of which nothing was handed out; ``share`` is a process's."""
    run = Run(workers, **loader)
    run.go_on(until=15)  # 0.25 epochs of 1797 examples in batches of 32 end with the 15th
    assert (run.controller.batch_size, len(run.seen[-1])) == (64, share)
    return run, run.states()


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("with_loader", [False, True])
def test_pending_change_of_size_survives_a_resume(workers: int, with_loader: bool) -> None:
    whole = Run(workers)
    whole.go_on()
    cut, states = cut_at_a_pending_change(workers)
    if not with_loader:
        del states["loader"]
    other = Run(workers)
    other.load(states)
    other.go_on()
    assert cut.seen + other.seen == whole.seen
    assert {len(each) for each in other.seen} >= {64, 128}
    assert other.controller.history == whole.controller.history
    for mine, theirs in zip(other.model.parameters(), whole.model.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=0)


def test_loaders_state_without_the_controllers_is_refused() -> None:
    _, states = cut_at_a_pending_change(2)
    other = Run(2)
    other.loader.load_state_dict(states["loader"])
    with pytest.raises(InputError, match=r"later place than the controller's: load the state"):
        other.go_on()


def test_loaders_state_by_which_items_would_be_left_out_is_refused() -> None:
    _, states = cut_at_a_pending_change(2, snapshot_every_n_steps=4)
    other = Run(2, snapshot_every_n_steps=4)
    other.load(states)
    with pytest.raises(InputError, match="give it snapshot_every_n_steps=1"):
        other.go_on()


def cut_and_resumed() -> Course:
    dist.init_process_group("gloo")
    _, states = cut_at_a_pending_change(2, share=16)
    other = Run(2)
    other.load(states)
    other.go_on()
    return course(other.controller, other.model)


def test_two_processes_that_resume_do_as_a_plain_loop(tmp_path: Path) -> None:
    expected = Run(2)  # which draws as far ahead
    expected.go_on()
    for found in together(cut_and_resumed, folder=tmp_path):
        found.check(course(expected.controller, expected.model))
