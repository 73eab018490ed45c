"""Profiles and what they promise, as figures; see :mod:`adasearch.plots` for the house rules."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from adasearch.analysis.critical_table import noise_at
from adasearch.analysis.prediction import Gain
from adasearch.plots.axes import left_title, legend, over_examples, plain_axes, plain_ticks, sizes
from adasearch.plots.style import ADAPTIVE, GREY, NOTEBOOK, Drawn, Style, Tips
from adasearch.profiles.critical import CriticalProfile
from adasearch.profiles.profile import SpeedProfile, StabilityProfile
from adasearch.records import TrialRecord

__all__ = [
    "critical_batch",
    "draw_critical",
    "modelled_against_measured",
    "score_against_gain",
    "throughput",
]

BAND = 0.05  # of the measured time, within which modelled time should lie


def throughput(profiles: Sequence[SpeedProfile]) -> Figure:
    """Draw how many times faster than at the smallest batch each network works, against the batch size."""
    figure, axes = NOTEBOOK.axes(3.6)
    axes.set_xscale("log", base=2)
    ends = []
    for place, profile in enumerate(profiles):
        rates = [point.batch_size / point.step_seconds for point in profile.points]
        gains = [rate / rates[0] for rate in rates]
        colour, shape = NOTEBOOK.look(place)
        name = profile.setting.architecture
        dashes = "-" if place < len(ADAPTIVE) else "--"
        axes.plot(profile.curve.sizes, gains, dashes, marker=shape, color=colour, gid=name)
        ends.append((gains[-1], profile.curve.sizes[-1], name, colour))
    _name_ends(axes, ends)
    axes.axhline(1, color=GREY, lw=0.8, ls=":")
    plain_ticks(axes.xaxis)
    axes.set_xlabel("batch size (examples per step)")
    axes.set_ylabel("examples per second,\ntimes those at the smallest size")
    left_title(axes, "What a larger batch saves on this device")
    return figure


def critical_batch(profile: CriticalProfile, beside: Sequence[StabilityProfile] = ()) -> Figure:
    """Draw a measured critical batch over the run, and the noise scale of profiles ``beside`` it."""
    drawn = draw_critical(profile, beside, style=NOTEBOOK)
    left_title(drawn.figure.axes[0], f"Critical batch of {profile.setting.architecture}")
    return drawn.figure


def draw_critical(profile: CriticalProfile, beside: Sequence[StabilityProfile], *, style: Style) -> Drawn:
    """Draw the critical batch with its interval at each mark, and the noise scale; in tokens of text."""
    figure, axes = style.axes(3.4)
    length = profile.setting.sequence_length or 1
    unit = "examples" if profile.setting.sequence_length is None else "tokens"
    points, tips = profile.points, Tips()
    marks = [point.mark * length for point in points]
    if points:
        colour, shape = style.look(0)
        axes.vlines(
            marks, [point.low * length for point in points], [point.high * length for point in points],
            color=colour, lw=1.2,
        )  # fmt: skip
        sizes_ = [point.batch_size * length for point in points]
        (drawn,) = axes.plot(
            marks, sizes_, shape, ls="-", color=colour, label="critical batch", gid="critical batch"
        )
        ends = (f"{point.high * length:,}{' or more' if point.open_end else ''}" for point in points)
        tips.append(
            (
                drawn,
                [
                    f"{size:,} {unit} ({point.low * length:,} to {end}) at {mark:,} {unit} seen"
                    for mark, size, point, end in zip(marks, sizes_, points, ends, strict=True)
                ],
            )
        )
    noise = [(point.mark * length, noise_at(profile, point.mark, beside)) for point in points]
    known = [(mark, each * length) for mark, each in noise if each is not None and each > 0]
    if known:
        axes.plot(*zip(*known, strict=True), "--o", color=style.grey, label="noise scale", gid="noise scale")
        legend(figure)
    sizes(axes)
    axes.set_ylabel(f"batch size ({unit})")
    over_examples(axes, f"training {unit} seen")
    note = "Bars are 95 % intervals; the largest size that was tried may stand for a larger one."
    return Drawn(figure, tips, note)


def score_against_gain(outcomes: Sequence[Gain]) -> Figure:
    """Draw the speed-up over the tuned reference against the stability score, one panel per scheduler.

    Outcomes of more than a point of error above the reference, whose times do not compare, are named below
    the axis in place of a mark. Those without a score are left out.
    """
    names = list(dict.fromkeys(each.scheduler for each in outcomes))
    figure = NOTEBOOK.figure(3.4)
    panels = figure.subplots(1, max(1, len(names)), sharey=True, squeeze=False)[0]
    for place, (axes, name) in enumerate(zip(panels, names, strict=False)):
        plain_axes(axes)
        colour, shape = NOTEBOOK.look(place)
        for each in outcomes:
            score = each.traits.stability_score
            if each.scheduler != name or score is None or not each.times_compare:
                continue
            axes.plot(score, each.speedup, shape, color=colour, gid=each.traits.architecture)
            axes.annotate(
                each.traits.architecture,
                (score, each.speedup),
                xytext=(5, 4),
                textcoords="offset points",
                fontsize=8,
            )
        axes.margins(x=0.35, y=0.2)
        axes.axhline(1, color=GREY, lw=0.8, ls=":")
        poorer = [
            each.traits.architecture
            for each in outcomes
            if each.scheduler == name and not each.times_compare and each.traits.stability_score is not None
        ]
        note = f"\nat a higher error: {', '.join(poorer)}" if poorer else ""
        axes.set_xlabel(f"stability score{note}", fontsize=9)
        left_title(axes, name)
    panels[0].set_ylabel("speed-up over the reference")
    return figure


def modelled_against_measured(trials: Sequence[TrialRecord]) -> Figure:
    """Draw each trial's modelled seconds against its measured ones; the grey band is 5 % to either side."""
    figure, axes = NOTEBOOK.axes(3.8)
    timed = [trial for trial in trials if trial.modelled_seconds and trial.train_seconds]
    for place, name in enumerate(dict.fromkeys(trial.architecture for trial in timed)):
        own = [trial for trial in timed if trial.architecture == name]
        colour, shape = NOTEBOOK.look(place)
        measured = [trial.train_seconds or 0.0 for trial in own]
        modelled = [trial.modelled_seconds or 0.0 for trial in own]
        axes.plot(measured, modelled, shape, color=colour, alpha=0.6, mew=0, gid=name, label=name)
    if timed:
        top = max(max(trial.modelled_seconds or 0.0, trial.train_seconds or 0.0) for trial in timed)
        axes.fill_between([0, top], [0, (1 - BAND) * top], [0, (1 + BAND) * top], color=GREY, alpha=0.3)
        axes.legend(frameon=False, fontsize=8.5)
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("measured seconds of a trial")
    axes.set_ylabel("modelled seconds")
    return figure


def _name_ends(axes: Axes, ends: list[tuple[float, int, str, str]]) -> None:
    """Name each line at its right end, names moved apart where they would touch."""
    low, high = axes.get_ylim()
    gap, floor = (high - low) / 18, -float("inf")
    for gain, size, name, colour in sorted(ends):
        floor = max(gain, floor + gap)
        axes.annotate(
            name,
            (size, gain),
            xytext=(size * 1.12, floor),
            textcoords="data",
            va="center",
            fontsize=8.5,
            color=colour,
            annotation_clip=False,
        )
