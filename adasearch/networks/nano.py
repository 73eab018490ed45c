"""The nano forms: each family's own blocks, fewer and narrower, for searches on a laptop.

A nano network keeps what makes its family behave as it does (residual or dense connections, bottlenecks,
depthwise convolutions with squeeze-excitation, attention, plain convolutions with or without BatchNorm) at a
fraction of the cost: 10,000 CIFAR images at batch 64 take less than 20 s on one core
(``benchmarks/architectures.py``). The numbers of blocks and channels are ours, no paper's.
"""

from collections.abc import Sequence
from functools import partial

from torch import nn
from torchvision.models.densenet import DenseNet
from torchvision.models.efficientnet import EfficientNet, MBConvConfig
from torchvision.models.mobilenetv3 import InvertedResidualConfig, MobileNetV3
from torchvision.models.resnet import BasicBlock, Bottleneck
from torchvision.models.vgg import cfgs
from torchvision.models.vision_transformer import VisionTransformer

from adasearch.networks.blocks import (
    VGG_LETTERS,
    Build,
    alexnet_of,
    convolution_shortcut,
    pad_shortcut,
    resnet_of,
    vgg_of,
)

__all__ = ["NANO", "VIT_PATCH"]

VIT_PATCH = 4  # pixels


def _resnet18(classes: int, image_size: int) -> nn.Module:
    """ResNet-18's basic blocks, one per stage instead of two, 16 to 128 channels instead of 64 to 512."""
    return resnet_of(BasicBlock, (16, 32, 64, 128), 1, convolution_shortcut, classes)


def _resnet50(classes: int, image_size: int) -> nn.Module:
    """ResNet-50's bottlenecks, one per stage instead of 3 to 6, an eighth of the channels (to 256).

    The first stage, where a pixel costs most, has a sixteenth.
    """
    return resnet_of(Bottleneck, (4, 16, 32, 64), 1, convolution_shortcut, classes)


def _resnet20(classes: int, image_size: int) -> nn.Module:
    """The CIFAR ResNet with one block per stage instead of three (eight layers)."""
    return resnet_of(BasicBlock, (16, 32, 64), 1, pad_shortcut, classes)


def _densenet121(classes: int, image_size: int) -> nn.Module:
    """DenseNet-BC with 1, 2, 4 and 3 layers that add 8 channels each, instead of 58 that add 32.

    A 3×3 stem without pooling, as the paper's own nets for CIFAR have it (arXiv 1608.06993, section 3).
    """
    network: nn.Module = DenseNet(
        growth_rate=8, block_config=(1, 2, 4, 3), num_init_features=8, num_classes=classes
    )
    features = network.get_submodule("features")
    features.conv0 = nn.Conv2d(3, 8, 3, padding=1, bias=False)
    features.pool0 = nn.Identity()
    nn.init.kaiming_normal_(features.conv0.weight)
    return network


def _efficientnet_b0(classes: int, image_size: int) -> nn.Module:
    """EfficientNet's blocks (expansion, depthwise, squeeze-excitation, SiLU), 6 of 16, at half width."""
    block = partial(MBConvConfig, width_mult=0.5)
    blocks = [
        block(1, 3, 1, 32, 16, 1),
        block(6, 3, 2, 16, 24, 1),
        block(6, 5, 2, 24, 40, 2),
        block(6, 3, 2, 40, 80, 2),
    ]
    network: nn.Module = EfficientNet(blocks, dropout=0.2, num_classes=classes, last_channel=256)
    return network


def _mobilenet_v3(
    blocks: Sequence[tuple[int, int, int, int, bool, str, int]], classes: int, image_size: int
) -> nn.Module:
    """MobileNetV3's blocks (depthwise, squeeze-excitation, hard-swish), some of them and at half width.

    A block is (channels, kernel, expanded channels, output channels, squeeze-excitation, activation, stride).
    BatchNorm's momentum is PyTorch's 0.1, not torchvision's 0.01, which needs hundreds of steps to forget
    the initial statistics: a short run with a large batch has fewer.
    """
    configs = [InvertedResidualConfig(*block, 1, width_mult=0.5) for block in blocks]
    network: nn.Module = MobileNetV3(
        configs, last_channel=256, num_classes=classes, norm_layer=nn.BatchNorm2d
    )
    return network


MOBILENET_V3_SMALL = (  # 6 of 11
    (16, 3, 16, 16, True, "RE", 1),
    (16, 3, 72, 24, False, "RE", 2),
    (24, 3, 88, 24, False, "RE", 1),
    (24, 5, 96, 40, True, "HS", 2),
    (40, 5, 240, 40, True, "HS", 1),
    (40, 5, 288, 96, True, "HS", 2),
)
MOBILENET_V3_LARGE = (  # 8 of 15
    (16, 3, 16, 16, False, "RE", 1),
    (16, 3, 64, 24, False, "RE", 2),
    (24, 3, 72, 24, False, "RE", 1),
    (24, 5, 72, 40, True, "RE", 2),
    (40, 5, 120, 40, True, "RE", 1),
    (40, 3, 240, 80, False, "HS", 2),
    (80, 3, 200, 80, False, "HS", 1),
    (80, 3, 480, 112, True, "HS", 1),
)


def _vit_b_16(classes: int, image_size: int) -> nn.Module:
    """ViT's encoder blocks, 4 instead of 12, 64 wide instead of 768, on patches of 4 pixels."""
    network: nn.Module = VisionTransformer(
        image_size=image_size,
        patch_size=VIT_PATCH,
        num_layers=4,
        num_heads=4,
        hidden_dim=64,
        mlp_dim=128,
        num_classes=classes,
    )
    return network


def _alexnet(classes: int, image_size: int) -> nn.Module:
    """AlexNet with a quarter of the channels and a first convolution of 5×5 and stride 2, not 11×11 and 4."""
    return alexnet_of((16, 48, 96, 64, 64), (5, 2, 2), classes)


def _vgg(letter: str, batch_norm: bool, classes: int, image_size: int) -> nn.Module:
    """VGG's first four stages of five at full depth, a quarter of the channels, at most 64.

    The mean over the image is the fourth pooling. An eighth, or all five stages, learns far more slowly.
    """
    layers = cfgs[letter]
    fourth = [place for place, width in enumerate(layers) if width == "M"][3]
    narrow = [min(width // 4, 64) if isinstance(width, int) else width for width in layers[:fourth]]
    return vgg_of(narrow, batch_norm, classes)


NANO: dict[str, Build] = {
    "resnet18": _resnet18,
    "resnet50": _resnet50,
    "densenet121": _densenet121,
    "efficientnet_b0": _efficientnet_b0,
    "mobilenet_v3_small": partial(_mobilenet_v3, MOBILENET_V3_SMALL),
    "mobilenet_v3_large": partial(_mobilenet_v3, MOBILENET_V3_LARGE),
    "vit_b_16": _vit_b_16,
    "alexnet": _alexnet,
    **{f"vgg{n}": partial(_vgg, letter, False) for n, letter in VGG_LETTERS.items()},
    **{f"vgg{n}_bn": partial(_vgg, letter, True) for n, letter in VGG_LETTERS.items()},
    "resnet20": _resnet20,
}
