"""The report as a reader sees it: in a real browser, wide and narrow, light, dark and on paper."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

from adasearch.report import report
from adasearch.store import Store
from tests.reported import HOSTILE, add_confirmed, add_hostile

CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")

DESKTOP, PHONE = ViewportSize(width=1280, height=900), ViewportSize(width=390, height=844)


@pytest.fixture(scope="module")
def file(small_results: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a small search that was confirmed, and of a study full of markup."""
    folder = tmp_path_factory.mktemp("browser")
    shutil.copytree(small_results, folder / "results")
    add_confirmed(folder / "results")
    add_hostile(folder / "results")
    report(
        Store(str(folder / "results")), str(folder / "report.html"), progress=lambda what, done, total: None
    )
    return folder / "report.html"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


class Opened:
    """A page and whatever went wrong or left it while it was open."""

    def __init__(self, browser: Browser, file: Path, *, scheme: str = "light", wide: bool = True) -> None:
        size = DESKTOP if wide else PHONE
        context = browser.new_context(viewport=size, color_scheme=scheme, has_touch=not wide)  # type: ignore[arg-type]
        self.page: Page = context.new_page()
        self.faults: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.faults.append(message.text))
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("dialog", lambda dialog: self.faults.append(dialog.message))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(file.as_uri())

    def close(self) -> None:
        self.page.context.close()


@pytest.fixture
def wide(browser: Browser, file: Path) -> Iterator[Opened]:
    opened = Opened(browser, file)
    yield opened
    opened.close()


@pytest.fixture
def phone(browser: Browser, file: Path) -> Iterator[Opened]:
    opened = Opened(browser, file, wide=False)
    yield opened
    opened.close()


def test_page_opens_without_a_fault_and_asks_for_nothing(wide: Opened, file: Path) -> None:
    assert wide.page.locator("section").count() >= 5
    assert wide.page.locator("main > section").first.get_attribute("id") == "verdicts"
    assert wide.page.locator("figure svg").count() >= 8
    assert wide.faults == []
    assert wide.asked == [file.as_uri()]


def test_markup_in_names_and_errors_is_shown_and_not_run(wide: Opened) -> None:
    assert wide.page.title() != "broken"
    assert wide.page.locator("h2", has_text=HOSTILE).count() == 1
    assert wide.page.locator("code", has_text=HOSTILE).count() == 1
    assert wide.page.locator("script").count() == 1


def change(page: Page) -> str:
    """Return the selector of the first change of a batch size of resnet18."""
    (first, *_) = [
        each
        for each in page.locator("section.network figure .mark").all()
        if " examples: grow " in (each.get_attribute("data-tip") or "") and each.is_visible()
    ]
    return f'.mark[data-tip="{first.get_attribute("data-tip")}"]'


def test_pointing_at_a_change_tells_its_reason(wide: Opened) -> None:
    tip = wide.page.locator("#tip")
    assert tip.is_hidden()
    mark = wide.page.locator(change(wide.page)).first
    mark.hover()
    assert tip.is_visible()
    assert "dG=" in tip.inner_text() or "because" in tip.inner_text()
    wide.page.locator("h1").hover()
    assert tip.is_hidden()


def test_phone_scrolls_in_no_direction_but_down_and_shows_a_reason_on_a_tap(phone: Opened) -> None:
    page = phone.page
    for folded in page.locator("details").all():
        folded.evaluate("each => { each.open = true }")
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    assert page.evaluate("Math.max(...[...document.querySelectorAll('svg')].map(s => s.clientWidth))") > 300
    # A row of the verdicts is a card, so that nothing of it lies beyond the phone's edge.
    for scroll in page.locator("#verdicts .scroll").all():
        assert scroll.evaluate("box => box.scrollWidth <= box.clientWidth")
    for cell in page.locator("#verdicts td.verdict").all():
        inside = cell.bounding_box()
        assert inside is not None
        assert inside["x"] + inside["width"] <= PHONE["width"]
    assert "attr(data-of)" not in page.locator("#verdicts td").first.evaluate(
        "cell => getComputedStyle(cell, '::before').content"
    )
    page.locator(change(page)).first.tap()
    tip = page.locator("#tip")
    assert tip.is_visible()
    box = tip.bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= PHONE["width"]
    # Text of figures is as large as it was drawn.
    sizes = page.locator("figure svg text").evaluate_all(
        "all => all.map(t => t.getBoundingClientRect().height)"
    )
    assert min(size for size in sizes if size) > 8
    assert phone.faults == []


def luminance(colour: str) -> float:
    """Return the relative luminance of a CSS rgb colour (WCAG 2)."""
    parts = [int(part) / 255 for part in colour.removeprefix("rgb(").rstrip(")").split(",")]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_and_lines_stand_out_from_the_background(browser: Browser, file: Path, scheme: str) -> None:
    opened = Opened(browser, file, scheme=scheme)
    page = opened.page
    paper = luminance(page.locator("html").evaluate("each => getComputedStyle(each).backgroundColor"))
    assert (paper < 0.05) == (scheme == "dark")

    def contrasts(selector: str, style: str) -> list[float]:
        found = page.locator(selector).evaluate_all(f"all => all.map(e => getComputedStyle(e).{style})")
        bright = [luminance(colour) for colour in set(found) if colour.startswith("rgb(")]
        assert bright
        return [(max(each, paper) + 0.05) / (min(each, paper) + 0.05) for each in bright]

    assert min(contrasts("p, td, th, h2, summary, figcaption, dd, dt, a", "color")) > 4.5
    assert min(contrasts("svg text", "fill")) > 4.5
    assert min(contrasts("svg path[style*='stroke-width: 1.4']", "stroke")) > 3
    assert opened.faults == []
    opened.close()


def test_paper_is_light_and_nothing_is_folded_away(browser: Browser, file: Path, tmp_path: Path) -> None:
    opened = Opened(browser, file, scheme="dark")
    page = opened.page
    page.emulate_media(media="print", color_scheme="dark")
    paper = luminance(page.locator("html").evaluate("each => getComputedStyle(each).backgroundColor"))
    assert paper > 0.95
    assert page.locator("details:not([open])").count() > 0
    page.pdf(path=tmp_path / "report.pdf")
    assert page.locator("details:not([open])").count() == 0
    assert (tmp_path / "report.pdf").stat().st_size > 10_000
    opened.close()


def test_marks_tell_what_they_are_without_the_script(browser: Browser, file: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(file.as_uri())
    assert page.locator("svg .mark > title").count() > 20
    context.close()
