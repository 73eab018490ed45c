"""scikit-learn's handwritten digits: real images that need no download."""

import gzip
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from adasearch.callbacks import Progress
from adasearch.data.sources.base import Kind, Listing, array_listing
from adasearch.data.spec import Selection

__all__ = ["DIGITS"]

DIGITS_SIZE = 16  # pixels; the originals have 8, too few for networks that halve the image five times


def _open(place: str, selection: Selection, progress: Progress) -> Listing:
    import torch

    values = _values()
    grey = torch.from_numpy(values[:, :-1]).reshape(-1, 8, 8).mul(255 / 16).unsqueeze(1)
    large = torch.nn.functional.interpolate(grey, size=DIGITS_SIZE, mode="bilinear", align_corners=False)
    images = large.round().to(torch.uint8).expand(-1, 3, -1, -1).contiguous().numpy()
    labels = values[:, -1].astype(np.int64)
    return array_listing(images, labels, name="digits", classes=10, test_from=None, flip=False)


def _values() -> np.ndarray:
    """Return 64 pixels and the digit of each image, (images, 65), without importing scikit-learn for it.

    That takes a second, in each worker of a search.
    """
    package = find_spec("sklearn")
    for place in package.submodule_search_locations or () if package is not None else ():
        if (file := Path(place, "datasets", "data", "digits.csv.gz")).exists():
            with gzip.open(file, "rt") as lines:
                return np.loadtxt(lines, delimiter=",")
    from sklearn.datasets import load_digits

    digits = load_digits()
    return np.column_stack([digits.data, digits.target])


DIGITS = Kind(
    usage="digits",
    what="scikit-learn's handwritten digits, 1,797 grey images, enlarged to 16×16; no download",
    open=_open,
    place="",
    local=False,
)
