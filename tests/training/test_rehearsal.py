"""What would fail in the first steps of every trial fails before there is one, with what to change."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from adasearch.errors import InputError
from adasearch.networks.registry import check_model
from adasearch.tasks.images import Images
from adasearch.training.config import Hyperparameters, TrainConfig
from adasearch.training.rehearsal import Rehearsal, rehearse

OWN = "tests.failing_nets:"
FINE = Rehearsal(
    config=TrainConfig(
        architecture=f"{OWN}Base",
        scale="nano",
        seed=3,
        hyperparameters=Hyperparameters(batch_size=2048),
        budget=10**9,
        interval=10**6,
        evaluate_every=10**6,
    ),
    scheduler="deba",
    fields={},
    task=Images(classes=10, image_size=12),
    workers=1,
)


def wish(name: str, scheduler: str = "deba", workers: int = 1, **config: Any) -> Rehearsal:
    settings = replace(FINE.config, architecture=f"{OWN}{name}", **config)
    return replace(FINE, config=settings, scheduler=scheduler, workers=workers)


@pytest.mark.parametrize("name", ["Base", "Normed", "Idle", "Looks", "TooLarge"])
@pytest.mark.parametrize("scheduler", ["constant", "noise_scale", "simigrad", f"{OWN}Works"])
@pytest.mark.parametrize("precision", ["float32", "tf32", "bfloat16", "float16"])
def test_network_that_trains_passes_and_nothing_is_changed(name: str, scheduler: str, precision: str) -> None:
    before = torch.get_rng_state(), str(np.random.get_state())
    rehearse(wish(name, scheduler, precision=precision))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert str(np.random.get_state()) == before[1]


def test_gradients_per_example_pass() -> None:
    rehearse(wish("Base", "noise_scale", per_example=True))


@pytest.mark.parametrize(
    ("rehearsal", "says"),
    [
        (wish("InPlace"), "modified by an inplace operation"),
        (wish("NoBackward"), "NotImplementedError: no way back (failing_nets.py, line"),
        (wish("Detached"), "element 0 of tensors does not require grad"),
        (wish("NoEvaluation"), "RuntimeError: only for training (failing_nets.py, line"),
        (wish("Stateful"), "what the network keeps in its state must be tensors, numbers, texts"),
        (
            wish("Looks", "noise_scale", per_example=True),
            "leave --per-example out, or take out of the network",
        ),
        (wish("Base", f"{OWN}Falls"), "IndexError: list index out of range (failing_nets.py, line"),
    ],
)
def test_what_fails_in_the_first_steps_is_said_in_one_line(rehearsal: Rehearsal, says: str) -> None:
    config = rehearsal.config
    check_model(config.architecture, "nano", classes=10, image_size=12, per_example=config.per_example)
    with pytest.raises(InputError) as raised:
        rehearse(rehearsal)
    message = str(raised.value)
    what = f"architecture {config.architecture!r} with scheduler {rehearsal.scheduler!r}"
    assert message.startswith(f"{what} fails in the first steps of every trial: ")
    assert says in message
    assert "\n" not in message
    assert len(message) < 900


def test_network_that_trains_passes_among_workers() -> None:
    rehearse(wish("Normed", "simigrad", workers=2))


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("Idle", "with several workers the loss must reach every trained parameter in every step"),
        ("Dies", "a worker process ended with code 9"),
    ],
)
def test_what_fails_among_workers_alone_is_said_in_one_line(name: str, says: str) -> None:
    rehearse(wish(name))
    with pytest.raises(InputError, match="of every trial among 2 workers: ") as raised:
        rehearse(wish(name, workers=2))
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)
