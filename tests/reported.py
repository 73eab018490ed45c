"""Results for the report: a small search with confirming runs, a study of markup, a large store."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from adasearch.records import Action, IntervalRecord, StudyRecord, TrialRecord
from adasearch.store import Store
from tests.rows import START, interval_at, study_of, trial_of

__all__ = ["HOSTILE", "add_confirmed", "add_hostile", "write_large"]

HOSTILE = "<script>document.title='broken'</script>"
SCATTER = (0.0, 0.01, -0.01, 0.02, -0.02)
SECONDS = {("constant", 0): 10.0, ("constant", 1): 9.0, ("deba", 0): 5.0, ("deba", 1): 8.0}
"""Of the search's trials, by scheduler and number: what a loaded machine measures shall decide nothing."""
ROLES = {"candidate": ("deba", 0), "reference": ("constant", 1), "default": ("constant", 0)}
ERROR = 0.2
DEBA = study_of("deba")


def add_confirmed(results: Path, seeds: int = 5) -> None:
    """Let resnet18's deba be fast at equal error in a small search, and confirm it with the same courses."""
    store = Store(str(results))
    names = {scheduler: f"resnet18-nano-{scheduler}-digits" for scheduler in ("constant", "deba")}
    stored = {name: (store.trials(name), store.intervals(name)) for name in names.values()}

    def write(trial: TrialRecord, rows: Sequence[IntervalRecord], seconds: float, error: float) -> None:
        own = [
            replace(r, train_seconds=seconds / len(rows), measure_seconds=seconds / 100, resize_seconds=0.0,
                    val_error=None if r.val_error is None else error + 0.3 * (r is not rows[-1]))
            for r in rows
        ]  # fmt: skip
        store.write_intervals(trial, own)
        store.write_trial(replace(trial, train_seconds=seconds, val_error=error))

    for (scheduler, number), seconds in SECONDS.items():
        trials, intervals = stored[names[scheduler]]
        write(trials[number], intervals[trials[number].trial_id], seconds, ERROR)
    for place, (role, (scheduler, number)) in enumerate(ROLES.items()):
        trials, intervals = stored[names[scheduler]]
        for seed in range(seeds):
            run = replace(
                trials[number],
                trial_id=f"{names['deba']}-confirm-{place * seeds + seed}",
                number=place * seeds + seed,
                study=names["deba"],
                phase="confirm",
                role=role,
                source_trial_id=trials[number].trial_id,
                seed=1_000_000 + seed,
                test_error=ERROR + SCATTER[seed % 5] / 10,
            )
            seconds = SECONDS[scheduler, number] * (1 + SCATTER[(seed + place) % 5])
            write(run, intervals[trials[number].trial_id], seconds, ERROR)


def add_hostile(results: Path) -> StudyRecord:
    """Add a study whose network, error, and reason carry markup."""
    store = Store(str(results))
    like = store.studies()[0]
    study = replace(
        like,
        study="hostile",
        architecture=f"nets:{HOSTILE}$x$&amp;",
        scheduler="deba",
        train_space=DEBA.train_space,
        scheduler_space=DEBA.scheduler_space,
    )
    store.write_study(study)
    failed = replace(trial_of(study, 0, status="failed"), error=f"RuntimeError: {HOSTILE}")
    done = replace(
        trial_of(study, 1, val_error=0.2, seconds=3, params={"scheduler/growth": 1.5}), adaptations=1
    )
    grown = interval_at(1, val_error=0.2, action="grow")
    grown = replace(grown, decision=replace(grown.decision, reason=f"because {HOSTILE}"))
    store.write_intervals(done, [interval_at(0, val_error=0.3), grown])
    store.write_trial(failed)
    store.write_trial(done)
    return study


def write_large(results: Path, *, networks: int = 4, trials: int = 125, intervals: int = 60) -> None:
    """Write constant and deba studies of so many networks and trials; every trial has its intervals."""
    store = Store(str(results))
    for network in range(networks):
        for scheduler in ("constant", "deba"):
            study = study_of(scheduler, f"net{network}")
            store.write_study(study)
            for number in range(trials):
                trial = _large_trial(study, number)
                rows = [
                    _with_signals(
                        interval_at(i, val_error=0.5 / (i + 1) + number / 9000, action=_action(scheduler, i))
                    )
                    for i in range(intervals)
                ]
                store.write_intervals(trial, rows)
                store.write_trial(trial)


def _large_trial(study: StudyRecord, number: int) -> TrialRecord:
    params = {"scheduler/growth": 1.5} if study.scheduler == "deba" else {}
    trial = trial_of(study, number, val_error=0.1 + number / 9000, seconds=60 - number / 10, params=params)
    return replace(trial, adaptations=30 if study.scheduler == "deba" else 0, ended_at=START)


def _action(scheduler: str, index: int) -> Action:
    return "grow" if scheduler == "deba" and index % 2 else "hold"


def _with_signals(record: IntervalRecord) -> IntervalRecord:
    i = record.signals.interval
    return replace(
        record, signals=replace(record.signals, grad_norm=1 + i % 3, grad_component_variance=1 + i % 4)
    )
