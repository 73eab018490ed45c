"""The code that a cluster's workers need: this adasearch, and the modules that a user named.

Only code travels. Of the user's own it is what lies beside the named modules and was imported when they were,
and whole packages; of those the kinds of files that code consists of. Neither data nor results are ever sent.
"""

import json
import os
import shutil
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

from adasearch.errors import InputError
from adasearch.user_code import load_own

__all__ = ["runtime_env"]

SUFFIXES = frozenset({".py", ".json", ".toml", ".txt", ".yaml", ".yml"})
LARGEST_BYTES = 20 * 1024**2  # of all that is sent; adasearch itself is one
PACKAGE = Path(__file__).parents[1]


@contextmanager
def runtime_env(own: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Lay out the code to send in a folder that is removed in the end; yield Ray's runtime_env of it.

    The modules of ``own`` are imported for it. One that is installed (in site-packages) is not sent. A
    submitted Ray job that was given ``py_modules`` of its own keeps those.

    Raises:
        InputError: a module cannot be imported, or the code is larger than ``LARGEST_BYTES``.
    """
    from adasearch.tuning.ray_patches import JOB_CONFIG

    job = json.loads(os.environ.get(JOB_CONFIG) or "{}")
    if "py_modules" in (job.get("runtime_env") or {}):
        yield {}
        return
    own = list(own)
    for name in own:
        load_own("--address: code for the workers", name)
    with TemporaryDirectory(prefix="adasearch-code-") as folder:
        places = {place.name: place for place in (PACKAGE, *_places(own))}
        for place in places.values():
            _copy(place, Path(folder))
        _check_size(Path(folder), places)
        yield {"py_modules": [str(Path(folder, name)) for name in places]}


def _places(own: Iterable[str]) -> list[Path]:
    """Return the file or package folder of each module to send."""
    named = {name.partition(":")[0].partition(".")[0] for name in own}
    roots = {place.parent for name in named if (place := _place(sys.modules.get(name))) is not None}
    loaded = [_place(module) for name, module in list(sys.modules.items()) if "." not in name]
    return sorted({place for place in loaded if place is not None and place.parent in roots})


def _place(module: ModuleType | None) -> Path | None:
    """Return the file or folder of a module of somebody's own; None if it is installed, or no file."""
    if module is None or module.__name__ in ("__main__", "adasearch"):
        return None
    folders = list(getattr(module, "__path__", []))
    found = folders[0] if folders else getattr(module, "__file__", None)
    if found is None or not Path(found).exists():
        return None
    place = Path(found).absolute()
    installed = {Path(sysconfig.get_path(name)) for name in ("stdlib", "purelib", "platlib")}
    elsewhere = {"site-packages", "dist-packages"} & set(place.parts)  # of the user, or of a base Python
    return None if elsewhere or installed & set(place.parents) else place


def _copy(place: Path, folder: Path) -> None:
    if place.is_file():
        shutil.copy(place, folder)
        return
    for path, folders, files in os.walk(place):
        folders[:] = [each for each in folders if not each.startswith((".", "__pycache__"))]
        here = folder / place.name / Path(path).relative_to(place)
        here.mkdir(parents=True, exist_ok=True)
        for name in files:
            if Path(name).suffix in SUFFIXES:
                shutil.copy(Path(path, name), here)


def _check_size(folder: Path, places: Iterable[str]) -> None:
    sizes = {name: _bytes(folder / name) for name in places}
    if sum(sizes.values()) > LARGEST_BYTES:
        largest = max(sizes, key=lambda name: sizes[name])
        raise InputError(
            f"the code for the workers must be at most {LARGEST_BYTES >> 20} MiB but is "
            f"{sum(sizes.values()) >> 20} MiB, {sizes[largest] >> 20} MiB of it {largest}; install it on "
            "every node, or take data out of its folder"
        )


def _bytes(place: Path) -> int:
    files = [place] if place.is_file() else place.rglob("*")
    return sum(file.stat().st_size for file in files if file.is_file())
