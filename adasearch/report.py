"""One HTML file of a results folder that needs nothing else: no network, no server, no other file.

What stands in it is computed where the tables of ``compare`` are; why the figures are SVG that matplotlib
drew is told in :mod:`adasearch.report_svg`. Every name and text of a user passes through jinja2's escaping,
and the page forbids itself to load anything or to run a script that is not its own.

Opens without torch and without ray.
"""

import base64
import hashlib
import os
from collections.abc import Mapping, Sequence, Set
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Protocol

from jinja2 import Environment, PackageLoader, StrictUndefined

from adasearch import __version__
from adasearch.analysis import complete_trials, describe, settings_rows
from adasearch.choice import BASELINE, baseline_of, comparable, pick_trials
from adasearch.comparison import SEARCH_COLUMNS, notes, settings_columns
from adasearch.confirmed_tables import confirmed_notes, confirmed_parts
from adasearch.errors import InputError
from adasearch.files import locate, write_whole
from adasearch.records import IntervalRecord, StudyRecord
from adasearch.report_basis import Basis, gather
from adasearch.report_courses import courses, drawn_trials, intervals_of, reached_cases
from adasearch.report_figures import course_pictures, front_picture, ledger_picture
from adasearch.report_health import failures, missing, setup, states
from adasearch.report_overview import speed_picture, states_picture
from adasearch.report_signals import reached_picture, signal_picture
from adasearch.report_svg import THEME, Picture
from adasearch.store import Store
from adasearch.tables import Column, fraction, number, times

__all__ = ["report"]

VERDICTS = [
    Column("architecture", "architecture"),
    Column("scheduler", "scheduler"),
    Column("words", "verdict"),
    Column("gain", "speed-up"),
    Column("gain_default", "vs default"),
    Column("error", "error"),
    Column("spent", "time"),
    Column("basis", "based on"),
]


class Progress(Protocol):
    """Hears how many steps are done."""

    def __call__(self, what: str, done: int, total: int) -> None:
        """Take in that ``done`` of ``total`` are done of ``what``."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table of the page: rows as mappings, and what its columns mean."""

    title: str
    columns: Sequence[Column]
    rows: Sequence[Mapping[str, object]]
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """What the page says of one network."""

    anchor: str
    title: str
    said: Sequence[str]
    pictures: Sequence[Picture]


def report(
    store: Store,
    output: str,
    *,
    progress: Progress,
    studies: Sequence[str] | None = None,
    force: bool = False,
    clock: str | None = None,
    device_profile: str | None = None,
) -> str:
    """Write the report of some studies (default: all) to ``output``, and return a line that says so.

    Studies that are empty or unfinished show what is there, and what is missing is named. ``clock`` and
    ``device_profile`` judge by other seconds, and ``force`` marks studies that are not alike, as ``compare``
    does.

    Raises:
        InputError: as :func:`~adasearch.comparison.compare` does, or ``output`` cannot be written.
    """
    if os.path.isdir(output):
        raise InputError(f"--output must be a file but {output!r} is a folder")
    found = gather(store, studies=studies, force=force, clock=clock, device_profile=device_profile)
    groups = _groups(found)
    sections = []
    for done, group in enumerate(groups):
        progress("drawing networks", done, len(groups))
        names, judged = {study.study for study in group}, device_profile is not None
        drawn = drawn_trials(group, [trial for trial in found.trials if trial.study in names])
        intervals = {
            name: rows
            for study in group
            for name, rows in intervals_of(store, study, drawn, judged=judged).items()
        }
        sections.append(_section(f"network-{done}", group, found, intervals))
    progress("drawing networks", len(groups), len(groups))
    page = _page(store.name, found, _told_apart(sections, groups))
    try:
        files, path = locate(output)
        write_whole(files, path, memoryview(page.encode()))
    except (OSError, ValueError) as error:
        raise InputError(f"--output {output!r} cannot be written: {error}") from error
    runs = sum(trial.study in {each.study for each in found.chosen} for trial in found.trials)
    return f"{output}: {len(found.chosen)} studies, {runs} trials, {len(page.encode()) / 1e6:.1f} MB"


def _groups(found: Basis) -> list[list[StudyRecord]]:
    """Return the chosen studies with their baselines, by network and whatever else must be alike."""
    pool = {study.study: study for study in found.chosen}
    for study in found.chosen:
        baseline = baseline_of(study, found.studies)
        if baseline is not None:
            pool.setdefault(baseline.study, baseline)
    return sorted(comparable(list(pool.values())), key=lambda group: (group[0].architecture, group[0].scale))


def _section(
    anchor: str,
    group: Sequence[StudyRecord],
    found: Basis,
    intervals: Mapping[str, Sequence[IntervalRecord]],
) -> Section:
    """Return everything about one network, in the order in which a reader asks."""
    about = f"{group[0].architecture}, {group[0].scale}, on {group[0].dataset}"
    clock, names = group[0].clock, {study.study for study in group}
    trials = [trial for trial in found.trials if trial.study in names]
    standing = courses(group, trials, intervals)
    bounds = [pick.error_bound for pick in pick_trials(group, trials).values()]
    bound = next((each for each in bounds if each is not None), None)
    points = complete_trials(group, trials)
    cases = [case for study in group for case in reached_cases(study, found.evidence, trials, intervals)]
    schedulers = sorted(study.scheduler for study in group if study.scheduler != BASELINE)
    drawn = [
        front_picture(about, points, standing, schedulers=schedulers, bound=bound, clock=clock),
        *course_pictures(about, standing, clock),
        *(reached_picture(about, case, clock) for case in cases),
        *(signal_picture(about, course) for course in standing if course.role == "scheduler"),
        ledger_picture(about, standing),
        *importance_pictures(about, group, found),
    ]
    return Section(
        anchor=anchor,
        title=about,
        said=_said(found, names),
        pictures=[each for each in drawn if each is not None],
    )


