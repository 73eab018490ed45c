"""What adasearch does on a GPU, checked and measured in ten minutes, with the tree and PyTorch alone.

Sections, the most valuable first; each has a share of the minutes that are left:

* ``precision``: training and measuring in float32, TF32, bfloat16 and float16 behind a scaler of the loss,
  against float32; the rounding of products; channels last.
* ``clocks``: what intervals count by events, against a clock that waits for the device.
* ``memory``: allocations that are refused; training goes on in smaller passes.
* ``compile``: graphs and seconds of ``--compile`` over a growing batch.
* ``profiles``: step times of the six networks of DEBA at 32 pixels and of GPT-2 small at batch 16 to 2,048,
  in a file beside the rows, ``<out>_profile.parquet``, which ``adasearch profile --import`` takes.
* ``overhead``: DEBA's signals and the noise scale against a plain loop at batch 32 to 2,048.
* ``training``: ResNet-18 on real images to the end.

They run in a process of their own. What breaks the device, hangs or dies ends one section, and another
process goes on with the next. What needs a library that is missing is skipped, and so is what has no time
left.

Rows, printed and kept as Parquet (and as JSON lines beside it until then, or where pyarrow is missing):
``section``; ``what`` was done; ``architecture``, ``scale``; ``example_size`` in pixels of an image or tokens
of a sequence; ``batch_size``; ``precision``; ``steps`` of an interval and ``rounds``, where they matter;
``figure``, what ``value`` is of (seconds, bytes, or a ratio), with its 95 % interval ``low`` to ``high`` or
none; ``status``: "ok", "failed", "skipped", or "not offered" by adasearch; ``reason``: what was asked for, or
why there is no figure; ``at_seconds`` since the start; and of the machine ``device``, ``driver``, ``cuda``,
``cudnn``, ``cores`` and the versions of packages.

Exits with 1 if a check failed.
"""

import argparse
import importlib
import importlib.util
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from sections import BROKEN, LEAST, RESERVE, UNFIT, append, keep, supervise

__all__ = ["SECTIONS"]

Row = dict[str, Any]
ROOT = Path(__file__).parents[1]
SECTIONS: dict[str, tuple[str, int]] = {
    "precision": ("gpu_checks:precisions", 50),
    "clocks": ("gpu_checks:clocks", 30),
    "memory": ("gpu_limits:memory", 30),
    "compile": ("gpu_limits:compiled", 110),
    "profiles": ("gpu_speed:profiles", 220),
    "overhead": ("gpu_speed:overhead", 110),
    "training": ("gpu_speed:training", 50),
}
"""Where each is done, and its weight when the seconds that are left are shared out."""

NET = {"architecture": "string", "scale": "string", "example_size": "int64", "batch_size": "int64"}
COLUMNS = {
    **dict.fromkeys(("section", "what"), "string"),
    **NET,
    **{"precision": "string", "steps": "int64", "rounds": "int64", "figure": "string"},
    **dict.fromkeys(("value", "low", "high"), "double"),
    **{"status": "string", "reason": "string", "at_seconds": "double", "cores": "int64"},
    **dict.fromkeys(("device", "driver", "cuda", "cudnn", "adasearch", "python", "torch"), "string"),
    **dict.fromkeys(("torchvision", "git_commit"), "string"),
}


def run(names: Sequence[str], arguments: argparse.Namespace) -> int:
    """Run sections in this process; return its exit status."""
    stand_in()
    import torch

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu":
        if not arguments.quick:
            return UNFIT
        torch.set_num_threads(1)
    append(arguments.rows, {"machine": machine(device)})
    for number, name in enumerate(names):
        weights = [SECTIONS[each][1] for each in names[number:]]
        left = arguments.ends - time.monotonic()
        ends = time.monotonic() + left * weights[0] / sum(weights)
        if left < LEAST:
            return 0
        append(arguments.rows, {"begins": name, "ends": ends})
        for row in rows_of(name, arguments, device, ends):
            at = time.monotonic() - arguments.began
            append(arguments.rows, {"section": name, **row, "at_seconds": at})
        append(arguments.rows, {"over": name})
        if not answers(device):
            return BROKEN
    return 0


