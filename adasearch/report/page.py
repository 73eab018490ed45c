"""One HTML file of a results folder that needs nothing else: no network, no server, no other file.

What stands in it is computed where the tables of ``compare`` are; why the figures are SVG that matplotlib
drew is told in :mod:`adasearch.report.svg`. Every name and text of a user passes through jinja2's escaping,
and the page forbids itself to load anything or to run a script that is not its own.

Opens without torch and without ray.
"""

import base64
import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from adasearch._version import __version__
from adasearch.analysis.failures import failures
from adasearch.analysis.gather import EVERYTHING, Gathered, Scope, gather
from adasearch.analysis.importance import ImportanceRow
from adasearch.analysis.selection import baseline_of, comparable
from adasearch.callbacks import Progress
from adasearch.errors import InputError, StoreError
from adasearch.io.filesystem import locate, write_whole
from adasearch.io.text import counted
from adasearch.profiles.clock import intervals_of
from adasearch.profiles.profile_store import ProfileStore
from adasearch.records import IntervalRecord, StudyRecord
from adasearch.report.health import missing, setup, states
from adasearch.report.pictures import critical_pictures, network_pictures, speed_picture, states_picture
from adasearch.report.runs import drawn_trials, searched_importances
from adasearch.report.svg import THEME, Picture
from adasearch.report.tables import (
    all_tables,
    ceilings,
    cell_class,
    headline,
    holds_words,
    said,
    verdicts,
    words,
)
from adasearch.store.store import Store

__all__ = ["report"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """What the page says of one network."""

    anchor: str
    title: str
    said: Sequence[str]
    pictures: Sequence[Picture]


def report(store: Store, output: str, scope: Scope = EVERYTHING, *, progress: Progress) -> str:
    """Write the report of some studies (default: all) to ``output``, and return a line that says so.

    Studies that are empty or unfinished show what is there, and what is missing is named. Those that are not
    alike are marked, as ``compare`` does.

    Raises:
        InputError: as :func:`~adasearch.analysis.compare.compare` does, or ``output`` cannot be written.
    """
    if os.path.isdir(output):
        raise InputError(f"--output must be a file but {output!r} is a folder")
    found = gather(store, scope)
    groups = _groups(found)
    profiles = ProfileStore(store.name)
    critical, steady = profiles.critical(), profiles.stability()
    sections = []
    for done, group in enumerate(groups):
        progress("drawing networks", done, len(groups))
        names = {study.study for study in group}
        drawn = drawn_trials(group, [trial for trial in found.trials if trial.study in names])
        intervals = {
            name: rows for study in group for name, rows in intervals_of(store, study, drawn).items()
        }
        section = _section(f"network-{done}", group, found, intervals)
        measured = critical_pictures(section.title, group[0], critical, steady)
        sections.append(replace(section, pictures=[*section.pictures, *measured]))
    progress("drawing networks", len(groups), len(groups))
    page = _page(store, found, _told_apart(sections, groups))
    files, path = locate(output, "--output")
    try:
        write_whole(files, path, memoryview(page.encode()))
    except StoreError as error:
        raise InputError(f"--output {output!r} cannot be written: {error}") from error
    runs = sum(trial.study in {each.study for each in found.chosen} for trial in found.trials)
    of = "1 study" if len(found.chosen) == 1 else f"{len(found.chosen)} studies"
    return f"{output}: {of}, {counted(runs, 'trial')}, {len(page.encode()) / 1e6:.1f} MB"


def _groups(found: Gathered) -> list[list[StudyRecord]]:
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
    found: Gathered,
    intervals: Mapping[str, Sequence[IntervalRecord]],
) -> Section:
    """Return everything about one network."""
    about = group[0].about
    names = {study.study for study in group}
    trials = [trial for trial in found.trials if trial.study in names]
    importances = searched_importances(group, trials)
    return Section(
        anchor=anchor,
        title=about,
        said=[*said(found, names), *_unexplained(importances)],
        pictures=network_pictures(about, group, trials, intervals, found.evidence, importances),
    )


def _unexplained(rows: Sequence[ImportanceRow]) -> list[str]:
    """Return why a study's settings have no importance, where they have none."""
    notes = dict.fromkeys(f"{row.scheduler}: {row.note}" for row in rows if row.note)
    return [f"What mattered is not known ({'; '.join(notes)})."] if notes else []


def _told_apart(sections: Sequence[Section], groups: Sequence[Sequence[StudyRecord]]) -> list[Section]:
    """Return the sections with their studies' names in the titles that would be the same."""
    titles = [section.title for section in sections]
    return [
        replace(section, title=f"{section.title} ({', '.join(study.study for study in group)})")
        if titles.count(section.title) > 1
        else section
        for section, group in zip(sections, groups, strict=True)
    ]


def _page(store: Store, found: Gathered, sections: Sequence[Section]) -> str:
    chosen = {study.study for study in found.chosen}
    trials = [trial for trial in found.trials if trial.study in chosen]
    environment = Environment(
        loader=PackageLoader("adasearch.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(words=holds_words, cell_class=cell_class)
    script = (Path(__file__).parent / "templates" / "report.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template("report.html.j2").render(
        name=store.name,
        version=__version__,
        written=f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC",
        unlike=found.unlike,
        theme=THEME,
        script=script,
        digest=digest,
        studies=len(chosen),
        trials=len(trials),
        headline=headline(found),
        glossary=words(found),
        verdicts=verdicts(found),
        ceilings=ceilings(store, found),
        speed=speed_picture(found.evidence, found.rows),
        sections=sections,
        missing=missing(found, store.name),
        states=states_picture(states(found)),
        failures=failures(trials, store.name),
        setup=setup(found.chosen, trials),
        tables=all_tables(found),
    )
