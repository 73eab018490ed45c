"""What MkDocs calls: pages that follow from the code, and parts of the README."""

import re
from pathlib import Path
from typing import Any

import click
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from site_columns import columns_page
from site_methods import index_page, method_page
from site_spaces import experiments_page, spaces_page

from adasearch.cli.main import cli
from adasearch.schedulers import SCHEDULERS

__all__ = ["on_config", "on_files", "on_page_markdown"]

ROOT = Path(__file__).parents[2]
SECTION = re.compile(r"<!-- README: (.+) -->")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add the methods' pages to the navigation, in the order of ``SCHEDULERS``."""
    for part in config.nav or []:
        if "Methods" in part:
            part["Methods"] += [{name: f"methods/{name}.md"} for name in SCHEDULERS]
    return config


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the pages that are made from the code."""
    pages = {f"methods/{name}.md": method_page(name) for name in SCHEDULERS}
    pages |= {
        "methods/index.md": index_page(),
        "spaces/schedulers.md": spaces_page("schedulers"),
        "spaces/architectures.md": spaces_page("architectures"),
        "spaces/experiments.md": experiments_page(),
        "reference/columns.md": columns_page(),
        "reference/cli.md": _commands_page(),
    }
    for name, text in pages.items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, **others: Any) -> str:
    """Put ``<!-- README: Images -->``, a section of the README, and ``<!-- LOG -->`` in their places."""
    log = (ROOT / "notebooks" / "LOG.md").read_text().partition("\n## ")[2].replace("\n## ", "\n### ")
    return SECTION.sub(lambda found: _section(found[1]), markdown.replace("<!-- LOG -->", f"### {log}"))


def _section(heading: str) -> str:
    parts = (ROOT / "README.md").read_text().split(f"\n## {heading}\n")
    if len(parts) != 2:
        raise PluginError(f"README.md has no heading {heading!r}, which a page of the documentation shows")
    return parts[1].partition("\n## ")[0].strip()


def _commands_page() -> str:
    """Return the help of every command, as it prints it."""
    parts = ["# Command line\n\nWhat each command prints with `--help`."]
    for name, command in cli.commands.items():
        context = click.Context(
            command, info_name=f"adasearch {name}", max_content_width=100, terminal_width=100
        )
        parts.append(f"## {name}\n\n```text\n{command.get_help(context)}\n```")
    return "\n\n".join(parts)
