"""Splits, normalisation, and the stream of batches."""

from itertools import accumulate

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor

from adasearch.callbacks import Progress
from adasearch.data.batches import Batches
from adasearch.data.load import load_dataset
from adasearch.data.sources.base import ArrayReader, Examples
from adasearch.data.spec import DataSpec, Selection
from adasearch.data.splits import Augmentation, Dataset, ExampleSplit, Split
from adasearch.errors import InputError
from tests.conftest import images_of

Sizes = st.lists(st.integers(1, 60), min_size=1, max_size=12)


def numbered(examples: int, *, image_size: int = 1, padding: int = 0, flip: bool = False) -> Dataset:
    """Return a data set whose label is the example's number, and whose normalisation changes nothing."""
    random = torch.Generator().manual_seed(0)
    shape = (examples, 3, image_size, image_size)
    images = torch.randint(1, 256, shape, generator=random, dtype=torch.uint8)
    split = Split(images, torch.arange(examples))
    return Dataset(
        train=split,
        val=split,
        test=None,
        classes=examples,
        image_size=image_size,
        augmentation=Augmentation(padding=padding, flip=flip),
        mean=torch.zeros(3, dtype=torch.float64),
        std=torch.full((3,), 1 / 255, dtype=torch.float64),
        fingerprint="numbered",
    )


def whole(batches: Batches, offset: int, step: int, batch_size: int) -> tuple[Tensor, Tensor]:
    """Return a global batch in one piece."""
    return next(batches.chunks(offset, step, batch_size, 1, range(1)))


# --- the stream ------------------------------------------------------------------------------------


@given(sizes=Sizes, examples=st.integers(1, 40), seed=st.integers(0, 5))
def test_any_sequence_of_batch_sizes_gives_the_plain_stream(
    sizes: list[int], examples: int, seed: int
) -> None:
    data = numbered(examples)
    total = sum(sizes)
    plain = torch.stack([Batches(data, seed).stream.indices(position, 1)[0] for position in range(total)])
    batches = Batches(data, seed)
    starts = accumulate(sizes, initial=0)
    batched = torch.cat(
        [batches.stream.indices(start, size) for start, size in zip(starts, sizes, strict=False)]
    )
    assert batched.tolist() == plain.tolist()


@given(sizes=Sizes, examples=st.integers(1, 40), seed=st.integers(0, 5))
def test_batches_visit_every_example_once_per_permutation(sizes: list[int], examples: int, seed: int) -> None:
    batches = Batches(numbered(examples), seed)
    labels: list[int] = []
    for step, size in enumerate(sizes):
        labels += whole(batches, len(labels), step, size)[1].tolist()
    full = len(labels) // examples
    for number in range(full):
        assert sorted(labels[number * examples : (number + 1) * examples]) == list(range(examples))
    rest = labels[full * examples :]
    assert len(set(rest)) == len(rest)


def test_permutations_differ_from_each_other_and_between_seeds() -> None:
    data = numbered(50)
    orders = [
        Batches(data, seed).stream.indices(50 * number, 50).tolist() for seed in (0, 1) for number in (0, 1)
    ]
    assert len({tuple(order) for order in orders}) == 4


def test_stream_can_be_entered_anywhere() -> None:
    batches = Batches(numbered(7), 3)
    forwards = [batches.stream.indices(offset, 5).tolist() for offset in range(0, 35, 5)]
    backwards = [batches.stream.indices(offset, 5).tolist() for offset in range(30, -1, -5)]
    assert backwards == forwards[::-1]


@given(
    batch_size=st.integers(1, 70),
    workers=st.integers(1, 4),
    passes=st.integers(1, 4),
    offset=st.integers(0, 100),
    step=st.integers(0, 50),
)
def test_chunks_of_all_workers_and_passes_make_up_the_global_batch(
    batch_size: int, workers: int, passes: int, offset: int, step: int
) -> None:
    data = numbered(30, image_size=5, padding=1, flip=True)
    parts = workers * passes
    chunks = [
        chunk
        for rank in range(workers)
        for chunk in Batches(data, 0).chunks(
            offset, step, batch_size, parts, range(rank * passes, (rank + 1) * passes)
        )
    ]
    sizes = [len(labels) for _, labels in chunks]
    assert len(sizes) == parts
    assert max(sizes) - min(sizes) <= 1
    images, labels = whole(Batches(data, 0), offset, step, batch_size)
    assert torch.equal(torch.cat([chunk for chunk, _ in chunks]), images)
    assert torch.equal(torch.cat([chunk for _, chunk in chunks]), labels)


# --- augmentation ----------------------------------------------------------------------------------


