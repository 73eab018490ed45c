"""Architectures by name, in two scales: :mod:`~adasearch.networks.full` and :mod:`~adasearch.networks.nano`.

Beside these any classification network of torchvision is built by its name as it is there (``full`` only),
and ``module:function`` calls the user's own ``function(classes=..., image_size=...)``, at either scale, since
what it returns is the user's to choose.
"""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import get_args

import torch
import torchvision
from torch import nn
from torchvision.models import list_models

from adasearch.choices import Scale
from adasearch.errors import InputError, one_line, unknown
from adasearch.networks.blocks import Build
from adasearch.networks.dry_run import check_built, check_output, dry_run
from adasearch.networks.full import FULL, torchvision_network
from adasearch.networks.nano import NANO, VIT_PATCH
from adasearch.user_code import load_own

__all__ = [
    "ARCHITECTURES",
    "SCALES",
    "build_model",
    "check_model",
    "check_name",
    "check_own",
    "pixels",
    "trained",
]

SCALES: tuple[Scale, ...] = get_args(Scale)
USUAL_SIZES = (16, 24, 28, 32, 48, 64, 75, 96, 128, 160, 192, 224, 256, 299, 384, 512)  # pixels

ARCHITECTURES: dict[str, dict[str, Build]] = {name: {"nano": NANO[name], "full": FULL[name]} for name in NANO}

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
        InputError: see :func:`build_model` and :func:`~adasearch.signals.per_example.example_gradients`.
    """
    build = partial(build_model, name, scale, classes=classes, image_size=image_size)
    check_built(name, build, ours=name in ARCHITECTURES, per_example=per_example)


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
    return partial(torchvision_network, name)


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
    return check_own(name, network)


def check_own(name: str, network: object) -> nn.Module:
    """Return what a user's function returned, if it is a network that can be trained.

    Raises:
        InputError: what it is.
    """
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


def trained(network: nn.Module) -> int:
    """Return the number of trained parameters of a network."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad)
