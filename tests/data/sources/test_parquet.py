"""Parquet files as Hugging Face writes them: what is read, what is refused, and rows read at random."""

import io
import os
import pickle
import struct
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from adasearch.data.sources.registry import decode, open_source
from adasearch.errors import InputError
from tests.pictures import Calls, assert_equal, encoded, pictures, write_parquet, write_pictures

REAL_CIFAR10 = Path(__file__).parents[4] / "shared" / "data" / "cifar10"


# --- what is read -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["struct", "binary", "large_binary"])
def test_parquet_gives_back_every_pixel_and_label(tmp_path: Path, kind: str) -> None:
    images = pictures(7)
    found = decode(f"parquet:{write_pictures(tmp_path / 'train.parquet', images, kind=kind)}")
    np.testing.assert_array_equal(found.images, images)
    assert found.images.dtype == np.uint8
    assert found.labels.dtype == np.int64
    assert found.labels.tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert (found.classes, found.test_from, found.flip) == (3, None, True)


def test_parquet_folder_puts_test_files_last(tmp_path: Path) -> None:
    images = pictures(9)
    write_pictures(tmp_path / "test-00000-of-00001.parquet", images[6:])
    write_pictures(tmp_path / "train-00001-of-00002.parquet", images[3:6])
    write_pictures(tmp_path / "train-00000-of-00002.parquet", images[:3])
    (tmp_path / "README.md").write_text("not data")
    found = decode(f"parquet:{tmp_path}")
    np.testing.assert_array_equal(found.images, images)
    assert found.test_from == 6


def test_one_of_several_numbered_files_is_read_where_it_is_asked_for_by_itself(tmp_path: Path) -> None:
    path = write_pictures(tmp_path / "train-00001-of-00002.parquet", pictures(4))
    assert len(decode(f"parquet:{path}").labels) == len(decode(f"parquet:{path.as_uri()}").labels) == 4
    with pytest.raises(InputError, match=r"the train split is not whole: train-00001-of-00002\.parquet; "):
        decode(f"parquet:{tmp_path}")


def test_files_called_as_splits_that_are_no_parquet_are_said(tmp_path: Path) -> None:
    write_pictures(tmp_path / "train.parquet", pictures(4))
    for name in ("test.pq", "README.md", ".test.csv"):
        (tmp_path / name).write_text("not data")
    assert list(open_source(f"parquet:{tmp_path}").notes) == ["not read, since no .parquet: test.pq"]


def test_parquet_is_read_from_a_uri_too(tmp_path: Path) -> None:
    path = write_pictures(tmp_path / "train.parquet", pictures(4))
    assert_equal(decode(f"parquet:{path.as_uri()}"), decode(f"parquet:{path}"))


def test_parquet_row_groups_are_joined(tmp_path: Path) -> None:
    path = write_pictures(tmp_path / "train.parquet", pictures(7))
    whole = decode(f"parquet:{path}")
    pq.write_table(pq.read_table(path), path, row_group_size=2)
    assert_equal(decode(f"parquet:{path}"), whole)


