"""Tables of README and pages that follow from the code or from the stored study; "make pages" writes them.

Each stands between ``<!-- made: NAME -->`` and ``<!-- /made -->``.
"""

import inspect
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from site_markdown import paragraphs, table

from adasearch.analysis.confirmed_tables import confirmed_tables
from adasearch.analysis.gather import gather
from adasearch.analysis.prediction_table import predict_table
from adasearch.commands import catalogue
from adasearch.schedulers import SCHEDULERS
from adasearch.store import Store

__all__ = ["MADE", "filled"]

ROOT = Path(__file__).parents[2]
STUDY = ROOT / "notebooks" / "data"
PLACE = re.compile(r"(?s)(<!-- made: (\w+) -->\n).*?(<!-- /made -->)")
SHOWN = [("efficientnet_b0", "deba"), ("alexnet", "adabatch"), ("vgg11_bn", "deba")]
COLUMNS = ["architecture", "scheduler", "seeds", "test error", "error vs reference", "time saved", "verdict"]


def confirmed() -> str:
    """Return the first table of ``adasearch compare`` of the stored study."""
    found = gather(Store(str(STUDY), must_exist=True))
    text = confirmed_tables(found.evidence, "markdown", mark="")
    return "".join(
        f"{line}\n"
        for line in text.partition("**What the candidates took**")[0].splitlines()
        if line.startswith("| ")
    )


def result() -> str:
    """Return three rows of it, and of those that compare with the reference the columns that tell most."""
    names, _, *lines = (line.strip("| ").split(" | ") for line in confirmed().splitlines())
    rows = [dict(zip(reversed(names), reversed(line), strict=True)) for line in lines]  # the first of a name
    picked = {(row["architecture"], row["scheduler"]): row for row in rows}
    return table(COLUMNS, [picked[each] for each in SHOWN])


def guesses() -> str:
    """Return what guesses over the stored study are worth."""
    text = predict_table(Store(str(STUDY), must_exist=True), check=True, form="markdown")
    *rows, summary = (line for line in text.splitlines() if line and not line.startswith("**"))
    return "\n".join([*rows, "", summary, ""])


def methods() -> str:
    """Return a row for each method: its file, and what that says in its first line."""
    rows = []
    for name, cls in SCHEDULERS.items():
        module = inspect.getmodule(cls)
        path = Path(inspect.getfile(cls)).relative_to(ROOT).as_posix()
        summary = inspect.cleandoc(inspect.getdoc(module) or "").partition("\n\n")[0]
        rows.append({"name": f"[`{name}`]({path})", "rule": paragraphs(summary).replace("``", "`")})
    return table(["name", "rule"], rows)


def architectures() -> str:
    """Return what ``adasearch list architectures`` prints."""
    return f"```\n$ adasearch list architectures\n{catalogue('architectures', results='results')}```\n"


MADE: Mapping[str, Mapping[str, Callable[[], str]]] = {
    "README.md": {"result": result, "methods": methods},
    "docs/pages/results.md": {"confirmed": confirmed},
    "docs/pages/profiles.md": {"guesses": guesses},
    "docs/pages/networks.md": {"architectures": architectures},
}


def filled(text: str, made: Mapping[str, Callable[[], str]]) -> str:
    """Return a page with its tables as they are now.

    >>> filled("<!-- made: a -->\\nold\\n<!-- /made -->", {"a": lambda: "new\\n"})
    '<!-- made: a -->\\nnew\\n<!-- /made -->'
    """
    return PLACE.sub(lambda found: f"{found[1]}{made[found[2]]()}{found[3]}", text)


def main() -> int:
    """Write the pages anew; with ``--check`` only name those that are not what the code says."""
    stale = {
        name: text
        for name, made in MADE.items()
        if (text := filled((ROOT / name).read_text(), made)) != (ROOT / name).read_text()
    }
    for name, text in stale.items():
        sys.stdout.write(f"{name}\n")
        if "--check" not in sys.argv:
            (ROOT / name).write_text(text)
    return int("--check" in sys.argv and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
