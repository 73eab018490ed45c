"""A controller's checkpoint: taken whole or not at all, with the random numbers to come."""

import copy
import io
import json
import math
import random
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from adasearch import BatchSizeController, Limits
from adasearch.controller.state import VERSION
from adasearch.errors import InputError
from adasearch.schedulers import BatchSizeScheduler
from adasearch.schedulers.adabatch import AdaBatch
from adasearch.schedulers.deba import Deba
from adasearch.schedulers.noise_scale import NoiseScale
from adasearch.training.randomness import check_random, random_state, restore_random

EXAMPLES = 60
LIMITS = Limits(smallest=4, largest=24)
GROWING = Deba(confidence_threshold=100, stability_threshold=100, cooldown=1)
SCHEDULERS: dict[str, BatchSizeScheduler] = {
    "deba": GROWING,
    "mean gradient": replace(GROWING, gradient="mean_gradient", coupling="adascale"),
    "noise scale": NoiseScale(),
    "adabatch": AdaBatch(period=1),
}


def numbers() -> TensorDataset:
    draw = torch.Generator().manual_seed(0)
    return TensorDataset(
        torch.randn(EXAMPLES, 6, generator=draw), torch.randint(3, (EXAMPLES,), generator=draw)
    )


class Noisy(Dataset[tuple[Tensor, Tensor]]):
    """Augmented by all three of the generators that a program shares."""

    def __init__(self) -> None:
        self.base = numbers()

    def __len__(self) -> int:
        return len(self.base)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        x, y = self.base[index]
        return x * random.uniform(0.9, 1.1) + 0.1 * torch.randn_like(x) + float(np.random.randn()) / 10, y


@dataclass
class Loop:
    """An ordinary loop, with dropout, a random data set, or neither."""

    scheduler: BatchSizeScheduler = GROWING
    kind: str = "plain"
    workers: int = 0
    device_batch: int | None = None
    interval: float = 0.5

    def __post_init__(self) -> None:
        torch.manual_seed(7)
        random.seed(7)
        np.random.seed(7)
        middle = [nn.Dropout(0.5)] if self.kind == "dropout" else []
        self.model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), *middle, nn.Linear(8, 3))
        self.data: Dataset[Any] = Noisy() if self.kind == "augmentation" else numbers()
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.05, momentum=0.9)
        self.controller = BatchSizeController(
            self.model,
            self.optimizer,
            range(EXAMPLES),
            self.scheduler,
            batch_size=8,
            limits=LIMITS,
            interval=self.interval,
            device_batch=self.device_batch,
        )

    def run(self, epochs: int, steps: float = math.inf) -> "Loop":
        controller = self.controller
        loader = DataLoader(self.data, batch_sampler=controller.sampler, num_workers=self.workers)
        while controller.epoch < epochs and controller.steps < steps:
            for inputs, labels in controller.batches(loader):
                controller.step(nn.functional.cross_entropy(self.model(inputs), labels))
                if controller.steps >= steps:
                    break
        return self

    def saved(self) -> bytes:
        file = io.BytesIO()
        torch.save([each.state_dict() for each in (self.model, self.optimizer, self.controller)], file)
        return file.getvalue()

    def load(self, saved: bytes) -> "Loop":
        states = torch.load(io.BytesIO(saved), weights_only=True)
        for each, state in zip((self.model, self.optimizer, self.controller), states, strict=True):
            each.load_state_dict(state)  # type: ignore[attr-defined]
        return self

    @property
    def weights(self) -> Tensor:
        return torch.cat([p.detach().flatten() for p in self.model.parameters()])


# --- the random numbers to come ----------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["plain", "dropout", "augmentation"])
@pytest.mark.parametrize("device_batch", [None, 5])
@pytest.mark.parametrize("cut", [3, 7, 8, 11])  # an epoch has 8 steps, until the first decision changes that
def test_run_that_draws_at_random_goes_on_bit_for_bit(kind: str, device_batch: int | None, cut: int) -> None:
    def loop() -> Loop:
        return Loop(kind=kind, device_batch=device_batch)

    whole = loop().run(4)
    saved = loop().run(4, cut).saved()
    torch.manual_seed(99)
    other = loop().load(saved)
    torch.rand(5)  # of what comes between loading and the loop nothing is left
    resumed = other.run(4)
    assert torch.equal(resumed.weights, whole.weights)
    assert resumed.controller.history == whole.controller.history


@pytest.mark.parametrize("kind", ["dropout", "augmentation"])
def test_run_cut_between_two_epochs_goes_on_bit_for_bit_with_workers(kind: str) -> None:
    """They are seeded where the epoch begins, from a number that the loader draws then."""
    whole = Loop(kind=kind, workers=2).run(3)
    saved = Loop(kind=kind, workers=2).run(2).saved()
    assert torch.equal(Loop(kind=kind, workers=2).load(saved).run(3).weights, whole.weights)


