"""README and pages as texts: their code, their commands, their links."""

import re
import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from adasearch.cli.main import cli

__all__ = ["PAGES", "ROOT", "anchors", "block", "blocks", "command_lines", "links", "parse", "titles"]

ROOT = Path(__file__).parent.parent
PAGES = {str(path.relative_to(ROOT / "docs/pages")): path for path in (ROOT / "docs/pages").rglob("*.md")} | {
    "README.md": ROOT / "README.md"
}
FENCE = re.compile(r"^```(\w*)(?: title=\"([^\"\n]+)\")?\n(.*?)^```$", flags=re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")


def blocks(page: str, language: str) -> list[str]:
    """The code of a page that runs as it stands, in order; a title says what a block needs."""
    found = FENCE.findall(PAGES[page].read_text())
    return [code for name, title, code in found if name == language and not title]


def titles(page: str) -> set[str]:
    return {title for _, title, _ in FENCE.findall(PAGES[page].read_text()) if title}


def block(page: str, title: str) -> str:
    """The code under a title, all of it."""
    return "\n".join(code for _, each, code in FENCE.findall(PAGES[page].read_text()) if each == title)


def command_lines(pages: Iterable[str]) -> list[tuple[str, str]]:
    lines = [
        (page, line.removeprefix("$ "))
        for page in pages
        for code in blocks(page, "")
        for line in code.replace("\\\n", " ").splitlines()
    ]
    return [(page, line) for page, line in lines if line.startswith("adasearch ")]


def parse(line: str) -> None:
    _, name, *arguments = shlex.split(line)
    command = cli.commands[name]
    with click.Context(command) as context:
        command.parse_args(context, arguments)


def links(path: Path) -> Iterator[str]:
    """Where a page leads within the repository."""
    text = re.sub(r"(?ms)^```.*?^```$|`[^`\n]*`", "", path.read_text())
    for target in LINK.findall(text):
        if "://" not in target and not target.startswith("mailto:"):
            yield target


def anchors(path: Path) -> set[str]:
    """The headings of a page by the names that GitHub gives them."""
    text = re.sub(r"(?ms)^```.*?^```$", "", path.read_text())
    headings = re.findall(r"(?m)^#+ (.+)$", text)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}
