"""Imports follow the arrows of the data flow: data, training, search, store, analysis, command line."""

import ast
import importlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import adasearch

ROOT = Path(adasearch.__file__).parent
FILES = {
    ".".join(("adasearch", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in sorted(ROOT.rglob("*.py"))
}
HEAVY = {"torch", "torchvision", "ray"}


@dataclass(frozen=True)
class Import:
    """One module that another imports; ``lazily`` inside a function, ``typing`` for annotations alone."""

    module: str
    lazily: bool
    typing: bool


def imports_of(tree: ast.AST, *, lazily: bool = False, typing: bool = False) -> Iterator[Import]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, lazily, typing) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            assert node.module is not None
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield Import(inner if inner in FILES else node.module, lazily, typing)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from imports_of(ast.Module(node.body, []), lazily=lazily, typing=True)
            yield from imports_of(ast.Module(node.orelse, []), lazily=lazily, typing=typing)
        else:
            function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from imports_of(node, lazily=lazily or function, typing=typing)


IMPORTS = {
    name: list(imports_of(ast.parse(path.read_text(encoding="utf-8")))) for name, path in FILES.items()
}


def written(name: str) -> set[str]:
    """The modules that a module of ours asks for when it is imported."""
    return {each.module for each in IMPORTS[name] if not (each.lazily or each.typing)}


def at_start(name: str) -> set[str]:
    """The modules that are imported with a module of ours: those written there, and their packages."""
    found = written(name)
    parents = {module.rpartition(".")[0] for module in {name, *found} if module in FILES}
    return {module for module in found | parents if module and module != name}


def reached(name: str, step: Callable[[str], set[str]] = at_start) -> set[str]:
    """Every module that is reached from a module of ours, through ours alone; itself only in a circle."""
    seen: set[str] = set()
    left = [name]
    while left:
        new = step(left.pop()) - seen
        seen |= new
        left += [module for module in new if module in FILES]
    return seen


def tops(modules: set[str]) -> set[str]:
    return {module.partition(".")[0] for module in modules}


def in_package(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


SCHEDULERS = [name for name in FILES if in_package(name, "adasearch.schedulers")]
TUNING = [name for name in FILES if in_package(name, "adasearch.tuning")]
PURE = ["adasearch", "adasearch.records", "adasearch.errors", "adasearch.kinds", "adasearch.own", *SCHEDULERS]
LIGHT = [
    f"adasearch.{name}"
    for name in (
        *"analysis choice paths controls plots report traces comparison paired evidence".split(),
        *"confirmed_tables store schemas tables cli commands progress".split(),
        *"files credentials lease".split(),
        *"parts compacted courses findings doctor leftovers repair same_course".split(),
        *"report_svg report_axes report_basis report_courses report_figures report_signals".split(),
        *"report_overview report_health report_importance report_tables".split(),
        *"modelled profiles profile_files profile_tables clocks calibration".split(),
        *"optuna_study importance importance_table importance_plots interaction ablation dashboard".split(),
    )
    if f"adasearch.{name}" in FILES
]


def test_the_parser_sees_what_it_shall() -> None:
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
    found = {(each.module, each.lazily, each.typing) for each in imports_of(ast.parse(code))}
    assert found == {
        ("a.b", False, False),
        ("c", False, True),
        ("d", False, False),
        ("e", True, False),
        ("g", True, True),
        ("i", False, False),
    }
    assert "adasearch.records" in at_start("adasearch.store")
    assert "torch" in reached("adasearch.train")
    assert len(FILES) > 25


@pytest.mark.parametrize("name", PURE)
def test_records_errors_and_schedulers_import_the_standard_library_and_each_other(name: str) -> None:
    for each in IMPORTS[name]:
        if not each.typing:
            known = each.module in PURE or each.module.partition(".")[0] in sys.stdlib_module_names
            assert known, f"{name} imports {each.module}"


@pytest.mark.parametrize("name", LIGHT)
def test_reading_and_showing_results_opens_without_torch_and_ray(name: str) -> None:
    assert not tops(reached(name)) & HEAVY


@pytest.mark.parametrize(
    "name", [name for name in LIGHT if name not in ("adasearch.commands", "adasearch.cli")]
)
def test_reading_and_showing_results_needs_torch_and_ray_not_even_later(name: str) -> None:
    assert not tops({each.module for each in IMPORTS[name]}) & HEAVY


@pytest.mark.parametrize("name", [name for name in FILES if name not in TUNING])
def test_ray_is_imported_in_tuning_alone(name: str) -> None:
    assert "ray" not in tops({each.module for each in IMPORTS[name]})


@pytest.mark.parametrize("name", [name for name in FILES if name not in TUNING])
def test_tuning_is_used_by_search_and_confirm_alone_and_lazily(name: str) -> None:
    used = [each for each in IMPORTS[name] if in_package(each.module, "adasearch.tuning")]
    assert not used or name in ("adasearch.commands", "adasearch.confirm")
    assert all(each.lazily or each.typing for each in used)


@pytest.mark.parametrize("name", TUNING)
def test_tuning_imports_neither_commands_nor_what_shows_results(name: str) -> None:
    shown = {f"adasearch.{part}" for part in ("cli", "commands", "comparison", "tables", "progress", "plots")}
    assert not {each.module for each in IMPORTS[name]} & shown


def test_books_of_a_search_are_kept_without_ray() -> None:
    for part in ("rungs", "proposals", "repeats", "mailbox", "ledger", "task"):
        assert "ray" not in tops(reached(f"adasearch.tuning.{part}")), part


@pytest.mark.parametrize("part", ["mailbox", "task", "gang"])
def test_actors_of_a_slot_start_without_torch_and_ray_train(part: str) -> None:
    """There are two a slot beside its workers, and torch takes most of a gigabyte in each."""
    found = reached(f"adasearch.tuning.{part}")
    assert "torch" not in tops(found)
    assert not [module for module in found if in_package(module, "ray.train")]
    code = f"import sys, adasearch.tuning.{part}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize(
    "name",
    [
        *"data data_spec splits batches permutations streaming models nano dry_run".split(),
        *"measure memory passes buffers run timing train_config checkpoint train".split(),
        *(name.removeprefix("adasearch.") for name in FILES if in_package(name, "adasearch.sources")),
    ],
)
def test_training_knows_nothing_of_search_store_and_analysis(name: str) -> None:
    later = {"tuning", "plans", "store", "analysis", "spaces", "study_spaces", "commands", "cli", "progress"}
    used = {each.module for each in IMPORTS[f"adasearch.{name}"]}
    assert not [module for module in used if module.removeprefix("adasearch.").partition(".")[0] in later]


@pytest.mark.parametrize("name", FILES)
def test_no_module_imports_itself_in_a_circle(name: str) -> None:
    assert name not in reached(name, written)


def test_every_module_says_what_it_is_for() -> None:
    for name, path in FILES.items():
        if name != "adasearch.__main__":
            assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), name


def test_public_names_exist() -> None:
    for name in PURE + LIGHT:
        module = importlib.import_module(name)
        assert all(hasattr(module, public) for public in getattr(module, "__all__", ()))


def test_what_was_parsed_is_what_happens() -> None:
    """The rule for analysis and store once more, by importing them."""
    code = f"import sys, {', '.join(LIGHT)}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(done.stdout.split()) & HEAVY
