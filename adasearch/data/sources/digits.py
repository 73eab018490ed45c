"""scikit-learn's handwritten digits: real images that need no download."""

import numpy as np

from adasearch.callbacks import Progress
from adasearch.data.sources.base import Kind, Listing, array_listing
from adasearch.data.spec import Selection

__all__ = ["DIGITS"]

DIGITS_SIZE = 16  # pixels; the originals have 8, too few for networks that halve the image five times


def _open(place: str, selection: Selection, progress: Progress) -> Listing:
    import torch
    from sklearn.datasets import load_digits

    digits = load_digits()
    grey = torch.from_numpy(digits.images).mul(255 / 16).unsqueeze(1)
    large = torch.nn.functional.interpolate(grey, size=DIGITS_SIZE, mode="bilinear", align_corners=False)
    images = large.round().to(torch.uint8).expand(-1, 3, -1, -1).contiguous().numpy()
    labels = digits.target.astype(np.int64)
    return array_listing(images, labels, name="digits", classes=10, test_from=None, flip=False)


DIGITS = Kind(
    usage="digits",
    what="scikit-learn's handwritten digits, 1,797 grey images, enlarged to 16×16; no download",
    open=_open,
    place="",
    local=False,
)