def test_class_names_tell_the_classes_even_if_one_is_absent(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", [encoded(pictures(1)[0])], [1], names=["a", "b", "c", "d"])
    assert decode(f"parquet:{path}").classes == 4


def test_without_class_names_the_largest_label_tells_the_classes(tmp_path: Path) -> None:
    blobs = [encoded(image) for image in pictures(3)]
    assert decode(f"parquet:{write_parquet(tmp_path / 'a.parquet', blobs, [0, 5, 2])}").classes == 6


def test_fine_labels_are_preferred_to_other_integers(tmp_path: Path) -> None:
    blobs = [encoded(image) for image in pictures(2)]
    path = write_parquet(tmp_path / "a.parquet", blobs, [0, 1], label_column="fine_label")
    table = pq.read_table(path)
    pq.write_table(table.add_column(0, "coarse_label", pa.array([7, 7])), path)
    assert decode(f"parquet:{path}").labels.tolist() == [0, 1]


def test_grey_images_become_three_equal_channels(tmp_path: Path) -> None:
    grey = pictures(1)[0, 0]
    buffer = io.BytesIO()
    Image.fromarray(grey).save(buffer, "PNG")
    found = decode(f"parquet:{write_parquet(tmp_path / 'a.parquet', [buffer.getvalue()], [0])}")
    np.testing.assert_array_equal(found.images[0], np.stack([grey] * 3))


# --- fingerprint and cache ----------------------------------------------------------------


def test_fingerprint_changes_with_one_pixel_one_label_or_the_split_only(tmp_path: Path) -> None:
    images = pictures(6)
    touched = images.copy()
    touched[3, 1, 4, 5] ^= 1
    blobs = [encoded(image) for image in images]
    names = ["class 0", "class 1", "class 2"]

    def fingerprint(folder: str) -> str:
        return decode(f"parquet:{tmp_path / folder}").fingerprint

    write_pictures(tmp_path / "original" / "a.parquet", images)
    write_pictures(tmp_path / "copy" / "b.parquet", images)
    write_pictures(tmp_path / "pixel" / "a.parquet", touched)
    write_parquet(tmp_path / "label" / "a.parquet", blobs, [0, 1, 2, 0, 1, 1], names=names)
    write_pictures(tmp_path / "split" / "a.parquet", images[:3])
    write_pictures(tmp_path / "split" / "test.parquet", images[3:])
    assert fingerprint("original") == fingerprint("copy")
    assert len({fingerprint(name) for name in ("original", "pixel", "label", "split")}) == 4


def test_second_decode_reads_the_cache(tmp_path: Path, cache_dir: Path) -> None:
    write_pictures(tmp_path / "data" / "train.parquet", pictures(5))
    write_pictures(tmp_path / "data" / "test.parquet", pictures(2, seed=1))
    first, second = Calls(), Calls()
    decoded = decode(f"parquet:{tmp_path / 'data'}", first)
    cached = decode(f"parquet:{tmp_path / 'data'}", second)
    assert first.told[-1] == ("decoding images", 7, 7)
    assert all(what != "decoding images" for what, _, _ in second.told)
    assert cache_dir.exists()
    assert_equal(cached, decoded)


def test_progress_is_told_every_100_images(tmp_path: Path) -> None:
    calls = Calls()
    decode(f"parquet:{write_pictures(tmp_path / 'a.parquet', pictures(251, size=1))}", calls)
    told = [done for what, done, _ in calls.told if what == "decoding images"]
    assert told == [100, 200, 251]


def test_changed_file_is_decoded_again(tmp_path: Path, cache_dir: Path) -> None:
    path = write_pictures(tmp_path / "train.parquet", pictures(5))
    before = decode(f"parquet:{path}")
    write_pictures(path, pictures(5, seed=1))
    os.utime(path, ns=(0, 10**9))
    calls = Calls()
    after = decode(f"parquet:{path}", calls)
    assert ("decoding images", 5, 5) in calls.told
    assert after.fingerprint != before.fingerprint
    np.testing.assert_array_equal(after.images, pictures(5, seed=1))


def test_changing_decoded_images_does_not_change_the_cache(tmp_path: Path, cache_dir: Path) -> None:
    path = write_pictures(tmp_path / "train.parquet", pictures(5))
    decode(f"parquet:{path}")
    decode(f"parquet:{path}").images[:] = 0
    np.testing.assert_array_equal(decode(f"parquet:{path}").images, pictures(5))


# --- what is refused ----------------------------------------------------------------------


def refused(place: Path | str) -> str:
    """Return the message with which a Parquet source is refused."""
    with pytest.raises(InputError) as caught:
        decode(f"parquet:{place}")
    message = str(caught.value)
    assert str(place) in message
    assert "\n" not in message
    return message


def test_missing_path_is_refused(tmp_path: Path) -> None:
    assert "no Parquet file there" in refused(tmp_path / "nowhere.parquet")


def test_folder_without_parquet_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("not data")
    assert "no Parquet file there" in refused(tmp_path)


def test_folder_with_test_files_alone_is_refused(tmp_path: Path) -> None:
    write_pictures(tmp_path / "test.parquet", pictures(2))
    assert "no training data" in refused(tmp_path)


def test_unknown_file_system_is_refused() -> None:
    assert "cannot be reached" in refused("nosuch://bucket/train.parquet")


def test_truncated_file_is_refused(tmp_path: Path) -> None:
    path = write_pictures(tmp_path / "train.parquet", pictures(5))
    path.write_bytes(path.read_bytes()[:-20])
    assert "damaged" in refused(path)


def test_file_without_rows_is_refused(tmp_path: Path) -> None:
    assert "no rows" in refused(write_parquet(tmp_path / "train.parquet", [], []))


def test_file_without_an_image_column_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "train.parquet"
    pq.write_table(pa.table({"label": [0, 1], "text": ["a", "b"]}), path)
    assert "no image column" in refused(path)


def test_file_without_a_label_column_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "train.parquet"
    pq.write_table(pa.table({"img": pa.array([b"a"]), "score": [0.5]}), path)
    assert "no label column" in refused(path)


@pytest.mark.parametrize("kind", ["struct", "binary"])
def test_empty_label_is_refused(tmp_path: Path, kind: str) -> None:
    blobs = [encoded(image) for image in pictures(2)]
    path = write_parquet(tmp_path / "train.parquet", blobs, [0, None], kind=kind)
    assert "row 1 of Parquet file" in (message := refused(path))
    assert "column 'label' is empty" in message


def test_empty_image_is_refused(tmp_path: Path) -> None:
    blobs = [encoded(pictures(1)[0]), None]
    for kind in ("binary", "struct"):
        path = write_parquet(tmp_path / f"{kind}.parquet", blobs, [0, 1], kind=kind)
        assert "row 1 of" in (message := refused(path))
        assert "the image cannot be read" in message


@pytest.mark.parametrize(("label", "names"), [(3, "abc"), (-1, "abc"), (-1, None)])
def test_label_out_of_range_is_refused_with_file_row_value_and_range(
    tmp_path: Path, label: int, names: str | None
) -> None:
    blobs = [encoded(image) for image in pictures(4)]
    write_parquet(tmp_path / "a.parquet", blobs, [0, 1, 2, 0], names=names)
    second = write_parquet(tmp_path / "b.parquet", blobs, [0, 2, label, 0], names=names)
    with pytest.raises(InputError) as caught:
        decode(f"parquet:{tmp_path}")
    assert str(caught.value) == f"row 2 of Parquet file {second}: label {label} is outside 0 to 2"


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


PNG_START = b"\x89PNG\r\n\x1a\n"
GOOD = encoded(pictures(1, size=32)[0])
UNREADABLE = {
    "empty": b"",
    "no image": b"these are no pixels",
    "truncated": GOOD[: len(GOOD) // 2],
    "broken chunk": GOOD[:33] + b"\x00\x00\x00\x04\x00\x00\x00\x00" + GOOD[41:],
    "absurdly large": PNG_START
    + png_chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0))
    + GOOD[33:],
}


