"""Commands by the real entry point, each in a process of its own that has its imports before it begins.

Python and the imports of a search take four seconds, and many tests run several searches. A server that has
imported what a command imports before it starts Ray, and not Ray itself, forks a process for each.
"""

import atexit
import multiprocessing
import os
import signal
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

if "pytest" not in sys.modules:  # here is the server
    import torch._dynamo  # noqa: F401

    import adasearch.cli.search
    import adasearch.commands._search
    import adasearch.spaces.optuna_trials
    import adasearch.studies.resolve  # noqa: F401

__all__ = ["run_forked"]

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload([__name__])


def run_forked(
    arguments: Sequence[str], cwd: Path, env: Mapping[str, str], timeout: float
) -> tuple[int | None, str, str]:
    """Run ``python -m adasearch`` with these arguments; return its exit code, None if late, and output."""
    with TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        process = SERVER.Process(target=_command, args=(list(arguments), cwd, dict(env), out, err))
        process.start()
        process.join(timeout)
        if (code := process.exitcode) is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid or 0, signal.SIGKILL)
            process.join()
        return code, out.read_text(), err.read_text()


def _command(arguments: list[str], cwd: Path, env: dict[str, str], out: Path, err: Path) -> None:
    """Be what a shell would have started."""
    from adasearch import __main__ as command

    assert "ray" not in sys.modules
    os.setsid()
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    for number, file in ((0, Path(os.devnull)), (1, out), (2, err)):
        os.dup2(os.open(file, os.O_RDWR | os.O_CREAT), number)
    own = [place for place in env.get("PYTHONPATH", "").split(os.pathsep) if place]
    stdlib = next(
        place for place, path in enumerate(sys.path) if Path(path) == Path(sysconfig.get_path("stdlib"))
    )
    sys.path[:] = [*own, *sys.path[stdlib:]]
    sys.argv[:] = [str(command.__file__), *arguments]
    try:
        command.run()
    finally:
        atexit._run_exitfuncs()
