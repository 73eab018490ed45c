"""What a loop does beside its controller is said once, in one line; a loop that is right hears nothing."""

import contextlib
import gc
import itertools
import math
import warnings
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    LambdaLR,
    LinearLR,
    LRScheduler,
    OneCycleLR,
    ReduceLROnPlateau,
    SequentialLR,
)
from torch.utils.data import DataLoader, TensorDataset

from adasearch import BatchSizeController, Limits
from adasearch.errors import InputError
from adasearch.schedulers.adabatch import AdaBatch
from adasearch.schedulers.constant import Constant
from tests.controller.test_controller import Script

EXAMPLES = 128
mean = nn.functional.cross_entropy


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


class Run:
    def __init__(self, scheduler: Any = None, **options: Any) -> None:
        torch.manual_seed(1)
        self.model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1, momentum=0.9)
        self.lrs: list[float] = []
        self.optimizer.register_step_pre_hook(lambda one, *_: self.lrs.append(one.param_groups[0]["lr"]))
        self.controller = BatchSizeController(
            *(self.model, self.optimizer, data(), scheduler or AdaBatch(period=1)),
            **{"batch_size": 8, "limits": Limits(smallest=8, largest=32), **options},
        )
        self.loader = DataLoader(data(), batch_sampler=self.controller.sampler)

    def items(self, epochs: int) -> Iterator[tuple[Tensor, Tensor]]:
        for _ in range(self.controller.epoch, epochs):
            yield from self.controller.batches(self.loader)

    def passes(self, epochs: int, *, loss: Any = mean, after: Callable[[bool], object] = bool) -> "Run":
        for inputs, labels in self.items(epochs):
            after(self.controller.step(loss(self.model(inputs), labels)))
        return self

    @property
    def weights(self) -> Tensor:
        return torch.cat([p.detach().flatten() for p in self.model.parameters()])


@contextlib.contextmanager
def one_line(words: str) -> Iterator[None]:
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        yield
    lines = [str(each.message) for each in found]
    assert [words in line for line in lines] == [True], lines
    assert "\n" not in lines[0]


# --- misuse -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("items", [3, 200])
def test_loop_that_never_steps_is_told(items: int) -> None:
    run = Run()
    with one_line("nothing is trained: the loop did not call controller.step(loss)"):
        for number, _ in enumerate(run.items(3)):
            if number == items - 1 and items < 16:
                break
            if number == 24:
                break
        if items == 3:
            list(run.controller.batches(run.loader))


def test_loop_that_leaves_out_on_purpose_hears_nothing() -> None:
    run = Run()
    for number, (inputs, labels) in enumerate(run.items(3)):
        if number < 30:
            run.controller.skip()
        else:
            run.controller.step(mean(run.model(inputs), labels))
    assert run.controller.examples_seen >= 3 * EXAMPLES


@pytest.mark.parametrize("way", ["by itself", "after backward", "twice"])
def test_optimizer_stepped_beside_the_controller_is_told(way: str) -> None:
    run = Run()
    with one_line("optimizer.step() is called beside the controller"):
        for number, (inputs, labels) in enumerate(run.items(1)):
            loss = mean(run.model(inputs), labels)
            if way == "by itself":
                loss.backward()
            elif way == "after backward":
                run.controller.backward(loss)
            else:
                run.controller.step(loss)
            run.optimizer.step()
            if number == 9:
                break


def test_optimizer_of_another_model_is_refused() -> None:
    with pytest.raises(InputError, match="the optimizer has no parameter of the model: build it from"):
        BatchSizeController(
            *(nn.Linear(6, 3), torch.optim.SGD(nn.Linear(6, 3).parameters(), lr=0.1), data(), "constant"),
            batch_size=16,
        )


def summed(output: Tensor, labels: Tensor) -> Tensor:
    return mean(output, labels, reduction="none").sum()


