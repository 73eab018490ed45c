"""The controller in an ordinary loop: what it changes, what it leaves alone, how it goes on after a cut."""

import io
import itertools
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.multiprocessing.spawn import spawn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.lr_scheduler import CosineAnnealingLR
from torch.utils.data import DataLoader, TensorDataset

from adasearch import SCHEDULERS, BatchSizeController, Limits
from adasearch.controller.halves import Halves
from adasearch.controller.needs import missing_signals
from adasearch.controller.sampler import ResizableBatchSampler
from adasearch.controller.state import VERSION
from adasearch.errors import InputError
from adasearch.records import Decision, Signals
from adasearch.schedulers import BatchSizeScheduler
from adasearch.schedulers.adabatch import AdaBatch
from adasearch.schedulers.base import LR_SCHEDULES, change
from adasearch.schedulers.constant import Constant
from adasearch.schedulers.deba import Deba
from adasearch.schedulers.run_plan import wants_plan
from adasearch.signal_sets import NOISE

EXAMPLES = 120
LIMITS = Limits(smallest=4, largest=40)
# Thresholds that make every decision a growth once three intervals are seen.
GROWING = Deba(confidence_threshold=100, stability_threshold=100, cooldown=1)
ACTING: dict[str, BatchSizeScheduler] = {
    "constant": Constant(),
    "adabatch": AdaBatch(period=1),
    "deba": GROWING,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """Decide by a list of sizes and factors, one after the other, and then hold."""

    sizes: tuple[int, ...]
    scales: tuple[float, ...] = ()
    needs: frozenset[str] = frozenset({"grad_norm", "grad_component_variance"})
    lr_schedules: ClassVar[frozenset[str]] = LR_SCHEDULES

    def decide(self, history: Sequence[Signals], limits: Limits) -> Decision:
        last, place = history[-1], len(history) - 1
        size = self.sizes[place] if place < len(self.sizes) else last.batch_size
        scale = self.scales[place] if place < len(self.scales) else last.lr_scale
        return change(last, size, "as written", lr_scale=scale)


@dataclass(frozen=True, slots=True, kw_only=True)
class NeedsMore:
    """A scheduler that wants a signal that does not exist in a loop of one's own."""

    needs: ClassVar[frozenset[str]] = frozenset({"grad_norm", "moon_phase"})
    lr_schedules: ClassVar[frozenset[str]] = LR_SCHEDULES

    def decide(self, history: Sequence[Signals], limits: Limits) -> Decision:
        raise AssertionError


@pytest.fixture(autouse=True)
def _double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def data() -> TensorDataset:
    random = torch.Generator().manual_seed(0)
    return TensorDataset(
        torch.randn(EXAMPLES, 6, generator=random), torch.randint(3, (EXAMPLES,), generator=random)
    )


@dataclass
class Loop:
    """An ordinary loop with a controller, and what it saw."""

    scheduler: BatchSizeScheduler
    workers: int = 0
    options: dict[str, Any] = field(default_factory=dict)
    losses: list[float] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    lrs: list[float] = field(default_factory=list)
    stepped: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        torch.manual_seed(1)
        self.model: nn.Module = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))
        if dist.is_initialized():
            self.model = DistributedDataParallel(self.model)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1, momentum=0.9)
        self.curve = CosineAnnealingLR(self.optimizer, T_max=4, eta_min=0.003)
        self.optimizer.register_step_pre_hook(
            lambda optimizer, *_: self.stepped.append(optimizer.param_groups[0]["lr"])
        )
        self.data = data()
        self.controller = BatchSizeController(
            self.model,
            self.optimizer,
            self.data,
            self.scheduler,
            **{"batch_size": 8, "limits": LIMITS, "interval": 0.5, "evaluate": self.evaluate, **self.options},
        )

    @torch.no_grad()
    def evaluate(self) -> float:
        inputs, labels = self.data.tensors
        return nn.functional.cross_entropy(self.model(inputs[:20]), labels[:20]).item()

    def run(self, epochs: int = 4, stop: int | None = None) -> "Loop":
        """Train; ``stop`` ends the loop after so many items."""
        controller = self.controller
        loader = DataLoader(
            self.data,
            batch_sampler=controller.sampler,
            num_workers=self.workers,
            persistent_workers=self.workers > 0,
        )
        items = 0
        for _ in range(controller.epoch, epochs):
            for inputs, labels in controller.batches(loader):
                assert len(labels) == controller.part.examples
                size = controller.part.batch_size
                loss = nn.functional.cross_entropy(self.model(inputs), labels)
                self.losses.append(loss.item())
                if controller.step(loss):
                    self.sizes.append(size)
                    self.lrs.append(self.optimizer.param_groups[0]["lr"])
                items += 1
                if items == stop:
                    return self
            self.curve.step()
        return self

    def checkpoint(self) -> io.BytesIO:
        file = io.BytesIO()
        parts = (self.model, self.optimizer, self.curve, self.controller)
        torch.save([part.state_dict() for part in parts], file)
        file.seek(0)
        return file

    def load(self, file: io.BytesIO) -> "Loop":
        states = torch.load(file, weights_only=True)
        for part, state in zip(
            (self.model, self.optimizer, self.curve, self.controller), states, strict=True
        ):
            part.load_state_dict(state)  # type: ignore[attr-defined]
        return self

    @property
    def weights(self) -> Tensor:
        return torch.cat([p.detach().flatten() for p in self.model.parameters()])

    @property
    def gradient(self) -> Tensor:
        return torch.cat([p.grad.flatten() for p in self.model.parameters() if p.grad is not None])


