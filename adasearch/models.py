"""Architectures by name, in two scales: ``full``, described here, and ``nano`` (:mod:`adasearch.nano`).

``full`` is torchvision's network, untrained. Its stem is made for ImageNet and divides the resolution by 4 or
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

Beside these any classification network of torchvision is built by its name as it is there (``full`` only),
and ``module:function`` calls the user's own ``function(classes=..., image_size=...)``, at either scale, since
what it returns is the user's to choose.
"""

import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import torch
import torchvision
from torch import nn
from torchvision.models import get_model, list_models
from torchvision.models.resnet import BasicBlock
from torchvision.models.vgg import cfgs

from adasearch.dry_run import check_output, dry_run
from adasearch.errors import InputError, one_line, unknown
from adasearch.nano import NANO, VGG_LETTERS, VIT_PATCH, Build, alexnet_of, pad_shortcut, resnet_of, vgg_of
from adasearch.own import load_own
from adasearch.per_example import example_gradients

__all__ = [
    "ARCHITECTURES",
    "SCALES",
    "build_model",
    "check_model",
    "check_name",
    "count_parameters",
    "pixels",
    "trained",
]

SCALES = ("nano", "full")
SMALL_IMAGE = 64  # pixels; below it networks get their CIFAR form
USUAL_SIZES = (16, 24, 28, 32, 48, 64, 75, 96, 128, 160, 192, 224, 256, 299, 384, 512)  # pixels


def _torchvision(name: str, classes: int, image_size: int) -> nn.Module:
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
    network = _torchvision(name, classes, image_size)
    if image_size < SMALL_IMAGE:
        network.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
        network.maxpool = nn.Identity()
    return network


def _densenet121(classes: int, image_size: int) -> nn.Module:
    network = _torchvision("densenet121", classes, image_size)
    if image_size < SMALL_IMAGE:
        features = network.get_submodule("features")
        features.conv0 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
        features.pool0 = nn.Identity()
        nn.init.kaiming_normal_(features.conv0.weight)
    return network


def _mobile(name: str, classes: int, image_size: int) -> nn.Module:
    network = _torchvision(name, classes, image_size)
    if image_size < SMALL_IMAGE:
        first = network.get_submodule("features.0.0")
        assert isinstance(first, nn.Conv2d)
        first.stride = (1, 1)
    return network


def _alexnet(classes: int, image_size: int) -> nn.Module:
    if image_size < SMALL_IMAGE:
        return alexnet_of((64, 192, 384, 256, 256), (11, 4, 5), classes)
    return _torchvision("alexnet", classes, image_size)


def _vgg(layers: int, batch_norm: bool, classes: int, image_size: int) -> nn.Module:
    if image_size < SMALL_IMAGE:
        return vgg_of(cfgs[VGG_LETTERS[layers]], batch_norm, classes)
    return _torchvision(f"vgg{layers}_bn" if batch_norm else f"vgg{layers}", classes, image_size)


def _resnet20(classes: int, image_size: int) -> nn.Module:
    """He et al., arXiv 1512.03385, section 4.2: n = 3 and parameter-free shortcuts (option A)."""
    return resnet_of(BasicBlock, (16, 32, 64), 3, pad_shortcut, classes)


_FULL: dict[str, Build] = {
    "resnet18": partial(_resnet, "resnet18"),
    "resnet50": partial(_resnet, "resnet50"),
    "densenet121": _densenet121,
    "efficientnet_b0": partial(_mobile, "efficientnet_b0"),
    "mobilenet_v3_small": partial(_mobile, "mobilenet_v3_small"),
    "mobilenet_v3_large": partial(_mobile, "mobilenet_v3_large"),
    "vit_b_16": partial(_torchvision, "vit_b_16"),
    "alexnet": _alexnet,
    **{f"vgg{layers}": partial(_vgg, layers, False) for layers in VGG_LETTERS},
    **{f"vgg{layers}_bn": partial(_vgg, layers, True) for layers in VGG_LETTERS},
    "resnet20": _resnet20,
}
ARCHITECTURES: dict[str, dict[str, Build]] = {
    name: {"nano": NANO[name], "full": _FULL[name]} for name in NANO
}

# Pixels that a network needs to have one left after its last halving; every other takes any size.
_LEAST = {
    "nano": {"densenet121": 8, "alexnet": 15, **{name: 8 for name in NANO if name.startswith("vgg")}},
    "full": {"densenet121": 8, "alexnet": 29, **{name: 32 for name in NANO if name.startswith("vgg")}},
}
_MULTIPLE = {"nano": {"vit_b_16": VIT_PATCH}, "full": {"vit_b_16": 16}}


def pixels(name: str, scale: str) -> str:
    """Return the image sizes that one of ``ARCHITECTURES`` takes, in words.

    >>> pixels("vgg11", "full"), pixels("vit_b_16", "nano"), pixels("resnet18", "nano")
    ('at least 32', 'a multiple of 4', 'any')
    """
    if name in _MULTIPLE[scale]:
        return f"a multiple of {_MULTIPLE[scale][name]}"
    return f"at least {_LEAST[scale][name]}" if name in _LEAST[scale] else "any"


def check_name(name: str, scale: str) -> None:
    """Refuse a name or a scale that does not exist, before any data are read.

    Raises:
        InputError: an unknown architecture or scale, no nano form, or a function that cannot be imported.
    """
    _builder(name, scale)