SUMS: dict[str, Any] = {
    "cross entropy": lambda output, labels: mean(output, labels, reduction="sum"),
    "squares": lambda output, labels: nn.functional.mse_loss(
        output, nn.functional.one_hot(labels, 3).double(), reduction="sum"
    ),
    "by hand": summed,
}


@pytest.mark.parametrize("kind", SUMS)
def test_loss_that_is_a_sum_is_told(kind: str) -> None:
    with one_line("the loss looks like the sum over the 8 examples at hand"):
        Run("constant", limits=Limits(smallest=8, largest=8)).passes(2, loss=SUMS[kind])


def test_sum_that_autograd_does_not_show_is_told_once_the_size_changes() -> None:
    def of_a_list(output: Tensor, labels: Tensor) -> Any:
        return 1e-3 * sum(mean(output[[each]], labels[[each]]) for each in range(len(labels)))

    with one_line("it looks like a sum, but the controller takes it for the mean"):
        Run(Script(sizes=(24,))).passes(4, loss=of_a_list)


def test_mean_that_diverges_as_the_size_grows_is_taken_for_no_sum() -> None:
    steps = iter(range(100))

    def diverging(output: Tensor, labels: Tensor) -> Tensor:  # by 3 from the first to the second interval
        return mean(output, labels) * 0 + output.mean() * 0 + 1.114 ** next(steps) * 0.693

    run = Run(Script(sizes=(24,))).passes(2, loss=diverging)
    first, second = (row.train_loss for row in run.controller.history[:2])
    assert second / first == pytest.approx(3, rel=0.05)  # as the size, which would look like a sum


MEANS: dict[str, Any] = {
    "mean": mean,
    "by hand": lambda output, labels: summed(output, labels) / len(labels),
    "of two": lambda output, labels: torch.stack([mean(output, labels), output.square().mean()]).sum(),
    "per class": lambda output, labels: output.square().mean(0).sum() + mean(output, labels),
}


@pytest.mark.parametrize("kind", MEANS)
def test_loss_that_is_a_mean_is_left_alone(kind: str) -> None:
    Run().passes(4, loss=MEANS[kind])


def test_loss_that_is_nan_for_ever_is_told() -> None:
    with one_line("the loss of an interval is nan: the weights may be lost"):
        Run("constant").passes(3, loss=lambda output, labels: mean(output * math.nan, labels))


def test_gradients_that_overflow_for_ever_are_told() -> None:
    run = Run("constant", scaler=torch.amp.GradScaler("cpu"))
    with one_line("no update was made in 50 batches"):
        run.passes(5, loss=lambda output, labels: mean(output, labels) * math.inf)
    assert run.controller.steps == 0


class Wrapper(torch.optim.Optimizer):
    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self.optimizer = optimizer
        self.synchronised = True

    @property
    def param_groups(self) -> Any:  # type: ignore[override]
        return self.optimizer.param_groups

    def step(self, closure: Any = None) -> Any:
        return self.optimizer.step() if self.synchronised else None

    def zero_grad(self, set_to_none: bool = True) -> None:
        if self.synchronised:
            self.optimizer.zero_grad()


def test_framework_that_holds_the_optimizer_back_is_refused() -> None:
    model = nn.Linear(6, 3)
    wrapper = Wrapper(torch.optim.SGD(model.parameters(), lr=0.1))
    wrapper.param_groups  # noqa: B018
    controller = BatchSizeController(model, wrapper, data(), "constant", batch_size=16)
    items = controller.batches(DataLoader(data(), batch_sampler=controller.sampler))
    for wrapper.synchronised in (True, True, False):
        inputs, labels = next(items)
        if wrapper.synchronised:
            controller.step(mean(model(inputs), labels))
    assert controller.steps == 2
    loss = mean(model(inputs), labels)
    with pytest.raises(RuntimeError, match=r"optimizer\.step\(\) made no update: a framework accumulates"):
        controller.step(loss)
    assert wrapper.param_groups[0]["lr"] == 0.1


