"""Decoding: Parquet as Hugging Face writes it, torchvision's CIFAR folders, digits, and the cache."""

import hashlib
import io
import json
import os
import pickle
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torchvision
from PIL import Image
from sklearn.datasets import load_digits

from adasearch.errors import InputError
from adasearch.sources import Decoded, decode

REAL_CIFAR10 = Path(__file__).parents[2] / "shared" / "data" / "cifar10"


def pictures(count: int, size: int = 8, seed: int = 0) -> np.ndarray:
    """Return random images of shape (count, 3, size, size)."""
    return np.random.default_rng(seed).integers(0, 256, (count, 3, size, size), dtype=np.uint8)


def encoded(image: np.ndarray) -> bytes:
    """Return an image of shape (channels, height, width) as PNG."""
    buffer = io.BytesIO()
    Image.fromarray(image.transpose(1, 2, 0)).save(buffer, "PNG")
    return buffer.getvalue()


def write_parquet(
    path: Path,
    images: Sequence[bytes | None],
    labels: Sequence[int | None],
    *,
    names: Sequence[str] | None = None,
    kind: str = "struct",
    image_column: str = "img",
    label_column: str = "label",
) -> Path:
    """Write a file in Hugging Face's layout; ``kind`` may be a plain binary column instead."""
    if kind == "struct":
        image_type = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        rows = [{"bytes": blob, "path": None} for blob in images]
        column = pa.array(rows, image_type)
    else:
        column = pa.array(images, {"binary": pa.binary(), "large_binary": pa.large_binary()}[kind])
    table = pa.table({image_column: column, label_column: pa.array(labels, pa.int64())})
    if names is not None:
        features = {label_column: {"names": list(names), "_type": "ClassLabel"}}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)
    return path


def write_pictures(path: Path, images: np.ndarray, *, classes: int = 3, kind: str = "struct") -> Path:
    """Write images whose labels go round the classes."""
    blobs = [encoded(image) for image in images]
    labels = [row % classes for row in range(len(images))]
    return write_parquet(path, blobs, labels, names=[f"class {n}" for n in range(classes)], kind=kind)