def numbers(row: Signals) -> dict[str, float]:
    return {name: value for name, value in asdict(row).items() if value is not None}


def test_constant_run_equals_an_ordinary_loop() -> None:
    loop = Loop(Constant()).run(2)
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    curve = CosineAnnealingLR(optimizer, T_max=4, eta_min=0.003)
    order = next(iter(ResizableBatchSampler(EXAMPLES, 2 * EXAMPLES)))  # both epochs
    for _ in range(2):
        start = curve.last_epoch * EXAMPLES
        for begin in range(start, start + EXAMPLES, 8):
            inputs, labels = data()[order[begin : begin + 8]]
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(inputs), labels).backward()
            optimizer.step()
        curve.step()
    assert torch.equal(torch.cat([p.detach().flatten() for p in model.parameters()]), loop.weights)


@pytest.mark.parametrize("workers", [0, 2])
def test_rows_tell_of_one_size_and_what_it_did(workers: int) -> None:
    script = Script(sizes=(8, 12, 20, 10), scales=(1.0, 1.5, 1.5, 0.7, 0.9))
    loop = Loop(script, workers).run()
    rows = loop.controller.history
    ends = torch.tensor(loop.sizes).cumsum(0).tolist()
    assert [row.batch_size for row in rows][:5] == [8, 8, 12, 20, 10]
    assert [row.lr_scale for row in rows][:6] == [1.0, 1.0, 1.5, 1.5, 0.7, 0.9]
    for before, row in zip([None, *rows], rows, strict=False):
        assert row.examples_seen == ends[row.step - 1]
        sizes = loop.sizes[before.step if before else 0 : row.step]
        losses = loop.losses[before.step if before else 0 : row.step]
        own = [place for place, size in enumerate(sizes) if size == row.batch_size]
        assert own == list(range(own[0], len(sizes)))  # what was drawn ahead comes first and is not counted
        assert own[0] == 0 or workers
        assert row.train_loss == pytest.approx(sum(losses[place] for place in own) / len(own), rel=1e-12)
        assert row.epoch == row.examples_seen / EXAMPLES
    assert (max(loop.sizes), min(loop.sizes)) == (20, 8)


@pytest.mark.parametrize("workers", [0, 2])
def test_learning_rate_is_the_curves_times_the_factor_exactly(workers: int) -> None:
    scales = (1.1, 1.7, 0.3, 1 / 3, 0.9, 0.7)
    loop = Loop(Script(sizes=(12, 12, 20), scales=scales), workers)
    factors: list[float] = []
    loop.optimizer.register_step_pre_hook(lambda *_: factors.append(loop.controller.lr_scale))
    loop.run()
    plain = Loop(Script(sizes=(12, 12, 20)), workers).run()
    assert loop.sizes == plain.sizes
    assert loop.lrs == plain.lrs  # what the curve sees is as without a factor, to the last bit
    assert loop.stepped == [lr * factor for lr, factor in zip(loop.lrs, factors, strict=True)]
    assert len({*factors}) > 4
    rows = loop.controller.history
    assert [row.lr for row in rows] == [loop.stepped[row.step - 1] for row in rows]


