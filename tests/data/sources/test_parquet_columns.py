"""Columns of other people's Parquet files: which are images and labels, what labels mean, or the refusal."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adasearch.data.load import card_of, load_dataset
from adasearch.data.sources.registry import open_source
from adasearch.data.spec import DataSpec, Selection
from adasearch.errors import InputError
from tests.pictures import encoded

ROWS = 12
TRUTH = [row % 3 for row in range(ROWS)]
IMAGES = [{"bytes": encoded(np.full((3, 4, 4), row, np.uint8)), "path": None} for row in range(ROWS)]
BLOBS = [image["bytes"] for image in IMAGES]
TEXTS = ["abc"[label] for label in TRUTH]


def write(path: Path, columns: dict[str, Any], told: dict[str, Sequence[str] | None] | None = None) -> Path:
    """Write a file; ``told`` is what Hugging Face's metadata name: classes, or None for images."""
    table = pa.table(columns)
    features = {
        name: {"_type": "Image"} if names is None else {"_type": "ClassLabel", "names": list(names)}
        for name, names in (told or {}).items()
    }
    if told is not None:
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)
    return path


IMAGE = {"image": IMAGES}
COARSE = [label % 2 for label in TRUTH]
NAMED = {"image": None, "labels": "abc"}

UNDERSTOOD: dict[str, tuple[dict[str, Any], dict[str, Any] | None, str]] = {
    "an id before labels": ({"image_id": range(ROWS), **IMAGE, "labels": TRUTH}, NAMED, "labels"),
    "width and height": ({**IMAGE, "width": [64] * ROWS, "labels": TRUTH}, NAMED, "labels"),
    "metadata before a name": ({**IMAGE, "label": COARSE, "kind": TRUTH}, {"kind": "abc"}, "kind"),
    "a superclass": ({**IMAGE, "superclass": COARSE, "class": TRUTH}, {"class": "abc"}, "class"),
    "two kinds of classes": (
        {**IMAGE, "superclass": COARSE, "label": TRUTH},
        {"superclass": "ab", "label": "abc"},
        "label",
    ),
    "fine and coarse": (
        {**IMAGE, "coarse_label": COARSE, "fine_label": TRUTH},
        {"coarse_label": "ab", "fine_label": "abc"},
        "fine_label",
    ),
    "upper case": ({"Image": IMAGES, "Label": TRUTH}, None, "Label"),
    "the only integers": ({**IMAGE, "digit": TRUTH, "id": range(ROWS)}, None, "digit"),
    "the only integers, and where files lie": (
        {**IMAGE, "digit": TRUTH, "file_name": TEXTS, "imageId": TEXTS, "url": TEXTS, "score": [0.5] * ROWS},
        None,
        "digit",
    ),
    "the only integers, called as a label in camel case": (
        {**IMAGE, "classId": TRUTH, "patientID": range(ROWS), "frame": range(ROWS)},
        None,
        "classId",
    ),
    "a usual name beside texts": (
        {**IMAGE, "dx": TEXTS, "label": TRUTH, "sick": [True] * ROWS},
        None,
        "label",
    ),
    "metadata beside texts": ({**IMAGE, "dx": TEXTS, "kind": TRUTH}, {"kind": "abc"}, "kind"),
    "text": ({"id": range(ROWS), **IMAGE, "label": TEXTS}, None, "label"),
    "text of a dictionary": ({**IMAGE, "label": pa.array(TEXTS).dictionary_encode()}, None, "label"),
    "large text": ({**IMAGE, "label": pa.array(TEXTS, pa.large_string())}, None, "label"),
    "text as views": ({**IMAGE, "label": pa.array(TEXTS).cast(pa.string_view())}, None, "label"),
    "floats that are integers": ({**IMAGE, "label": [float(label) for label in TRUTH]}, None, "label"),
    "unsigned bytes": ({**IMAGE, "label": pa.array(TRUTH, pa.uint8())}, None, "label"),
    "integers of a dictionary": ({**IMAGE, "label": pa.array(TRUTH).dictionary_encode()}, None, "label"),
    "a checksum in bytes": ({"md5": [b"0123"] * ROWS, **IMAGE, "label": TRUTH}, None, "label"),
    "a checksum and plain bytes": ({"md5": [b"0123"] * ROWS, "image": BLOBS, "label": TRUTH}, None, "label"),
    "bytes as views": ({"image": pa.array(BLOBS).cast(pa.binary_view()), "label": TRUTH}, None, "label"),
    "large bytes": ({"image": pa.array(BLOBS, pa.large_binary()), "label": TRUTH}, None, "label"),
    "bytes of a dictionary": ({"image": pa.array(BLOBS).dictionary_encode(), "label": TRUTH}, None, "label"),
    "a thumbnail": ({"thumbnail": IMAGES[::-1], **IMAGE, "label": TRUTH}, None, "label"),
    "a mask told as an image": (
        {"mask": IMAGES[::-1], **IMAGE, "label": TRUTH},
        {"mask": None, "image": None},
        "label",
    ),
    "large numbers with gaps": ({**IMAGE, "label": [100 * label + 7 for label in TRUTH]}, None, "label"),
    "metadata that nobody can read": ({**IMAGE, "label": TRUTH}, {}, "label"),
}


