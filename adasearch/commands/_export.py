"""From a stored trial to a schedule file: as the rule that reacts, or as the path that it took."""

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import cast

from pydantic import ValidationError

from adasearch.analysis.confirmed import whole_verdict
from adasearch.analysis.gather import Scope, gather
from adasearch.analysis.selection import pick_trials
from adasearch.choices import ScheduleForm
from adasearch.data.spec import Selection
from adasearch.errors import InputError, unknown
from adasearch.io.yaml_text import plain_error
from adasearch.records import StudyRecord, TrialRecord, Value
from adasearch.schedule_file import VERSION, Provenance, Schedule
from adasearch.schedulers.export_forms import EXPORT_FORMS, SizePath, exported
from adasearch.schedulers.fields import FOLLOWED
from adasearch.schedulers.points import Point, path_of, points_text
from adasearch.schedulers.registry import BASELINE, field_defaults
from adasearch.store.store import Store
from adasearch.store.trusted_names import check_stored_names
from adasearch.training.config import OWN_RESERVED, hyperparameters_of

__all__ = ["export"]


def export(
    store: Store,
    study: str,
    *,
    output: str,
    form: ScheduleForm = "rule",
    trial_id: str | None = None,
    sequence_length: int | None = None,
) -> list[str]:
    """Write the schedule that a study found to a file; return what is to be said of it.

    ``form`` "rule" writes the scheduler with its fields, "ramp" the sizes that the trial took as a timetable
    of examples, both as YAML; the others write these sizes for other software, see
    :mod:`adasearch.schedulers.export_forms`, with ``sequence_length`` tokens an example. The trial is the
    candidate, or the complete trial of lowest error, unless it is given.

    Raises:
        InputError: an unknown study or trial, one that is not complete, a path that the form cannot hold, or
            a file that cannot be written.
    """
    if sequence_length is not None and (form not in ("megatron", "olmo") or sequence_length < 1):
        raise InputError(
            "--sequence-length must be at least 1, with --as megatron or olmo, but got "
            f"{sequence_length} with {form}"
        )
    found = gather(store, Scope(studies=[study]))
    (record,) = found.chosen
    pick = pick_trials(found.studies, found.trials)[study]
    own = [trial for trial in found.trials if trial.study == study]
    trial = pick.trial
    verdict: str = pick.verdict
    if trial_id is not None:
        trial = _named(own, trial_id)
        verdict = verdict if pick.trial and trial_id == pick.trial.trial_id else "chosen by name"
    if trial is None:
        raise InputError(f"study {study} has no complete trial to export")
    check_stored_names(store.name, record, trial)
    for row in found.evidence:
        if (row.table, row.source_trial_id) == ("confirmed", trial.trial_id) and row.pairs:
            verdict = whole_verdict(row)
    of_trial = f"of {trial.trial_id} ({verdict})"
    of_trial += "; it replaces a file that was there" if os.path.exists(output) else ""
    stand_in = trial_id is None and pick.stands_in
    taken = [f"{pick.verdict}: the complete trial of lowest error was taken"] if stand_in else []
    if form in EXPORT_FORMS:
        followed = [name for name in FOLLOWED if trial.params.get(f"scheduler/{name}") is True]
        if followed:
            raise InputError(f"{form} has no words for {' and '.join(followed)}, which {trial.trial_id} had")
        text, told = exported(_path(record, trial, store, sequence_length), form)
        _write(Path(output), text)
        return [f"{output}: {form} {of_trial}", *told, *taken]
    try:
        schedule = _schedule(record, trial, own, form, verdict, store)
    except ValidationError as error:
        raise InputError(f"{trial.trial_id} makes no schedule: {plain_error(error.errors()[0])}") from error
    schedule.write(Path(output))
    return [f"{output}: {schedule.name} {of_trial}", *_unit(record), *taken]


def _unit(study: StudyRecord) -> list[str]:
    length = study.sequence_length
    return [] if length is None else [f"its sizes and marks count sequences of {length} tokens"]


def _named(trials: Sequence[TrialRecord], trial_id: str) -> TrialRecord:
    known = {trial.trial_id: trial for trial in trials}
    if trial_id not in known:
        raise unknown("trial", trial_id, known)
    if known[trial_id].status != "complete":
        raise InputError(f"trial {trial_id} must be complete but is {known[trial_id].status}")
    return known[trial_id]


def _write(output: Path, text: str) -> None:
    try:
        if not output.parent.exists():
            output.parent.mkdir(parents=True)
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"--output {output}: {error.strerror or error}") from error


def _turns(study: StudyRecord, trial: TrialRecord, store: Store) -> list[Point]:
    intervals = store.intervals(study.study, [trial.trial_id]).get(trial.trial_id, [])
    if not intervals:
        raise InputError(f"the intervals of {trial.trial_id} are not stored, so its path is not known")
    return path_of(intervals, study.interval)


def _path(study: StudyRecord, trial: TrialRecord, store: Store, sequence_length: int | None) -> SizePath:
    return SizePath(
        initial=hyperparameters_of(_settings(study, trial)).batch_size,
        points=_turns(study, trial, store),
        epoch=study.train_examples,
        sequence_length=sequence_length or study.sequence_length,
    )


def _settings(study: StudyRecord, trial: TrialRecord) -> dict[str, Value]:
    """Return a trial's settings of the training, as far as they are not a training function's own."""
    values = trial.fields_of("train")
    return {name: values[name] for name in OWN_RESERVED} if study.task == "own" else values


def _schedule(
    study: StudyRecord,
    trial: TrialRecord,
    trials: Sequence[TrialRecord],
    form: ScheduleForm,
    verdict: str,
    store: Store,
) -> Schedule:
    name = trial.scheduler
    fields = field_defaults(name) | trial.fields_of("scheduler")
    if form == "ramp":
        turns = _turns(study, trial, store)
        followed = {name: value for name, value in fields.items() if name in FOLLOWED}
        name, fields = ("ramp", {"points": points_text(turns), **followed}) if turns else (BASELINE, {})
    settings: dict[str, Value] = asdict(hyperparameters_of(_settings(study, trial)))
    own = study.task == "own"
    if own:  # which makes its optimiser itself
        settings = {name: settings[name] for name in OWN_RESERVED}
    return Schedule(
        schedule_version=VERSION,
        name=name,
        fields=fields,
        batch_size=cast(int, settings.pop("batch_size")),
        smallest=study.smallest,
        largest=study.largest,
        multiple_of=study.multiple_of,
        interval=study.interval / study.train_examples,
        epochs=study.budget / study.train_examples,
        train=settings,
        provenance=Provenance(
            study=study.study,
            trial=trial.trial_id,
            form=form,
            verdict=verdict,
            val_error=trial.val_error,
            search_seed=trial.seed,
            confirm_seeds=tuple(
                each.seed
                for each in trials
                if (each.phase, each.role, each.status) == ("confirm", "candidate", "complete")
                and each.source_trial_id == trial.trial_id
            ),
            architecture=study.architecture,
            scale=study.scale,
            dataset=study.source,
            image_size=study.image_size,
            sequence_length=study.sequence_length,
            tokenizer=study.tokenizer,
            **asdict(Selection.of(study)),
            subset=study.subset,
            fingerprint=study.fingerprint,
            train_examples=study.train_examples,
            precision=study.precision,
            params=trial.fields_of("train") if own else {},
            versions=dict(trial.versions),
        ),
    )
