"""Folders of image files: layouts, what is refused, and what tells two folders apart."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from adasearch.data.sources.registry import decode, open_source
from adasearch.data.spec import Selection
from adasearch.errors import InputError
from tests.pictures import Calls, in_folder_order, pictures, write_folder, write_image


def refused(place: Path, image_size: int | None = None) -> str:
    """Return the message with which a folder is refused."""
    with pytest.raises(InputError) as caught:
        decode(f"folder:{place}", image_size=image_size)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_one_tree_of_classes_is_read_class_after_class(tmp_path: Path) -> None:
    images = pictures(8)
    labels = write_folder(tmp_path, images)
    (tmp_path / "README.txt").write_text("no class")
    (tmp_path / "class 0" / "notes.txt").write_text("no image")
    found = decode(f"folder:{tmp_path}")
    np.testing.assert_array_equal(found.images, in_folder_order(images))
    assert found.labels.tolist() == labels
    assert (found.classes, found.test_from, found.flip) == (3, None, True)


@pytest.mark.parametrize("test", ["val", "test"])
def test_train_and_val_or_test_are_splits(tmp_path: Path, test: str) -> None:
    images = pictures(10)
    labels = write_folder(tmp_path / "train", images[:6])
    more = write_folder(tmp_path / test, images[6:])
    found = decode(f"folder:{tmp_path}")
    expected = [in_folder_order(images[:6]), in_folder_order(images[6:])]
    np.testing.assert_array_equal(found.images, np.concatenate(expected))
    assert found.labels.tolist() == labels + more
    assert found.test_from == 6


def test_imagenets_test_folder_without_labels_is_not_used(tmp_path: Path) -> None:
    write_folder(tmp_path / "train", pictures(6))
    write_folder(tmp_path / "val", pictures(3))
    write_image(tmp_path / "test" / "unlabelled.png", pictures(1)[0])
    assert decode(f"folder:{tmp_path}").test_from == 6
    assert len(decode(f"folder:{tmp_path}").labels) == 9


def test_where_both_have_classes_each_is_its_own_split(tmp_path: Path) -> None:
    write_folder(tmp_path / "train", pictures(6))
    write_folder(tmp_path / "val", pictures(3))
    write_folder(tmp_path / "test", pictures(4))
    examples = open_source(f"folder:{tmp_path}")
    assert (examples.val_from, examples.test_from, len(examples.labels)) == (6, 9, 13)


def test_a_class_called_train_is_a_class(tmp_path: Path) -> None:
    for name in ("bus", "train"):
        write_image(tmp_path / name / "1.png", pictures(1)[0])
    assert decode(f"folder:{tmp_path}").classes == 2


def test_a_class_that_the_test_split_lacks_is_no_error(tmp_path: Path) -> None:
    write_folder(tmp_path / "train", pictures(6))
    write_folder(tmp_path / "val", pictures(2))
    assert decode(f"folder:{tmp_path}").labels.tolist() == [0, 0, 1, 1, 2, 2, 0, 1]


def test_images_of_any_shape_need_an_image_size(tmp_path: Path) -> None:
    for row, (height, width) in enumerate([(9, 9), (6, 12), (20, 7)]):
        write_image(tmp_path / f"{row % 2}" / f"{row}.png", pictures(1, size=20)[0, :, :height, :width])
    assert "image file" in (message := refused(tmp_path))
    assert "7x20 pixels but 9x9 expected; images of several sizes need --image-size N" in message
    assert decode(f"folder:{tmp_path}", image_size=5).images.shape == (3, 3, 5, 5)


def test_listing_is_shown(tmp_path: Path) -> None:
    write_folder(tmp_path, pictures(6))
    calls = Calls()
    open_source(f"folder:{tmp_path}", progress=calls)
    assert (f"listing {tmp_path.name}", 3, 3) in calls.told
    assert ("looking at image files", 6, 6) in calls.told


def test_fingerprint_of_files_depends_on_names_sizes_labels_and_the_image_size_only(tmp_path: Path) -> None:
    images = pictures(6)
    for name in ("here", "there", "label", "content", "name"):
        write_folder(tmp_path / name, images)
    os.utime(tmp_path / "there" / "class 0" / "0000.png", ns=(0, 10**9))
    (tmp_path / "label" / "class 0" / "0000.png").rename(tmp_path / "label" / "class 1" / "0000.png")
    (tmp_path / "name" / "class 0" / "0000.png").rename(tmp_path / "name" / "class 0" / "0001.png")
    write_image(tmp_path / "content" / "class 0" / "0000.png", images[0] * 0)  # takes fewer bytes

    def fingerprint(name: str, image_size: int | None = None) -> str:
        return open_source(f"folder:{tmp_path / name}", image_size=image_size).fingerprint

    assert fingerprint("here") == fingerprint("there")
    others = {fingerprint(name) for name in ("here", "label", "content", "name")}
    assert len(others | {fingerprint("here", 5), fingerprint("here", 6)}) == 6


def test_missing_folder_is_refused(tmp_path: Path) -> None:
    assert refused(tmp_path / "nowhere") == f"dataset folder:{tmp_path / 'nowhere'}: no such folder"


def test_folder_without_classes_is_refused(tmp_path: Path) -> None:
    write_image(tmp_path / "1.png", pictures(1)[0])
    assert "expected a folder for each class" in refused(tmp_path)


def test_class_without_images_is_refused_by_name(tmp_path: Path) -> None:
    write_folder(tmp_path, pictures(6))
    (tmp_path / "empty").mkdir()
    assert refused(tmp_path).startswith(f"class folder {tmp_path / 'empty'} has no image file (.jpg")


def test_class_of_the_test_split_alone_is_refused_by_name(tmp_path: Path) -> None:
    write_folder(tmp_path / "train", pictures(6))
    write_folder(tmp_path / "val", pictures(8), classes=4)
    message = refused(tmp_path)
    assert f"{tmp_path / 'val'} has a class 'class 3' that is not among the 3 classes" in message


def test_unreadable_file_is_refused_by_name(tmp_path: Path) -> None:
    write_folder(tmp_path, pictures(6))
    broken = tmp_path / "class 1" / "0004.png"
    broken.write_bytes(broken.read_bytes()[:60])
    assert refused(tmp_path).startswith(f"image file {broken}: the image cannot be read")


def test_links_and_names_that_cannot_be_read_are_refused_in_a_line(tmp_path: Path) -> None:
    write_folder(tmp_path / "links", pictures(6))
    (tmp_path / "links" / "class 0" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    assert "cannot be read: FileNotFoundError" in refused(tmp_path / "links")
    write_folder(tmp_path / "names", pictures(6))
    write_image(Path(os.fsdecode(os.fsencode(tmp_path / "names" / "class 0") + b"/\xff.png")), pictures(1)[0])
    assert "cannot be read: UnicodeEncodeError" in refused(tmp_path / "names")
    write_folder(tmp_path / "round", pictures(6))
    (tmp_path / "round" / "class 0" / "up").symlink_to(tmp_path / "round")
    assert "is a link to a folder around it" in refused(tmp_path / "round")


def test_of_several_test_folders_the_chosen_split_leaves_one(tmp_path: Path) -> None:
    for name in ("train", "test", "test2"):
        write_folder(tmp_path / name, pictures(6))
    found = open_source(f"folder:{tmp_path}", selection=Selection(split="train"))
    assert (found.test_from, len(found.labels)) == (6, 12)
    (tmp_path / "test").rename(tmp_path / "test1")
    with pytest.raises(InputError, match="test1, test2 are folders of the same split"):
        open_source(f"folder:{tmp_path}", selection=Selection(split="train"))


@pytest.mark.parametrize("kind", ["gif", "png", "webp", "tif"])
def test_pictures_with_several_frames_are_said_to_be_their_first(tmp_path: Path, kind: str) -> None:
    frames = [Image.fromarray(np.full((8, 8, 3), value, np.uint8)) for value in (10, 200)]
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        frames[0].save(tmp_path / name / f"1.{kind}", save_all=True, append_images=frames[1:])
    found = open_source(f"folder:{tmp_path}")
    one = tmp_path / "a" / f"1.{kind}"
    assert list(found.notes) == [
        f"of files with several frames, as {one} with 2, the first one is trained on"
    ]
    assert abs(int(found.pixels(0)[0, 0, 0]) - 10) <= 2
