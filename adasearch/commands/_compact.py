"""``adasearch compact``: a study's many small files once more as few."""

from collections.abc import Mapping, Sequence

from rich.console import Console

from adasearch.callbacks import Say, say_nothing
from adasearch.io.progress import steps
from adasearch.store.schemas import Table
from adasearch.store.store import Store

__all__ = ["compact"]


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
