"""Crops of padded images, as they are or mirrored: how a batch of any size is one copying of bytes."""

import numpy as np
import torch
from torch import Tensor

__all__ = ["Crops"]


class Crops:
    """Every crop of some images, to be taken by number, corner and side.

    Channels come last in memory, as networks read them: what is taken need not be rearranged, and a row of a
    crop is one run of bytes.

    Args:
        images: (examples, channels, height, width), uint8.
        padding: pixels of zero on each side; a crop is as large as an image, its corner at 0 to twice this.
    """

    def __init__(self, images: Tensor, padding: int) -> None:
        examples, channels, height, width = images.shape
        shape = (examples, height + 2 * padding, width + 2 * padding, channels)
        self._padded = images.new_zeros(shape)
        inside = self._padded[:, padding : padding + height, padding : padding + width]
        inside.copy_(images.permute(0, 2, 3, 1))
        self._size = (height, width)

    def take(self, which: Tensor, top: Tensor, left: Tensor, mirrored: Tensor | None = None) -> Tensor:
        """Return crops (batch, channels, height, width) of uint8 with their channels last in memory.

        ``which`` image, ``top`` and ``left`` are of shape (batch,), and so is ``mirrored``, of bool; all
        lie where the images do.
        """
        take = self._rows if self._padded.device.type == "cpu" else self._windows
        return take(which, top, left, mirrored).permute(0, 3, 1, 2)

    def _rows(self, which: Tensor, top: Tensor, left: Tensor, mirrored: Tensor | None) -> Tensor:
        """Copy row by row, on one thread; NumPy copies items whole, where PyTorch goes byte by byte."""
        padded, (height, width) = self._padded.numpy(), self._size
        examples, high, wide, channels = padded.shape
        image, row, pixel, _ = padded.strides
        rows: np.ndarray = np.ndarray(
            shape=(examples, high - height + 1, wide - width + 1, height),
            dtype=f"V{width * channels}",
            buffer=padded,
            strides=(image, row, pixel, row),
        )
        batch = rows[which.numpy(), top.numpy(), left.numpy()]  # (batch, height), an item for each row
        pixels = batch.view(np.uint8).reshape(len(which), height, width, channels)
        if mirrored is not None:
            chosen = mirrored.numpy()
            turned = torch.from_numpy(pixels[chosen]).permute(0, 3, 1, 2).flip(-1).permute(0, 2, 3, 1)
            batch[chosen] = turned.reshape(-1, height, width * channels).numpy().view(batch.dtype)[..., 0]
        return torch.from_numpy(pixels)

    def _windows(self, which: Tensor, top: Tensor, left: Tensor, mirrored: Tensor | None) -> Tensor:
        """Index a view of all crops, on any device."""
        height, width = self._size
        windows = self._padded.unfold(1, height, 1).unfold(2, width, 1).permute(0, 1, 2, 4, 5, 3)
        batch = windows[which, top, left]
        return batch if mirrored is None else torch.where(mirrored.view(-1, 1, 1, 1), batch.flip(2), batch)
