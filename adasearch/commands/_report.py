"""``adasearch report``: verdicts, figures and study health as one HTML file."""

from collections.abc import Sequence

from rich.console import Console

from adasearch.analysis.gather import Scope
from adasearch.choices import Clock
from adasearch.errors import InputError
from adasearch.io.progress import steps
from adasearch.store.store import Store

__all__ = ["report"]


def report(
    store: Store,
    output: str,
    *,
    studies: Sequence[str] | None = None,
    force: bool = False,
    clock: Clock | None = None,
    device_profile: str | None = None,
    console: Console | None = None,
) -> str:
    """Write the report of some studies (default: all) to a file, and return a line that says so.

    Progress is shown on ``console``. Needs jinja2 and matplotlib.

    Raises:
        InputError: as ``compare`` does, a file that cannot be written, or a library that is missing.
    """
    try:
        from adasearch.report.page import report as write
    except ImportError as error:
        raise InputError(f"report needs matplotlib: pip install 'adasearch[report]' ({error})") from error
    scope = Scope(studies=studies, force=force, clock=clock, device_profile=device_profile)
    with steps(console) as progress:
        return write(store, output, scope, progress=progress)
