"""Trees of folders whose classes are not what their shape tells: domains, folds, masks, kinds of classes."""

import os
from pathlib import Path

import pytest

from adasearch.data.sources.registry import open_source
from adasearch.errors import InputError
from tests.data.layouts import plain

CAT_DOG = ("cat", "dog")
DOMAINS = (
    "hold folders of the same names, cat, dog, so nobody can tell which of both are the classes; give one of"
)
MASKS = "is called as what tells of images, not as a class of them; "


def tree(*tops: str, classes: tuple[str, ...] = CAT_DOG, count: int = 9) -> dict[str, int]:
    """Return folders with the same classes in each."""
    return {f"{top}/{name}": count for top in tops for name in classes}


REFUSED: dict[str, tuple[dict[str, int], str]] = {
    "domains": (tree("photo", "sketch"), f"photo, sketch {DOMAINS} them, as folder:SET/photo"),
    "folds": (tree("fold1", "fold2", "fold3"), f"fold1, fold2, fold3 {DOMAINS} them, as folder:SET/fold1"),
    "domains, a folder around the classes": (
        tree("amazon/images", "dslr/images"),
        f"amazon, dslr {DOMAINS} them, as folder:SET/amazon",
    ),
    "domains of digits": (
        tree("mnist", "svhn", classes=tuple("0123456789"), count=2),
        "mnist, svhn hold folders of the same names, 0, 1, 2,",
    ),
    "domains of which none has all classes": (
        {**tree("a"), **tree("b", classes=("cat", "cow")), **tree("c", classes=("dog", "cow"))},
        "a, b, c hold folders of the same names, cat, cow, dog",
    ),
    "domains in years": (tree("2019", "2020"), f"2019, 2020 {DOMAINS} them, as folder:SET/2019"),
    "classes with domains": (tree("cat", "dog", classes=("photo", "sketch")), "cat, dog hold folders"),
    "domains below a split": (
        tree("train/photo", "train/sketch", "test/photo", "test/sketch"),
        f"photo, sketch {DOMAINS} them, as folder:SET/train/photo",
    ),
    "splits below domains": (
        tree("photo/train", "photo/test", "sketch/train", "sketch/test"),
        "class folder photo holds a folder called as a split: SET/photo/test; give folder:SET/photo",
    ),
    "images and masks": ({"images": 9, "masks": 9}, f"SET/masks {MASKS}move masks out of SET"),
    "images and masks, each with classes": (
        tree("images", "masks"),
        f"SET/masks {MASKS}give folder:SET/images",
    ),
    "images and labels": ({"images": 9, "labels": 9}, f"SET/labels {MASKS}move labels out of SET"),
    "classes and annotations": ({"cat": 9, "dog": 9, "annotations": 9}, f"SET/annotations {MASKS}move"),
    "images with classes beside trimaps": (
        {**tree("images"), "annotations/trimaps": 9},
        f"SET/annotations {MASKS}give folder:SET/images",
    ),
    "masks within classes": (tree("cat", "dog", classes=("images", "masks")), f"SET/cat/masks {MASKS}move"),
    "masks beside files of a class": (
        {"cat": 9, "dog": 9, "dog/mask": 9},
        f"SET/dog/mask {MASKS}move mask out of SET/dog",
    ),
    "as Pascal VOC": (
        {"JPEGImages": 9, "SegmentationClass": 9, "SegmentationObject": 9},
        f"SET/SegmentationClass {MASKS}move SegmentationClass, SegmentationObject out of SET",
    ),
    "masks in a split": ({"train/images": 9, "train/masks": 9, "test/images": 5}, f"SET/train/masks {MASKS}"),
    "ground truth": ({**tree("images"), "ground_truth/cat": 9}, f"SET/ground_truth {MASKS}"),
}


@pytest.mark.parametrize(("files", "says"), REFUSED.values(), ids=REFUSED)
def test_domains_folds_and_masks_are_no_classes(files: dict[str, int], says: str) -> None:
    said = plain(files).said()
    assert said.startswith("refused: dataset folder:SET: ")
    assert says in said
    assert "\n" not in said


