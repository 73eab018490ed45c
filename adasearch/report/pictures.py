"""The figures of :mod:`adasearch.plots` as the report shows them, in the order in which a reader asks."""

from collections.abc import Mapping, Sequence

from adasearch.analysis.ceiling_table import network_of
from adasearch.analysis.confirmed import ConfirmedRow
from adasearch.analysis.importance import ImportanceRow
from adasearch.analysis.search_table import SearchRow
from adasearch.analysis.trajectory import deba_of
from adasearch.counts import unit_of
from adasearch.plots.bars import draw_states, draw_time_spent
from adasearch.plots.confirmed import draw_gains, draw_reached
from adasearch.plots.importance import draw_importances
from adasearch.plots.profiles import draw_critical
from adasearch.plots.search import draw_front
from adasearch.plots.signals import draw_deba, draw_signals
from adasearch.plots.style import Drawn
from adasearch.plots.trajectories import DrawnRun, draw_trajectories
from adasearch.profiles.critical import CriticalProfile
from adasearch.profiles.profile import StabilityProfile
from adasearch.records import IntervalRecord, StudyRecord, TrialRecord
from adasearch.report.runs import drawn_runs, reached_cases
from adasearch.report.svg import PAGE, Picture, picture, themed

__all__ = ["critical_pictures", "network_pictures", "speed_picture", "states_picture"]


@themed
def speed_picture(evidence: Sequence[ConfirmedRow], rows: Sequence[SearchRow]) -> Picture | None:
    """Show what each scheduler gains; None where no speed-up is known."""
    return picture(draw_gains(evidence, rows, style=PAGE), "What is gained", "all networks")


@themed
def states_picture(states: Mapping[str, Mapping[str, int]]) -> Picture | None:
    """Show how the trials of each study ended, by study and status; None without a trial."""
    known = any(sum(each.values()) for each in states.values())
    return picture(draw_states(states, style=PAGE) if known else None, "How the trials ended", "all studies")


@themed
def network_pictures(
    about: str,
    group: Sequence[StudyRecord],
    trials: Sequence[TrialRecord],
    intervals: Mapping[str, Sequence[IntervalRecord]],
    evidence: Sequence[ConfirmedRow],
    importances: Sequence[ImportanceRow],
) -> list[Picture]:
    """Return everything about one network.

    Args:
        about: the network.
        group: its studies, which are comparable.
        trials: the studies'.
        intervals: those of the runs that stand for something, by trial_id.
        evidence: what was confirmed.
        importances: of the studies' settings.
    """
    clock = group[0].clock
    runs = drawn_runs(group, trials, intervals)
    timed = [run for run in runs if run.timed]
    standing = {run.trial.trial_id: run.label for run in runs}
    figures: list[tuple[str, Drawn | None]] = [
        ("Error against time", draw_front(group, trials, standing, style=PAGE))
    ]
    if runs:
        over = f"Course over {unit_of([group[0].sequence_length])}"
        figures.append((over, draw_trajectories(runs, clock=None, style=PAGE)))
    if timed:
        figures.append(("Course over time", draw_trajectories(timed, clock=clock, style=PAGE)))
    for study in group:
        for place, case in enumerate(reached_cases(study, evidence, trials, intervals)):
            name = study.scheduler if not place else f"{study.scheduler}, candidate {place + 1}"
            figures.append((f"Time to the target: {name}", draw_reached(case, clock=clock, style=PAGE)))
    figures += [_signals(run) for run in runs if run.role == "scheduler" and len(run.intervals) > 1]
    if runs:
        spent = {run.label: run.intervals for run in runs}
        figures.append(("Where the time went", draw_time_spent(spent, style=PAGE)))
    alone = len({study.scheduler for study in group}) == len(group)
    for study in reversed(group):
        own = [row for row in importances if row.study == study.study]
        name = study.scheduler if alone else study.study
        figures.append((f"What mattered: {name}", draw_importances(own, style=PAGE)))
    pictures = [picture(drawn, title, about) for title, drawn in figures]
    return [each for each in pictures if each is not None]


@themed
def critical_pictures(
    about: str,
    study: StudyRecord,
    profiles: Sequence[CriticalProfile],
    beside: Sequence[StabilityProfile],
) -> list[Picture]:
    """Return the newest measured critical batch of a study's network, if there is one."""
    network = (study.architecture, study.scale, study.fingerprint)
    own = [each for each in profiles if network_of(each.setting) == network]
    if not own:
        return []
    newest = max(own, key=lambda each: each.created_at)
    found = picture(draw_critical(newest, beside, style=PAGE), "Critical batch, measured", about)
    return [] if found is None else [found]


def _signals(run: DrawnRun) -> tuple[str, Drawn | None]:
    """Draw DEBA's indicators and thresholds, or the signals that were measured, in two intervals at least."""
    length = run.sequence_length
    needs = deba_of(run.trial).needs if run.trial.scheduler == "deba" else None
    if needs is None or any(getattr(r.signals, name) is None for r in run.intervals for name in needs):
        return f"Signals: {run.label}", draw_signals(run.intervals, style=PAGE, sequence_length=length)
    drawn = draw_deba(run.trial, run.intervals, style=PAGE, sequence_length=length)
    return f"Signals against thresholds: {run.label}", drawn
