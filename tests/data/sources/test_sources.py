"""The table of sources, digits, and what all sources share."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from adasearch.data.sources.registry import KINDS, SOURCES, absolute, decode, fetch, open_source
from adasearch.errors import InputError


@pytest.mark.parametrize(
    ("source", "hint"),
    [
        ("digit", "did you mean 'digits'?"),
        ("parquet", "did you mean 'parquet:PATH'?"),
        ("folder:", "did you mean 'folder:PATH'?"),
        ("folders:PATH", "did you mean 'folder:PATH'?"),
        ("folder.x:load", "known: cifar100"),
        (".folder:load", "did you mean 'folder:PATH'?"),
        ("digits:x", "did you mean 'digits'?"),
        ("imagenet", "known:"),
    ],
)
def test_unknown_source_is_refused_with_the_nearest_known(source: str, hint: str) -> None:
    with pytest.raises(InputError) as caught:
        decode(source)
    assert f"unknown dataset {source!r}" in str(caught.value)
    assert hint in str(caught.value)


def test_every_kind_is_listed_as_it_is_written() -> None:
    names = [usage.partition(":")[0].partition("[")[0] for usage in SOURCES]
    assert names == [*KINDS, "module", "python_source", "text", "tokens"]


@pytest.mark.parametrize("kind", ["cifar10", "cifar100", "fashion_mnist"])
def test_a_place_that_was_left_out_is_the_folder_data(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert absolute(kind) == f"{kind}:{tmp_path / 'data'}"
    assert absolute(f"{kind}:here") == f"{kind}:{tmp_path / 'here'}"


@pytest.mark.parametrize("source", ["digits", "parquet:PATH", "folder:PATH", "module:function"])
def test_sources_that_cannot_be_downloaded_say_which_can(source: str) -> None:
    with pytest.raises(InputError) as caught:
        fetch(source)
    assert (
        str(caught.value) == f"--download is for cifar10, cifar100, fashion_mnist but got --dataset {source}"
    )


def test_image_size_below_one_is_refused() -> None:
    with pytest.raises(InputError, match="--image-size must be at least 1 but got 0"):
        open_source("digits", image_size=0)


def test_images_in_memory_are_resized_too() -> None:
    found, larger = decode("digits"), decode("digits", image_size=24)
    assert larger.images.shape == (1797, 3, 24, 24)
    assert larger.labels.tolist() == found.labels.tolist()
    assert larger.fingerprint != found.fingerprint
    assert np.abs(larger.images[0].mean() - found.images[0].mean()) < 3
    assert decode("digits", image_size=16).fingerprint == found.fingerprint


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
