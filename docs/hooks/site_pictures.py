"""Pictures of the README and of the pages, drawn from the stored study; "make pages" writes them.

Each is an SVG of its own that loads nothing and has its own paper, so that it can be read on light and dark
pages alike; the report's follow what the reader prefers.
"""

import io
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console

import adasearch
from adasearch.analysis.gather import gather
from adasearch.io.progress import Goal, SearchDisplay
from adasearch.plots.steps import draw_steps
from adasearch.report.pictures import speed_picture
from adasearch.report.svg import PAGE, THEME, Picture, picture, themed
from adasearch.store import Store

__all__ = ["PICTURES"]

ROOT = Path(__file__).parents[2]
STUDY = ROOT / "notebooks" / "data"
WHERE = ROOT / "notebooks" / "data_where"
POINT = ("architecture", "train/lr_schedule", "scheduler", "train/batch_size")
ASSETS = ROOT / "docs" / "pages" / "assets"
PLAIN_FONTS = re.sub(r"(?s)@font-face \{\{.*?\n    \}\}", "", CONSOLE_SVG_FORMAT).replace("Fira Code, ", "")
"""Rich's frame of a terminal, without the fonts that it would fetch."""
NETWORK = "vgg11_bn"
RUNNING = {"deba": 3, "constant": 4}  # trial that runs, of each scheduler
SHARE = 0.6  # of its intervals


def gained() -> str:
    """Return the report's first figure: what each scheduler gains."""
    found = gather(Store(str(STUDY), must_exist=True))
    drawn = speed_picture(found.evidence, found.rows)
    if drawn is None:
        raise ValueError(f"no speed-up is known in {STUDY.name}")
    return framed(drawn, 600)


@themed
def where() -> str:
    """Return the error of schedules over serial steps beside constant batch sizes, each at its tuned rate."""
    store = Store(str(WHERE), must_exist=True)
    studies = store.studies()
    trials = [trial for study in studies for trial in store.trials(study.study)]
    kept = set(adasearch.load(str(WHERE)).tuned(POINT)["trial_id"])
    trials = [trial for trial in trials if trial.source_trial_id in kept]
    style = replace(PAGE, width=8.0, labels=True)
    drawn = draw_steps(studies, trials, style=style, by="train/lr_schedule")
    found = picture(drawn, "Error over serial steps", "by network and learning-rate curve")
    if found is None:
        raise ValueError(f"nothing in {WHERE.name} was confirmed")
    return framed(found, 800)


def framed(drawn: Picture, width: int) -> str:
    """Return a picture as a file of its own, so many pixels wide."""
    light, dark = (
        "".join(f"--{name}: {both[place]}; " for name, both in THEME.items()) for place in range(2)
    )
    style = (
        f"<style>svg {{ {light}background: var(--paper); }} text {{ font-family: sans-serif !important; }} "
        f"@media (prefers-color-scheme: dark) {{ svg {{ {dark}}} }}</style>"
    )
    opened, rest = str(drawn.svg).split(">", 1)
    named = opened.replace("<svg", f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}"', 1)
    return f"{named}>{style}{rest}\n"


def live() -> str:
    """Return what a terminal shows while the search runs: its own rows, at a moment of it."""
    store = Store(str(STUDY), must_exist=True)
    studies = [study for study in store.studies() if study.architecture == NETWORK]
    studies = [study for study in studies if study.scheduler in RUNNING]
    console = Console(
        record=True, force_terminal=True, color_system="truecolor", width=104, file=io.StringIO()
    )
    clock = [0.0]
    goals = [
        Goal(study=study.study, budget=study.budget, trials=6, finished=0, best=None) for study in studies
    ]
    display = SearchDisplay(console, goals, now=lambda: clock[0])
    for number in range(max(RUNNING.values()) + 1):
        for study in studies:
            trial = next(
                each for each in store.trials(study.study) if each.phase == "search" and each.number == number
            )
            last = RUNNING[study.scheduler]
            if number > last:
                continue
            display.started(trial)
            rows = store.find_trial(trial.trial_id)[1]
            for row in rows if number < last else rows[: int(SHARE * len(rows))]:
                clock[0] += row.seconds("measured")
                display.progressed(trial, row)
            if number < last:
                display.ended(replace(trial, error=None))
    console.print()
    console.print(display)
    title = f"adasearch search --architecture {NETWORK} --scheduler deba --trials 6"
    return console.export_svg(title=title, code_format=PLAIN_FONTS, unique_id="live")


PICTURES: Mapping[str, Callable[[], str]] = {"gained.svg": gained, "live.svg": live, "where.svg": where}


def main() -> None:
    """Write the pictures into the folder that is named, else into that of the pages."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ASSETS
    for name, draw in PICTURES.items():
        (folder / name).write_text(draw())


if __name__ == "__main__":
    main()
