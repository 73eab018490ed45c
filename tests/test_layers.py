"""The one rule of imports between the rooms of adasearch, see :mod:`tests.layers`."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter

import pytest

from tests.layers import FILES, IMPORTS, ROOMS, TREES, breaches, graph, imports_of, room_of


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_what_its_row_names(room: str) -> None:
    assert not breaches(room)


def test_every_file_is_in_a_room_and_no_room_is_empty() -> None:
    assert {room_of(file) for file in FILES} == set(ROOMS)


def test_every_import_of_ours_exists() -> None:
    assert not [
        str(each) for found in IMPORTS.values() for each in found if each.ours and each.ours not in FILES
    ]


def test_no_files_import_each_other_in_a_circle() -> None:
    TopologicalSorter(graph()).prepare()  # the error names the circle


def test_no_module_imports_the_private_name_of_another() -> None:
    private = [
        f"{each} ({each.name})"
        for found in IMPORTS.values()
        for each in found
        if each.ours and (each.name or "").startswith("_") and not (each.name or "").startswith("__")
    ]
    assert not [each for each in private if "_version" not in each]


def test_init_files_hold_no_logic() -> None:
    """Imports and assignments alone, and ``__getattr__`` where public names are loaded lazily (PEP 562)."""
    logic = [
        f"{file}:{node.lineno}"
        for file in FILES
        if file.endswith("__init__")
        for node in TREES[file].body
        if isinstance(node, ast.ClassDef)
        or (isinstance(node, ast.FunctionDef) and node.name != "__getattr__")
    ]
    assert not logic


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


@pytest.mark.parametrize("part", ["mailbox", "worker_group"])
def test_actors_of_a_slot_start_without_torch(part: str) -> None:
    """There are two a slot beside its workers, and torch takes most of a gigabyte in each."""
    code = f"import sys, adasearch.tuning.{part}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
