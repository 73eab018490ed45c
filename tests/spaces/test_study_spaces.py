from collections.abc import Sequence
from pathlib import Path

import pytest

from adasearch.errors import InputError
from adasearch.records import Limits, Value
from adasearch.schedulers import make_scheduler
from adasearch.schedulers.cabs import Cabs
from adasearch.spaces.space import Space, load_space
from adasearch.spaces.study_spaces import (
    Fixed,
    SpaceSources,
    parse_fixed,
    scheduler_space_of,
    train_space_of,
)

WIDE = Limits(smallest=16, largest=256)


def train_space(
    scheduler: str = "deba",
    limits: Limits = WIDE,
    *,
    architecture: str = "resnet18",
    given: str | None = None,
    stored: str | None = None,
    fixed: Sequence[str] = (),
    said: list[str] | None = None,
) -> Space:
    sources = SpaceSources(given=given, stored=stored)
    settings = [parse_fixed(text, [scheduler]) for text in fixed]
    rule = scheduler_space_of(scheduler, SpaceSources(given=None, stored=None), settings)
    space, notes = train_space_of(architecture, rule, limits, sources, settings)
    if said is not None:
        said += notes
    return space


def scheduler_space(
    scheduler: str, *, given: str | None = None, stored: str | None = None, fixed: Sequence[Fixed] = ()
) -> Space:
    return scheduler_space_of(scheduler, SpaceSources(given=given, stored=stored), fixed)


@pytest.fixture
def space_file(tmp_path: Path) -> Path:
    return tmp_path / "mine.yaml"


# --- --set ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kind", "name", "value"),
    [
        ("train/lr=0.1", "train", "lr", 0.1),
        ("train/lr=1e-3", "train", "lr", 0.001),
        ("train/lr=1E-3", "train", "lr", 0.001),
        ("train/batch_size=32", "train", "batch_size", 32),
        ("train/nesterov=true", "train", "nesterov", True),
        ("train/lr_schedule=cosine", "train", "lr_schedule", "cosine"),
        ("scheduler/window=15", "scheduler", "window", 15),
        ("scheduler/rule= noise", "scheduler", "rule", "noise"),
    ],
)
def test_set_is_read_as_a_person_means_it(text: str, kind: str, name: str, value: Value) -> None:
    setting = parse_fixed(text, ["deba"])
    assert setting == Fixed(kind, name, value)
    assert type(setting.value) is type(value)


@pytest.mark.parametrize(
    "text", ["", "lr", "lr=0.1", "train/lr", "train/=3", "/lr=3", "training/lr=3", "train=3", "=3"]
)
def test_set_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"--set must be train/FIELD=VALUE or .* but got") as caught:
        parse_fixed(text, ["deba"])
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize("raw", ["", "[1, 2]", "{a: 1}", "[", "a: b: c", "2020-01-01", "2020-13-45", "~"])
def test_set_of_no_single_value_is_refused(raw: str) -> None:
    with pytest.raises(InputError, match=r"--set train/lr needs a number, a name, .* but got") as caught:
        parse_fixed(f"train/lr={raw}", [])
    assert repr(raw) in str(caught.value)


def test_set_of_a_field_that_no_searched_scheduler_has_is_refused_with_the_nearest() -> None:
    with pytest.raises(InputError, match=r"'windw'; did you mean 'window'\?"):
        parse_fixed("scheduler/windw=3", ["adabatch", "deba"])
    with pytest.raises(InputError, match="unknown field of the searched schedulers 'window'"):
        parse_fixed("scheduler/window=3", ["adabatch"])


def test_set_of_an_unknown_training_field_is_refused_with_the_nearest() -> None:
    with pytest.raises(
        InputError, match=r"--set: unknown field of training 'momentun'; did you mean 'momentum'\?"
    ):
        train_space(fixed=["train/momentun=0.5"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train/lr=-1", "--set: field lr: lr must be greater than 0 but got lr=-1"),
        ("train/lr=nan", "lr must be greater than 0 but got lr=nan"),
        ("train/lr=fast", "field lr takes numbers but got 'fast'"),
        ("train/momentum=1", r"momentum must lie in \[0, 1\) but got momentum=1"),
        ("train/optimizer=sdg", "optimizer must be 'sgd', 'adamw' or 'muon' but got optimizer='sdg'"),
        ("train/batch_size=8", "--set train/batch_size must lie in 16 to 256 but got 8"),
        ("train/batch_size=257", "--set train/batch_size must lie in 16 to 256 but got 257"),
        ("train/batch_size=32.5", "--set train/batch_size must lie in 16 to 256 but got 32.5"),
        ("train/batch_size=true", "--set train/batch_size must lie in 16 to 256 but got True"),
    ],
)
def test_set_of_a_value_that_training_refuses_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        train_space(fixed=[text])


