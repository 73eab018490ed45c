"""What a training run is told: what may be searched, the learning rate's course, and everything else."""

import math
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args, get_type_hints

from adasearch.errors import InputError, require, unknown
from adasearch.records import Precision, StudyRecord, TrialRecord, Value
from adasearch.schedulers.base import LR_SCHEDULES
from adasearch.schedulers.fields import fits, wanted
from adasearch.schedulers.run_plan import LrCurve, RunPlan

__all__ = ["OWN_RESERVED", "Hyperparameters", "TrainConfig", "hyperparameters_of"]

OWN_RESERVED = ("batch_size", "lr")
"""What every training function of the user's own has among its parameters, beside any others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hyperparameters:
    """What an architecture's search space may contain: everything about training but the scheduler.

    Args:
        batch_size: initial batch size, global examples per optimiser step, at least 1.
        lr: learning rate at factor 1, greater than 0.
        lr_schedule: a name of ``LR_SCHEDULES``; see :meth:`LrCurve.factor` for the curves.
        lr_decay: factor of each stage of "staircase", in (0, 1]; other schedules do not use it.
        lr_stages: equal stages of "staircase", at least 1.
        lr_final: what "linear" and "wsd" end at, as a share of the learning rate, in [0, 1].
        wsd_decay: share of the budget that "wsd" decays over, in (0, 1], at most what the warm-up leaves.
        warmup: share of the budget over which the learning rate rises linearly from 0, in [0, 1).
        weight_decay: at least 0; decoupled for AdamW and Muon.
        optimizer: "sgd" (with momentum), "adamw", or "muon", which is Muon for the matrices of hidden layers
            and AdamW for the rest, see :mod:`adasearch.training.muon`.
        momentum: of SGD, in [0, 1).
        nesterov: Nesterov's form of momentum; needs momentum greater than 0.
        beta1, beta2: decays of AdamW's averages, in [0, 1); beside Muon, too.
        eps: of AdamW, greater than 0.
        max_grad_norm: norm that a step's gradient is clipped to, by ``clip_grad_norm_``; 0 clips nothing.
            Signals are of the gradient before it is clipped.
        muon_momentum: of Muon, in [0, 1).
    """

    batch_size: int = 64
    lr: float = 0.1
    lr_schedule: str = "cosine"
    lr_decay: float = 0.1
    lr_stages: int = 3
    warmup: float = 0.0
    weight_decay: float = 5e-4
    optimizer: Literal["sgd", "adamw", "muon"] = "sgd"
    momentum: float = 0.9
    nesterov: bool = False
    lr_final: float = 0.0
    wsd_decay: float = 0.2
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    max_grad_norm: float = 0.0
    muon_momentum: float = 0.95

    def __post_init__(self) -> None:
        """Refuse values outside the domain."""
        require(self.batch_size >= 1, "batch_size must be at least 1", batch_size=self.batch_size)
        require(0 < self.lr < math.inf, "lr must be greater than 0", lr=self.lr)
        known = self.lr_schedule in LR_SCHEDULES
        require(known, f"lr_schedule must be one of {sorted(LR_SCHEDULES)}", lr_schedule=self.lr_schedule)
        require(0 < self.lr_decay <= 1, "lr_decay must lie in (0, 1]", lr_decay=self.lr_decay)
        require(self.lr_stages >= 1, "lr_stages must be at least 1", lr_stages=self.lr_stages)
        require(0 <= self.warmup < 1, "warmup must lie in [0, 1)", warmup=self.warmup)
        require(0 <= self.lr_final <= 1, "lr_final must lie in [0, 1]", lr_final=self.lr_final)
        require(0 < self.wsd_decay <= 1, "wsd_decay must lie in (0, 1]", wsd_decay=self.wsd_decay)
        require(
            self.lr_schedule != "wsd" or self.warmup + self.wsd_decay <= 1,
            "warmup and wsd_decay must be at most 1 together",
            warmup=self.warmup,
            wsd_decay=self.wsd_decay,
        )
        require(
            0 <= self.weight_decay < math.inf,
            "weight_decay must be at least 0",
            weight_decay=self.weight_decay,
        )
        require(
            self.optimizer in ("sgd", "adamw", "muon"),
            "optimizer must be 'sgd', 'adamw' or 'muon'",
            optimizer=self.optimizer,
        )
        require(0 <= self.beta1 < 1, "beta1 must lie in [0, 1)", beta1=self.beta1)
        require(0 <= self.beta2 < 1, "beta2 must lie in [0, 1)", beta2=self.beta2)
        require(0 < self.eps < math.inf, "eps must be greater than 0", eps=self.eps)
        require(
            0 <= self.max_grad_norm < math.inf,
            "max_grad_norm must be at least 0 (0 clips nothing)",
            max_grad_norm=self.max_grad_norm,
        )
        require(0 <= self.momentum < 1, "momentum must lie in [0, 1)", momentum=self.momentum)
        muon = 0 <= self.muon_momentum < 1
        require(muon, "muon_momentum must lie in [0, 1)", muon_momentum=self.muon_momentum)
        require(
            not self.nesterov or self.momentum > 0,
            "nesterov needs momentum greater than 0",
            nesterov=self.nesterov,
            momentum=self.momentum,
        )

    @property
    def lr_curve(self) -> LrCurve:
        """The course of the learning rate."""
        return LrCurve(
            lr_schedule=self.lr_schedule,
            warmup=self.warmup,
            lr_decay=self.lr_decay,
            lr_stages=self.lr_stages,
            lr_final=self.lr_final,
            wsd_decay=self.wsd_decay,
        )


def hyperparameters_of(values: Mapping[str, Value]) -> Hyperparameters:
    """Return the training's settings from values by name; those left out have their defaults.

    Raises:
        InputError: an unknown name, or a value that is refused.
    """
    kinds = get_type_hints(Hyperparameters)
    for name, value in values.items():
        if name not in kinds:
            raise unknown("field of training", name, kinds)
        if not fits(kinds[name], value):
            raise InputError(f"{name} takes {wanted(kinds[name])} but got {reprlib.repr(value)}")
    return Hyperparameters(**values)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """One run: the network, its hyperparameters, and spans in training examples.

    Args:
        architecture: a name of ``ARCHITECTURES``.
        scale: "nano" or "full".
        seed: of the weights, the order of the examples and the augmentation.
        hyperparameters: see :class:`Hyperparameters`.
        budget: examples to train on, at least 1.
        interval: examples between two decisions, at least 1.
        evaluate_every: examples between two evaluations, at least 1.
        evaluate_at: further marks, in examples seen, at which to evaluate.
        device_batch: greatest number of examples per forward pass and device, at least 4 (so that no pass
            has fewer than two, which BatchNorm needs); None finds it, see :mod:`adasearch.training.passes`.
        memory_limit: bytes that a process on a CPU may take before a pass is cut in two; None for no limit.
        precision: "float32"; "tf32", the same with products that round to TF32, on a GPU; "bfloat16" or
            "float16" for automatic mixed precision, the latter with a scaled loss: a step whose gradients
            overflow leaves the weights alone and gives no signal, but its examples and its loss count.
        compile: whether ``torch.compile`` makes the network's kernels; pays on a GPU or in long runs.
        test: whether the run ends with an evaluation on the test split, which the data must then have.
        per_example: whether noise signals are estimated from each example's own gradient, which costs more
            and which networks with BatchNorm or dropout do not allow; see :mod:`adasearch.signals.noise`.
    """

    architecture: str
    scale: str
    seed: int
    hyperparameters: Hyperparameters
    budget: int
    interval: int
    evaluate_every: int
    evaluate_at: tuple[int, ...] = ()
    device_batch: int | None = None
    memory_limit: int | None = None
    precision: Precision = "float32"
    compile: bool = False
    per_example: bool = False
    test: bool = False

    def __post_init__(self) -> None:
        """Refuse values outside the domain."""
        for name in ("budget", "interval", "evaluate_every"):
            value = getattr(self, name)
            require(value >= 1, f"{name} must be at least 1 example", **{name: value})
        if self.device_batch is not None:
            fits = self.device_batch >= 4
            require(fits, "device_batch must be at least 4", device_batch=self.device_batch)
        known = self.precision in get_args(Precision)
        require(known, f"precision must be one of {get_args(Precision)}", precision=self.precision)
        scaled = self.precision == "float16" and self.per_example
        require(
            not scaled, "gradients per example are not scaled, so float16 cannot have them", per_example=True
        )

    @property
    def plan(self) -> RunPlan:
        """What a scheduler may know of the run beforehand."""
        return RunPlan(budget=self.budget, interval=self.interval, curve=self.hyperparameters.lr_curve)

    def evaluates(self, before: int, now: int) -> bool:
        """Tell whether between two numbers of examples seen the cadence, or a further mark, was passed."""
        if now // self.evaluate_every > before // self.evaluate_every:
            return True
        return any(before < mark <= now for mark in self.evaluate_at)

    @classmethod
    def of(cls, study: StudyRecord, trial: TrialRecord) -> "TrainConfig":
        """Return the run that a trial of a study stands for.

        A training function of the user's own knows itself what it does with its parameters.
        """
        values = trial.fields_of("train")
        if study.task == "own":
            values = {name: values[name] for name in OWN_RESERVED}
        return cls.of_values(study, values, trial.seed)

    @classmethod
    def of_values(cls, study: StudyRecord, values: Mapping[str, Value], seed: int) -> "TrainConfig":
        """Return the run of a study with these hyperparameters."""
        return cls(
            architecture=study.architecture,
            scale=study.scale,
            seed=seed,
            hyperparameters=hyperparameters_of(values),
            budget=study.budget,
            interval=study.interval,
            evaluate_every=study.evaluate_every,
            precision=study.precision,
            per_example=study.per_example,
            compile=study.compile,
        )
