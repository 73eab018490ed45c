"""Two workers that share a run: equal records, on one machine, with two processes started once."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import distributed as dist
from torch import nn
from torch.multiprocessing.spawn import spawn
from torch.nn.parallel import DistributedDataParallel

import adasearch.tasks.images
from adasearch.data.batches import Batches
from adasearch.data.load import load_dataset
from adasearch.data.spec import DataSpec
from adasearch.data.splits import Dataset
from adasearch.networks.registry import build_model
from adasearch.records import Decision, IntervalRecord, Limits, Signals
from adasearch.schedulers import BatchSizeScheduler
from adasearch.schedulers.base import LR_SCHEDULES, change
from adasearch.schedulers.constant import Constant
from adasearch.schedulers.deba import Deba
from adasearch.schedulers.follow import Follow
from adasearch.signal_sets import MEAN_GRADIENT, MOMENTS, NOISE, PER_STEP, PRECONDITIONED
from adasearch.training.config import Hyperparameters, TrainConfig
from adasearch.training.loop import train
from adasearch.training.task import DivergedError
from tests.signals.problems import by_groups, examples_of, expected_signals
from tests.signals.test_noise import Observer

WORLD = 2
LIMITS = Limits(smallest=4, largest=64)

VIT = TrainConfig(
    architecture="vit_b_16",
    scale="nano",
    seed=3,
    hyperparameters=Hyperparameters(batch_size=21, lr=0.02, nesterov=True),
    budget=250,
    interval=50,
    evaluate_every=100,
    device_batch=4,
)
# Thresholds that make every decision a growth once three intervals are seen.
GROWING = Deba(confidence_threshold=100, stability_threshold=100, cooldown=1)
RUNS: dict[str, tuple[TrainConfig, BatchSizeScheduler]] = {
    "uneven passes": (VIT, replace(GROWING, growth=1.001)),
    "one pass": (replace(VIT, device_batch=64), GROWING),
    "mean gradient": (
        replace(
            VIT,
            hyperparameters=Hyperparameters(batch_size=5, lr=0.003, optimizer="adamw", warmup=0.1),
            budget=200,
        ),
        replace(GROWING, gradient="mean_gradient", growth=2.0),
    ),
    "batch norm": (replace(VIT, architecture="resnet18", budget=150), GROWING),
    # One step in each interval, which is measured whatever the form.
    "noise, one pass": (replace(VIT, device_batch=64, interval=21, budget=84), Observer()),
    "noise, passes": (replace(VIT, interval=21, budget=84), Observer()),
    "noise per example": (replace(VIT, interval=21, budget=84, per_example=True), Observer()),
    "noise, batch norm": (replace(VIT, architecture="resnet18", budget=150), Observer()),
    "noise, no groups": (replace(VIT, budget=150), Observer(needs=frozenset({"batch_grad_sq_norm"}))),
    "preconditioned": (
        replace(
            VIT,
            hyperparameters=Hyperparameters(batch_size=21, lr=0.003, optimizer="adamw"),
            device_batch=64,
            interval=21,
            budget=168,
        ),
        Observer(needs=MOMENTS | PRECONDITIONED),
    ),
    "muon": (
        replace(VIT, hyperparameters=Hyperparameters(batch_size=21, lr=0.003, optimizer="muon"), budget=150),
        Follow(scheduler=GROWING, beta2=True, weight_decay=True),
    ),
    "diverged": (replace(VIT, hyperparameters=Hyperparameters(batch_size=21, lr=1e200)), Constant()),
}
EXACT = ["uneven passes", "one pass", "mean gradient"]  # neither BatchNorm nor infinities


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarrel:
    """A scheduler that breaks the rules: its answer depends on the worker."""

    needs: frozenset[str] = frozenset()
    lr_schedules: frozenset[str] = LR_SCHEDULES

    def decide(self, history: Sequence[Signals], limits: Limits) -> Decision:
        """Grow more on one worker than on the other."""
        return change(history[-1], 30 + dist.get_rank(), "of my own")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a worker saw of a run, its network's state at the end, and how many hooks DDP was given."""

    records: list[IntervalRecord]
    state: dict[str, torch.Tensor]
    hooks: int


def outcome_of(config: TrainConfig, scheduler: BatchSizeScheduler, data: Dataset) -> Outcome:
    """Train to the end, or as far as it goes."""
    networks: list[nn.Module] = []

    def build_and_keep(name: str, scale: str, *, classes: int, image_size: int) -> nn.Module:
        networks.append(build_model(name, scale, classes=classes, image_size=image_size))
        return networks[-1]

    hooks = []

    def register_and_count(parallel: DistributedDataParallel, state: object, hook: Any) -> None:
        hooks.append(hook)
        register(parallel, state, hook)

    register = DistributedDataParallel.register_comm_hook
    records = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("adasearch.tasks.images.build_model", build_and_keep)
        patch.setattr(DistributedDataParallel, "register_comm_hook", register_and_count)
        try:
            for record in train(config, scheduler, LIMITS, data):
                records.append(record)
        except DivergedError:
            pass
    return Outcome(records=records, state=dict(networks[0].state_dict()), hooks=len(hooks))