@pytest.mark.parametrize(("columns", "told", "label"), UNDERSTOOD.values(), ids=UNDERSTOOD)
def test_columns_are_found(
    tmp_path: Path, columns: dict[str, Any], told: dict[str, Any] | None, label: str
) -> None:
    found = open_source(f"parquet:{write(tmp_path / 'train.parquet', columns, told)}")
    assert found.labels.tolist() == TRUTH
    assert found.classes == 3
    assert [found.pixels(row)[0, 0, 0] for row in range(ROWS)] == list(range(ROWS))
    assert f"label column `{label}`" in found.understood


def test_truth_values_are_two_classes(tmp_path: Path) -> None:
    path = write(tmp_path / "train.parquet", {**IMAGE, "label": [label > 0 for label in TRUTH]})
    found = open_source(f"parquet:{path}")
    assert (found.classes, found.labels.tolist()) == (2, [int(label > 0) for label in TRUTH])


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "two usual names": (
        {**IMAGE, "label": TRUTH, "labels": COARSE},
        "has 2 label columns: label (int64), labels (int64); --label-column NAME takes one of them",
    ),
    "two columns of integers": (
        {**IMAGE, "shape": TRUTH, "colour": COARSE},
        "has 2 label columns: shape (int64), colour (int64); --label-column NAME takes one of them",
    ),
    "integers beside texts": (
        {**IMAGE, "dx": TEXTS, "site": TRUTH},
        "has 2 label columns: dx (string), site (int64); --label-column NAME takes one of them",
    ),
    "integers beside truth values": (
        {**IMAGE, "sick": [label > 0 for label in TRUTH], "site": TRUTH},
        "has 2 label columns: sick (bool), site (int64); --label-column NAME takes one of them",
    ),
    "texts and an age": (
        {**IMAGE, "dx": TEXTS, "age": TRUTH},
        "class_label, y and 4 more) but image (struct<bytes: binary, path:...), dx (string), age (int64); "
        "--label-column NAME takes one",
    ),
    "two columns of images": (
        {"front": IMAGES, "back": IMAGES, "label": TRUTH},
        "has 2 image columns: front (struct<bytes: binary, path:...), back (struct<bytes: binary, path:"
        "...); --image-column NAME takes one of them",
    ),
    "numbers of the rows alone": (
        {**IMAGE, "image_id": range(ROWS)},
        "has no label column (integer, or called label, labels, fine_label, class, category, target, "
        "class_label, y and 4 more) but image (struct<bytes: binary, path:...), image_id (int64); "
        "--label-column NAME takes one",
    ),
    "captions alone": ({**IMAGE, "caption": TEXTS}, "has no label column"),
    "several labels a picture": (
        {**IMAGE, "labels": [[label] for label in TRUTH], "year": [1999] * ROWS},
        "column 'labels' holds lists (list<element: int64>), no label of one class",
    ),
    "labels in a struct": ({**IMAGE, "label": [{"id": 1}] * ROWS}, "column 'label' holds struct<id: int64>"),
    "numbers to predict": (
        {**IMAGE, "label": [0.5] * ROWS},
        "row 0 of Parquet file {path}: 0.5 is no label, which is an integer",
    ),
    "lists of images": ({"images": [[image] for image in IMAGES], "label": TRUTH}, "has no image column"),
    "names of image files": ({"image": ["1.png"] * ROWS, "label": TRUTH}, "has no image column"),
    "a label that is missing": (
        {**IMAGE, "label": [*TEXTS[1:], None]},
        "row 11 of Parquet file {path}: column",
    ),
}


