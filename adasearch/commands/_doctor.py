"""``adasearch doctor``: what is damaged in a results folder, and what can be mended."""

from pathlib import Path

from rich.console import Console

from adasearch.callbacks import Say, say_nothing
from adasearch.doctor.examine import examine
from adasearch.doctor.findings import Report
from adasearch.doctor.repair import repair as mend
from adasearch.errors import InputError
from adasearch.io.progress import steps
from adasearch.store.store import Store

__all__ = ["doctor"]


def doctor(
    store: Store, *, repair: bool = False, say: Say = say_nothing, console: Console | None = None
) -> Report:
    """Examine a results folder, mend what can be mended if asked to, and return what is found at the end.

    ``say`` hears of each finding and each repair in one line; progress is shown on ``console``.

    Raises:
        InputError: the folder holds something, and no table of ours: it is a study's own folder, or another.
        AdasearchError: the folder cannot be read or written.
    """
    _check_results(store)
    report = _examined(store, say, console)
    if not (repair and report.findings):
        return report
    store.check_writable()
    for line in mend(store, report.findings):
        say(line)
    say("after the repair:")
    return _examined(store, say, console)


def _check_results(store: Store) -> None:
    inside = sorted({"studies", "trials", "intervals"}.intersection(store.folders()))
    if inside:
        raise InputError(f"{store.name} is no results folder: it holds {inside[0]}/ itself; give its parent")
    root = Path(store.name)
    if root.is_dir() and any(path.suffix == ".parquet" for path in root.iterdir()):
        raise InputError(f"{store.name} is no results folder: it holds Parquet files itself")


def _examined(store: Store, say: Say, console: Console | None) -> Report:
    with steps(console) as progress:
        report = examine(store, progress)
    for finding in report.findings:
        say(finding.line())
    return report
