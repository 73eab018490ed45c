"""What the profiles of a network say by themselves, and which command takes those that are lacking."""

import difflib
from collections.abc import Iterable
from dataclasses import replace
from importlib import resources

from adasearch.analysis.ceilings import ceilings_of
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

__all__ = ["profile_line", "told", "without_profile"]


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
    traits: Traits, speed: SpeedProfile, steady: StabilityProfile, results: str, width: int | None
) -> list[str]:
    """Return what the profiles of a network say by themselves, in words."""
    found = ceilings_of(speed.curve, steady)
    lines = [
        wrapped(
            "; ".join([ceiling_said(traits), *(found.said() if found else [])]),
            width,
        )
    ]
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