def refused(place: Path, selection: Selection | None = None) -> str:
    """Return the one line with which a set is refused."""
    with pytest.raises(InputError) as caught:
        open_source(f"parquet:{place}", selection=selection or Selection()).pixels(0)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(("columns", "says"), REFUSED.values(), ids=REFUSED)
def test_columns_that_are_not_clear_are_refused(tmp_path: Path, columns: dict[str, Any], says: str) -> None:
    path = write(tmp_path / "train.parquet", columns)
    message = refused(path)
    assert says.format(path=path) in message
    assert str(path) in message


@pytest.mark.parametrize(
    "name",
    ["age", "seed", "timestamp", "frame", "count", "num", "page", "version", "patientId", "frameCount"],
)
def test_integers_that_are_called_as_no_label_are_taken_only_if_asked_for(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / "train.parquet", {**IMAGE, name: TRUTH})
    assert "has no label column" in refused(path)
    found = open_source(f"parquet:{path}", selection=Selection(label_column=name))
    assert found.labels.tolist() == TRUTH


def test_a_picture_that_is_only_a_path_is_refused(tmp_path: Path) -> None:
    image = {"bytes": None, "path": "1.png"}
    path = write(tmp_path / "train.parquet", {"image": [image] * ROWS, "label": TRUTH})
    assert refused(path) == (
        f"row 0 of Parquet file {path}: the image cannot be read: only its path '1.png' is in the file, no "
        "bytes"
    )


def test_columns_are_chosen_by_name(tmp_path: Path) -> None:
    columns = {"front": IMAGES, "back": IMAGES[::-1], "shape": TRUTH, "colour": COARSE}
    path = write(tmp_path / "train.parquet", columns)
    chosen = Selection(image_column="back", label_column="colour")
    found = open_source(f"parquet:{path}", selection=chosen)
    assert found.labels.tolist() == COARSE
    assert found.pixels(0)[0, 0, 0] == ROWS - 1
    assert list(found.understood) == ["label column `colour`", "image column `back`"]
    other = open_source(f"parquet:{path}", selection=Selection(image_column="front", label_column="colour"))
    assert other.fingerprint != found.fingerprint
    message = refused(path, Selection(image_column="front", label_column="color"))
    assert f"unknown column of Parquet file {path} 'color'; did you mean 'colour'?" in message
    wrong = Selection(image_column="shape", label_column="colour")
    assert refused(path, wrong) == f"Parquet file {path}: column 'shape' holds int64, no images"


def test_files_that_differ_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", {**IMAGE, "label": TRUTH})
    second = write(tmp_path / "b.parquet", {**IMAGE, "label": TEXTS})
    assert refused(tmp_path) == (
        f"Parquet file {second} has labels of type large_string where the others have int64"
    )
    write(second, {**IMAGE, "labels": TRUTH})
    assert f"unknown column of Parquet file {second} 'label'; did you mean 'labels'?" in refused(tmp_path)
    write(tmp_path / "a.parquet", {**IMAGE, "label": TRUTH}, {"label": "abc"})
    write(second, {**IMAGE, "label": TRUTH}, {"label": "cab"})
    assert refused(tmp_path) == f"Parquet file {second} names the classes c, a, b, others a, b, c"


