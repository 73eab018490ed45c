from dataclasses import replace
from pathlib import Path

import pytest

from adasearch import __version__
from adasearch.tuning.probe import Found, misfits, probe_at

HERE = Found(
    versions={"python": "3.11.7", "ray": "2.60.0", "torch": "2.14.1", "pillow": "11.0", "adasearch": "0.2.0"},
    unread=None,
)


def node(unread: str | None = None, **versions: str | None) -> Found:
    return replace(HERE, versions={**HERE.versions, **versions}, unread=unread)


@pytest.mark.parametrize(
    ("there", "said"),
    [
        (HERE, []),
        (node(python="3.11.2", torch="2.14.1+cu126", pillow="10.1"), []),
        (node(python="3.12.7"), ["python is 3.12.7 there and 3.11.7 here"]),
        (
            node(ray="2.59.0", torch="2.13.0"),
            ["ray is 2.59.0 there and 2.60.0 here", "torch is 2.13.0 there and 2.14.1 here"],
        ),
        (node(torch=None), ["torch is missing there"]),
        (node("ImportError", adasearch=None), ["adasearch is missing there"]),
        (
            node("FileNotFoundError"),
            ["--results out cannot be read there (FileNotFoundError): it must lie where all nodes reach it"],
        ),
    ],
)
def test_what_does_not_fit_is_named(there: Found, said: list[str]) -> None:
    assert misfits(HERE, there, results="out") == said


def test_package_that_is_lacking_here_is_not_asked_for() -> None:
    here = replace(HERE, versions={**HERE.versions, "pillow": None})
    assert misfits(here, node(pillow=None), results="out") == []


def test_probe_tells_versions_and_whether_the_folder_is_there(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    versions, unread = probe_at(str(marker))().ask()
    assert unread == "FileNotFoundError"
    marker.write_bytes(b"here")
    assert probe_at(str(marker))().ask() == (versions, None)
    assert versions["adasearch"] == __version__
    assert None not in versions.values()
