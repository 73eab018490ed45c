"""Docstrings as Markdown: their roles, literal blocks and doctests are written as Sphinx reads them."""

import re
from collections.abc import Mapping, Sequence

import griffe

__all__ = ["PlainMarkdown", "arguments", "paragraphs", "table"]

ROLE = re.compile(r":\w+:`~?([^`]+)`")
TEXT = re.compile(r"(?m)^(?! {4}).*$")  # lines that are no code
PREPRINT = re.compile(r"(?:arXiv )?\b(\d{4}\.\d{5})\b")
DOCTEST = re.compile(r"(?m)((?:^>>> .*\n?)(?:^.+\n?)*)")


def paragraphs(docstring: str) -> str:
    """Return a docstring as Markdown.

    >>> paragraphs("See :mod:`~adasearch.kinds`, that is ::")
    'See `adasearch.kinds`, that is:'
    >>> paragraphs("(arXiv 1712.02029)")
    '([arXiv 1712.02029](https://arxiv.org/abs/1712.02029))'
    """
    text = ROLE.sub(r"`\1`", docstring)
    text = re.sub(r"(?m)^::\n", "", text)  # a literal block of its own
    text = re.sub(r"(?m) ?::$", ":", text)
    text = TEXT.sub(lambda line: PREPRINT.sub(r"[\g<0>](https://arxiv.org/abs/\1)", line[0]), text)
    return DOCTEST.sub(lambda found: f"```pycon\n{found[1].rstrip()}\n```\n", text)


class PlainMarkdown(griffe.Extension):
    """Hands mkdocstrings every docstring as Markdown."""

    def on_object(self, *, obj: griffe.Object, **others: object) -> None:
        """Rewrite the docstring of a module, class, function or attribute."""
        if obj.docstring is not None:
            obj.docstring.value = paragraphs(obj.docstring.value)


def arguments(docstring: str | None) -> dict[str, str]:
    """Return the meaning of each argument that a Google docstring lists; "a, b: text" tells both.

    >>> arguments("Do.\\n\\nArgs:\\n    a, b: two numbers.\\n")
    {'a': 'two numbers.', 'b': 'two numbers.'}
    """
    parsed = griffe.Docstring(docstring or "").parse("google", warnings=False)
    found: dict[str, str] = {}
    for section in parsed:
        if isinstance(section, griffe.DocstringSectionParameters | griffe.DocstringSectionAttributes):
            for each in section.value:
                text = " ".join(paragraphs(each.description).split())
                found |= dict.fromkeys(re.split(r",\s*", each.name), text)
    return found


def table(headers: Sequence[str], rows: Sequence[Mapping[str, object]]) -> str:
    """Return a Markdown table."""
    lines = [headers, ["---"] * len(headers), *([row[header] for header in headers] for row in rows)]
    return "".join(
        "| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |\n" for line in lines
    )
