"""What stands behind the numbers: which trials there are, what failed, and what they ran on."""

from collections import Counter
from collections.abc import Sequence

from adasearch.analysis.compare import unfinished
from adasearch.analysis.gather import Gathered
from adasearch.counts import count, size, told, unit_of
from adasearch.io.advice import command
from adasearch.io.progress import duration
from adasearch.records import StudyRecord, TrialRecord
from adasearch.schedulers.registry import BASELINE

__all__ = ["missing", "setup", "states"]

SHOWN = 20  # values of a line of the set-up


def states(found: Gathered) -> dict[str, dict[str, int]]:
    """Return how many trials of each chosen study's search have which status."""
    counted: dict[str, dict[str, int]] = {}
    for study in found.chosen:
        own = [t for t in found.trials if t.study == study.study and t.phase == "search"]
        counted[study.study] = dict(Counter(trial.status for trial in own))
    return counted


def missing(found: Gathered, results: str) -> list[str]:
    """Return a sentence for everything that the report would show if it were there."""
    if not found.chosen:
        begins = command("search", results=results, architecture="resnet18")
        return [f"There is no study in this folder yet: '{begins}' begins one."]
    lines = [*unfinished(found.rows), *found.parted]
    confirmed = {row.study for row in found.evidence if row.pairs}
    for row in found.rows:
        parted = any(line.startswith(f"{row.study}:") for line in found.parted)
        if row.verdict == "no reference" and not parted:
            lines.append(f"{row.study}: there is no complete constant trial to compare it with")
    open_ = [
        r.study for r in found.rows if r.scheduler != BASELINE and r.trial_id and r.study not in confirmed
    ]
    if open_:
        lines.append(
            f"not confirmed: {', '.join(open_)}; '{command('confirm', results=results)}' runs the candidates "
            "and their controls on fresh seeds"
        )
    for each in found.evidence:
        runs = each.runs
        if runs.unfinished or runs.failed:
            lines.append(
                f"{each.study}, {each.role}: {runs.seeds} seeds complete, {runs.failed} failed, "
                f"{runs.unfinished} unfinished"
            )
    return lines


def setup(studies: Sequence[StudyRecord], trials: Sequence[TrialRecord]) -> list[tuple[str, str]]:
    """Return name and value of what the studies ran with; several values where they differ."""
    lines = [
        (
            "data",
            [_data(study) for study in studies],
        ),
        (
            "budget",
            [f"{s.budget / s.train_examples:g} epochs, {_counted(s.budget, s)} {_unit(s)}" for s in studies],
        ),
        (
            "interval",
            [
                f"{_counted(s.interval, s)} {_unit(s)}, {s.interval / s.train_examples:.3g} epochs"
                for s in studies
            ],
        ),
        (
            "batch sizes",
            [
                f"{size(s.smallest, s.sequence_length)} to {told(s.largest, s.sequence_length)}"
                for s in studies
            ],
        ),
        ("search", [f"{s.sampler}, stopper {s.stopper}, objectives {s.objectives}" for s in studies]),
        ("clock", [f"{s.clock}{f' ({s.device_profile})' if s.device_profile else ''}" for s in studies]),
        ("hardware", [f"{t.device}, workers: {t.workers}" for t in trials]),
        ("precision", [f"{s.precision}{', compiled' if s.compile else ''}" for s in studies]),
        ("seeds", [f"{t.phase}: {_seeds(trials, t.phase)}" for t in trials]),
        ("versions", [", ".join(f"{name} {value}" for name, value in t.versions.items()) for t in trials]),
    ]
    begun = [trial.started_at for trial in trials]
    ended = [trial.ended_at for trial in trials if trial.ended_at is not None]
    if begun:
        until = f" to {max(ended):%Y-%m-%d %H:%M}" if ended else ""
        lines.append(("when", [f"{min(begun):%Y-%m-%d %H:%M}{until} UTC"]))
    parts = [(t.train_seconds, t.eval_seconds) for t in trials]
    spent = sum(part or 0.0 for pair in parts for part in pair)
    lines.append(("time in all", [f"{duration(spent)} of training and evaluation, all trials"]))
    return [(name, _distinct(values)) for name, values in lines if any(values)]


def _data(study: StudyRecord) -> str:
    """Return a study's data and their sizes; what a training function validates on it knows alone."""
    train = f"{_counted(study.train_examples, study)} to train"
    if study.task == "own":
        return train
    return f"{study.dataset}: {train}, {_counted(study.val_examples, study)} to validate"


def _counted(examples: int, study: StudyRecord) -> str:
    return f"{count(examples, study.sequence_length):,}"


def _unit(study: StudyRecord) -> str:
    return unit_of([study.sequence_length])


def _distinct(values: Sequence[str]) -> str:
    counted = Counter(value for value in values if value)
    shown = [value for value, _ in counted.most_common(SHOWN)]
    more = [f"and {len(counted) - SHOWN} more"] if len(counted) > SHOWN else []
    return "; ".join([*shown, *more])


def _seeds(trials: Sequence[TrialRecord], phase: str) -> str:
    seeds = sorted({trial.seed for trial in trials if trial.phase == phase})
    return ", ".join(map(str, seeds[:SHOWN])) + (f" and {len(seeds) - SHOWN} more" if seeds[SHOWN:] else "")
