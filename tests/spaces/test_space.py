import dataclasses
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import create_trial

from adasearch.errors import InputError
from adasearch.networks.registry import ARCHITECTURES
from adasearch.records import Value
from adasearch.schedulers import SCHEDULERS, make_scheduler, scheduler_class
from adasearch.schedulers.fields import WRAPPERS, field_names
from adasearch.spaces.space import Space, load_space, parse_space, space_names
from adasearch.training.config import Hyperparameters

Kind = Literal["architectures", "schedulers"]
KINDS: tuple[Kind, ...] = ("architectures", "schedulers")
SHIPPED = [(kind, name) for kind in KINDS for name in space_names(kind)]


def owner_fields(space: Space) -> set[str]:
    if space.scheduler is not None:
        return set(field_names(scheduler_class(space.scheduler)))
    return {field.name for field in dataclasses.fields(Hyperparameters)}


def assert_sound(space: Space) -> None:
    """What holds for every space: it survives JSON, covers its class, and its first point is inside."""
    assert parse_space(json.loads(space.to_json()), "again") == space
    assert parse_space(yaml.safe_load(space.to_json()), "again") == space
    first, fixed, distributions = space.first(), space.fixed(), space.distributions()
    assert first.keys() == distributions.keys()
    assert not first.keys() & fixed.keys()
    quantiles = space.quantiles()
    prefixes = {name: "quantile" if name in quantiles else space.kind for name in owner_fields(space)}
    wrappers = {f"{space.kind}/{name}" for name in WRAPPERS}
    assert {*first, *fixed} - wrappers == {f"{prefix}/{name}" for name, prefix in prefixes.items()}
    create_trial(params=dict(first), distributions=distributions, value=0.0)  # refuses what lies outside


def bare(params: dict[str, Value]) -> dict[str, Value]:
    return {name.partition("/")[2]: value for name, value in params.items()}


# --- the spaces that come with adasearch ------------------------------------------------------------


def test_every_network_and_scheduler_has_a_space() -> None:
    assert {*ARCHITECTURES, "any", "any_language", "vit_b_16_muon"} == set(space_names("architectures"))
    others = {"deba_short", "deba_quantile", "goodput_adam", "noise_scale_adam", "ramp_power"}
    assert {*SCHEDULERS, *others} == set(space_names("schedulers"))


@pytest.mark.parametrize(("kind", "name"), SHIPPED)
def test_shipped_space_is_sound(kind: Kind, name: str) -> None:
    space = load_space(kind, name)
    assert_sound(space)
    owner = space.architecture if kind == "architectures" else space.scheduler
    assert owner is not None
    assert name == owner or name.startswith(f"{owner}_") or owner == "any"


@pytest.mark.parametrize(("kind", "name"), SHIPPED)
def test_shipped_space_names_the_default_of_each_range(kind: Kind, name: str) -> None:
    for field in load_space(kind, name).fields.values():
        assert field.fixed is not None or field.default is not None


@pytest.mark.parametrize("name", space_names("architectures"))
def test_first_point_of_a_shipped_architecture_builds_its_hyperparameters(name: str) -> None:
    space = load_space("architectures", name)
    point = bare({**space.fixed(), **space.first()})
    assert dataclasses.asdict(Hyperparameters(**point)) == point  # type: ignore[arg-type]


@pytest.mark.parametrize("name", space_names("schedulers"))
def test_first_point_of_a_shipped_scheduler_builds_it(name: str) -> None:
    space = load_space("schedulers", name)
    assert space.scheduler is not None
    point = bare({**space.fixed(), **space.first()})
    scheduler = make_scheduler(space.scheduler, point)
    left_out = {*space.quantiles(), *WRAPPERS}
    own = {field: value for field, value in point.items() if field not in left_out}
    assert {field: getattr(scheduler, field) for field in own} == own


@pytest.mark.parametrize("kind", KINDS)
def test_a_space_is_found_by_path_too(kind: Kind, tmp_path: Path) -> None:
    name = space_names(kind)[0]
    copy = tmp_path / "mine.yml"
    copy.write_text(load_space(kind, name).to_json())
    assert load_space(kind, str(copy)) == load_space(kind, name)


