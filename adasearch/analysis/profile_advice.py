"""What the profiles of a network say by themselves, and which command takes those that are lacking."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from importlib import resources

from adasearch.analysis.batch_by_runs import FIT_NOTE, FittedBatch, TooFewRuns, batch_by_runs
from adasearch.analysis.ceilings import MODEL_NOTE, Ceilings, ceilings_of
from adasearch.analysis.prediction import Traits
from adasearch.analysis.shipped import ceiling_said
from adasearch.io.advice import command
from adasearch.io.text import wrapped
from adasearch.profiles.profile import (
    Setting,
    SpeedProfile,
    StabilityProfile,
    default_name,
    profile_command,
)
from adasearch.profiles.profile_store import ProfileStore
from adasearch.records import StudyRecord
from adasearch.store.store import Store

__all__ = ["Advice", "advice_notes", "advice_of", "profile_line", "told", "without_profile"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """What is known of a network's sizes beforehand: by its noise scale, and by constant runs of it."""

    ceilings: Ceilings | None
    runs: FittedBatch | TooFewRuns | None

    def row(self) -> dict[str, object]:
        """Return the figures by name."""
        by_runs = self.runs.row() if isinstance(self.runs, FittedBatch) else {}
        return {**(self.ceilings.row() if self.ceilings else {}), **by_runs}

    def said(self) -> list[str]:
        """Return them in words."""
        return [*(self.ceilings.said() if self.ceilings else []), *([self.runs.said()] if self.runs else [])]


def advice_of(store: Store, speed: SpeedProfile, steady: StabilityProfile) -> Advice:
    """Return what the profiles of a network say, and the runs of the folder."""
    curve = speed.curve
    return Advice(
        ceilings=ceilings_of(curve, steady),
        runs=batch_by_runs(store, steady.setting, curve, steady.batch_size),
    )


def advice_notes(advice: Iterable[Advice]) -> list[str]:
    """Return what a reader of such advice must know."""
    every = list(advice)
    return [
        *([MODEL_NOTE] if any(each.ceilings for each in every) else []),
        *([FIT_NOTE] if any(isinstance(each.runs, FittedBatch) for each in every) else []),
    ]


def _further(speed: SpeedProfile, steady: StabilityProfile, results: str) -> str | None:
    """Return the command that takes a speed profile whose throughput still rises further; None for others."""
    size = speed.rising_at
    if size is None or size >= steady.train_examples:
        return None
    return profile_command(
        speed.setting,
        results,
        subset=steady.subset,
        seed=steady.seed or None,
        kind="speed",
        device_profile=None if speed.profile == default_name(speed.setting) else speed.profile,
        largest=min(2 * size, steady.train_examples),
    )


def told(
    traits: Traits,
    speed: SpeedProfile,
    steady: StabilityProfile,
    advice: Advice,
    results: str,
    width: int | None,
) -> list[str]:
    """Return what is known of a network beforehand, in words."""
    said = [ceiling_said(traits), *advice.said()]
    lines = [wrapped("; ".join(said), width)]
    line = _further(speed, steady, results)
    return [*lines, f"  {line}"] if line else lines


def without_profile(store: Store, name: str, known: Iterable[str]) -> str:
    """Return that a network has no profiles, and how it gets them, on the folder's own images."""
    near = difflib.get_close_matches(name, {*known, *_ours()}, n=1)
    hint = f" did you mean {near[0]!r}?" if near and near[0] != name else ""
    real = name if name in _ours() or ":" in name or not near else near[0]
    line = profile_line(store, real)
    return f"{name} has no speed and stability profile in {store.name};{hint} '{line}' takes them"


def _ours() -> set[str]:
    """Return the names of the networks that have a search space of their own."""
    folder = resources.files("adasearch") / "search_spaces" / "architectures"
    return {item.name.removesuffix(".yaml") for item in folder.iterdir()} - {"any"}


def profile_line(store: Store, name: str | None = None) -> str:
    """Return the command that profiles a network on the images of the folder."""
    studies = store.studies()
    own = [each for each in studies if each.architecture == name] or studies
    profiled = [each.setting for each in ProfileStore(store.name).speed()]
    stored: list[StudyRecord | Setting] = [*own, *profiled]
    if not stored:
        return command("profile", results=store.name, architecture=name or "resnet18")
    first = stored[0]
    named = first if name is None else replace(first, architecture=name)
    return profile_command(named, store.name)