@pytest.mark.parametrize("device_batch", [4, 5, 7])
def test_accumulated_gradient_equals_the_unsplit_one(device_batch: int) -> None:
    script = Script(sizes=(11, 23, 40, 9))
    whole = Loop(script).run(3)
    split = Loop(script, options={"device_batch": device_batch}).run(3)
    assert split.sizes == whole.sizes
    assert len(split.losses) > len(whole.losses)
    torch.testing.assert_close(split.weights, whole.weights, rtol=1e-12, atol=1e-14)
    for one, other in zip(split.controller.history, whole.controller.history, strict=True):
        assert numbers(one) == pytest.approx(numbers(other), rel=1e-10)


@pytest.mark.filterwarnings("ignore:Detected call of")  # of a curve that is stepped before the first update
@pytest.mark.parametrize("name", [name for name in SCHEDULERS if not wants_plan(SCHEDULERS[name]())])
@pytest.mark.parametrize(
    ("workers", "device_batch", "cut"),
    [(0, None, 1), (0, None, 20), (0, 5, 18), (0, 5, 41), (2, None, 25), (2, 5, 38)],
)
def test_run_cut_in_mid_epoch_goes_on_bit_for_bit(
    name: str, workers: int, device_batch: int | None, cut: int
) -> None:
    def loop() -> Loop:
        scheduler = ACTING.get(name) or SCHEDULERS[name]()
        return Loop(scheduler, workers, {"device_batch": device_batch, "interval": 0.25})

    uncut = loop().run()
    first = loop().run(stop=cut)
    second = loop().load(first.checkpoint()).run()
    updates = len(first.sizes)
    assert first.sizes + second.sizes == uncut.sizes
    assert second.controller.history == uncut.controller.history
    assert second.controller.decision == uncut.controller.decision
    assert torch.equal(second.weights, uncut.weights)
    assert first.stepped + second.stepped == uncut.stepped
    assert second.losses == uncut.losses[len(uncut.losses) - len(second.losses) :]
    assert 0 < updates < len(uncut.sizes) or cut == 1 or name == "norm_target"  # which has grown by then
    if name in ("adabatch", "deba"):
        assert len({*uncut.sizes}) > 2


def test_a_rule_that_follows_a_runs_plan_is_refused() -> None:
    with pytest.raises(InputError, match="scheduler LrTail follows the plan of a run"):
        Loop(SCHEDULERS["lr_tail"]())


@pytest.mark.parametrize("update", [False, True])
def test_batch_whose_update_is_still_to_come_is_not_in_the_state(update: bool) -> None:
    scheduler = replace(GROWING, gradient="mean_gradient", coupling="adascale")
    loop = Loop(scheduler, options={"device_batch": 4}).run(stop=11)
    controller = loop.controller
    before = controller.state_dict()
    inputs, labels = next(controller.batches(DataLoader(loop.data, batch_sampler=controller.sampler)))
    assert not controller.backward(nn.functional.cross_entropy(loop.model(inputs), labels))  # half of it
    assert str(controller.state_dict()["interval"]) == str(before["interval"])
    for inputs, labels in controller.batches(DataLoader(loop.data, batch_sampler=controller.sampler)):
        if controller.backward(nn.functional.cross_entropy(loop.model(inputs), labels)):
            break
    assert str(controller.state_dict()["interval"]) == str(before["interval"])
    if update:
        controller.update()
        assert str(controller.state_dict()["interval"]) != str(before["interval"])


@pytest.mark.filterwarnings("ignore:Detected call of")
@pytest.mark.parametrize("workers", [0, 2])
def test_run_cut_within_the_last_batch_of_an_epoch_still_ends_it(workers: int) -> None:
    uncut = Loop(Constant(), workers).run()
    first = Loop(Constant(), workers).run(
        stop=15
    )  # 15 times 8 examples are one epoch; the curve did not step
    second = Loop(Constant(), workers).load(first.checkpoint()).run()
    assert torch.equal(second.weights, uncut.weights)
    assert second.optimizer.param_groups[0]["lr"] == uncut.optimizer.param_groups[0]["lr"]


