"""A study's two search spaces, from files, from the store and from what the user fixed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from adasearch.errors import InputError, unknown
from adasearch.io.yaml_text import parse_yaml, read_yaml
from adasearch.records import Limits, Value
from adasearch.schedulers.by_optimizer import OPTIMIZERS
from adasearch.schedulers.fields import field_kinds
from adasearch.schedulers.registry import BASELINE, scheduler_class
from adasearch.spaces.field import scalar
from adasearch.spaces.space import Space, load_space, parse_space, space_names
from adasearch.training.config import OWN_RESERVED

__all__ = [
    "GENERAL_SPACE",
    "LANGUAGE_SPACE",
    "Fixed",
    "SpaceSources",
    "function_space_of",
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
    """A field that was taken out of the search, by ``flag``; ``kind`` is "train" or "scheduler"."""

    kind: str
    name: str
    value: Value
    flag: str = field(default="--set", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpaceSources:
    """Where a study's space is taken from: the first that is there, else the one that comes with adasearch.

    Args:
        given: the file or name that the user gave, or of a training function what such a file holds.
        published: that of an experiment.
        stored: that of a stored study, as JSON.
    """

    given: str | Mapping[str, object] | None = None
    published: Space | None = None
    stored: str | None = None


def parse_fixed(text: str, schedulers: Sequence[str], flag: str = "--set") -> Fixed:
    """Return a setting from ``train/FIELD=VALUE`` or ``scheduler/FIELD=VALUE``, as ``flag`` gave it.

    Raises:
        InputError: another form, or a field that none of ``schedulers`` has.

    >>> parse_fixed("train/lr=1e-3", [])
    Fixed(kind='train', name='lr', value=0.001)
    """
    name, equals, raw = text.partition("=")
    kind, slash, bare = name.partition("/")
    if not (equals and slash and bare) or kind not in ("train", "scheduler"):
        known = {field for each in schedulers for field in field_kinds(scheduler_class(each))}
        near = f"{'scheduler' if name in known else 'train'}/{text}"
        hint = f"; did you mean {near}?" if equals and not slash else ""
        raise InputError(f"{flag} must be train/FIELD=VALUE or scheduler/FIELD=VALUE but got {text!r}{hint}")
    try:
        value = scalar(parse_yaml(raw, flag))
    except ValueError as error:
        raise InputError(f"{flag} {name} needs a number, a name, true or false but got {raw!r}") from error
    if kind == "scheduler":
        known = {field for scheduler in schedulers for field in field_kinds(scheduler_class(scheduler))}
        if bare not in known:
            raise unknown("field of the searched schedulers", bare, known)
    return Fixed(kind=kind, name=bare, value=value, flag=flag)


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
        InputError: a space for another architecture, a value that breaks a rule, or one of the scheduler's
            that not every optimiser allows.
    """
    space, taken = _train_space(architecture, sources, general)
    space, cut = _inside(space, limits, sources.given)
    scheduler, allowed = scheduler_space.scheduler or "", scheduler_space.lr_schedules()
    for setting in fixed:
        if setting.kind == "train":
            space = _with_fixed(space, setting, limits)
            if setting.name == "lr_schedule" and setting.value not in allowed:
                raise InputError(
                    f"{setting.flag} train/lr_schedule must be one of {sorted(allowed)} for {scheduler} but "
                    f"got {setting.value!r}"
                )
    _check_optimizer(space, scheduler_space)
    narrowed = space.with_choices("lr_schedule", allowed)
    only = []
    if narrowed.to_json() != space.to_json():
        only = [f"{scheduler} allows train/lr_schedule {' or '.join(sorted(allowed))} only"]
    return narrowed, [*taken, *cut, *only]


