"""Work in a process of its own: what it returns and raises comes back, and what it imports does not."""

import subprocess
import sys

import pytest

CODE = """
import os, sys, threading
from adasearch.errors import AdasearchError, InputError
from adasearch.io.apart import apart

def work():
    import colorsys
    {act}

{before}
try:
    print("returned", apart(work, "colorsys"))
except (InputError, AdasearchError, ZeroDivisionError) as error:
    print(type(error).__name__, error)
print("colorsys" in sys.modules)
"""


def said(act: str, before: str = "") -> list[str]:
    code = CODE.format(act=act, before=before)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout.splitlines()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the work is done in this process")
@pytest.mark.parametrize(
    ("act", "told"),
    [
        ("return [1, {2: 'x'}]", "returned [1, {2: 'x'}]"),
        ("raise InputError('a rule and a value')", "InputError a rule and a value"),
        ("1 / 0", "ZeroDivisionError division by zero"),
        ("os._exit(7)", "AdasearchError preparing this ended with exit code 7"),
        ("os.kill(os.getpid(), 9)", "AdasearchError preparing this ended with exit code -9"),
    ],
)
def test_what_comes_of_the_work_comes_back_but_for_its_imports(act: str, told: str) -> None:
    assert said(act) == [told, "False"]


@pytest.mark.parametrize(
    "before", ["import colorsys", "threading.Thread(target=threading.Event().wait, daemon=True).start()"]
)
def test_it_is_done_here_where_a_copy_gains_nothing_or_is_not_safe(before: str) -> None:
    first, second, imported = said("return os.getpid()", f"{before}; print(os.getpid())")
    assert (second, imported) == (f"returned {first}", "True")
