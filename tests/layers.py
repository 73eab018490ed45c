"""The rooms of adasearch and the one rule of their imports; ``python -m tests.layers`` prints them.

A room is a folder of ``adasearch/``, or a file that stands in it. It may import the rooms that its row of
``ROOMS`` names ("room" or "room.module") and those of ``EVERYONE``, lazily and for annotations, too. Its
files may use torch and ray never ("no"), once a function is called ("lazily"), or from the start ("yes");
so for the slow ones of tables, figures and search, of which the command line needs none to open.
"""

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1] / "adasearch"
EVERYONE = frozenset(
    {
        "lazy",
        "limits",
        "counts",
        "objective",
        "records",
        "choices",
        "signal_sets",
        "errors",
        "callbacks",
        "_version",
    }
)
HEAVY = {"torch": "torch", "torchvision": "torch", "ray": "ray"} | dict.fromkeys(
    ["matplotlib", "optuna", "pandas"], "slow"
)


@dataclass(frozen=True)
class Room:
    """A row of the table: what a room may import, and whether it may use libraries; ``but`` by module."""

    imports: str = ""
    torch: str = "no"
    ray: str = "no"
    slow: str = "no"  # matplotlib, optuna and pandas
    but: tuple[tuple[str, str], ...] = ()  # other rules for torch, of single modules

    def may_torch(self, module: str) -> str:
        return dict(self.but).get(module.rpartition(".")[2], self.torch)


ROOMS = {
    **dict.fromkeys(sorted(EVERYONE), Room()),
    "io": Room(),
    "environment": Room(torch="lazily"),
    "runtime": Room(),
    "user_code": Room(),
    "schedulers": Room("user_code"),
    "testing": Room("schedulers"),
    "store": Room("io user_code", slow="yes"),
    "trackers": Room("store io"),
    "signals": Room(torch="yes", but=(("sampled_steps", "no"),)),
    "data": Room("user_code", torch="yes", but=(("spec", "no"),)),
    "networks": Room("signals user_code", torch="yes"),
    "profiles": Room("schedulers signals.sampled_steps store io environment", slow="yes"),
    "tasks": Room("data networks signals", torch="yes"),
    "training": Room(
        "tasks data networks signals schedulers io user_code",
        torch="yes",
        but=(("config", "no"), ("task", "no"), ("same_run", "no")),
    ),
    "controller": Room("data signals training schedulers", torch="yes"),
    "functions": Room(
        "controller training data.spec schedulers user_code",
        torch="yes",
        but=(("source", "no"), ("watchdog", "no")),
    ),
    "integrations": Room("controller", torch="yes"),
    "doctor": Room("store profiles io", slow="yes"),
    "spaces": Room("profiles schedulers training.config io", slow="yes"),
    "analysis": Room("store profiles spaces schedulers io", slow="yes"),
    "schedule_file": Room("training.config training.optimizer training.muon schedulers io", torch="lazily"),
    "studies": Room(
        "schedule_file analysis spaces profiles store schedulers functions tasks data networks io "
        "environment",
        slow="yes",
        but=(("resolve", "yes"), ("own_function", "yes")),
    ),
    "plots": Room("analysis profiles schedulers", slow="yes"),
    "runs": Room(
        "studies training functions tasks data spaces profiles store schedulers io environment runtime",
        torch="lazily",
        slow="yes",
        but=(("speed", "yes"),),
    ),
    "tuning": Room(
        "studies runs.live_trial training functions tasks.registry data.spec spaces profiles store "
        "schedulers io.filesystem io.text io.private_folder environment runtime user_code",
        torch="lazily",
        ray="yes",
        slow="yes",
    ),
    "report": Room("analysis plots profiles store schedulers io", slow="yes"),
    "commands": Room(
        "runs tuning trackers studies analysis plots schedule_file report doctor spaces profiles store "
        "training tasks data networks schedulers io environment runtime",
        torch="lazily",
        slow="yes",
    ),
    "cli": Room(
        "commands analysis.enough studies.request spaces.experiments schedule_file store.store io runtime"
    ),
    "sources": Room("data", torch="yes"),
    "api": Room(
        "commands store analysis plots report.runs spaces profiles studies.request schedulers io runtime "
        "user_code",
        torch="lazily",
        slow="yes",
    ),
    "__init__": Room("api controller functions schedule_file schedulers"),
    "__main__": Room("cli"),
}

FILES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): path
    for path in sorted(ROOT.rglob("*.py"))
    if "search_spaces" not in path.relative_to(ROOT).parts
}