def test_run_cut_in_mid_epoch_goes_on_bit_for_bit_with_workers_that_draw_nothing() -> None:
    whole = Loop(kind="dropout", workers=2).run(2)
    saved = Loop(kind="dropout", workers=2).run(2, 5).saved()
    assert torch.equal(Loop(kind="dropout", workers=2).load(saved).run(2).weights, whole.weights)


def test_generators_that_somebody_put_in_place_of_numpys_are_left_alone() -> None:
    numpy: Any = np.random
    before = numpy.get_bit_generator()
    numpy.set_bit_generator(np.random.PCG64(0))
    try:
        loop = Loop(kind="dropout").run(1)
        state = loop.controller.state_dict()
        assert state["random"] is not None
        assert state["random"]["numpy"] is None
        Loop(kind="dropout").load(loop.saved()).run(2)
    finally:
        numpy.set_bit_generator(before)


def test_random_numbers_of_another_process_are_not_taken() -> None:
    """All would drop the same units."""
    loop = Loop(kind="dropout").run(1)
    state = loop.controller.state_dict()
    assert state["random"] is not None
    other = Loop()
    other.controller.load_state_dict({**state, "random": {**state["random"], "process": "1 of 2"}})
    torch.manual_seed(3)
    next(other.controller.batches(DataLoader(other.data, batch_sampler=other.controller.sampler)))
    drawn = torch.rand(3)
    torch.manual_seed(3)
    torch.empty((), dtype=torch.int64).random_()  # by the loader
    assert torch.equal(torch.rand(3), drawn)


def test_checkpoint_of_the_former_format_is_read_and_leaves_random_numbers_alone() -> None:
    loop = Loop().run(1)
    state: Any = {**loop.controller.state_dict()}
    del state["random"]
    other = Loop()
    former: Any = {**state, "version": 1}
    other.controller.load_state_dict(former)
    assert other.controller.history == loop.controller.history
    assert VERSION == 2
    with pytest.raises(InputError, match="it has no random-number states"):
        other.controller.load_state_dict(state)


# --- damaged and made-up checkpoints ------------------------------------------------------------------


@cache
def good(name: str, steps: int) -> bytes:
    return Loop(SCHEDULERS[name]).run(6, steps).saved()


