"""The site is built as CI builds it, and what its pages claim is tried."""

import dataclasses
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml

from adasearch.analysis.confirmed_tables import confirmed_tables
from adasearch.analysis.gather import gather
from adasearch.analysis.prediction_table import predict_table
from adasearch.cli.main import cli
from adasearch.commands import catalogue, export
from adasearch.schedulers import SCHEDULERS
from adasearch.spaces.space import parse_space
from adasearch.store import Store
from adasearch.store.schemas import SCHEMAS
from tests.layers import ROOMS
from tests.pages import PAGES, ROOT, block, blocks, command_lines, parse, titles
from tests.small_study import write_small_study

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "NO_MKDOCS_2_WARNING": "1"}
STUDY = ROOT / "notebooks" / "data"
OLD = ["alexnet-nano-constant-parquet-cifar10", "alexnet-nano-deba-parquet-cifar10"]
DOCS = [page for page in PAGES if page != "README.md"]


class Page(HTMLParser):
    """What a page links to, what it loads, and what can be linked to in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = {name: value or "" for name, value in attrs}
        self.anchors |= {named[name] for name in ("id", "name") if name in named}
        if tag == "a" and "href" in named:
            self.links.append(named["href"])
        elif tag in ("script", "img", "iframe", "source") and "src" in named:
            self.loads.append(named["src"])
        elif tag == "link" and named.get("rel") != "canonical":
            self.loads.append(named["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("docs") / "site"
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", "docs/mkdocs.yml", "-d", str(folder)]
    done = subprocess.run(build, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return folder


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the pages' code finds a finished search, and before it studies of version 0.1.0."""
    folder = tmp_path_factory.mktemp("pages")
    write_small_study(folder / "results" / "demo", ["resnet18"])
    for name in OLD:
        shutil.copytree(STUDY / name, folder / "results" / "demo" / name)
    export(Store(str(STUDY)), "alexnet-nano-adabatch-parquet-cifar10", output=str(folder / "schedule.yaml"))
    return folder


@pytest.mark.parametrize("name", SCHEDULERS)
def test_every_method_has_its_page(site: Path, name: str) -> None:
    text = (site / "methods" / f"{name}.html").read_text()
    parameters = text.partition('id="parameters"')[2].partition("</table>")[0]
    for field in dataclasses.fields(SCHEDULERS[name]):  # type: ignore[arg-type]
        shown = re.search(rf"<code>{field.name}</code></td>\s*<td><code>(.*?)</code></td>", parameters)
        assert shown is not None, field.name
        default = shown[1].replace("&quot;", '"').strip('"')
        assert default == str(field.default)
    assert re.search(r'(?s)<figure class="course"[^>]*>\s*<svg ', text)
    assert "made-up signals, not a result" in text
    assert f'href="{name}.html"' in (site / "methods" / "index.html").read_text()


def test_figures_show_what_the_methods_decide(site: Path) -> None:
    """A constant batch is one level line, and the others are not."""
    level = set()
    for name in SCHEDULERS:
        text = (site / "methods" / f"{name}.html").read_text()
        sizes = re.findall(r'<path d="([^"]+)" clip-path', text)[0]
        if len(set(re.findall(r"[ML] [\d.]+ ([\d.]+)", sizes))) == 1:
            level.add(name)
    assert level == {"constant"}


def test_internal_links_and_anchors_exist(site: Path) -> None:
    pages = {path: Page(path.read_text()) for path in site.rglob("*.html") if path.name != "404.html"}
    assert len(pages) > 25
    broken = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            anchor = unquote(parts.fragment)
            if not target.exists() or (anchor and anchor not in pages[target].anchors):
                broken.append(f"{path.relative_to(site)}: {link}")
    assert broken == []


def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    for path in site.rglob("*.html"):
        for place in Page(path.read_text()).loads:
            assert not urlsplit(place).netloc, f"{path.name} loads {place}"
    for path in site.rglob("*.css"):
        assert not re.search(r"(@import|url\()\s*[\"']?(https?:)?//", path.read_text()), path.name


