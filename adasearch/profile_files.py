"""Profiles to Parquet and back: ``<results>/profiles/*.parquet``, shared by all studies of a results folder.

One file per profile and network; one row per batch size of a speed profile, or per figure of a stability
profile. Export joins such files into one that can be carried to another machine, import takes it apart.
"""

import dataclasses
import io
import json
import sys
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from adasearch.errors import InputError
from adasearch.files import listed, locate, read_whole, write_whole
from adasearch.modelled import SIGNAL_SETS
from adasearch.naming import slug
from adasearch.profiles import Figure, Setting, SpeedPoint, SpeedProfile, StabilityProfile
from adasearch.schemas import SCHEMA_VERSION, SCHEMAS

__all__ = ["ProfileStore", "profile_file"]

Row = dict[str, Any]
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
        return [_speed(rows) for rows in self._profiles("speed")]

    def stability(self) -> list[StabilityProfile]:
        """Return every stability profile, by name."""
        return [_stability(rows) for rows in self._profiles("stability")]

    def write(self, profile: SpeedProfile | StabilityProfile) -> None:
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
        groups = [rows for rows in self._profiles(None) if name in (None, rows[0]["profile"])]
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
            rows = _read(files, path)
        except (OSError, ValueError) as error:  # pyarrow's errors of format are ValueErrors
            raise InputError(f"--import {file}: {' '.join(str(error).split())}") from error
        here = {profile_file(rows): rows for rows in self._profiles(None)}
        new = [group for group in _grouped(rows) if here.get(profile_file(group)) != group]
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

    def _profiles(self, kind: str | None) -> list[list[Row]]:
        """Return the rows of every profile of a kind, None for all."""
        rows: list[Row] = []
        for item in listed(self._files, self._folder):
            if item.base_name.startswith(".") or not item.base_name.endswith(".parquet"):
                continue
            try:
                rows += _read(self._files, item.path)
            except InputError:
                raise
            except (OSError, ValueError) as error:
                print(f"adasearch: skipping unreadable {item.path}: {error}", file=sys.stderr)  # noqa: T201
        return [group for group in _grouped(rows) if kind in (None, group[0]["kind"])]


def _parquet(rows: list[Row]) -> memoryview:
    data = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMAS["profiles"]), data, compression="zstd")
    return data.getbuffer()


def _read(files: pafs.FileSystem, path: str) -> list[Row]:
    table = pq.read_table(pa.BufferReader(read_whole(files, path)))
    metadata = table.schema.metadata or {}
    if metadata.get(b"adasearch.table") != b"profiles":
        raise ValueError("it holds no profiles")
    version = int(metadata.get(b"adasearch.schema_version", 0))
    if version > SCHEMA_VERSION:
        raise InputError(
            f"{path} has schema version {version}, but this adasearch reads up to {SCHEMA_VERSION}"
        )
    # A file of an older version lacks the newer columns.
    return [{**dict.fromkeys(SCHEMAS["profiles"].names), **row} for row in table.to_pylist()]


def profile_file(rows: Sequence[Row]) -> str:
    """Return the name of a profile's file; a stability profile's name holds its network."""
    row = rows[0]
    parts = [row["kind"], row["profile"]]
    if row["kind"] == "speed":
        parts += [row["architecture"], row["scale"], row["dataset"]]
    return "-".join(slug(part) for part in parts)


def _grouped(rows: Sequence[Row]) -> list[list[Row]]:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(profile_file([row]), []).append(row)
    return list(groups.values())


# --- rows ------------------------------------------------------------------------------------------


def _rows(profile: SpeedProfile | StabilityProfile) -> list[Row]:
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
                **{f"measure_{name}_seconds": point.measure_seconds[name] for name in SIGNAL_SETS},
            }
            for point in profile.points
        ]
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
    return Setting(**{**{name: row[name] for name in _SETTING}, "versions": json.loads(row["versions"])})


def _speed(rows: list[Row]) -> SpeedProfile:
    points = [
        SpeedPoint(
            **{name: row[name] for name in _POINT},
            measure_seconds={name: row[f"measure_{name}_seconds"] for name in SIGNAL_SETS},
        )
        for row in sorted(rows, key=lambda row: int(row["batch_size"]))
    ]
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
        Figure(row["figure"], row["epoch"], row["mean"], row["low"], row["high"])
        for row in rows
        if row["figure"] is not None
    ]
    shared = {name: first[name] for name in _STABILITY}
    return StabilityProfile(
        profile=first["profile"],
        setting=_setting(first),
        **{**shared, "params": json.loads(first["params"])},
        figures=tuple(figures),
        created_at=first["created_at"],
    )