# --- what a field becomes ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "field", "distribution", "first"),
    [
        ("window", {"int": [3, 20]}, IntDistribution(3, 20), 15),  # the class's default
        ("window", {"int": [3, 20], "default": 5}, IntDistribution(3, 20), 5),
        ("window", {"int": [4, 9], "log": True}, IntDistribution(4, 9, log=True), 6),  # 15 is outside: middle
        ("window", {"int": [20, 30]}, IntDistribution(20, 30), 25),
        ("growth", {"float": [1.2, 3.0]}, FloatDistribution(1.2, 3.0), 1.5),
        ("growth", {"float": [2, 4]}, FloatDistribution(2.0, 4.0), 3.0),
        ("growth", {"float": ["11e-1", "1e+1"]}, FloatDistribution(1.1, 10.0), 1.5),  # text to YAML 1.1
        ("growth", {"float": [2, 4], "default": "3e+0"}, FloatDistribution(2.0, 4.0), 3.0),
        ("confidence_threshold", {"int": [2, 4]}, IntDistribution(2, 4), 3),
        ("stability_threshold", {"float": [1, 4], "log": True}, FloatDistribution(1.0, 4.0, log=True), 2.0),
        ("rule", {"choice": ["noise", "settle"]}, CategoricalDistribution(["noise", "settle"]), "settle"),
        ("rule", {"choice": ["noise"]}, CategoricalDistribution(["noise"]), "noise"),
        ("window", {"choice": [0, 4]}, CategoricalDistribution([0, 4]), 0),
        ("window", {"choice": [0, 4], "default": 4}, CategoricalDistribution([0, 4]), 4),
    ],
)
def test_field_becomes_a_distribution_and_a_first_value(
    name: str, field: dict[str, object], distribution: object, first: object
) -> None:
    space = parse_space({"scheduler": "deba", "fields": {name: field}}, "test")
    assert space.distributions() == {f"scheduler/{name}": distribution}
    assert space.first() == {f"scheduler/{name}": first}
    assert type(space.first()[f"scheduler/{name}"]) is type(first)
    assert_sound(space)


def test_first_value_of_whole_numbers_is_whole_although_the_class_has_a_fraction() -> None:
    space = parse_space({"architecture": "x", "fields": {"weight_decay": {"int": [0, 1]}}}, "test")
    assert space.first() == {"train/weight_decay": 0}


def test_fixed_field_is_not_searched() -> None:
    space = parse_space({"scheduler": "deba", "fields": {"window": {"fixed": 0}}}, "test")
    assert not space.distributions()
    assert space.fixed()["scheduler/window"] == 0


def test_false_can_be_fixed_and_survives_json() -> None:
    space = parse_space({"architecture": "x", "fields": {"nesterov": {"fixed": False}}}, "test")
    assert space.fields["nesterov"].fixed is False
    assert_sound(space)


def test_space_without_fields_keeps_every_default_of_the_class() -> None:
    space = parse_space({"scheduler": "deba"}, "test")
    assert space.fixed() == {
        f"scheduler/{field.name}": field.default
        for field in dataclasses.fields(scheduler_class("deba"))  # type: ignore[arg-type]
    }


def test_equal_spaces_have_equal_json_whatever_their_notation() -> None:
    one = parse_space({"architecture": "x", "fields": {"lr": {"float": [0.001, 1.0]}}}, "test")
    other = parse_space(
        yaml.safe_load("architecture: x\nfields:\n  lr: {float: [1e-3, 1], log: false}"), "test"
    )
    assert one == other
    assert one.to_json() == other.to_json()


@given(low=st.integers(-5, 200), span=st.integers(1, 300), log=st.booleans())
def test_first_value_lies_in_any_range_that_the_scheduler_accepts(low: int, span: int, log: bool) -> None:
    for kind, name in (("int", "window"), ("float", "growth"), ("int", "growth"), ("int", "cooldown")):
        document = {"scheduler": "deba", "fields": {name: {kind: [low, low + span], "log": log}}}
        try:
            space = parse_space(document, "test")
        except InputError:
            continue
        assert_sound(space)


