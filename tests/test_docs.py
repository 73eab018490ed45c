"""The site is built as CI builds it, and what its pages claim is tried."""

import dataclasses
import os
import re
import shlex
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import click
import pytest
import yaml

from adasearch.cli.main import cli
from adasearch.schedulers import SCHEDULERS
from adasearch.spaces.space import parse_space
from adasearch.store.schemas import SCHEMAS
from tests.small_study import write_small_study

ROOT = Path(__file__).parent.parent
PAGES = {str(path.relative_to(ROOT / "docs/pages")): path for path in (ROOT / "docs/pages").rglob("*.md")}
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "NO_MKDOCS_2_WARNING": "1"}


def blocks(page: str, language: str) -> list[str]:
    """The code of a page that claims to run, in order; what is included from a file is tried there."""
    found = re.findall(r"^```([^\n]*)\n(.*?)^```$", PAGES[page].read_text(), flags=re.DOTALL | re.MULTILINE)
    own = [(info, code) for info, code in found if info.partition(" ")[0] == language]
    return [code for info, code in own if "not run" not in info and "--8<--" not in code]


def command_lines() -> list[tuple[str, str]]:
    lines = [
        (page, line.removeprefix("$ "))
        for page in PAGES
        for block in blocks(page, "")
        for line in block.replace("\\\n", " ").splitlines()
    ]
    return [(page, line) for page, line in lines if line.startswith("adasearch ")]


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
    """A folder in which the pages' code finds a finished search."""
    folder = tmp_path_factory.mktemp("pages")
    write_small_study(folder / "results" / "demo", ["resnet18"])
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
    "store.md": "assert len(rates) == 4 == intervals.trial_id.nunique() == 2 * len(trials) and len(changes)",
    "language.md": "import torch; assert bigrams(9, 4)(torch.zeros(2, 4).long()).shape == (2, 4, 9)",
    "extending.md": "assert make_net(10, 16)(torch.zeros(2, 3, 16, 16)).shape == (2, 10) and seven_or_not()",
}


def test_pages_whose_code_is_tried_are_those_that_have_some() -> None:
    assert {page for page in PAGES if blocks(page, "python")} == set(CHECKS)


@pytest.mark.parametrize("page", CHECKS)
def test_code_of_a_page_runs(page: str, study: Path) -> None:
    (study / "code.py").write_text("\n".join([*blocks(page, "python"), CHECKS[page], "print('done')"]))
    run = [sys.executable, "code.py"]
    done = subprocess.run(run, cwd=study, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("done\n")


@pytest.mark.parametrize(("page", "line"), command_lines())
def test_command_lines_of_the_pages_parse(page: str, line: str) -> None:
    _, name, *arguments = shlex.split(line)
    command = cli.commands[name]
    with click.Context(command) as context:
        command.parse_args(context, arguments)


def test_spaces_of_the_pages_are_some(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_module.py").write_text(blocks("extending.md", "python")[0])
    monkeypatch.syspath_prepend(tmp_path)
    for page, searched in (("extending.md", 2), ("spaces/index.md", 5)):
        (text,) = blocks(page, "yaml")
        content = yaml.safe_load(text)
        assert len(parse_space(content, page, content.get("scheduler")).distributions()) == searched
