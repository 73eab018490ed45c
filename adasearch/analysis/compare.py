"""The architecture-by-scheduler table, and the settings that were found."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

from adasearch.analysis.confirmed import ConfirmedRow, flat_row
from adasearch.analysis.confirmed_runs import confirmed_rows
from adasearch.analysis.confirmed_tables import confirmed_tables
from adasearch.analysis.paired_tests import ERROR_MARGIN, check_margin
from adasearch.analysis.search_table import SearchRow, search_rows, settings_rows
from adasearch.errors import InputError, unknown
from adasearch.io.tables import Column, fraction, number, render, times
from adasearch.profiles.clock import intervals_of, judged
from adasearch.profiles.quantiles import QUANTILE
from adasearch.records import IntervalRecord, StudyRecord, TrialRecord
from adasearch.store.store import Store

__all__ = [
    "SEARCH_COLUMNS",
    "Selection",
    "compare",
    "confirmed",
    "notes",
    "select",
    "settings_columns",
    "unfinished",
]

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

ONE_TABLE = {
    "fingerprint": "data",
    "subset": "subset",
    "seed": "split",
    "train_examples": "training examples",
    "val_examples": "validation examples",
    "budget": "budget",
}
"""What studies of one table have in common, and what to call it."""


def compare(
    store: Store,
    *,
    studies: Sequence[str] | None = None,
    form: str = "text",
    force: bool = False,
    margin: float = ERROR_MARGIN,
    clock: str | None = None,
    device_profile: str | None = None,
) -> str:
    """Return the tables of a results folder: what was confirmed, what was searched, and the settings found.

    JSON and CSV hold the raw values of the first two with their settings; ``table`` tells them apart. An
    unfinished study is a row of what is there. ``margin`` is the difference of errors that counts as none.
    ``clock`` and ``device_profile`` judge by other seconds than the studies', as
    :func:`~adasearch.profiles.clock.judged` does.

    Raises:
        InputError: an unknown study, studies of different data, budgets or splits without ``force``, or
            a device profile that is of none of them.
    """
    check_margin(margin)
    selected = select(store, studies=studies, force=force, clock=clock, device_profile=device_profile)
    records, trials, unlike = selected.studies, selected.trials, selected.unlike
    chosen, names = selected.chosen, {record.study for record in selected.chosen}
    rows = [row for row in search_rows(records, trials) if row.study in names]
    evidence = [row for row in confirmed(store, records, trials, margin=margin) if row.study in names]
    if form in ("csv", "json"):
        return render(_raw(evidence, rows, trials, unlike), SEARCH_COLUMNS, form)
    mark = selected.mark
    table = render(
        [asdict(row) for row in rows], SEARCH_COLUMNS, form, title=f"Search: one seed, validation split{mark}"
    )
    if not chosen:
        runs = [trial.trial_id for trial in store.trials("train")]
        only = f"; of single runs there are {len(runs)}, such as {runs[-1]} (see 'replay')" if runs else ""
        return f"no study in {store.name}{only}\n"
    settings = settings_rows(rows, trials)
    columns = settings_columns(settings, trials)
    return "\n".join(
        [
            *([confirmed_tables(evidence, form, mark=mark)] if evidence else []),
            table,
            *notes(chosen),
            *unfinished(rows),
            "",
            render(settings, columns, form, title=f"Settings of these trials{mark}"),
            *_agreement(settings, [column.key for column in columns[2:]]),
            *_units(chosen),
            "",
        ]
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What a table is made of: ``studies`` and ``trials`` of the folder, and those that were ``chosen``.

    ``unlike`` says in what the chosen ones differ that they should share; empty if in nothing.
    """

    studies: Sequence[StudyRecord]
    trials: Sequence[TrialRecord]
    chosen: Sequence[StudyRecord]
    unlike: str

    @property
    def mark(self) -> str:
        """What is added to the titles of a table of studies that are not alike."""
        return f" - NOT ALIKE: {self.unlike}" if self.unlike else ""


def select(
    store: Store,
    *,
    studies: Sequence[str] | None = None,
    force: bool = False,
    clock: str | None = None,
    device_profile: str | None = None,
) -> Selection:
    """Read a results folder and choose studies by name, all of them by default.

    All are read, since a baseline is looked up among all. Raises what :func:`compare` does.
    """
    if clock == "measured" and device_profile is not None:
        raise InputError(f"--device-profile {device_profile} goes with --clock modelled, not measured")
    records = store.studies()
    known = {record.study for record in records}
    for name in studies or ():
        if name not in known:
            raise unknown("study", name, known)
    unlike = _unlike([record for record in records if studies is None or record.study in studies])
    if unlike and not force:
        raise InputError(f"{unlike}; choose studies with --study, or --force a table that is marked")
    trials = [trial for record in records for trial in store.trials(record.study)]
    records, trials = judged(store, records, trials, clock=clock, device_profile=device_profile)
    chosen = [record for record in records if studies is None or record.study in studies]
    return Selection(studies=records, trials=trials, chosen=chosen, unlike=unlike)


