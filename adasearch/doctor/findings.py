"""What an examination of a results folder says, one line per finding."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from adasearch.io.text import counted

__all__ = ["Finding", "RepairAction", "Report"]

RepairAction = Literal["leave", "set aside", "restore", "rename", "remove"]
"""What a repair does: nothing, move into ``.damaged/``, also write what was compacted, move to ``target``, or
remove."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is not as it should be.

    Args:
        path: of the file or folder, below the results folder.
        what: what is wrong.
        means: what that means for searches and tables.
        remedy: what to do.
        action: what a repair does.
        target: where a repair moves it to, below the results folder, if the action is "rename".
        leftover: it is no damage, only something that a killed process could not remove.
    """

    path: str
    what: str
    means: str
    remedy: str
    action: RepairAction = "leave"
    target: str | None = None
    leftover: bool = False

    @property
    def folder(self) -> str:
        """The first part of its path: a study's folder, ``train``, ``profiles`` or a hidden one."""
        return self.path.partition("/")[0]

    def line(self) -> str:
        """Return it as one line, whatever a file's name or an error may hold."""
        kind = "leftover: " if self.leftover else ""
        text = f"{self.path}: {kind}{self.what}; {self.means}; {self.remedy}"
        return " ".join("".join(c if c.isprintable() else " " for c in text).split())


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything that was found, and how many Parquet files were examined."""

    findings: Sequence[Finding]
    files: int

    @property
    def damaged(self) -> int:
        """How many findings are damage."""
        return sum(not finding.leftover for finding in self.findings)

    def summary(self) -> str:
        """Return the last line of a report."""
        left = len(self.findings) - self.damaged
        beside = f"; {counted(left, 'leftover')} of killed processes" if left else ""
        found = counted(self.damaged, "finding") if self.damaged else "no damage found"
        return f"{found} in {counted(self.files, 'file')}{beside}"
