"""Which runs confirm what was found, and which of them are still to be made."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from rich.console import Console

from adasearch.analysis.selection import Pick, baseline_of, comparable, complete, pick_trials
from adasearch.choices import Controls
from adasearch.errors import InputError, unknown
from adasearch.io.progress import say
from adasearch.records import IntervalRecord, StudyRecord, TrialRecord
from adasearch.schedulers.points import path_of
from adasearch.schedulers.registry import BASELINE
from adasearch.store.store import Store
from adasearch.store.trusted_names import check_stored_names
from adasearch.studies.controls import ConfirmRun, confirm_runs_of, matched, spread
from adasearch.studies.retry import tell_retried, with_retried

__all__ = ["Job", "jobs_of"]

AGAIN = ("reference", "default")
"""Controls that repeat a trial as it is, which may be a candidate itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One study to be confirmed: all its runs, and what is stored of it."""

    study: StudyRecord
    runs: Sequence[ConfirmRun]
    stored: Sequence[TrialRecord]
    sources: Mapping[str, TrialRecord]

    @property
    def outstanding(self) -> list[ConfirmRun]:
        """The runs that did not end yet."""
        former = confirm_runs_of(self.stored)
        return [run for run in self.runs if run not in former or former[run].status == "running"]

    @property
    def seconds(self) -> float:
        """What the outstanding runs take, one after the other, as the search's own trials took."""
        spent = {name: _spent(trial) for name, trial in self.sources.items()}
        longest = max(spent.values(), default=0.0)  # a decay trains at the small size throughout
        return sum(
            longest if run.role == "decay" else spent.get(run.source_trial_id, longest)
            for run in self.outstanding
        )


def _spent(trial: TrialRecord) -> float:
    return (trial.train_seconds or 0.0) + (trial.eval_seconds or 0.0)


def jobs_of(
    store: Store,
    studies: Sequence[str],
    trials: Sequence[str],
    *,
    seeds: int,
    controls: Controls,
    console: Console,
    retry: bool | None = None,
) -> list[Job]:
    """Return what there is to confirm: the named trials, or what stands for each adaptive study.

    ``retry`` tells whether failed runs are made again, see :func:`~adasearch.studies.retry.with_retried`.

    Raises:
        InputError: an unknown study or trial, or nothing to confirm.
    """
    records = store.studies()
    known = {each.study for each in records}
    for name in studies:
        if name not in known:
            raise unknown("study", name, known)
    of_trials = [trial_id.rsplit("-", 2)[0] for trial_id in trials]
    wanted = set(studies or of_trials or known)
    adaptive = [
        each
        for each in records
        if each.study in wanted and (each.scheduler != BASELINE or each.study in of_trials)
    ]
    adabatch = {each.study: _adabatch_beside(each, records) for each in adaptive} if controls == "all" else {}
    compared = [*adaptive, *filter(None, adabatch.values())]
    baselines = [each for study in compared if (each := baseline_of(study, records)) is not None]
    needed = {*of_trials, *(each.study for each in (*compared, *baselines))}
    stored = {each.study: store.trials(each.study) for each in records if each.study in needed}
    everything = [trial for each in stored.values() for trial in each]
    named = [_named(trial_id, everything, store) for trial_id in trials]
    picks = pick_trials(records, everything)
    jobs = []
    for study in adaptive:
        candidates = [trial for trial in named if trial.study == study.study]
        chosen = picks[study.study].trial
        if not named and chosen is not None:
            candidates = [chosen]
            _say(study, picks[study.study], console)
        if not candidates:
            say(console, f"{study.study}: nothing to confirm, no complete trial")
            continue
        intervals = store.intervals(study.study, [each.trial_id for each in candidates])
        other = adabatch.get(study.study)
        tuned = picks[other.study].trial if other else None
        runs: dict[ConfirmRun, None] = {}
        for candidate in candidates:
            path = path_of(_intervals(candidate, intervals), study.interval)
            pick = picks[study.study]
            runs |= dict.fromkeys(
                matched(study, candidate, path, pick, controls=controls, adabatch=tuned)
            )  # controls that candidates share are made once
        own = {candidate.trial_id for candidate in candidates}
        runs = {
            run: None for run in runs if run.role not in AGAIN or run.source_trial_id not in own
        }  # a candidate's runs serve as another's reference, too
        names = {run.source_trial_id for run in runs}
        sources = {trial.trial_id: trial for trial in everything if trial.trial_id in names}
        for trial in sources.values():
            check_stored_names(store.name, study, trial)
        jobs.append(
            Job(
                study=study,
                runs=spread(study, list(runs), seeds),
                stored=_retried(study, stored[study.study], retry, console),
                sources=sources,
            )
        )
    if not jobs:
        raise InputError(
            "there is nothing to confirm: no adaptive study has a complete trial; a constant one is "
            "confirmed if --trial names it"
        )
    return jobs


def _retried(
    study: StudyRecord, stored: Sequence[TrialRecord], retry: bool | None, console: Console
) -> list[TrialRecord]:
    taken = with_retried(stored, "confirm", retry)
    former, now = ([trial for trial in each if trial.phase == "confirm"] for each in (stored, taken))
    tell_retried(study.study, former, now, partial(say, console))
    return taken


def _named(trial_id: str, trials: Sequence[TrialRecord], store: Store) -> TrialRecord:
    for trial in complete(trials):
        if trial.trial_id == trial_id:
            return trial
    everything = [trial for study in store.studies() for trial in store.trials(study.study)]
    raise unknown("complete trial", trial_id, [trial.trial_id for trial in complete(everything)])


def _intervals(
    trial: TrialRecord, intervals: Mapping[str, Sequence[IntervalRecord]]
) -> Sequence[IntervalRecord]:
    if trial.trial_id not in intervals:
        raise InputError(f"the intervals of {trial.trial_id} are not stored, so its path is not known")
    return intervals[trial.trial_id]


def _say(study: StudyRecord, pick: Pick, console: Console) -> None:
    said = {
        "no reference": "no complete constant trial to compare with",
        "no gain in search": "no gain in search",
        "too few to say": "too few to say from its search whether anything is gained",
    }
    lines = [said[pick.verdict]] if pick.verdict in said else []
    if pick.stands_in and pick.verdict != "no reference":
        lines.append("its complete trial of lowest error is confirmed")
    if pick.idle:
        lines.append("its trial made no change of batch size, so that controls of its path are left out")
    if lines:
        say(console, f"{study.study}: {': '.join(lines)}")


def _adabatch_beside(study: StudyRecord, records: Sequence[StudyRecord]) -> StudyRecord | None:
    """Return the AdaBatch study that another scheduler's may be compared with, None where there is none."""
    if study.scheduler == "adabatch":
        return None
    alike = (each for group in comparable(records) if study in group for each in group)
    return next((each for each in alike if each.scheduler == "adabatch"), None)