def test_set_takes_fields_out_of_both_spaces() -> None:
    fixed = ["train/lr=1e-2", "scheduler/window=7"]
    train = train_space(fixed=fixed)
    scheduler = scheduler_space("deba", fixed=[parse_fixed(text, ["deba"]) for text in fixed])
    assert train.fixed()["train/lr"] == 0.01
    assert "train/lr" not in train.distributions()
    assert scheduler.fixed()["scheduler/window"] == 7
    assert "scheduler/window" not in scheduler.distributions()


def test_set_leaves_a_scheduler_without_that_field_alone() -> None:
    fixed = [parse_fixed("scheduler/window=7", ["deba", "adabatch"])]
    space = scheduler_space("adabatch", fixed=fixed)
    assert space == load_space("schedulers", "adabatch")


# --- batch sizes ------------------------------------------------------------------------------------


def test_sizes_inside_the_limits_are_left_alone_in_silence() -> None:
    said: list[str] = []
    assert train_space(said=said) == load_space("architectures", "resnet18")
    assert not said


@pytest.mark.parametrize(
    ("limits", "first"),
    [
        (Limits(smallest=16, largest=64), 32),
        (Limits(smallest=16, largest=20), 20),
        (Limits(smallest=64, largest=2048), 64),
    ],
)
def test_our_own_sizes_are_cut_to_the_limits_and_this_is_said_once(limits: Limits, first: int) -> None:
    said: list[str] = []
    space = train_space(limits=limits, said=said)
    assert all(isinstance(size, int) and limits.admit(size) for size in space.ends("batch_size"))
    assert space.first()["train/batch_size"] == first
    assert len(said) == 1
    assert f"{limits.smallest} to {limits.largest}" in said[0]


def test_sizes_cut_to_one_are_fixed() -> None:
    space = train_space(limits=Limits(smallest=16, largest=16))
    assert space.fixed()["train/batch_size"] == 16


def test_default_size_of_a_file_that_names_none_is_cut_and_this_is_said(space_file: Path) -> None:
    space_file.write_text("architecture: resnet18\nfields: {lr: {float: [0.01, 0.1]}}")
    said: list[str] = []
    space = train_space(limits=Limits(smallest=16, largest=48), given=str(space_file), said=said)
    assert space.fixed()["train/batch_size"] == 48
    assert len(said) == 1


@pytest.mark.parametrize(
    ("field", "size"),
    [("{int: [8, 64]}", 8), ("{int: [16, 512]}", 512), ("{fixed: 300}", 300), ("{choice: [32, 300]}", 300)],
)
def test_sizes_that_the_user_gave_are_refused_outside_the_limits(
    space_file: Path, field: str, size: int
) -> None:
    space_file.write_text(f"architecture: resnet18\nfields: {{batch_size: {field}}}")
    with pytest.raises(InputError, match=f"batch_size must lie in 16 to 256 but got {size}") as caught:
        train_space(given=str(space_file))
    assert str(space_file) in str(caught.value)


# --- learning-rate schedules ------------------------------------------------------------------------


def test_lr_schedule_is_narrowed_for_adabatch_and_this_is_said() -> None:
    said: list[str] = []
    space = train_space("adabatch", said=said)
    assert space.fixed()["train/lr_schedule"] == "constant"
    assert said == ["adabatch allows train/lr_schedule constant only"]


@pytest.mark.parametrize("scheduler", ["constant", "deba"])
def test_lr_schedule_keeps_the_full_choice_for_others(scheduler: str) -> None:
    assert "train/lr_schedule" in train_space(scheduler).distributions()


def test_lr_schedule_that_the_scheduler_does_not_allow_is_refused() -> None:
    with pytest.raises(InputError, match=r"must be one of \['constant'\] for adabatch but got 'cosine'"):
        train_space("adabatch", fixed=["train/lr_schedule=cosine"], said=[])


def test_stored_space_that_was_narrowed_and_cut_is_taken_in_silence() -> None:
    limits = Limits(smallest=16, largest=64)
    first = train_space("adabatch", limits)
    said: list[str] = []
    assert train_space("adabatch", limits, stored=first.to_json(), said=said) == first
    assert not said


# --- which space ------------------------------------------------------------------------------------


def test_stored_spaces_come_before_our_own_and_given_ones_before_stored_ones(space_file: Path) -> None:
    stored = load_space("schedulers", "deba").with_fixed("window", 9).to_json()
    assert scheduler_space("deba", stored=stored).fixed()["scheduler/window"] == 9
    given = scheduler_space("deba", given="deba_short", stored=stored)
    assert given == load_space("schedulers", "deba_short")
    space_file.write_text("architecture: resnet18\nfields: {lr: {fixed: 0.25}}")
    train = train_space(given=str(space_file), stored=load_space("architectures", "resnet18").to_json())
    assert train.fixed()["train/lr"] == 0.25


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "vit_b_16"])
def test_a_stored_space_is_what_was_stored(name: str) -> None:
    space = load_space("architectures", name)
    again = train_space(architecture=name, stored=space.to_json())
    assert again.to_json() == space.to_json()


