"""Architectures by name, in two scales.

``full`` is torchvision's network, untrained; on images below 64 pixels ResNets get the usual CIFAR stem (3×3
convolution of stride 1, no pooling) and the vision transformer is built for the image's own size. ``nano``
keeps the family and the block type at a hundredth of the cost, for searches on a laptop.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import nn
from torchvision.models import get_model
from torchvision.models.mobilenetv3 import InvertedResidualConfig, MobileNetV3
from torchvision.models.resnet import BasicBlock
from torchvision.models.vision_transformer import VisionTransformer

from adasearch.errors import InputError, unknown

__all__ = ["ARCHITECTURES", "SCALES", "build_model", "count_parameters"]

SCALES = ("nano", "full")
SMALL_IMAGE = 64  # pixels; below it ResNets get the CIFAR stem
VIT_PATCHES = {"nano": 4, "full": 16}  # pixels

Build = Callable[[int, int], nn.Module]
"""From the number of classes and the image's height (= width) in pixels to a network."""


def _resnet18_nano(classes: int, image_size: int) -> nn.Module:
    """ResNet-18's basic blocks, one per stage instead of two, 16 to 128 channels instead of 64 to 512."""
    layers: list[nn.Module] = [
        nn.Conv2d(3, 16, 3, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(inplace=True),
    ]
    channels = 16
    for stage, width in enumerate((16, 32, 64, 128)):
        stride = 1 if stage == 0 else 2
        shortcut = None
        if stride != 1 or channels != width:
            shortcut = nn.Sequential(nn.Conv2d(channels, width, 1, stride, bias=False), nn.BatchNorm2d(width))
        layers.append(BasicBlock(channels, width, stride, shortcut))
        channels = width
    network = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return network


def _mobilenet_v3_small_nano(classes: int, image_size: int) -> nn.Module:
    """MobileNetV3-small's blocks (depthwise, squeeze-excitation, hard-swish), 6 of 11 and at half width.

    BatchNorm's momentum is PyTorch's 0.1, not torchvision's 0.01, which needs hundreds of steps to forget
    the initial statistics: a short run with a large batch has fewer.
    """
    block = partial(InvertedResidualConfig, width_mult=0.5)
    blocks = [
        block(16, 3, 16, 16, True, "RE", 1, 1),
        block(16, 3, 72, 24, False, "RE", 2, 1),
        block(24, 3, 88, 24, False, "RE", 1, 1),
        block(24, 5, 96, 40, True, "HS", 2, 1),
        block(40, 5, 240, 40, True, "HS", 1, 1),
        block(40, 5, 288, 96, True, "HS", 2, 1),
    ]
    network: nn.Module = MobileNetV3(blocks, last_channel=256, num_classes=classes, norm_layer=nn.BatchNorm2d)
    return network


def _vit_b_16_nano(classes: int, image_size: int) -> nn.Module:
    """ViT's encoder blocks, 4 instead of 12, 64 wide instead of 768, on patches of 4 pixels."""
    _require_patches(image_size, VIT_PATCHES["nano"])
    network: nn.Module = VisionTransformer(
        image_size=image_size,
        patch_size=VIT_PATCHES["nano"],
        num_layers=4,
        num_heads=4,
        hidden_dim=64,
        mlp_dim=128,
        num_classes=classes,
    )
    return network


def _torchvision(name: str, classes: int, image_size: int) -> nn.Module:
    network: nn.Module = get_model(name, weights=None, num_classes=classes)
    return network


def _resnet18_full(classes: int, image_size: int) -> nn.Module:
    network = _torchvision("resnet18", classes, image_size)
    if image_size < SMALL_IMAGE:
        network.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
        network.maxpool = nn.Identity()
    return network


def _vit_b_16_full(classes: int, image_size: int) -> nn.Module:
    _require_patches(image_size, VIT_PATCHES["full"])
    network: nn.Module = get_model("vit_b_16", weights=None, num_classes=classes, image_size=image_size)
    return network


def _require_patches(image_size: int, patch: int) -> None:
    if image_size % patch:
        raise InputError(f"vit_b_16 needs images of a multiple of {patch} pixels but got {image_size}")


ARCHITECTURES: dict[str, dict[str, Build]] = {
    "resnet18": {"nano": _resnet18_nano, "full": _resnet18_full},
    "mobilenet_v3_small": {
        "nano": _mobilenet_v3_small_nano,
        "full": partial(_torchvision, "mobilenet_v3_small"),
    },
    "vit_b_16": {"nano": _vit_b_16_nano, "full": _vit_b_16_full},
}


def build_model(name: str, scale: str, *, classes: int, image_size: int) -> nn.Module:
    """Return a network with fresh weights from torch's global generator.

    It maps images (batch, 3, image_size, image_size) to logits (batch, classes).

    Raises:
        InputError: an unknown architecture or scale, or an image size that the architecture cannot take.

    >>> import torch
    >>> network = build_model("resnet18", "nano", classes=10, image_size=16)
    >>> network(torch.zeros(2, 3, 16, 16)).shape
    torch.Size([2, 10])
    """
    if name not in ARCHITECTURES:
        raise unknown("architecture", name, ARCHITECTURES)
    if scale not in SCALES:
        raise unknown("scale", scale, SCALES)
    return ARCHITECTURES[name][scale](classes, image_size)


def count_parameters(name: str, scale: str, *, classes: int = 10, image_size: int = 32) -> int:
    """Return the number of trained parameters; nothing is allocated."""
    with torch.device("meta"):
        network = build_model(name, scale, classes=classes, image_size=image_size)
    return sum(p.numel() for p in network.parameters() if p.requires_grad)
