"""The full forms: torchvision's networks, untrained.

Their stem is made for ImageNet and divides the resolution by 4 or
more before the first block, so on images below 64 pixels the usual CIFAR form takes its place:

=================  =====================================================================================
family             below 64 pixels
=================  =====================================================================================
resnet18, 50       first convolution 3×3 of stride 1 instead of 7×7 of stride 2, no pooling (as in
                   kuangliu/pytorch-cifar, and SimCLR, arXiv 2002.05709, B.9)
densenet121        the same (arXiv 1608.06993, section 3, has this stem for CIFAR)
efficientnet_b0    first convolution of stride 1 (as in kuangliu/pytorch-cifar)
mobilenet_v3_*     the same, by analogy
vit_b_16           patches stay 16×16; positions are those of the image's own size, at any size
alexnet            first convolution pads 5, poolings 2×2, one linear layer on the mean of 256 features
                   (bearpaw/pytorch-classification, whose networks AdaBatch trained on CIFAR)
vgg*               one linear layer on the mean of 512 features instead of three on 7×7 of them (the same)
resnet20           no other form: the CIFAR ResNet of He et al., at any size
=================  =====================================================================================

DEBA (arXiv 2511.03809) does not say which stems it used; AdaBatch's ResNet-20 has option B shortcuts.
"""

from functools import partial

from torch import nn
from torchvision.models import get_model
from torchvision.models.resnet import BasicBlock
from torchvision.models.vgg import cfgs

from adasearch.networks.blocks import VGG_LETTERS, Build, alexnet_of, pad_shortcut, resnet_of, vgg_of

__all__ = ["FULL", "torchvision_network"]

SMALL_IMAGE = 64  # pixels; below it networks get their CIFAR form


def torchvision_network(name: str, classes: int, image_size: int) -> nn.Module:
    """Return torchvision's network, for the image's size where it asks for it."""
    more: dict[str, object] = {}
    if name in ("googlenet", "inception_v3"):  # without the heads that return further outputs
        more = {"aux_logits": False, "init_weights": True}
    elif name.startswith("vit_"):
        more = {"image_size": image_size}
    elif name.startswith("maxvit_"):
        more = {"input_size": (image_size, image_size)}
    network: nn.Module = get_model(name, weights=None, num_classes=classes, **more)
    return network


def _resnet(name: str, classes: int, image_size: int) -> nn.Module:
    network = torchvision_network(name, classes, image_size)
    if image_size < SMALL_IMAGE:
        network.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
        network.maxpool = nn.Identity()
    return network


def _densenet121(classes: int, image_size: int) -> nn.Module:
    network = torchvision_network("densenet121", classes, image_size)
    if image_size < SMALL_IMAGE:
        features = network.get_submodule("features")
        features.conv0 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
        features.pool0 = nn.Identity()
        nn.init.kaiming_normal_(features.conv0.weight)
    return network


def _mobile(name: str, classes: int, image_size: int) -> nn.Module:
    network = torchvision_network(name, classes, image_size)
    if image_size < SMALL_IMAGE:
        first = network.get_submodule("features.0.0")
        assert isinstance(first, nn.Conv2d)
        first.stride = (1, 1)
    return network


def _alexnet(classes: int, image_size: int) -> nn.Module:
    if image_size < SMALL_IMAGE:
        return alexnet_of((64, 192, 384, 256, 256), (11, 4, 5), classes)
    return torchvision_network("alexnet", classes, image_size)


def _vgg(layers: int, batch_norm: bool, classes: int, image_size: int) -> nn.Module:
    if image_size < SMALL_IMAGE:
        return vgg_of(cfgs[VGG_LETTERS[layers]], batch_norm, classes)
    return torchvision_network(f"vgg{layers}_bn" if batch_norm else f"vgg{layers}", classes, image_size)


def _resnet20(classes: int, image_size: int) -> nn.Module:
    """He et al., arXiv 1512.03385, section 4.2: n = 3 and parameter-free shortcuts (option A)."""
    return resnet_of(BasicBlock, (16, 32, 64), 3, pad_shortcut, classes)


FULL: dict[str, Build] = {
    "resnet18": partial(_resnet, "resnet18"),
    "resnet50": partial(_resnet, "resnet50"),
    "densenet121": _densenet121,
    "efficientnet_b0": partial(_mobile, "efficientnet_b0"),
    "mobilenet_v3_small": partial(_mobile, "mobilenet_v3_small"),
    "mobilenet_v3_large": partial(_mobile, "mobilenet_v3_large"),
    "vit_b_16": partial(torchvision_network, "vit_b_16"),
    "alexnet": _alexnet,
    **{f"vgg{layers}": partial(_vgg, layers, False) for layers in VGG_LETTERS},
    **{f"vgg{layers}_bn": partial(_vgg, layers, True) for layers in VGG_LETTERS},
    "resnet20": _resnet20,
}
