"""The one rule of imports between the rooms of adasearch, see :mod:`tests.layers`."""

import ast
import re
import subprocess
import sys
from graphlib import TopologicalSorter

import pytest

from tests.layers import FILES, IMPORTS, ROOMS, TREES, breaches, graph, imports_of, room_of

EXCEPTIONS = {
    "adasearch/cli.py imports __init__",
    "adasearch/clocks.py imports study_spaces",
    "adasearch/commands.py imports __init__",
    "adasearch/confirm.py imports torch when it is opened",
    "adasearch/controller.py imports __init__",
    "adasearch/controller_state.py imports __init__",
    "adasearch/devices.py imports profiles",
    "adasearch/optuna_study.py imports choice",
    "adasearch/profile_runs.py imports single_run",
    "adasearch/replay.py imports replay_plot",
    "adasearch/report.py imports __init__",
    "adasearch/schedule_file.py imports spaces",
    "adasearch/study_spaces.py imports analysis",
    "adasearch/tuning/code.py imports __init__",
    "adasearch/tuning/code.py imports sources.__init__",
    "adasearch/tuning/engine.py imports torch when it is opened",
    "adasearch/tuning/hooks.py imports torch when it is opened",
    "adasearch/tuning/ledger.py imports analysis",
    "adasearch/tuning/ledger.py imports torch when it is opened",
    "adasearch/tuning/proposals.py imports torch when it is opened",
    "adasearch/tuning/repeats.py imports torch when it is opened",
    "adasearch/tuning/trial_source.py imports torch when it is opened",
    "adasearch/versions.py imports __init__",
}
"""What still breaks the rule; each goes with the mend of it."""


def without_line(found: str) -> str:
    return re.sub(r":\d+", "", found)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_what_its_row_names(room: str) -> None:
    assert not [each for each in breaches(room) if without_line(each) not in EXCEPTIONS]


def test_every_file_is_in_a_room() -> None:
    assert {room_of(file) for file in FILES} <= set(ROOMS)


def test_every_import_of_ours_exists() -> None:
    assert not [
        str(each) for found in IMPORTS.values() for each in found if each.ours and each.ours not in FILES
    ]


def test_no_files_import_each_other_in_a_circle() -> None:
    knots = [without_line(str(each)) for found in IMPORTS.values() for each in found]
    assert EXCEPTIONS - {each for each in EXCEPTIONS if "opened" in each} <= set(knots)
    edges = {
        file: {
            target
            for target in targets
            if not any(without_line(str(each)) in EXCEPTIONS for each in IMPORTS[file] if each.ours == target)
        }
        for file, targets in graph().items()
    }
    edges["single_run"] -= {"profiling"}  # a circle within the room of commands
    TopologicalSorter(edges).prepare()  # the error names the circle


def test_no_module_imports_the_private_name_of_another() -> None:
    private = [
        f"{each} ({each.name})"
        for found in IMPORTS.values()
        for each in found
        if each.ours and (each.name or "").startswith("_") and not (each.name or "").startswith("__")
    ]
    assert not [each for each in private if "_version" not in each]


def test_every_module_says_what_it_is_for() -> None:
    assert not [file for file, tree in TREES.items() if not ast.get_docstring(tree)]


def test_the_parser_sees_every_kind_of_import() -> None:
    code = """
import a.b
if TYPE_CHECKING:
    import c
else:
    import d
def f():
    import e
    if TYPE_CHECKING:
        from g import h
class K:
    try:
        import i
    except ImportError: ...
"""
    found = {(each.module, each.lazily, each.typing) for each in imports_of("records", ast.parse(code))}
    assert found == {
        ("a.b", False, False),
        ("c", False, True),
        ("d", False, False),
        ("e", True, False),
        ("g", True, True),
        ("i", False, False),
    }


@pytest.mark.parametrize("part", ["mailbox", "task", "gang"])
def test_actors_of_a_slot_start_without_torch(part: str) -> None:
    """There are two a slot beside its workers, and torch takes most of a gigabyte in each."""
    code = f"import sys, adasearch.tuning.{part}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
