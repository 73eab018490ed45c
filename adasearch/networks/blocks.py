"""Networks for small images, built of torchvision's blocks in any width and depth."""

from collections.abc import Callable, Sequence
from typing import Literal

from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck
from torchvision.models.vgg import make_layers

__all__ = [
    "VGG_LETTERS",
    "Build",
    "Shortcut",
    "alexnet_of",
    "convolution_shortcut",
    "pad_shortcut",
    "resnet_of",
    "vgg_of",
]

Build = Callable[[int, int], nn.Module]
"""From the number of classes and the image's height (= width) in pixels to a network."""

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


VGG_LETTERS = {11: "A", 16: "D", 19: "E"}
"""The columns of table 1 of the VGG paper (arXiv 1409.1556) by number of layers; the key in torchvision."""


def _he_start(network: nn.Module, keep: Literal["fan_in", "fan_out"]) -> None:
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode=keep, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