def test_wrapper_that_is_no_whole_optimizer_trains_as_it_would() -> None:
    class Doubled(torch.optim.Optimizer):
        """Derives from it for its type alone, as wrappers do."""

        def __init__(self, base: torch.optim.Optimizer) -> None:
            self.base, self.param_groups = base, base.param_groups

        def step(self, closure: Any = None) -> None:  # type: ignore[override]
            self.base.step()
            self.base.step()

    def trained(make: Callable[[nn.Module], torch.optim.Optimizer]) -> Tensor:
        torch.manual_seed(0)
        model = nn.Linear(6, 3)
        controller = BatchSizeController(model, make(model), data(), "constant", batch_size=16)
        for inputs, labels in controller.batches(DataLoader(data(), batch_sampler=controller.sampler)):
            controller.step(mean(model(inputs), labels))
        return model.weight.detach()

    doubled = trained(lambda model: Doubled(torch.optim.SGD(model.parameters(), lr=0.1)))
    torch.testing.assert_close(doubled, trained(lambda model: torch.optim.SGD(model.parameters(), lr=0.2)))


def test_error_in_the_optimizer_that_the_loop_catches_gives_the_rate_back() -> None:
    run = Run(Script(sizes=(), scales=(0.5, 0.5, 0.5)), interval=0.25)
    fails: list[bool] = [False] * 6 + [True] + [False] * 9

    def fail(*_: object) -> None:
        if fails.pop(0):
            raise MemoryError

    run.optimizer.register_step_pre_hook(fail)
    for inputs, labels in run.items(1):
        with contextlib.suppress(MemoryError):
            run.controller.step(mean(run.model(inputs), labels))
        assert run.optimizer.param_groups[0]["lr"] == 0.1
    assert (run.controller.steps, run.controller.examples_seen) == (15, EXAMPLES)