@pytest.mark.parametrize("name", ["squeezenet1_1", "my_package.nets:make_net"])
def test_network_without_a_space_of_its_own_takes_the_general_one(name: str) -> None:
    said: list[str] = []
    space = train_space(architecture=name, said=said)
    assert space.architecture == name
    assert space.fields == load_space("architectures", "any").fields
    assert said == [f"{name} has no search space of its own and takes 'any' (see --train-space)"]
    again = train_space(architecture=name, stored=space.to_json(), said=said)
    assert again.to_json() == space.to_json()
    assert len(said) == 1


def test_general_space_may_be_given_for_any_network_and_a_file_for_ones_own(space_file: Path) -> None:
    assert train_space(given="any").fields == load_space("architectures", "any").fields
    assert train_space(given="any").architecture == "resnet18"
    space_file.write_text("architecture: my_nets:make_net\nfields: {lr: {fixed: 0.25}}")
    own = train_space(architecture="my_nets:make_net", given=str(space_file))
    assert own.fixed()["train/lr"] == 0.25
    with pytest.raises(InputError, match="is for my_nets:make_net, not resnet18"):
        train_space(given=str(space_file))


def test_space_given_for_a_scheduler_does_not_touch_the_baseline() -> None:
    space = scheduler_space("constant", given="deba_short")
    assert space == load_space("schedulers", "constant")


def test_wrappers_are_searched_from_a_file(space_file: Path) -> None:
    space_file.write_text(
        "scheduler: cabs\n"
        "wrappers: {cooldown: {int: [0, 4]}, grow_only: {choice: [false, true]}}\n"
        "fields: {decay: {float: [0.1, 0.9]}}\n"
    )
    space = scheduler_space("cabs", given=str(space_file))
    assert set(space.distributions()) == {
        "scheduler/decay",
        "scheduler/wrappers.cooldown",
        "scheduler/wrappers.grow_only",
    }
    first = {name.removeprefix("scheduler/"): value for name, value in space.first().items()}
    assert make_scheduler("cabs", first) == Cabs()  # the first point is unwrapped
    assert scheduler_space("cabs", stored=space.to_json()) == space
    fixed = [parse_fixed("scheduler/wrappers.cooldown=3", ["cabs"])]
    assert scheduler_space("cabs", given=str(space_file), fixed=fixed).fixed() == {
        "scheduler/scale": 1.0,
        "scheduler/wrappers.cooldown": 3,
    }


def test_wrapper_that_is_set_leaves_the_baseline_and_stored_spaces_alone() -> None:
    fixed = [parse_fixed("scheduler/wrappers.grow_only=true", ["cabs"])]
    plain = load_space("schedulers", "constant")
    assert scheduler_space("constant", fixed=fixed) == plain
    assert "wrappers" not in load_space("schedulers", "cabs").complete().to_json()


def test_scheduler_of_the_users_own_needs_no_space_file() -> None:
    name = "adasearch.schedulers.deba:Deba"
    space = scheduler_space(name)
    assert not space.distributions()
    assert space.fixed() == scheduler_space("deba", stored='{"scheduler":"deba"}').fixed()


def test_space_for_another_owner_is_refused(space_file: Path) -> None:
    with pytest.raises(InputError, match="--train-space vit_b_16 is for vit_b_16, not resnet18"):
        train_space(given="vit_b_16")
    with pytest.raises(InputError, match="--space adabatch is for adabatch, not deba"):
        scheduler_space("deba", given="adabatch")
    space_file.write_text("scheduler: deba")
    with pytest.raises(InputError, match="is for a scheduler"):
        train_space(given=str(space_file))


@pytest.mark.parametrize(
    ("scheduler", "fixed", "message"),
    [
        (
            "goodput",
            ["scheduler/noise=preconditioned"],
            "goodput may have noise=preconditioned, which train/opt",
        ),
        (
            "ramp",
            ["scheduler/wrappers.beta2=true"],
            r"ramp may have wrappers.beta2=true, .*=sgd does not allow",
        ),
        (
            "goodput",
            ["scheduler/noise=preconditioned", "train/optimizer=muon"],
            "optimizer=muon does not allow; adamw does",
        ),
    ],
)
def test_what_not_every_optimiser_allows_is_refused(scheduler: str, fixed: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        train_space(scheduler=scheduler, fixed=fixed)
    train_space(scheduler=scheduler, fixed=[fixed[0], "train/optimizer=adamw"])


def test_setting_without_its_part_is_told_which_it_would_be() -> None:
    with pytest.raises(InputError, match=r"but got 'lr=0.1'; did you mean train/lr=0.1\?"):
        parse_fixed("lr=0.1", ["deba"])
    with pytest.raises(InputError, match=r"did you mean scheduler/window=3\?"):
        parse_fixed("window=3", ["deba"])