@pytest.mark.parametrize("device_batch", [None, 5])
def test_mean_gradient_is_that_of_the_search_and_survives_a_cut(device_batch: int | None) -> None:
    scheduler = replace(GROWING, gradient="mean_gradient")
    options = {"device_batch": device_batch, "interval": 0.25}
    gradients: list[Tensor] = []
    uncut = Loop(scheduler, options=options)
    uncut.optimizer.register_step_pre_hook(lambda *_: gradients.append(uncut.gradient))
    uncut.run()
    start = 0
    for row in uncut.controller.history:
        mean = torch.stack(gradients[start : row.step]).mean(dim=0)
        assert row.mean_grad_norm == pytest.approx(mean.norm().item(), rel=1e-10)
        assert row.mean_grad_component_variance == pytest.approx(mean.var(correction=0).item(), rel=1e-8)
        start = row.step
    first = Loop(scheduler, options=options).run(stop=22)
    second = Loop(scheduler, options=options).load(first.checkpoint()).run()
    assert torch.equal(second.weights, uncut.weights)
    assert second.controller.history == uncut.controller.history


NOISY = Script(sizes=(8, 12, 21), needs=NOISE | {"grad_norm", "mean_grad_norm"})


@pytest.mark.parametrize("device_batch", [None, 5])
def test_noise_is_measured_between_the_parts_of_each_batch_that_has_some(device_batch: int | None) -> None:
    loop = Loop(NOISY, options={"device_batch": device_batch})
    loader = DataLoader(loop.data, batch_sampler=loop.controller.sampler)
    parameters = list(loop.model.parameters())
    groups: list[tuple[int, Tensor]] = []
    found: list[tuple[float, float, float]] = []
    cut: list[bool] = []
    for inputs, labels in loop.controller.batches(loader):
        loss = nn.functional.cross_entropy(loop.model(inputs), labels)
        gradient = torch.autograd.grad(loss, parameters, retain_graph=True)
        groups.append((len(labels), torch.cat([part.flatten() for part in gradient])))
        if loop.controller.backward(loss):
            n = sum(count for count, _ in groups)
            whole = torch.stack([count / n * part for count, part in groups]).sum(dim=0)
            torch.testing.assert_close(loop.gradient, whole)  # there to be clipped
            squares = sum(count * part.square().sum().item() for count, part in groups)
            noise = (squares - n * whole.square().sum().item()) / max(1, len(groups) - 1)
            found.append((noise, whole.square().sum().item(), whole.norm().item()))
            cut.append(len(groups) > 1)
            assert len(groups) == (
                2 if device_batch is None and cut[-1] else math.ceil(n / (device_batch or n))
            )
            loop.controller.update()
            groups = []
    start = 0
    for row in loop.controller.history:
        own, those = torch.tensor(found[start : row.step]), cut[start : row.step]
        noise, square, _ = own[those].mean(dim=0).tolist()
        norm = own[:, 2].mean().item()
        assert row.noise_count == sum(those) == (row.step - start if device_batch else 1)
        assert row.grad_noise == pytest.approx(noise, rel=1e-9)
        assert row.batch_grad_sq_norm == pytest.approx(square, rel=1e-9)
        assert row.grad_sq_norm == pytest.approx(square - noise / row.batch_size, rel=1e-9)
        assert row.grad_norm == pytest.approx(norm, rel=1e-9)
        assert row.half_cosine is not None
        assert row.inner_product_variance is not None
        start = row.step
    assert [row.batch_size for row in loop.controller.history] == [8, 8]


@pytest.mark.parametrize("size", [2, 3])
def test_batch_too_small_for_two_parts_is_trained_on_all_the_same(size: int) -> None:
    """It has no noise that could be measured; its gradient is there."""
    options = {"batch_size": size, "limits": Limits(smallest=2, largest=40)}
    noisy, plain = (
        Loop(Script(sizes=(), needs=needs), options=options).run(1) for needs in (NOISE, frozenset())
    )
    assert torch.equal(noisy.weights, plain.weights)
    for row in noisy.controller.history:
        assert row.noise_count == 0
        assert all(math.isnan(getattr(row, name)) for name in NOISE)


