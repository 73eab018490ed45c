"""Training by weights: balanced classes, a column, the same draws in memory and in files, and refusals."""

from collections import Counter
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from adasearch.data.batches import Batches
from adasearch.data.load import load_dataset
from adasearch.data.spec import MEMORY_LIMIT, DataSpec, Selection
from adasearch.data.splits import Dataset
from adasearch.errors import InputError
from tests.data.layouts import write_rows
from tests.pictures import pictures, write_image

BALANCED = Selection(weights="balanced")


@pytest.fixture
def rare(tmp_path: Path) -> str:
    """Return a set of folders with five times as many dogs as cats."""
    for name, count in (("cat", 10), ("dog", 50)):
        for row, image in enumerate(pictures(count, size=4)):
            write_image(tmp_path / name / f"{row}.png", image)
    return f"folder:{tmp_path}"


def drawn(data: Dataset, epochs: int, seed: int = 0) -> torch.Tensor:
    """Return the rows of the training split that so many epochs take."""
    return Batches(data, seed).stream.indices(0, epochs * len(data.train))


def test_balanced_classes_are_drawn_alike(rare: str) -> None:
    plain = load_dataset(DataSpec(source=rare))
    data = load_dataset(DataSpec(source=rare, selection=BALANCED))
    counts = Counter(data.train.labels[drawn(data, 50)].tolist())
    total = 50 * len(data.train)
    assert counts[0] == pytest.approx(total / 2, abs=4 * (total / 4) ** 0.5)
    once = Counter(plain.train.labels[drawn(plain, 50)].tolist())
    assert once[0] == 50 * int((plain.train.labels == 0).sum())
    assert torch.equal(data.mean, plain.mean)
    assert data.val.labels.tolist() == plain.val.labels.tolist()


def test_draws_are_entered_anywhere_and_differ_between_epochs_and_seeds(rare: str) -> None:
    data = load_dataset(DataSpec(source=rare, selection=BALANCED))
    length = len(data.train)
    whole = drawn(data, 3)
    stream = Batches(data, 0).stream
    pieces = [stream.indices(offset, 7) for offset in range(3 * length - 7, -1, -7)][::-1]
    assert torch.equal(torch.cat(pieces), whole[-7 * len(pieces) :])
    assert not torch.equal(whole[:length], whole[length : 2 * length])
    assert not torch.equal(whole[:length], drawn(data, 1, seed=1))


def test_images_in_memory_and_in_files_are_drawn_alike(rare: str) -> None:
    batches = []
    for limit in (MEMORY_LIMIT, 0):
        data = load_dataset(DataSpec(source=rare, selection=BALANCED, memory_limit=limit))
        stream = Batches(data, 0)
        stream.prepare(0, 16, 3, 1, range(1))
        batches.append([next(stream.chunks(16 * step, step, 16, 1, range(1)))[1] for step in range(3)])
    assert all(torch.equal(one, other) for one, other in zip(*batches, strict=True))


def test_a_column_gives_the_weights(tmp_path: Path) -> None:
    labels = [row % 2 for row in range(40)]
    weights = [0.0 if row < 20 else row / 10 for row in range(40)]
    write_rows(tmp_path / "train.parquet", 40, {"label": labels, "weight": weights})
    write_rows(tmp_path / "test.parquet", 10, {"label": labels[:10]})
    source = f"parquet:{tmp_path}"
    data = load_dataset(DataSpec(source=source, selection=Selection(weights="weight")))
    rows = [int(images[0, 0, 0]) for piece, _ in data.train.pieces(64) for images in piece]
    assert data.weights is not None
    assert data.weights.tolist() == [weights[row] for row in rows]
    assert {rows[row] for row in drawn(data, 5)} <= set(range(20, 40))


