"""What adasearch takes from Ray beneath its public interface: all of it is here, with the reason.

Each part was there, and searches ran, with ray 2.51.2, 2.55.1 and 2.60.0; setup.cfg keeps to what lies
between. ``check_ray`` names what another version lacks.
"""

import os
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from inspect import signature
from itertools import takewhile
from operator import attrgetter
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import OutOfMemoryError, RayActorError
from ray.job_config import JobConfig

from adasearch.errors import AdasearchError, one_line

try:
    from ray.train.backend import Backend, BackendConfig
    from ray.train.v2._internal.constants import ENV_VARS_TO_PROPAGATE as NAMED_FOR_WORKERS
    from ray.train.v2._internal.execution.controller import TrainController
    from ray.train.v2._internal.execution.scaling_policy import FixedScalingPolicy
    from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer
except ImportError:  # check_ray tells
    Backend = BackendConfig = DataParallelTrainer = FixedScalingPolicy = TrainController = object
    NAMED_FOR_WORKERS = set()

__all__ = [
    "DEAD",
    "JOB_CONFIG",
    "LISTENER",
    "NAMED_FOR_WORKERS",
    "PARTS",
    "Backend",
    "BackendConfig",
    "DataParallelTrainer",
    "FixedScalingPolicy",
    "Part",
    "TrainController",
    "check_ray",
    "environment_inherited",
    "job_config",
    "killed_is_dead",
    "lacking",
]

TRIED = "2.51 to 2.60"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One private part of Ray as ``module:attribute``, and what a search needs or, optional, likes it for."""

    name: str
    purpose: str
    optional: bool = False
    parameter: str | None = None
    """Of the function or class that is named."""

    def there(self) -> bool:
        """Tell whether this version of Ray has it."""
        module, _, attribute = self.name.partition(":")
        try:
            found = attrgetter(attribute)(import_module(module))
        except (ImportError, AttributeError):
            return False
        return self.parameter is None or self.parameter in signature(found).parameters


_WORKERS = "worker groups that import torch on the workers alone"
_TRAINER = "ray.train.v2.api.data_parallel_trainer:DataParallelTrainer"
_CONTROLLER = "ray.train.v2._internal.execution.controller:TrainController"
_ONE_START = "processes of a search that start Python once"
_GROUP = "ray.train.v2._internal.execution.worker_group:WorkerGroup"
PARTS = (
    # TorchTrainer and TorchConfig import torch where they are read: in a slot's actor, in Train's controller.
    Part(name=f"{_TRAINER}._create_default_callbacks", purpose=_WORKERS),
    Part(name=f"{_TRAINER}._initialize_and_run_controller", purpose=_WORKERS),
    Part(name=_CONTROLLER, parameter="scaling_policy", purpose=_WORKERS),
    Part(name=f"{_CONTROLLER}.run", purpose=_WORKERS),
    Part(name=f"{_CONTROLLER}.get_result", purpose=_WORKERS),
    Part(name="ray.train.v2._internal.execution.scaling_policy:FixedScalingPolicy", purpose=_WORKERS),
    Part(name="ray.train.backend:Backend.on_start", purpose=_WORKERS),
    Part(name="ray.train.backend:BackendConfig.backend_cls", purpose=_WORKERS),
    Part(name=f"{_GROUP}.execute_single", purpose=_WORKERS),
    Part(name=f"{_GROUP}.execute_single_async", purpose=_WORKERS),
    Part(name=f"{_GROUP}.execute_async", purpose=_WORKERS),
    Part(name="ray.train.v2._internal.constants:ENV_VARS_TO_PROPAGATE", purpose=_ONE_START, optional=True),
    Part(name="ray.tune.execution.class_cache:ENV_VARS_TO_PROPAGATE", purpose=_ONE_START, optional=True),
    Part(name="ray.tune.execution.class_cache:DEFAULT_ENV_VARS", purpose=_ONE_START, optional=True),
    Part(
        name="ray.air.execution._internal.actor_manager:RayActorManager._actor_task_failed",
        purpose="searches that go on after a trial's process was killed for memory",
        optional=True,
    ),
    Part(
        name="ray.job_config:JobConfig",
        parameter="_client_job",
        purpose="workers that import nothing from the current folder",
        optional=True,
    ),
)

JOB_CONFIG = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""The environment variable in which Ray tells a submitted job of its own runtime_env."""