def test_measuring_the_noise_does_not_change_training() -> None:
    noisy, plain = Loop(NOISY).run(), Loop(replace(NOISY, needs=frozenset())).run()
    assert noisy.sizes == plain.sizes
    torch.testing.assert_close(noisy.weights, plain.weights, rtol=1e-10, atol=1e-13)


def test_state_is_small_and_plain() -> None:
    loop = Loop(GROWING, options={"interval": 0.1}).run(8, stop=100)
    assert len(loop.controller.history) > 20
    file = io.BytesIO()
    torch.save(loop.controller.state_dict(), file)
    assert file.tell() < 20_000

    def plain(value: object) -> bool:
        if isinstance(value, dict):
            return all(isinstance(name, str) and plain(item) for name, item in value.items())
        if isinstance(value, list):
            return all(plain(item) for item in value)
        return value is None or type(value) in (int, float, str, bool)

    assert plain(loop.controller.state_dict())


def test_gradients_may_be_changed_before_the_update() -> None:
    loop = Loop(Constant())
    controller, before = loop.controller, loop.weights
    loader = DataLoader(loop.data, batch_sampler=controller.sampler)
    for inputs, labels in controller.batches(loader):
        if controller.backward(nn.functional.cross_entropy(loop.model(inputs), labels)):
            nn.utils.clip_grad_norm_(loop.model.parameters(), 1e-30)
            controller.update()
    torch.testing.assert_close(loop.weights, before, rtol=0, atol=1e-25)
    assert controller.steps == 15


@pytest.mark.parametrize("workers", [0, 2])
def test_loop_left_early_skips_nothing(workers: int) -> None:
    loop = Loop(Constant(), workers)
    controller = loop.controller
    loader = DataLoader(loop.data, batch_sampler=controller.sampler, num_workers=workers)
    seen = []
    while controller.epoch < 1:
        for number, (inputs, labels) in enumerate(controller.batches(loader)):
            if number == 4:
                break
            seen += inputs[:, 0].tolist()
            controller.step(nn.functional.cross_entropy(loop.model(inputs), labels))
    assert sorted(seen) == sorted(loop.data.tensors[0][:, 0].tolist())


# --- half precision -------------------------------------------------------------------------------


def scaler(**options: float) -> torch.amp.GradScaler:
    return torch.amp.GradScaler("cpu", **{"init_scale": 1024.0, **options})  # type: ignore[arg-type]


@pytest.mark.parametrize("device_batch", [None, 5])
def test_scaled_losses_give_the_same_weights_and_signals(device_batch: int | None) -> None:
    plain = Loop(NOISY, options={"device_batch": device_batch}).run()
    scaled = Loop(NOISY, options={"device_batch": device_batch, "scaler": scaler()}).run()
    torch.testing.assert_close(scaled.weights, plain.weights, rtol=1e-12, atol=1e-14)
    for one, other in zip(scaled.controller.history, plain.controller.history, strict=True):
        assert numbers(one) == pytest.approx(numbers(other), rel=1e-9)


def test_gradients_may_be_clipped_where_the_loss_is_scaled() -> None:
    loop = Loop(Constant(), options={"scaler": scaler()})
    loader = DataLoader(loop.data, batch_sampler=loop.controller.sampler)
    parameters = list(loop.model.parameters())
    for inputs, labels in loop.controller.batches(loader):
        loss = nn.functional.cross_entropy(loop.model(inputs), labels)
        plain = torch.autograd.grad(loss, parameters, retain_graph=True)
        if loop.controller.backward(loss):
            torch.testing.assert_close(loop.gradient, torch.cat([part.flatten() for part in plain]))
            loop.controller.update()


