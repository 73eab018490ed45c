import re
import sys
from pathlib import Path

import pytest

from adasearch.errors import InputError
from adasearch.user_code import load_own


@pytest.fixture(autouse=True)
def _own_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "some_nets.py").write_text("def make_net():\n    pass\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("some_nets.py:make_net", "names a file and must name a module; did you mean 'some_nets:make_net'?"),
        ("./nets/some_nets.py:make_net", "did you mean 'nets.some_nets:make_net'?"),
        (
            "some_netz:make_net",
            "did you mean 'some_nets'? it is neither installed nor on PYTHONPATH nor in the",
        ),
        ("entirely_other:make_net", "nor in the current folder, "),
        ("some_nets:make_nett", "did you mean 'some_nets:make_net'?"),
    ],
)
def test_what_cannot_be_imported_says_what_may_have_been_meant(name: str, says: str) -> None:
    with pytest.raises(InputError, match=re.escape(says)):
        load_own("architecture", name)


def test_long_errors_of_a_module_are_cut(tmp_path: Path) -> None:
    (tmp_path / "long_nets.py").write_text("raise ValueError('x' * 5000)\n")
    with pytest.raises(InputError) as refused:
        load_own("architecture", "long_nets:make_net")
    assert len(str(refused.value)) < 500