@pytest.mark.parametrize(
    ("weights", "says"),
    [
        ([1.0, -1.0], "row 1 of Parquet file {path}: a weight must be a number of at least 0 but is -1.0"),
        ([1.0, None], "row 1 of Parquet file {path}: a weight must be a number of at least 0 but is nan"),
        (["a", "b"], "row 0 of Parquet file {path}: the column of --weights holds string, no numbers"),
    ],
)
def test_a_column_without_weights_is_refused(tmp_path: Path, weights: list[object], says: str) -> None:
    path = tmp_path / "train.parquet"
    write_rows(path, 20, {"label": [0, 1] * 10, "weight": weights * 10})
    with pytest.raises(InputError) as caught:
        load_dataset(DataSpec(source=f"parquet:{path}", selection=Selection(weights="weight")))
    assert str(caught.value) == says.format(path=path)
    with pytest.raises(InputError, match="unknown column for --weights 'wait'; did you mean 'weight'"):
        load_dataset(DataSpec(source=f"parquet:{path}", selection=Selection(weights="wait")))


def test_a_column_that_is_zero_where_it_is_trained_on_is_refused(tmp_path: Path) -> None:
    weights = [0.0] * 40
    path = tmp_path / "train.parquet"
    write_rows(path, 40, {"label": [0, 1] * 20, "weight": weights})
    spec = DataSpec(source=f"parquet:{path}", selection=Selection(weights="weight"))
    with pytest.raises(InputError, match="column 'weight' for --weights is 0 in all 40 training rows"):
        load_dataset(spec)
    for row in range(40):  # the one row that has a weight is held out for some of them
        write_rows(path, 40, {"label": [0, 1] * 20, "weight": [float(n == row) for n in range(40)]})
        try:
            assert load_dataset(spec).weights is not None
        except InputError as error:
            assert str(error) == (  # noqa: PT017 - of some rows only
                "column 'weight' for --weights is 0 in all 25 images that are trained on, of 40 with a weight"
            )
            return
    pytest.fail("no row was held out")


@pytest.mark.parametrize(
    "weights",
    [
        pa.array([2**63] * 40, pa.uint64()),
        pa.array([Decimal("0.5")] * 40),
        pa.array([0.5] * 40).dictionary_encode(),
        pa.array([True] * 40),
        pa.array(np.ones(40, np.float16)),
    ],
    ids=["uint64", "decimal", "dictionary", "truth", "half"],
)
def test_weights_are_numbers_of_any_type(tmp_path: Path, weights: pa.Array) -> None:
    write_rows(tmp_path / "train.parquet", 40, {"label": [0, 1] * 20, "weight": weights})
    spec = DataSpec(source=f"parquet:{tmp_path}", selection=Selection(weights="weight"))
    found = load_dataset(spec).weights
    assert found is not None
    assert found.tolist() == [float(weights[0].as_py())] * len(found)


def test_balanced_is_spelt_as_it_is(tmp_path: Path) -> None:
    write_rows(tmp_path / "train.parquet", 40)
    with pytest.raises(InputError, match="unknown column for --weights 'Balanced'; did you mean 'balanced'"):
        load_dataset(DataSpec(source=f"parquet:{tmp_path}", selection=Selection(weights="Balanced")))


def test_a_source_without_columns_takes_balanced_weights_alone() -> None:
    data = load_dataset(DataSpec(source="digits", selection=BALANCED))
    assert data.weights is not None
    sums = np.bincount(data.train.labels.numpy(), weights=data.weights.numpy())
    np.testing.assert_allclose(sums, np.ones(10))
    with pytest.raises(InputError, match="--weights age is for parquet: but got --dataset digits"):
        load_dataset(DataSpec(source="digits", selection=Selection(weights="age")))


@pytest.mark.parametrize(
    ("selection", "takers"),
    [
        (Selection(split="extra"), "parquet:, folder:"),
        (Selection(config="mini"), "parquet:"),
        (Selection(label_column="y"), "parquet:"),
    ],
)
def test_what_a_source_does_not_have_cannot_be_selected(selection: Selection, takers: str) -> None:
    with pytest.raises(InputError, match=f"is for {takers} but got --dataset digits"):
        load_dataset(DataSpec(source="digits", selection=selection))