def test_controller_leaves_nothing_behind_at_the_optimizer() -> None:
    model = nn.Linear(6, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    controller = BatchSizeController(model, optimizer, data(), "deba", batch_size=16)
    for inputs, labels in controller.batches(DataLoader(data(), batch_sampler=controller.sampler)):
        controller.step(mean(model(inputs), labels))
    gone = weakref.ref(controller)
    gc.disable()
    try:
        del controller
        assert gone() is None  # without the collector: nothing leads round to it
    finally:
        gc.enable()
    optimizer.step()  # and nobody minds


def test_loss_that_goes_backward_beside_the_controller_is_told() -> None:
    run = Run("constant")
    with one_line("give one sum of all losses"):
        for inputs, labels in run.items(1):
            run.model[0].weight.square().sum().backward()  # type: ignore[operator]
            run.controller.step(mean(run.model(inputs), labels))


@pytest.mark.parametrize("kind", ["class weights", "padding"])
def test_mean_over_something_else_than_examples_is_told_where_batches_come_in_parts(kind: str) -> None:
    def loss(output: Tensor, labels: Tensor) -> Tensor:
        if kind == "class weights":
            return mean(output, labels, weight=torch.tensor([1.0, 1.0, 30.0]))
        return mean(output, labels, ignore_index=2)

    Run("constant").passes(1, loss=loss)
    with one_line("give controller.step(loss, weight=...), or whole_batches=True"):
        Run("constant", batch_size=16, device_batch=8).passes(1, loss=loss)
    with one_line("give controller.step(loss, weight=...), or whole_batches=True"):
        Run("noise_scale", batch_size=16).passes(1, loss=loss)


def test_tokens_of_which_every_example_has_as_many_need_no_weight() -> None:
    Run("constant", device_batch=4).passes(1)
    Run("constant", device_batch=4).passes(
        1, loss=lambda output, labels: mean(output.repeat(3, 1), labels.repeat(3))
    )


def test_gradients_that_are_cleared_before_the_update_are_told() -> None:
    run = Run("constant")
    with one_line("the gradients were cleared behind controller.backward()"):
        for inputs, labels in run.items(1):
            if run.controller.backward(mean(run.model(inputs), labels)):
                run.optimizer.zero_grad()
                run.controller.update()


def test_sampler_that_the_loop_resizes_is_told() -> None:
    run = Run(Constant()).passes(1)
    run.controller.sampler.resize(16)
    with one_line("the sampler was resized to 16 beside the controller, which decided 8"):
        run.passes(2)


# --- learning rates ---------------------------------------------------------------------------------------

SCHEDULES: dict[str, Callable[[torch.optim.Optimizer, int], LRScheduler]] = {
    "one cycle": lambda optimizer, steps: OneCycleLR(optimizer, 0.2, total_steps=steps, cycle_momentum=False),
    "cosine": lambda optimizer, steps: CosineAnnealingLR(optimizer, T_max=steps),
    "warm-up": lambda optimizer, steps: SequentialLR(
        optimizer,
        [
            LinearLR(optimizer, 0.1, total_iters=steps // 4),
            CosineAnnealingLR(optimizer, steps - steps // 4),
        ],
        [steps // 4],
    ),
    "lambda": lambda optimizer, steps: LambdaLR(optimizer, lambda step: 1 - step / steps),
}


def plainly(make: Callable[[torch.optim.Optimizer, int], LRScheduler], steps: int) -> list[float]:
    """The learning rates of an ordinary loop that steps the schedule after each update."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
    curve, found = make(optimizer, steps), []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        curve.step()
    return found


@pytest.mark.parametrize("name", SCHEDULES)
def test_curve_at_a_constant_size_is_that_of_an_ordinary_loop(name: str) -> None:
    run = Run(Constant(), epochs=3)
    run.controller.curve(SCHEDULES[name])
    assert run.passes(3).lrs == plainly(SCHEDULES[name], 48)


@pytest.mark.parametrize("device_batch", [None, 5])
@pytest.mark.parametrize("sizes", [(8, 16, 32, 32), (16, 32, 8, 12, 8, 24)], ids=["growing", "both"])
@pytest.mark.parametrize("name", SCHEDULES)
def test_curve_follows_the_examples_whatever_the_sizes(
    name: str, sizes: tuple[int, ...], device_batch: int | None
) -> None:
    run = Run(Script(sizes=sizes), epochs=3, interval=0.5, device_batch=device_batch)
    run.controller.curve(SCHEDULES[name])
    expected, table, places = [], plainly(SCHEDULES[name], 48), []

    def after(whole: bool) -> None:
        if whole:
            places.append(run.controller.examples_seen)

    run.passes(3, after=after)
    for seen in [0, *places[:-1]]:
        expected.append(table[min(seen // 8, 47)])
    assert run.lrs == expected
    assert len(places) != 48
    assert run.optimizer.param_groups[0]["lr"] == table[-1]  # where it ends


def test_curve_goes_on_from_a_checkpoint() -> None:
    def built() -> tuple[Run, LRScheduler]:
        run = Run(Script(sizes=(8, 16, 32)), epochs=3, interval=0.5)
        return run, run.controller.curve(SCHEDULES["one cycle"])

    uncut = built()[0].passes(3)
    first, curve = built()
    for number, (inputs, labels) in enumerate(first.items(3)):
        first.controller.step(mean(first.model(inputs), labels))
        if number == 20:
            break
    second, other = built()
    second.model.load_state_dict(first.model.state_dict())
    second.optimizer.load_state_dict(first.optimizer.state_dict())
    second.controller.load_state_dict(first.controller.state_dict())
    other.load_state_dict(curve.state_dict())
    second.passes(3)
    assert first.lrs + second.lrs == uncut.lrs
    assert torch.equal(second.weights, uncut.weights)


@pytest.mark.parametrize("name", SCHEDULES)
def test_curve_of_which_the_checkpoint_has_no_state_is_told(name: str) -> None:
    first, second = (Run(Constant(), epochs=3) for _ in range(2))
    for run in (first, second):
        run.controller.curve(SCHEDULES[name])
    first.passes(1)
    second.controller.load_state_dict(first.controller.state_dict())
    second.optimizer.load_state_dict(first.optimizer.state_dict())
    with one_line("a curve of controller.curve() begins anew where the run goes on"):
        second.passes(3)


def test_progress_is_the_share_of_the_run() -> None:
    run = Run(Script(sizes=(8, 16, 32)), epochs=1.5, interval=0.5)
    found: list[float] = []
    run.passes(2, after=lambda _: found.append(run.controller.progress))
    seen = torch.tensor([8] * 16 + [16] * 4 + [32] * 4).cumsum(0)
    assert found[: len(seen)] == [min(each / 192, 1.0) for each in seen.tolist()][: len(found)]
    assert found[-1] == 1.0


def test_curves_that_cannot_be_are_refused() -> None:
    with pytest.raises(InputError, match="need the length of the run: give the controller epochs="):
        assert Run().controller.progress
    with pytest.raises(InputError, match="need the length of the run: give the controller epochs="):
        Run().controller.curve(SCHEDULES["cosine"])
    with pytest.raises(InputError, match="must be a schedule of steps but got ReduceLROnPlateau"):
        Run(epochs=2).controller.curve(lambda optimizer, _: ReduceLROnPlateau(optimizer))
    with pytest.raises(InputError, match="epochs must be greater than 0 but got epochs=0"):
        Run(epochs=0)


def test_schedule_stepped_with_each_update_is_told_once_the_size_changes() -> None:
    run = Run()
    curve = SCHEDULES["cosine"](run.optimizer, 48)
    with one_line("a schedule that counts updates ends at the wrong rate; use controller.curve()"):
        run.passes(3, after=lambda _: curve.step())


def test_schedule_stepped_with_each_part_is_told() -> None:
    run = Run("constant", device_batch=4)
    curve = SCHEDULES["cosine"](run.optimizer, 48)
    with one_line("the learning rate was changed between two parts of a batch"):
        # Not before the first update, which torch itself minds.
        run.passes(1, after=lambda _: curve.step() if run.controller.steps else None)


@pytest.mark.parametrize("way", ["step", "backward"])
@pytest.mark.parametrize("device_batch", [4, 8])
def test_rate_that_is_one_for_all_parts_of_a_batch_is_left_alone(way: str, device_batch: int) -> None:
    """It follows the controller's progress: set for each item, or right before the update."""
    run = Run("constant", batch_size=16, device_batch=device_batch, epochs=2)
    for inputs, labels in run.items(2):
        rate = 0.1 * (1 - run.controller.progress)
        if way == "step":
            run.optimizer.param_groups[0]["lr"] = rate
            run.controller.step(mean(run.model(inputs), labels))
        elif run.controller.backward(mean(run.model(inputs), labels)):
            run.optimizer.param_groups[0]["lr"] = rate
            run.controller.update()
    assert len({*run.lrs}) == len(run.lrs) == 16


def test_rate_that_is_set_anew_for_each_part_is_told() -> None:
    run = Run("constant", batch_size=16, device_batch=8)
    with one_line("the learning rate was changed between two parts of a batch"):
        for number, (inputs, labels) in enumerate(run.items(1)):
            run.optimizer.param_groups[0]["lr"] = 0.1 / (1 + number)
            run.controller.step(mean(run.model(inputs), labels))


@pytest.mark.parametrize("name", SCHEDULES)
def test_curve_of_the_controllers_that_the_loop_steps_too_is_told(name: str) -> None:
    run = Run(Constant(), epochs=6)
    curve = run.controller.curve(SCHEDULES[name])
    with one_line("a curve of controller.curve() was stepped by the loop, too"):
        run.passes(2, after=lambda _: curve.step())


@pytest.mark.parametrize("way", ["with each epoch", "by progress", "at a constant size"])
def test_schedule_that_is_right_is_left_alone(way: str) -> None:
    scheduler = Constant() if way == "at a constant size" else AdaBatch(period=1)
    run = Run(scheduler, epochs=4)
    curve = SCHEDULES["cosine"](run.optimizer, 4 if way == "with each epoch" else 64)
    for _ in range(4):
        for inputs, labels in run.controller.batches(run.loader):
            run.controller.step(mean(run.model(inputs), labels))
            if way == "by progress":
                run.optimizer.param_groups[0]["lr"] = 0.1 * (1 - run.controller.progress)
            elif way == "at a constant size":
                curve.step()
        if way == "with each epoch":
            curve.step()
    assert len({*run.lrs}) >= 4


def test_updates_that_a_loop_leaves_out_to_accumulate_by_itself_are_told() -> None:
    model = nn.Linear(6, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    controller = BatchSizeController(model, optimizer, data(), "constant", batch_size=16, epochs=4)
    loader = DataLoader(data(), batch_sampler=controller.sampler)

    def run() -> None:
        for _ in range(4):
            for number, (inputs, labels) in enumerate(controller.batches(loader)):
                if controller.backward(mean(model(inputs), labels) / 2) and number % 2:
                    controller.update()

    with pytest.warns(UserWarning, match=r"update\(\) was not called for 8 of 1\d batches"):
        run()


# --- loops that count their items -------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["islice", "zip", "break", "next"])
def test_a_loop_that_counts_its_items_has_the_plain_loops_updates(how: str) -> None:
    model = nn.Linear(6, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    controller = BatchSizeController(model, optimizer, data(), "constant", batch_size=16, epochs=4)
    loader = DataLoader(data(), batch_sampler=controller.sampler)
    count = -(-len(data()) // 16)
    for _ in range(4):
        items = controller.batches(loader)
        if how == "islice":
            items = itertools.islice(items, count)
        elif how == "zip":
            items = (item for _, item in zip(range(count), items, strict=False))
        elif how == "next":
            source = items
            items = (next(source) for _ in range(len(loader)))
        for number, (inputs, labels) in enumerate(items, start=1):
            controller.step(mean(model(inputs), labels))
            if how == "break" and number == count:
                break
    assert controller.steps == 4 * count
    assert controller.progress == 1


# --- kinds of arguments -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"weights": "balanced"}, "weights must be numbers, one for each example, but are of type str"),
        ({"weights": [None] * 4}, "weights must be numbers, one for each example, but are of type list"),
        ({"epochs": "twelve"}, "epochs must be one number but is of type str"),
        (
            {"scheduler": None},
            "scheduler must be a name or a scheduler that is built, but is of type NoneType",
        ),
        ({"scheduler": Constant}, "but is the class Constant"),
        ({"scheduler": "deba", "fields": ["a"]}, "fields must be a mapping of names but is of type list"),
    ],
)
def test_arguments_of_another_kind_are_refused_in_one_line(options: dict[str, Any], says: str) -> None:
    model = nn.Linear(6, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(InputError, match=says):
        BatchSizeController(
            model, optimizer, data(), **{"scheduler": "constant", "batch_size": 16, **options}
        )


def test_weights_are_the_controllers_own_and_numpys_numbers_become_pythons() -> None:
    model = nn.Linear(6, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    weights = torch.ones(len(data()), dtype=torch.float64)
    limits = Limits(smallest=np.int64(8), largest=np.int64(32))  # type: ignore[arg-type]
    assert type(limits.largest) is int
    size: Any = np.int64(16)
    controller = BatchSizeController(
        model, optimizer, data(), "constant", batch_size=size, limits=limits, weights=weights
    )
    weights[1:] = 0
    drawn = {index for batch in controller.sampler for index in batch}
    assert len(drawn) > 1
    assert type(controller.decision.batch_size) is int
