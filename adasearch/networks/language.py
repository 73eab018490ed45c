"""Language models by name, in two scales, and ``module:function`` of the user's own.

The function is called as ``function(vocabulary=..., sequence_length=...)`` at either scale, and returns a
network from tokens (batch, length) as int64 to logits (batch, length, vocabulary).
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import get_args

import torch
from torch import Tensor, nn

from adasearch.choices import Scale
from adasearch.errors import InputError, one_line, unknown
from adasearch.networks.dry_run import check_built, dry_run_on
from adasearch.networks.gpt import Gpt
from adasearch.networks.registry import ARCHITECTURES, check_own
from adasearch.user_code import load_own

__all__ = ["LANGUAGE", "build_language_model", "check_language_model", "check_name"]

Build = Callable[[int, int], nn.Module]
"""From the size of the vocabulary and the sequence's length to a network."""

SIZES = {"nano": {"layers": 4, "heads": 4, "width": 128}, "full": {"layers": 12, "heads": 12, "width": 768}}
"""nano is ours: a million bytes of source code in about two minutes on one core. full is GPT-2 small."""

FORMS = {
    "gpt": {"rms": False, "rotary": False},
    "gpt_rms": {"rms": True, "rotary": False},
    "gpt_rotary": {"rms": False, "rotary": True},
    "gpt_rms_rotary": {"rms": True, "rotary": True},
}


def _build(
    size: Mapping[str, int], form: Mapping[str, bool], vocabulary: int, sequence_length: int
) -> nn.Module:
    return Gpt(
        vocabulary,
        sequence_length,
        layers=size["layers"],
        heads=size["heads"],
        width=size["width"],
        rms=form["rms"],
        rotary=form["rotary"],
    )


LANGUAGE: dict[str, dict[str, Build]] = {
    name: {scale: partial(_build, size, form) for scale, size in SIZES.items()}
    for name, form in FORMS.items()
}


def check_name(name: str, scale: str) -> None:
    """Refuse a name or a scale that does not exist.

    Raises:
        InputError: an unknown network or scale, or a function that cannot be imported.
    """
    _builder(name, scale)


def check_language_model(
    name: str, scale: str, *, vocabulary: int, sequence_length: int, per_example: bool = False
) -> None:
    """Refuse what :func:`build_language_model` refuses; nothing is allocated where the network allows that.

    Raises:
        InputError: likewise, or a network without gradients per example with ``per_example``.
    """
    build = partial(build_language_model, name, scale, vocabulary=vocabulary, sequence_length=sequence_length)
    check_built(name, build, ours=name in LANGUAGE, per_example=per_example)


def build_language_model(name: str, scale: str, *, vocabulary: int, sequence_length: int) -> nn.Module:
    """Return a network with fresh weights from torch's global generator.

    Raises:
        InputError: an unknown network or scale, or a function that fails or returns something else.
    """
    build = _builder(name, scale)
    if name in LANGUAGE:
        return build(vocabulary, sequence_length)
    try:
        network = build(vocabulary, sequence_length)
        output = dry_run_on(network, (2, sequence_length), torch.int64)
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"architecture {name!r} fails on tokens (2, {sequence_length}) ({one_line(error)})"
        ) from error
    wanted = (2, sequence_length, vocabulary)
    found = tuple(output.shape) if isinstance(output, Tensor) else f"type {type(output).__name__}"
    if found != wanted or not (isinstance(output, Tensor) and output.is_floating_point()):
        kind = f" of {output.dtype}" if isinstance(output, Tensor) and found == wanted else ""
        raise InputError(
            f"architecture {name!r} must return logits {wanted} of floats for tokens (2, {sequence_length}) "
            f"but returned {found}{kind}"
        )
    return network


def _builder(name: str, scale: str) -> Build:
    if scale not in get_args(Scale):
        raise unknown("scale", scale, get_args(Scale))
    if name in LANGUAGE:
        return LANGUAGE[name][scale]
    if ":" in name:
        return partial(_own, name, load_own("architecture", name))
    if name in ARCHITECTURES:
        raise InputError(
            f"architecture {name!r} classifies images and the data are text; language models are "
            f"{', '.join(LANGUAGE)}, or module:function of your own"
        )
    raise InputError(f"{unknown('language model', name, LANGUAGE)}; or module:function of your own")


def _own(name: str, function: object, vocabulary: int, sequence_length: int) -> nn.Module:
    """Return the network of a function of the user's own."""
    told = {"vocabulary": vocabulary, "sequence_length": sequence_length}
    if not callable(function) or isinstance(function, nn.Module):
        raise InputError(
            f"architecture {name!r} must be a function of {' and '.join(told)} but is of type "
            f"{type(function).__name__}"
        )
    try:
        network = function(**told)
    except (Exception, SystemExit) as error:
        raise InputError(
            f"architecture {name!r} was called with vocabulary={vocabulary}, "
            f"sequence_length={sequence_length} and raised {one_line(error)}"
        ) from error
    return check_own(name, network)
