"""Profiles to Parquet and back: ``<results>/profiles/*.parquet``, shared by all studies of a results folder.

One file per profile and network; one row per batch size of a speed profile, per figure of a stability
profile, or per mark and size of a critical one. Export joins such files into one that can be carried to
another machine, import takes it apart.
"""

import dataclasses
import json
import math
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa

from adasearch.errors import InputError, one_line, text_of
from adasearch.io.damage import say_damage
from adasearch.io.filesystem import listed, locate, write_whole
from adasearch.io.text import is_name, slug
from adasearch.profiles.critical import CriticalProfile
from adasearch.profiles.critical_rows import critical_of, critical_rows
from adasearch.profiles.profile import Setting, SpeedPoint, SpeedProfile, StabilityProfile, Statistic
from adasearch.signal_sets import SIGNAL_SETS
from adasearch.store.parquet_file import PartError, parquet_bytes, read_part, rows_in
from adasearch.store.rows import plain
from adasearch.store.schemas import SCHEMAS

__all__ = ["ProfileStore", "profile_file"]

Row = dict[str, Any]
Profile = SpeedProfile | StabilityProfile | CriticalProfile
_SETTING = [each.name for each in dataclasses.fields(Setting)]
_STABILITY = [
    "subset",
    "seed",
    "train_examples",
    "interval",
    "intervals",
    "batch_size",
    "params",
    "seeds",
    "diverged",
]
_POINT = [each.name for each in dataclasses.fields(SpeedPoint) if each.name != "measure_seconds"]
_MEASURED = {name: f"measure_{name}_seconds" for name in SIGNAL_SETS}


class ProfileStore:
    """The profiles of a results folder, a local path or a URI.

    Raises:
        InputError: the folder cannot be reached.
    """

    def __init__(self, results: str) -> None:
        self._files, root = locate(results)
        self._folder = f"{root}/profiles"

    def speed(self) -> list[SpeedProfile]:
        """Return every speed profile, by name and network."""
        return [_speed(rows) for rows in self._profiles() if rows[0]["kind"] == "speed"]

    def speed_of(self, name: str, network: tuple[str, str]) -> list[SpeedProfile]:
        """Return the speed profiles of a name and network out of the files that are named after them."""
        start = "-".join(slug(part) for part in ("speed", name, *network)) + "-"
        return [_speed(rows) for rows in self._profiles(start) if rows[0]["kind"] == "speed"]

    def stability(self) -> list[StabilityProfile]:
        """Return every stability profile, by name."""
        return [_stability(rows) for rows in self._profiles() if rows[0]["kind"] == "stability"]

    def critical(self) -> list[CriticalProfile]:
        """Return every profile of the critical batch, by name."""
        found = [rows for rows in self._profiles() if rows[0]["kind"] == "critical"]
        return [critical_of(rows, _setting(rows[0])) for rows in found]

    def rows(self) -> list[Row]:
        """Return the rows of every profile, by the columns of the store."""
        return [row for rows in self._profiles() for row in rows]

    def write(self, profile: Profile) -> None:
        """Write a profile over its former self.

        Raises:
            StoreError: it cannot be written.
        """
        self._write(_rows(profile))

    def export(self, file: str, name: str | None) -> int:
        """Write all profiles, or those of one name, into one Parquet file; return how many.

        Raises:
            InputError: there is none.
            StoreError: the file cannot be written.
        """
        groups = [rows for rows in self._profiles() if name in (None, rows[0]["profile"])]
        if not groups:
            what = "profile" if name is None else f"profile {name!r}"
            raise InputError(f"--export: there is no {what} in {self._folder}")
        files, path = locate(file, "--export")
        write_whole(files, path, _parquet([row for rows in groups for row in rows]))
        return len(groups)

    def take_in(self, file: str) -> int:
        """Keep the profiles of an exported file; return how many are new.

        Raises:
            InputError: it is no such file, or another profile of that name and network is there.
        """
        files, path = locate(file, "--import")
        try:
            groups = _checked(_grouped(rows_in(read_part(files, path, "profiles"), "profiles")))
        except (OSError, ValueError, PartError) as error:
            raise InputError(f"--import {file}: {text_of(error)}") from error
        here = {profile_file(rows): rows for rows in self._profiles()}
        new = [group for group in groups if here.get(profile_file(group)) != group]
        for group in new:
            if profile_file(group) in here:
                raise InputError(
                    f"--import {file}: another profile {group[0]['profile']!r} of {group[0]['architecture']} "
                    "is there already"
                )
        for group in new:
            self._write(group)
        return len(new)

    def _write(self, rows: list[Row]) -> None:
        write_whole(self._files, f"{self._folder}/{profile_file(rows)}.parquet", _parquet(rows))

    def _profiles(self, start: str = "") -> list[list[Row]]:
        """Return the rows of every profile in files so named; a file that holds none is skipped and named."""
        found: list[list[Row]] = []
        for item in listed(self._files, self._folder):
            name = item.base_name
            if name.startswith(".") or not (name.startswith(start) and name.endswith(".parquet")):
                continue
            try:
                rows = rows_in(read_part(self._files, item.path, "profiles"), "profiles")
                found += _checked(_grouped(rows))
            except InputError:
                raise
            except (PartError, ValueError) as error:
                kind = error.kind if isinstance(error, PartError) else "damaged"
                say_damage(kind, item.path, error)
        return _grouped([row for rows in found for row in rows])