# --- changed spaces ---------------------------------------------------------------------------------


def test_with_fixed_takes_one_field_out_of_the_search() -> None:
    space = load_space("schedulers", "deba")
    fixed = space.with_fixed("window", 7)
    assert fixed.fixed()["scheduler/window"] == 7
    assert fixed.distributions().keys() == space.distributions().keys() - {"scheduler/window"}
    assert_sound(fixed)


def test_with_fixed_takes_a_field_that_the_file_left_out() -> None:
    fixed = load_space("architectures", "resnet18").with_fixed("nesterov", True)
    assert fixed.fixed()["train/nesterov"] is True


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("windo", 7, "--set: unknown field of deba 'windo'; did you mean 'window'?"),
        ("window", 2, "--set: field window: .*window must be 0 .* or at least 3 but got window=2"),
        ("window", 7.5, "--set: field window takes whole numbers but got 7.5"),
        ("window", True, "--set: field window takes whole numbers but got True"),
        ("rule", 3, "--set: field rule takes a name but got 3"),
        ("rule", "sett", "--set: field rule: .*rule must be 'settle' or 'noise' but got rule='sett'"),
    ],
)
def test_with_fixed_refuses_what_the_scheduler_refuses(name: str, value: Value, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_space("schedulers", "deba").with_fixed(name, value)


def test_with_choices_narrows_a_choice_and_drops_its_default() -> None:
    space = load_space("architectures", "resnet18")
    narrowed = space.with_choices("lr_schedule", frozenset({"constant", "step", "one_cycle"}))
    assert narrowed.distributions()["train/lr_schedule"] == CategoricalDistribution(["constant", "step"])
    assert_sound(narrowed)


def test_with_choices_fixes_the_only_choice_left() -> None:
    space = load_space("architectures", "resnet18").with_choices("lr_schedule", frozenset({"constant"}))
    assert space.fixed()["train/lr_schedule"] == "constant"
    assert_sound(space)


def test_with_choices_narrows_a_field_that_the_file_left_out() -> None:
    space = parse_space({"architecture": "x"}, "test").with_choices("lr_schedule", frozenset({"constant"}))
    assert space.fixed()["train/lr_schedule"] == "constant"


def test_with_choices_leaves_what_is_allowed_alone() -> None:
    space = load_space("architectures", "resnet18")
    assert space.with_choices("lr_schedule", frozenset({"constant", "cosine", "step", "one_cycle"})) is space


@pytest.mark.parametrize(
    ("field", "cut"),
    [
        ({"int": [16, 256], "log": True, "default": 32}, {"int": [20, 64], "log": True, "default": 32}),
        ({"int": [16, 256], "default": 100}, {"int": [20, 64], "default": 64}),
        ({"int": [24, 48]}, {"int": [24, 48]}),
        ({"int": [100, 200]}, {"fixed": 64}),
        ({"fixed": 8}, {"fixed": 20}),
        ({"choice": [16, 32, 64, 128, 256], "default": 256}, {"choice": [20, 32, 64], "default": 64}),
        ({"choice": [128, 256]}, {"fixed": 64}),
        (None, {"fixed": 64}),  # the class's default, at the limit already
    ],
)
def test_within_cuts_a_field_and_its_default(field: dict[str, object] | None, cut: dict[str, object]) -> None:
    fields = {} if field is None else {"batch_size": field}
    space = parse_space({"architecture": "x", "fields": fields}, "test").within("batch_size", 20, 64)
    assert space == parse_space({"architecture": "x", "fields": {"batch_size": cut}}, "test")
    assert_sound(space)


# --- bad input --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"scheduler": "cabs", "wrappers": ["cooldown"]}, "wrappers must be a mapping but got"),
        (
            {"scheduler": "cabs", "wrappers": {"warmup": {"fixed": 3}}},
            "unknown field of cabs 'wrappers.warmup'",
        ),
        (
            {"scheduler": "cabs", "wrappers": {"cooldown": {"int": [-2, 3]}}},
            "wrappers.cooldown must be at least 0",
        ),
        (
            {"scheduler": "cabs", "wrappers": {"cooldown": {"float": [1, 3]}}},
            "takes whole numbers but got 1.0",
        ),
        ({"scheduler": "constant", "wrappers": {"grow_only": {"fixed": True}}}, "unknown field of constant"),
        (None, "must be a mapping but got None"),
        ([], r"must be a mapping but got \[\]"),
        ("deba", "must be a mapping but got 'deba'"),
        ({}, "give exactly one of architecture: NAME and scheduler: NAME"),
        ({"scheduler": "deba", "architecture": "resnet18"}, "give exactly one of architecture"),
        ({"scheduler": 3}, "scheduler: must be a text but got 3"),
        ({"scheduler": "debba"}, "unknown scheduler 'debba'; did you mean 'deba'?"),
        ({"scheduler": ":Deba"}, "scheduler must be a name or module:Class but got ':Deba'"),
        ({"scheduler": ".near:Deba"}, "must be a name or module:Class but got '.near:Deba'"),
        ({"scheduler": "no_such_module:X"}, "'no_such_module:X' cannot be imported"),
        ({"scheduler": "json:JSONDecoder"}, "must be a dataclass"),
        ({"scheduler": "deba", "field": {}}, "field: unknown key"),
        ({"scheduler": "deba", "fields": None}, "must be a mapping but got None"),
        ({"scheduler": "deba", "fields": []}, r"must be a mapping but got \[\]"),
    ],
)
def test_space_refuses_a_broken_document(document: object, message: str) -> None:
    with pytest.raises(InputError, match=f"^here: .*{message}"):
        parse_space(document, "here", document.get("scheduler") if isinstance(document, dict) else None)


