"""A study's two search spaces, from files, from the store and from what the user fixed."""

from collections.abc import Sequence
from dataclasses import dataclass

from adasearch.callbacks import Say
from adasearch.errors import InputError, unknown
from adasearch.io.yaml_text import parse_yaml
from adasearch.records import Limits, Value
from adasearch.schedulers.fields import field_kinds
from adasearch.schedulers.registry import BASELINE, scheduler_class
from adasearch.spaces.field import scalar
from adasearch.spaces.space import Space, load_space, parse_space, space_names

__all__ = ["Fixed", "parse_fixed", "scheduler_space_of", "train_space_of"]

GENERAL = "any"
"""The space of architectures that have no file of their own."""


@dataclass(frozen=True, slots=True)
class Fixed:
    """A field that the user took out of the search; ``kind`` is "train" or "scheduler"."""

    kind: str
    name: str
    value: Value


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
    scheduler: str,
    limits: Limits,
    *,
    given: str | None,
    published: Space | None = None,
    stored: str | None,
    fixed: Sequence[Fixed],
    say: Say,
) -> Space:
    """Return the space of an architecture's training as a scheduler may use it.

    An architecture without a file of its own takes ``GENERAL``, which any other may be given, too.
    Initial batch sizes of our own are cut to the limits; those that the user gave must lie inside. The
    learning-rate schedule is narrowed to what the scheduler allows. ``say`` hears of all three.

    Raises:
        InputError: a space for another architecture, or a value that breaks a rule.
    """
    if given is None and published is not None:
        space = published
    elif given is not None or stored is None:
        own = architecture in space_names("architectures")
        space = load_space("architectures", given or (architecture if own else GENERAL))
        if given is None and not own:
            say(f"{architecture} has no search space of its own and takes {GENERAL!r} (see --train-space)")
        if space.architecture == GENERAL:
            space = space.model_copy(update={"architecture": architecture})
        if space.architecture != architecture:
            raise InputError(f"--train-space {given} is for {space.architecture}, not {architecture}")
    else:
        space = parse_space(parse_yaml(stored, "stored space"), "stored space")
    inside = f"{limits.smallest} to {limits.largest}"
    beyond = [s for s in space.ends("batch_size") if not (isinstance(s, int) and limits.admit(s))]
    if beyond and given is not None and "batch_size" in space.fields:
        raise InputError(f"--train-space {given}: batch_size must lie in {inside} but got {beyond[0]}")
    if beyond:
        say(f"initial batch sizes lie in {inside} only (see --smallest and --largest)")
        space = space.within("batch_size", limits.smallest, limits.largest)
    for setting in fixed:
        if setting.kind != "train":
            continue
        size = setting.value if setting.name == "batch_size" else limits.smallest
        if not (isinstance(size, int) and limits.admit(size)):
            raise InputError(f"--set train/batch_size must lie in {inside} but got {size}")
        space = space.with_fixed(setting.name, setting.value)
    allowed = scheduler_class(scheduler)().lr_schedules
    for setting in fixed:
        if (setting.kind, setting.name) == ("train", "lr_schedule") and setting.value not in allowed:
            raise InputError(
                f"--set train/lr_schedule must be one of {sorted(allowed)} for {scheduler} but got "
                f"{setting.value!r}"
            )
    narrowed = space.with_choices("lr_schedule", allowed)
    if narrowed.to_json() != space.to_json():
        say(f"{scheduler} allows train/lr_schedule {' or '.join(sorted(allowed))} only")
    return narrowed


def scheduler_space_of(
    scheduler: str,
    *,
    given: str | None,
    published: Space | None = None,
    stored: str | None,
    fixed: Sequence[Fixed],
) -> Space:
    """Return the space of a scheduler's fields.

    Raises:
        InputError: a space for another scheduler, or a value that breaks a rule.
    """
    if given is not None and scheduler != BASELINE:
        space = load_space("schedulers", given, scheduler)
        if space.scheduler != scheduler:
            raise InputError(f"--space {given} is for {space.scheduler}, not {scheduler}")
    elif published is not None:
        space = published
    elif stored is not None:
        space = parse_space(parse_yaml(stored, "stored space"), "stored space", scheduler)
    elif ":" in scheduler:
        space = parse_space({"scheduler": scheduler}, f"scheduler {scheduler}", scheduler)
    else:
        space = load_space("schedulers", scheduler)
    for setting in fixed:
        if setting.kind == "scheduler" and setting.name in field_kinds(scheduler_class(scheduler)):
            space = space.with_fixed(setting.name, setting.value)
    return space
