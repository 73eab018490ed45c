"""A matplotlib figure as SVG inside a page: it follows the page's colours, and its marks tell what they are.

Why matplotlib's SVG and not an interactive library: the figures are still ones, so a page needs none of
plotly.js (about 1 MB in its basic form, 4.7 MB whole) or Vega, prints as it is seen, stays small with
hundreds of trials, and says what it has to say without a script. What a reader points at is an SVG
``<title>``, which a browser shows by itself; the page's few lines of script show it on phones, too. The
library draws, and matplotlib is one that the project's notebooks have already.

matplotlib writes fixed colours. Figures are drawn in the light colours of ``THEME``, each of which becomes
its CSS variable here, so that one picture serves light, dark and paper.
"""

import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

from markupsafe import Markup
from matplotlib import rc_context

from adasearch.plots.style import Drawn, Style

__all__ = ["PAGE", "THEME", "Picture", "picture", "themed"]

THEME = {
    "ink": ("#1f2328", "#e6e8ea"),
    "grey": ("#6a6f76", "#a3a9b0"),
    "pale": ("#e4e6e9", "#343940"),
    "paper": ("#ffffff", "#15181c"),
    "blue": ("#0072b2", "#56b4e9"),
    "red": ("#b84f00", "#ff9248"),
    "green": ("#00785a", "#3ecfa4"),
    "pink": ("#a9457f", "#e79cc4"),
    "gold": ("#8f6300", "#f0c24b"),
}
"""Colours on a light and on a dark page; those of series are Okabe's and Ito's hues, dark or light
enough for text."""

INK, GREY, PALE, _, *SERIES = (light for light, _ in THEME.values())
PAGE = Style(width=5.2, ink=INK, grey=GREY, pale=PALE, series=tuple(SERIES), labels=False)
"""How figures look here; they are as wide as a phone at one point a pixel."""

themed = rc_context(
    {
        "text.parse_math": False,  # names are the user's, and a dollar is a dollar
        "text.color": INK,
        "axes.edgecolor": GREY,
        "axes.labelcolor": INK,
        "axes.titlecolor": INK,
        "xtick.color": GREY,
        "ytick.color": GREY,
        "xtick.labelcolor": INK,
        "ytick.labelcolor": INK,
        "axes.facecolor": "none",
        "figure.facecolor": "none",
    }
)
"""What drawing functions are decorated with; outside them matplotlib's settings are as they were."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A figure of a page: SVG to put into it, and what stands above, below and folded away."""

    title: str
    svg: Markup
    note: str
    listed: Sequence[str]


def picture(drawn: Drawn | None, title: str, about: str) -> Picture | None:
    """Return a figure for a page, None where there is none or it shows nothing.

    Args:
        drawn: under :data:`themed`, in the colours of ``PAGE``.
        title: what stands above it.
        about: whose it is; with the title its name for a screen reader.
    """
    if drawn is None or not drawn.tips:
        return None
    for place, (artist, _) in enumerate(drawn.tips):
        artist.set_gid(f"tip {place}")
    file = io.StringIO()
    name = f"{about}: {title}"
    # Text stays text: it is found, copied, and in the page's font.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": name}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # of matplotlib's font, for the widths alone
        drawn.figure.savefig(file, format="svg", metadata={"Date": None})
    root = ElementTree.fromstring(file.getvalue())
    _bare(root)
    groups = {group.attrib.pop("id", None): group for group in root.iter("g")}  # ids are those of each figure
    for place, (_, texts) in enumerate(drawn.tips):
        if texts:
            _explain(groups[f"tip {place}"], texts)
    width = root.attrib["viewBox"].split()[2]
    root.attrib = {  # serialised below, so escaped
        "viewBox": root.attrib["viewBox"],
        "role": "img",
        "aria-label": name,
        "style": f"max-width: {1.6 * float(width):.0f}px",
    }
    return Picture(
        title=title,
        svg=Markup(ElementTree.tostring(root, encoding="unicode")),
        note=drawn.note,
        listed=drawn.listed,
    )


def _bare(root: ElementTree.Element) -> None:
    """Drop name spaces, metadata and style sheets, and turn colours into variables."""
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag.rpartition("}")[2] in ("metadata", "style"):
                parent.remove(child)
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        element.attrib = {key.rpartition("}")[2]: value for key, value in element.attrib.items()}
        style = element.attrib.get("style")
        if style:
            for variable, (light, _) in THEME.items():
                style = style.replace(light, f"var(--{variable})")
            element.attrib["style"] = style
        if element.text is not None and not element.text.strip():
            element.text = None
        element.tail = None


def _explain(group: ElementTree.Element, texts: Sequence[str]) -> None:
    """Give each mark of an artist its text."""
    marks = list(group.iter("use")) or [each for each in group if each.tag == "path"]
    for mark, text in zip(marks, texts, strict=True):
        mark.attrib["class"] = "mark"
        ElementTree.SubElement(mark, "title").text = text
