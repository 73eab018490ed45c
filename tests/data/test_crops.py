"""Crops against slices taken one by one."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from adasearch.data.crops import Crops
from adasearch.data.splits import Normaliser

Place = tuple[int, int, int, bool]


def sliced(images: Tensor, padding: int, places: list[Place], *, mirror: bool) -> Tensor:
    height, width = images.shape[-2:]
    found = []
    for which, top, left, mirrored in places:
        padded = torch.zeros(images.shape[1], height + 2 * padding, width + 2 * padding, dtype=torch.uint8)
        padded[:, padding : padding + height, padding : padding + width] = images[which]
        crop = padded[:, top : top + height, left : left + width]
        found.append(crop[:, :, list(range(width))[::-1]] if mirror and mirrored else crop)
    return torch.stack(found) if found else images[:0]


@given(data=st.data())
def test_crops_are_the_slices_of_padded_images(data: st.DataObject) -> None:
    shape = data.draw(st.tuples(*(st.integers(1, most) for most in (4, 4, 6, 7))), "shape")
    padding = data.draw(st.integers(0, 3), "padding")
    place = st.tuples(
        st.integers(0, shape[0] - 1), st.integers(0, 2 * padding), st.integers(0, 2 * padding), st.booleans()
    )
    places = data.draw(st.lists(place, max_size=6), "places")
    mirror = data.draw(st.booleans(), "mirror")
    images = torch.randint(0, 256, shape, dtype=torch.uint8)
    wanted = sliced(images, padding, places, mirror=mirror)
    which, top, left, mirrored = torch.tensor(places, dtype=torch.int64).reshape(-1, 4).unbind(1)
    crops = Crops(images, padding)
    found = crops.take(which, top, left, mirrored.bool() if mirror else None)
    assert torch.equal(found, wanted)
    on_any_device = crops._windows(which, top, left, mirrored.bool() if mirror else None)
    assert torch.equal(on_any_device.permute(0, 3, 1, 2), wanted)


def test_a_crop_beyond_the_padding_is_refused() -> None:
    crops = Crops(torch.zeros(2, 3, 4, 4, dtype=torch.uint8), 1)
    zero = torch.zeros(1, dtype=torch.int64)
    for bad in ((zero + 2, zero, zero), (zero, zero + 3, zero), (zero, zero, zero + 3)):
        with pytest.raises(IndexError):
            crops.take(*bad)


def test_channels_come_last() -> None:
    crops = Crops(torch.zeros(5, 3, 8, 8, dtype=torch.uint8), 1)
    found = crops.take(torch.arange(3), torch.ones(3).long(), torch.ones(3).long(), torch.ones(3).bool())
    assert found.is_contiguous(memory_format=torch.channels_last)


def test_images_are_normalised_by_the_channel_with_channels_last() -> None:
    images = torch.randint(0, 256, (5, 3, 6, 6), dtype=torch.uint8)
    mean, std = torch.tensor([0.1, 0.5, 0.9]), torch.tensor([0.2, 0.3, 0.1])
    found = Normaliser(mean, std, 6)(images)
    wanted = (images.double() / 255 - mean.double().view(3, 1, 1)) / std.double().view(3, 1, 1)
    torch.testing.assert_close(found.double(), wanted, rtol=1e-5, atol=1e-5)
    assert found.is_contiguous(memory_format=torch.channels_last)
