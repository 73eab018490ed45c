"""Images in files against images in memory: the same batches, read once, no further than was announced."""

import io
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from rich.console import Console
from torch import Tensor

from adasearch.commands import train as train_command
from adasearch.data.batches import Batches
from adasearch.data.load import card_of, load_dataset
from adasearch.data.sources.base import ImageReader
from adasearch.data.sources.registry import open_source
from adasearch.data.spec import DataSpec
from adasearch.data.splits import Dataset
from adasearch.data.streaming import PIECE, RowLoader, StreamedSplit
from adasearch.errors import InputError
from adasearch.records import IntervalRecord, Limits
from adasearch.schedulers.adabatch import AdaBatch
from adasearch.studies.request import Request
from adasearch.training.config import Hyperparameters, TrainConfig
from adasearch.training.loop import train
from tests.conftest import images_of
from tests.pictures import Calls, pictures, write_folder, write_image, write_pictures

Cut = tuple[int, range]
"""Into how many parts a batch is cut, and which of them one worker takes."""


@pytest.fixture(scope="session")
def both() -> tuple[Dataset, Dataset]:
    """The same digits in memory and streamed."""
    spec = DataSpec(source="digits", subset=160)
    return tuple(load_dataset(each, include_test=True) for each in (spec, replace(spec, memory_limit=0)))  # type: ignore[return-value]


