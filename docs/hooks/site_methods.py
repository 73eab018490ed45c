"""A page per method: its rule, its parameters, where they are searched, and what it decides."""

import dataclasses
import inspect
from typing import Literal, get_origin, get_type_hints

from site_course import EXAMPLES, INTERVALS, LIMITS, SIZE, course, figure
from site_markdown import arguments, paragraphs, table
from site_spaces import ranges, spaces_of

from adasearch.schedulers import SCHEDULERS
from adasearch.spaces.space import load_space

__all__ = ["index_page", "method_page"]

REASONS = 5


def method_page(name: str) -> str:
    """Return the page of a method; the rule is its module's docstring."""
    cls = SCHEDULERS[name]
    summary, _, rule = inspect.cleandoc(inspect.getdoc(inspect.getmodule(cls)) or "").partition("\n\n")
    parts = [
        f"# {name}",
        f"**{paragraphs(summary)}**",
        paragraphs(rule),
        _parameters(name),
        _needs(name),
        _illustration(name),
        _python(cls),
    ]
    return "\n\n".join(part for part in parts if part)


def index_page() -> str:
    """Return the table of all methods."""
    rows = [
        {
            "name": f"[{name}]({name}.md)",
            "what": (cls.__doc__ or "").splitlines()[0],
            "signals": ", ".join(f"`{signal}`" for signal in sorted(cls().needs)) or "none",
        }
        for name, cls in SCHEDULERS.items()
    ]
    text = (
        "# Methods\n\nEach page is made from the method's own file: what is known of its source, what is "
        "ours, and where we differ. Signals are those of the defaults; only what is named is measured and "
        "paid for.\n\n"
    )
    left_out = paragraphs(_left_out())
    return f"{text}{table(['name', 'what', 'signals'], rows)}\n## Left out\n\n{left_out}\n"


def _left_out() -> str:
    from adasearch import schedulers

    return (schedulers.__doc__ or "").partition("Left out, ")[2].partition("\n\n")[2]


def _parameters(name: str) -> str:
    cls = SCHEDULERS[name]
    fields = dataclasses.fields(cls)  # type: ignore[arg-type]
    if not fields:
        return "## Parameters\n\nNone."
    meanings, kinds = arguments(cls.__doc__), get_type_hints(cls)
    rows = [
        {
            "field": f"`{field.name}`",
            "default": f"`{field.default!r}`".replace("'", '"'),
            "kind": "choice" if get_origin(kinds[field.name]) is Literal else kinds[field.name].__name__,
            "meaning": meanings[field.name],
        }
        for field in fields
    ]
    spaces = {space: load_space("schedulers", space).fields for space in spaces_of(name)}
    searched = [
        {"field": f"`{field.name}`"}
        | {
            space: ranges(known[field.name]) if field.name in known else "default"
            for space, known in spaces.items()
        }
        for field in fields
    ]
    return (
        f"## Parameters\n\n{table([*rows[0]], rows)}\n## What is searched\n\n"
        f"Per [space](../spaces/schedulers.md) that comes with it:\n\n{table([*searched[0]], searched)}"
    )


def _needs(name: str) -> str:
    scheduler = SCHEDULERS[name]()
    signals = (
        ", ".join(f"`{signal}`" for signal in sorted(scheduler.needs)) or "none beyond the training loss"
    )
    schedules = ", ".join(f"`{curve}`" for curve in sorted(scheduler.lr_schedules))
    return (
        f"**Signals** that are measured for it, with the defaults: {signals}. "
        f"**Learning-rate schedules** it goes with: {schedules}."
    )


def _illustration(name: str) -> str:
    taken = course(SCHEDULERS[name]())
    changes = [
        {
            "after interval": row.interval,
            "from": row.batch_size,
            "to": decision.batch_size,
            "reason": decision.reason,
        }
        for row, decision in taken
        if decision.action != "hold"
    ]
    count = f"{len(changes)} changes" if len(changes) != 1 else "1 change"
    caption = (
        f"An illustration on made-up signals, not a result: the method at its defaults, {INTERVALS} "
        f"intervals of one epoch of {EXAMPLES:,} examples, sizes from {LIMITS.smallest} to {LIMITS.largest}, "
        f"beginning with {SIZE}. {count}."
    )
    drawn = f'<figure class="course" role="img" aria-label="Batch size over intervals">\n{figure(taken)}\n\
<figcaption>{caption}</figcaption>\n</figure>'
    shown = changes[:REASONS]
    listed = f"\n\nIts first changes, in its own words:\n\n{table([*shown[0]], shown)}" if shown else ""
    return f"## What it decides\n\n{drawn}{listed}"


def _python(cls: type) -> str:
    path = f"{cls.__module__}.{cls.__name__}"
    options = "    options:\n      show_docstring_parameters: false\n      heading_level: 3"
    return f"## In Python\n\n::: {path}\n{options}\n"
