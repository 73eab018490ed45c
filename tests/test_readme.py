"""The README is tried, not believed: its commands parse, its code runs, its links lead somewhere."""

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pyarrow.parquet as pq
import pytest

from adasearch.cli.main import cli
from adasearch.data.sources.registry import decode
from adasearch.networks.registry import check_model
from tests.pages import PAGES, ROOT, anchors, blocks, command_lines, links, parse

README = PAGES["README.md"].read_text()
STUDY = ROOT / "notebooks" / "data"
MARKDOWN = [*PAGES.values(), ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", ROOT / "benchmarks/README.md"]


def code(part: str) -> str:
    (found,) = [each for each in blocks("README.md", "python") if part in each]
    return found


@pytest.mark.parametrize("line", [line for _, line in command_lines(["README.md"])])
def test_every_command_line_of_the_readme_parses(line: str) -> None:
    parse(line)


def test_readme_names_every_command() -> None:
    assert {name for name in cli.commands if f"adasearch {name}" not in README} == set()


def test_readme_is_read_in_five_minutes_and_has_no_gaps() -> None:
    assert len(README.splitlines()) <= 200
    assert "@@" not in README
    assert "TODO" not in README


@pytest.mark.parametrize("path", MARKDOWN, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere_in_the_repository(path: Path) -> None:
    broken = []
    for link in links(path):
        place, _, anchor = link.partition("#")
        target = (path.parent / place).resolve() if place else path
        known = target.exists() and target.is_relative_to(ROOT)
        if not known or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def test_readme_leads_to_every_page() -> None:
    led = {(ROOT / link.partition("#")[0]).resolve() for link in links(PAGES["README.md"])}
    besides = {"reference/python.md"}  # which is for the site
    assert {name for name, path in PAGES.items() if path not in led} - {"README.md"} == besides


def test_tables_are_what_code_and_stored_study_say() -> None:
    check = [sys.executable, "docs/hooks/site_made.py", "--check"]
    done = subprocess.run(check, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, ""), f"{done.stdout}: make pages\n{done.stderr}"


def test_pictures_are_whole_load_nothing_and_show_no_place(tmp_path: Path) -> None:
    draw = [sys.executable, "docs/hooks/site_pictures.py", str(tmp_path)]
    subprocess.run(draw, cwd=ROOT, check=True, capture_output=True)
    drawn = {path.name for path in tmp_path.iterdir()}
    assert (
        drawn
        == {path.name for path in (ROOT / "docs/pages/assets").glob("*.svg")}
        == {"gained.svg", "live.svg", "where.svg"}
    )
    for path in [*tmp_path.iterdir(), *(ROOT / "docs/pages/assets").glob("*.svg")]:
        text = path.read_text()
        said = "".join(ElementTree.fromstring(text).itertext()).replace("\xa0", " ")
        words = {
            "gained.svg": ["tuned reference", "vgg11_bn"],
            "live.svg": ["about", "best of study"],
            "where.svg": ["serial steps", "vgg11_bn, cosine", "lr_tail"],
        }
        for word in words[path.name]:
            assert word in said
        assert "url(http" not in text
        assert 'href="http' not in text
        assert "@font-face" not in text
        assert not any(f"/{place}/" in text for place in ("home", "root", "tmp", "work", "Users"))


def test_network_of_the_readme_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "net_of_the_readme.py").write_text(code("make_net"))
    monkeypatch.syspath_prepend(tmp_path)
    check_model("net_of_the_readme:make_net", "nano", classes=10, image_size=16)


def test_data_of_the_readme_are_a_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data_of_the_readme.py").write_text(code("seven_or_not"))
    monkeypatch.syspath_prepend(tmp_path)
    found = decode("data_of_the_readme:seven_or_not", image_size=16)
    assert found.images.shape == (1797, 3, 16, 16)
    assert found.classes == 2


def test_loop_of_the_readme_grows_the_batch(tmp_path: Path) -> None:
    loop = code("import BatchSize")
    assert len(loop.splitlines()) <= 25
    (tmp_path / "loop.py").write_text(loop)
    done = subprocess.run([sys.executable, "loop.py"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    epochs = [line.split(maxsplit=2) for line in done.stdout.splitlines()]
    assert [int(epoch) for epoch, *_ in epochs] == list(range(1, 17))
    sizes = [int(size) for _, size, _ in epochs]
    assert sizes[-1] > sizes[0]


@pytest.mark.ray
def test_search_of_the_readme_runs(tmp_path: Path) -> None:
    search = code("adasearch.search")
    assert len(search.strip().splitlines()) <= 8
    small = search.replace("trials=12, epochs=16", "trials=1, epochs=1, subset=300, largest=64")
    (tmp_path / "search.py").write_text(small)
    done = subprocess.run([sys.executable, "search.py"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "sizes.png").stat().st_size > 1000
    assert "confidence_threshold" in done.stdout


def test_stored_study_names_no_place_of_the_machine_that_made_it() -> None:
    for path in STUDY.rglob("*.parquet"):
        for column in pq.read_table(path).to_pydict().values():
            texts = [str(value) for value in column if isinstance(value, str)]
            assert not any(re.search(r"/(home|root|tmp|work|Users)/", text) for text in texts), path