def worker(rank: int, folder: str, data: Dataset) -> None:
    """Take part in every run, and save what this worker saw."""
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    adasearch.tasks.images.EVAL_BATCH = 16  # so that both workers have a share of the evaluation
    dist.init_process_group(
        "gloo",
        init_method=f"file://{folder}/meeting",
        rank=rank,
        world_size=WORLD,
        timeout=timedelta(seconds=60),
    )
    seen = {name: outcome_of(config, scheduler, data) for name, (config, scheduler) in RUNS.items()}
    streamed = load_dataset(DataSpec(source="digits", subset=160, memory_limit=0))
    seen["streamed"] = outcome_of(*RUNS["uneven passes"], streamed)
    quarrel = ""
    try:
        outcome_of(VIT, Quarrel(), data)
    except RuntimeError as error:
        quarrel = str(error)
    torch.save((seen, quarrel), Path(folder) / f"{rank}.pt")
    dist.destroy_process_group()


Outcomes = dict[str, Outcome]
Seen = list[tuple[Outcomes, str]]


@pytest.fixture(scope="module")
def together(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """Return what each of two workers saw."""
    folder = tmp_path_factory.mktemp("workers")
    spawn(worker, args=(str(folder), digits), nprocs=WORLD)
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(WORLD)]


@pytest.fixture(scope="module")
def alone(digits: Dataset) -> Iterator[Outcomes]:
    """Return the same runs on one process."""
    torch.set_default_dtype(torch.float64)
    yield {name: outcome_of(config, scheduler, digits) for name, (config, scheduler) in RUNS.items()}
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("name", RUNS)
def test_all_workers_see_and_decide_alike(name: str, together: Seen) -> None:
    first, second = (seen[name].records for seen, _ in together)
    assert [repr(record.signals) for record in first] == [repr(record.signals) for record in second]
    assert [record.decision for record in first] == [record.decision for record in second]
    assert [record.val_error for record in first] == [record.val_error for record in second]


def test_two_workers_train_on_streamed_images_as_on_those_in_memory(together: Seen) -> None:
    for seen, _ in together:
        memory, streamed = seen["uneven passes"], seen["streamed"]
        assert [repr(each.signals) for each in streamed.records] == [
            repr(each.signals) for each in memory.records
        ]
        assert [each.val_error for each in streamed.records] == [each.val_error for each in memory.records]
        torch.testing.assert_close(streamed.state, memory.state, rtol=0, atol=0)


@pytest.mark.parametrize("name", EXACT)
def test_two_workers_train_as_one_does(name: str, together: Seen, alone: Outcomes) -> None:
    shared = together[0][0][name]
    for two, one in zip(shared.records, alone[name].records, strict=True):
        for field in ("interval", "epoch", "step", "examples_seen", "batch_size", "lr", "lr_scale"):
            assert getattr(two.signals, field) == getattr(one.signals, field), field
        for field in ("train_loss", "val_loss", *sorted(PER_STEP | MEAN_GRADIENT)):
            expected = getattr(one.signals, field)
            close = None if expected is None else pytest.approx(expected, rel=1e-9)
            assert getattr(two.signals, field) == close, field
        assert two.decision.batch_size == one.decision.batch_size
        assert two.decision.action == one.decision.action
        assert two.val_error == one.val_error
    torch.testing.assert_close(shared.state, alone[name].state, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "form"), [("noise, one pass", "halves"), ("noise per example", "per_example")]
)
def test_two_workers_measure_the_noise_of_the_same_examples(
    name: str, form: str, together: Seen, alone: Outcomes
) -> None:
    """Two workers' parts of a batch are the halves that one process makes of it."""
    shared = together[0][0][name].records
    for two, one in zip(shared, alone[name].records, strict=True):
        assert one.noise_form == form
        assert two.noise_form == (form if form == "per_example" else "workers")
        assert two.signals.noise_count == one.signals.noise_count == 1
        for field in sorted(NOISE):
            assert getattr(two.signals, field) == pytest.approx(getattr(one.signals, field), rel=1e-8), field
    torch.testing.assert_close(together[0][0][name].state, alone[name].state, rtol=1e-9, atol=1e-12)


