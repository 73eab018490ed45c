"""Profiles that tests start from."""

from dataclasses import replace

from adasearch.profiles.profile import Figure, SpeedPoint, SpeedProfile, StabilityProfile, here
from adasearch.records import StudyRecord
from adasearch.signal_sets import SIGNAL_SETS
from tests.rows import START

__all__ = ["speed_of", "stability_of"]


def speed_of(
    study: StudyRecord, name: str = "abacus", *, factor: float = 1.0, **setting: object
) -> SpeedProfile:
    """A profile of a study's network on this machine, but for ``setting``: a second per 16 examples."""
    points = tuple(
        SpeedPoint(
            batch_size=size,
            device_batch=512,
            step_seconds=factor * size / 16,
            step_seconds_low=0.5,
            step_seconds_high=9.0,
            repeats=6,
            measure_seconds=dict.fromkeys(SIGNAL_SETS, factor * 0.25),
            peak_memory_bytes=2**20,
        )
        for size in (16, 64)
    )
    return SpeedProfile(
        profile=name,
        setting=replace(here(study, 1), **setting),  # type: ignore[arg-type]
        points=points,
        created_at=START,
    )


def stability_of(study: StudyRecord) -> StabilityProfile:
    """A profile of three runs of a study's network on this machine."""
    return StabilityProfile(
        profile=f"{study.architecture}-nano-fixed-digits-f00d",
        setting=here(study, 1),
        subset=None,
        seed=0,
        train_examples=400,
        interval=400,
        intervals=30,
        batch_size=32,
        params={"train/batch_size": 32, "train/lr": 0.1},
        figures=(
            Figure("stability_score", None, 0.9, 0.8, 1.0),
            Figure("noise_scale", 3.0, None, None, None),
        ),
        seeds=3,
        diverged=0,
        created_at=START,
    )