@dataclass(frozen=True)
class Import:
    """One import: the file that names it, its line, the module, and the name that is taken from it."""

    file: str
    line: int
    module: str
    name: str | None
    lazily: bool
    typing: bool

    @property
    def ours(self) -> str | None:
        """The file of ours that is imported, None for a library; a name may be a module of its package."""
        if self.module.partition(".")[0] != "adasearch":
            return None
        stem = self.module.removeprefix("adasearch").lstrip(".")
        inner = f"{stem}.{self.name}".lstrip(".")
        candidates = (inner, f"{inner}.__init__", stem, f"{stem}.__init__".lstrip("."))
        return next((each for each in candidates if each in FILES), stem)

    @property
    def heavy(self) -> str | None:
        """ "torch", "ray" or "slow" if it is one of these."""
        return HEAVY.get(self.module.partition(".")[0])

    def __str__(self) -> str:
        place = FILES[self.file].relative_to(ROOT.parent)
        return f"{place}:{self.line} imports {self.ours or self.module}"


def room_of(file: str) -> str:
    """Return the room of a file: its folder, or its own name where it stands in the package itself."""
    return file.partition(".")[0]


def imports_of(file: str, tree: ast.AST, *, lazily: bool = False, typing: bool = False) -> Iterator[Import]:
    """Return every import below a node, in functions and under TYPE_CHECKING, too."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (Import(file, node.lineno, each.name, None, lazily, typing) for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            assert node.module is not None
            for each in node.names:
                yield Import(file, node.lineno, node.module, each.name, lazily, typing)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from imports_of(file, ast.Module(node.body, []), lazily=lazily, typing=True)
            yield from imports_of(file, ast.Module(node.orelse, []), lazily=lazily, typing=typing)
        else:
            function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from imports_of(file, node, lazily=lazily or function, typing=typing)


TREES = {file: ast.parse(path.read_text(encoding="utf-8")) for file, path in FILES.items()}
IMPORTS = {file: list(imports_of(file, tree)) for file, tree in TREES.items()}


@cache
def at_start(file: str) -> frozenset[str]:
    """Return the heavy libraries that opening a file loads, and its packages, through whatever of ours."""
    found: set[str] = set()
    seen: set[str] = set()
    left = [file]
    while left:
        here = left.pop()
        if here in seen or here not in FILES:
            continue
        seen.add(here)
        parts = here.split(".")
        left += [".".join([*parts[:depth], "__init__"]) for depth in range(len(parts))]
        for each in IMPORTS[here]:
            if not (each.lazily or each.typing):
                found |= {each.heavy} - {None} if each.heavy else set()
                left += [each.ours] if each.ours else []
    return frozenset(found)


def breaches(room: str) -> list[str]:
    """Return what a room's files import against its row, one line each."""
    row = ROOMS[room]
    allowed = {room, *EVERYONE, *row.imports.split()}
    found = []
    for file in (each for each in FILES if room_of(each) == room):
        rules = {"torch": row.may_torch(file), "ray": row.ray, "slow": row.slow}
        for each in IMPORTS[file]:
            if each.ours is not None:
                if not {room_of(each.ours), each.ours} & allowed:
                    found.append(str(each))
            elif each.heavy is not None and not each.typing and rules[each.heavy] == "no":
                found.append(str(each))
        for heavy in at_start(file):
            if rules[heavy] != "yes":
                place = FILES[file].relative_to(ROOT.parent)
                found.append(f"{place}:1 imports {heavy} when it is opened")
    return found


def graph() -> dict[str, set[str]]:
    """Return the files that each file imports."""
    return {
        file: {each.ours for each in found if each.ours and each.ours != file}
        for file, found in IMPORTS.items()
    }


def code_lines(file: str) -> int:
    """Return the lines of a file that hold code: neither blank nor comment nor docstring."""
    text = FILES[file].read_text(encoding="utf-8").splitlines()
    prose = {
        line
        for node in ast.walk(TREES[file])
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    lines = enumerate(text, start=1)
    return sum(
        bool(line.strip()) and number not in prose and line.strip()[0] != "#" for number, line in lines
    )


def lines_of_graph() -> Iterator[str]:
    """Yield each room's files, lines and lines of code, its longest file, and the rooms that it imports."""
    yield (f"{'room':<14} files  lines   code  longest                          imports")
    every = {file: len(path.read_text(encoding="utf-8").splitlines()) for file, path in FILES.items()}
    for room in ROOMS:
        files = [file for file in FILES if room_of(file) == room]
        if not files:
            continue
        longest = max(files, key=lambda file: every[file])
        used = (
            {room_of(each.ours) for file in files for each in IMPORTS[file] if each.ours} - {room} - EVERYONE
        )
        order = [each for each in ROOMS if each in used]
        name = f"{longest} {every[longest]}"
        lines, code = sum(every[file] for file in files), sum(map(code_lines, files))
        yield (f"{room:<14} {len(files):>5} {lines:>6} {code:>6}  {name:<32} {' '.join(order)}")
    sizes = sorted(every.values())
    total = sum(map(code_lines, FILES))
    yield (
        f"{len(FILES)} files, {sum(sizes)} lines, {total} of code; "
        f"median {sizes[len(sizes) // 2]}, longest {sizes[-1]} lines"
    )


if __name__ == "__main__":
    sys.stdout.writelines(f"{line}\n" for line in lines_of_graph())
