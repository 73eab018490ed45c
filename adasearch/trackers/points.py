"""From records to what a tracker is told."""

from dataclasses import asdict

from adasearch.records import Decision, IntervalRecord, Params, Signals, TrialRecord, Value
from adasearch.trackers.base import Point

__all__ = ["outcome_of", "params_of", "point_of", "point_of_signals"]

_PROGRESS = ("interval", "epoch", "step")
_SCHEDULE = ("batch_size", "lr", "lr_scale")
_LOSSES = {"train_loss": "train/loss", "val_loss": "val/loss"}
_NO_SIGNALS = {"examples_seen", "initial_batch_size", *_PROGRESS, *_SCHEDULE, *_LOSSES}
_CHANGE = {"shrink": -1.0, "hold": 0.0, "grow": 1.0}
_SECONDS = ("train", "modelled", "measure", "resize", "eval")

_TOLD = ("architecture", "scale", "scheduler", "dataset", "phase", "role", "seed", "workers", "device")
_ENDED = (
    *("val_error_se", "train_seconds", "modelled_seconds", "examples_seen", "epochs", "steps"),
    *("mean_batch_size", "final_batch_size", "adaptations", "peak_memory_bytes", "cause", "error"),
)


def point_of_signals(signals: Signals, decision: Decision | None) -> Point:
    """Return an interval of which only the signals are known, and the decision that followed, if it is."""
    told = asdict(signals)
    scalars: dict[str, float | None] = {
        **{f"progress/{name}": told[name] for name in _PROGRESS},
        **{f"schedule/{name}": told[name] for name in _SCHEDULE},
        **{name: told[field] for field, name in _LOSSES.items()},
        **{f"signals/{name}": value for name, value in told.items() if name not in _NO_SIGNALS},
    }
    if not signals.noise_count:
        del scalars["signals/noise_count"]
    if decision is not None:
        scalars["decision/batch_size"] = decision.batch_size
        scalars["decision/lr_scale"] = decision.lr_scale
        scalars["decision/change"] = _CHANGE[decision.action]
    known = {name: float(value) for name, value in scalars.items() if value is not None}
    return Point(step=signals.examples_seen, scalars=known, reason=decision.reason if decision else "")


def point_of(record: IntervalRecord, objective: str) -> Point:
    """Return an interval of a trial; ``objective`` names what its ``val_error`` is."""
    point = point_of_signals(record.signals, record.decision)
    found: dict[str, float | None] = {
        f"val/{objective}": record.val_error,
        f"val/{objective}_se": record.val_error_se,
        f"test/{objective}": record.test_error,
        **{f"seconds/{name}": getattr(record, f"{name}_seconds") for name in _SECONDS},
        **{f"val/{name}": value for name, value in record.metrics.items()},
    }
    known = {name: float(value) for name, value in found.items() if value is not None}
    return Point(step=point.step, scalars={**point.scalars, **known}, reason=point.reason)


def params_of(trial: TrialRecord) -> Params:
    """Return what a trial was told: its parameters, and what it is a trial of."""
    named: dict[str, Value] = {f"trial/{name}": getattr(trial, name) for name in _TOLD}
    return {**trial.params, **named}


def outcome_of(trial: TrialRecord) -> Params:
    """Return what came of a trial, as far as it is known; its errors under the objective's name."""
    found = {
        "status": trial.status,
        f"val_{trial.objective}": trial.val_error,
        f"test_{trial.objective}": trial.test_error,
        **{name: getattr(trial, name) for name in _ENDED},
    }
    return {name: value for name, value in found.items() if value is not None}