@pytest.mark.filterwarnings("ignore:Detected call of")
@pytest.mark.parametrize("needs", [frozenset(), NOISE | {"grad_norm", "mean_grad_norm"}])
def test_skipped_step_gives_no_signal_and_loses_no_example(needs: frozenset[str]) -> None:
    loop = Loop(Script(sizes=(8, 12), needs=needs), options={"scaler": scaler(), "device_batch": 4})
    controller, updates, skipped = loop.controller, 0, {0, 1, 2, 3, 4, 5, 6, 7, 8, 11}  # all of an interval
    loader = DataLoader(loop.data, batch_sampler=controller.sampler)
    losses: list[float] = []
    norms: list[float] = []
    for number in range(15):  # batches of an epoch
        before = loop.weights
        for inputs, labels in controller.batches(loader):
            first = controller.part.first
            loss = nn.functional.cross_entropy(loop.model(inputs), labels)
            if number in skipped and first:
                loss.register_hook(lambda gradient: gradient * math.inf)
            whole = controller.backward(loss)
            losses += [loss.item() * len(labels)]
            if whole:
                norms += [loop.gradient.norm().item()] if number not in skipped else []
                controller.update()
                break
        updates += number not in skipped
        assert torch.equal(before, loop.weights) == (number in skipped)
        assert controller.steps == updates
        if number == 8:
            assert controller.examples_seen == 72
            assert not controller.history  # the mark at 60 examples waits for a step that counts
        if number == 9:
            (row,) = controller.history
            assert (row.step, row.examples_seen) == (1, 80)
            assert row.train_loss == pytest.approx(sum(losses) / 80)  # of all that were seen
            losses, norms = [], []
        if number == 14:
            row = controller.history[1]
            assert row.train_loss == pytest.approx(sum(losses) / 40)
            if needs:
                assert row.noise_count == 4
                assert row.grad_norm == pytest.approx(sum(norms) / 4)
                assert all(math.isfinite(value) for value in numbers(row).values())


@pytest.mark.filterwarnings("ignore:Detected call of")
def test_learning_rate_is_given_back_after_a_skipped_step() -> None:
    loop = Loop(Script(sizes=(), scales=(0.5,)), options={"scaler": scaler()}).run(stop=10)
    inputs, labels = next(
        loop.controller.batches(DataLoader(loop.data, batch_sampler=loop.controller.sampler))
    )
    assert loop.controller.lr_scale == 0.5
    loop.controller.step(nn.functional.cross_entropy(loop.model(inputs), labels) * math.inf)
    assert loop.optimizer.param_groups[0]["lr"] == 0.1


def test_run_with_a_scaler_goes_on_bit_for_bit() -> None:
    def loop() -> tuple[Loop, torch.amp.GradScaler]:
        of_the_loss = scaler(growth_interval=3)
        return Loop(GROWING, options={"scaler": of_the_loss, "interval": 0.25}), of_the_loss

    uncut = loop()[0].run()
    first, scale = loop()
    file, state = first.run(stop=20).checkpoint(), scale.state_dict()
    second, scale = loop()
    scale.load_state_dict(state)
    second.load(file).run()
    assert torch.equal(second.weights, uncut.weights)
    assert second.controller.history == uncut.controller.history
    assert state["scale"] > 1024


def test_update_that_was_not_ended_is_told() -> None:
    controller = (loop := Loop(Constant())).controller
    items = iter(DataLoader(loop.data, batch_sampler=controller.sampler))
    for item, _ in enumerate(itertools.islice(items, 2)):
        controller.begin()
        if item == 0:
            controller.before_update()  # and the framework's scaler skips the update
    with pytest.raises(RuntimeError, match=r"not followed by after_update\(\), updated or not"):
        controller.before_update()


