"""The sampler under a DataLoader: which examples come, in which sizes, and how a cut pass goes on."""

import json
from collections.abc import Iterator

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader, Dataset

from adasearch.controller.micro_batch import MicroBatch
from adasearch.controller.sampler import ResizableBatchSampler
from adasearch.errors import InputError

SIZES = [4, 4, 7, 1, 12, 3, 30, 5]


class Numbers(Dataset[int]):
    """Examples that are their own numbers."""

    def __init__(self, examples: int) -> None:
        self._examples = examples

    def __getitem__(self, index: int) -> int:
        return index

    def __len__(self) -> int:
        return self._examples


def loader_of(sampler: ResizableBatchSampler, examples: int, workers: int = 0) -> DataLoader[int]:
    return DataLoader(
        Numbers(examples),
        batch_sampler=sampler,
        num_workers=workers,
        persistent_workers=workers > 0,
        prefetch_factor=3 if workers else None,
    )


def run(
    sampler: ResizableBatchSampler, loader: DataLoader[int], epochs: int, sizes: Iterator[int]
) -> Iterator[tuple[MicroBatch, list[int]]]:
    """Yield every item with what it is, and ask for the next of ``sizes`` after each batch."""
    while sampler.epoch < epochs:
        for item in loader:
            part = sampler.take()
            yield part, item.tolist()
            if part.last:
                sampler.finish()
                sampler.resize(next(sizes, sampler.batch_size))
        assert sampler.end_epoch()


def stream(examples: int, length: int, seed: int = 0) -> list[int]:
    """Return the first examples of the stream of permutations, drawn as one batch."""
    sampler = ResizableBatchSampler(examples, length, seed=seed)
    return next(iter(sampler))


@given(
    examples=st.integers(1, 40),
    sizes=st.lists(st.integers(1, 50), max_size=20),
    device_batch=st.none() | st.integers(4, 20),
    seed=st.integers(0, 3),
)
def test_any_sequence_of_sizes_gives_every_example_once_per_permutation(
    examples: int, sizes: list[int], device_batch: int | None, seed: int
) -> None:
    sampler = ResizableBatchSampler(examples, 5, device_batch=device_batch, seed=seed)
    seen = [i for _, item in run(sampler, loader_of(sampler, examples), 4, iter(sizes)) for i in item]
    assert len(seen) >= 4 * examples
    for start in range(0, 4 * examples, examples):
        assert sorted(seen[start : start + examples]) == list(range(examples))
    assert seen == stream(examples, len(seen), seed)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("device_batch", [None, 4])
def test_loader_gives_the_plain_stream_in_the_sizes_that_are_told(
    workers: int, device_batch: int | None
) -> None:
    sampler = ResizableBatchSampler(61, 4, device_batch=device_batch)
    sizes = iter(SIZES * 20)
    items = list(run(sampler, loader_of(sampler, 61, workers), 3, sizes))
    assert all(len(item) == part.examples for part, item in items)
    seen = [i for _, item in items for i in item]
    assert seen == stream(61, len(seen))
    assert len({part.batch_size for part, _ in items}) >= 5
    batches = [part.batch_size for part, _ in items if part.last]
    assert sum(batches) == len(seen)


def test_without_workers_a_change_takes_effect_with_the_next_batch() -> None:
    sampler = ResizableBatchSampler(400, 8)
    items = run(sampler, loader_of(sampler, 400), 1, iter(SIZES))
    assert [part.batch_size for part, _ in items][: len(SIZES) + 1] == [8, *SIZES]


def test_with_workers_a_change_takes_effect_after_what_was_drawn() -> None:
    sampler = ResizableBatchSampler(400, 8)
    ahead = 2 * 3
    sizes = [part.batch_size for part, _ in run(sampler, loader_of(sampler, 400, 2), 1, iter([16]))]
    assert sizes[: ahead + 2] == [8] * (1 + ahead) + [16]  # drawn when the first batch came: it and six more


@pytest.mark.parametrize("replicas", [1, 2, 3])
@pytest.mark.parametrize("device_batch", [None, 4, 5])
def test_replicas_share_each_batch_out(replicas: int, device_batch: int | None) -> None:
    runs = []
    for rank in range(replicas):
        sampler = ResizableBatchSampler(
            50, 11, device_batch=device_batch, num_replicas=replicas, rank=rank, seed=1
        )
        runs.append(list(run(sampler, loader_of(sampler, 50), 2, iter([20, 13, 6]))))
    assert len({len(items) for items in runs}) == 1
    sizes = {
        part.examples - runs[0][number][0].examples
        for items in runs
        for number, (part, _) in enumerate(items)
    }
    assert sizes <= {-1, 0, 1}
    seen: list[int] = []
    batch: list[list[int]] = [[] for _ in runs]
    for step in zip(*runs, strict=True):
        for mine, (_, item) in zip(batch, step, strict=True):
            mine += item
        if step[0][0].last:
            seen += [i for mine in batch for i in mine]
            assert sum(map(len, batch)) == step[0][0].batch_size
            batch = [[] for _ in runs]
    assert seen == stream(50, len(seen), seed=1)


def test_parts_are_no_larger_than_the_device_batch_and_never_lonely() -> None:
    for size in range(4, 200):
        sampler = ResizableBatchSampler(200, size, device_batch=4, num_replicas=2, rank=1)
        drawing = iter(sampler)
        lengths = [len(next(drawing)) for _ in range(sampler.passes(size))]
        assert 2 <= min(lengths) <= max(lengths) <= 4