def test_augmentation_equals_pad_slice_and_flip_of_each_image() -> None:
    size, padding, count = 5, 1, 3000
    data = numbered(20, image_size=size, padding=padding, flip=True)
    images, labels = whole(Batches(data, 0), 0, 0, count)
    seen: dict[tuple[int, int, bool], int] = {}
    originals = images_of(data.train).numpy()
    for image, label in zip(images.numpy(), labels.tolist(), strict=True):
        padded = np.pad(originals[label], ((0, 0), (padding, padding), (padding, padding)))
        matches = [
            (row, column, flip)
            for row in range(2 * padding + 1)
            for column in range(2 * padding + 1)
            for flip in (False, True)
            if np.array_equal(
                padded[:, row : row + size, column : column + size][:, :, :: -1 if flip else 1], image
            )
        ]
        assert len(matches) == 1, f"the image is no crop of example {label}"
        seen[matches[0]] = seen.get(matches[0], 0) + 1
    assert len(seen) == 18
    expected = count / 18
    chi_square = sum((number - expected) ** 2 / expected for number in seen.values())
    assert chi_square < 40.8  # 99.9 % of chi-square with 17 degrees of freedom


def test_images_are_never_flipped_where_a_mirror_image_is_another_class() -> None:
    data = numbered(20, image_size=5, padding=0, flip=False)
    images, labels = whole(Batches(data, 0), 0, 0, 200)
    assert torch.equal(images, images_of(data.train)[labels].float())


def test_augmentation_changes_with_step_and_seed_only() -> None:
    data = numbered(10, image_size=8, padding=2, flip=True)
    images, _ = whole(Batches(data, 0), 0, 0, 10)
    again, _ = whole(Batches(data, 0), 0, 0, 10)
    later, _ = whole(Batches(data, 0), 0, 1, 10)
    assert torch.equal(images, again)
    assert not torch.equal(images, later)


def test_batches_leave_the_global_generator_alone() -> None:
    state = torch.get_rng_state()
    whole(Batches(numbered(10), 0), 0, 0, 30)
    assert torch.equal(torch.get_rng_state(), state)


# --- normalisation ---------------------------------------------------------------------------------