@pytest.mark.parametrize("blob", UNREADABLE.values(), ids=UNREADABLE)
def test_unreadable_image_is_refused_with_file_and_row(tmp_path: Path, blob: bytes) -> None:
    path = write_parquet(tmp_path / "train.parquet", [GOOD, GOOD, blob], [0, 1, 0])
    assert refused(path).startswith(f"row 2 of Parquet file {path}: the image cannot be read")


def test_images_of_different_size_are_refused_with_file_and_row(tmp_path: Path) -> None:
    blobs = [encoded(image) for image in (*pictures(2, size=8), *pictures(1, size=9))]
    message = refused(write_parquet(tmp_path / "train.parquet", blobs, [0, 1, 0]))
    assert "row 2 of" in message
    assert "9x9 pixels but 8x8 expected" in message
    assert "--image-size" in message


def test_images_that_are_not_square_are_refused(tmp_path: Path) -> None:
    blob = encoded(pictures(1, size=8)[0, :, :6, :])
    message = refused(write_parquet(tmp_path / "a.parquet", [blob], [0]))
    assert "8x6 pixels; images that are not square need --image-size N" in message


def test_refused_files_leave_nothing_in_the_cache(tmp_path: Path, cache_dir: Path) -> None:
    refused(write_parquet(tmp_path / "train.parquet", [GOOD, b"no image"], [0, 1]))
    assert not [path for path in cache_dir.rglob("*") if path.is_file() and path.suffix != ".lock"]


# --- rows at random, and images of any shape -------------------------------------------------------


