"""The meter of an interval, in both kinds of loop: loss, signals, skipped updates, and a cut anywhere."""

import copy
import io
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import nn

from adasearch.signal_sets import MEASURED, NOISE
from adasearch.signals.interval import IntervalMeter
from adasearch.signals.interval_state import IntervalState
from tests.signals import test_gradients
from tests.signals.problems import (
    batch,
    by_groups,
    cut,
    examples_of,
    expected_signals,
    gradient_of,
    mean_of,
    small_network,
)

ALL = frozenset(MEASURED)
NEEDS = {
    "nothing": frozenset[str](),
    "norm": frozenset({"grad_norm"}),
    "mean": frozenset({"mean_grad_norm"}),
    "noise": NOISE,
}
KINDS = pytest.mark.parametrize("resumable", [False, True], ids=["built-in", "resumable"])


pytestmark = pytest.mark.usefixtures("double")


class Loop:
    """A loop on batches of 9 examples in three passes, from the same weights each time."""

    def __init__(self, needs: frozenset[str] = ALL, **options: Any) -> None:
        torch.manual_seed(0)
        self.network = small_network()
        self.optimizer = torch.optim.SGD(self.network.parameters(), lr=0.1)
        self.meter = IntervalMeter(list(self.network.parameters()), needs, **options)

    def step(self, number: int, *, passes: int = 3, updated: bool = True, scale: float = 1.0) -> int:
        """Take a step behind a scaler of the loss; return its passes. A skipped one's gradients overflow."""
        self.passes(number, passes=passes, scale=scale if updated else math.inf)
        self.observe(scale)
        if updated:
            self.optimizer.step()
        self.meter.end_step(9, updated=updated)
        return passes

    def passes(self, number: int, *, passes: int = 3, scale: float = 1.0) -> int:
        """Go forward and backward."""
        self.optimizer.zero_grad()
        self.meter.begin_step(9, passes)
        passes, (inputs, labels) = self.meter.passes, batch(9, seed=number)
        for some, their in zip(inputs.split(cut(9, passes)), labels.split(cut(9, passes)), strict=True):
            loss = nn.functional.cross_entropy(self.network(some), their, reduction="sum")
            (loss * scale / 9).backward()
            self.meter.add_loss(loss.detach())
            self.meter.take(len(their))
        return passes

    def observe(self, scale: float = 1.0) -> None:
        self.meter.join()
        for p in self.network.parameters():
            p.grad = None if p.grad is None else p.grad / scale
        self.meter.observe(scale)

    def interval(self, steps: Sequence[int], *, skipped: frozenset[int] = frozenset()) -> dict[str, float]:
        """Take an interval; steps in ``skipped`` overflow."""
        self.meter.begin(len(steps), 9, 3)
        for number in steps:
            self.step(number, updated=number not in skipped)
        return self.meter.finish()


@KINDS
@pytest.mark.parametrize("scale", [1.0, 1024.0, 3.0])
def test_interval_is_what_its_definitions_say(resumable: bool, scale: float) -> None:
    loop = Loop(droppable=scale != 1, resumable=resumable)
    losses, gradients, noise = [], [], []
    loop.meter.begin(5, 9, 3)
    for number in range(5):
        inputs, labels = batch(9, seed=number)
        losses.append(nn.functional.cross_entropy(loop.network(inputs), labels).item())
        gradients.append(gradient_of(loop.network, inputs, labels))
        groups = by_groups(examples_of(loop.network, inputs, labels), [3, 3, 3])
        noise.append(expected_signals(groups, [3, 3, 3], 1))
        loop.step(number, scale=scale)
    expected = {"train_loss": sum(losses) / 5} | test_gradients.expected_signals(gradients) | mean_of(noise)
    assert loop.meter.finish() == pytest.approx(expected, rel=1e-9)


@KINDS
@pytest.mark.parametrize("needs", NEEDS.values(), ids=NEEDS)
def test_only_what_is_needed_is_found_and_paid(needs: frozenset[str], resumable: bool) -> None:
    entered = []

    @contextmanager
    def timed() -> Iterator[None]:
        entered.append(1)
        yield

    loop = Loop(needs, resumable=resumable, timed=timed)
    found = loop.interval(range(3))
    assert needs <= found.keys()
    assert bool(entered) == bool(needs)
    assert ("noise_count" in found) == (needs == NOISE)


@KINDS
@pytest.mark.parametrize("steps", [6, 40])  # measured at each step, and at every third
def test_skipped_update_gives_no_signal_but_its_loss_and_examples_count(resumable: bool, steps: int) -> None:
    skipped = frozenset({0, 4, 5})
    loop, plain = (Loop(droppable=True, resumable=resumable) for _ in range(2))
    found = loop.interval(range(steps), skipped=skipped)
    plain.meter.begin(steps, 9, 3)
    for number in sorted({*range(steps)} - skipped):
        plain.step(number)
    expected = plain.meter.finish()
    assert {**found, "train_loss": 0} == {**expected, "train_loss": 0}
    again, losses = Loop(frozenset()), []
    for number in range(steps):
        inputs, labels = batch(9, seed=number)
        losses.append(nn.functional.cross_entropy(again.network(inputs), labels).item())
        if number not in skipped:
            again.step(number)
    assert found["train_loss"] == pytest.approx(sum(losses) / steps, rel=1e-12)