@pytest.mark.parametrize("missing", [[None] * 4, [-1] * 4, [0, 1, None, 2], "absent", "null"])
def test_a_test_split_without_labels_is_left_out_with_a_line(tmp_path: Path, missing: Any) -> None:
    write(tmp_path / "train.parquet", {**IMAGE, "label": TRUTH})
    labels = {"null": {"label": pa.nulls(4)}, "absent": {}}.get(
        str(missing), {"label": None if isinstance(missing, str) else pa.array(missing, pa.int64())}
    )
    write(tmp_path / "test.parquet", {"image": IMAGES[:4], **labels})
    found = open_source(f"parquet:{tmp_path}")
    assert (len(found.labels), found.test_from) == (ROWS, None)
    count = 1 if missing == [0, 1, None, 2] else 4
    assert list(found.notes) == [f"the test split is left out, since {count} of its 4 rows have no label"]


def test_texts_are_numbered_over_all_files_in_their_order(tmp_path: Path) -> None:
    write(tmp_path / "train-0.parquet", {"image": IMAGES[:3], "label": ["cow", "ant", "cow"]})
    write(tmp_path / "train-1.parquet", {"image": IMAGES[:2], "label": ["bee", "ant"]})
    write(tmp_path / "test.parquet", {"image": IMAGES[:1], "label": ["bee"]})
    found = open_source(f"parquet:{tmp_path}")
    assert (found.labels.tolist(), found.class_names) == ([2, 0, 2, 1, 0, 1], ["ant", "bee", "cow"])
    write(tmp_path / "test.parquet", {"image": IMAGES[:1], "label": ["fly"]})
    assert "class fly, which is not among the 3 classes of the training split" in refused(tmp_path)


def test_a_number_that_training_lacks_is_refused_in_the_test_split(tmp_path: Path) -> None:
    write(tmp_path / "train.parquet", {**IMAGE, "label": TRUTH})
    test = write(tmp_path / "test.parquet", {"image": IMAGES[:2], "label": [1, 4]})
    assert refused(tmp_path) == (
        f"row 1 of Parquet file {test}: class '4' has images to validate or test with but none to train on"
    )


def test_validation_rows_are_validated_on_and_never_trained_on(tmp_path: Path) -> None:
    for split, rows in (("train", slice(0, 6)), ("valid", slice(6, 9)), ("test", slice(9, 12))):
        write(tmp_path / f"{split}.parquet", {"image": IMAGES[rows], "label": TRUTH[rows]})
    for subset in (None, 6, 4):
        data = load_dataset(DataSpec(source=f"parquet:{tmp_path}", subset=subset), include_test=True)
        assert data.test is not None
        seen = [
            sorted(int(images[0, 0, 0]) for piece, _ in split.pieces(64) for images in piece)
            for split in (data.train, data.val, data.test)
        ]
        assert seen[1:] == [[6, 7, 8], [9, 10, 11]]
        assert len(seen[0]) == (subset or 6)
        assert set(seen[0]) <= set(range(6))


def test_gaps_in_the_labels_are_told(tmp_path: Path) -> None:
    columns = {"image": IMAGES * 5, "label": [label + 1 for label in TRUTH] * 5}
    path = write(tmp_path / "train.parquet", columns)
    (line,) = card_of(DataSpec(source=f"parquet:{path}")).understood
    assert "4 classes (0, ..., 3), 1 of them without a training image" in line


@pytest.mark.parametrize("told", ["{nope", "[1, 2]", '{"info": {"features": {"label": {"names": 5}}}}'])
def test_metadata_that_nobody_can_read_say_nothing(tmp_path: Path, told: str) -> None:
    table = pa.table({**IMAGE, "label": TRUTH}).replace_schema_metadata({"huggingface": told})
    pq.write_table(table, tmp_path / "train.parquet")
    found = open_source(f"parquet:{tmp_path}")
    assert (found.labels.tolist(), found.class_names) == (TRUTH, None)


