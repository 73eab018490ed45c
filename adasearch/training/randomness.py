"""The random numbers to come, of PyTorch, NumPy and Python, in plain values that a checkpoint can hold."""

import math
import random
import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adasearch.errors import InputError, one_line

__all__ = ["check_random", "random_state", "restore_random", "seed_random"]

WORDS = 624  # of 32 bits, in the Mersenne Twister of NumPy and Python; one more says which comes next


def seed_random(seed: int) -> None:
    """Begin anew with the generators that every part of a program shares."""
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed % 2**32)


def random_state(devices: Iterable[torch.device]) -> dict[str, Any]:
    """Return where the generators are that every part of a program shares: texts, about 13 kilobytes.

    They are PyTorch's on the CPU and on those of the devices that are CUDA's, NumPy's of ``numpy.random`` and
    Python's of ``random``.
    """
    _, words, normal = random.getstate()
    numpy: Any = np.random.get_state(legacy=False)
    known = numpy["bit_generator"] == "MT19937"  # or somebody put another in its place
    return {
        "torch": _text(torch.get_rng_state().numpy()),
        "cuda": {
            str(device): _text(torch.cuda.get_rng_state(device).numpy())
            for device in sorted({each for each in devices if each.type == "cuda"}, key=str)
        },
        "python": [_text(np.array(words, dtype="<u4")), normal],
        "numpy": [
            _text(np.append(numpy["state"]["key"], numpy["state"]["pos"]).astype("<u4")),
            int(numpy["has_gauss"]),
            float(numpy["gauss"]),
        ]
        if known
        else None,
    }


def restore_random(state: Mapping[str, Any]) -> None:
    """Go on from a state that :func:`check_random` let pass; a GPU that is not there is passed over."""
    torch.set_rng_state(_tensor(state["torch"]))
    for device, text in state["cuda"].items():
        if int(device.removeprefix("cuda:")) < torch.cuda.device_count():
            torch.cuda.set_rng_state(_tensor(text), device)
    random.setstate(_python(state["python"]))
    if state["numpy"] is not None:
        np.random.set_state(_numpy(state["numpy"]))


def check_random(state: object, beside: Mapping[str, type] | None = None) -> None:
    """Check a state by giving it to generators of nobody's; ``beside`` says what else it holds.

    Raises:
        InputError: one of them cannot take it.
    """
    try:
        assert isinstance(state, Mapping)
        assert all(type(state[name]) is kind for name, kind in (beside or {}).items())
        torch.Generator().set_state(_tensor(state["torch"]))
        for device, text in state["cuda"].items():
            assert re.fullmatch(r"cuda:\d{1,3}", device)
            assert _words(text, np.uint8).size in (
                16,
                816,
            )  # of Philox, or with what older versions put before it
        random.Random().setstate(_python(state["python"]))
        if state["numpy"] is not None:
            np.random.RandomState(0).set_state(_numpy(state["numpy"]))
    except Exception as error:  # whatever a foreign value makes of the generators
        raise InputError(
            f"the checkpoint's random-number states are damaged or made up: {one_line(error)}"
        ) from error


def _text(values: NDArray[Any]) -> str:
    return b64encode(values.tobytes()).decode()


def _words(text: str, kind: Any) -> NDArray[Any]:
    return np.frombuffer(b64decode(text, validate=True), dtype=kind)


def _tensor(text: str) -> Tensor:
    return torch.from_numpy(_words(text, np.uint8).copy())


def _twister(text: str) -> NDArray[Any]:
    """Return the words of a Mersenne Twister and its place; at another one NumPy would read beyond them."""
    words = _words(text, "<u4")
    if words.size != WORDS + 1 or words[-1] > WORDS:
        raise ValueError(f"a Mersenne Twister has {WORDS} words and a place in them")
    return words


def _python(state: Any) -> tuple[Any, ...]:
    text, normal = state
    if normal is not None and not (type(normal) is float and math.isfinite(normal)):
        raise ValueError("the next normal number must be a number or None")
    return 3, tuple(_twister(text).tolist()), normal


def _numpy(state: Any) -> tuple[Any, ...]:
    text, has_normal, normal = state
    if has_normal not in (0, 1) or type(normal) is not float or not math.isfinite(normal):
        raise ValueError("the next normal number must be a number")
    words = _twister(text)
    return "MT19937", words[:-1].copy(), int(words[-1]), has_normal, normal