def test_next_step_is_halved_in_place_of_one_that_was_skipped() -> None:
    loop = Loop(droppable=True)
    loop.meter.begin(5, 9, 1)  # of which the third is measured
    passes = []
    for number in range(5):
        passes.append(loop.passes(number, passes=1))
        loop.observe()
        loop.meter.end_step(9, updated=number != 2)
    assert passes == [1, 1, 2, 2, 1]
    assert loop.meter.finish()["noise_count"] == 1


def test_step_may_be_given_up_before_it_was_measured() -> None:
    loop, plain = Loop(resumable=True), Loop(resumable=True)
    loop.meter.begin(3, 9, 3)
    loop.passes(0)
    loop.meter.end_step(9, updated=False)
    plain.meter.begin(3, 9, 3)
    for number in (1, 2):
        loop.step(number)
        plain.step(number)
    assert loop.meter.finish()["grad_norm"] == plain.meter.finish()["grad_norm"]


def test_loop_that_chooses_its_passes_itself_is_not_asked_for_halves() -> None:
    loop = Loop(resumable=True)
    loop.meter.begin(2, 9, 1)
    for number in range(2):
        before = [p.detach().clone() for p in loop.network.parameters()]
        assert loop.step(number, passes=1) == 1
        assert not any(torch.equal(p, old) for p, old in zip(loop.network.parameters(), before, strict=True))
    found = loop.meter.finish()
    assert found["noise_count"] == 0
    assert all(math.isnan(found[name]) for name in NOISE)
    assert all(math.isfinite(found[name]) for name in ALL - NOISE)


def test_step_begun_anew_in_more_passes_drops_the_noise_measured_so_far() -> None:
    """A step that ran out of memory: its first pass, and the noise of the steps before, are forgotten."""
    loop, rest = Loop(), Loop()
    loop.meter.begin(6, 9, 3)
    for number in range(2):
        loop.step(number)
    rest.network.load_state_dict(copy.deepcopy(loop.network.state_dict()))
    loop.passes(77)
    rest.meter.begin(4, 9, 4)
    for number in range(2, 6):
        loop.step(number, passes=4)
        rest.step(number, passes=4)
    found, expected, whole = loop.meter.finish(), rest.meter.finish(), Loop().interval(range(6))
    assert found["noise_count"] == 4
    for name in NOISE:
        assert found[name] == expected[name], name
    for name in {*whole} - NOISE - {"noise_count"}:
        assert found[name] == pytest.approx(whole[name], rel=1e-12), name


@KINDS
def test_steps_outside_an_interval_leave_no_trace(resumable: bool) -> None:
    loop, plain = Loop(resumable=resumable), Loop(resumable=resumable)
    assert loop.interval(range(3)) == plain.interval(range(3))
    for number in range(3, 6):
        loop.step(number)
        plain.optimizer.zero_grad()
        inputs, labels = batch(9, seed=number)
        nn.functional.cross_entropy(plain.network(inputs), labels).backward()
        plain.optimizer.step()
    assert loop.interval(range(6, 9)) == pytest.approx(plain.interval(range(6, 9)), rel=1e-9)


def written(state: IntervalState | None) -> IntervalState:
    """The state, to a file and back."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    found: IntervalState = torch.load(file, weights_only=True)
    return found


@pytest.mark.parametrize("after", [0, 1, 5, 19])
def test_interval_that_was_cut_goes_on_bit_for_bit(after: int) -> None:
    uncut = Loop(resumable=True)
    expected = uncut.interval(range(20), skipped=frozenset({4}))
    first, second = Loop(resumable=True), Loop(resumable=True)
    assert first.meter.state() is None
    first.meter.begin(20, 9, 3)
    for number in range(after):
        first.step(number, updated=number != 4)
    weights = copy.deepcopy(first.network.state_dict())
    state = written(first.meter.state())
    first.passes(after)  # a batch whose update is still to come is not begun
    assert str(first.meter.state()) == str(state)
    first.observe()
    assert str(first.meter.state()) == str(state)
    second.network.load_state_dict(weights)
    second.meter.load(state)
    for number in range(after, 20):
        second.step(number, updated=number != 4)
    assert second.meter.finish() == expected
    second.meter.load(None)
    assert not second.meter.running


def test_state_is_plain_numbers_unless_the_mean_gradient_is_needed() -> None:
    loop = Loop(ALL - {"mean_grad_norm", "mean_grad_component_variance"}, resumable=True)
    loop.meter.begin(20, 9, 3)
    for number in range(7):
        loop.step(number)
    state = loop.meter.state()
    assert state is not None
    assert state["mean_gradient"] == []
    assert (state["steps"], state["examples"], state["measured"]) == (7, 63, 4)
    assert all(type(value) in (int, float) for value in (state["loss"], *state["sums"].values()))
