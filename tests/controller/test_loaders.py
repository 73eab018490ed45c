"""A loader that is used beside the loop, or is another one than the sampler takes it for."""

import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import BatchSampler, DataLoader, IterableDataset, TensorDataset

from adasearch import BatchSizeController, Limits
from adasearch.errors import InputError
from adasearch.schedulers.adabatch import AdaBatch
from adasearch.signal_sets import NOISE
from tests.controller.test_controller import Script

EXAMPLES = 192


def data(examples: int = EXAMPLES) -> TensorDataset:
    random = torch.Generator().manual_seed(0)
    inputs = torch.randn(examples, 6, generator=random)
    return TensorDataset(inputs, torch.randint(3, (examples,), generator=random), torch.arange(examples))


Batch = list[Tensor]
Within = Callable[[int], None]
PARTS: dict[str, Any] = {"device_batch": 8, "scheduler": Script(sizes=(8, 16, 24), needs=NOISE)}


def place(controller: BatchSizeController) -> dict[str, object]:
    """Return a controller's state but for the random numbers, of which each new iterator draws one."""
    return {name: value for name, value in controller.state_dict().items() if name != "random"}


class Run:
    """A loop, what it saw, and what somebody else does with its loader."""

    def __init__(self, workers: int = 0, *, persistent: bool = False, **options: Any) -> None:
        torch.manual_seed(1)
        self.model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))
        self.optimizer = optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1)
        self.controller = BatchSizeController(
            self.model,
            optimizer,
            data(),
            options.pop("scheduler", AdaBatch(period=0.5)),
            **{"batch_size": 8, "limits": Limits(smallest=8, largest=64), "interval": 0.25, **options},
        )
        self.loader: DataLoader[Any] = DataLoader(
            data(),
            batch_sampler=self.controller.sampler,
            num_workers=workers,
            persistent_workers=persistent,
        )
        self.items: list[Tensor] = []

    def epoch(
        self, loader: Iterable[Batch] | None = None, within: Callable[[int], None] | None = None
    ) -> None:
        for inputs, labels, numbers in self.controller.batches(self.loader if loader is None else loader):
            self.items.append(numbers)
            self.controller.step(nn.functional.cross_entropy(self.model(inputs), labels))
            if within is not None:
                within(len(self.items))

    @property
    def found(self) -> tuple[Any, ...]:
        weights = torch.cat([p.detach().flatten() for p in self.model.parameters()])
        history = self.controller.history
        return [each.tolist() for each in self.items], weights.tolist(), history, place(self.controller)


def alone(workers: int = 0, epochs: int = 3, **options: Any) -> tuple[Any, ...]:
    run = Run(workers, **options)
    for _ in range(epochs):
        run.epoch()
    return run.found


def look(loader: DataLoader[Any]) -> None:
    next(iter(loader), None)


def whole(loader: DataLoader[Any]) -> None:
    assert sum(len(item[2]) for item in loader) > EXAMPLES / 2


OUTSIDE: dict[str, Callable[[DataLoader[Any]], object]] = {
    "a look": look,
    "a pass": whole,
    "half a pass": lambda loader: list(itertools.islice(loader, 5)),
    "a second loader": lambda loader: whole(DataLoader(data(), batch_sampler=loader.batch_sampler)),
    "the length": lambda loader: len(list(loader)) == len(loader),
    "statistics for BatchNorm": lambda loader: torch.optim.swa_utils.update_bn(
        ((item[0],) for item in loader), nn.BatchNorm1d(6)
    ),
}


@pytest.mark.parametrize("options", [{}, PARTS], ids=["batches", "parts"])
@pytest.mark.parametrize("what", OUTSIDE)
def test_use_between_two_epochs_changes_nothing(what: str, options: dict[str, Any]) -> None:
    run = Run(**options)
    for _ in range(3):
        OUTSIDE[what](run.loader)
        run.epoch()
    OUTSIDE[what](run.loader)
    assert run.found == alone(**options)
    assert len({len(item) for item in run.items}) > 1


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("what", ["a look", "half a pass", "a second loader within"])
def test_use_in_mid_epoch_changes_nothing(what: str, workers: int) -> None:
    run = Run(workers)

    def within(items: int) -> None:
        if what == "a second loader within":
            list(DataLoader(data(), batch_sampler=run.controller.sampler))
        elif workers == 0 or items % 7 == 3:
            OUTSIDE[what](run.loader)

    for _ in range(2):
        run.epoch(within=within)
    assert run.found == alone(workers, 2)