def test_drop_last_leaves_out_what_fills_no_batch() -> None:
    sampler = ResizableBatchSampler(50, 8, drop_last=True)
    epochs: dict[int, list[int]] = {}
    for part, item in run(sampler, loader_of(sampler, 50), 3, iter([8, 8, 12])):
        epochs.setdefault(sampler.epoch, []).extend(item)
        assert len(item) == part.batch_size
    assert [len(seen) for seen in epochs.values()] == [48, 48, 48]  # 8 + 8 + 8 + 12 + 12, then 4 times 12
    assert all(len(set(seen)) == len(seen) for seen in epochs.values())
    assert epochs[1] == stream(50, 100)[50:98]


@pytest.mark.parametrize("workers", [0, 2])
def test_loop_left_early_goes_on_with_the_batch_that_was_not_finished(workers: int) -> None:
    sampler = ResizableBatchSampler(40, 4)
    loader = loader_of(sampler, 40, workers)
    seen: list[int] = []
    while sampler.epoch < 2:
        for number, item in enumerate(loader):
            sampler.take()
            if number == 2:
                break  # in the third batch, before it was used
            seen += item.tolist()
            sampler.finish()
        sampler.end_epoch()
    assert seen == stream(40, 80)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("cut", [1, 5, 9, 14, 23])
@pytest.mark.parametrize("drop_last", [False, True])
def test_cut_run_goes_on_as_the_uncut_one(workers: int, cut: int, drop_last: bool) -> None:
    def sizes(done: int) -> Iterator[int]:
        return iter(([5, 5, 8, 3, 3, 9, 4] * 20)[done:])

    def sampler_of() -> ResizableBatchSampler:
        return ResizableBatchSampler(60, 5, seed=2, device_batch=4, drop_last=drop_last)

    uncut = sampler_of()
    expected = list(run(uncut, loader_of(uncut, 60, workers), 3, sizes(0)))
    first = sampler_of()
    for number, _ in enumerate(run(first, loader_of(first, 60, workers), 3, sizes(0))):
        if number == cut:
            break  # inside a batch, or after its last part and before it was used
    state = json.loads(json.dumps(first.state_dict()))
    finished = first.drawn - len(state["drawn"])
    begins = [place for place, (part, _) in enumerate(expected) if part.first]
    second = sampler_of()
    second.load_state_dict(state)
    rest = list(run(second, loader_of(second, 60, workers), 3, sizes(finished)))
    assert rest == expected[begins[finished] :]


def test_state_counts_what_was_finished_and_not_what_was_drawn() -> None:
    sampler = ResizableBatchSampler(100, 10)
    drawing = iter(sampler)
    for _ in range(4):
        next(drawing)
    sampler.take()
    sampler.finish()
    sampler.take()
    sampler.resize(20)
    state = sampler.state_dict()
    assert (state["offset"], state["drawn"], state["batch_size"]) == (10, [10, 10, 10], 20)


def test_checkpoint_within_the_last_batch_of_an_epoch_still_ends_that_epoch() -> None:
    sampler = ResizableBatchSampler(10, 5)
    for _ in sampler:
        sampler.take()
        sampler.finish()
    resumed = ResizableBatchSampler(10, 5)
    resumed.load_state_dict(sampler.state_dict())
    assert list(resumed) == []
    assert resumed.end_epoch()
    assert resumed.epoch == 1


def test_permutations_differ_between_epochs_and_seeds() -> None:
    orders = {tuple(stream(30, 90, seed)[start : start + 30]) for seed in (0, 1) for start in (0, 30, 60)}
    assert len(orders) == 6


def test_sampler_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    stream(30, 90)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": 0}, "batch_size must be at least 1 per process but got batch_size=0"),
        ({"examples": 0}, "examples must be at least 1 but got examples=0"),
        ({"device_batch": 3}, "device_batch must be at least 4 but got device_batch=3"),
        ({"rank": 2, "num_replicas": 2}, "rank must lie in [0, num_replicas)"),
        ({"batch_size": 2, "rank": 0, "num_replicas": 3}, "batch_size must be at least 1 per process"),
        ({"batch_size": 11, "drop_last": True}, "with drop_last batch_size must be at most 10"),
    ],
)
def test_values_outside_the_domain_are_refused(change: dict[str, int], message: str) -> None:
    with pytest.raises(InputError) as raised:
        ResizableBatchSampler(**{"examples": 10, "batch_size": 4, **change})  # type: ignore[arg-type]
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (ResizableBatchSampler(11, 4), "the checkpoint has examples=11 but got examples=10"),
        (ResizableBatchSampler(10, 4, seed=1), "the checkpoint has seed=1 but got seed=0"),
        (ResizableBatchSampler(10, 4, drop_last=True), "the checkpoint has drop_last=True"),
    ],
)
def test_checkpoint_of_another_stream_is_refused(other: ResizableBatchSampler, message: str) -> None:
    with pytest.raises(InputError, match=message):
        ResizableBatchSampler(10, 4).load_state_dict(other.state_dict())


def test_misuse_is_told() -> None:
    sampler = ResizableBatchSampler(10, 4)
    with pytest.raises(RuntimeError, match="more often than the loader handed out"):
        sampler.take()
    first = iter(sampler)
    next(first)
    with pytest.raises(RuntimeError, match="needs the last part"):
        sampler.finish()
    sampler.take()
    second = iter(sampler)
    next(second)
    sampler.take()  # so this is the one that the loop goes on with
    with pytest.raises(RuntimeError, match="another iterator"):
        next(first)
