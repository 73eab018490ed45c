"""Which trial counts: reference, candidate and untuned default of each study.

One function, :func:`choose`, holds the rule for every table and command.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from adasearch.analysis.enough import MIN_TRIALS, hardly_learnt
from adasearch.analysis.verdicts import SearchVerdict
from adasearch.objective import ERROR, is_fraction, margin_of
from adasearch.records import StudyRecord, TrialRecord
from adasearch.schedulers.registry import BASELINE

__all__ = [
    "Choice",
    "Pick",
    "alike_but_code",
    "baseline_of",
    "choose",
    "comparable",
    "complete",
    "error_bound",
    "parted_by_code",
    "pick_trials",
    "searched",
]

HASTY: frozenset[SearchVerdict] = frozenset({"not confirmed", "no change made", "no gain in search"})
"""What is said of a search that tried, and learnt, enough."""

ALIKE = (
    *("architecture", "scale", "fingerprint", "subset", "seed", "budget", "smallest", "largest"),
    *("workers", "precision", "device", "clock", "device_profile", "weights"),
    *("task", "objective", "sequence_length", "tokenizer", "code"),
)
"""What studies have in common that may be compared with one another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What the rule picks from the constant trials and one scheduler's trials.

    ``error_bound`` is E; ``candidate`` is None where there is no gain. Without a constant study
    ``error_bound`` and ``reference`` are None, too.
    """

    error_bound: float | None
    reference: TrialRecord | None
    candidate: TrialRecord | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pick:
    """The trial that stands for a study, why, and what it is compared with.

    Without a candidate it is the complete trial of lowest error, and ``stands_in`` says so; ``default`` is
    the first constant trial, our untuned default. None is what there is not.
    """

    trial: TrialRecord | None
    verdict: SearchVerdict
    stands_in: bool
    error_bound: float | None
    reference: TrialRecord | None
    default: TrialRecord | None

    @property
    def idle(self) -> bool:
        """Whether the trial is one of a scheduler that never changed the batch size."""
        trial = self.trial
        return trial is not None and trial.scheduler != BASELINE and not trial.adaptations


def error_bound(best: float, val_examples: int, *, objective: str = ERROR, se: float | None = None) -> float:
    """Return E, the validation error up to which a trial counts as equally good as the best constant one.

    ``E = best + sqrt(p (1 - p) / n)`` with ``p = max(best, 1/n)``: one standard error of a fraction
    measured on n examples. Of an objective that is no fraction, or where n is not known (0), it is the
    stored one, ``se``; without that, what counts as no difference of confirmed runs.

    >>> round(error_bound(0.10, 900), 3), error_bound(2.5, 900, objective="loss", se=0.25)
    (0.11, 2.75)
    >>> error_bound(0.25, 0, objective="error"), error_bound(2.0, 0, objective="loss")
    (0.26, 2.01)
    """
    if not is_fraction(objective) or not val_examples:
        return best + (margin_of(objective, None, best) if se is None else se)
    p = max(best, 1 / val_examples)
    return best + math.sqrt(p * (1 - p) / val_examples)


def choose(
    constant: Sequence[TrialRecord], adaptive: Sequence[TrialRecord], *, val_examples: int, clock: str
) -> Choice:
    """Pick the reference among the constant trials and the candidate among a scheduler's.

    Only complete trials of phase search count. Reference: the constant trial with the least seconds among
    those with ``val_error <= E``. Candidate: the adaptive trial with the least seconds among those with
    ``val_error <= E`` that acted, or where none did among all with ``val_error <= E``, if it is faster than
    the reference. Ties go to the lower error, then number.
    """
    constants = complete(constant)
    if not constants:
        return Choice(error_bound=None, reference=None, candidate=None)
    best = min(constants, key=lambda trial: trial.known_error)
    bound = error_bound(best.known_error, val_examples, objective=best.objective, se=best.val_error_se)
    reference = _fastest(constants, bound, clock)
    ended = complete(adaptive)
    acted = [trial for trial in ended if trial.adaptations]
    candidate = _fastest(acted, bound, clock) or _fastest(ended, bound, clock)
    if candidate and reference and candidate.seconds(clock) >= reference.seconds(clock):
        candidate = None
    return Choice(error_bound=bound, reference=reference, candidate=candidate)


def complete(trials: Sequence[TrialRecord]) -> list[TrialRecord]:
    """Return the trials that may be chosen from: complete ones of phase search."""
    return [
        trial
        for trial in trials
        if trial.status == "complete" and trial.phase == "search" and trial.val_error is not None
    ]


def _fastest(trials: Sequence[TrialRecord], bound: float, clock: str) -> TrialRecord | None:
    fit = [trial for trial in trials if trial.known_error <= bound]
    return min(fit, key=lambda trial: (trial.seconds(clock), trial.known_error, trial.number), default=None)


def pick_trials(studies: Sequence[StudyRecord], trials: Sequence[TrialRecord]) -> dict[str, Pick]:
    """Return what stands for each study, by its name."""
    by_study = searched(studies, trials)
    picks = {}
    for study in studies:
        baseline = baseline_of(study, studies)
        picks[study.study] = _pick(study, by_study[study.study], by_study[baseline.study] if baseline else [])
    return picks


def searched(studies: Sequence[StudyRecord], trials: Sequence[TrialRecord]) -> dict[str, list[TrialRecord]]:
    """Return the trials of phase search by study; every study has a list."""
    by_study: dict[str, list[TrialRecord]] = {study.study: [] for study in studies}
    for trial in trials:
        if trial.study in by_study and trial.phase == "search":
            by_study[trial.study].append(trial)
    return by_study


def _pick(study: StudyRecord, trials: Sequence[TrialRecord], constant: Sequence[TrialRecord]) -> Pick:
    choice = choose(constant, trials, val_examples=study.val_examples, clock=study.clock)
    chosen, verdict = _standing(study, trials, choice)
    stands_in = chosen is not None and study.scheduler != BASELINE and choice.candidate is None
    if verdict in HASTY and _too_few(trials, constant, choice, chosen):
        verdict = "too few to say"
    return Pick(
        trial=chosen,
        verdict=verdict,
        stands_in=stands_in,
        error_bound=choice.error_bound,
        reference=choice.reference,
        default=next((trial for trial in complete(constant) if trial.number == 0), None),
    )


def _too_few(
    trials: Sequence[TrialRecord],
    constant: Sequence[TrialRecord],
    choice: Choice,
    chosen: TrialRecord | None,
) -> bool:
    """Tell whether a search is too short, or learnt too little, to say what was gained."""
    ended = min(sum(t.status in ("complete", "pruned") for t in each) for each in (trials, constant))
    known = [each for each in (chosen, choice.reference) if each is not None]
    fractions = [each.known_error for each in known if is_fraction(each.objective)]
    return ended < MIN_TRIALS or (bool(fractions) and hardly_learnt(fractions))


def _standing(
    study: StudyRecord, trials: Sequence[TrialRecord], choice: Choice
) -> tuple[TrialRecord | None, SearchVerdict]:
    """Return the trial that stands for a study, and why."""
    best = min(complete(trials), key=lambda trial: (trial.known_error, trial.number), default=None)
    if best is None:
        return None, "no complete trial"
    if study.scheduler == BASELINE:
        return choice.reference, "reference"
    if choice.reference is None:
        return best, "no reference"
    if choice.candidate is None:
        return best, "no gain in search"
    # A trial that changed nothing is another constant run, whatever it gained.
    return choice.candidate, "not confirmed" if choice.candidate.adaptations else "no change made"


def baseline_of(study: StudyRecord, studies: Sequence[StudyRecord]) -> StudyRecord | None:
    """Return the constant study that ``study`` is compared with: same network, data, budget and clock."""
    if study.scheduler == BASELINE:
        return study
    alike = [
        other
        for other in studies
        if other.scheduler == BASELINE and all(getattr(other, name) == getattr(study, name) for name in ALIKE)
    ]
    same_prefix = [other for other in alike if other.prefix == study.prefix]
    return next(iter(same_prefix or alike), None)


def parted_by_code(study: StudyRecord, studies: Sequence[StudyRecord]) -> StudyRecord | None:
    """Return the constant study that ``study`` would be compared with if both were of one source."""
    if baseline_of(study, studies) is not None:
        return None
    return next(
        (each for each in studies if each.scheduler == BASELINE and alike_but_code(study, each)), None
    )


def alike_but_code(one: StudyRecord, other: StudyRecord) -> bool:
    """Tell whether studies of one training function differ in its source alone, of what comparing asks."""
    names = [name for name in ALIKE if name != "code"]
    alike = all(getattr(one, name) == getattr(other, name) for name in names)
    return alike and one.prefix == other.prefix and one.code != other.code


def comparable(studies: Sequence[StudyRecord], *, timed: bool = True) -> list[list[StudyRecord]]:
    """Return the studies in groups that may be compared: same network, data, budget and clock.

    Where time is not asked for (``timed`` is False), the clock may differ.
    """
    names = [name for name in ALIKE if timed or name not in ("clock", "device_profile")]
    groups: dict[tuple[object, ...], list[StudyRecord]] = {}
    for study in studies:
        groups.setdefault(tuple(getattr(study, name) for name in names), []).append(study)
    return list(groups.values())
