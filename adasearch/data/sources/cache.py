"""Decoded images and the numbers about them, kept in the user's cache folder.

Layout: ``decoded/v3/<state>/{images.npy,labels.npy,meta.json}`` and ``statistics/<key>.json``. An entry is
written beside its place and renamed there, under a lock of its own: a second process waits and then reads,
an interrupted one leaves a draft that the next one replaces, and readers see all of an entry or nothing. An
entry that cannot be read is written anew. A cache that cannot be written costs time, never a run.
"""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout
from platformdirs import user_cache_path

from adasearch.callbacks import Progress
from adasearch.data.sources.base import Decoded, Examples, Fingerprint

__all__ = ["decode_all", "keep_numbers", "kept_numbers"]

VERSION = 3  # of the layout and of how images are decoded; entries of former versions are removed
POLL_SECONDS = 0.5
SHOWN_EVERY = 100  # images


def decode_all(examples: Examples, progress: Progress) -> Decoded:
    """Return all examples decoded: from memory, from the cache, or now, and then kept in the cache.

    Raises:
        InputError: an image cannot be read or has another size.
    """
    if examples.arrays is not None:
        return _decoded(examples, examples.arrays, examples.names)
    if examples.state is None:
        return _in_memory(examples, progress)
    base = user_cache_path("adasearch") / "decoded"
    fitted = f"fitted to {examples.image_size}" if examples.fitted else "as they are"
    key = hashlib.sha256(f"{VERSION} {examples.state} {fitted}".encode()).hexdigest()[:24]
    folder = base / f"v{VERSION}" / key
    found = _read(folder)
    if found is not None:
        return found
    try:
        with _lock(folder, progress):
            found = _read(folder)
            if found is None:
                _remove_former(base)
                _write(examples, folder, progress)
                found = _read(folder)
    except OSError:  # a folder that cannot be written, a disk that is full
        found = None
    return found or _in_memory(examples, progress)


def _decoded(examples: Examples, images: np.ndarray, fingerprint: str) -> Decoded:
    return Decoded(
        images=images,
        labels=examples.labels,
        classes=examples.classes,
        test_from=examples.test_from,
        flip=examples.flip,
        fingerprint=fingerprint,
    )


def _in_memory(examples: Examples, progress: Progress) -> Decoded:
    size = examples.image_size
    images = np.empty((len(examples.labels), 3, size, size), dtype=np.uint8)
    for row in range(len(images)):
        images[row] = examples.pixels(row)
        _show(progress, row + 1, len(images))
    fingerprint = Fingerprint(images.shape, examples.classes, examples.test_from, examples.val_from)
    return _decoded(examples, images, fingerprint.add(images).add(examples.labels).text())


def _show(progress: Progress, done: int, total: int) -> None:
    if done % SHOWN_EVERY == 0 or done == total:
        progress("decoding images", done, total)


def _lock(folder: Path, progress: Progress) -> AbstractContextManager[object]:
    """Take an entry's lock; the system frees that of a process that died.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder.parent / f".{folder.name}.lock")
    while True:
        try:
            return lock.acquire(timeout=POLL_SECONDS)
        except Timeout:
            progress("waiting for another process that decodes these images", 0, 1)


def _write(examples: Examples, folder: Path, progress: Progress) -> None:
    """Decode into a draft, image after image, and put it in its place; call it under the lock."""
    draft = folder.parent / f".{folder.name}.draft"
    shutil.rmtree(draft, ignore_errors=True)  # of a process that was interrupted
    shutil.rmtree(folder, ignore_errors=True)  # one that cannot be read
    draft.mkdir()
    try:
        shape = (len(examples.labels), 3, examples.image_size, examples.image_size)
        fingerprint = Fingerprint(shape, examples.classes, examples.test_from, examples.val_from)
        with open(draft / "images.npy", "wb") as file:
            header = {"descr": "|u1", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
            for row in range(shape[0]):
                image = np.ascontiguousarray(examples.pixels(row))
                fingerprint.add(image)
                file.write(image.data)
                _show(progress, row + 1, shape[0])
        np.save(draft / "labels.npy", examples.labels)
        meta = {
            "classes": examples.classes,
            "test_from": examples.test_from,
            "flip": examples.flip,
            "fingerprint": fingerprint.add(examples.labels).text(),
        }
        (draft / "meta.json").write_text(json.dumps(meta))
        os.rename(draft, folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _read(folder: Path) -> Decoded | None:
    """Return an entry, or None if it is not there or damaged."""
    try:
        meta = json.loads((folder / "meta.json").read_text())
        # Pages of the file are shared by all processes that read it, and only the rows used are read.
        images = np.load(folder / "images.npy", mmap_mode="c")
        labels = np.load(folder / "labels.npy")
        if len(images) != len(labels):
            return None
        return Decoded(images=images, labels=labels, **meta)
    except (OSError, ValueError, EOFError, TypeError):
        return None


def _remove_former(base: Path) -> None:
    """Remove what former versions of adasearch kept; version 1 had its entries in ``base`` itself."""
    with suppress(OSError):
        for entry in base.iterdir():
            number = entry.name.removeprefix("v") if entry.name.startswith("v") else "1"
            if number.isdigit() and int(number) < VERSION:
                shutil.rmtree(entry, ignore_errors=True)


# --- numbers ---------------------------------------------------------------------------------------


def kept_numbers(key: str) -> list[list[float]] | None:
    """Return what :func:`keep_numbers` kept under a key, exactly; None if there is nothing."""
    try:
        found = json.loads(_numbers_file(key).read_text())
        return [[float(number) for number in row] for row in found]
    except (OSError, ValueError, TypeError):
        return None


def keep_numbers(key: str, numbers: Sequence[Sequence[float]]) -> None:
    """Keep a few numbers that took long to find."""
    with suppress(OSError):
        place = _numbers_file(key)
        place.parent.mkdir(parents=True, exist_ok=True)
        draft = place.with_name(f".{place.name}.{os.getpid()}.{time.monotonic_ns()}")
        draft.write_text(json.dumps(numbers))
        os.replace(draft, place)


def _numbers_file(key: str) -> Path:
    name = hashlib.sha256(f"{VERSION} {key}".encode()).hexdigest()[:24]
    return user_cache_path("adasearch") / "statistics" / f"{name}.json"