def _said(found: Basis, names: Set[str]) -> list[str]:
    """Return a sentence per study, or per confirmed candidate where there are such."""
    lines = []
    confirmed = [cells for _, rows, _ in confirmed_parts(found.evidence)[:1] for cells in rows]
    for row in (each for each in found.rows if each.study in names):
        sure = [cells for cells in confirmed if cells["study"] == row.study]
        lines += [
            f"{row.architecture}, {row.scheduler}, over {cells['seeds']} fresh seeds: {cells['words']}; test "
            f"error {cells['error'] or '-'}, speed-up {cells['gain'] or '-'} against the tuned reference, "
            f"{cells['gain_default'] or '-'} against the untuned default."
            for cells in sure
        ]
        if not sure:
            lines.append(describe(row))
        if not sure and row.scheduler != BASELINE:
            lines.append("Time to the target: not confirmed, so there are no seeds to draw it from.")
    return lines


def importance_pictures(about: str, group: Sequence[StudyRecord], found: Basis) -> list[Picture]:
    """Return which settings mattered for one network, one picture per study; none until that is computed."""
    return []


def _told_apart(sections: Sequence[Section], groups: Sequence[Sequence[StudyRecord]]) -> list[Section]:
    """Return the sections with their studies' names in the titles that would be the same."""
    titles = [section.title for section in sections]
    return [
        replace(section, title=f"{section.title} ({', '.join(study.study for study in group)})")
        if titles.count(section.title) > 1
        else section
        for section, group in zip(sections, groups, strict=True)
    ]


def _page(name: str, found: Basis, sections: Sequence[Section]) -> str:
    chosen = {study.study for study in found.chosen}
    trials = [trial for trial in found.trials if trial.study in chosen]
    environment = Environment(
        loader=PackageLoader("adasearch"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(words=_words, cell_class=_cell_class)
    script = (Path(__file__).parent / "templates" / "report.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template("report.html.j2").render(
        name=name,
        version=__version__,
        written=f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC",
        unlike=found.unlike,
        theme=THEME,
        script=script,
        digest=digest,
        studies=len(chosen),
        trials=len(trials),
        verdicts=Table(title="Verdicts", columns=VERDICTS, rows=_verdicts(found)),
        speed=speed_picture(found.evidence, found.rows),
        sections=sections,
        missing=missing(found),
        states=states_picture(states(found)),
        failures=failures(trials),
        setup=setup(found.chosen, trials),
        tables=_tables(found),
    )


def _words(table: Table, column: Column) -> bool:
    """Tell whether a column of a table holds words, which stand at its left."""
    return any(isinstance(row.get(column.key), str) for row in table.rows)


def _cell_class(column: Column, row: Mapping[str, object], words: bool) -> str:
    """Return the CSS classes of a cell."""
    if column.header != "verdict":
        return "" if words else "number"
    said = column.cell(row)
    good = said.startswith(("faster", "better", "both"))
    return f"verdict {'good' if good else 'bad' if said.startswith('worse') else ''}".strip()


def _verdicts(found: Basis) -> list[dict[str, object]]:
    """Return a row per study, and per confirmed candidate where there are such."""
    confirmed = [cells for title, rows, _ in confirmed_parts(found.evidence)[:1] for cells in rows]
    lines: list[dict[str, object]] = []
    for row in found.rows:
        sure = [cells for cells in confirmed if cells["study"] == row.study]
        lines += [{**cells, "basis": f"{cells['seeds']} fresh seeds, test split"} for cells in sure]
        if not sure:
            lines.append(
                {
                    **asdict(row),
                    "words": row.verdict,
                    "gain": None if row.speedup is None else times(row.speedup),
                    "gain_default": None if row.speedup_default is None else times(row.speedup_default),
                    "error": None if row.val_error is None else fraction(row.val_error),
                    "spent": None if row.seconds is None else f"{number(row.seconds)} s",
                    "basis": "one seed, validation split",
                }
            )
    return lines


def _tables(found: Basis) -> list[Table]:
    """Return the tables of ``compare``."""
    if not found.chosen:
        return []
    parts = confirmed_parts(found.evidence)
    meaning = " ".join(confirmed_notes(found.evidence)) if parts else ""
    tables = [
        Table(title=title, columns=columns, rows=rows, note=meaning if not place else "")
        for place, (title, rows, columns) in enumerate(parts)
    ]
    rows = [asdict(row) for row in found.rows]
    settings = settings_rows(found.rows, found.trials)
    search = Table(
        title="Search: one seed, validation split",
        columns=SEARCH_COLUMNS,
        rows=rows,
        note=" ".join(notes(found.chosen)),
    )
    settled = Table(
        title="Settings of these trials", columns=settings_columns(settings, found.trials), rows=settings
    )
    return [*tables, search, settled]
