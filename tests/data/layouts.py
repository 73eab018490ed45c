"""Layouts that other people's sets have, and what adasearch takes them for; ``python -m tests.data.layouts``.

A folder is written as its folders with the images in each, a Parquet set as its files with the rows in each.
"""

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from adasearch.data.load import card_of
from adasearch.data.spec import NO_SELECTION, DataSpec, Selection
from adasearch.errors import InputError
from tests.pictures import encoded

CLASSES = ("cat", "dog")


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """A set: its kind, how many images lie where, and what is selected of it."""

    kind: str
    files: Mapping[str, int]
    selection: Selection = NO_SELECTION

    def __str__(self) -> str:
        chosen = [
            f"--{name.replace('_', '-')} {value}"
            for name in Selection.__dataclass_fields__
            if (value := getattr(self.selection, name)) is not None
        ]
        files = ", ".join(f"{name} {count}" for name, count in self.files.items())
        return " ".join([f"{self.kind}: {files}", *chosen])

    def write(self, root: Path) -> str:
        """Write the set below a folder; return the source."""
        for name, count in self.files.items():
            write_rows(root / name, count) if self.kind == "parquet" else write_images(root / name, count)
        return f"{self.kind}:{root}"

    def said(self) -> str:
        """Return what adasearch says of the set: what it understood, or why it refuses."""
        with tempfile.TemporaryDirectory() as folder:
            source = self.write(Path(folder) / "set")
            try:
                card = card_of(DataSpec(source=source, selection=self.selection))
            except InputError as error:
                return f"refused: {error}".replace(f"{folder}/set", "SET")
            return "\n".join(card.understood).replace(f"{folder}/set", "SET")


def write_images(path: Path, count: int) -> None:
    """Write so many pictures into a folder, or one file that is none by its own name."""
    if path.suffix:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"no picture")
        return
    path.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        Image.fromarray(np.full((4, 4, 3), number, np.uint8)).save(path / f"{number}.PNG")


def write_rows(path: Path, count: int, columns: Mapping[str, Sequence[object]] | None = None) -> None:
    """Write a Parquet file as Hugging Face does; ``columns`` take the place of the labels."""
    images = [{"bytes": encoded(np.full((3, 4, 4), row, np.uint8)), "path": None} for row in range(count)]
    table = pa.table({"image": images, **(columns or {"label": [row % 2 for row in range(count)]})})
    features = {"image": {"_type": "Image"}, "label": {"names": list(CLASSES), "_type": "ClassLabel"}}
    if columns is None:
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)


def folders(selection: Selection = NO_SELECTION, **counts: int) -> Layout:
    """Return a set of folders; ``train=20`` has so many images in each class of ``train``."""
    files = {f"{split}/{name}": count for split, count in counts.items() for name in CLASSES}
    return Layout(kind="folder", files=files, selection=selection)


def parquet(files: Mapping[str, int], selection: Selection = NO_SELECTION) -> Layout:
    """Return a set of Parquet files."""
    return Layout(kind="parquet", files=files, selection=selection)


def plain(files: Mapping[str, int], selection: Selection = NO_SELECTION) -> Layout:
    """Return a set of folders, each with so many images right in it."""
    return Layout(kind="folder", files=files, selection=selection)