def test_look_in_mid_epoch_gets_the_rest_of_the_epoch() -> None:
    run = Run(scheduler="constant")
    rests: list[list[int]] = []
    run.epoch(within=lambda _: rests.append([int(each) for item in run.loader for each in item[2]]))
    seen = [int(each) for item in run.items for each in item]
    assert rests == [seen[8 * (number + 1) :] for number in range(EXAMPLES // 8)]


def test_state_in_mid_epoch_knows_nothing_of_a_look() -> None:
    run, other = Run(), Run()
    for each in (run, other):
        for number, item in enumerate(each.controller.batches(each.loader)):
            each.controller.step(nn.functional.cross_entropy(each.model(item[0]), item[1]))
            if number == 4:
                break
    list(run.loader)
    assert place(run.controller) == place(other.controller)


def test_loader_with_persistent_workers_may_be_looked_at_between_epochs_and_not_within() -> None:
    run = Run(2, persistent=True)
    look(run.loader)
    run.epoch()
    look(run.loader)
    run.epoch()
    assert run.found == alone(2, 2)
    with pytest.raises(RuntimeError, match="look at the data through another loader"):
        run.epoch(within=lambda _: look(run.loader))


# --- wrapped loaders ------------------------------------------------------------------------------------


class Ahead:
    """Hands out late what it fetched early, as accelerate's and Ray Train's loaders do."""

    def __init__(self, loader: Iterable[Any], items: int = 1) -> None:
        self.loader, self.items = loader, items

    def __iter__(self) -> Iterator[Any]:
        waiting: list[Any] = []
        for item in self.loader:
            waiting.append(item)
            if len(waiting) > self.items:
                yield waiting.pop(0)
        yield from waiting


@pytest.mark.parametrize("items", [0, 1, 3])
def test_wrapper_that_fetches_ahead_does_as_workers_do(items: int) -> None:
    run = Run()
    while run.controller.epoch < 3:
        look(run.loader)
        run.epoch(Ahead(run.loader, items))
    seen = [int(each) for item in run.items for each in item]
    for start in range(0, 3 * EXAMPLES, EXAMPLES):
        assert sorted(seen[start : start + EXAMPLES]) == list(range(EXAMPLES))
    if items == 0:
        assert run.found == alone()


@pytest.mark.parametrize("workers", [0, 2])
def test_iterator_that_was_begun_already_is_the_loops(workers: int) -> None:
    run = Run(workers)
    for _ in range(3):
        look(run.loader)
        run.epoch(iter(run.loader))
    assert run.found == alone(workers)
    begun = iter(run.loader)
    run.epoch()
    with pytest.raises(RuntimeError, match=r"does not draw from controller\.sampler"):
        run.epoch(begun)  # of the epoch before


def leaving_out(loader: Iterable[Any]) -> Iterator[Any]:
    for number, item in enumerate(loader):
        if number != 3:
            yield item


def endless(loader: Iterable[Any]) -> Iterator[Any]:
    while True:
        yield from loader


@pytest.mark.parametrize(
    ("wrap", "message"),
    [
        (leaving_out, r"1 items were drawn and not handed out.*controller\.skip\(\)"),
        (endless, "begins a second pass within one"),
        (
            lambda loader: [[torch.zeros(2, 6), torch.zeros(2, dtype=torch.int64), torch.zeros(2)]],
            "does not draw",
        ),
        (lambda loader: list(loader), "does not draw"),
    ],
)
def test_wrapper_that_hands_out_something_else_is_told(wrap: Any, message: str) -> None:
    run = Run(scheduler="constant")
    with pytest.raises(RuntimeError, match=message):
        run.epoch(wrap(run.loader))


def test_loop_within_a_loop_ends_the_outer_one() -> None:
    run = Run()
    with pytest.raises(RuntimeError, match="another iterator over the sampler was begun"):
        run.epoch(within=lambda items: run.epoch() if items == 3 else None)
    state = run.controller.state_dict()
    with pytest.raises(RuntimeError, match="another iterator over the sampler was begun"):
        run.epoch(within=lambda _: run.controller.load_state_dict(state))


class Shard(BatchSampler):
    """What accelerate makes of a batch sampler where there are several processes."""

    def __init__(self, batch_sampler: Any) -> None:
        self.batch_sampler = batch_sampler


class Stream(IterableDataset[int]):
    def __iter__(self) -> Iterator[int]:
        return iter(range(10))


class SizedStream(Stream):
    def __len__(self) -> int:
        return 10


@pytest.mark.parametrize(
    ("loader", "message"),
    [
        (
            lambda sampler: DataLoader(data(), batch_sampler=Shard(sampler)),
            "out of what accelerate",
        ),
        (lambda sampler: DataLoader(data(), sampler=sampler, batch_size=None), "not sampler="),
        (lambda sampler: DataLoader(data(), batch_size=8), "let no framework replace it"),
        (lambda sampler: DataLoader(Stream(), batch_size=8), "let no framework replace it"),
        (lambda sampler: DataLoader(data(90), batch_sampler=sampler), "has 90 examples, but .* for 192"),
        (
            lambda sampler: DataLoader(data(), batch_sampler=sampler, num_workers=1, in_order=False),
            "in the order they were drawn but got in_order=False",
        ),
    ],
)
def test_loader_that_hands_out_something_else_is_refused(loader: Any, message: str) -> None:
    run = Run()
    with pytest.raises(InputError, match=message):
        run.epoch(loader(run.controller.sampler))


@pytest.mark.parametrize("given", [Stream(), SizedStream(), 50_000, iter([1, 2])])
def test_data_without_numbers_are_refused_with_what_to_do(given: Any) -> None:
    model = nn.Linear(2, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(InputError, match=r"give one with __len__ and __getitem__") as raised:
        BatchSizeController(model, optimizer, given, "constant", batch_size=16)
    assert len(str(raised.value).splitlines()) == 1


# --- a framework's loop ---------------------------------------------------------------------------------


def framework(run: Run, epochs: int, ahead: int = 0, within: Callable[[int], None] | None = None) -> None:
    for _ in range(epochs):
        for inputs, labels, numbers in Ahead(run.loader, ahead):
            run.controller.begin()
            run.items.append(numbers)
            loss = nn.functional.cross_entropy(run.model(inputs), labels)
            run.controller.record(loss)
            run.model.zero_grad()
            loss.backward()
            run.controller.measure()
            run.controller.before_update()
            run.optimizer.step()
            run.controller.after_update()
            if within is not None:
                within(len(run.items))
        run.controller.sampler.end_epoch()


@pytest.mark.parametrize("workers", [0, 2])
def test_frameworks_loop_is_not_disturbed_either(workers: int) -> None:
    run = Run(workers)
    for _ in range(3):
        look(run.loader)
        framework(run, 1)
        whole(run.loader)
    assert run.found == alone(workers)


def test_look_in_a_frameworks_epoch_changes_nothing() -> None:
    run = Run()
    framework(run, 2, within=lambda _: look(run.loader))
    assert run.found == alone(epochs=2)


def test_look_at_the_end_of_a_frameworks_epoch_is_told_where_it_cannot_be_told_apart() -> None:
    run = Run(2)
    with pytest.raises(RuntimeError, match="two iterators, and it is not known whose this item is"):
        framework(run, 1, within=lambda _: look(run.loader))


def test_evaluation_over_the_trainings_own_loader_is_refused() -> None:
    def evaluate() -> float:
        with torch.no_grad():
            return sum(len(numbers) for _, _, numbers in run.loader)

    scheduler = Script(sizes=(), needs=frozenset({"val_loss"}))
    run = Run(scheduler=scheduler, evaluate=evaluate)
    with pytest.raises(
        InputError, match="evaluate= reads the training's loader, which hands out an epoch's rest"
    ):
        run.epoch()
    other = Run(scheduler=scheduler, evaluate=lambda: len([*DataLoader(data(), batch_size=8)]))
    other.epoch()
    assert [row.val_loss for row in other.controller.history] == [EXAMPLES / 8] * 4
    whole(other.loader)  # and between two intervals all is as before
