"""``adasearch compact``: a study's many small files once more as few."""

from collections.abc import Mapping, Sequence

from rich.console import Console

from adasearch.callbacks import Say, say_nothing
from adasearch.errors import AdasearchError
from adasearch.io.progress import say as print_line
from adasearch.io.progress import steps
from adasearch.store.schemas import Table
from adasearch.store.store import Store

__all__ = ["compact", "compact_many"]

MANY = 1000  # trials in files of their own, which take about a second to read; compacted, a twentieth


def compact(
    store: Store, studies: Sequence[str] = (), *, say: Say = say_nothing, console: Console | None = None
) -> dict[str, Mapping[Table, int]]:
    """Compact some folders of the results (default: all); return the rows of each that has any, by table.

    ``say`` hears of each such folder in one line; progress is shown on ``console``.

    Raises:
        InputError: there is no such folder, or it cannot be written.
        StoreError: the object store does not answer.
    """
    store.check_writable()
    done: dict[str, Mapping[Table, int]] = {}
    for study in studies or store.folders():
        with steps(console) as progress:
            rows = store.compact(study, progress)
        if any(rows.values()):
            done[study] = rows
            say(f"{study}: {' and '.join(f'{count} {table}' for table, count in rows.items())} compacted")
    return done


def compact_many(store: Store, studies: Sequence[str], console: Console, *, many: int = MANY) -> None:
    """Compact the studies of which so many trials lie in files of their own, once they were searched.

    It only saves time, so that what stands in its way is said and no more.
    """
    for study in studies:
        try:
            if store.loose(study) >= many:
                with steps(console) as progress:
                    store.compact(study, progress)
        except AdasearchError as error:
            print_line(console, f"{study} was not compacted: {error}")