BELOW = "images in folders below the classes"
UNDERSTOOD: dict[str, tuple[dict[str, int], str]] = {
    "worn masks": ({"mask": 20, "no_mask": 20}, "2 classes (mask, no_mask);"),
    "a car's name": ({"Ford GT": 20, "Ford Focus": 20}, "2 classes (Ford Focus, Ford GT);"),
    "raw ones": ({"raw": 20, "ripe": 20}, "2 classes (raw, ripe);"),
    "one domain": (tree("photo"), "2 classes (cat, dog);"),
    "the domain that was given": (tree("set/photo"), "2 classes (cat, dog);"),
    "kinds of classes": (
        {"animal/cat": 20, "animal/dog": 20, "plant/oak": 20, "plant/elm": 20},
        f"{BELOW} (4, as animal/cat) are of the class above",
    ),
    "the same years": (
        {"cat/2019": 20, "cat/2020": 20, "dog/2019": 20, "dog/2020": 20},
        f"{BELOW} (4, as cat/2019) are of the class above",
    ),
    "training in one domain, testing in another": (
        tree("train/photo", "test/sketch"),
        "train is in SET/train/photo; test is in SET/test/sketch",
    ),
    "a table beside the classes": (
        {"cat": 20, "dog": 20, "metadata.csv": 1},
        "not read: metadata.csv; folders tell classes and splits",
    ),
    "lists of the splits, as Food-101 has them": (
        {"images/cat": 20, "images/dog": 20, "meta/train.txt": 1, "meta/test.txt": 1, "meta/classes.txt": 1},
        "not read: meta/test.txt, meta/train.txt; folders tell classes and splits",
    ),
}


@pytest.mark.parametrize(("files", "says"), UNDERSTOOD.values(), ids=UNDERSTOOD)
def test_what_only_looks_so_is_understood_and_said(files: dict[str, int], says: str) -> None:
    said = plain(files).said()
    assert " training, " in said
    assert says in said


@pytest.mark.parametrize(
    "name", ["validation_set", "test_images", "TestSet", "valid1", "Evaluation", "train_set"]
)
def test_a_folder_called_as_a_split_beside_classes_is_none(name: str) -> None:
    said = plain({"good": 20, "bad": 20, name: 9}).said()
    assert said.startswith(f"refused: dataset folder:SET: {name} may be a split or a class")


@pytest.mark.parametrize(
    "name", ["test tube", "dev board", "train station", "evaluation kit", "contest", "train"]
)
def test_a_class_with_such_a_word_among_others_is_one(name: str) -> None:
    assert "2 classes" in plain({"good": 20, name: 20}).said()


@pytest.mark.parametrize(
    "name", ["$RECYCLE.BIN", "lost+found", "System Volume Information", "__MACOSX", ".cache"]
)
def test_what_a_system_leaves_is_no_class(tmp_path: Path, name: str) -> None:
    plain({"cat": 9, "dog": 9}).write(tmp_path)
    os.rename(plain({"x": 3}).write(tmp_path / "more").removeprefix("folder:") + "/x", tmp_path / name)
    os.rmdir(tmp_path / "more")
    (tmp_path / "cat" / "THUMBS.DB").write_bytes(b"no image")
    found = open_source(f"folder:{tmp_path}")
    assert (found.class_names, list(found.notes)) == (["cat", "dog"], [])


def test_classes_with_dots_in_their_names_are_classes(tmp_path: Path) -> None:
    plain({"a": 9, "b": 9}).write(tmp_path)
    for old, new in (("a", "001.ak47"), ("b", "002.png")):
        os.rename(tmp_path / old, tmp_path / new)
    assert open_source(f"folder:{tmp_path}").class_names == ["001.ak47", "002.png"]


def test_a_folder_that_is_there_twice_by_a_link_is_refused(tmp_path: Path) -> None:
    plain({"cat": 9, "dog": 9}).write(tmp_path)
    (tmp_path / "kitty").symlink_to(tmp_path / "cat")
    with pytest.raises(InputError) as caught:
        open_source(f"folder:{tmp_path}")
    assert str(caught.value) == (
        f"dataset folder:{tmp_path}: {tmp_path / 'cat'} and {tmp_path / 'kitty'} are one folder, by a link"
    )


def test_a_set_that_is_a_link_is_read(tmp_path: Path) -> None:
    plain({"cat": 9, "dog": 9}).write(tmp_path / "set")
    (tmp_path / "link").symlink_to(tmp_path / "set")
    assert len(open_source(f"folder:{tmp_path / 'link'}").labels) == 18


def test_an_empty_image_file_is_refused_before_anything_is_decoded(tmp_path: Path) -> None:
    plain({"cat": 9, "dog": 9}).write(tmp_path)
    (tmp_path / "dog" / "9.png").touch()
    with pytest.raises(InputError) as caught:
        open_source(f"folder:{tmp_path}", image_size=4)
    assert str(caught.value) == f"image file {tmp_path / 'dog' / '9.png'} is empty"


def test_labels_in_a_table_are_said_to_be_unread() -> None:
    assert plain({"images": 9, "labels.csv": 1}).said() == (
        "refused: dataset folder:SET: expected a folder for each class in SET but found 'images' alone; "
        "labels in files (labels.csv) are not read"
    )
