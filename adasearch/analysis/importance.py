"""Which searched parameters mattered, per study, and how two of them go together.

Importances are Optuna's, of complete trials alone: a parameter that got trials stopped early looks less
important than it was. Two evaluators are there. ``fanova`` (Hutter et al. 2014; needs scikit-learn) fits
random forests to all complete trials and splits the variance of what they predict; the default, since it
needs few trials. ``ped-anova`` (Watanabe et al. 2023, arXiv 2304.10255) asks what sets the best tenth of the
trials apart, and needs five of these.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from adasearch.analysis.selection import complete
from adasearch.errors import InputError
from adasearch.io.tables import Column, render
from adasearch.io.text import wrapped
from adasearch.records import StudyRecord, TrialRecord
from adasearch.schedulers.registry import BASELINE

if TYPE_CHECKING:
    from optuna.importance import BaseImportanceEvaluator
    from optuna.trial import FrozenTrial

__all__ = [
    "MIN_TRIALS",
    "OBJECTIVES",
    "SEEDS",
    "TITLES",
    "ImportanceRow",
    "importance_rows",
    "importance_table",
]

SEEDS = 5
OBJECTIVES = ("val_error", "seconds")
MIN_TRIALS = {"fanova": 8, "ped-anova": 50}
"""Complete trials that an evaluator needs at least.

Fanova: in draws of a known function of 8 parameters the most important one came first in 6 of 12 draws of 6
trials, and in at least 10 of 12 from 8 trials on. Ped-anova: Optuna's advice of 5 trials in the best tenth.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportanceRow:
    """How much of one objective a parameter explains in one study.

    Args:
        study, architecture, scheduler: whose trials they are.
        objective: "val_error", or "seconds" by ``clock``.
        evaluator, seeds: which :data:`~adasearch.choices.Evaluator`, with how many seeds.
        complete: trials that count.
        parameter: by prefixed name; parameters that were fixed have no row.
        importance: mean over the seeds; a study's add up to 1. None where ``note`` says why.
        spread: standard deviation over the seeds if each also draws the trials anew, with replacement.
    """

    study: str
    architecture: str
    scheduler: str
    objective: str
    clock: str
    evaluator: str
    seeds: int
    complete: int
    parameter: str
    importance: float | None = None
    spread: float | None = None
    note: str = ""


def importance_rows(
    studies: Sequence[StudyRecord],
    trials: Sequence[TrialRecord],
    *,
    evaluator: str = "fanova",
    seeds: int = SEEDS,
) -> list[ImportanceRow]:
    """Return a row per study, objective and searched parameter; the constant baseline's come last.

    The mean is over evaluations of all complete trials. These alone differ too little: with 8 to 24 trials
    their spread is a third of that between two searches. So each seed also draws as many trials with
    replacement, and the spread is that of these evaluations.

    Raises:
        InputError: an unknown evaluator, or fewer than 2 seeds.
    """
    if evaluator not in MIN_TRIALS:
        raise InputError(f"evaluator must be one of {', '.join(MIN_TRIALS)} but got {evaluator!r}")
    if seeds < 2:
        raise InputError(f"seeds must be at least 2 but got {seeds}")
    order = sorted(studies, key=lambda s: (s.scheduler == BASELINE, s.scheduler, s.architecture, s.study))
    return [
        row
        for study in order
        for objective in range(len(OBJECTIVES))
        for row in _study_rows(study, trials, objective, evaluator, seeds)
    ]


def _study_rows(
    study: StudyRecord, trials: Sequence[TrialRecord], objective: int, evaluator: str, seeds: int
) -> list[ImportanceRow]:
    from optuna.importance import FanovaImportanceEvaluator, PedAnovaImportanceEvaluator
    from optuna.trial import TrialState

    from adasearch.spaces.optuna_trials import distributions_of, frozen_trial

    distributions = distributions_of(study)
    ended = [frozen_trial(t, distributions, study.clock) for t in complete(trials) if t.study == study.study]
    ended = [trial for trial in ended if trial.state == TrialState.COMPLETE]  # with both values, that is

    def evaluator_of(seed: int) -> "BaseImportanceEvaluator":
        return (
            FanovaImportanceEvaluator(seed=seed) if evaluator == "fanova" else PedAnovaImportanceEvaluator()
        )

    note = _objection(ended, objective, MIN_TRIALS[evaluator])
    shares, drawn = (
        ([], []) if note or not distributions else _evaluated(ended, objective, evaluator_of, seeds)
    )
    return [
        ImportanceRow(
            study=study.study,
            architecture=study.architecture,
            scheduler=study.scheduler,
            objective=OBJECTIVES[objective],
            clock=study.clock,
            evaluator=evaluator,
            seeds=seeds,
            complete=len(ended),
            parameter=name,
            # A choice of a single value has no share.
            importance=float(np.mean([each.get(name, 0.0) for each in shares])) if shares else None,
            spread=float(np.std([each.get(name, 0.0) for each in drawn], ddof=1)) if len(drawn) > 1 else None,
            note=note,
        )
        for name in distributions
    ]


