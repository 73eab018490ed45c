"""Whether two runs are one, as a checkpoint of another version tells them."""

import os
import subprocess
import sys

import pytest

from adasearch.records import Limits
from adasearch.runs.speed import FixedBatch
from adasearch.schedulers import make_scheduler
from adasearch.schedulers.base import LR_SCHEDULES
from adasearch.training.config import Hyperparameters, TrainConfig
from adasearch.training.same_run import difference

CONFIG = TrainConfig(
    architecture="resnet18",
    scale="nano",
    seed=3,
    hyperparameters=Hyperparameters(batch_size=20, lr=0.05),
    budget=500,
    interval=70,
    evaluate_every=100,
    evaluate_at=(125, 250),
)
OF_0_2_0 = (
    "TrainConfig(architecture='resnet18', scale='nano', seed=3, "
    "hyperparameters=Hyperparameters(batch_size=20, lr=0.05, lr_schedule='cosine', lr_decay=0.1, "
    "lr_stages=3, warmup=0.0, weight_decay=0.0005, "
    "optimizer='sgd', momentum=0.9, nesterov=False), budget=500, interval=70, evaluate_every=100, "
    "evaluate_at=(125, 250), device_batch=None, memory_limit=None, precision='float32', compile=False, "
    "per_example=False, test=False)"
)


def test_a_run_as_version_0_2_0_wrote_it_is_the_same_run() -> None:
    assert difference(OF_0_2_0, CONFIG) is None


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("lr=0.05", "lr=0.06", "lr 0.06, not 0.05"),
        ("nesterov=False", "nesterov=True", "nesterov True, not False"),
        ("budget=500", "budget=inf", "budget inf, not 500"),
        (", momentum=0.9", "", None),  # it is at its default
        ("lr=0.05, ", "", "lr unknown, not 0.05"),
        ("seed=3", "seed=3, width=2", "width 2, which this version does not know"),
        ("Hyperparameters(", "Settings(", "hyperparameters Settings, not Hyperparameters"),
        ("evaluate_at=(125, 250)", "evaluate_at=()", "evaluate_at (), not (125, 250)"),
    ],
)
def test_what_differs_is_named_and_fields_at_their_defaults_do_not(
    old: str, new: str, says: str | None
) -> None:
    assert old in OF_0_2_0
    assert difference(OF_0_2_0.replace(old, new), CONFIG) == says


def test_schedulers_in_wrappers_are_compared_field_by_field() -> None:
    scheduler = make_scheduler("cabs", {"decay": 0.3, "wrappers.cooldown": 4})
    assert difference("Cooldown(scheduler=Cabs(scale=1.0, decay=0.3), intervals=4)", scheduler) is None
    assert difference("Cooldown(scheduler=Cabs(decay=0.3), intervals=4)", scheduler) is None
    assert difference("Cabs(scale=1.0, decay=0.3)", scheduler) == "Cabs, not Cooldown"


def test_other_texts_are_compared_as_they_are() -> None:
    assert difference("f00d", "f00d") is None
    assert difference("f00d", "beef") == "f00d, not beef"
    limits = Limits(smallest=16, largest=64)
    assert difference("<a class with a repr of its own>", limits) == (
        "<a class with a repr of its own>, not Limits(smallest=16, largest=64, multiple_of=1)"
    )


def test_a_set_is_compared_whatever_its_order() -> None:
    curves = f"frozenset({set(LR_SCHEDULES)})"
    needs = "frozenset({'half_cosine', 'grad_noise'})"
    told = FixedBatch(frozenset({"grad_noise", "half_cosine"}))
    assert difference(f"FixedBatch(needs={needs}, lr_schedules={curves})", told) is None
    assert difference(f"FixedBatch(needs=frozenset(), lr_schedules={curves})", FixedBatch()) is None
    assert difference(f"FixedBatch(needs={needs}, lr_schedules={curves})", FixedBatch()) is not None


def test_text_of_a_profiles_run_is_read_in_a_process_that_hashes_otherwise() -> None:
    code = (
        "from adasearch.runs.speed import FixedBatch; print(FixedBatch(frozenset({'loss', 'norm', 'noise'})))"
    )
    texts = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
        for seed in ("1", "2", "3")
    }
    assert len(texts) > 1
    assert {difference(text, FixedBatch(frozenset({"loss", "norm", "noise"}))) for text in texts} == {None}
