"""An item that was handed out and not finished: seen, out of the gradient, and nothing else goes wrong."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.multiprocessing.spawn import spawn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, TensorDataset

from adasearch import BatchSizeController, Limits
from adasearch.errors import InputError
from adasearch.schedulers.adabatch import AdaBatch
from adasearch.schedulers.base import BatchSizeScheduler
from adasearch.signal_sets import NOISE
from tests.controller.test_controller import Script

EXAMPLES, SIZE = 96, 16
GROWING = AdaBatch(period=1)
STEADY = Script(sizes=(), needs=frozenset({"grad_norm", "mean_grad_norm"}))
NOISY = Script(sizes=(), needs=NOISE | {"grad_norm"})


@pytest.fixture(autouse=True)
def _double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def data() -> TensorDataset:
    random = torch.Generator().manual_seed(0)
    inputs, labels = (
        torch.randn(EXAMPLES, 6, generator=random),
        torch.randint(3, (EXAMPLES,), generator=random),
    )
    return TensorDataset(inputs, labels, torch.arange(EXAMPLES))


def network() -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(1)
    model: nn.Module = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))
    if dist.is_initialized():
        model = DistributedDataParallel(model)
    return model, torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)


def flat(model: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


class Run:
    """A loop that leaves out the items of some numbers, in some way."""

    def __init__(self, scheduler: BatchSizeScheduler, **options: Any) -> None:
        self.model, self.optimizer = network()
        limits = Limits(smallest=SIZE, largest=4 * SIZE)
        options = {"batch_size": SIZE, "limits": limits, **options}
        self.controller = BatchSizeController(self.model, self.optimizer, data(), scheduler, **options)
        self.loader = DataLoader(data(), batch_sampler=self.controller.sampler)
        self.times = torch.zeros(EXAMPLES, dtype=torch.int64)  # that each example's loss was taken in
        self.items: list[Tensor] = []  # handed out, by number
        self.gradients: list[Tensor] = []  # of the updates

    def items_of_an_epoch(self) -> Iterator[tuple[Tensor, Callable[[], Tensor], Tensor]]:
        for inputs, labels, numbers in self.controller.batches(self.loader):
            self.items.append(numbers)
            yield inputs, lambda: nn.functional.cross_entropy(self.model(inputs), labels), numbers  # noqa: B023

    def passes(self, epochs: int, left_out: set[int], way: str = "continue") -> "Run":
        controller = self.controller
        for _ in range(epochs):
            for _, loss, numbers in self.items_of_an_epoch():
                if len(self.items) - 1 in left_out and way == "continue":
                    continue
                if len(self.items) - 1 in left_out and way == "forward and continue":
                    loss()
                    continue
                if len(self.items) - 1 in left_out and way == "skip":
                    controller.skip()
                    continue
                if len(self.items) - 1 in left_out and way == "clip":
                    whole = controller.skip()
                else:
                    self.times[numbers] += 1
                    whole = controller.backward(loss()) if way == "clip" else controller.step(loss())
                if whole and way == "clip":
                    self.gradients.append(torch.cat([p.grad.flatten() for p in self.model.parameters()]))  # type: ignore[union-attr]
                    nn.utils.clip_grad_norm_(self.model.parameters(), 1e6)
                    controller.update()
        return self


def plain(items: list[Tensor], left_out: set[int], passes: int = 1) -> Tensor:
    """Return the weights after an ordinary loop over the same items; a part left out has a loss of 0."""
    model, optimizer = network()
    tensors = data().tensors
    for number in range(0, len(items), passes):
        parts = range(number, number + passes)
        size = sum(len(items[part]) for part in parts)
        optimizer.zero_grad()
        for part in parts:
            if part not in left_out:
                loss = nn.functional.cross_entropy(model(tensors[0][items[part]]), tensors[1][items[part]])
                (loss * (len(items[part]) / size)).backward()
        if not left_out.issuperset(parts):
            optimizer.step()
    return flat(model)


WHOLE = [{4}, {0}, {5}, {0, 1, 2}, {3, 5}, {5, 6}, {0, 5, 6, 11}]
PARTS = [{0}, {3}, {4, 5}, {11}, {10, 11}, {0, 3, 6, 7, 11, 12, 22, 23}, set(range(9))]


@pytest.mark.parametrize("way", ["continue", "skip", "forward and continue", "clip"])
@pytest.mark.parametrize("left_out", WHOLE, ids=str)
def test_batch_left_out_is_seen_and_has_no_update(left_out: set[int], way: str) -> None:
    run = Run(STEADY).passes(2, left_out, way)
    assert torch.equal(flat(run.model), plain(run.items, left_out))
    assert (run.controller.epoch, run.controller.examples_seen) == (2, 2 * EXAMPLES)
    assert run.controller.steps == 12 - len(left_out)
    assert [row.epoch for row in run.controller.history] == [1.0, 2.0]
    out = torch.cat([run.items[number] for number in left_out])
    expected = torch.full((EXAMPLES,), 2).index_add_(0, out, torch.full_like(out, -1))
    assert torch.equal(run.times, expected)


@pytest.mark.parametrize("way", ["continue", "skip", "clip"])
@pytest.mark.parametrize("needs", [STEADY, NOISY], ids=["plain", "noise"])
@pytest.mark.parametrize("left_out", PARTS, ids=str)
def test_part_left_out_is_seen_and_out_of_the_gradient(
    left_out: set[int], needs: BatchSizeScheduler, way: str
) -> None:
    run = Run(needs, device_batch=8).passes(2, left_out, way)
    assert len(run.items) == 24
    torch.testing.assert_close(flat(run.model), plain(run.items, left_out, 2), rtol=1e-12, atol=1e-14)
    if needs is STEADY:  # where noise is measured the sum is taken in another order
        assert torch.equal(flat(run.model), plain(run.items, left_out, 2))
    assert (run.controller.epoch, run.controller.examples_seen) == (2, 2 * EXAMPLES)
    assert [row.epoch for row in run.controller.history][-1] == 2.0


def test_signals_are_of_whole_batches_and_the_loss_of_what_had_one() -> None:
    """Batch 2 lacks a part, batch 4 is left out: four of six give signals, and five and a half the loss."""
    run = Run(NOISY, device_batch=8)
    losses: list[float] = []
    norms: list[float] = []
    for _, loss, numbers in run.items_of_an_epoch():
        number = len(run.items) - 1
        if number in (5, 8, 9):
            whole = run.controller.skip()
        else:
            losses.append(loss().item() * len(numbers))
            whole = run.controller.backward(loss())
        if whole:
            gradient = torch.cat([p.grad.flatten() for p in run.model.parameters()])  # type: ignore[union-attr]
            norms += [gradient.norm().item()] if number != 5 else []
            run.controller.update()
    (row,) = run.controller.history
    assert row.train_loss == pytest.approx(sum(losses) / (EXAMPLES - 3 * 8), rel=1e-12)
    assert row.noise_count == len(norms) == 4
    assert row.grad_norm == pytest.approx(sum(norms) / 4, rel=1e-12)


def test_sizes_grow_as_without_a_batch_left_out() -> None:
    sizes = [[len(item) for item in Run(GROWING).passes(3, out).items] for out in (set(), {2}, {5}, {5, 8})]
    assert sizes[0] == [16] * 6 + [32] * 3 + [64, 64]
    assert all(each == sizes[0] for each in sizes)


def test_accumulated_batch_whose_last_part_was_passed_over_names_the_call() -> None:
    run = Run(STEADY, device_batch=8)
    before = flat(run.model)
    items = run.items_of_an_epoch()
    _, loss, _ = next(items)
    assert not run.controller.backward(loss())
    next(items)
    with pytest.warns(UserWarning, match=r"call controller\.skip\(\), which tells whether"):
        next(items)
    assert torch.equal(before, flat(run.model))
    assert (run.controller.steps, run.controller.examples_seen) == (0, 16)


def test_update_that_the_loop_does_not_make_is_none() -> None:
    """As after a gradient norm that is not finite: `if not norm.isfinite(): continue`."""
    run = Run(STEADY)
    for _, loss, _ in run.items_of_an_epoch():
        if run.controller.backward(loss()) and len(run.items) not in (2, 6):
            run.controller.update()
    assert torch.equal(flat(run.model), plain(run.items, {1, 5}))
    assert (run.controller.steps, run.controller.examples_seen, run.controller.epoch) == (4, EXAMPLES, 1)


@pytest.mark.parametrize("left", [False, True])
def test_update_that_the_loop_does_not_make_leaves_the_scaler_of_the_loss_ready(left: bool) -> None:
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    run = Run(STEADY, scaler=scaler)
    while run.controller.epoch < 1:
        for _, loss, _ in run.items_of_an_epoch():
            number = len(run.items)
            if number == 2:
                run.controller.backward(loss() * torch.inf)
                if left:
                    break
                continue
            if run.controller.backward(loss()):
                run.controller.update()
    if left:  # the batch came again
        del run.items[1]
    torch.testing.assert_close(flat(run.model), plain(run.items, set() if left else {1}))
    assert scaler.get_scale() == 512  # as torch has it after an overflow
    assert (run.controller.steps, run.controller.examples_seen) == (6 - (not left), EXAMPLES)


class Failing(torch.autograd.Function):
    """Fails on its way back, when some gradients were added already."""

    @staticmethod
    def forward(context: Any, inputs: Tensor) -> Tensor:
        return inputs.clone()

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Any:
        raise MemoryError("no memory left")


@pytest.mark.parametrize("device_batch", [None, 8])
@pytest.mark.parametrize("failed", [{0}, {3}, {4, 5}, {10}])
def test_error_that_the_loop_catches_leaves_no_trace_in_a_gradient(
    failed: set[int], device_batch: int | None
) -> None:
    """What a part that failed had added to the parts before cannot be taken back: no update then."""
    run = Run(STEADY, device_batch=device_batch)
    for inputs, loss, numbers in run.items_of_an_epoch():
        try:
            if len(run.items) - 1 in failed:
                first, rest = run.model[0], run.model[1:]  # type: ignore[index]
                output = rest(Failing.apply(first(inputs)))
                run.controller.step(nn.functional.cross_entropy(output, data().tensors[1][numbers]))
            else:
                run.controller.step(loss())
        except MemoryError:
            continue
    passes = 1 if device_batch is None else 2
    spoilt = {2 * (each // 2) for each in failed if each % 2} if passes == 2 else set()
    out = failed | spoilt | {each + 1 for each in spoilt}
    assert torch.equal(
        flat(run.model), plain(run.items, {each for each in out if each < len(run.items)}, passes)
    )
    assert (run.controller.examples_seen, run.controller.epoch) == (EXAMPLES, 1)


@pytest.mark.parametrize("device_batch", [None, 8])
@pytest.mark.parametrize("resumed", [False, True])
def test_loop_left_behind_a_batch_left_out_goes_on_with_the_next(
    device_batch: int | None, resumed: bool
) -> None:
    whole = Run(STEADY, device_batch=device_batch).passes(1, {2, 3})
    run = Run(STEADY, device_batch=device_batch)
    for _, loss, _ in run.items_of_an_epoch():
        if len(run.items) in (3, 4):
            continue
        if len(run.items) == 5:
            break  # with a new batch in hand
        run.controller.step(loss())
    rest = run
    if resumed:
        rest = Run(STEADY, device_batch=device_batch)
        rest.model.load_state_dict(run.model.state_dict())
        rest.optimizer.load_state_dict(run.optimizer.state_dict())
        rest.controller.load_state_dict(run.controller.state_dict())
    rest.items = run.items[:4]
    rest.passes(1, {2, 3})
    assert list(map(len, rest.items)) == list(map(len, whole.items))
    assert all(map(torch.equal, rest.items, whole.items))
    assert torch.equal(flat(rest.model), flat(whole.model))
    assert rest.controller.history == whole.controller.history


def test_one_item_goes_backward_once() -> None:
    run = Run(STEADY, device_batch=8)
    _, loss, _ = next(run.items_of_an_epoch())
    run.controller.backward(loss())
    for again in (run.controller.backward, run.controller.step, lambda _: run.controller.skip()):
        with pytest.raises(RuntimeError, match="give the sum of its losses at once"):
            again(loss())
    with pytest.raises(RuntimeError, match=r"call update\(\) where controller\.backward\(loss\) is true"):
        run.controller.update()


def test_framework_that_leaves_an_item_out_or_accumulates_by_itself() -> None:
    run = Run(STEADY)
    for number, (inputs, labels, _) in zip(range(4), run.loader, strict=False):
        run.controller.begin()
        if number == 1:
            continue  # no loss: what Lightning makes of a training_step that returns None
        loss = nn.functional.cross_entropy(run.model(inputs), labels)
        run.controller.record(loss)
        run.optimizer.zero_grad()
        loss.backward()
        if number == 0:
            run.controller.measure()
            run.controller.before_update()
            run.optimizer.step()
            run.controller.after_update()
        if number == 2:
            break  # before its update, which comes with the next item
    assert (run.controller.steps, run.controller.examples_seen) == (1, 2 * SIZE)
    with pytest.raises(RuntimeError, match=r"a batch had no after_update\(\)"):
        run.controller.begin()


# --- several processes -----------------------------------------------------------------------------


def _process(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    early = Run(STEADY)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    try:
        with pytest.raises(InputError, match="was built for 1 processes, but there are 2: build it behind"):
            early.passes(1, set())
        found = {}
        for name, (passes, mine, way) in SHARED.items():
            run = Run(NOISY, device_batch=4 if passes == 2 else None)
            run.passes(2, mine[rank], way)
            found[name] = (run.items, flat(run.model), run.controller.history, run.controller.steps)
        run = Run(STEADY)
        if rank == 0:  # alone, and before its forward pass
            with pytest.raises(InputError, match="under DDP a process cannot leave a batch out"):
                run.passes(1, {0})
        fixed = DistributedDataParallel(nn.Linear(6, 3), static_graph=True)
        sgd = torch.optim.SGD(fixed.parameters(), lr=0.1)
        with pytest.raises(
            InputError, match=r"\(static_graph=True\) cannot accumulate: leave it or device_batch"
        ):
            BatchSizeController(fixed, sgd, data(), "constant", batch_size=8, device_batch=4)
        torch.save(found, f"{folder}/{rank}")
        dist.barrier()  # no process leaves while another is still in a collective
    finally:
        dist.destroy_process_group()


SHARED: dict[str, tuple[int, tuple[set[int], set[int]], str]] = {
    "one process leaves a batch out": (1, ({2}, set()), "forward and continue"),
    "both do": (1, ({2, 5}, {2, 5}), "forward and continue"),
    "each another one": (1, ({1}, {4}), "forward and continue"),
    "the first part, unseen by the network": (2, ({4}, set()), "continue"),
    "the last part": (2, ({5}, {7}), "forward and continue"),
    "both parts": (2, ({4, 5}, set()), "forward and continue"),
}


def test_processes_leave_out_what_they_will(tmp_path: Path) -> None:
    spawn(_process, args=(str(tmp_path),), nprocs=2)
    first, second = (torch.load(tmp_path / str(rank), weights_only=False) for rank in range(2))
    for name, (passes, left_out, _) in SHARED.items():
        (items, weights, history, steps), other = first[name], second[name]
        assert torch.equal(weights, other[1]), name
        assert (history, steps) == other[2:], name
        together = [
            each
            for number in range(0, len(items), passes)
            for found in (items, other[0])
            for each in found[number : number + passes]
        ]
        out = {
            2 * passes * (number // passes) + rank * passes + number % passes
            for rank in range(2)
            for number in left_out[rank]
        }
        torch.testing.assert_close(weights, plain(together, out, 2 * passes), rtol=1e-10, atol=1e-13)
        assert [row.epoch for row in history] == [1.0, 2.0], name
        batches = {each // (2 * passes) for each in out}
        assert sum(row.noise_count or 0 for row in history) == 12 - len(batches), name