def _check_optimizer(space: Space, scheduler_space: Space) -> None:
    """Refuse a scheduler's field that not every optimiser of the training allows.

    Raises:
        InputError: one that does not, by name.
    """
    for optimizer in map(str, space.ends("optimizer")):
        kind = OPTIMIZERS[optimizer]
        for name, value, allowed in (
            ("noise", "preconditioned", kind.second_moments),
            ("wrappers.beta2", True, kind.betas),
        ):
            field = scheduler_space.fields.get(name)
            if field is not None and not allowed and value in field.ends():
                raise InputError(
                    f"{scheduler_space.scheduler} may have {name}={str(value).lower()}, which "
                    f"train/optimizer={optimizer} does not allow; adamw does (--set train/optimizer=adamw)"
                )


def function_space_of(
    function: str, limits: Limits, sources: SpaceSources, fixed: Sequence[Fixed]
) -> tuple[Space, list[str]]:
    """Return the space of a training function's parameters, and what is to be said of it.

    Where nobody says how, ``lr`` and ``batch_size`` are searched as ``GENERAL_SPACE`` says.

    Raises:
        InputError: a space for another function, or a value that breaks a rule.
    """
    given, notes = sources.given, []
    mine: set[str] = set()
    if given is None and sources.stored is not None:
        space = parse_space(parse_yaml(sources.stored, "stored space"), "stored space")
    else:
        general = load_space("architectures", GENERAL_SPACE)
        usual = {name: general.fields[name] for name in OWN_RESERVED}
        if given is None:
            space = Space(function=function, fields=usual)
            notes = [f"{function} is searched over {' and '.join(usual)} alone (see --train-space)"]
        else:
            origin = f"space {given}" if isinstance(given, str) else "train_space"
            content = read_yaml(Path(given), origin) if isinstance(given, str) else given
            if isinstance(content, Mapping) and not {"function", "architecture", "scheduler"} & set(content):
                content = {"function": function, **content}
            space = parse_space(content, origin)
            if space.function not in (function, GENERAL_SPACE):
                kind = space.function or space.architecture or space.scheduler
                raise InputError(f"--train-space: {origin} is for {kind}, not {function}")
            mine = set(space.fields)
            space = space.model_copy(update={"function": function, "fields": {**usual, **space.fields}})
    space, cut = _inside(space, limits, given if "batch_size" in mine else None)
    for setting in fixed:
        if setting.kind == "train":
            space = _with_fixed(space, setting, limits)
    return space, [*notes, *cut]


def _train_space(architecture: str, sources: SpaceSources, general: str) -> tuple[Space, list[str]]:
    """Return the space as it is where it comes from."""
    given = sources.given
    if isinstance(given, Mapping):
        raise InputError("train_space must name a file, or a space that comes with adasearch")
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


def _inside(space: Space, limits: Limits, given: object) -> tuple[Space, list[str]]:
    """Return a space whose initial batch sizes lie inside the limits."""
    beyond = [s for s in space.ends("batch_size") if not (isinstance(s, int) and limits.admit(s))]
    if not beyond:
        return space, []
    inside = f"{limits.smallest} to {limits.largest}"
    if given is not None and "batch_size" in space.fields:
        raise InputError(f"--train-space {given}: batch_size must lie in {inside} but got {beyond[0]}")
    note = f"initial batch sizes lie in {inside} only (see --smallest and --largest)"
    return space.within("batch_size", limits.smallest, limits.largest), [note]


def _with_fixed(space: Space, setting: Fixed, limits: Limits) -> Space:
    """Return a space with a field fixed to what the limits allow."""
    value = setting.value
    if setting.name == "batch_size" and not (isinstance(value, int) and limits.admit(value)):
        raise InputError(
            f"{setting.flag} train/batch_size must lie in {limits.smallest} to {limits.largest} but got "
            f"{value} (see --smallest and --largest)"
        )
    return space.with_fixed(setting.name, value, setting.flag)


def scheduler_space_of(scheduler: str, sources: SpaceSources, fixed: Sequence[Fixed]) -> Space:
    """Return the space of a scheduler's fields.

    Raises:
        InputError: a space for another scheduler, or a value that breaks a rule.
    """
    if isinstance(sources.given, str) and scheduler != BASELINE:
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
            space = space.with_fixed(setting.name, setting.value, setting.flag)
    return space
