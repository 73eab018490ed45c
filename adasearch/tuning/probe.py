"""Whether a cluster that was joined can train: an actor on each node that has CPUs tells what it finds there.

Ray lets a driver join whose token mode, packages or results folder are none of the cluster's; what follows is
that each trial fails, minutes later, with "it died". So this is asked before a trial is written. It takes an
actor: in another token mode plain tasks run, and actors die.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adasearch.errors import AdasearchError, one_line
from adasearch.io.filesystem import below, locate, remove_folder, write_whole
from adasearch.tuning.cluster import auth_hint

__all__ = ["Found", "check_cluster", "misfits", "probe_at"]

PROBE_SECONDS = 90.0  # a node's first task unpacks the code before; an object store is asked for a minute
PACKAGES = ("ray", "torch", "torchvision", "pyarrow", "numpy", "scikit-learn", "pillow")
ALIKE = {"python": 2, "ray": None, "torch": None, "adasearch": None}
"""What must be of one version, by so many of its numbers, None for all: a trial's row tells the driver's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a process finds on its machine.

    Args:
        versions: of Python, adasearch and packages; None for one that is missing.
        unread: why it cannot read what lies in the results folder; None if it can.
    """

    versions: Mapping[str, str | None]
    unread: str | None


def misfits(here: Found, there: Found, *, results: str) -> list[str]:
    """Return what of a node does not fit the search that joined it, in words.

    A build's name (+cpu) may differ.
    """
    said = []
    for name, mine in here.versions.items():
        theirs = there.versions.get(name)
        if mine is not None and theirs is None:
            said.append(f"{name} is missing there")
        elif name in ALIKE and _numbers(mine, ALIKE[name]) != _numbers(theirs, ALIKE[name]):
            said.append(f"{name} is {theirs} there and {mine} here")
    if there.unread is not None and there.versions.get("adasearch") is not None:
        said.append(
            f"--results {results} cannot be read there ({there.unread}): it must lie where all nodes reach it"
        )
    return said


def _numbers(text: str | None, count: int | None) -> list[str]:
    return (text or "").partition("+")[0].split(".")[:count]


def check_cluster(storage: str, *, results: str, seconds: float = PROBE_SECONDS) -> None:
    """Refuse a joined cluster on which no trial could run.

    Args:
        storage: folder or URI for Ray's own files, in the results folder, which all nodes must reach.
        results: what the user calls the results folder.
        seconds: how long an answer is waited for.

    Raises:
        AdasearchError: what does not fit, and on which node.
    """
    import ray

    folder = below(storage, f"probe-{uuid.uuid4().hex[:12]}")
    marker = below(folder, "marker")
    files, path = locate(marker)
    write_whole(files, path, memoryview(b"results"))
    try:
        probe = probe_at(marker)
        here = _found(probe().ask())
        nodes = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
        actors = {node["NodeManagerAddress"]: _on_node(probe, node["NodeID"]) for node in nodes}
        asked = {actor.ask.remote(): address for address, actor in actors.items()}
        answered, silent = ray.wait(list(asked), num_returns=len(asked), timeout=seconds)
        for task in answered:
            if said := misfits(here, _answer(task, asked[task]), results=results):
                raise AdasearchError(f"no trial could run on node {asked[task]}: {'; '.join(said)}")
        for task in silent:
            raise AdasearchError(f"node {asked[task]} did not answer in {seconds:g} s; {auth_hint()}")
    finally:
        remove_folder(folder)


def _on_node(probe: type, node_id: str) -> Any:
    import ray

    affinity = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(node_id, soft=False)
    return ray.remote(probe).options(num_cpus=0, scheduling_strategy=affinity).remote()


def _answer(task: Any, address: str) -> Found:
    import ray

    try:
        return _found(ray.get(task))
    except ray.exceptions.RayError as error:
        died = isinstance(error, ray.exceptions.ActorDiedError)
        why = "its actors die" if died else f"{one_line(error)[:200]}"
        raise AdasearchError(
            f"node {address} of the cluster runs nothing of this search: {why}; {auth_hint()}"
        ) from error


def _found(told: tuple[dict[str, str | None], str | None]) -> Found:
    return Found(versions=told[0], unread=told[1])


def probe_at(marker: str) -> type:
    """Return the class of an actor that tells what is there; it travels whole: adasearch may be missing."""
    packages = PACKAGES

    def ask() -> tuple[dict[str, str | None], str | None]:
        import platform
        from importlib.metadata import PackageNotFoundError, version

        found: dict[str, str | None] = {"python": platform.python_version()}
        for package in packages:
            try:
                found[package] = version(package)
            except PackageNotFoundError:
                found[package] = None
        try:
            from adasearch._version import __version__
            from adasearch.io.filesystem import locate, read_whole
        except ImportError:
            return {**found, "adasearch": None}, None
        try:
            read_whole(*locate(marker))
        except Exception as error:  # noqa: BLE001 - whatever it is, the driver tells it
            return {**found, "adasearch": __version__}, type(error).__name__
        return {**found, "adasearch": __version__}, None

    class Probe:
        def ask(self) -> tuple[dict[str, str | None], str | None]:
            return ask()

    return Probe