def state_of(saved: bytes) -> Any:
    return torch.load(io.BytesIO(saved), weights_only=True)[2]


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a state, the containers included."""
    if path:
        yield path
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from leaves(item, (*path, number))


JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 40),
    st.sampled_from([10**18, -(10**18), 10**400, 2**53, 2**53 + 1]),
    st.floats(),
    st.sampled_from([1e308, -0.0, 5e-324]),
    st.text(max_size=5),
    st.lists(st.integers(-1, 30), max_size=4),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
    st.just(torch.zeros(3)),
    st.just(b"x"),
)


def mutated(state: Any, draw: Callable[[Any], Any]) -> Any:
    """Return a state of which one to three places are replaced, removed, doubled or a little changed."""
    state = copy.deepcopy(state)
    for _ in range(draw(st.integers(1, 3))):
        path: tuple[Any, ...] = draw(st.sampled_from([*leaves(state)]))
        home = state
        for key in path[:-1]:
            home = home[key]
        key, old = path[-1], home[path[-1]]
        how = draw(st.sampled_from(["junk", "remove", "double", "near", "other"]))
        if how == "remove":
            del home[key]
        elif how == "double" and isinstance(home, list):
            home.insert(key, copy.deepcopy(old))
        elif how == "near" and type(old) in (int, float):
            home[key] = old + draw(st.sampled_from([-8, -1, 1, 8, 60]))
        elif how == "other" and isinstance(old, list):
            home[key] = old[: draw(st.integers(0, len(old)))]
        else:
            home[key] = draw(JUNK)
        if not state:
            break
    return state


@pytest.mark.parametrize("name", SCHEDULERS)
@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_any_state_is_taken_whole_or_refused_and_the_controller_as_it_was(
    name: str, data: st.DataObject
) -> None:
    steps = data.draw(st.sampled_from([0, 3, 8, 13, 20]))
    state = mutated(state_of(good(name, steps)), data.draw)
    loop = Loop(SCHEDULERS[name]).run(1, 2)
    before = copy.deepcopy(loop.controller.state_dict())
    generators = torch.get_rng_state(), random.getstate()
    message = None
    try:
        loop.controller.load_state_dict(state)
    except InputError as error:
        message = str(error)
    if message is not None:
        assert "\n" not in message
        assert len(message) < 600
        assert repr(loop.controller.state_dict()) == repr(before)
        assert torch.equal(torch.get_rng_state(), generators[0])
        assert random.getstate() == generators[1]
    controller = loop.controller
    epoch, steps = controller.epoch, controller.steps
    loader = DataLoader(loop.data, batch_sampler=controller.sampler)
    items = 0
    for _ in range(4):
        for inputs, labels in controller.batches(loader):
            controller.step(nn.functional.cross_entropy(loop.model(inputs), labels))
            items += 1
            assert items < 200
    assert controller.epoch == epoch + 4
    assert controller.steps > steps
    assert loop.weights.isfinite().all()
    json.dumps([asdict(row) for row in controller.history])


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("lr_scale",), math.nan, "lr_scale must be finite, but it holds nan"),
        (("lr_scale",), 0.0, "lr_scale must be greater than 0, but it holds 0.0"),
        (("decision", "lr_scale"), -1.0, "decision.lr_scale must be greater than 0"),
        (("decision", "batch_size"), 25, "goes on with batch_size=25, outside Limits(smallest=4, largest=24"),
        (("decision", "action"), "jump", "decision.action must be one of grow, shrink, hold"),
        (("steps",), True, "steps must be a whole number from 0 to"),
        (("steps",), 10**400, "steps must be a whole number from 0 to"),
        (("sampler", "offset"), -8, "sampler.offset must be a whole number from 60 to"),
        (("sampler", "epoch"), 10**9, "sampler.offset must be a whole number from 60000000000 to"),
        (("sampler", "examples"), 61, "history[0].epoch must be"),
        (("sampler", "drawn"), [0], "sampler.drawn[0] must be a whole number from 1 to"),
        (("sampler", "drawn"), [8] * 100, "sampler.drawn must begin before 120, where the epoch ends"),
        (("sampler", "batch_size"), 4, "sampler.batch_size must be the decision's"),
        (("sampler", "seed"), torch.zeros(2), "sampler.seed must be of a plain type"),
        (("random", "process"), torch.zeros(2), "random-number states are damaged or made up"),
        (("sampler", "seed"), 5, "the checkpoint has seed=5 but got seed=0"),
        (("interval", "stride"), 0, "interval.stride must be a whole number from 1 to"),
        (("interval", "sums"), {}, "interval.sums must have grad_component_variance, grad_norm"),
        (("interval", "sums", "grad_norm"), None, "interval.sums.grad_norm must be a number"),
        (("interval", "mean_gradient"), [None], "must be of the 4 parameters that are trained"),
        (("history", 0), None, "history[0] must be a dictionary"),
        (("history", 0, "lr"), None, "history[0].lr must be a number"),
        (("history", 0, "batch_size"), 0, "history[0].batch_size must be a whole number from 1"),
        (("history", 0, "epoch"), 9.5, "history[0].epoch must be"),
        (("history",), {}, "history must be a list"),
        (("random", "torch"), "AAAA", "random-number states are damaged or made up"),
        (("random", "numpy", 0), "", "a Mersenne Twister has 624 words"),
        (("random", "python"), [], "random-number states are damaged or made up"),
    ],
)
def test_what_a_state_must_hold_is_said(path: tuple[Any, ...], value: Any, message: str) -> None:
    loop = Loop(interval=0.5).run(3, 9)
    state: Any = copy.deepcopy(loop.controller.state_dict())
    assert state["interval"] is not None
    assert state["history"]
    home = state
    for key in path[:-1]:
        home = home[key]
    home[path[-1]] = value
    with pytest.raises(InputError) as raised:
        Loop(interval=0.5).controller.load_state_dict(state)
    assert message in str(raised.value)


def test_sum_of_gradients_of_another_network_is_refused() -> None:
    loop = Loop(SCHEDULERS["mean gradient"]).run(3, 9)
    state: Any = copy.deepcopy(loop.controller.state_dict())
    state["interval"]["mean_gradient"][1] = torch.zeros(9)
    with pytest.raises(InputError, match=r"interval\.mean_gradient\[1\] must be of shape \(8,\)"):
        Loop(SCHEDULERS["mean gradient"]).controller.load_state_dict(state)
    state["interval"]["mean_gradient"] = []
    with pytest.raises(InputError, match="must be there, since the scheduler needs it"):
        Loop(SCHEDULERS["mean gradient"]).controller.load_state_dict(state)


def test_random_numbers_of_a_gpu_that_is_not_there_are_checked_and_passed_over() -> None:
    state = random_state([])
    sixteen = b64encode(bytes(range(16))).decode()  # the seed and the place of Philox
    check_random({**state, "cuda": {"cuda:99": sixteen}})
    restore_random({**state, "cuda": {"cuda:99": sixteen}})
    for cuda in ({"cuda:0": b64encode(bytes(15)).decode()}, {"cpu": sixteen}, {"cuda:0": 3}):
        with pytest.raises(InputError, match="random-number states are damaged or made up"):
            check_random({**state, "cuda": cuda})


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_random_numbers_of_a_gpu_go_on_from_a_checkpoint() -> None:
    device = torch.device("cuda:0")
    torch.rand(5, device=device)
    state = random_state([device])
    check_random(state)
    expected = torch.rand(5, device=device)
    torch.cuda.manual_seed(3)
    restore_random(state)
    assert torch.equal(torch.rand(5, device=device), expected)
