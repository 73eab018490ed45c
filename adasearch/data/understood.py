"""The line that says what a source was taken for, before anything trains on it."""

import numpy as np

from adasearch.data.sources.base import Examples
from adasearch.data.spec import DataSpec

__all__ = ["understood"]


def understood(examples: Examples, spec: DataSpec, val: int, test: int) -> str:
    """Return how many images are for what, how many classes there are, and what was told by names.

    ``val`` and ``test`` are the images of these splits. Images to validate with that are drawn from the
    training split count as training.
    """
    held_out = examples.test_from if examples.val_from is None else examples.val_from
    pool = len(examples.labels) - test if held_out is None else held_out
    counts = [f"{spec.subset:,} of {pool:,} training" if spec.subset is not None else f"{pool:,} training"]
    counts += [f"{val:,} validation"] if examples.val_from is not None else []
    tail = [*examples.understood]
    if spec.selection.config is not None:
        tail.append(f"configuration `{spec.selection.config}`")
    if spec.selection.split is not None:
        tail.append(f"split `{spec.selection.split}` to train on")
    if held_out is None:
        tail.append("the test images are drawn, for want of a test split")
    if spec.selection.weights == "balanced":
        tail.append("examples are drawn so that all classes are alike")
    elif spec.selection.weights is not None:
        tail.append(f"examples are drawn by column `{spec.selection.weights}`")
    return "; ".join([f"{', '.join(counts)}, {test:,} test images, {_classes(examples, held_out)}", *tail])


def _classes(examples: Examples, held_out: int | None) -> str:
    """Name the classes; those of which no image is before ``held_out``, where that is, have none to train on.

    Test images that are drawn come from all images alike, so there all of them count.
    """
    count = examples.classes
    shown = [examples.class_name(label) for label in ((0, 1) if count < 3 else (0, count - 1))]
    names = ", ..., ".join(shown) if count > 2 else ", ".join(shown)
    absent = count - len(np.unique(examples.labels[:held_out]))
    return f"{count:,} classes ({names})" + (
        f", {absent:,} of them without a training image" if absent else ""
    )
