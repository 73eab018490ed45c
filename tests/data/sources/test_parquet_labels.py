"""Labels of other people's Parquet files: their types, those in folders' names, and what is no label."""

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from adasearch.data.sources.base import Examples
from adasearch.data.sources.registry import open_source
from adasearch.data.spec import NO_SELECTION, Selection
from adasearch.errors import InputError
from tests.data.sources.test_parquet_columns import IMAGE, IMAGES, ROWS, TEXTS, TRUTH, refused, write


def opened(root: Path, files: dict[str, dict[str, Any]], selection: Selection = NO_SELECTION) -> Examples:
    """Write files with these columns beside the images, and open the set."""
    for name, columns in files.items():
        write(root / name, {**IMAGE, **columns})
    return open_source(f"parquet:{root}", selection=selection)


VALUES: dict[str, tuple[Any, list[int], Sequence[str] | None]] = {
    "unsigned": (pa.array(TRUTH, pa.uint64()), TRUTH, None),
    "half floats": (pa.array(np.array(TRUTH, np.float16)), TRUTH, None),
    "decimals": ([Decimal(label) for label in TRUTH], TRUTH, None),
    "decimals with places": ([Decimal(f"{label}.00") for label in TRUTH], TRUTH, None),
    "truth values": ([label > 0 for label in TRUTH], [min(label, 1) for label in TRUTH], None),
    "a few of many numbers": ([[0, 5, 100][label] for label in TRUTH], TRUTH, ["0", "5", "100"]),
    "large numbers": ([2**62 + label for label in TRUTH], TRUTH, [str(2**62 + n) for n in range(3)]),
    "a gap": ([[0, 1, 3][label] for label in TRUTH], [[0, 1, 3][label] for label in TRUTH], None),
    "numbers as text": ([str(5 * label) for label in TRUTH], [[0, 2, 1][n] for n in TRUTH], ["0", "10", "5"]),
    "an enumeration": (
        pa.DictionaryArray.from_arrays(pa.array(TRUTH, pa.int8()), ["z", "b", "a", "unused"]),
        [2 - label for label in TRUTH],
        ["a", "b", "z"],
    ),
}


@pytest.mark.parametrize(("values", "labels", "names"), VALUES.values(), ids=VALUES)
def test_labels_of_any_type_are_understood(
    tmp_path: Path, values: Any, labels: list[int], names: Sequence[str] | None
) -> None:
    found = opened(tmp_path, {"train.parquet": {"label": values}})
    assert (found.labels.tolist(), found.class_names) == (labels, names)
    assert found.classes == (len(names) if names else max(labels) + 1)


REFUSED: dict[str, tuple[Any, str]] = {
    "too large": (
        pa.array([2**63 + label for label in TRUTH], pa.uint64()),
        "row 0 of Parquet file {path}: label 9223372036854775808 is too large, the most is"
        " 9223372036854775807",
    ),
    "fractions": (
        [Decimal("1.5")] * ROWS,
        "row 0 of Parquet file {path}: 1.5 is no label, which is an integer",
    ),
    "one of none": ([-1, *TRUTH[1:]], "row 0 of Parquet file {path}: label -1 is outside 0 to 2"),
    "signs": (
        [2 * (label > 0) - 1 for label in TRUTH],
        "row 0 of Parquet file {path}: label -1 is outside 0 to 1",
    ),
    "none": (pa.nulls(ROWS), "Parquet file {path}: column 'label' holds null, no label of one class"),
    "a missing number": (
        [*TRUTH[:5], None, *TRUTH[6:]],
        "row 5 of Parquet file {path}: column 'label' is empty",
    ),
    "a missing text": ([*TEXTS[:5], "", *TEXTS[6:]], "row 5 of Parquet file {path}: column 'label' is empty"),
    "no number": ([float("nan")] * ROWS, "row 0 of Parquet file {path}: column 'label' is empty"),
    "one hot": (
        [[1, 0, 0]] * ROWS,
        "column 'label' holds lists (list<element: int64>), no label of one class",
    ),
    "bytes": ([b"a"] * ROWS, "Parquet file {path}: column 'label' holds binary, no label of one class"),
    "dates": (pa.array([1] * ROWS, pa.date32()), "column 'label' holds date32[day], no label of one class"),
}


