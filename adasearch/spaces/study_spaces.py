"""A study's two search spaces, from files, from the store and from what the user fixed."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from adasearch.errors import InputError, unknown
from adasearch.io.yaml_text import parse_yaml
from adasearch.records import Limits, Value
from adasearch.schedulers.fields import field_kinds
from adasearch.schedulers.registry import BASELINE, scheduler_class
from adasearch.spaces.field import scalar
from adasearch.spaces.space import Space, load_space, parse_space, space_names

__all__ = [
    "GENERAL_SPACE",
    "LANGUAGE_SPACE",
    "Fixed",
    "SpaceSources",
    "parse_fixed",
    "scheduler_space_of",
    "train_space_of",
]

GENERAL_SPACE = "any"
"""The space of architectures that have no file of their own."""

LANGUAGE_SPACE = "any_language"
"""The space of language models, ours among them."""


@dataclass(frozen=True, slots=True)
class Fixed:
    """A field that the user took out of the search; ``kind`` is "train" or "scheduler"."""

    kind: str
    name: str
    value: Value


@dataclass(frozen=True, slots=True, kw_only=True)
class SpaceSources:
    """Where a study's space is taken from: the first that is there, else the one that comes with adasearch.

    Args:
        given: the file or name that the user gave.
        published: that of an experiment.
        stored: that of a stored study, as JSON.
    """

    given: str | None = None
    published: Space | None = None
    stored: str | None = None


def parse_fixed(text: str, schedulers: Sequence[str]) -> Fixed:
    """Return a setting from ``train/FIELD=VALUE`` or ``scheduler/FIELD=VALUE``.

    Raises:
        InputError: another form, or a field that none of ``schedulers`` has.

    >>> parse_fixed("train/lr=1e-3", [])
    Fixed(kind='train', name='lr', value=0.001)
    """
    name, equals, raw = text.partition("=")
    kind, slash, bare = name.partition("/")
    if not (equals and slash and bare) or kind not in ("train", "scheduler"):
        raise InputError(f"--set must be train/FIELD=VALUE or scheduler/FIELD=VALUE but got {text!r}")
    try:
        value = scalar(parse_yaml(raw, "--set"))
    except ValueError as error:
        raise InputError(f"--set {name} needs a number, a name, true or false but got {raw!r}") from error
    if kind == "scheduler":
        known = {field for scheduler in schedulers for field in field_kinds(scheduler_class(scheduler))}
        if bare not in known:
            raise unknown("field of the searched schedulers", bare, known)
    return Fixed(kind=kind, name=bare, value=value)


def train_space_of(
    architecture: str,
    scheduler_space: Space,
    limits: Limits,
    sources: SpaceSources,
    fixed: Sequence[Fixed],
    *,
    general: str = GENERAL_SPACE,
) -> tuple[Space, list[str]]:
    """Return the space of an architecture's training as a scheduler may use it, and what is to be said of it.

    An architecture without a file of its own takes ``general``, which any other may be given, too.
    Initial batch sizes of our own are cut to the limits; those that the user gave must lie inside. The
    learning-rate schedule is narrowed to what the scheduler allows.

    Raises:
        InputError: a space for another architecture, or a value that breaks a rule.
    """
    space, taken = _train_space(architecture, sources, general)
    space, cut = _inside(space, limits, sources.given)
    scheduler, allowed = scheduler_space.scheduler or "", scheduler_space.lr_schedules()
    for setting in fixed:
        if setting.kind == "train":
            space = _with_fixed(space, setting, scheduler, limits, allowed)
    narrowed = space.with_choices("lr_schedule", allowed)
    only = []
    if narrowed.to_json() != space.to_json():
        only = [f"{scheduler} allows train/lr_schedule {' or '.join(sorted(allowed))} only"]
    return narrowed, [*taken, *cut, *only]


def _train_space(architecture: str, sources: SpaceSources, general: str) -> tuple[Space, list[str]]:
    """Return the space as it is where it comes from."""
    given = sources.given
    if given is None and sources.published is not None:
        return sources.published, []
    if given is None and sources.stored is not None:
        return parse_space(parse_yaml(sources.stored, "stored space"), "stored space"), []
    own = architecture in space_names("architectures")
    space = load_space("architectures", given or (architecture if own else general))
    if space.architecture == GENERAL_SPACE:
        space = space.model_copy(update={"architecture": architecture})
    if space.architecture != architecture:
        raise InputError(f"--train-space {given} is for {space.architecture}, not {architecture}")
    if given is None and not own and general == GENERAL_SPACE:
        return space, [
            f"{architecture} has no search space of its own and takes {general!r} (see --train-space)"
        ]
    return space, []


def _inside(space: Space, limits: Limits, given: str | None) -> tuple[Space, list[str]]:
    """Return a space whose initial batch sizes lie inside the limits."""
    beyond = [s for s in space.ends("batch_size") if not (isinstance(s, int) and limits.admit(s))]
    if not beyond:
        return space, []
    inside = f"{limits.smallest} to {limits.largest}"
    if given is not None and "batch_size" in space.fields:
        raise InputError(f"--train-space {given}: batch_size must lie in {inside} but got {beyond[0]}")
    note = f"initial batch sizes lie in {inside} only (see --smallest and --largest)"
    return space.within("batch_size", limits.smallest, limits.largest), [note]


def _with_fixed(
    space: Space, setting: Fixed, scheduler: str, limits: Limits, allowed: Collection[str]
) -> Space:
    """Return a space with a field fixed to what the limits and the scheduler allow."""
    value = setting.value
    if setting.name == "batch_size" and not (isinstance(value, int) and limits.admit(value)):
        raise InputError(
            f"--set train/batch_size must lie in {limits.smallest} to {limits.largest} but got {value}"
        )
    space = space.with_fixed(setting.name, value)
    if setting.name == "lr_schedule" and value not in allowed:
        raise InputError(
            f"--set train/lr_schedule must be one of {sorted(allowed)} for {scheduler} but got {value!r}"
        )
    return space


def scheduler_space_of(scheduler: str, sources: SpaceSources, fixed: Sequence[Fixed]) -> Space:
    """Return the space of a scheduler's fields.

    Raises:
        InputError: a space for another scheduler, or a value that breaks a rule.
    """
    if sources.given is not None and scheduler != BASELINE:
        space = load_space("schedulers", sources.given, scheduler)
        if space.scheduler != scheduler:
            raise InputError(f"--space {sources.given} is for {space.scheduler}, not {scheduler}")
    elif sources.published is not None:
        space = sources.published
    elif sources.stored is not None:
        space = parse_space(parse_yaml(sources.stored, "stored space"), "stored space", scheduler)
    elif ":" in scheduler:
        space = parse_space({"scheduler": scheduler}, f"scheduler {scheduler}", scheduler)
    else:
        space = load_space("schedulers", scheduler)
    for setting in fixed:
        if setting.kind == "scheduler" and setting.name in field_kinds(scheduler_class(scheduler)):
            space = space.with_fixed(setting.name, setting.value)
    return space