# --- refusals --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scheduler": "debba"}, "unknown scheduler 'debba'; did you mean 'deba'?"),
        ({"scheduler": "deba", "fields": {"grow": 2}}, "unknown field of deba 'grow'"),
        ({"scheduler": Deba(), "fields": {"growth": 2.0}}, "fields belong to a scheduler given by name"),
        ({"batch_size": 64}, "batch_size=64 lies outside Limits(smallest=4, largest=40"),
        ({"limits": None}, "120 examples are too few for the default limits"),
        ({"drop_last": True, "limits": Limits(smallest=4, largest=121)}, "at most 120 but got largest=121"),
        ({"interval": 0}, "interval must be greater than 0 epochs but got interval=0"),
        ({"device_batch": 2}, "device_batch must be at least 4 but got device_batch=2"),
        ({"scheduler": NeedsMore()}, "scheduler NeedsMore needs moon_phase, which the controller cannot"),
    ],
)
def test_bad_input_is_refused(change: dict[str, Any], message: str) -> None:
    model = nn.Linear(2, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    options: dict[str, Any] = {"scheduler": "constant", "batch_size": 8, "limits": LIMITS, **change}
    with pytest.raises(InputError) as raised:
        BatchSizeController(model, optimizer, range(EXAMPLES), **options)
    assert message in str(raised.value)


def test_scheduler_that_needs_the_validation_loss_asks_for_it() -> None:
    assert missing_signals(frozenset({"val_loss"}), evaluated=True) is None
    message = missing_signals(frozenset({"val_loss"}), evaluated=False)
    assert message is not None
    assert "give evaluate=" in message


def test_loader_without_our_sampler_is_refused() -> None:
    loop = Loop(Constant())
    with pytest.raises(InputError, match=r"batch_sampler=controller\.sampler"):
        next(loop.controller.batches(DataLoader(loop.data, batch_size=8)))


def test_step_outside_the_loop_is_refused() -> None:
    with pytest.raises(RuntimeError, match="no batch was begun"):
        Loop(Constant()).controller.step(torch.zeros(()))


def test_checkpoint_of_another_scheduler_is_refused_with_both_names() -> None:
    state = Loop(Constant()).controller.state_dict()
    with pytest.raises(InputError, match=r"is of scheduler Constant\(\), but this controller has Deba\("):
        Loop(GROWING).controller.load_state_dict(state)
    other = Loop(replace(GROWING, growth=2.0)).controller.state_dict()
    with pytest.raises(InputError, match=r"growth=2\.0.*growth=1\.5"):
        Loop(GROWING).controller.load_state_dict(other)


@pytest.mark.parametrize("version", [VERSION + 1, 0, "0.0.7", None])
def test_checkpoint_of_another_format_is_refused_with_both(version: Any) -> None:
    state = Loop(Constant()).controller.state_dict()
    state["version"] = version
    says = re.escape(f"the checkpoint has format {version}, but this adasearch reads those up to {VERSION}")
    with pytest.raises(InputError, match=says):
        Loop(Constant()).controller.load_state_dict(state)


def of_version_0_2_0(state: Any) -> Any:
    """A state as version 0.2.0 wrote it: the history by columns, None for a gradient that never came.

    Of a scheduler it knew fewer fields.
    """
    rows = state["history"]
    columns = list(rows[0])
    history = {"columns": columns, "rows": [[row[name] for name in columns] for row in rows]}
    interval = {**state["interval"], "mean_gradient": [*state["interval"]["mean_gradient"][:-1], None]}
    scheduler = re.sub(r", coupling_exponent=[\d.]+, noise='raw'", "", state["scheduler"])
    assert scheduler != state["scheduler"]
    return {
        **state,
        "version": "0.2.0",
        "history": history,
        "interval": interval,
        "scheduler": scheduler,
    }


def test_run_goes_on_from_a_checkpoint_of_version_0_2_0() -> None:
    """In mid-interval; the last parameter's gradients are zeros, as if the loss had not reached it."""

    def loop() -> Loop:
        scheduler = replace(GROWING, gradient="mean_gradient", coupling="adascale")
        built = Loop(scheduler, options={"device_batch": 4})
        list(built.model.parameters())[-1].register_hook(torch.zeros_like)
        return built

    uncut, first, second = loop().run(2), loop().run(2, stop=40), loop()
    states = torch.load(first.checkpoint(), weights_only=True)
    states[-1] = of_version_0_2_0(states[-1])
    file = io.BytesIO()
    torch.save(states, file)
    file.seek(0)
    second.load(file).run(2)
    assert len(first.controller.history) in range(1, len(uncut.controller.history))
    assert first.sizes + second.sizes == uncut.sizes
    assert second.controller.history == uncut.controller.history
    assert torch.equal(second.weights, uncut.weights)


def test_signals_that_one_version_does_not_know_do_not_stop_it() -> None:
    state = Loop(GROWING).run().controller.state_dict()
    rows = [{**row, "moon_phase": 0.5} for row in state["history"]]
    for row in rows:
        del row["half_cosine"]
    loop = Loop(GROWING)
    loop.controller.load_state_dict({**state, "history": rows})
    assert loop.controller.history == Loop(GROWING).run().controller.history


def test_checkpoint_of_a_size_outside_the_limits_is_refused() -> None:
    state = Loop(GROWING).run().controller.state_dict()
    other = Loop(GROWING, options={"limits": Limits(smallest=4, largest=9)})
    with pytest.raises(
        InputError, match=r"goes on with batch_size=\d\d, outside Limits\(smallest=4, largest=9"
    ):
        other.controller.load_state_dict(state)


def test_checkpoint_of_other_data_is_refused() -> None:
    state = Loop(Constant(), options={"seed": 3}).controller.state_dict()
    with pytest.raises(InputError, match="seed=3 but got seed=0"):
        Loop(Constant()).controller.load_state_dict(state)


# --- several processes -----------------------------------------------------------------------------

WORLD = 2
SHARED: dict[str, Callable[[], Loop]] = {
    "whole": lambda: Loop(GROWING, options={"batch_size": 7}),
    "noise": lambda: Loop(NOISY),
    "noise, scaled": lambda: Loop(NOISY, options={"scaler": scaler()}),
    "mean gradient": lambda: Loop(replace(GROWING, gradient="mean_gradient")),
    "in parts, with workers": lambda: Loop(
        Script(sizes=(11, 23, 40, 9)), 1, options={"batch_size": 9, "device_batch": 4}
    ),
}


def _process(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=WORLD)
    try:
        found = {}
        for name, build in SHARED.items():
            loop = build().run(2)
            found[name] = (loop.controller.history, loop.sizes, loop.weights)
        # Cut in mid-interval, and what process 0 wrote down loaded by both.
        first = SHARED["mean gradient"]().run(2, stop=11)
        files = [first.checkpoint().getvalue()]
        dist.broadcast_object_list(files)
        second = SHARED["mean gradient"]().load(io.BytesIO(files[0])).run(2)
        found["resumed"] = (second.controller.history, first.sizes + second.sizes, second.weights)
        torch.save(found, f"{folder}/{rank}")
        with pytest.raises(InputError, match="must be at least 2, 1 per process, but got smallest=1"):
            Loop(Constant(), options={"limits": Limits(smallest=1, largest=9)})
        with pytest.raises(InputError, match="DistributedDataParallel"):
            BatchSizeController(
                nn.Linear(2, 2), loop.optimizer, loop.data, "constant", batch_size=8, limits=LIMITS
            )
    finally:
        dist.destroy_process_group()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    folder = tmp_path_factory.mktemp("processes")
    spawn(_process, args=(str(folder),), nprocs=WORLD)
    return [torch.load(folder / str(rank), weights_only=False) for rank in range(WORLD)]


@pytest.mark.parametrize("name", SHARED)
def test_two_processes_train_as_one(shared: list[Any], name: str) -> None:
    alone = SHARED[name]()
    if alone.controller.sampler._halves is not None:
        alone.controller.sampler._halves = Halves(span=1, budget=None)  # of every batch, as processes are
    alone.run(2)
    (history, sizes, weights), other = (found[name] for found in shared)
    assert history == other[0]
    assert sizes == other[1]
    assert torch.equal(weights, other[2])
    torch.testing.assert_close(weights, alone.weights, rtol=1e-9, atol=1e-12)
    assert len({*sizes}) > 1
    if name != "in parts, with workers":
        assert sizes == alone.sizes
        for one, same in zip(history, alone.controller.history, strict=True):
            assert numbers(one) == pytest.approx(numbers(same), rel=1e-8)
    assert math.isfinite(history[-1].train_loss)


def test_checkpoint_of_one_process_resumes_all_of_them_bit_for_bit(shared: list[Any]) -> None:
    for found in shared:
        (history, sizes, weights), whole = found["resumed"], found["mean gradient"]
        assert history == whole[0]
        assert sizes == whole[1]
        assert torch.equal(weights, whole[2])
