"""Profiles as tables."""

from collections.abc import Collection, Iterable, Sequence

from adasearch.analysis.critical_table import critical_cells, critical_text
from adasearch.counts import count, headed, told, unit_of
from adasearch.io.tables import Column, render
from adasearch.io.text import wrapped
from adasearch.profiles.critical import CriticalProfile
from adasearch.profiles.profile import SpeedProfile, StabilityProfile
from adasearch.profiles.stability import FIGURES

__all__ = ["profile_tables"]

MIB = 2**20
STABILITY_NOTE = (
    "stability score: 1 / (1 + deviation / mean of the gradient norm over intervals); norm and loss "
    "variation: mean relative change from one interval to the next; noise scale in {unit}; each with its "
    "95 % interval over seeds. The score is ours: the DEBA paper names one whose formula is not known."
)
SPEED_NOTE = (
    "ms per step: median over blocks of steps and its 95 % interval; ms to measure: DEBA's signals (of a "
    "step, of the mean gradient), the noise scale's, and products of gradients, each time they are taken; "
    "saturated: from this size on, 90 % of the greatest number of {unit} per second"
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

    JSON and CSV are one table of all, with raw values, which count examples. The noise scale of those
    ``beside`` stands with the critical batch.
    """
    if form in ("json", "csv"):
        rows = [*_steadiest(_stability(each, None) for each in stability), *_timed(speed, raw=True)]
        return render([*rows, *critical_cells(critical, beside)], [], form)
    steady = _steadiest(_stability(each, each.setting.sequence_length) for each in stability)
    settings = [*(each.setting for each in stability), *(each.setting for each in speed)]
    lengths = [each.sequence_length for each in settings]
    unit = unit_of(lengths)
    parts = []
    if steady:
        names = ("architecture", "batch", "intervals", "seeds", "diverged")
        columns = [Column(name, name) for name in names]
        columns[1:1] = [Column(name, name.replace("_", " "), _with_interval) for name in FIGURES]
        columns = _in_unit(columns, lengths)
        parts.append(render(steady, columns, form, title="Stability at a fixed batch"))
        parts.append(f"{wrapped(STABILITY_NOTE.format(unit=unit))}\n")
    if speed:
        parts.append("\n" if steady else "")
        columns = _in_unit(SPEED_COLUMNS, lengths)
        parts.append(render(_timed(speed), columns, form, title="Speed, alone on the device"))
        parts.append(f"{wrapped(SPEED_NOTE.format(unit=unit))}\n")
        parts += [_line(each) for each in speed]
    if critical:
        parts += ["\n" if parts else "", critical_text(critical, beside, form)]
    return "".join(parts)


def _line(profile: SpeedProfile) -> str:
    length = profile.setting.sequence_length
    if profile.rising_at is not None:
        return (
            f"{profile.setting.architecture}: still rising at the largest timed size "
            f"{told(profile.rising_at, length)}; the same command with a greater --largest goes on\n"
        )
    a, b = profile.curve.line()
    if not b:
        return (
            f"{profile.setting.architecture}: step times do not rise with the batch size; if something else "
            "ran here, take the profile again under another --device-profile NAME\n"
        )
    fields = f"--set scheduler/seconds_per_step={a:.3g} --set scheduler/seconds_per_example={b:.3g}"
    name = profile.setting.architecture
    what = "example" if length is None else f"sequence of {length} tokens"
    return f"{name}: a step takes about {a:.3g} s + {b:.3g} s per {what}; for goodput: {fields}\n"


def _in_unit(columns: Sequence[Column], sequence_lengths: Collection[int | None]) -> list[Column]:
    """Return columns whose counts are called and written as what they are."""
    unit = unit_of(sequence_lengths)
    if unit == "examples":
        return list(columns)
    counts = {
        "batch": Column("batch", headed("batch", sequence_lengths), _grouped),
        "examples": Column("examples", f"{unit} per s", _grouped),
        "noise_scale": Column("noise_scale", "noise scale", _grouped_interval),
    }
    return [counts.get(each.key, each) for each in columns]


def _grouped(value: object) -> str:
    assert isinstance(value, int | float)
    return f"{value:,.0f}"


def _grouped_interval(value: object) -> str:
    assert isinstance(value, tuple)
    mean, low, high = value
    return _grouped(mean) if low is None else f"{_grouped(mean)} ({_grouped(low)} to {_grouped(high)})"


def _steadiest(rows: Iterable[dict[str, object]]) -> list[dict[str, object]]:
    return sorted(rows, key=_score, reverse=True)


def _stability(profile: StabilityProfile, sequence_length: int | None) -> dict[str, object]:
    """Return a row of a profile, its counts in tokens where the length of a sequence is given."""
    figures = {each.name: each for each in profile.figures if each.epoch is None}
    units = {"noise_scale": sequence_length}
    return {
        "kind": "stability",
        "profile": profile.profile,
        "architecture": profile.setting.architecture,
        "batch": count(profile.batch_size, sequence_length),
        "intervals": profile.intervals,
        "seeds": profile.seeds,
        "diverged": profile.diverged,
        **{
            name: tuple(
                None if value is None else count(value, units.get(name))
                for value in (each.mean, each.low, each.high)
            )
            for name, each in figures.items()
            if each.mean is not None
        },
    }


def _score(row: dict[str, object]) -> float:
    found = row.get("stability_score")
    return float(found[0]) if isinstance(found, tuple) else -1.0


def _with_interval(value: object) -> str:
    assert isinstance(value, tuple)
    mean, low, high = value
    return f"{mean:.3g}" if low is None else f"{mean:.3g} ({low:.3g} to {high:.3g})"


def _timed(profiles: Sequence[SpeedProfile], *, raw: bool = False) -> list[dict[str, object]]:
    return [row for each in profiles for row in _speed(each, None if raw else each.setting.sequence_length)]


def _speed(profile: SpeedProfile, sequence_length: int | None) -> list[dict[str, object]]:
    saturated = "yes" if profile.rising_at is None else "still rising"
    return [
        {
            "kind": "speed",
            "profile": profile.profile,
            "architecture": profile.setting.architecture,
            "batch": count(point.batch_size, sequence_length),
            "step": (
                1000 * point.step_seconds,
                1000 * point.step_seconds_low,
                1000 * point.step_seconds_high,
            ),
            "examples": count(point.batch_size, sequence_length) / point.step_seconds,
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