def _checked(groups: list[list[Row]]) -> list[list[Row]]:
    """Return groups of rows, each of which is a profile.

    Raises:
        ValueError: one is none.
    """
    for rows in groups:
        if not is_name(profile_file(rows)):
            raise ValueError(f"{profile_file(rows)!r} is no name of a file")
        try:
            found = READERS[rows[0]["kind"]](rows)
            _ = found.curve if isinstance(found, SpeedProfile) else None
        except (TypeError, KeyError, AttributeError, RecursionError) as error:
            raise ValueError(f"its rows are no profile ({one_line(error)})") from error
    return groups


def _parquet(rows: list[Row]) -> memoryview:
    return parquet_bytes(pa.Table.from_pylist(rows, schema=SCHEMAS["profiles"]), compression="zstd")


def profile_file(rows: Sequence[Row]) -> str:
    """Return the name of a profile's file; all but a speed profile's names hold their network."""
    row = rows[0]
    parts = [row["kind"], row["profile"]]
    if row["kind"] not in READERS or None in parts:
        raise ValueError(f"{row['profile']!r} is a profile of kind {row['kind']!r}")
    if row["kind"] == "speed":
        parts += [row["architecture"], row["scale"], row["dataset"]]
    return "-".join(slug(part or "") for part in parts)


def _grouped(rows: Sequence[Row]) -> list[list[Row]]:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(profile_file([row]), []).append(row)
    return list(groups.values())


def _rows(profile: Profile) -> list[Row]:
    setting = dataclasses.asdict(profile.setting)
    shared = {
        "profile": profile.profile,
        **setting,
        "versions": json.dumps(setting["versions"]),
        "created_at": profile.created_at,
    }
    if isinstance(profile, SpeedProfile):
        shared |= {"kind": "speed", "saturation_batch_size": profile.saturation_batch_size}
        own = [
            {
                **{name: getattr(point, name) for name in _POINT},
                **{column: point.measure_seconds[name] for name, column in _MEASURED.items()},
            }
            for point in profile.points
        ]
    elif isinstance(profile, CriticalProfile):
        columns, rows = critical_rows(profile)
        shared |= columns
        own = rows or [{}]
    else:
        shared |= {name: getattr(profile, name) for name in _STABILITY}
        shared |= {"kind": "stability", "params": json.dumps(dict(profile.params))}
        # Without figures one row still tells that the profile was made, and diverged.
        own = [
            {"figure": each.name, **{name: getattr(each, name) for name in ("epoch", "mean", "low", "high")}}
            for each in profile.figures
        ] or [{}]
    empty = dict.fromkeys(SCHEMAS["profiles"].names)
    return [{**empty, **shared, **row} for row in own]


def _setting(row: Row) -> Setting:
    for name in _SETTING:
        if row[name] is None and name not in ("driver", "sequence_length"):
            raise ValueError(f"{name} is missing")
    return Setting(**{**{name: row[name] for name in _SETTING}, "versions": plain(row["versions"])})


def _speed(rows: list[Row]) -> SpeedProfile:
    for name in (*_POINT, *_MEASURED.values()):
        if name != "peak_memory_bytes" and any(row[name] is None for row in rows):
            raise ValueError(f"{name} is missing")
    points = [
        SpeedPoint(
            **{name: row[name] for name in _POINT},
            measure_seconds={name: row[column] for name, column in _MEASURED.items()},
        )
        for row in sorted(rows, key=lambda row: int(row["batch_size"]))
    ]
    for point in points:
        spent = [point.step_seconds, *point.measure_seconds.values()]
        if point.batch_size < 1 or not all(0 <= each < math.inf for each in spent) or not spent[0]:
            raise ValueError(f"a batch of {point.batch_size} takes {spent} s")
    first = rows[0]
    return SpeedProfile(
        profile=first["profile"],
        setting=_setting(first),
        points=tuple(points),
        created_at=first["created_at"],
    )


def _stability(rows: list[Row]) -> StabilityProfile:
    first = rows[0]
    figures = [
        Statistic(row["figure"], row["epoch"], row["mean"], row["low"], row["high"])
        for row in rows
        if row["figure"] is not None
    ]
    shared = {name: first[name] for name in _STABILITY}
    return StabilityProfile(
        profile=first["profile"],
        setting=_setting(first),
        **{**shared, "params": plain(first["params"])},
        figures=tuple(figures),
        created_at=first["created_at"],
    )


READERS: dict[str, Callable[[list[Row]], Profile]] = {
    "speed": _speed,
    "stability": _stability,
    "critical": lambda rows: critical_of(rows, _setting(rows[0])),
}
"""How the rows of a profile are read, by its kind."""