def test_no_path_of_this_machine_is_shown(site: Path) -> None:
    for path in site.rglob("*.html"):
        text = path.read_text()
        for place in (ROOT, site, Path(sys.prefix), Path.home()):
            assert f"{place}/" not in text, f"{path.name} shows {place}"


def test_every_column_and_option_is_in_the_reference(site: Path) -> None:
    columns = (site / "reference" / "columns.html").read_text()
    for table, schema in SCHEMAS.items():
        shown = columns.partition(f'id="{table}"')[2].partition("</table>")[0]
        assert re.findall(r"<td><code>(\w+)</code></td>", shown) == schema.names
    commands = (site / "reference" / "cli.html").read_text()
    for name, command in cli.commands.items():
        assert f'id="{name}"' in commands
        for option in (parameter.opts[0] for parameter in command.params):
            assert option in commands or option.upper() in commands, f"{name} {option}"


CHECKS = {
    "loop.md": "assert optimizer.param_groups[0]['lr'] < 1e-3 and len(controller.history) == 12",
    "store.md": """
everything = adasearch.load("results/demo")
assert len(rates) == (everything.trials()["status"] == "complete").sum() > 30
assert sum(row[3] is None for row in rates) == len(rates)  # a column that the first file lacks
assert changes.height == (everything.intervals()["action"] != "hold").sum() > 90
assert "decided" in intervals.collect_schema().names()
assert intervals.collect().height == len(everything.intervals())
assert len(trials) == everything.trials()["study"].str.contains("-deba-").sum() > 20
""",
    "extending.md": "assert seven_or_not()",
    "language.md": "import torch; assert bigrams(9, 4)(torch.zeros(2, 4).long()).shape == (2, 4, 9)",
    "own_training.md": """
if __name__ == "__main__":
    from adasearch.functions.rehearsal import FunctionRehearsal, rehearse_function
    first = {"lr": 1e-3, "batch_size": 32}
    named = {"function": "of_the_page:train", "scheduler": "deba", "fields": {}, "epochs": 10}
    found = rehearse_function(FunctionRehearsal(params=first, **named))
    assert (found.examples, found.figures, found.resumes) == (1400, ("loss", "error"), True)
""",
    "networks.md": "import torch; assert make_net(10, 16)(torch.zeros(2, 3, 16, 16)).shape == (2, 10)",
    "python.md": """
from pathlib import Path
assert run.batch_size == 16 and len(trials) == len(found.trials())
assert intervals.height == len(found.intervals("resnet18-nano-deba-digits")) > 10
assert set(table["scheduler"]) == {"constant", "deba"} and own.architecture == "python:small_net"
assert Path("front.png").stat().st_size > 1000 and scheduler.cooldown == 2 and 5 < len(decisions)
""",
}
TITLED = {
    "ecosystem.md": {"with transformers"},
    "loop.md": {"to resume", "with schedule.yaml"},
    "python.md": {"starts Ray", "in a loop of your own"},
    "store.md": {"not run"},
    "trackers.md": {"not run"},
}