def confirmed(
    store: Store,
    records: Sequence[StudyRecord],
    trials: Sequence[TrialRecord],
    *,
    margin: float = ERROR_MARGIN,
) -> list[ConfirmedRow]:
    """Return the rows of what was confirmed; reads the intervals of those runs alone.

    Modelled seconds are those of each record's profile, which need not be the one that the study ran with.
    """
    intervals: dict[str, Sequence[IntervalRecord]] = {}
    for record in records:
        runs = [t.trial_id for t in trials if t.phase == "confirm" and t.study == record.study]
        if runs:
            intervals |= intervals_of(store, record, runs)
    return confirmed_rows(records, trials, intervals, margin=margin)


def _unlike(studies: Sequence[StudyRecord]) -> str:
    """Return in what the studies of a table differ that they should share; empty if in nothing."""
    for name, word in ONE_TABLE.items():
        values = {getattr(study, name): study.study for study in studies}
        if len(values) > 1:
            some = ", ".join(f"{study}: {value}" for value, study in list(values.items())[:2])
            return f"studies differ in {word} ({some})"
    return ""


def _raw(
    evidence: Sequence[ConfirmedRow], rows: Sequence[SearchRow], trials: Sequence[TrialRecord], unlike: str
) -> list[dict[str, object]]:
    """Return the rows of both tables with their settings; every row has every key."""
    params = {trial.trial_id: trial.params for trial in trials}
    found: list[dict[str, object]] = [
        *({**flat_row(row), **params[row.trial_id]} for row in evidence),
        *({"table": "search", **asdict(row), **params.get(row.trial_id or "", {})} for row in rows),
    ]
    keys = dict.fromkeys(key for row in found for key in row)
    alike = {"not_alike": unlike} if unlike else {}
    return [{key: row.get(key) for key in keys} | alike for row in found]


def settings_columns(settings: Sequence[Mapping[str, object]], trials: Sequence[TrialRecord]) -> list[Column]:
    """Return the columns of every parameter that was searched, the scheduler's first."""
    names = dict.fromkeys(name for row in settings for name in row if "/" in name)
    values: dict[tuple[str, str], set[object]] = {}
    for trial in trials:
        if trial.phase == "search":
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


def _agreement(settings: Sequence[Mapping[str, object]], names: Sequence[str]) -> list[str]:
    """Return which searched settings agree between the architectures, per scheduler."""
    lines = []
    for scheduler in dict.fromkeys(row["scheduler"] for row in settings):
        rows = [row for row in settings if row["scheduler"] == scheduler]
        had = [name for name in names if all(name in row for row in rows)]
        if len({row["architecture"] for row in rows}) > 1 and had:
            agree = [_header(name) for name in had if _agree(row[name] for row in rows)]
            others = [_header(name) for name in had if not _agree(row[name] for row in rows)]
            lines.append(
                f"{scheduler}: alike for all architectures: {', '.join(agree) or 'none'}; not alike: "
                f"{', '.join(others) or 'none'}"
            )
    return [*lines, "(alike: the same, or numbers within a factor of 1.5)", ""] if lines else []


def _agree(values: Iterable[object]) -> bool:
    """Tell whether settings are the same or, as numbers, near to one another.

    >>> _agree([10, 14]), _agree([10, 16]), _agree(["a", "a"]), _agree([True, False])
    (True, False, True, False)
    """
    found = list(values)
    numbers = [value for value in found if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(numbers) == len(found) and min(numbers) > 0:
        return max(numbers) <= 1.5 * min(numbers)
    return len(set(found)) == 1


def notes(studies: Sequence[StudyRecord]) -> list[str]:
    """Return what the columns of the search table mean."""
    clocks = " and ".join(sorted({_clock(study) for study in studies}))
    return [
        f"seconds: training time of one trial by the {clocks} clock; speed-up and time saved: against the",
        "reference, the fastest constant trial within one standard error of the best; vs default: against",
        "the untuned default constant; a dash: its error lies above that bound, so times do not compare, or",
        "it made no change of batch size, so that it is a constant run of other settings;",
        "complete: trials chosen from; acted: those that changed the batch size",
    ]


def unfinished(rows: Sequence[SearchRow]) -> list[str]:
    """Return a line for each study that is not whole."""
    lines = []
    for row in rows:
        left = row.trials - row.complete - row.pruned - row.failed
        if row.failed or left or not row.complete:
            lines.append(
                f"{row.study}: {row.complete} complete, {row.pruned} stopped early, {row.failed} failed, "
                f"{left} unfinished"
            )
    return lines


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