def test_rows_are_read_in_any_order_from_any_row_group(tmp_path: Path) -> None:
    images = pictures(23)
    for name, rows in (("a", slice(0, 9)), ("b", slice(9, 9)), ("c", slice(9, 23))):
        path = write_pictures(tmp_path / f"{name}.parquet", images[rows])
        pq.write_table(pq.read_table(path), path, row_group_size=4)
    examples = open_source(f"parquet:{tmp_path}")
    elsewhere = pickle.loads(pickle.dumps(examples))
    for row in np.random.default_rng(0).permutation(23):
        np.testing.assert_array_equal(examples.pixels(row), images[row])
        np.testing.assert_array_equal(elsewhere.pixels(row), images[row])


def test_a_row_group_is_read_once_for_rows_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_pictures(tmp_path / "a.parquet", pictures(12))
    pq.write_table(pq.read_table(path), path, row_group_size=3)
    examples = open_source(f"parquet:{path}")
    read: list[int] = []
    real = pq.ParquetFile.read_row_group

    def counted(self: pq.ParquetFile, group: int, **options: object) -> pa.Table:
        read.append(group)
        return real(self, group, **options)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", counted)
    for row in range(12):
        examples.pixels(row)
    assert read == [1, 2, 3]  # the first was read for the size of its images


def test_images_of_any_shape_are_resized_and_cropped_to_the_size_asked_for(tmp_path: Path) -> None:
    wide, tall = pictures(2, size=12)[:, :, :6, :].copy(), pictures(1, size=12)[:, :, :, :6]
    wide[:, :, :, :3] = 255  # what the crop leaves out
    blobs = [encoded(wide[0]), encoded(wide[1]), encoded(tall[0])]
    path = write_parquet(tmp_path / "a.parquet", blobs, [0, 1, 0])
    kept = decode(f"parquet:{path}", image_size=6)
    assert kept.images.shape == (3, 3, 6, 6)
    np.testing.assert_array_equal(kept.images[0], wide[0, :, :, 3:9])
    np.testing.assert_array_equal(kept.images[2], tall[0, :, 3:9, :])
    halved = decode(f"parquet:{path}", image_size=3)
    assert halved.images.shape == (3, 3, 3, 3)
    assert halved.fingerprint != kept.fingerprint


def test_names_and_fingerprint_tell_versions_of_a_streamed_set(tmp_path: Path) -> None:
    images = pictures(6)
    write_pictures(tmp_path / "here" / "a.parquet", images)
    write_pictures(tmp_path / "there" / "a.parquet", images)
    write_pictures(tmp_path / "other" / "a.parquet", images[:5])
    os.utime(tmp_path / "there" / "a.parquet", ns=(0, 10**9))
    prints = [open_source(f"parquet:{tmp_path / name}").fingerprint for name in ("here", "there", "other")]
    assert prints[0] == prints[1] != prints[2]
    resized = open_source(f"parquet:{tmp_path / 'here'}", image_size=4)
    assert resized.fingerprint not in prints


def test_files_that_name_different_numbers_of_classes_are_refused(tmp_path: Path) -> None:
    write_pictures(tmp_path / "a.parquet", pictures(3), classes=3)
    second = write_pictures(tmp_path / "b.parquet", pictures(3), classes=4)
    with pytest.raises(InputError) as caught:
        decode(f"parquet:{tmp_path}")
    assert str(caught.value) == f"Parquet file {second} names 4 classes where the others name 3"


@pytest.mark.skipif(
    not REAL_CIFAR10.is_dir(), reason="the real CIFAR-10 is not beside the repository (it is never in it)"
)
def test_real_cifar10_decodes_to_its_known_numbers(cache_dir: Path) -> None:
    """Takes a quarter of a minute: 60,000 images are decoded."""
    found = decode(f"parquet:{REAL_CIFAR10}")
    assert found.images.shape == (60_000, 3, 32, 32)
    assert (found.classes, found.test_from) == (10, 50_000)
    assert np.bincount(found.labels[:50_000]).tolist() == [5000] * 10
    assert np.bincount(found.labels[50_000:]).tolist() == [1000] * 10
    means = found.images[:50_000].mean(axis=(0, 2, 3)) / 255
    np.testing.assert_allclose(means, [0.4914, 0.4822, 0.4465], atol=1e-3)
    calls = Calls()
    assert decode(f"parquet:{REAL_CIFAR10}", calls).fingerprint == found.fingerprint
    assert all(what != "decoding images" for what, _, _ in calls.told)
