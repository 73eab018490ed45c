"""Batches that come in two halves for the noise between examples: which they are, and what is measured."""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import ClassVar

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from adasearch import BatchSizeController, Limits
from adasearch.controller.halves import Halves
from adasearch.errors import LoopWarning
from adasearch.records import Decision, Signals
from adasearch.schedulers.base import LR_SCHEDULES, change
from adasearch.signal_sets import NOISE
from adasearch.signals.noise import NoiseMeter

EXAMPLES = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """Decide by a list of sizes."""

    sizes: tuple[int, ...] = ()
    needs: ClassVar[frozenset[str]] = NOISE
    lr_schedules: ClassVar[frozenset[str]] = LR_SCHEDULES

    def decide(self, history: Sequence[Signals], limits: Limits) -> Decision:
        last, place = history[-1], len(history) - 1
        return change(last, self.sizes[place] if place < len(self.sizes) else last.batch_size, "as written")


class Run:
    """A loop, and of each batch into how many parts it came."""

    def __init__(
        self,
        scheduler: Script,
        *,
        workers: int = 0,
        interval: float = 0.25,
        drop_last: bool = False,
        largest: int = 128,
    ) -> None:
        random = torch.Generator().manual_seed(0)
        self.data = TensorDataset(
            torch.randn(EXAMPLES, 6, generator=random), torch.randint(3, (EXAMPLES,), generator=random)
        )
        torch.manual_seed(1)
        self.model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1)
        self.controller = BatchSizeController(
            self.model,
            self.optimizer,
            self.data,
            scheduler,
            batch_size=4,
            limits=Limits(smallest=2, largest=largest),
            interval=interval,
            drop_last=drop_last,
        )
        self.loader = DataLoader(self.data, batch_sampler=self.controller.sampler, num_workers=workers)
        self.parts: list[int] = []

    def run(self, epochs: int = 1, *, stop: int | None = None, skipped: int | None = None) -> "Run":
        for _ in range(self.controller.epoch, epochs):
            for inputs, labels in self.controller.batches(self.loader):
                part = self.controller.part
                loss = nn.functional.cross_entropy(self.model(inputs), labels)
                if part.last and len(self.parts) == skipped:
                    self.controller.skip()
                else:
                    self.controller.step(loss)
                if part.last:
                    self.parts.append(part.passes)
                if len(self.parts) == stop:
                    return self
        return self


@given(
    span=st.integers(1, 400), size=st.integers(2, 120), budget=st.one_of(st.just(2000), st.integers(1, 3000))
)
def test_they_are_the_steps_that_the_built_in_loop_measures(span: int, size: int, budget: int) -> None:
    halves, offset = Halves(span=span, budget=budget), 0
    meter = NoiseMeter([nn.Parameter(torch.zeros(1))], frozenset({"grad_noise"}))
    while offset < budget:
        steps = math.ceil((min((offset // span + 1) * span, budget) - offset) / size)
        meter.begin(steps, size, 1)
        for _ in range(steps):
            assert halves.of(offset, size) == meter.sampling
            for _ in range(meter.passes if meter.sampling else 0):
                meter.take(1)
            meter.observe()
            offset += size
        assert meter.measured >= 1


@given(
    examples=st.integers(4, 300),
    share=st.floats(0.05, 1.0),
    span=st.integers(1, 700),
    budget=st.one_of(st.none(), st.integers(1, 3000)),
)
def test_they_are_among_the_batches_that_come_where_an_epochs_rest_is_left_out(
    examples: int, share: float, span: int, budget: int | None
) -> None:
    size = max(2, round(share * examples))
    halves = Halves(span=span, budget=budget, whole=examples)
    places = [epoch * examples + number * size for epoch in range(5) for number in range(examples // size)]
    meter = NoiseMeter([nn.Parameter(torch.zeros(1))], frozenset({"grad_noise"}))
    for _, interval in groupby(places, lambda place: (place // span, budget is not None and place >= budget)):
        found = list(interval)
        beyond = budget is not None and found[0] // span == budget // span and found[-1] >= budget
        if found[-1] + size > places[-1] or beyond:  # an interval that is not whole
            continue
        meter.begin(len(found), size, 1)
        for place in found:
            assert halves.of(place, size) == meter.sampling
            end = halves.next_end(place, size)
            assert end - size in places or end > places[-1]
            for _ in range(meter.passes if meter.sampling else 0):
                meter.take(1)
            meter.observe()
        assert meter.measured >= 1


@pytest.mark.parametrize(("size", "interval"), [(48, 0.1), (300, 1.0), (100, 0.4), (96, 2.3)])
def test_every_interval_has_one_where_an_epochs_rest_is_left_out(size: int, interval: float) -> None:
    run = Run(Script(sizes=(size,) * 100), drop_last=True, interval=interval, largest=512).run(12)
    assert len(run.controller.history) > 4
    assert all(row.noise_count for row in run.controller.history)


def test_every_tenth_batch_comes_in_halves_and_is_measured() -> None:
    run = Run(Script())
    assert len(run.controller.sampler) == 128 + 12
    run.run()
    assert [number for number, parts in enumerate(run.parts) if parts == 2] == [
        first + each for first in (0, 32, 64, 96) for each in (5, 15, 25)
    ]
    assert [row.noise_count for row in run.controller.history] == [3, 3, 3, 3]


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("stop", [3, 5, 6, 17, 40, 47, 101])
def test_run_that_is_cut_has_the_same_ones(stop: int, drop_last: bool) -> None:
    sizes = Script(sizes=(6, 8, 5, 16, 100))
    whole = Run(sizes, drop_last=drop_last).run(3)
    first = Run(sizes, drop_last=drop_last).run(3, stop=stop)
    second = Run(sizes, drop_last=drop_last)
    file = io.BytesIO()
    torch.save([each.state_dict() for each in (first.model, first.controller)], file)
    file.seek(0)
    model, controller = torch.load(file, weights_only=True)
    second.model.load_state_dict(model)
    second.controller.load_state_dict(controller)
    second.run(3)
    assert first.parts + second.parts == whole.parts
    assert second.controller.history == whole.controller.history
    assert all(row.noise_count for row in whole.controller.history)


def test_interval_whose_halves_were_drawn_before_it_lasts_until_one() -> None:
    """Four batches are on their way when the size changes, of the eight of an interval."""
    run = Run(Script(sizes=(5, 6, 7, 8)), workers=2, interval=1 / 16).run(2)
    assert len({row.batch_size for row in run.controller.history}) == 5
    assert all(row.noise_count for row in run.controller.history)


def test_halves_of_which_one_is_left_out_are_not_measured() -> None:
    run = Run(Script(), interval=1 / 16).run(skipped=12)  # the second interval's, of eight batches
    first, second, third = run.controller.history[:3]
    assert (first.noise_count, second.noise_count, third.noise_count) == (1, 0, 1)
    assert math.isnan(second.grad_noise or 0.0)


def test_loop_that_leaves_out_every_half_is_told() -> None:
    """Such as one that takes shorter items for an epoch's last."""
    run, batch_size = Run(Script()), 4

    def whole_items() -> None:
        for inputs, labels in run.controller.batches(run.loader):
            if len(inputs) < batch_size:
                continue
            run.controller.step(nn.functional.cross_entropy(run.model(inputs), labels))

    with pytest.warns(
        LoopWarning, match="the noise between examples was not measured in 3 intervals"
    ) as found:
        whole_items()
    assert len(found) == 1
    assert [row.noise_count for row in run.controller.history] == [0, 0, 0, 0]