def check_model(name: str, scale: str, *, classes: int, image_size: int, per_example: bool = False) -> None:
    """Refuse what :func:`build_model` refuses; nothing is allocated where the network allows that.

    With ``per_example`` refuse a network without gradients per example, too.

    Raises:
        InputError: see :func:`build_model` and :func:`~adasearch.per_example.example_gradients`.
    """
    try:
        with torch.device("meta"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as those for loading weights into nothing
            network = build_model(name, scale, classes=classes, image_size=image_size)
    except InputError:
        if name in ARCHITECTURES:
            raise
        with torch.random.fork_rng(devices=[]):  # some look at their own weights, which meta tensors lack
            network = build_model(name, scale, classes=classes, image_size=image_size)
    if per_example:
        try:
            example_gradients(network)
        except ValueError as error:
            raise InputError(f"architecture {name!r}: --{str(error).replace('_', '-', 1)}") from error


def build_model(name: str, scale: str, *, classes: int, image_size: int) -> nn.Module:
    """Return a network with fresh weights from torch's global generator.

    It maps images (batch, 3, image_size, image_size) to logits (batch, classes). ``name`` is one of
    ``ARCHITECTURES``, of torchvision's classification networks, or ``module:function``.

    Raises:
        InputError: an unknown architecture or scale, an image size that the architecture cannot take, or a
            function of the user's own that fails or returns something else.

    >>> import torch
    >>> network = build_model("resnet18", "nano", classes=10, image_size=16)
    >>> network(torch.zeros(2, 3, 16, 16)).shape
    torch.Size([2, 10])
    """
    build = _builder(name, scale)
    if name in ARCHITECTURES:  # what these take and return is known, and tested
        _refuse_size(name, scale, image_size)
        return build(classes, image_size)
    try:
        network = build(classes, image_size)
        output = dry_run(network, image_size)
    except InputError:
        raise
    except Exception as error:  # what torchvision, or the user's, makes of images that it cannot take
        raise InputError(
            f"architecture {name!r} fails on images of {image_size}x{image_size} pixels"
            f"{_larger(build, classes, image_size)} ({one_line(error)})"
        ) from error
    check_output(name, output, classes)
    return network


def _builder(name: str, scale: str) -> Build:
    """Return what builds a network from classes and image size."""
    own = ":" in name
    if not own and name not in ARCHITECTURES and name not in list_models(module=torchvision.models):
        raise InputError(
            f"{unknown('architecture', name, ARCHITECTURES)}; any classification network of torchvision, "
            "or module:function of your own"
        )
    if scale not in SCALES:
        raise unknown("scale", scale, SCALES)
    if name in ARCHITECTURES:
        return ARCHITECTURES[name][scale]
    if own:
        return partial(_own, name, _own_function(name))
    if scale == "nano":
        raise InputError(f"architecture {name!r} has no nano form; it is built at scale 'full' only")
    return partial(_torchvision, name)


def _own_function(name: str) -> Callable[..., object]:
    function = load_own("architecture", name)
    if not callable(function) or isinstance(function, nn.Module):
        raise InputError(
            f"architecture {name!r} must be a function of classes and image_size but is of type "
            f"{type(function).__name__}"
        )
    return function


def _own(name: str, function: Callable[..., object], classes: int, image_size: int) -> nn.Module:
    try:
        network = function(classes=classes, image_size=image_size)
    except (Exception, SystemExit) as error:
        raise InputError(
            f"architecture {name!r} was called with classes={classes}, image_size={image_size} and raised "
            f"{one_line(error)}"
        ) from error
    if not isinstance(network, nn.Module):
        raise InputError(
            f"architecture {name!r} must return a torch.nn.Module but returned type {type(network).__name__}"
        )
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise InputError(f"architecture {name!r} must return a network with parameters that are trained")
    wrong = {p.dtype for p in network.parameters() if p.dtype != torch.get_default_dtype()}
    if wrong:
        kinds = ", ".join(sorted(str(dtype).removeprefix("torch.") for dtype in wrong))
        raise InputError(f"architecture {name!r} must return a network in float32 but it has {kinds}")
    return network


def _refuse_size(name: str, scale: str, image_size: int) -> None:
    least, multiple = _LEAST[scale].get(name, 1), _MULTIPLE[scale].get(name, 1)
    if image_size < least or image_size % multiple:
        raise InputError(
            f"architecture {name!r} ({scale}) needs images of {pixels(name, scale)} pixels "
            f"but got {image_size}"
        )


def _larger(build: Build, classes: int, image_size: int) -> str:
    """Return which of the usual sizes above ``image_size`` would do, for a message; nothing if none does."""
    for size in (size for size in USUAL_SIZES if size > image_size):
        with torch.device("meta"), suppress(Exception):
            dry_run(build(classes, size), size)
            return f"; {size}x{size} would do"
    return ""


def count_parameters(name: str, scale: str, *, classes: int = 10, image_size: int = 32) -> int:
    """Return the number of trained parameters; nothing is allocated."""
    with torch.device("meta"):
        network = build_model(name, scale, classes=classes, image_size=image_size)
    return trained(network)


def trained(network: nn.Module) -> int:
    """Return the number of trained parameters of a network."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad)