@pytest.mark.parametrize("value", [float("inf"), 1e300])
def test_floats_beyond_all_integers_are_no_labels(tmp_path: Path, value: float) -> None:
    path = write(tmp_path / "train.parquet", {**IMAGE, "label": [value] * ROWS})
    assert refused(path) == f"row 0 of Parquet file {path}: {value} is no label, which is an integer"


def test_texts_that_are_empty_are_no_labels(tmp_path: Path) -> None:
    write(tmp_path / "train.parquet", {**IMAGE, "label": TEXTS})
    write(tmp_path / "test.parquet", {"image": IMAGES[:2], "label": ["", ""]})
    assert "2 of its 2 rows have no label" in open_source(f"parquet:{tmp_path}").notes[0]


SPLIT_COLUMNS: dict[str, Sequence[object]] = {
    "split": ["train"] * 8 + ["test"] * 4,
    "Usage": ["Training"] * 8 + ["PublicTest"] * 4,
    "subset": pa.array(["train"] * 8 + ["val"] * 4).dictionary_encode(),
    "partition": ["train"] * 8 + ["other"] * 4,
    "set": ["test"] * 12,
    "is_train": [True] * 8 + [False] * 4,
    "is_valid": [0] * 8 + [1] * 4,
}


@pytest.mark.parametrize(("name", "values"), SPLIT_COLUMNS.items())
def test_rows_of_other_splits_are_not_trained_on(tmp_path: Path, name: str, values: Sequence[object]) -> None:
    path = write(tmp_path / "data.parquet", {**IMAGE, "label": TRUTH, name: values})
    assert refused(tmp_path).startswith(f"Parquet file {path}: column {name!r} tells splits (")
    assert "but all rows would be taken for train; write a file for each" in refused(tmp_path)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("split", ["train"] * 12),
        ("split", [None] * 12),
        ("subset", ["a", "b"] * 6),
        ("is_train", [True] * 12),
        ("is_valid", [1] * 12),
        ("set", range(12)),
    ],
)
def test_columns_that_tell_no_other_split_change_nothing(
    tmp_path: Path, name: str, values: Sequence[object]
) -> None:
    write(tmp_path / "train.parquet", {**IMAGE, "label": TRUTH, name: values})
    write(tmp_path / "test.parquet", {"image": IMAGES[:3], "label": TRUTH[:3], "split": ["test"] * 3})
    assert open_source(f"parquet:{tmp_path}").labels.tolist() == [*TRUTH, *TRUTH[:3]]


def test_a_split_column_agrees_with_the_split_that_is_chosen(tmp_path: Path) -> None:
    write(tmp_path / "test.parquet", {**IMAGE, "label": TRUTH, "split": ["test"] * 12})
    found = open_source(f"parquet:{tmp_path}", selection=Selection(split="test"))
    assert found.labels.tolist() == TRUTH


@pytest.mark.parametrize("name", ["image", "label"])
def test_columns_of_one_name_are_refused_by_it(tmp_path: Path, name: str) -> None:
    columns = {"image": pa.array(IMAGES), "label": pa.array(TRUTH)}
    table = pa.table(columns).append_column(name, columns[name])
    pq.write_table(table, tmp_path / "train.parquet")
    assert refused(tmp_path) == f"Parquet file {tmp_path / 'train.parquet'} has 2 columns called {name!r}"


def test_sounds_are_no_images(tmp_path: Path) -> None:
    table = pa.table({"audio": IMAGES, "label": TRUTH})
    told = {"info": {"features": {"audio": {"_type": "Audio"}}}}
    pq.write_table(table.replace_schema_metadata({"huggingface": json.dumps(told)}), tmp_path / "a.parquet")
    assert "has no image column" in refused(tmp_path)