LISTENER = "ray_listen_error_messages"
"""The thread in which Ray prints, of its own accord, that a worker died; adasearch tells that itself."""

DEAD = (RayActorError, OutOfMemoryError)
"""What Ray raises for an actor that is no more."""


def lacking() -> list[Part]:
    """Return the parts that this version of Ray does not have."""
    return [part for part in PARTS if not part.there()]


def check_ray() -> None:
    """Say on stderr, in one line, what this version of Ray lacks that a search can do without.

    Raises:
        AdasearchError: it lacks what a search cannot do without.
    """
    parts = lacking()
    if not parts:
        return
    purposes = " and for ".join(dict.fromkeys(part.purpose for part in parts))
    names = ", ".join(f"{part.name}{f'({part.parameter}=)' if part.parameter else ''}" for part in parts)
    line = f"adasearch needs ray {TRIED} for {purposes}; this is ray {ray.__version__}, without {names}"
    if all(part.optional for part in parts):
        print(f"adasearch: {line}", file=sys.stderr)  # noqa: T201
        return
    raise AdasearchError(line)


def job_config() -> JobConfig:
    """Return the settings of a job whose workers have the current folder on their path only if it is on ours.

    Ray puts that folder first on the path of each worker, before Python's own modules; only the jobs of its
    client are spared that. A submitted job is left as it is: Ray has more to do with its runtime_env.
    """
    here = os.getcwd()
    ahead = set(takewhile(lambda place: place != sysconfig.get_path("stdlib"), sys.path))
    ours = bool(ahead & {"", here}) or Path(here) == Path(__file__).parents[2]  # adasearch itself lies here
    if ours or JOB_CONFIG in os.environ:
        return JobConfig()
    try:
        return JobConfig(_client_job=True)
    except TypeError:  # check_ray has told
        return JobConfig()


@contextmanager
def environment_inherited() -> Iterator[None]:
    """Let trials' processes have their environment from Ray's own, which this process started, alone.

    Tune names variables for them once more, and for a process for which some are named, and for what that
    starts in turn, Ray starts Python twice. What Tune sets by itself is among what an embedded Ray is given.
    """
    try:
        from ray.tune.execution import class_cache

        former = class_cache.ENV_VARS_TO_PROPAGATE, class_cache.DEFAULT_ENV_VARS
    except (ImportError, AttributeError):
        yield
        return
    class_cache.ENV_VARS_TO_PROPAGATE, class_cache.DEFAULT_ENV_VARS = set(), {}
    try:
        yield
    finally:
        class_cache.ENV_VARS_TO_PROPAGATE, class_cache.DEFAULT_ENV_VARS = former


@contextmanager
def killed_is_dead() -> Iterator[None]:
    """Let Tune's searches handle an actor that was killed for memory as one that died.

    Ray answers for such an actor with ``OutOfMemoryError``, which is no ``RayActorError``. Tune knows no such
    end of a trial's actor and raises in its own loop, which ends the search. With a Ray that keeps its actors
    elsewhere nothing is done; ``check_ray`` has said so.
    """
    try:
        from ray.air.execution._internal.actor_manager import RayActorManager

        former = RayActorManager._actor_task_failed
    except (ImportError, AttributeError):
        yield
        return

    def failed(self: Any, tracked_actor_task: Any, exception: Exception) -> None:
        if isinstance(exception, OutOfMemoryError):
            exception = RayActorError(error_msg=one_line(exception)[:500])
        former(self, tracked_actor_task, exception)

    RayActorManager._actor_task_failed = failed
    try:
        yield
    finally:
        RayActorManager._actor_task_failed = former
