"""What MkDocs calls: pages that follow from the code, and what the others mean by files beside them.

The pages are written to be read as they are, in the repository: where they link to a file from which a page
follows, the site links to that page, and a link to any other file is its name.
"""

import posixpath
import re
from pathlib import Path
from typing import Any

import click
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from site_columns import columns_page
from site_methods import index_page, method_page
from site_spaces import experiments_page, spaces_page

from adasearch.cli.main import cli
from adasearch.schedulers import SCHEDULERS

__all__ = ["on_config", "on_files", "on_page_markdown"]

ROOT = Path(__file__).parents[2]
FILE = re.compile(r"<!-- FILE: (\S+) -->")
LINK = re.compile(r"\[([^\]]+)\]\((\.\./[^)#\s]+)\)")
MADE_FROM = {
    "adasearch/schedulers": "methods/index.md",
    "adasearch/schedulers/__init__.py": "methods/index.md#left-out",
    **{f"adasearch/schedulers/{name}.py": f"methods/{name}.md" for name in SCHEDULERS},
    "adasearch/records.py": "reference/python.md#records",
    "docs/columns.yaml": "reference/columns.md",
    "notebooks/LOG.md": "faq.md#log",
    **{
        f"search_spaces/{kind}": f"spaces/{kind}.md"
        for kind in ("schedulers", "architectures", "experiments")
    },
}


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


def on_page_markdown(markdown: str, *, page: Page, **others: Any) -> str:
    """Show the files that a page is to show, and link to what there is in the site."""
    log = (ROOT / "notebooks" / "LOG.md").read_text().partition("\n## ")[2].replace("\n## ", "\n### ")
    shown = FILE.sub(lambda found: _file(found[1]), markdown.replace("<!-- LOG -->", f"### {log}"))
    return LINK.sub(lambda found: _link(found[1], found[2], posixpath.dirname(page.file.src_uri)), shown)


def _file(name: str) -> str:
    text = (ROOT / name).read_text()
    return f"```{posixpath.splitext(name)[1].lstrip('.')}\n{text}```"


def _link(text: str, target: str, folder: str) -> str:
    """Return a link of a page in a folder of the site."""
    path = posixpath.normpath(posixpath.join("docs/pages", folder, target))
    if path.startswith("docs/pages/"):
        return f"[{text}]({target})"
    made = MADE_FROM.get(path)
    return text if made is None else f"[{text}]({posixpath.relpath(made, folder or '.')})"


def _commands_page() -> str:
    """Return the help of every command, as it prints it."""
    parts = ["# Command line\n\nWhat each command prints with `--help`."]
    for name, command in cli.commands.items():
        context = click.Context(
            command, info_name=f"adasearch {name}", max_content_width=100, terminal_width=100
        )
        parts.append(f"## {name}\n\n```text\n{command.get_help(context)}\n```")
    return "\n\n".join(parts)