def test_two_workers_measure_the_noise_of_preconditioned_gradients_as_one_does(
    together: Seen, alone: Outcomes
) -> None:
    shared = together[0][0]["preconditioned"].records
    for two, one in zip(shared, alone["preconditioned"].records, strict=True):
        assert (two.noise_form, one.noise_form) == ("workers", "halves")
        for field in sorted(MOMENTS | PRECONDITIONED):
            assert getattr(two.signals, field) == pytest.approx(getattr(one.signals, field), rel=1e-6), field
    first, *_, last = shared
    assert first.signals.preconditioned_noise == pytest.approx(first.signals.grad_noise, rel=1e-9)
    assert last.signals.preconditioned_noise != pytest.approx(last.signals.grad_noise, rel=0.1)


def test_workers_with_several_passes_are_one_group_each(
    together: Seen, digits: Dataset, alone: Outcomes
) -> None:
    """21 examples in six passes of 4, 4, 4 and 3, 3, 3: groups of 12 and 9."""
    torch.manual_seed(VIT.seed)
    network = build_model(VIT.architecture, VIT.scale, classes=10, image_size=16)
    images, labels = next(Batches(digits, VIT.seed).chunks(0, 0, 21, 1, range(1)))
    groups = by_groups(examples_of(network, images, labels), [12, 9])
    expected = expected_signals(groups, [12, 9], 1)
    first = together[0][0]["noise, passes"].records[0]
    assert first.noise_form == "workers"
    for name, value in expected.items():
        assert getattr(first.signals, name) == pytest.approx(value, rel=1e-8), name
    assert alone["noise, passes"].records[0].noise_form == "passes"


def test_measuring_noise_takes_time_but_not_all_of_it(together: Seen) -> None:
    for name in ("noise, one pass", "noise, passes", "noise per example", "noise, batch norm"):
        for record in together[0][0][name].records:
            assert 0 < record.measure_seconds < record.train_seconds


def test_hook_is_registered_only_where_workers_are_groups(together: Seen) -> None:
    hooked = {name for name, outcome in together[0][0].items() if outcome.hooks}
    assert hooked == {"noise, one pass", "noise, passes", "noise, batch norm", "preconditioned"}
    record = together[0][0]["noise, no groups"].records[0]
    assert record.noise_form is None
    assert record.signals.noise_count == 3
    assert record.signals.batch_grad_sq_norm is not None


def test_one_more_gradient_is_reduced_on_few_steps(together: Seen) -> None:
    record = together[0][0]["noise, batch norm"].records[0]
    assert record.signals.half_cosine is not None
    assert record.signals.step == 3
    assert record.signals.noise_count == 1, "of an interval of three steps"


@pytest.mark.parametrize("name", [*EXACT, "batch norm", "muon"])
def test_all_workers_end_with_the_same_network(name: str, together: Seen) -> None:
    """BatchNorm's statistics included: each worker saw other examples, so they are averaged."""
    first, second = (seen[name].state for seen, _ in together)
    torch.testing.assert_close(first, second, rtol=0, atol=0)


def test_workers_share_the_passes(together: Seen, alone: Outcomes) -> None:
    for two, one in zip(together[0][0]["uneven passes"].records, alone["uneven passes"].records, strict=True):
        size = two.signals.batch_size
        assert two.passes == math.ceil(size / 8)
        assert one.passes == math.ceil(size / 4)
        assert size % (2 * two.passes), "a batch that the passes share evenly proves less"


def test_the_batch_grew_on_all_workers(together: Seen) -> None:
    seen = together[0][0]
    assert [record.signals.batch_size for record in seen["one pass"].records] == [21, 21, 21, 31, 46]
    assert [record.signals.batch_size for record in seen["mean gradient"].records] == [5, 5, 5, 10]


def test_every_signal_that_was_needed_was_there(together: Seen) -> None:
    seen = together[0][0]
    assert all(record.signals.grad_norm is not None for record in seen["uneven passes"].records)
    assert all(record.signals.mean_grad_norm is not None for record in seen["mean gradient"].records)


def test_batch_norm_sees_the_same_examples_with_two_workers(together: Seen, alone: Outcomes) -> None:
    for two, one in zip(together[0][0]["batch norm"].records, alone["batch norm"].records, strict=True):
        assert two.signals.examples_seen == one.signals.examples_seen
        assert two.signals.train_loss == pytest.approx(one.signals.train_loss, rel=0.3)


def test_divergence_stops_all_workers(together: Seen, alone: Outcomes) -> None:
    for records in (alone["diverged"].records, *(seen["diverged"].records for seen, _ in together)):
        assert not math.isfinite(records[-1].signals.train_loss)
        assert records[-1].signals.examples_seen < VIT.budget
    assert len({len(seen["diverged"].records) for seen, _ in together}) == 1


def test_workers_that_disagree_are_stopped(together: Seen) -> None:
    for _, quarrel in together:
        assert quarrel == "processes disagree on the batch size: 30 and 31"
