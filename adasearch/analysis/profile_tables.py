"""Profiles as tables."""

from collections.abc import Sequence

from adasearch.analysis.critical_table import critical_cells, critical_text
from adasearch.io.tables import Column, render
from adasearch.io.text import wrapped
from adasearch.profiles.critical import CriticalProfile
from adasearch.profiles.profile import SpeedProfile, StabilityProfile
from adasearch.profiles.stability import FIGURES

__all__ = ["profile_tables"]

MIB = 2**20
STABILITY_NOTE = (
    "stability score: 1 / (1 + deviation / mean of the gradient norm over intervals); norm and loss "
    "variation: mean relative change from one interval to the next; noise scale in examples; each with its "
    "95 % interval over seeds. The score is ours: the DEBA paper names one whose formula is not known."
)
SPEED_NOTE = (
    "ms per step: median over blocks of steps and its 95 % interval; ms to measure: DEBA's signals (of a "
    "step, of the mean gradient), the noise scale's, and products of gradients, each time they are taken; "
    "saturated: from this size on, 90 % of the greatest number of examples per second"
)


def profile_tables(
    stability: Sequence[StabilityProfile],
    speed: Sequence[SpeedProfile],
    critical: Sequence[CriticalProfile] = (),
    form: str = "text",
    *,
    beside: Sequence[StabilityProfile] = (),
) -> str:
    """Return profiles in a ``Format``; networks of the highest stability score come first.

    JSON and CSV are one table of all, with raw values. The noise scale of those ``beside`` stands with the
    critical batch.
    """
    steady = sorted((_stability(each) for each in stability), key=_score, reverse=True)
    fast = [row for each in speed for row in _speed(each)]
    if form in ("json", "csv"):
        return render([*steady, *fast, *critical_cells(critical, beside)], [], form)
    parts = []
    if steady:
        columns = [Column(name, name) for name in ("architecture", "batch", "intervals", "seeds", "diverged")]
        columns[1:1] = [Column(name, name.replace("_", " "), _with_interval) for name in FIGURES]
        parts.append(render(steady, columns, form, title="Stability at a fixed batch"))
        parts.append(f"{wrapped(STABILITY_NOTE)}\n")
    if fast:
        parts.append("\n" if steady else "")
        parts.append(render(fast, SPEED_COLUMNS, form, title="Speed, alone on the device"))
        parts.append(f"{wrapped(SPEED_NOTE)}\n")
        parts += [_line(each) for each in speed]
    if critical:
        parts += ["\n" if parts else "", critical_text(critical, beside, form)]
    return "".join(parts)


def _line(profile: SpeedProfile) -> str:
    if profile.rising_at is not None:
        return (
            f"{profile.setting.architecture}: still rising at the largest timed size {profile.rising_at}; "
            "the same command with a greater --largest goes on\n"
        )
    a, b = profile.curve.line()
    if not b:
        return (
            f"{profile.setting.architecture}: step times do not rise with the batch size; if something else "
            "ran here, take the profile again under another --device-profile NAME\n"
        )
    fields = f"--set scheduler/seconds_per_step={a:.3g} --set scheduler/seconds_per_example={b:.3g}"
    name = profile.setting.architecture
    return f"{name}: a step takes about {a:.3g} s + {b:.3g} s per example; for goodput: {fields}\n"


def _stability(profile: StabilityProfile) -> dict[str, object]:
    figures = {each.name: each for each in profile.figures if each.epoch is None}
    return {
        "kind": "stability",
        "profile": profile.profile,
        "architecture": profile.setting.architecture,
        "batch": profile.batch_size,
        "intervals": profile.intervals,
        "seeds": profile.seeds,
        "diverged": profile.diverged,
        **{name: (each.mean, each.low, each.high) for name, each in figures.items() if each.mean is not None},
    }


def _score(row: dict[str, object]) -> float:
    found = row.get("stability_score")
    return float(found[0]) if isinstance(found, tuple) else -1.0


def _with_interval(value: object) -> str:
    assert isinstance(value, tuple)
    mean, low, high = value
    return f"{mean:.3g}" if low is None else f"{mean:.3g} ({low:.3g} to {high:.3g})"


def _speed(profile: SpeedProfile) -> list[dict[str, object]]:
    saturated = "yes" if profile.rising_at is None else "still rising"
    return [
        {
            "kind": "speed",
            "profile": profile.profile,
            "architecture": profile.setting.architecture,
            "batch": point.batch_size,
            "step": (
                1000 * point.step_seconds,
                1000 * point.step_seconds_low,
                1000 * point.step_seconds_high,
            ),
            "examples": point.batch_size / point.step_seconds,
            **{name: 1000 * seconds for name, seconds in point.measure_seconds.items()},
            "memory": None if point.peak_memory_bytes is None else point.peak_memory_bytes // MIB,
            "saturated": saturated if point.batch_size >= profile.saturation_batch_size else "",
        }
        for point in profile.points
    ]


SPEED_COLUMNS = [
    Column("profile", "profile"),
    Column("architecture", "architecture"),
    Column("batch", "batch"),
    Column("step", "ms per step", _with_interval),
    Column("examples", "examples per s"),
    Column("per_step", "ms to measure: step", lambda value: f"{value:.2g}"),
    Column("mean_gradient", "mean gradient", lambda value: f"{value:.2g}"),
    Column("noise", "noise", lambda value: f"{value:.2g}"),
    Column("products", "products", lambda value: f"{value:.2g}"),
    Column("memory", "peak MiB"),
    Column("saturated", "saturated"),
]