def ran(code: str, folder: Path) -> str:
    (folder / "of_the_page.py").write_text(code)
    run = [sys.executable, "of_the_page.py"]
    done = subprocess.run(run, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_pages_whose_code_is_tried_are_those_that_have_some() -> None:
    assert {page for page in DOCS if blocks(page, "python")} == set(CHECKS)
    assert {page: titles(page) for page in PAGES if titles(page)} == TITLED


@pytest.mark.parametrize("page", CHECKS)
def test_code_of_a_page_runs(page: str, study: Path) -> None:
    assert ran("\n".join([*blocks(page, "python"), CHECKS[page], "print('done')"]), study).endswith("done\n")


def test_loop_of_the_page_goes_on_from_the_state_that_it_wrote(tmp_path: Path) -> None:
    code = blocks("loop.md", "python")[0]
    before, loop = code.split("for epoch in", maxsplit=1)
    three = ran(
        code.replace("range(controller.epoch, 12)", "range(controller.epoch, 3)"), tmp_path
    ).splitlines()
    assert [int(line.split()[0]) for line in three] == [1, 2, 3]
    resumed = ran(before + block("loop.md", "to resume") + "for epoch in" + loop, tmp_path).splitlines()
    assert [int(line.split()[0]) for line in resumed] == list(range(4, 13))
    sizes = [int(line.split()[1]) for line in three + resumed]
    assert sizes[-1] > sizes[0]


def test_found_schedule_of_the_page_trains(study: Path) -> None:
    model = blocks("loop.md", "python")[0].partition("optimizer =")[0]
    last = "assert controller.progress == 1 and len(controller.history) >= found.epochs - 1"
    ran("\n".join([model, block("loop.md", "with schedule.yaml"), last]), study)


def test_best_trial_of_the_page_is_taken_by_a_controller(study: Path) -> None:
    model = blocks("loop.md", "python")[0].partition("fields =")[0]
    best = "import adasearch; best = adasearch.load('results/demo').best('resnet18', 'deba')"
    last = "assert controller.batch_size == 16"
    ran("\n".join([model, best, block("python.md", "in a loop of your own"), last]), study)


@pytest.mark.ray
def test_searches_of_the_page_run(tmp_path: Path) -> None:
    space = next(code for code in blocks("python.md", "python") if code.startswith("space = "))
    code = f"{space}\n{block('python.md', 'starts Ray')}"
    for large, small in (
        ("trials=12", "trials=1, subset=300, largest=64"),
        ("epochs=16", "epochs=1"),
        ("seeds=5", "seeds=1"),
    ):
        assert large in code
        code = code.replace(large, small)
    assert "Confirmed: " in ran(code, tmp_path)
    assert (tmp_path / "results" / "python_space").is_dir()


@pytest.mark.parametrize(("page", "line"), command_lines(DOCS))
def test_command_lines_of_the_pages_parse(page: str, line: str) -> None:
    parse(line)


def test_spaces_of_the_pages_are_some(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_module.py").write_text(blocks("extending.md", "python")[0])
    monkeypatch.syspath_prepend(tmp_path)
    searched = {"extending.md": 2, "spaces/index.md": 5, "methods/shared.md": 3}
    assert {page for page in DOCS if blocks(page, "yaml")} == set(searched)
    for page, count in searched.items():
        (text,) = blocks(page, "yaml")
        content = yaml.safe_load(text)
        assert len(parse_space(content, page, content.get("scheduler")).distributions()) == count


def table_lines(markdown: str) -> list[str]:
    return [line for line in markdown.splitlines() if line.startswith("| ")]


def test_table_of_the_results_is_that_of_the_stored_study() -> None:
    found = gather(Store(str(STUDY), must_exist=True))
    tables = confirmed_tables(found.evidence, "markdown", mark="")
    first = table_lines(tables.partition("**What the candidates took**")[0])
    assert table_lines(PAGES["results.md"].read_text()) == first
    assert len(first) > 2 + 3  # of at least four networks


def test_guesses_of_the_page_are_those_over_the_stored_study() -> None:
    checked = predict_table(Store(str(STUDY), must_exist=True), check=True, form="markdown")
    for line in checked.strip().splitlines()[1:]:
        assert line.strip() in PAGES["profiles.md"].read_text()


def test_architectures_of_the_page_are_those_that_are_listed() -> None:
    (shown,) = [
        code for code in blocks("networks.md", "") if code.startswith("$ adasearch list architectures")
    ]
    assert shown.partition("\n")[2] == catalogue("architectures", results="results")


def test_rooms_of_the_page_are_those_of_the_code() -> None:
    text = PAGES["design.md"].read_text()
    shown = {name for row in table_lines(text) for name in re.findall(r"^\| `([a-z_]+)/`", row)}
    assert shown == {room for room in ROOMS if (ROOT / "adasearch" / room).is_dir()}