def _objection(trials: "Sequence[FrozenTrial]", objective: int, fewest: int) -> str:
    """Return why these trials tell nothing; empty if they do."""
    if len(trials) < fewest:
        return f"too few trials: {len(trials)}, at least {fewest}"
    return "" if _varied(trials, objective) else f"all {len(trials)} trials have the same value"


def _varied(trials: "Sequence[FrozenTrial]", objective: int) -> bool:
    return len({trial.values[objective] for trial in trials}) > 1


def _evaluated(
    trials: "Sequence[FrozenTrial]",
    objective: int,
    evaluator: "Callable[[int], BaseImportanceEvaluator]",
    seeds: int,
) -> tuple[list[Mapping[str, float]], list[Mapping[str, float]]]:
    """Return the shares of all trials, and of a draw of them, for each seed."""
    shares, drawn = [], []
    for seed in range(seeds):
        shares.append(_shares(trials, objective, evaluator(seed)))
        places = np.random.default_rng(seed).integers(len(trials), size=len(trials))
        draw = [trials[place] for place in places]
        if _varied(draw, objective):
            drawn.append(_shares(draw, objective, evaluator(seed)))
    return shares, drawn


def _shares(
    trials: "Sequence[FrozenTrial]", objective: int, evaluator: "BaseImportanceEvaluator"
) -> Mapping[str, float]:
    from optuna.importance import get_param_importances

    from adasearch.spaces.optuna_trials import new_study

    study = new_study()
    study.add_trials(trials)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what is experimental, or of draws that repeat a trial
        return get_param_importances(study, evaluator=evaluator, target=lambda trial: trial.values[objective])


TITLES = {"val_error": "validation error", "seconds": "seconds"}


def importance_table(
    rows: Sequence[ImportanceRow], form: str, *, mark: str = "", width: int | None = None
) -> str:
    """Return importances in a :data:`~adasearch.choices.Format`; JSON and CSV hold every raw row.

    ``mark`` is added to the titles.
    """
    if form in ("csv", "json"):
        return render([asdict(row) for row in rows], [], form)
    if not rows:
        return "nothing was searched\n"
    parts = []
    for scheduler, objective in dict.fromkeys((row.scheduler, row.objective) for row in rows):
        own = [row for row in rows if (row.scheduler, row.objective) == (scheduler, objective)]
        clocks = " and ".join(sorted({row.clock for row in own}))
        what = TITLES[objective] + (f" ({clocks} clock)" if objective == "seconds" else "")
        if any(row.importance is not None for row in own):
            parts.append(
                _one_table(own, form, title=f"{scheduler}: what mattered for {what}{mark}", width=width)
            )
        else:
            why = dict.fromkeys(f"{row.study} ({row.note})" for row in own)
            parts.append(f"{scheduler}: what mattered for {what} cannot be told: {', '.join(why)}\n")
    known = any(row.importance is not None for row in rows)
    return "\n".join([*parts, *([wrapped(_note(rows), width)] if known else []), ""])


def _one_table(rows: Sequence[ImportanceRow], form: str, *, title: str, width: int | None) -> str:
    studies = {row.study: row.architecture for row in rows}
    alone = len(set(studies.values())) == len(studies)
    columns = [Column("parameter", "parameter")]
    columns += [Column(study, network if alone else study) for study, network in studies.items()]
    columns = [*columns, Column("mean", "mean", _share)] if len(studies) > 1 else columns
    means: dict[str, float | None] = {}
    lines: dict[str, dict[str, object]] = {}
    for name in dict.fromkeys(row.parameter for row in rows):
        own = [row for row in rows if row.parameter == name]
        known = [row.importance for row in own if row.importance is not None]
        means[name] = sum(known) / len(known) if known else None
        lines[name] = {"parameter": name, "mean": means[name], **{row.study: _cell(row) for row in own}}
    # The scheduler's own first, in each part the most important.
    ordered = sorted(lines, key=lambda name: (name.startswith("train/"), -(means[name] or 0)))
    table = render([lines[name] for name in ordered], columns, form, title=title, width=width)
    notes = {f"{studies[row.study] if alone else row.study}: {row.note}": None for row in rows if row.note}
    if notes and form == "markdown":
        table += "\n"  # else the notes are rows
    return table + "".join(f"{note}\n" for note in notes)


def _cell(row: ImportanceRow) -> str | None:
    if row.importance is None:
        return None
    return _share(row.importance) + ("" if row.spread is None else f" ± {_share(row.spread)}")


def _share(value: object) -> str:
    return f"{value:.2f}"


def _note(rows: Sequence[ImportanceRow]) -> str:
    first = rows[0]
    counts: dict[str, int] = {row.study: row.complete for row in rows}
    low, high = min(counts.values()), max(counts.values())
    trials = f"{low}" if low == high else f"{low} to {high}"
    return (
        f"{first.evaluator}: shares of what the searched parameters explain, 1 in all for each network; "
        f"means over {first.seeds} seeds, ± the spread if each seed draws the {trials} complete trials anew; "
        "trials that were stopped early do not count, so what got them stopped is underrated"
    )