def rows_of(name: str, arguments: argparse.Namespace, device: Any, ends: float) -> Iterator[Row]:
    """Yield a section's rows; what it raises is its last one."""
    try:
        from gpu_place import Place

        place = Place(
            device=device,
            quick=arguments.quick,
            ends=ends,
            folder=Path(arguments.folder),
            precision=arguments.precision,
        )
        module, _, function = SECTIONS[name][0].partition(":")
        yield from getattr(importlib.import_module(module), function)(place)
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        ours = library == "adasearch" or Path(__file__).with_name(f"{library}.py").exists()
        yield {"what": name, "status": "failed" if ours else "skipped", "reason": str(error)}
    except Exception as error:  # noqa: BLE001 - whatever it is, the other sections are to be done
        traceback.print_exc()
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
        yield {"what": name, "status": "failed", "reason": reason}


def answers(device: Any) -> bool:
    """Tell whether a device still computes."""
    import torch

    try:
        return float(torch.ones(2, device=device).sum()) == 2.0
    except RuntimeError:
        return False


def machine(device: Any) -> Row:
    """Return what figures depend on."""
    import torch

    from adasearch.environment import device_name, driver_version, versions

    return {
        "device": device_name(device.type),
        "driver": driver_version(device.type),
        "cuda": torch.version.cuda,
        "cudnn": None if device.type == "cpu" else str(torch.backends.cudnn.version()),
        "cores": os.cpu_count(),
        **versions(),
    }


def stand_in() -> None:
    """Let a line say where caches are, if platformdirs is missing."""
    try:
        import platformdirs  # noqa: F401
    except ModuleNotFoundError:
        module = ModuleType("platformdirs")
        module.user_cache_path = lambda name: Path(os.environ["XDG_CACHE_HOME"], name)  # type: ignore[attr-defined]
        sys.modules["platformdirs"] = module


def main() -> None:
    """Check, measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument(
        "--quick", action="store_true", help="a small size, on a CPU, too, to see that it works"
    )
    parser.add_argument("--minutes", type=float, default=10.0, help="for all of it [default: 10]")
    parser.add_argument(
        "--section", action="append", choices=list(SECTIONS), help="only this one; repeatable"
    )
    parser.add_argument(
        "--precision",
        default="float32",
        choices=["float32", "tf32", "bfloat16", "float16"],
        help="of the images' profiles [default: float32]",
    )
    parser.add_argument(
        "--out", default="results/bench/gpu.parquet", type=Path, help="where the rows are kept"
    )
    for name, kind in (("began", float), ("ends", float), ("rows", Path), ("folder", Path)):
        parser.add_argument(f"--{name}", type=kind, help=argparse.SUPPRESS)  # of the processes that it starts
    arguments = parser.parse_args()
    names = arguments.section or list(SECTIONS)
    if arguments.rows is not None:
        sys.exit(run(names, arguments))
    if importlib.util.find_spec("torch") is None:
        parser.error("PyTorch is missing")
    out: Path = arguments.out.absolute()
    out.parent.mkdir(parents=True, exist_ok=True)
    rows = out.with_suffix(".jsonl")
    rows.unlink(missing_ok=True)
    began = time.monotonic()
    ends = began + 60 * arguments.minutes - RESERVE

    def command(some: Sequence[str]) -> Sequence[str]:
        own = [sys.executable, __file__, "--rows", str(rows), "--folder", str(folder)]
        own += ["--began", str(began), "--ends", str(ends), "--precision", arguments.precision]
        own += ["--quick"] if arguments.quick else []
        return [*own, *(f"--section={name}" for name in some)]

    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = f"{folder}/cache"  # what fits into memory here is nobody else's
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        supervise(names, command, rows, ends)
        profile = Path(folder, "gpu_profile.parquet")
        if profile.exists():
            kept = out.with_name(f"{out.stem}_profile.parquet")
            kept.write_bytes(profile.read_bytes())
            print(f"device profile kept in {kept}")
    found = keep(rows, out, COLUMNS)
    counts = {status: sum(row["status"] == status for row in found) for status in ("ok", "failed", "skipped")}
    print(", ".join(f"{count} {status}" for status, count in counts.items()))
    sys.exit(1 if counts["failed"] or not counts["ok"] else 0)


if __name__ == "__main__":
    main()
