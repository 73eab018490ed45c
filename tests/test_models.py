"""The networks: shapes, gradients and fresh weights."""

import pytest
import torch

from adasearch.errors import InputError
from adasearch.models import ARCHITECTURES, SCALES, build_model


@pytest.mark.parametrize("image_size", [16, 32])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_nano_networks_train_on_two_small_images(name: str, image_size: int) -> None:
    torch.manual_seed(0)
    network = build_model(name, "nano", classes=7, image_size=image_size).train()
    output = network(torch.randn(2, 3, image_size, image_size))
    assert output.shape == (2, 7)
    torch.nn.functional.cross_entropy(output, torch.tensor([0, 6])).backward()
    for parameter_name, parameter in network.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.isfinite().all(), parameter_name


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_parameter_learns_once_the_head_has_moved(name: str) -> None:
    torch.manual_seed(0)
    network = build_model(name, "nano", classes=7, image_size=16).train()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)  # a fresh ViT has a head of zeros, which stops gradients
    output = network(torch.randn(8, 3, 16, 16))
    torch.nn.functional.cross_entropy(output, torch.arange(8) % 7).backward()
    for parameter_name, parameter in network.named_parameters():
        assert parameter.grad is not None
        assert parameter.grad.abs().sum() > 0, parameter_name


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_weights_depend_on_the_global_seed_only(name: str) -> None:
    def weights(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        network = build_model(name, "nano", classes=10, image_size=16)
        return torch.cat([parameter.detach().flatten() for parameter in network.parameters()])

    first = weights(0)
    assert torch.equal(weights(0), first)
    assert not torch.equal(weights(1), first)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_nano_networks_are_a_small_share_of_the_full_ones(name: str) -> None:
    with torch.device("meta"):
        nano, full = (build_model(name, scale, classes=10, image_size=32) for scale in SCALES)
    sizes = [sum(parameter.numel() for parameter in network.parameters()) for network in (nano, full)]
    assert sizes[0] < sizes[1] / 3
    assert sizes[0] < 400_000


@pytest.mark.parametrize(("image_size", "features"), [(32, 32), (63, 63), (64, 16), (224, 56)])
def test_full_resnet18_keeps_the_resolution_of_small_images(image_size: int, features: int) -> None:
    with torch.device("meta"):
        network = build_model("resnet18", "full", classes=10, image_size=image_size).eval()
        shapes: list[torch.Size] = []
        network.get_submodule("layer1").register_forward_hook(lambda _, __, out: shapes.append(out.shape))
        output = network(torch.empty(1, 3, image_size, image_size))
    assert shapes == [(1, 64, features, features)]
    assert output.shape == (1, 10)


@pytest.mark.parametrize(("name", "millions"), [("mobilenet_v3_small", 1.528), ("vit_b_16", 85.66)])
def test_full_networks_have_the_published_size(name: str, millions: float) -> None:
    """Published: 2.543 and (at 224 pixels) 86.568 million; 990 classes and 192 places fewer are left here."""
    with torch.device("meta"):
        network = build_model(name, "full", classes=10, image_size=32).eval()
        assert network(torch.empty(1, 3, 32, 32)).shape == (1, 10)
    size = sum(parameter.numel() for parameter in network.parameters())
    assert size / 1e6 == pytest.approx(millions, rel=0.002)


def test_unknown_architecture_is_refused_with_the_nearest() -> None:
    with pytest.raises(InputError, match=r"unknown architecture 'resnet81'; did you mean 'resnet18'\?"):
        build_model("resnet81", "nano", classes=10, image_size=16)


def test_unknown_scale_is_refused_with_the_nearest() -> None:
    with pytest.raises(InputError, match=r"unknown scale 'nanno'; did you mean 'nano'\?"):
        build_model("resnet18", "nanno", classes=10, image_size=16)


@pytest.mark.parametrize(("scale", "patch"), [("nano", 4), ("full", 16)])
def test_image_that_no_patches_cover_is_refused(scale: str, patch: int) -> None:
    with pytest.raises(InputError, match=f"multiple of {patch} pixels but got 30"), torch.device("meta"):
        build_model("vit_b_16", scale, classes=10, image_size=30)
