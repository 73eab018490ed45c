"""Sections of a long benchmark, in processes that may die or hang, and the rows that they leave.

Opens with the standard library alone.
"""

import json
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["BROKEN", "LEAST", "RESERVE", "UNFIT", "append", "keep", "supervise", "told"]

Row = dict[str, Any]
RESERVE = 10.0  # seconds that the end of it all takes
GRACE = 45.0  # seconds that a section may take beyond its end, but for the last ones
START = 120.0  # seconds that a process may take to begin
LEAST = 8.0  # seconds that a section is begun with
BROKEN, UNFIT = 3, 4  # exit status of a process whose device answers no more, or that has none


def supervise(
    names: Sequence[str], command: Callable[[Sequence[str]], Sequence[str]], rows: Path, ends: float
) -> None:
    """Run sections by processes that append to the file ``rows``, until all are over or it is too late.

    Args:
        names: of the sections.
        command: returns what runs some of them, one after another.
        rows: lines of JSON: rows, or notes of what "begins" and "ends" when, on the monotonic clock, or is
            "over".
        ends: on that clock.
    """
    rest = list(names)
    while rest and ends - time.monotonic() > LEAST:
        process = subprocess.Popen(command(rest))
        late, limit = False, time.monotonic() + START
        while process.poll() is None:
            time.sleep(0.2)
            begun = [each["ends"] + GRACE for each in notes(rows, "begins") if each["begins"] in rest]
            limit = max(begun, default=limit)
            if time.monotonic() > min(limit, ends + RESERVE / 2):
                late = True
                process.kill()
                process.wait()
        over = {each["over"] for each in notes(rows, "over")}
        rest = [name for name in rest if name not in over]
        if process.returncode == UNFIT:
            return skip(rest, "there is no GPU here; --quick takes a small form on the CPU", rows)
        if process.returncode == 0:
            break
        if rest and process.returncode != BROKEN:
            why = "it took too long" if late else f"its process ended with status {process.returncode}"
            broken = rest.pop(0)
            append(rows, {"section": broken, "what": broken, "status": "failed", "reason": why})
    return skip(rest, "no time is left", rows)


def skip(names: Sequence[str], reason: str, rows: Path) -> None:
    """Add a row for each section that was not begun."""
    for name in names:
        append(rows, {"section": name, "what": name, "status": "skipped", "reason": reason})


def append(rows: Path, line: Row) -> None:
    """Add a row, which is printed, or a note."""
    with rows.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
    if "what" in line:
        print(told(line), flush=True)


def lines(rows: Path) -> list[Row]:
    """Return all whole lines."""
    if not rows.exists():
        return []
    text = rows.read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def notes(rows: Path, kind: str) -> list[Row]:
    """Return the notes of a kind, the oldest first."""
    return [line for line in lines(rows) if kind in line]


def told(row: Row) -> str:
    """Return a row as a line.

    >>> told({"section": "clocks", "what": "intervals", "status": "ok", "figure": "ratio", "value": 0.9991})
    'ok       clocks: intervals, ratio 0.9991'
    """
    net = [row.get("architecture"), row.get("scale"), row.get("example_size"), row.get("precision")]
    net += [f"batch {row['batch_size']}" if row.get("batch_size") else None]
    where = " ".join(str(each) for each in net if each is not None)
    parts = [row["what"], where]
    if row.get("figure"):
        low = row.get("low")
        within = "" if low is None else f" [{low:.4g}, {row['high']:.4g}]"
        parts.append(f"{row['figure']} {row['value']:.4g}{within}")
    parts.append(row.get("reason") or "")
    return f"{row['status']:8s} {row['section']}: {', '.join(part for part in parts if part)}"


def keep(rows: Path, out: Path, kinds: Mapping[str, str]) -> list[Row]:
    """Keep the rows as Parquet with the columns of ``kinds``, if there is pyarrow; return them.

    What was noted of the "machine" stands in each.
    """
    known = notes(rows, "machine")
    machine = known[-1]["machine"] if known else {}
    found = [line | machine for line in lines(rows) if "what" in line]
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ModuleNotFoundError as error:
        print(f"{error}, so the rows stay in {rows}")
        return found
    schema = pa.schema([(name, pa.type_for_alias(kind)) for name, kind in kinds.items()])
    pq.write_table(pa.Table.from_pylist(found, schema=schema), out)
    rows.unlink()
    print(f"kept in {out}")
    return found
