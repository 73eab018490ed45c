"""Figures of a results folder; each is a matplotlib Figure of its own and touches no global state."""

import json
from typing import TYPE_CHECKING

from adasearch.errors import InputError, unknown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.figure import Figure

    from adasearch.records import StudyRecord, TrialRecord, Value
    from adasearch.store.store import Store

__all__ = ["Plots"]


class Plots:
    """What ``results.plot`` offers; needs matplotlib (``pip install 'adasearch[notebooks]'``)."""

    def __init__(self, store: "Store") -> None:
        self._store = store
        try:
            import matplotlib  # noqa: F401 - whether it is there
        except ImportError as error:
            raise InputError(
                f"plots need matplotlib: pip install 'adasearch[notebooks]' ({error})"
            ) from error

    def pareto(self, study: str | None = None) -> "Figure":
        """Draw objective against seconds: complete trials, each scheduler's front, and those that count.

        Args:
            study: it and those that it may be compared with; by default the first network of the folder.
        """
        from adasearch.analysis.selection import comparable
        from adasearch.plots import pareto

        groups = comparable(self._store.studies())
        if study is not None:
            self._study(study)
            groups = [group for group in groups if any(each.study == study for each in group)]
        if not groups:
            raise InputError(f"there is no study in {self._store.name}")
        return pareto(groups[0], [trial for each in groups[0] for trial in self._trials(each)])

    def batch_sizes(self, trial_id: str) -> "Figure":
        """Draw a trial's batch size over training examples, each change with its reason."""
        from adasearch.plots import batch_sizes

        trial, intervals = self._store.find_trial(trial_id)
        if not intervals:
            raise InputError(f"{trial_id} has no interval yet")
        return batch_sizes(trial, intervals, sequence_length=self._length(trial))

    def signals(self, trial_id: str) -> "Figure":
        """Draw a trial's signals: DEBA's indicators beside its thresholds, of others what was measured."""
        from adasearch.plots.signals import deba_signals, draw_signals
        from adasearch.plots.style import NOTEBOOK

        trial, intervals = self._store.find_trial(trial_id)
        if not intervals:
            raise InputError(f"{trial_id} has no interval yet")
        if trial.scheduler == "deba" and len(intervals) > 1:
            return deba_signals(trial, intervals, sequence_length=self._length(trial))
        return draw_signals(intervals, style=NOTEBOOK, sequence_length=self._length(trial)).figure

    def importance(self, study: str) -> "Figure":
        """Draw how much of the objective and of the seconds each searched parameter of a study explains.

        Raises:
            InputError: an unknown study, or too few complete trials to tell.
        """
        from adasearch.analysis.importance import importance_rows
        from adasearch.plots.importance import draw_importances
        from adasearch.plots.style import NOTEBOOK

        record = self._study(study)
        rows = importance_rows([record], self._trials(record))
        drawn = draw_importances(rows, style=NOTEBOOK)
        if drawn is None:
            notes = "; ".join(dict.fromkeys(row.note for row in rows if row.note))
            raise InputError(f"study {study}: {notes or 'nothing was searched'}")
        return drawn.figure

    def time_to_target(self, study: str) -> "Figure":
        """Draw the share of fresh seeds at the target over time: of a candidate and of its controls.

        Raises:
            InputError: an unknown study, or one that was not confirmed.
        """
        from adasearch.analysis.gather import Scope, gather
        from adasearch.plots.confirmed import draw_reached
        from adasearch.plots.style import NOTEBOOK
        from adasearch.report.runs import reached_cases

        record, store = self._study(study), self._store
        found = gather(store, Scope(studies=[study], force=True))
        cases = reached_cases(record, found.evidence, found.trials, store.intervals(study))
        drawn = draw_reached(cases[0], clock=record.clock, style=NOTEBOOK) if cases else None
        if drawn is None:
            raise InputError(f"study {study} has no confirmed candidate with controls; see adasearch.confirm")
        return drawn.figure

    def controls(self) -> "Figure":
        """Draw each confirmed candidate against its controls on the same seeds: speed-up and objective.

        Raises:
            InputError: nothing was confirmed.
        """
        from adasearch.analysis.gather import Scope, gather
        from adasearch.plots import against_controls

        rows = gather(self._store, Scope(force=True)).evidence
        if not rows:
            raise InputError(f"nothing in {self._store.name} was confirmed; see adasearch.confirm")
        return against_controls(rows)

    def steps(self, by: str | None = None) -> "Figure":
        """Draw the test error of what was confirmed against serial steps, constant batch sizes as a line.

        Args:
            by: a parameter, such as "train/lr_schedule", each value of which has a panel of its own.

        Raises:
            InputError: nothing was confirmed, or no such parameter.
        """
        from adasearch.plots.steps import draw_steps
        from adasearch.plots.style import NOTEBOOK

        studies = self._store.studies()
        trials = [trial for each in studies for trial in self._trials(each)]
        drawn = draw_steps(studies, trials, style=NOTEBOOK, by=by)
        if drawn is None:
            raise InputError(f"nothing in {self._store.name} was confirmed; see adasearch.confirm")
        return drawn.figure

    def interaction(self, study: str, first: str, second: str, *, bins: int = 4) -> "Figure":
        """Draw how two searched parameters go together: median objective and seconds over a grid of both.

        Args:
            study: whose complete trials.
            first: a parameter, such as "scheduler/window".
            second: likewise.
            bins: cells along each range of numbers.
        """
        from adasearch.analysis.interaction import interaction
        from adasearch.plots import interaction_map

        record = self._study(study)
        cells = interaction(self._trials(record), first, second, clock=record.clock, bins=bins)
        return interaction_map(cells, record.architecture)

    def replay(self, trial_id: str, scheduler: str, fields: "Mapping[str, Value] | None" = None) -> "Figure":
        """Draw what a scheduler would have decided on a stored run beside what was done: no outcomes.

        Raises:
            InputError: as :meth:`adasearch.Results.replay`.
        """
        from adasearch.commands import replay
        from adasearch.plots import replay_sizes
        from adasearch.records import Decision

        fixed = [f"scheduler/{name}={json.dumps(value)}" for name, value in (fields or {}).items()]
        rows = json.loads(replay(self._store, trial_id, scheduler, fixed=fixed, form="json"))["rows"]
        trial, intervals = self._store.find_trial(trial_id)
        made = [
            Decision(
                batch_size=row["replayed_next_batch_size"],
                lr_scale=row["replayed_next_lr_scale"],
                action=row["replayed_action"],
                reason=row["replayed_reason"],
            )
            for row in rows
        ]
        decided = [each for each in intervals if each.decided]
        return replay_sizes(trial, decided, scheduler, made, sequence_length=self._length(trial))

    def throughput(self) -> "Figure":
        """Draw examples per second against the batch size, by the speed profiles of the folder."""
        from adasearch.plots import throughput
        from adasearch.profiles.profile_store import ProfileStore

        found = ProfileStore(self._store.name).speed()
        if not found:
            raise InputError(f"{self._store.name} has no speed profile; see adasearch.profile")
        return throughput(found)

    def critical_batch(self, network: str) -> "Figure":
        """Draw the newest measured critical batch of a network over its run, beside the noise scale."""
        from adasearch.plots import critical_batch
        from adasearch.profiles.profile_store import ProfileStore

        store = ProfileStore(self._store.name)
        own = [each for each in store.critical() if each.setting.architecture == network]
        if not own:
            raise InputError(f"{self._store.name} has no critical batch of {network}; see adasearch.profile")
        return critical_batch(max(own, key=lambda each: each.created_at), store.stability())

    def score_against_gain(self) -> "Figure":
        """Draw what each scheduler gained against its network's stability score."""
        from adasearch.analysis.prediction_table import outcomes_of
        from adasearch.plots import score_against_gain

        return score_against_gain(outcomes_of(self._store))

    def modelled_against_measured(self) -> "Figure":
        """Draw the modelled seconds of the trials against those that were measured."""
        from adasearch.plots import modelled_against_measured

        studies = self._store.studies()
        return modelled_against_measured([trial for each in studies for trial in self._trials(each)])

    def _study(self, name: str) -> "StudyRecord":
        record = self._store.study(name)
        if record is None:
            raise unknown("study", name, [each.study for each in self._store.studies()])
        return record

    def _length(self, trial: "TrialRecord") -> int | None:
        """Return the tokens of an example of a trial; None where its examples are no sequences."""
        study = self._store.study_of(trial)
        return None if study is None else study.sequence_length

    def _trials(self, study: "StudyRecord") -> "list[TrialRecord]":
        return self._store.trials(study.study)