@pytest.mark.parametrize(
    ("name", "field", "message"),
    [
        ("windw", {"int": [3, 9]}, "unknown field of deba 'windw'; did you mean 'window'?"),
        ("window", 5, "window: must be a mapping but got 5"),
        ("window", {}, "window: give exactly one of float"),
        ("window", {"int": [3, 9], "fixed": 4}, "window: give exactly one of float"),
        ("window", {"integer": [3, 9]}, "window integer: unknown key"),
        ("window", {"int": [3, 9], "defualt": 4}, "window defualt: unknown key"),
        ("window", {"int": []}, r"window: int takes \[low, high\] but got \[\]"),
        ("window", {"int": [3]}, r"window: int takes \[low, high\] but got \[3\]"),
        ("window", {"int": [3, 6, 9]}, r"window: int takes \[low, high\] but got \[3, 6, 9\]"),
        ("window", {"int": 3}, r"window: int takes \[low, high\] but got 3"),
        ("window", {"int": [9, 3]}, r"window: the range must run from a lower .* but got \[9, 3\]"),
        ("window", {"int": [3, 3]}, r"window: the range must run from a lower .* but got \[3, 3\]"),
        ("window", {"int": [3.0, 9]}, "window int 0: must be a whole number but got 3.0"),
        ("window", {"int": [3, "x"]}, "window int 1: must be a whole number but got 'x'"),
        ("window", {"int": [3, 10**400]}, "window int 1: .*less than"),
        ("window", {"float": [3.0, 9.0]}, "field window takes whole numbers but got 3.0"),
        ("window", {"choice": [3, 4.5]}, "field window takes whole numbers but got 4.5"),
        ("window", {"int": [3, 9], "default": 10}, r"window: default 10 lies outside \[3, 9\]"),
        ("window", {"int": [3, 9], "default": 4.5}, "window: default must be a whole number but got 4.5"),
        ("window", {"int": [3, 9], "default": "x"}, r"window: default 'x' lies outside \[3, 9\]"),
        ("window", {"int": [3, 9], "default": True}, r"window: default True lies outside \[3, 9\]"),
        ("window", {"int": [1, 9]}, "field window: .*must be 0 .* or at least 3 but got window=1"),
        ("window", {"int": [0, 9]}, "field window: .*must be 0 .* or at least 3 but got window=1"),
        ("growth", {"float": [0.9, 2.0]}, "field growth: .*greater than 1 but got growth=0.9"),
        ("shrink", {"float": [0.5, 1.0]}, r"field shrink: .*must lie in \(0, 1\) but got shrink=1.0"),
        ("growth", {"float": [1.2, "x"]}, "growth float 1: must be a number but got 'x'"),
        ("growth", {"float": [True, 2.0]}, "growth float 0: must be a number but got True"),
        ("growth", {"float": [1.2, None]}, "growth float 1: needs a number, .* but got None"),
        ("growth", {"float": [1.2, float("inf")]}, r"growth: the range must run .* but got \[1.2, inf\]"),
        ("growth", {"float": [float("nan"), 2.0]}, r"growth: the range must run .* but got \[nan, 2\]"),
        ("growth", {"float": [0.0, 2.0], "log": True}, r"a log range must begin above 0 but got \[0, 2\]"),
        ("growth", {"float": [1.2, 2.0], "log": "perhaps"}, "growth log: .* but got 'perhaps'"),
        ("growth", {"fixed": 1.5, "log": True}, "growth: log goes with float or int"),
        ("growth", {"fixed": [1.5]}, r"growth fixed: needs a number, .* but got \[1.5\]"),
        ("growth", {"quantile": [0.1, 0.9]}, "field growth takes no quantile; .* deba: confidence_threshold"),
        ("stability_threshold", {"quantile": [0.1, 1.5]}, r"must lie in 0 to 1 but got \[0.1, 1.5\]"),
        ("stability_threshold", {"quantile": 0.5}, r"quantile takes \[low, high\] but got 0.5"),
        ("stability_threshold", {"quantile": [0.9, 0.1]}, "the range must run from a lower to a higher"),
        ("stability_threshold", {"quantile": [0.1, 0.9], "log": True}, "log goes with float or int"),
        ("stability_threshold", {"quantile": [0.1, 0.9], "float": [0.1, 0.9]}, "give exactly one of"),
        ("rule", {"choice": []}, r"rule choice: .*at least 1 item.* but got \[\]"),
        ("rule", {"choice": ["settle", "nosie"]}, "rule must be 'settle' or 'noise' but got rule='nosie'"),
        ("rule", {"choice": ["settle"], "default": "noise"}, "default 'noise' is not one of the choices"),
        ("rule", {"fixed": True}, "field rule takes a name but got True"),
        ("rule", {"int": [1, 2]}, "field rule takes a name but got 1"),
    ],
)
def test_space_refuses_a_broken_field(name: str, field: object, message: str) -> None:
    with pytest.raises(InputError, match=f"^here: .*{message}"):
        parse_space({"scheduler": "deba", "fields": {name: field}}, "here")


