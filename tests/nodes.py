"""A Ray cluster on this machine, a raylet for each node, as a user would start it by ``ray start``."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp

import psutil

RAY = str(Path(sys.executable).parent / "ray")


class Nodes:
    """A head without CPUs, and nodes by their addresses on the loopback device."""

    def __init__(self, folder: Path, *, dashboard: bool = False, env: dict[str, str] | None = None) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        self.dashboard = f"http://127.0.0.1:{free_port()}"
        self.env = {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0", **(env or {})}
        self._folder = folder
        self._started: dict[str, subprocess.Popen[bytes]] = {}
        self._homes: list[str] = []
        self._last = 1
        port = self.address.rpartition(":")[2]
        words = ["--head", f"--port={port}", f"--include-dashboard={str(dashboard).lower()}"]
        words += [f"--dashboard-port={self.dashboard.rpartition(':')[2]}"] if dashboard else []
        self.head = self._start("127.0.0.1", 0, *words)

    def add(self, cpus: int = 1) -> str:
        """Start a node and return its address; it joins a little later."""
        self._last += 1
        return self._start(f"127.0.0.{self._last}", cpus, f"--address={self.address}")

    def _start(self, ip: str, cpus: int, *words: str) -> str:
        # Without PYTHONPATH: what these nodes can import is what is installed, or sent to them.
        inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        command = [RAY, "start", "--block", f"--node-ip-address={ip}", f"--num-cpus={cpus}", *words]
        # Each node keeps its own files, as on machines of their own; its sockets' paths must be short.
        self._homes.append(home := mkdtemp(prefix="ray-"))
        command += ["--object-store-memory=100000000", f"--temp-dir={home}"]
        with (self._folder / f"node-{ip}.log").open("wb") as log:
            self._started[ip] = subprocess.Popen(
                command, cwd=self._folder, env=inherited | self.env, stdout=log, stderr=log
            )
        return ip

    def processes(self, ip: str) -> list[psutil.Process]:
        """Return the processes of a node that are there now."""
        try:
            return list(psutil.Process(self._started[ip].pid).children(recursive=True))
        except psutil.NoSuchProcess:
            return []

    @property
    def worker_nodes(self) -> list[str]:
        """The nodes beside the head."""
        return [ip for ip in self._started if ip != self.head]

    def workers(self, name: str = "RayTrainWorker") -> list[psutil.Process]:
        """Return the actors of a kind on all nodes."""
        return named(name, [each for ip in self._started for each in self.processes(ip)])

    def busy(self) -> list[str]:
        """Return the nodes, without the head, on which a Ray Train worker runs."""
        return [ip for ip in self.worker_nodes if named("RayTrainWorker", self.processes(ip))]

    def kill(self, ip: str) -> None:
        """Kill a node's raylet by -9; what "ray start" left of the node ends by itself."""
        for process in self.processes(ip):
            if process.name() == "raylet":
                process.kill()
        self._started.pop(ip).wait(60)  # reaped: a zombie would count as alive

    def end(self) -> None:
        """Kill all that is left of the cluster."""
        every = [each for ip in self._started for each in self.processes(ip)]
        for started in self._started.values():
            started.kill()
            started.wait(60)
        for process in every:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(every, timeout=30)
        for home in self._homes:
            shutil.rmtree(home, ignore_errors=True)


@contextmanager
def nodes(
    folder: Path, *cpus: int, dashboard: bool = False, env: dict[str, str] | None = None
) -> Iterator[Nodes]:
    """Start a cluster with a node for each number of CPUs; end it after use."""
    cluster = Nodes(folder, dashboard=dashboard, env=env)
    try:
        wait_until_listening(cluster.address)
        for each in cpus:
            cluster.add(each)
        yield cluster
    finally:
        cluster.end()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_listening(address: str, seconds: float = 60) -> None:
    host, _, port = address.rpartition(":")
    end = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


def named(name: str, processes: list[psutil.Process]) -> list[psutil.Process]:
    """Return those whose title holds a name, as Ray gives its actors' processes."""
    found = []
    for process in processes:
        try:
            if name in " ".join(process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found