def test_normalisation_statistics_equal_numpy(digits: Dataset) -> None:
    pixels = images_of(digits.train).numpy() / 255
    np.testing.assert_allclose(digits.mean.numpy(), pixels.mean(axis=(0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(digits.std.numpy(), pixels.std(axis=(0, 2, 3)), rtol=1e-9)


def test_normalised_training_images_have_mean_0_and_variance_1(digits: Dataset) -> None:
    images = digits.normaliser()(images_of(digits.train))
    assert images.dtype == torch.float32
    assert images.mean().item() == pytest.approx(0, abs=1e-5)
    assert images.var(correction=0).item() == pytest.approx(1, abs=1e-5)


def test_normalising_does_not_change_the_stored_images(digits: Dataset) -> None:
    before = images_of(digits.train)
    digits.normaliser()(images_of(digits.train))
    assert torch.equal(images_of(digits.train), before)


# --- splits ----------------------------------------------------------------------------------------


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch) -> type["Source"]:
    """Let ``load_dataset`` open what the test describes in ``Source``."""
    monkeypatch.setattr("adasearch.data.load.open_source", Source.open)
    return Source


class Source:
    """Examples of one pixel, which holds the example's number; labels go round the classes."""

    @staticmethod
    def open(source: str, *, image_size: int | None, selection: Selection, progress: Progress) -> Examples:
        """Read ``EXAMPLES/CLASSES`` or ``EXAMPLES/CLASSES/TEST_FROM``."""
        examples, classes, *test_from = (int(part) for part in source.split("/"))
        numbers = np.arange(examples)
        pixels = np.stack([numbers >> 16, numbers >> 8 & 255, numbers & 255], axis=1).astype(np.uint8)
        images = pixels[:, :, None, None]
        return Examples(
            source=source,
            reader=ArrayReader(images, source),
            labels=(numbers % classes).astype(np.int64),
            classes=classes,
            test_from=test_from[0] if test_from else None,
            flip=False,
            image_size=1,
            names=source,
            state=None,
            arrays=images,
            remote=False,
            fitted=False,
        )

    @staticmethod
    def numbers(split: ExampleSplit | None) -> list[int]:
        """Return the numbers of a split's examples."""
        assert split is not None
        pixels = images_of(split)[:, :, 0, 0].long()
        return (pixels[:, 0] * 65536 + pixels[:, 1] * 256 + pixels[:, 2]).tolist()


@pytest.mark.parametrize(
    ("name", "train", "val", "test"),
    [
        ("1000/10", 640, 160, 200),  # no test split of its own: a fifth, then a fifth of the rest
        ("1200/10/1000", 800, 200, 200),  # its own test split
        ("12000/10/10000", 9000, 1000, 2000),  # from 10,000 on a tenth is validation
    ],
)
def test_splits_are_disjoint_complete_and_of_the_promised_size(
    source: type[Source], name: str, train: int, val: int, test: int
) -> None:
    data = load_dataset(DataSpec(source=name), include_test=True)
    parts = [source.numbers(split) for split in (data.train, data.val, data.test)]
    assert [len(part) for part in parts] == [train, val, test]
    assert sorted(parts[0] + parts[1] + parts[2]) == list(range(train + val + test))


def test_splits_keep_the_share_of_each_class(source: type[Source]) -> None:
    data = load_dataset(DataSpec(source="1200/10/1000"), include_test=True)
    for split in (data.train, data.val, data.test):
        assert split is not None
        assert np.bincount(split.labels.numpy()).tolist() == [len(split) // 10] * 10


def test_the_sources_own_test_split_stays_whole(source: type[Source]) -> None:
    data = load_dataset(DataSpec(source="1200/10/1000", seed=7), include_test=True)
    assert source.numbers(data.test) == list(range(1000, 1200))


def test_labels_stay_with_their_images(source: type[Source]) -> None:
    data = load_dataset(DataSpec(source="1000/7", subset=301), include_test=True)
    for split in (data.train, data.val, data.test):
        assert split is not None
        assert split.labels.tolist() == [number % 7 for number in source.numbers(split)]


def test_splits_depend_on_the_seed_only(source: type[Source]) -> None:
    def rows(seed: int) -> list[list[int]]:
        torch.manual_seed(np.random.randint(1000))
        data = load_dataset(DataSpec(source="1000/10", subset=500, seed=seed), include_test=True)
        return [source.numbers(split) for split in (data.train, data.val, data.test)]

    first = rows(0)
    assert rows(0) == first
    assert all(other != one for one, other in zip(first, rows(1), strict=True))


def test_test_split_is_absent_unless_asked_for(source: type[Source]) -> None:
    assert load_dataset(DataSpec(source="1200/10/1000")).test is None
    with_test = load_dataset(DataSpec(source="1200/10/1000"), include_test=True)
    without = load_dataset(DataSpec(source="1200/10/1000"))
    assert source.numbers(without.train) == source.numbers(with_test.train)
    assert source.numbers(without.val) == source.numbers(with_test.val)


@given(subset=st.integers(10, 640))
@example(subset=10)  # as many as classes: validation has one a class, too
@example(subset=639)  # next to all: what is left over is too little for a split of its own
def test_every_subset_within_the_announced_bounds_is_exact(subset: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("adasearch.data.load.open_source", Source.open)
        data = load_dataset(DataSpec(source="1000/10", subset=subset), include_test=True)
    parts = [set(Source.numbers(split)) for split in (data.train, data.val, data.test)]
    assert len(parts[0]) == subset
    assert len(parts[1]) >= 10
    assert len(parts[1]) == pytest.approx(subset / 4, abs=10)
    assert len(parts[2]) == 200
    assert len(set.union(*parts)) == sum(len(part) for part in parts)
    assert set(data.train.labels.tolist()) == set(range(10))


def test_large_subset_keeps_a_tenth_for_validation(source: type[Source]) -> None:
    data = load_dataset(DataSpec(source="24000/10/20000", subset=10_000))
    assert (len(data.train), len(data.val)) == (10_000, 1111)


@pytest.mark.parametrize("subset", [9, 641])
def test_subset_outside_its_bounds_is_refused_with_the_bounds(source: type[Source], subset: int) -> None:
    with pytest.raises(InputError, match=rf"between 10 .* and 640 .*but got {subset}"):
        load_dataset(DataSpec(source="1000/10", subset=subset))


def test_class_too_rare_to_split_is_refused(source: type[Source]) -> None:
    with pytest.raises(InputError) as caught:
        load_dataset(DataSpec(source="11/10"))
    assert str(caught.value) == (
        "11/10 cannot be split by label: class '1' has 1 of the 11 images, but at least 3 are needed"
    )


def test_too_few_images_for_the_classes_are_refused(source: type[Source]) -> None:
    with pytest.raises(
        InputError, match="30/10 cannot be split by label: 30 images are too few for 10 class"
    ):
        load_dataset(DataSpec(source="30/10"))


def test_one_class_is_refused(source: type[Source]) -> None:
    with pytest.raises(InputError, match="9/1 has images of 1 class, but at least 2 are needed"):
        load_dataset(DataSpec(source="9/1"))


def test_digits_are_split_and_described(digits: Dataset) -> None:
    data = load_dataset(DataSpec(source="digits"), include_test=True)
    assert data.test is not None
    assert (len(data.train), len(data.val), len(data.test)) == (1149, 288, 360)
    assert (data.classes, data.image_size) == (10, 16)
    assert data.augmentation == Augmentation(padding=2, flip=False)
    assert (len(digits.train), len(digits.val)) == (160, 40)
    assert digits.fingerprint == data.fingerprint


def test_moving_a_data_set_keeps_its_values(digits: Dataset) -> None:
    moved = digits.to(torch.device("cpu"))
    assert torch.equal(images_of(moved.train), images_of(digits.train))
    assert moved.test is None
    assert moved.fingerprint == digits.fingerprint
