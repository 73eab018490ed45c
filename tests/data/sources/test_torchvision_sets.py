"""Folders that torchvision's readers know, and downloads."""

import gzip
import hashlib
import pickle
from collections.abc import Sequence
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
import torchvision

from adasearch.data.sources.registry import decode, fetch
from adasearch.errors import AdasearchError, InputError
from tests.pictures import assert_equal, pictures

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


# --- Fashion-MNIST ---------------------------------------------------------------------------------


def idx(array: np.ndarray) -> bytes:
    """Return an array of bytes in the format of the MNIST files."""
    header = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
    return header + array.astype(np.uint8).tobytes()


def write_fashion(root: Path, images: np.ndarray, labels: Sequence[int], train: int) -> Path:
    """Write what torchvision's reader looks for and return the folder."""
    folder = root / "FashionMNIST" / "raw"
    folder.mkdir(parents=True)
    for name, rows in (("train", slice(train)), ("t10k", slice(train, None))):
        (folder / f"{name}-images-idx3-ubyte").write_bytes(idx(images[rows]))
        (folder / f"{name}-labels-idx1-ubyte").write_bytes(idx(np.array(labels[rows])))
    return folder


def test_fashion_mnist_is_padded_to_32_pixels_and_three_channels(tmp_path: Path) -> None:
    grey = pictures(6, size=28)[:, 0]
    write_fashion(tmp_path, grey, [0, 9, 2, 2, 1, 0], 4)
    found = decode(f"fashion_mnist:{tmp_path}")
    assert found.images.shape == (6, 3, 32, 32)
    for channel in range(3):
        np.testing.assert_array_equal(found.images[:, channel, 2:30, 2:30], grey)
    assert found.images.sum() == 3 * grey.sum(dtype=np.int64)
    assert found.labels.tolist() == [0, 9, 2, 2, 1, 0]
    assert (found.classes, found.test_from, found.flip) == (10, 4, True)


@pytest.mark.parametrize("kept", [0, 10, 100])
def test_damaged_fashion_mnist_is_refused(tmp_path: Path, kept: int) -> None:
    folder = write_fashion(tmp_path, pictures(6, size=28)[:, 0], [0] * 6, 4)
    damaged = folder / "t10k-images-idx3-ubyte"
    damaged.write_bytes(damaged.read_bytes()[:kept])
    with pytest.raises(InputError, match="no intact torchvision copy"):
        decode(f"fashion_mnist:{tmp_path}")


# --- downloads -------------------------------------------------------------------------------------


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every address be behind a proxy that does not answer."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize("kind", ["cifar10", "cifar100", "fashion_mnist"])
def test_download_without_network_fails_in_one_line(kind: str, tmp_path: Path) -> None:
    with pytest.raises(AdasearchError) as caught:
        fetch(f"{kind}:{tmp_path / 'data'}")
    message = str(caught.value)
    assert message.startswith(f"dataset {kind} cannot be downloaded to '{tmp_path / 'data'}': ")
    assert "refused" in message
    assert "\n" not in message


@pytest.mark.usefixtures("offline")
def test_what_is_there_is_not_downloaded(tmp_path: Path) -> None:
    write_fashion(tmp_path, pictures(6, size=28)[:, 0], [0] * 6, 4)
    fetch(f"fashion_mnist:{tmp_path}")


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_download_leaves_an_intact_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a server of this machine; everything else is torchvision's own way."""
    remote = tmp_path / "remote"
    folder = write_fashion(remote, pictures(6, size=28)[:, 0], [0, 1, 2, 2, 1, 0], 4)
    resources = []
    for file in sorted(folder.iterdir()):
        blob = gzip.compress(file.read_bytes())
        (remote / f"{file.name}.gz").write_bytes(blob)
        resources.append((f"{file.name}.gz", hashlib.md5(blob).hexdigest()))
    monkeypatch.setattr(torchvision.datasets.FashionMNIST, "resources", resources)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    place = f"fashion_mnist:{tmp_path / 'data'}"
    with pytest.raises(InputError, match="add --download"):
        decode(place)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=remote)) as server:
        mirrors = [f"http://127.0.0.1:{server.server_port}/"]
        monkeypatch.setattr(torchvision.datasets.FashionMNIST, "mirrors", mirrors)
        Thread(target=server.serve_forever, daemon=True).start()
        fetch(place)
        server.shutdown()
    assert_equal(decode(place), decode(f"fashion_mnist:{remote}"))