def test_a_range_may_suit_the_space_and_not_the_defaults_of_its_class() -> None:
    fields = {"start": {"float": [1, 5], "default": 3}, "end": {"float": [5, 8], "default": 7}}
    assert parse_space({"scheduler": "ramp", "fields": fields}, "here").first()["scheduler/end"] == 7
    with pytest.raises(InputError, match="field end: scheduler ramp: end must be at least start"):
        parse_space({"scheduler": "ramp", "fields": fields | {"end": {"float": [2, 8]}}}, "here")


def test_space_refuses_fixed_values_that_contradict_each_other() -> None:
    fields = {"nesterov": {"fixed": True}, "momentum": {"fixed": 0.0}}
    with pytest.raises(InputError, match="the first trial: nesterov needs momentum greater than 0"):
        parse_space({"architecture": "x", "fields": fields}, "here")


@dataclass(frozen=True, slots=True, kw_only=True)
class NoDefault:
    patience: int

    needs: ClassVar[frozenset[str]] = frozenset()

    def decide(self, history: object, limits: object) -> None: ...


def test_space_refuses_a_scheduler_whose_field_has_no_default() -> None:
    with pytest.raises(InputError, match="must have a default for its field 'patience'"):
        parse_space({"scheduler": (own := "tests.spaces.test_space:NoDefault")}, "here", own)