LAYOUTS = [
    # Parquet: splits
    parquet(
        {
            "train-00000-of-00002.parquet": 20,
            "train-00001-of-00002.parquet": 20,
            "test-00000-of-00001.parquet": 10,
        }
    ),
    parquet({"default/train/0000.parquet": 20, "default/test/0000.parquet": 10}),
    parquet(
        {"data/train-00000-of-00001-a09b74b3ef9c3b56.parquet": 20, "data/test-00000-of-00001-0a.parquet": 10}
    ),
    parquet({"plain_text/train-00000-of-00001.parquet": 20, "plain_text/test-00000-of-00001.parquet": 10}),
    parquet({"my_set.train.parquet": 20, "my_set.TEST.parquet": 10}),
    parquet({"train/0.parquet": 20, "testing/0.parquet": 10}),
    parquet({"Training.parquet": 20, "Evaluation.parquet": 10}),
    parquet({"train.parquet": 20, "dev.parquet": 8, "test.parquet": 10}),
    parquet({"train.parquet": 20, "validation.parquet": 8}),
    parquet({"trainset.parquet": 20, "testset.parquet": 10}),
    parquet({"testudo-train-00000.parquet": 20, "testudo-test-00000.parquet": 10}),
    parquet({"0000.parquet": 20, "0001.parquet": 20}),
    parquet({"images.parquet": 20, "test.parquet": 10}),
    parquet({"test.parquet": 10}),
    parquet({"test.parquet": 20}, Selection(split="test")),
    parquet({"train.parquet": 20, "extra.parquet": 30, "test.parquet": 10}),
    parquet({"train.parquet": 20, "extra.parquet": 30, "test.parquet": 10}, Selection(split="train")),
    parquet({"train.parquet": 20, "extra.parquet": 30, "test.parquet": 10}, Selection(split="extra")),
    parquet(
        {
            "train.parquet": 20,
            ".cache/old-train.parquet": 20,
            "__MACOSX/._train.parquet": 20,
            "_tmp/train.parquet": 5,
        }
    ),
    # Parquet: numbered files
    parquet({"train-00000-of-00003.parquet": 20, "train-00002-of-00003.parquet": 20}),
    parquet({"train-00000-of-00001.parquet": 20, "test-00001-of-00002.parquet": 10}),
    parquet({"train-00000-of-00001.parquet": 20, "train-00001-of-00002.parquet": 20}),
    parquet({"data/train-00000-of-00001-a09b.parquet": 20, "data/train-00000-of-00001-77be.parquet": 20}),
    parquet({"train-1-of-2.parquet": 20, "train-2-of-2.parquet": 20}),
    parquet({"year=1/train-0-of-1.parquet": 20, "year=2/train-0-of-1.parquet": 20}),
    parquet(
        {"train-0-of-1.parquet": 20, "extra-0-of-1.parquet": 30, "test-0-of-1.parquet": 10},
        Selection(split="extra"),
    ),
    # Parquet: configurations
    parquet({"full/train/0000.parquet": 40, "mini/train/0000.parquet": 20}),
    parquet({"full/train/0000.parquet": 40, "mini/train/0000.parquet": 20}, Selection(config="mini")),
    parquet({"train_clean.parquet": 20, "train_noisy.parquet": 20, "test.parquet": 10}),
    parquet(
        {"train_clean.parquet": 20, "train_noisy.parquet": 30, "test.parquet": 10}, Selection(config="noisy")
    ),
    parquet({"dev/train-0.parquet": 20, "dev/test-0.parquet": 10}),
    parquet({"dev/train-0.parquet": 20, "dev/test-0.parquet": 10}, Selection(config="dev")),
    parquet({"train_v1.parquet": 20, "train_v2.parquet": 20}),
    parquet({"train-3f9ac1.parquet": 20, "train-77be0d.parquet": 20, "test-aabbcc.parquet": 10}),
    parquet({"mytrain.parquet": 20, "mytest.parquet": 10}),
    parquet({"train_val.parquet": 20, "test.parquet": 10}),
    parquet({"train/clean/0.parquet": 20, "train/noisy/0.parquet": 20}),
    # folders: splits
    folders(train=20, test=10),
    folders(Train=20, Valid=8, Test=10),
    folders(train=20, val=8),
    folders(training=20, dev=8, eval=10),
    folders(train_set=20, test_set=10),
    folders(seg_train=20, seg_test=10),
    plain(
        {
            "seg_train/seg_train/cat": 20,
            "seg_train/seg_train/dog": 20,
            "seg_test/seg_test/cat": 9,
            "seg_test/seg_test/dog": 9,
            "seg_pred/seg_pred": 7,
        }
    ),
    plain(
        {
            "set/train/cat": 20,
            "set/train/dog": 20,
            "set/test/cat": 9,
            "set/test/dog": 9,
            "__MACOSX/set/train/cat": 9,
            "set/.DS_Store.png": 1,
            "set/train/.hidden": 4,
        }
    ),
    plain({"images/cat": 20, "images/dog": 20}),
    plain({f"c{label}": 20 for label in range(10)}),
    plain({"train/valid": 20, "train/invalid": 20}),
    plain({"cat/2019": 10, "cat/2020": 10, "dog/2019": 20}),
    plain({"train/cat": 20, "train/dog": 20, "val/cat": 8, "val/dog": 8, "test": 9}),
    plain({"train/cat": 20, "train/dog": 20, "test/unknown": 9}),
    plain({"train/cat": 20, "train/dog": 20, "train/dog/labels.csv": 1, "docs": 0, "unlabeled": 30}),
    plain({"a/b/train/cat": 20, "a/b/train/dog": 20, "a/b/test/cat": 9, "a/b/test/dog": 9}),
    plain({"train/test": 20, "train/control": 20, "test/test": 9, "test/control": 9}),
    plain({"train/n01/images": 20, "train/n02/images": 20, "val/images": 8}),
    # folders: what is not clear
    plain({"mytrain/cat": 20, "mytrain/dog": 20, "mytest/cat": 9, "mytest/dog": 9}),
    plain({"trainA": 20, "trainB": 20, "testA": 9, "testB": 9}),
    plain({"cat": 20, "dog": 1}),
    folders(train=20, val=8, dev=8),
    plain({"bus": 20, "train": 20}),
    plain({"bullet_train": 20, "car": 20}),
    plain({"cat": 20, "dog": 20, "test": 9}),
    plain({"train_images": 20, "test_images": 9}),
    plain({"train": 20, "test": 9}),
    folders(train=20, extra=30, test=10),
    folders(Selection(split="extra"), train=20, extra=30, test=10),
    folders(train2014=20, train2017=30),
    folders(test=20, val=20),
    folders(images=20, test=10),
    plain({"cat/train": 20, "cat/test": 9, "dog/train": 20, "dog/test": 9}),
    plain({"a/train/cat": 20, "a/train/dog": 20, "b/train/cat": 20, "b/train/dog": 20}),
    plain(
        {
            "train/cat": 20,
            "train/dog": 20,
            "train/val/cat": 8,
            "train/val/dog": 8,
            "test/cat": 9,
            "test/dog": 9,
        }
    ),
    plain({"set/daisy": 20, "set/rose": 20, "set/set/daisy": 20, "set/set/rose": 20}),
    plain({"cat/cat": 20, "dog/dog": 20, "dog/cat": 0}),
    plain({"train/cat": 20, "train/dog": 20, "test/cat": 9, "test/cow": 9}),
    plain({"train/cat": 20, "train/dog": 20, "train/cow": 0}),
    plain({"train/cat": 20, "test/cat": 9}),
]


def main() -> None:
    """Print every layout and what is said of it."""
    for layout in LAYOUTS:
        print(layout)  # noqa: T201
        for line in layout.said().splitlines():
            print(f"    {line}")  # noqa: T201


if __name__ == "__main__":
    main()