class Counted:
    """A source's reader that counts what is read in this process."""

    def __init__(self, data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
        assert isinstance(data.train, StreamedSplit)
        self.here = 0
        real = data.train.loader.now

        def now(rows: Tensor) -> Tensor:
            self.here += len(rows)
            return real(rows)

        monkeypatch.setattr(data.train.loader, "now", now)


def assert_same(one: Iterator[tuple[Tensor, Tensor]], other: Iterator[tuple[Tensor, Tensor]]) -> None:
    """Check that two streams give equal images and labels, bit for bit."""
    for (images, labels), (same_images, same_labels) in zip(one, other, strict=True):
        assert torch.equal(images, same_images)
        assert torch.equal(labels, same_labels)


# --- the same examples -----------------------------------------------------------------------------


def test_both_forms_have_the_same_splits_and_statistics(both: tuple[Dataset, Dataset]) -> None:
    memory, streamed = both
    assert isinstance(streamed.train, StreamedSplit)
    for name in ("train", "val", "test"):
        one, other = getattr(memory, name), getattr(streamed, name)
        assert len(one) == len(other)
        assert_same(one.pieces(50), other.pieces(50))
    for name in ("classes", "image_size", "augmentation", "fingerprint"):
        assert getattr(memory, name) == getattr(streamed, name)
    assert torch.equal(memory.mean, streamed.mean)
    assert torch.equal(memory.std, streamed.std)


@pytest.mark.parametrize("world", [1, 2])
@pytest.mark.parametrize("offset", [0, 5, 155, 1234])
def test_streamed_batches_equal_those_in_memory(
    world: int, offset: int, both: tuple[Dataset, Dataset]
) -> None:
    """Changing sizes and passes, across epochs, entered anywhere, on every worker, flipped."""
    memory, streamed = (replace(each, augmentation=replace(each.augmentation, flip=True)) for each in both)
    for rank in range(world):
        one, other = Batches(memory, 3), Batches(streamed, 3)
        place, step = offset, offset % 7
        for batch_size, steps, passes in ((16, 4, 1), (33, 2, 2), (150, 1, 3), (330, 1, 1), (7, 3, 1)):
            parts, mine = world * passes, range(rank * passes, (rank + 1) * passes)
            other.prepare(place, batch_size, steps, parts, mine)
            for _ in range(steps):
                assert_same(
                    one.chunks(place, step, batch_size, parts, mine),
                    other.chunks(place, step, batch_size, parts, mine),
                )
                place, step = place + batch_size, step + 1


@pytest.mark.parametrize("rank", [0, 1, 2])
def test_a_step_comes_again_also_in_other_parts(
    rank: int, both: tuple[Dataset, Dataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    memory, streamed = both
    counted = Counted(streamed, monkeypatch)
    one, other = Batches(memory, 0), Batches(streamed, 0)
    other.prepare(0, 100, 3, 3, range(rank, rank + 1))
    for step in range(3):
        for passes in (1, 1, 2, 7, 1):
            parts, mine = 3 * passes, range(rank * passes, (rank + 1) * passes)
            assert_same(
                one.chunks(step * 100, step, 100, parts, mine),
                other.chunks(step * 100, step, 100, parts, mine),
            )
    assert counted.here <= 3 * 7 * 2  # edges of the other cuts alone, at most an example a pass


def test_announced_steps_are_read_by_the_workers_alone(
    both: tuple[Dataset, Dataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = Counted(both[1], monkeypatch)
    batches = Batches(both[1], 0)
    batches.prepare(0, 70, 5, 2, range(2))
    for step in range(5):
        for _ in range(2):
            assert [len(labels) for _, labels in batches.chunks(step * 70, step, 70, 2, range(2))] == [35, 35]
    assert counted.here == 0


def test_what_was_not_announced_comes_too(
    both: tuple[Dataset, Dataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a word before, far ahead of what was announced, and behind it."""
    memory, streamed = both
    counted = Counted(streamed, monkeypatch)
    one, other = Batches(memory, 0), Batches(streamed, 0)
    for place in (0, 400, 20):
        assert_same(one.chunks(place, 1, 20, 1, range(1)), other.chunks(place, 1, 20, 1, range(1)))
    assert counted.here == 60
    other.prepare(100, 20, 3, 1, range(1))
    for place in (900, 140, 0, 100, 120):
        assert_same(one.chunks(place, 1, 20, 1, range(1)), other.chunks(place, 1, 20, 1, range(1)))


class Logged:
    """Images in memory that write down each row that is read, in whichever process."""

    def __init__(self, reader: ImageReader, log: Path) -> None:
        self._reader = reader
        self._log = log

    def image(self, row: int) -> Image.Image:
        with open(self._log, "a") as file:
            file.write(f"{row}\n")
        return self._reader.image(row)

    def where(self, row: int) -> str:
        return self._reader.where(row)


def test_a_worker_reads_its_share_of_the_announced_steps_and_nothing_else(
    both: tuple[Dataset, Dataset], tmp_path: Path
) -> None:
    examples, log = open_source("digits"), tmp_path / "log"
    loader = RowLoader(replace(examples, reader=Logged(examples.reader, log)))
    assert isinstance(both[1].train, StreamedSplit)
    data = replace(both[1], train=StreamedSplit(loader, both[1].train.rows, both[1].train.labels))
    batches = Batches(data, 0)
    expected = []
    for place, batch_size, steps in ((0, 40, 3), (120, 100, 1), (220, 16, 2)):
        batches.prepare(place, batch_size, steps, 4, range(2, 4))  # the second of two workers, in two passes
        for step in range(steps):
            start = place + step * batch_size
            list(batches.chunks(start, 0, batch_size, 4, range(2, 4)))
            expected += batches.stream.indices(start + batch_size // 2, batch_size // 2).tolist()
    read = [int(line) for line in log.read_text().split()]
    assert sorted(read) == sorted(both[1].train.rows[expected].tolist())


def test_two_streams_of_one_data_set_do_not_disturb_each_other(both: tuple[Dataset, Dataset]) -> None:
    memory, streamed = both
    one, other = Batches(streamed, 0), Batches(streamed, 1)
    plain = [Batches(memory, 0), Batches(memory, 1)]
    for batches in (one, other):
        batches.prepare(0, 130, 3, 1, range(1))
    for step in range(3):
        for batches, known in zip((one, other), plain, strict=True):
            arguments = (step * 130, step, 130, 1, range(1))
            assert_same(batches.chunks(*arguments), known.chunks(*arguments))
        assert_same(memory.val.pieces(7), streamed.val.pieces(7))  # as an evaluation amid an interval


def test_workers_share_out_a_split_of_files(both: tuple[Dataset, Dataset]) -> None:
    for rank in range(3):
        assert_same(both[0].val.pieces(9, rank, 3), both[1].val.pieces(9, rank, 3))


def test_reading_leaves_the_global_generator_alone(tmp_path: Path) -> None:
    write_folder(tmp_path, pictures(30))
    state = torch.get_rng_state()
    data = load_dataset(DataSpec(source=f"folder:{tmp_path}", memory_limit=0))
    batches = Batches(data, 0)
    batches.prepare(0, 8, 2, 1, range(1))
    list(batches.chunks(0, 0, 8, 1, range(1)))
    assert torch.equal(torch.get_rng_state(), state)


# --- from files ------------------------------------------------------------------------------------


def mixed_folder(root: Path, count: int = 90) -> Path:
    """Write photographs of many shapes, as JPEG and PNG, in three classes, with a test split."""
    random = np.random.default_rng(0)
    for row in range(count):
        split = "val" if row % 5 == 4 else "train"
        height, width = random.integers(10, 40, 2)
        image = random.integers(0, 256, (3, height, width), dtype=np.uint8) // 2
        image[row % 3] += 100
        path = write_image(root / split / f"class {row % 3}" / f"{row:03}.png", image)
        if row % 2:
            Image.open(io.BytesIO(path.read_bytes())).save(path.with_suffix(".jpg"))
            path.unlink()
    return root


def small_groups(root: Path) -> Path:
    """Write Parquet files of images of 16 pixels with five rows a group."""
    for name, seed in (("train-0", 0), ("train-1", 1), ("test-0", 2)):
        path = write_pictures(root / f"{name}.parquet", pictures(40, size=16, seed=seed))
        pq.write_table(pq.read_table(path), path, row_group_size=5)
    return root


@pytest.mark.parametrize(
    ("kind", "write", "image_size"), [("folder", mixed_folder, 16), ("parquet", small_groups, None)]
)
def test_files_are_streamed_as_they_would_be_held(
    kind: str, write: Callable[[Path], Path], image_size: int | None, tmp_path: Path, cache_dir: Path
) -> None:
    spec = DataSpec(source=f"{kind}:{write(tmp_path / 'data')}", image_size=image_size)
    memory = load_dataset(spec, include_test=True)
    streamed = load_dataset(replace(spec, memory_limit=1000), include_test=True)
    assert isinstance(streamed.train, StreamedSplit)
    assert torch.equal(memory.mean, streamed.mean)
    for name in ("train", "val", "test"):
        assert_same(getattr(memory, name).pieces(8), getattr(streamed, name).pieces(8))
    one, other = Batches(memory, 0), Batches(streamed, 0)
    other.prepare(3, 24, 4, 2, range(1, 2))
    for step in range(4):
        arguments = (3 + 24 * step, step, 24, 2, range(1, 2))
        assert_same(one.chunks(*arguments), other.chunks(*arguments))


def test_a_uri_is_read_by_processes_that_were_not_forked(tmp_path: Path) -> None:
    path = write_pictures(tmp_path / "a.parquet", pictures(12))
    loader = RowLoader(open_source(f"parquet:{path.as_uri()}"))
    (images,) = loader.read([torch.tensor([3, 11, 0])])
    assert torch.equal(images, torch.from_numpy(pictures(12)[[3, 11, 0]]))


def test_test_images_are_not_read_unless_asked_for(tmp_path: Path) -> None:
    root = mixed_folder(tmp_path)
    for path in (root / "val").rglob("*.*g"):
        path.write_bytes(b"no image")
    data = load_dataset(DataSpec(source=f"folder:{root}", image_size=16, memory_limit=0))
    assert data.test is None
    assert len(images_of(data.train)) + len(images_of(data.val)) == 72


def test_statistics_of_a_sample_are_measured_once_and_shown(
    tmp_path: Path, cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_folder(tmp_path / "data", pictures(60, size=16))
    spec = DataSpec(source=f"folder:{tmp_path / 'data'}", memory_limit=0)
    monkeypatch.setattr("adasearch.data.load.SAMPLE", 13)
    first, second, other = Calls(), Calls(), Calls()
    data = load_dataset(spec, progress=first)
    again = load_dataset(spec, progress=second)
    load_dataset(replace(spec, seed=1), progress=other)
    measured = ("measuring mean and deviation of a sample", 13, 13)
    assert [measured in calls.told for calls in (first, second, other)] == [True, False, True]
    assert torch.equal(data.mean, again.mean)
    assert torch.equal(data.std, again.std)
    images = images_of(data.train)[torch.arange(13) * len(data.train) // 13].double() / 255
    torch.testing.assert_close(data.mean, images.mean(dim=(0, 2, 3)))
    torch.testing.assert_close(data.std, images.std(dim=(0, 2, 3), correction=0))


@pytest.mark.parametrize("memory_limit", [2**20, 0])
def test_card_says_what_the_data_set_is_and_decodes_nothing_twice(
    memory_limit: int, tmp_path: Path, cache_dir: Path
) -> None:
    place = f"folder:{mixed_folder(tmp_path / 'data')}"
    spec = DataSpec(source=place, image_size=16, subset=30, memory_limit=memory_limit)
    first, second = Calls(), Calls()
    card, data = card_of(spec, first), load_dataset(spec, progress=second)
    assert (card.train, card.val) == (len(data.train), len(data.val)) == (30, 8)
    assert (card.classes, card.image_size) == (data.classes, data.image_size) == (3, 16)
    assert card.fingerprint == data.fingerprint
    work = {"decoding images", "measuring mean and deviation of a sample"}
    assert [bool(work & {what for what, _, _ in calls.told}) for calls in (first, second)] == [True, False]


def test_unreadable_image_is_told_in_one_line_by_whoever_reads_it(tmp_path: Path, cache_dir: Path) -> None:
    write_folder(tmp_path / "data", pictures(60, size=16))
    spec = DataSpec(source=f"folder:{tmp_path / 'data'}", memory_limit=0)
    data = load_dataset(spec)  # the sample was read when all was well
    broken = tmp_path / "data" / "class 1" / "0001.png"
    content = broken.read_bytes()
    broken.write_bytes(b"\0" * len(content))
    for path in (tmp_path / "data").rglob("*.png"):
        path.write_bytes(b"\0" * path.stat().st_size)
    batches = Batches(data, 0)
    for prepared in (True, False):
        if prepared:
            batches.prepare(0, 16, 2, 1, range(1))
        with pytest.raises(InputError, match=r"^image file .*\.png: the image cannot be read: ") as caught:
            list(batches.chunks(0 if prepared else 500, 0, 16, 1, range(1)))
        assert "\n" not in str(caught.value)


def test_pieces_end_where_batches_end() -> None:
    loader = RowLoader(open_source("digits"))
    batches = [torch.arange(PIECE + 5), torch.arange(3), torch.arange(2 * PIECE)]
    assert [len(images) for images in loader.read(batches)] == [PIECE, 5, 3, PIECE, PIECE]


# --- training --------------------------------------------------------------------------------------


def run(data: Dataset) -> list[IntervalRecord]:
    config = TrainConfig(
        architecture="resnet18",
        scale="nano",
        seed=0,
        hyperparameters=Hyperparameters(batch_size=16, lr=0.05),
        budget=150,
        interval=50,
        evaluate_every=50,
        device_batch=20,
    )
    scheduler = AdaBatch(period=1, growth=2.0)
    return list(train(config, scheduler, Limits(smallest=16, largest=64), data))


def outcomes(records: Sequence[IntervalRecord]) -> list[tuple[object, ...]]:
    return [
        (each.signals.train_loss, each.signals.val_loss, each.val_error, each.decision.batch_size)
        for each in records
    ]


def test_training_on_files_equals_training_in_memory(tmp_path: Path, cache_dir: Path) -> None:
    spec = DataSpec(source=f"folder:{mixed_folder(tmp_path / 'data')}", image_size=16)
    found = [outcomes(run(load_dataset(each))) for each in (spec, replace(spec, memory_limit=0))]
    assert found[0] == found[1]
    assert len({batch_size for _, _, _, batch_size in found[1]}) > 1


def test_train_command_takes_a_folder_and_names_its_size(tmp_path: Path, cache_dir: Path) -> None:
    place = f"folder:{mixed_folder(tmp_path / 'data')}"
    request = Request(
        architectures=("resnet18",),
        schedulers=("constant",),
        dataset=place,
        image_size=12,
        epochs=1,
        largest=16,
        fixed=("train/batch_size=16",),
    )
    trial = train_command(request, results=str(tmp_path / "results"), console=Console(file=io.StringIO()))
    assert (trial.status, trial.error) == ("complete", None)
    assert trial.dataset == f"{place}@12"
    assert trial.study == "resnet18-nano-constant-folder-data-12"


def test_loader_processes_end_with_the_data_set(tmp_path: Path) -> None:
    import gc

    import psutil

    before = set(psutil.Process(os.getpid()).children(recursive=True))
    write_folder(tmp_path, pictures(30, size=16))
    data: Dataset | None = load_dataset(DataSpec(source=f"folder:{tmp_path}", memory_limit=0))
    assert data is not None
    batches: Batches | None = Batches(data, 0)
    assert batches is not None
    batches.prepare(0, 8, 2, 1, range(1))
    list(batches.chunks(0, 0, 8, 1, range(1)))
    started = set(psutil.Process(os.getpid()).children(recursive=True)) - before
    assert len(started) == 1  # as many as torch has threads
    data = batches = None
    gc.collect()
    _, alive = psutil.wait_procs(started, timeout=10)
    assert not alive
