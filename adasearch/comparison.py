"""The architecture-by-scheduler table, and the settings that were found."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from adasearch.analysis import SearchRow, search_rows, settings_rows
from adasearch.calibration import QUANTILE
from adasearch.clocks import judged
from adasearch.errors import unknown
from adasearch.records import StudyRecord, TrialRecord
from adasearch.store import Store
from adasearch.tables import Column, fraction, number, render, times

__all__ = ["SEARCH_COLUMNS", "compare"]

SEARCH_COLUMNS = [
    Column("architecture", "architecture"),
    Column("scheduler", "scheduler"),
    Column("val_error", "val error", fraction),
    Column("seconds", "seconds", number),
    Column("speedup", "speed-up", times),
    Column("time_saved", "time saved", fraction),
    Column("speedup_default", "vs default", times),
    Column("adaptations", "changes"),
    Column("mean_batch_size", "mean batch", number),
    Column("final_batch_size", "final batch"),
    Column("complete", "complete"),
    Column("acted", "acted"),
    Column("trials", "trials"),
    Column("verdict", "verdict"),
]


def compare(
    store: Store,
    *,
    studies: Sequence[str] | None = None,
    form: str = "text",
    clock: str | None = None,
    device_profile: str | None = None,
) -> str:
    """Return the architecture-by-scheduler table of a results folder, and the settings found.

    JSON and CSV hold the first table's raw values. An unfinished study is a row of what is there. ``clock``
    and ``device_profile`` judge by other seconds than the studies', as :func:`~adasearch.clocks.judged`.

    Raises:
        InputError: an unknown study, or a device profile that is of none of them.
    """
    records = store.studies()
    known = {record.study for record in records}
    for name in studies or ():
        if name not in known:
            raise unknown("study", name, known)
    # The baseline is looked up among all studies, the rows are those asked for.
    trials = [trial for record in records for trial in store.trials(record.study)]
    records, trials = judged(store, records, trials, clock=clock, device_profile=device_profile)
    chosen = [record for record in records if studies is None or record.study in studies]
    names = {record.study for record in chosen}
    rows = [row for row in search_rows(records, trials) if row.study in names]
    table = render(
        [asdict(row) for row in rows], SEARCH_COLUMNS, form, title="Search: one seed, validation split"
    )
    if form in ("csv", "json"):
        return table
    if not chosen:
        return f"no study in {store.name}\n"
    settings = settings_rows(rows, trials)
    return "\n".join(
        [
            table,
            *_notes(chosen, rows),
            "",
            render(settings, _settings_columns(settings, trials), form, title="Settings of these trials"),
            *_units(chosen),
            "",
        ]
    )


def _settings_columns(
    settings: Sequence[Mapping[str, object]], trials: Sequence[TrialRecord]
) -> list[Column]:
    """Return the columns of every parameter that was searched, the scheduler's first."""
    names = dict.fromkeys(name for row in settings for name in row if "/" in name)
    values: dict[tuple[str, str], set[object]] = {}
    for trial in trials:
        for name, value in trial.params.items():
            values.setdefault((trial.study, name), set()).add(value)
    varied = {name for (_, name), seen in values.items() if len(seen) > 1}
    searched = [name for name in names if name in varied]
    ordered = sorted(searched, key=lambda name: name.startswith("train/"))
    heads = [Column("architecture", "architecture"), Column("scheduler", "scheduler")]
    return [*heads, *(Column(name, _header(name)) for name in ordered)]


def _header(name: str) -> str:
    kind, _, field = name.partition("/")
    return f"{field} ({kind})" if kind == QUANTILE else field


def _notes(studies: Sequence[StudyRecord], rows: Sequence[SearchRow]) -> list[str]:
    clocks = " and ".join(sorted({_clock(study) for study in studies}))
    notes = [
        f"seconds: training time of one trial by the {clocks} clock; speed-up and time saved: against the",
        "reference, the fastest constant trial within one standard error of the best; vs default: against",
        "the untuned default constant; a dash: its error lies above that bound, so times do not compare;",
        "complete: trials chosen from; acted: those that changed the batch size",
    ]
    for row in rows:
        left = row.trials - row.complete - row.pruned - row.failed
        if row.failed or left or not row.complete:
            notes.append(
                f"{row.study}: {row.complete} complete, {row.pruned} stopped early, {row.failed} failed, "
                f"{left} unfinished"
            )
    return notes


def _clock(study: StudyRecord) -> str:
    return f"modelled ({study.device_profile})" if study.clock == "modelled" else study.clock


def _units(studies: Sequence[StudyRecord]) -> list[str]:
    if not any(study.scheduler == "deba" for study in studies):
        return []
    spans = sorted({round(study.interval / study.train_examples, 3) for study in studies})
    lengths = ", ".join(f"{span:g}" for span in spans)
    return [
        f"window and cooldown count intervals (here of {lengths} epochs); in the DEBA paper they count epochs"
    ]