@pytest.mark.parametrize(("values", "says"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_label_is_refused_in_a_line(tmp_path: Path, values: Any, says: str) -> None:
    path = write(tmp_path / "train.parquet", {**IMAGE, "label": values})
    assert refused(tmp_path).endswith(says.format(path=path))


def test_classes_of_one_name_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "train.parquet", {**IMAGE, "label": TRUTH}, {"label": ["a", "b", "a"]})
    assert refused(tmp_path) == f"Parquet file {path}: column 'label' names class 'a' 2 times"


def test_classes_that_case_or_spaces_tell_apart_are_said(tmp_path: Path) -> None:
    texts = [["cat", "Cat ", "dog"][label] for label in TRUTH]
    found = opened(tmp_path, {"train.parquet": {"label": texts}})
    assert list(found.notes) == ["classes 'Cat ', 'cat' differ in case or spaces alone"]


# --- labels in the names of folders ---------------------------------------------------------------


def labels_by_name(found: Examples) -> list[str]:
    return [found.class_name(label) for label in found.labels]


def test_folders_name_the_labels_that_files_lack(tmp_path: Path) -> None:
    names = ["label=cat/0", "label=cat/1", "label=a%20dog/0"]
    found = opened(tmp_path, {f"{name}.parquet": {} for name in names})
    assert labels_by_name(found) == ["a dog"] * ROWS + ["cat"] * 2 * ROWS
    assert found.understood == ("label column `label`, told by folders",)


def test_numbers_that_folders_name_are_numbers(tmp_path: Path) -> None:
    found = opened(tmp_path, {f"label={label}/0.parquet": {} for label in (0, 1, 2)})
    assert sorted(set(found.labels.tolist())) == [0, 1, 2]
    assert found.class_names is None


@pytest.mark.parametrize("split", ["{split}/label={label}", "split={split}/label={label}"])
def test_folders_name_splits_and_labels(tmp_path: Path, split: str) -> None:
    files: dict[str, dict[str, Any]] = {
        f"{split.format(split=one, label=label)}/0.parquet": {}
        for one in ("train", "test")
        for label in ("cat", "dog")
    }
    found = opened(tmp_path, files)
    assert found.test_from == 2 * ROWS
    assert labels_by_name(found) == ["cat", *["cat"] * (ROWS - 1), *["dog"] * ROWS] * 2


def test_a_label_called_as_a_split_is_a_label(tmp_path: Path) -> None:
    found = opened(tmp_path, {f"label={label}/0.parquet": {} for label in ("test", "control")})
    assert (found.test_from, found.class_names) == (None, ["control", "test"])


def test_labels_of_a_file_that_its_folder_confirms_are_used(tmp_path: Path) -> None:
    for label, name in enumerate("ab"):
        columns = {**IMAGE, "label": [label] * ROWS}
        write(tmp_path / f"label={name}" / "0.parquet", columns, {"label": "ab"})
    found = open_source(f"parquet:{tmp_path}")
    assert labels_by_name(found) == ["a"] * ROWS + ["b"] * ROWS


def test_labels_of_a_file_that_its_folder_contradicts_are_refused(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        path = write(tmp_path / f"label={name}" / "0.parquet", {**IMAGE, "label": TRUTH})
    first = path.parents[1] / "label=cat" / "0.parquet"
    assert refused(tmp_path) == f"Parquet file {first}: column 'label' holds 0 but the folder tells label=cat"


def test_a_folder_that_names_another_column_is_one_table_with_the_others(tmp_path: Path) -> None:
    found = opened(tmp_path, {f"year={year}/0.parquet": {"label": TRUTH} for year in (2023, 2024)})
    assert found.labels.tolist() == 2 * TRUTH
    with pytest.raises(InputError, match=r"has 2 label columns: digit \(int64\), site \(string\)"):
        opened(tmp_path / "other", {f"site={site}/0.parquet": {"digit": TRUTH} for site in "ab"})
    chosen = opened(
        tmp_path / "chosen",
        {f"site={site}/0.parquet": {"digit": TRUTH} for site in "ab"},
        Selection(label_column="site"),
    )
    assert labels_by_name(chosen) == ["a"] * ROWS + ["b"] * ROWS


def test_a_folder_without_a_label_is_no_training_data(tmp_path: Path) -> None:
    files: dict[str, dict[str, Any]] = {f"train/label={label}/0.parquet": {} for label in ("cat", "dog")}
    files["test/label=__HIVE_DEFAULT_PARTITION__/0.parquet"] = {}
    found = opened(tmp_path, files)
    assert (found.test_from, len(found.labels)) == (None, 2 * ROWS)
    assert list(found.notes) == [f"the test split is left out, since {ROWS} of its {ROWS} rows have no label"]
    path = write(tmp_path / "train" / "label=__HIVE_DEFAULT_PARTITION__" / "0.parquet", {"image": IMAGES})
    assert refused(tmp_path) == f"row 0 of Parquet file {path}: column 'label' is empty"
