"""The nano forms: each family's own blocks, fewer and narrower, for searches on a laptop.

A nano network keeps what makes its family behave as it does (residual or dense connections, bottlenecks,
depthwise convolutions with squeeze-excitation, attention, plain convolutions with or without BatchNorm) at a
fraction of the cost: 10,000 CIFAR images at batch 64 take less than 20 s on one core
(``benchmarks/architectures.py``). The numbers of blocks and channels are ours, no paper's.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

from torch import Tensor, nn
from torchvision.models.densenet import DenseNet
from torchvision.models.efficientnet import EfficientNet, MBConvConfig
from torchvision.models.mobilenetv3 import InvertedResidualConfig, MobileNetV3
from torchvision.models.resnet import BasicBlock, Bottleneck
from torchvision.models.vgg import cfgs, make_layers
from torchvision.models.vision_transformer import VisionTransformer

__all__ = ["NANO", "VGG_LETTERS", "VIT_PATCH", "Build", "alexnet_of", "pad_shortcut", "resnet_of", "vgg_of"]

Build = Callable[[int, int], nn.Module]
"""From the number of classes and the image's height (= width) in pixels to a network."""

VIT_PATCH = 4  # pixels
VGG_LETTERS = {11: "A", 16: "D", 19: "E"}
"""The columns of table 1 of the VGG paper (arXiv 1409.1556) by number of layers; the key in torchvision."""

Shortcut = Callable[[int, int, int], nn.Module]
"""From input channels, output channels and stride to what stands beside a residual block."""


def convolution_shortcut(channels: int, width: int, stride: int) -> nn.Module:
    """Return a projecting shortcut: a 1×1 convolution with BatchNorm (option B of arXiv 1512.03385)."""
    return nn.Sequential(nn.Conv2d(channels, width, 1, stride, bias=False), nn.BatchNorm2d(width))


def pad_shortcut(channels: int, width: int, stride: int) -> nn.Module:
    """Return a shortcut without parameters: every ``stride``-th pixel, new channels zero (option A)."""
    return _Pad(width - channels, stride)


class _Pad(nn.Module):
    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.channels = channels
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        taken = x[:, :, :: self.stride, :: self.stride]
        return nn.functional.pad(taken, (0, 0, 0, 0, 0, self.channels))


def resnet_of(
    block: type[BasicBlock] | type[Bottleneck],
    widths: Sequence[int],
    blocks: int,
    shortcut: Shortcut,
    classes: int,
) -> nn.Module:
    """Return a ResNet for small images: a 3×3 stem, ``blocks`` blocks per stage, mean over the image.

    Every stage but the first halves the resolution. Convolutions start as in torchvision (He, fan-out).
    """
    layers: list[nn.Module] = [
        nn.Conv2d(3, widths[0], 3, padding=1, bias=False),
        nn.BatchNorm2d(widths[0]),
        nn.ReLU(inplace=True),
    ]
    channels = widths[0]
    for stage, width in enumerate(widths):
        for position in range(blocks):
            stride = 2 if stage > 0 and position == 0 else 1
            out = width * block.expansion
            beside = shortcut(channels, out, stride) if stride != 1 or channels != out else None
            layers.append(block(channels, width, stride, beside))
            channels = out
    network = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))
    _he_start(network, "fan_out")
    return network


def vgg_of(layers: Sequence[int | str], batch_norm: bool, classes: int) -> nn.Module:
    """Return a VGG with one linear layer on the mean of the last features instead of three on 7×7 of them.

    ``layers`` is in torchvision's notation: channels of a 3×3 convolution, or "M" for a pooling by 2.
    Convolutions start so that the signal keeps its size forward (arXiv 1502.01852, equation 10), not the
    gradient its size backward as in torchvision: where each stage doubles its channels the signal fades, and
    a narrow VGG without BatchNorm learns nothing for hundreds of steps.
    """
    channels = [width for width in layers if isinstance(width, int)][-1]
    features = make_layers(list(layers), batch_norm=batch_norm)
    network = nn.Sequential(features, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))
    _he_start(network, "fan_in")
    return network


def alexnet_of(widths: Sequence[int], stem: tuple[int, int, int], classes: int) -> nn.Module:
    """Return AlexNet's five convolutions and three poolings with one linear layer on their mean.

    ``stem`` is the kernel, the stride and the padding of the first convolution. Starts as :func:`vgg_of`.
    """
    a, b, c, d, e = widths
    network = nn.Sequential(
        nn.Conv2d(3, a, *stem),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(a, b, 5, padding=2),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(b, c, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(c, d, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(d, e, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(e, classes),
    )
    _he_start(network, "fan_in")
    return network


def _he_start(network: nn.Module, keep: Literal["fan_in", "fan_out"]) -> None:
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode=keep, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


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