class Calls:
    """Progress that remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int, int]] = []

    def __call__(self, what: str, done: int, total: int) -> None:
        self.told.append((what, done, total))


def assert_equal(one: Decoded, other: Decoded) -> None:
    """Check that two sources hold the same examples."""
    np.testing.assert_array_equal(one.images, other.images)
    np.testing.assert_array_equal(one.labels, other.labels)
    for name in ("classes", "test_from", "flip", "fingerprint"):
        assert getattr(one, name) == getattr(other, name), name


# --- Parquet: what is read -------------------------------------------------------------------------


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


# --- Parquet: fingerprint and cache ----------------------------------------------------------------


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
    assert first.told == [("decoding images", 7, 7)]
    assert second.told == []
    assert cache_dir.exists()
    assert_equal(cached, decoded)


def test_progress_is_told_every_500_images(tmp_path: Path) -> None:
    calls = Calls()
    decode(f"parquet:{write_pictures(tmp_path / 'a.parquet', pictures(1201, size=1))}", calls)
    assert [done for _, done, _ in calls.told] == [500, 1000, 1201]


def test_changed_file_is_decoded_again(tmp_path: Path, cache_dir: Path) -> None:
    path = write_pictures(tmp_path / "train.parquet", pictures(5))
    before = decode(f"parquet:{path}")
    write_pictures(path, pictures(5, seed=1))
    os.utime(path, ns=(0, 10**9))
    calls = Calls()
    after = decode(f"parquet:{path}", calls)
    assert calls.told
    assert after.fingerprint != before.fingerprint
    np.testing.assert_array_equal(after.images, pictures(5, seed=1))


def test_changing_decoded_images_does_not_change_the_cache(tmp_path: Path, cache_dir: Path) -> None:
    path = write_pictures(tmp_path / "train.parquet", pictures(5))
    decode(f"parquet:{path}")
    decode(f"parquet:{path}").images[:] = 0
    np.testing.assert_array_equal(decode(f"parquet:{path}").images, pictures(5))


def test_two_processes_that_decode_at_once_leave_one_good_copy(tmp_path: Path, cache_dir: Path) -> None:
    path = write_pictures(tmp_path / "train.parquet", pictures(5))

    def other_process_is_first(what: str, done: int, total: int) -> None:
        decode(f"parquet:{path}")

    decoded = decode(f"parquet:{path}", other_process_is_first)
    assert_equal(decode(f"parquet:{path}"), decoded)
    assert len(list((cache_dir / "adasearch" / "decoded").iterdir())) == 1


# --- Parquet: what is refused ----------------------------------------------------------------------


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
    assert "column 'label' has empty values" in refused(path)


def test_empty_image_is_refused(tmp_path: Path) -> None:
    blobs = [encoded(pictures(1)[0]), None]
    binary = write_parquet(tmp_path / "binary.parquet", blobs, [0, 1], kind="binary")
    assert "column 'img' has empty values" in refused(binary)
    within_struct = write_parquet(tmp_path / "struct.parquet", blobs, [0, 1])
    assert "image in row 1 cannot be read" in refused(within_struct)


@pytest.mark.parametrize(("label", "names"), [(3, "abc"), (-1, "abc"), (-1, None)])
def test_label_out_of_range_is_refused_with_file_row_value_and_range(
    tmp_path: Path, label: int, names: str | None
) -> None:
    blobs = [encoded(image) for image in pictures(4)]
    write_parquet(tmp_path / "a.parquet", blobs, [0, 1, 2, 0], names=names)
    second = write_parquet(tmp_path / "b.parquet", blobs, [0, 2, label, 0], names=names)
    with pytest.raises(InputError) as caught:
        decode(f"parquet:{tmp_path}")
    assert str(caught.value) == f"Parquet file {second}: label {label} in row 2 is outside 0 to 2"


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
    assert "the image in row 2 cannot be read" in refused(path)


def test_images_of_different_size_are_refused_with_file_and_row(tmp_path: Path) -> None:
    blobs = [encoded(image) for image in (*pictures(2, size=8), *pictures(1, size=9))]
    message = refused(write_parquet(tmp_path / "train.parquet", blobs, [0, 1, 0]))
    assert "row 2 has (9, 9) pixels after (8, 8)" in message


def test_images_that_are_not_square_are_refused(tmp_path: Path) -> None:
    blob = encoded(pictures(1, size=8)[0, :, :6, :])
    assert "square but row 0 has (6, 8)" in refused(write_parquet(tmp_path / "a.parquet", [blob], [0]))


def test_refused_files_leave_nothing_in_the_cache(tmp_path: Path, cache_dir: Path) -> None:
    refused(write_parquet(tmp_path / "train.parquet", [GOOD, b"no image"], [0, 1]))
    assert not cache_dir.exists()


# --- other sources ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "hint"),
    [
        ("digit", "did you mean 'digits'?"),
        ("parquet", "did you mean 'parquet:PATH'?"),
        ("imagenet", "known:"),
    ],
)
def test_unknown_source_is_refused_with_the_nearest_known(source: str, hint: str) -> None:
    with pytest.raises(InputError) as caught:
        decode(source)
    assert f"unknown dataset {source!r}" in str(caught.value)
    assert hint in str(caught.value)


def test_digits_are_scikit_learns_images_enlarged_twice() -> None:
    found = decode("digits")
    original = load_digits()
    # Bilinear, twice as large: each new pixel is three parts its own old pixel and one part the next one's.
    padded = np.pad(original.images * 255 / 16, ((0, 0), (1, 1), (1, 1)), mode="edge")
    rows = np.empty((len(padded), 16, 10))
    rows[:, 0::2] = 0.25 * padded[:, :-2] + 0.75 * padded[:, 1:-1]
    rows[:, 1::2] = 0.75 * padded[:, 1:-1] + 0.25 * padded[:, 2:]
    expected = np.empty((len(padded), 16, 16))
    expected[:, :, 0::2] = 0.25 * rows[:, :, :-2] + 0.75 * rows[:, :, 1:-1]
    expected[:, :, 1::2] = 0.75 * rows[:, :, 1:-1] + 0.25 * rows[:, :, 2:]
    for channel in range(3):
        assert np.abs(found.images[:, channel] - expected).max() <= 0.5 + 1e-3
    np.testing.assert_array_equal(found.labels, original.target)
    assert (found.classes, found.test_from, found.flip) == (10, None, False)


CIFAR_KEYS = {"cifar10": ("labels", "label_names"), "cifar100": ("fine_labels", "fine_label_names")}


def write_cifar(
    kind: str, root: Path, images: np.ndarray, labels: Sequence[int], train: int, patch: pytest.MonkeyPatch
) -> None:
    """Write a tiny torchvision folder, and tell torchvision's reader the names and sums of its files."""
    label_key, names_key = CIFAR_KEYS[kind]
    reader = {"cifar10": torchvision.datasets.CIFAR10, "cifar100": torchvision.datasets.CIFAR100}[kind]
    folder = root / reader.base_folder
    folder.mkdir(parents=True)

    def write(name: str, content: object) -> str:
        blob = pickle.dumps(content)
        (folder / name).write_bytes(blob)
        return hashlib.md5(blob).hexdigest()

    def batch(name: str, rows: slice) -> list[str]:
        content = {"data": images[rows].reshape(-1, 3072), label_key: list(labels[rows])}
        return [name, write(name, content)]

    half = train // 2
    patch.setattr(reader, "train_list", [batch("one", slice(half)), batch("two", slice(half, train))])
    patch.setattr(reader, "test_list", [batch("three", slice(train, None))])
    names = {names_key: ["a", "b", "c"]}
    patch.setattr(reader, "meta", {"filename": "meta", "key": names_key, "md5": write("meta", names)})


@pytest.mark.parametrize("kind", CIFAR_KEYS)
def test_cifar_is_read_from_a_torchvision_folder(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = pictures(6, size=32)
    labels = [0, 1, 2, 2, 1, 0]
    write_cifar(kind, tmp_path / "root", images, labels, 4, monkeypatch)
    found = decode(f"{kind}:{tmp_path / 'root'}")
    np.testing.assert_array_equal(found.images, images)
    assert found.images.flags["C_CONTIGUOUS"]
    assert found.labels.tolist() == labels
    assert (found.classes, found.test_from, found.flip) == (3, 4, True)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "root").rename(tmp_path / "data")
    assert_equal(decode(kind), found)


def test_cifar_folder_that_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no intact torchvision copy under .*nowhere"):
        decode(f"cifar10:{tmp_path / 'nowhere'}")


def test_damaged_cifar_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_cifar("cifar10", tmp_path, pictures(6, size=32), [0, 1, 2, 2, 1, 0], 4, monkeypatch)
    damaged = next(tmp_path.rglob("two"))
    damaged.write_bytes(damaged.read_bytes()[:-1])
    with pytest.raises(InputError, match="no intact torchvision copy"):
        decode(f"cifar10:{tmp_path}")


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
    assert calls.told == []
