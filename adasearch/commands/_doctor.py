"""``adasearch doctor``: what is damaged in a results folder, and what can be mended."""

from rich.console import Console

from adasearch.callbacks import Say, say_nothing
from adasearch.doctor.examine import examine
from adasearch.doctor.findings import Report
from adasearch.doctor.repair import repair as mend
from adasearch.io.progress import steps
from adasearch.store.store import Store

__all__ = ["doctor"]


def doctor(
    store: Store, *, repair: bool = False, say: Say = say_nothing, console: Console | None = None
) -> Report:
    """Examine a results folder, mend what can be mended if asked to, and return what is found at the end.

    ``say`` hears of each finding and each repair in one line; progress is shown on ``console``.

    Raises:
        AdasearchError: the folder cannot be read or written.
    """
    report = _examined(store, say, console)
    if not (repair and report.findings):
        return report
    store.check_writable()
    for line in mend(store, report.findings):
        say(line)
    say("after the repair:")
    return _examined(store, say, console)


def _examined(store: Store, say: Say, console: Console | None) -> Report:
    with steps(console) as progress:
        report = examine(store, progress)
    for finding in report.findings:
        say(finding.line())
    return report
