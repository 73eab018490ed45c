"""``adasearch profile``: takes a network's profiles in this process and keeps them.

The runs at a fixed batch, and the branches of one, are trials of phase "profile" in ``<results>/profiles/``,
which go on where they were cut; what comes of them, and the speed profile, are the files beside them
(:mod:`adasearch.profiles.profile_store`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from rich.console import Console

from adasearch.choices import BranchCoupling, Format, ProfileKind
from adasearch.commands._branches import side_by_side
from adasearch.environment import local_device
from adasearch.errors import InputError
from adasearch.io.progress import StepDisplay, say
from adasearch.io.text import slug
from adasearch.profiles.critical import CriticalProfile
from adasearch.profiles.profile import SpeedProfile, StabilityProfile
from adasearch.profiles.profile_store import ProfileStore
from adasearch.profiles.quantiles import AFTER_WINDOW, CALIBRATED
from adasearch.runs.critical_profile import critical_profile
from adasearch.runs.execute import with_threads
from adasearch.runs.profile_run import ProfileRun
from adasearch.runs.speed_profile import speed_profile
from adasearch.runs.stability_profile import SEEDS, longest_window, stability_profile
from adasearch.runtime import RunOptions, Runtime
from adasearch.store.store import Store
from adasearch.store.trials import PROFILES

if TYPE_CHECKING:
    from adasearch.studies.request import Request

__all__ = ["ProfileWish", "Profiles", "export_profiles", "import_profiles", "profile"]

KINDS: tuple[ProfileKind, ...] = ("stability", "speed")
"""What is profiled where nothing else is asked for; the critical batch takes more than a training."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileWish:
    """What to profile.

    Args:
        intervals: length of a run; None is the longest window of the scheduler's space and 20 more, and for
            the critical batch that of a training.
        seeds: runs, at least 1; None is 3, and 1 for the critical batch.
        kinds: "stability", "speed", "critical".
        coupling: how the learning rate of branches follows their size; None is by the optimiser.
        name: of the speed profile; None names it after the device.
        threads: of this process on a CPU, at least 1; of each worker where there are several slots.
        slots: runs of the critical batch that are trained at a time: 1 in this process, more on Ray.
        space: DEBA's, whose longest window counts.
    """

    intervals: int | None = None
    seeds: int | None = None
    kinds: Sequence[ProfileKind] = KINDS
    coupling: BranchCoupling | None = None
    name: str | None = None
    threads: int = 1
    slots: int = 1
    space: str = "deba"

    def check(self) -> None:
        """Refuse values that break a rule."""
        for name in ("intervals", "seeds", "threads", "slots"):
            value = getattr(self, name)
            flag = "cpus-per-worker" if name == "threads" else name
            if value is not None and value < 1:
                raise InputError(f"--{flag} must be at least 1 but got {value}")
        if self.name is not None and slug(self.name) != self.name:
            raise InputError(
                f"--device-profile must be letters, digits, '_', '.' or '-' but got {self.name!r}"
            )
        if self.coupling is not None and "critical" not in self.kinds:
            raise InputError(f"--coupling is for --kind critical alone but got {self.coupling}")
        if self.slots > 1 and "critical" not in self.kinds:
            raise InputError(f"--slots is for --kind critical alone but got {self.slots}")


class Profiles(NamedTuple):
    """Profiles of networks."""

    stability: list[StabilityProfile]
    speed: list[SpeedProfile]
    critical: list[CriticalProfile]
    beside: list[StabilityProfile]
    """Those of the folder, whose noise scale stands beside the critical batch."""
    budgets: list[int]
    """Examples of a training of each network."""

    def table(self, form: Format = "text") -> str:
        """Return them as a table."""
        from adasearch.analysis.profile_tables import profile_tables

        return profile_tables(self.stability, self.speed, self.critical, form, beside=self.beside)


def export_profiles(results: str, file: str, name: str | None = None) -> int:
    """Write the stored profiles of a results folder, or those of a name, to a file; return how many.

    Raises:
        InputError: there are none, or the file cannot be written.
    """
    return ProfileStore(results).export(file, name)


def import_profiles(results: str, file: str) -> int:
    """Keep the profiles of an exported file in a results folder; return how many are new.

    Raises:
        InputError: the file holds no profiles, or others under the names of stored ones.
    """
    return ProfileStore(results).take_in(file)


def profile(
    request: "Request", wish: ProfileWish, *, results: str, console: Console, options: RunOptions
) -> Profiles:
    """Take the profiles that were asked for, or find them, of every architecture of a request.

    Raises:
        InputError: bad input; nothing was written.
        StudyLocked: another process takes profiles for this results folder.
    """
    from adasearch.spaces.space import load_space
    from adasearch.studies.identity import check_device
    from adasearch.studies.resolve import resolve
    from adasearch.studies.wanted import nothing_stored

    wish.check()
    options.check()
    if request.workers is not None and request.workers > 1:
        raise InputError(f"profiles are taken with one worker but got --workers {request.workers}")
    usual = request.epochs is None and request.budget is None
    if wish.intervals is not None and not usual:
        flag = "epochs" if request.budget is None else "budget"
        raise InputError(f"give --intervals or --{flag}, not both")
    space = load_space("schedulers", wish.space)
    if space.scheduler not in CALIBRATED:
        raise InputError(f"--space {wish.space} is for {space.scheduler}, not {' or '.join(CALIBRATED)}")
    length = wish.intervals or longest_window(space) + AFTER_WINDOW
    store = Store(results)
    store.check_writable()
    request = replace(
        request,
        schedulers=("constant",),
        baseline=False,
        device=local_device(),
        silence_seconds=60 * options.silence_minutes,
    )
    runtime = Runtime(slots=wish.slots, cpus_per_worker=wish.threads, options=options)
    together = partial(side_by_side, runtime=runtime, console=console)
    stability, speed, critical = [], [], []
    with StepDisplay(console) as progress:
        studies = resolve(request, nothing_stored, partial(say, console), progress)
        for study in studies:
            check_device(study.record)
        with store.locks.hold(PROFILES), with_threads(wish.threads):
            for study in studies:
                spans = length if usual else study.record.budget / study.record.interval
                run = ProfileRun(
                    study=study,
                    store=store,
                    say=partial(say, console),
                    progress=progress,
                    options=options,
                    threads=wish.threads,
                )
                if "stability" in wish.kinds:
                    stability.append(stability_profile(run, math.ceil(spans), wish.seeds or SEEDS))
                if "speed" in wish.kinds:
                    speed.append(speed_profile(run, wish.name))
                if "critical" in wish.kinds:
                    budget = study.record.budget
                    if wish.intervals is not None:
                        budget = wish.intervals * study.record.interval
                    critical.append(
                        critical_profile(
                            run, budget, wish.seeds or 1, wish.coupling, together if wish.slots > 1 else None
                        )
                    )
    return Profiles(
        stability,
        speed,
        critical,
        ProfileStore(results).stability() if critical else [],
        [study.record.budget for study in studies],
    )
