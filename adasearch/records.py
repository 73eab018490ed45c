"""The frozen records that travel between the parts; the standard library is all that they need.

Sizes are counted in examples, durations in seconds, memory in bytes, errors as fractions in [0, 1].
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from adasearch.choices import Precision, Task
from adasearch.limits import Limits
from adasearch.objective import ERROR

__all__ = [
    "SECONDS",
    "Action",
    "Cause",
    "Decision",
    "IntervalRecord",
    "Limits",
    "Params",
    "Precision",
    "Signals",
    "Status",
    "StudyRecord",
    "TrialRecord",
    "Value",
]

Action = Literal["grow", "shrink", "hold"]
Status = Literal["running", "complete", "pruned", "failed"]
Cause = Literal["diverged", "raised", "lost"]
"""Why a trial failed: a loss that is not finite, an error that was raised, or workers that were lost."""
Value = bool | int | float | str
Params = Mapping[str, Value]

SECONDS = {"measured": "train_seconds", "modelled": "modelled_seconds"}
"""The column of intervals and trials that holds the seconds of a study's clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signals:
    """One finished interval as a scheduler sees it.

    Args:
        interval: index of the interval within the trial, from 0.
        epoch: training examples consumed so far over the size of the training split.
        step: optimiser updates that were made so far. One that was skipped, because gradients overflowed
            behind a scaler of the loss (float16), is none: it gives no signal, but its examples and its
            loss were seen, and count. So ``examples_seen / step`` may exceed the mean batch size.
        examples_seen: training examples consumed so far.
        initial_batch_size: the batch size that the trial began with, in examples.
        batch_size: size in force during this interval, global examples per optimiser step.
        lr: learning rate of the interval's last step.
        lr_scale: the scheduler's factor on the learning rate, in force during this interval.
        train_loss: mean loss over the interval's examples, before each step's update.
        val_loss: mean loss over the validation split; None where the interval was not evaluated.
        grad_norm: mean over the measured steps of ``||g||``, g the gradient of the mean loss over the
            global batch. Each g is a batch gradient, so this falls mechanically as the batch grows.
        grad_component_variance: mean over the measured steps of
            ``(1/d) * sum_i (g[i] - mean(g))^2``, the spread over the d components of one gradient (DEBA's
            "gradient variance"; no estimate of the noise between examples). It, too, falls
            mechanically as the batch grows.
        mean_grad_norm: ``||m||``, m the mean of the interval's step gradients.
        mean_grad_component_variance: the component variance of m.
        grad_noise: mean over ``noise_count`` steps of estimates of ``tr(Sigma)``, Sigma the covariance of one
            example's gradient; unbiased but for what ``noise_form`` leaves (BatchNorm in parts of a batch,
            a step of the weights between successive batches).
        grad_sq_norm: mean over the same steps of such estimates of ``|G|^2``, G the expected gradient;
            may be negative where the noise is large.
        noise_count: how many steps these two, and the five below, are means over.
        batch_grad_sq_norm: mean of ``||g||^2`` over the same steps, g the batch gradient (not unbiased for
            ``|G|^2``: its expectation is ``|G|^2 + tr(Sigma) / batch_size``).
        half_cosine: mean cosine between the gradients of the two halves of a step's batch, measured or as it
            follows from ``|G|^2 / (|G|^2 + 2 tr(Sigma) / batch_size)``.
        inner_product_variance: mean of ``Var_i(<g_i, g>)`` over the examples i of a step's batch.
        preconditioned_noise: as ``grad_noise``, of gradients divided by Adam's ``sqrt(v_hat) + eps``.
        preconditioned_sq_norm: as ``grad_sq_norm``, of the same.

    A signal that no scheduler asked for is None.
    """

    interval: int
    epoch: float
    step: int
    examples_seen: int
    initial_batch_size: int
    batch_size: int
    lr: float
    lr_scale: float
    train_loss: float
    val_loss: float | None = None
    grad_norm: float | None = None
    grad_component_variance: float | None = None
    mean_grad_norm: float | None = None
    mean_grad_component_variance: float | None = None
    grad_noise: float | None = None
    grad_sq_norm: float | None = None
    noise_count: int = 0
    batch_grad_sq_norm: float | None = None
    half_cosine: float | None = None
    inner_product_variance: float | None = None
    preconditioned_noise: float | None = None
    preconditioned_sq_norm: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What a scheduler wants from the next step on.

    Args:
        batch_size: the final size, already inside the limits.
        lr_scale: absolute factor on the learning rate: ``lr = lr_schedule(examples_seen) * lr_scale``.
        action: "grow", "shrink" or "hold", by comparing the new size with the old.
        reason: one clause that a person can read in a table.
    """

    batch_size: int
    lr_scale: float
    action: Action
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IntervalRecord:
    """One interval of a trial: what was seen, what was decided, what it cost.

    Args:
        signals: what the scheduler saw.
        decision: what it decided.
        device_batch: greatest number of examples in one forward pass on one device.
        passes: forward passes per optimiser step on each device at this batch size.
        val_error: the study's objective on the validation split, which is the fraction that was classified
            wrongly unless the study says otherwise; None if not evaluated.
        train_seconds: training, measuring and resizing together.
        measure_seconds: the part of ``train_seconds`` spent on signals.
        resize_seconds: the part of ``train_seconds`` spent on deciding and changing the batch size.
        eval_seconds: evaluation, outside ``train_seconds``.
        noise_form: what the noise signals were estimated from: "per_example", "workers", "passes",
            "successive" or "halves"; None if they were not measured.
        modelled_seconds: ``train_seconds`` as a stored speed profile predicts it; None without one.
        compile_seconds: making the network's kernels, outside ``train_seconds``.
        checkpoint_seconds: writing the checkpoint that was due after this interval, outside
            ``train_seconds``; None if none was.
        out_of_memory: how often a pass did not fit and was made smaller.
        test_error: the same on the test split, at the end of a run that was asked for it; None elsewhere.
        decided: whether the scheduler was asked after it; not at the end of the budget, nor where a loss is
            not finite.
        val_error_se: standard error of ``val_error``, over the examples that it is a mean of, where it is no
            fraction; None where it is one, or where that is not known.
        metrics: what else the evaluation found, by name.
    """

    signals: Signals
    decision: Decision
    device_batch: int
    passes: int
    val_error: float | None
    train_seconds: float
    measure_seconds: float
    resize_seconds: float
    eval_seconds: float
    noise_form: str | None = None
    modelled_seconds: float | None = None
    compile_seconds: float = 0.0
    checkpoint_seconds: float | None = None
    out_of_memory: int = 0
    test_error: float | None = None
    decided: bool = True
    val_error_se: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)

    def seconds(self, clock: str) -> float:
        """Return the training time by a clock; infinite where that clock has none."""
        return _known(getattr(self, SECONDS[clock]))


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyRecord:
    """One architecture × scheduler × data set, and all that makes its identity.

    ``train_space`` and ``scheduler_space`` are the search spaces as JSON; ``versions`` and
    ``created_at`` are told but are not identity. Spans are examples: ``budget``, ``interval`` and
    ``evaluate_every``. ``image_size`` is what images are resized to, in pixels, None for images as they are;
    ``dataset`` shows it behind an "@". ``device_profile`` is the speed profile that modelled seconds come
    from, and ``stability_profile`` the one that thresholds given as quantiles do; None without any.
    ``prefix`` is what the user put before the study's name, None where nothing. ``label_column``,
    ``image_column``, ``config``, ``split`` and ``weights`` are what the user selected of the data, None for
    what the data say themselves.

    ``task`` is what is trained: "images" (classification), "language" (causal language modelling) or "own",
    a training function of the user's: then ``architecture`` is its ``module:function``, and ``code`` a digest
    of its module's source. ``objective`` names what is minimised beside the seconds. An example of a language
    task is a sequence of ``sequence_length`` tokens, made by ``tokenizer``, or of bytes where that is None.
    """

    study: str
    architecture: str
    scale: str
    scheduler: str
    dataset: str
    image_size: int | None = None
    fingerprint: str
    subset: int | None
    seed: int
    train_examples: int
    val_examples: int
    budget: int
    interval: int
    evaluate_every: int
    workers: int
    objectives: str
    clock: str
    device: str
    device_profile: str | None
    stability_profile: str | None = None
    precision: Precision
    compile: bool = False
    per_example: bool = False
    sampler: str
    stopper: str
    smallest: int
    largest: int
    multiple_of: int
    train_space: str
    scheduler_space: str
    prefix: str | None = None
    label_column: str | None = None
    image_column: str | None = None
    config: str | None = None
    split: str | None = None
    weights: str | None = None
    task: Task = "images"
    objective: str = ERROR
    sequence_length: int | None = None
    tokenizer: str | None = None
    code: str | None = None
    versions: Params = field(default_factory=dict)
    created_at: datetime

    @property
    def source(self) -> str:
        """The data set as ``--dataset`` names it: without the size that its name shows."""
        size = self.sequence_length if self.image_size is None else self.image_size
        return self.dataset if size is None else self.dataset.removesuffix(f"@{size}")

    @property
    def about(self) -> str:
        """What is trained on what, in words; a training function has neither scale nor data that we know."""
        return (
            self.architecture
            if self.task == "own"
            else f"{self.architecture}, {self.scale}, on {self.dataset}"
        )

    @property
    def limits(self) -> Limits:
        """The batch sizes that every trial of this study keeps to."""
        return Limits(smallest=self.smallest, largest=self.largest, multiple_of=self.multiple_of)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRecord:
    """One parameter choice × seed. While it runs only its first half is known.

    ``trial_id`` is ``<study>-<phase>-<number>``. ``params`` holds every parameter, searched or fixed, as
    ``train/lr`` or ``scheduler/window``. ``role`` says what a row of a comparison stands for, and
    ``source_trial_id`` which trial it repeats. ``objective`` names what ``val_error`` and ``test_error``
    hold, and ``val_error_se`` is the standard error of the former. ``error`` and ``cause`` are of a failed
    one. Sums run over the trial's intervals.
    """

    trial_id: str
    number: int
    study: str
    phase: str
    role: str
    source_trial_id: str | None = None
    architecture: str
    scale: str
    scheduler: str
    dataset: str
    seed: int
    params: Params
    status: Status
    error: str | None = None
    cause: Cause | None = None
    objective: str = ERROR
    val_error: float | None = None
    val_error_se: float | None = None
    test_error: float | None = None
    train_seconds: float | None = None
    modelled_seconds: float | None = None
    measure_seconds: float | None = None
    resize_seconds: float | None = None
    eval_seconds: float | None = None
    examples_seen: int = 0
    epochs: float = 0.0
    steps: int = 0
    mean_batch_size: float | None = None
    final_batch_size: int | None = None
    adaptations: int = 0
    peak_memory_bytes: int | None = None
    workers: int
    device: str
    versions: Params = field(default_factory=dict)
    started_at: datetime
    ended_at: datetime | None = None

    def seconds(self, clock: str) -> float:
        """Return the training time by a clock; infinite where that clock has none."""
        return _known(getattr(self, SECONDS[clock]))

    @property
    def known_error(self) -> float:
        """The objective on the validation split; infinite if it was never evaluated."""
        return _known(self.val_error)

    def fields_of(self, prefix: str) -> dict[str, Value]:
        """Return the parameters under ``prefix`` ("train" or "scheduler") by their bare names."""
        start = f"{prefix}/"
        return {name[len(start) :]: value for name, value in self.params.items() if name.startswith(start)}


def _known(value: float | None) -> float:
    return math.inf if value is None else value
