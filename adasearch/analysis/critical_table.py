"""The critical batch as it was measured, as a table: beside the noise scale, and as what a ramp takes."""

import shlex
from collections.abc import Sequence

from adasearch.io.tables import Column, render
from adasearch.io.text import wrapped
from adasearch.profiles.critical import TOLERANCE, CriticalPoint, CriticalProfile
from adasearch.profiles.profile import StabilityProfile
from adasearch.profiles.stability import DIVIDED, SCALE

__all__ = ["critical_cells", "critical_text", "noise_at"]

NOTE = (
    f"critical batch: the largest size whose smoothed training loss is at most {TOLERANCE:g} nats above "
    "that of every smaller one, at the end of branches that saw the same examples, the learning rate "
    "following the size; in brackets its 95 % interval, over seeds or, of one seed, by the scatter of the "
    "losses; excess: how far the loss of a size lies above the least of a smaller one; noise scale: of a "
    "profile of stability"
)


def noise_at(profile: CriticalProfile, mark: int, beside: Sequence[StabilityProfile]) -> float | None:
    """Return the noise scale after ``mark`` examples, by the newest stability profile of the same network.

    It is that of the tenth of its runs in which the mark lies, of gradients over Adam's second moments where
    they were measured; None where there is none.
    """
    epoch = mark / profile.train_examples
    fitting = [
        each
        for each in beside
        if each.setting.network == profile.setting.network
        and each.setting.fingerprint == profile.setting.fingerprint
        and not each.diverged
    ]
    for steady in sorted(fitting, key=lambda each: each.created_at, reverse=True):
        for name in (DIVIDED, SCALE):
            for figure in steady.figures:
                if figure.name == name and figure.epoch is not None and figure.epoch >= epoch - 1e-9:
                    return figure.mean
    return None


def critical_cells(
    profiles: Sequence[CriticalProfile], beside: Sequence[StabilityProfile]
) -> list[dict[str, object]]:
    """Return a row of raw values, sizes in examples, for each profile and mark."""
    return [
        {
            "kind": "critical",
            "profile": each.profile,
            "architecture": each.setting.architecture,
            "epoch": point.mark / each.train_examples,
            "examples_seen": point.mark,
            "sequence_length": each.setting.sequence_length,
            "critical_batch": point.batch_size,
            "critical_batch_low": point.low,
            "critical_batch_high": None if point.open_end else point.high,
            "noise_scale": noise_at(each, point.mark, beside),
            "seeds": each.seeds,
            "diverged": each.diverged,
            **{f"excess_loss_{excess.batch_size}": excess.mean for excess in point.excess},
        }
        for each in profiles
        for point in each.points
    ]


def critical_text(
    profiles: Sequence[CriticalProfile], beside: Sequence[StabilityProfile], form: str = "text"
) -> str:
    """Return the table of each profile for people, in tokens of language models, and what a ramp takes."""
    parts = []
    for each in profiles:
        unit = "examples" if each.setting.sequence_length is None else "tokens"
        columns = [
            Column("epoch", "epoch"),
            Column("seen", f"{unit} seen"),
            Column("critical", f"critical batch ({unit})"),
            Column("noise", f"noise scale ({unit})"),
            Column(
                "excess",
                f"excess loss from {each.base_batch_size * (each.setting.sequence_length or 1):,} on",
            ),
        ]
        rows = [_row(each, point, beside) for point in each.points]
        title = f"Critical batch of {each.setting.architecture}, measured by branches"
        parts += [render(rows, columns, form, title=title), _fields(each), ""]
    return "\n".join([*parts, wrapped(NOTE), ""])


def _row(
    each: CriticalProfile, point: CriticalPoint, beside: Sequence[StabilityProfile]
) -> dict[str, object]:
    length = each.setting.sequence_length or 1
    noise = noise_at(each, point.mark, beside)
    end = f"{point.high * length:,}{' or more' if point.open_end else ''}"
    excess = (
        f"{found.batch_size * length:,}: {'diverged' if found.mean is None else f'{found.mean:+.3f}'}"
        for found in point.excess
    )
    return {
        "epoch": point.mark / each.train_examples,
        "seen": f"{point.mark * length:,}",
        "critical": f"{point.batch_size * length:,} ({point.low * length:,} to {end})",
        "noise": None if noise is None else f"{round(noise * length):,}",
        "excess": "  ".join(excess),
    }


def _fields(profile: CriticalProfile) -> str:
    """Return what a search takes to follow the curve."""
    name = profile.setting.architecture
    if not profile.excess:
        return f"{name}: the run diverged, so nothing was measured"
    if not profile.ramp:
        size = profile.base_batch_size * (profile.setting.sequence_length or 1)
        return f"{name}: the critical batch does not stay above {size:,}, so there is no ramp to take"
    settings = [
        f"train/batch_size={profile.base_batch_size}",
        f"scheduler/points={profile.ramp}",
        f"scheduler/coupling={profile.coupling}",
    ]
    flags = " ".join(f"--set {shlex.quote(each)}" for each in settings)
    return f"{name}: for a ramp that follows it: --scheduler ramp {flags}"