def test_space_of_a_module_that_nobody_named_is_refused_and_not_imported() -> None:
    with pytest.raises(InputError, match="here: is for antigravity:Fly, which is not the scheduler that was"):
        parse_space({"scheduler": "antigravity:Fly"}, "here", "deba")
    assert "antigravity" not in sys.modules


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"scheduler: deba\nfields: {window: [", "is not YAML: .*line"),
        (b"scheduler: deba\n\tfields: {}", "is not YAML"),
        (b"scheduler: \xff\xfe", "is not YAML"),
        (b"scheduler: 2020-13-45", "is not YAML"),
        (b"", "must be a mapping but got None"),
        (b"scheduler: !!python/object:os.system {}", "is not YAML"),
        (b"architecture: resnet18", "is for an architecture"),
    ],
)
def test_file_that_is_no_scheduler_space_is_refused_in_one_line(
    content: bytes, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "bad.yaml"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        load_space("schedulers", str(path))
    assert str(path) in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_missing_file_and_unknown_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        load_space("schedulers", str(tmp_path / "none.yaml"))
    with pytest.raises(
        InputError, match=r"unknown space for schedulers 'deba_shrot'; did you mean 'deba_short'\?"
    ):
        load_space("schedulers", "deba_shrot")


KEYS = st.sampled_from(
    ["float", "int", "choice", "fixed", "log", "default", "quantile", "lr", "window", "rule", "growth"]
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["1e-3", "settle", "cosine", "inf", 10**400, -(10**400)])
    | st.text(max_size=4)
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | SCALARS, inner, max_size=3),
    max_leaves=8,
)
NUMBERS = st.sampled_from([0, 0.1, 0.5, 1, 1.5, 2, 3, 4, 9, -1, True, "1e-1"]) | st.floats(0, 5)
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "float": st.lists(NUMBERS, min_size=2, max_size=2) | JSON,
        "int": st.lists(NUMBERS, min_size=2, max_size=2) | JSON,
        "choice": st.lists(NUMBERS | st.sampled_from(["settle", "noise"])) | JSON,
        "fixed": NUMBERS | JSON,
        "log": st.booleans() | JSON,
        "default": NUMBERS | JSON,
    },
)
ONE_KIND = st.one_of(
    [
        st.fixed_dictionaries(
            {kind: st.lists(NUMBERS, min_size=2, max_size=2)}, optional={"log": st.booleans()}
        )
        for kind in ("float", "int", "choice")
    ]
)
OWNERS = {
    "scheduler": (["deba"], sorted(field_names(scheduler_class("deba")))),
    "architecture": (["resnet18"], sorted(field.name for field in dataclasses.fields(Hyperparameters))),
}
NEARLY_RIGHT = st.one_of(
    [
        st.fixed_dictionaries(
            {
                owner: st.sampled_from(names),
                "fields": st.dictionaries(st.sampled_from(known), ONE_KIND, max_size=2),
            }
        )
        for owner, (names, known) in OWNERS.items()
    ]
)
WRONG = st.fixed_dictionaries(
    {},
    optional={
        "scheduler": st.sampled_from(["deba", ":x", "..a:b", "json:x", "a\nb", "json:\ud800"]) | JSON,
        "architecture": st.just("resnet18") | JSON,
        "fields": st.dictionaries(st.text(max_size=3) | st.just("window"), FIELDS | JSON, max_size=3) | JSON,
    },
)


@settings(max_examples=200)
@given(document=NEARLY_RIGHT | WRONG | JSON)
def test_any_document_becomes_a_sound_space_or_one_line_of_refusal(document: object) -> None:
    refusal = ""
    try:
        assert_sound(parse_space(document, "here"))
    except InputError as error:
        refusal = str(error)
    assert not refusal or refusal.startswith("here: ")
    assert len(refusal.splitlines()) <= 1
