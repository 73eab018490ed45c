"""Does it pay? The steps from profiles to an answer."""

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from adasearch.analysis.ceilings import best_path, ceilings_of, constant_batch, path_saves
from adasearch.analysis.selection import pick_trials
from adasearch.callbacks import no_progress
from adasearch.commands import Runtime, _advise, advise
from adasearch.commands._advise_studies import constant_study, studies_of
from adasearch.commands._derived import (
    constant_ends,
    constant_points,
    derived_params,
    modelled_batch,
    points_between,
    rank_of,
    scaled_path,
)
from adasearch.errors import InputError
from adasearch.limits import Limits
from adasearch.profiles.modelled_time import SpeedCurve
from adasearch.records import Params
from adasearch.schedulers.points import Point, points_text
from adasearch.schedulers.registry import make_scheduler
from adasearch.spaces.space import Space, parse_space
from adasearch.store import Store
from adasearch.studies.request import Request
from adasearch.studies.resolve import resolve
from adasearch.studies.wanted import nothing_stored, study_name
from adasearch.tuning import engine
from tests.own_loops import EXAMPLES
from tests.profile_rows import speed_of, stability_of
from tests.rows import STUDY, study_of, trial_of
from tests.schedulers.rows import row

FLAT = SpeedCurve(sizes=(1, 1024), step_seconds=(1.001, 2.024), measure_seconds={})  # 1 + B / 1000
BOUND = SpeedCurve(sizes=(16, 1024), step_seconds=(16.0, 1024.0), measure_seconds={})  # by examples alone


def small(**changed: object) -> Request:
    told = {"architectures": ("mobilenet_v3_small",), "subset": 160, "epochs": 2, "interval": "0.1"}
    return Request(**{**told, **changed})  # type: ignore[arg-type]


def test_a_device_that_is_bound_by_examples_has_nothing_to_gain_from_any_path() -> None:
    assert path_saves(BOUND, [100.0, 400.0]) == pytest.approx(0.0, abs=1e-9)
    assert best_path(BOUND, [100.0, 400.0]) == [16, 16]


def test_what_the_best_path_saves_is_that_of_a_table_by_hand() -> None:
    noise = [10.0, 1000.0]
    sizes = best_path(FLAT, noise)
    assert sizes == [100, 1000]  # sqrt(1000 N)
    constant = constant_batch(FLAT, noise, 1).best  # sqrt(1000 * 505) = 711
    assert constant == pytest.approx(711, abs=2)

    def spent(size: int, scale: float) -> float:
        return (1 + size / 1000) * (1 + scale / size)

    by_hand = 1 - (spent(100, 10) + spent(1000, 1000)) / (spent(constant, 10) + spent(constant, 1000))
    assert path_saves(FLAT, noise) == pytest.approx(by_hand, abs=1e-3)


def test_noise_that_stands_still_leaves_no_path() -> None:
    assert path_saves(FLAT, [250.0] * 10) == 0.0
    assert scaled_path([500] * 10, [250.0] * 10, 32, 500, Limits(smallest=16, largest=1024), 1000) == []


def test_a_ramp_along_the_path_gets_as_far_as_the_constant_batch_in_fewer_steps_by_the_model() -> None:
    sizes, noise = [100] * 5 + [1000] * 5, [10.0] * 5 + [1000.0] * 5
    early, late = scaled_path(sizes, noise, 10, 200, Limits(smallest=16, largest=4096), 10_000)
    # progress of the halves at the profile's 10 is 1/20 and 1/1010, and the factor so
    # 200 (1/20 + 1/1010) / (100/20 + 1000/1010) = 1.7025
    assert (early.batch_size, late.batch_size) == (170, 1702)
    assert late.mark == 7711  # 180.2 / 20 = 9.012 of 9.012 + 2702.5 / 1010
    constant = 10_000 * (210 / 20) / (210 / 20 + 1200 / 1010)  # examples of its first half of progress
    progress = constant / 210 + (10_000 - constant) / 1200
    assert late.mark / 180 + (10_000 - late.mark) / 2702 == pytest.approx(progress, rel=0.01)
    steps = late.mark / early.batch_size + (10_000 - late.mark) / late.batch_size
    assert steps == pytest.approx(46.7, abs=0.1)  # of 50


def test_schedules_follow_the_path_and_have_the_constant_batchs_learning_rate_rule() -> None:
    tuned: Params = {"train/batch_size": 32, "train/optimizer": "adamw", "train/lr": 0.01}
    reference = trial_of(study_of("constant"), 0, params={**tuned, "scheduler/none": 1})
    history = [
        row(k, examples=80 * (k + 1), mean_norm=1.0 + 0.1 * (k % 3), mean_variance=1.0 + 0.2 * (k % 5))
        for k in range(20)
    ]
    noise = [64.0, 64.0, 256.0, 1024.0, 1024.0]
    found = derived_params(reference, STUDY, [16, 16, 32, 64, 64], noise, history, FLAT)
    assert found["lr_tail"] == {**tuned, "scheduler/mean_batch_size": 32}
    rate = pytest.approx(0.01 * (24 / 32) ** 0.5)
    begun: dict[str, object] = {**tuned, "train/batch_size": 24, "train/lr": rate}
    assert found["ramp"] == {**begun, "scheduler/points": "47@585, 95@922", "scheduler/coupling": "sqrt"}
    assert all(found["deba"][name] == value for name, value in begun.items())
    assert found["deba"]["scheduler/gradient"] == "mean_gradient"
    assert found["deba"]["scheduler/coupling"] == "sqrt"
    for name, params in found.items():
        make_scheduler(name, {each[10:]: params[each] for each in params if each.startswith("scheduler/")})
        told = tuple(f"{each}={json.dumps(value)}" for each, value in params.items())
        request = small(schedulers=(name,), baseline=False, fixed=told, subset=None, largest=96)
        (study,) = resolve(request, nothing_stored, lambda _: None, no_progress)  # a search takes them so
        assert params.items() <= {**study.train_space.fixed(), **study.scheduler_space.fixed()}.items()
    reference = replace(reference, params={**tuned, "train/optimizer": "sgd"})
    ramp = derived_params(reference, STUDY, [16, 16, 32, 64, 64], noise, history, FLAT)["ramp"]
    assert ramp["scheduler/coupling"] == "linear"
    assert ramp["train/lr"] == pytest.approx(0.01 * 24 / 32)
    assert list(derived_params(reference, STUDY, [32] * 5, noise, history, FLAT)) == ["lr_tail"]
    own = replace(STUDY, task="own")  # whose learning rate is its own affair
    assert list(derived_params(reference, own, [16, 16, 32, 64, 64], noise, history, FLAT)) == [
        "ramp",
        "deba",
    ]
    assert derived_params(reference, own, [32] * 5, noise, history, FLAT) == {}
    assert list(derived_params(reference, STUDY, [], [], [], FLAT)) == ["lr_tail"]


@pytest.mark.parametrize(
    ("changed", "seeds", "said"),
    [
        ({"architectures": ()}, 12, "give --architecture"),
        ({"schedulers": ("deba",)}, 12, "derives its schedules itself"),
        ({"space": ("deba_short",)}, 12, "searches no --space but got deba_short"),
        ({"budget": "2ex"}, 12, "give --epochs or --budget, not both"),
        ({}, 3, "--seeds must lie in 4 to 1000 but got 3"),
        (
            {"epochs": None, "budget": "100ex"},
            12,
            "at least 10 steps of the smallest batch, 160 examples, but got 100",
        ),
    ],
)
def test_wrong_use_is_refused(tmp_path: Path, changed: dict[str, object], seeds: int, said: str) -> None:
    with pytest.raises(InputError, match=said):
        advise(small(**changed), Runtime(), results=str(tmp_path), console=Console(quiet=True), seeds=seeds)
    assert list(tmp_path.iterdir()) == []


def test_another_length_than_that_of_the_stored_studies_is_refused_before_anything_trains(
    tmp_path: Path,
) -> None:
    (own,) = resolve(replace(small(), study="advise", schedulers=("constant",)), nothing_stored, print)
    Store(str(tmp_path)).write_study(own.record)
    with pytest.raises(
        InputError, match=r"exists with budget=.* \(--epochs 2\) but .* \(--epochs 4\); use --study"
    ):
        advise(small(epochs=4), Runtime(), results=str(tmp_path), console=Console(quiet=True))
    assert Store(str(tmp_path)).trials("profiles") == []


def test_a_function_that_changed_is_refused_unless_that_is_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = small(
        architectures=(), train="tests.own_loops:plain", objective="loss", subset=None, interval="0.25"
    )
    monkeypatch.setattr(_advise._Advice, "found", lambda way: way._length)
    (first,) = resolve(replace(own, study="advise", schedulers=("constant",)), nothing_stored, print)
    Store(str(tmp_path)).write_study(replace(first.record, code="another"))
    with pytest.raises(InputError, match="--accept-changed-code"):
        advise(own, Runtime(), results=str(tmp_path), console=Console(quiet=True))
    accepted = Runtime(accept_changed_code=True)
    assert advise(own, accepted, results=str(tmp_path), console=Console(quiet=True)) == [None]


def test_every_network_is_checked_before_the_first_one_is_profiled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_advise._Advice, "found", lambda _: pytest.fail("this would profile"))
    request = small(architectures=("mobilenet_v3_small", "nosuch"))
    with pytest.raises(InputError, match="nosuch"):
        advise(request, Runtime(), results=str(tmp_path), console=Console(quiet=True))


def test_what_is_left_open_is_as_in_the_stored_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    request = replace(small(), study="advise", seed=7)
    (own,) = resolve(replace(request, schedulers=("constant",)), nothing_stored, print)
    Store(str(tmp_path)).write_study(own.record)
    asked: list[Request] = []

    def asks(request: Request, *_: object, **__: object) -> None:
        asked.append(request)
        raise KeyboardInterrupt

    monkeypatch.setattr(_advise, "profile", asks)
    left_open = Request(architectures=("mobilenet_v3_small",))
    with pytest.raises(KeyboardInterrupt):
        advise(left_open, Runtime(), results=str(tmp_path), console=Console(quiet=True))
    (told,) = asked
    assert (told.budget, told.interval) == (f"{own.record.budget}ex", f"{own.record.interval}ex")
    assert (told.subset, told.seed) == (160, 7)


def test_deba_is_tried_where_the_ramp_whose_path_it_follows_is_better(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = replace(small(), study="advise")
    constant = constant_study(request, Runtime(), results=str(tmp_path))
    Store(str(tmp_path)).write_study(constant.record)
    way = _advise._Advice(request, constant, Runtime(), str(tmp_path), Console(quiet=True), 4)
    every: dict[str, Params] = {"ramp": {}, "lr_tail": {}, "deba": {}}
    monkeypatch.setattr(_advise, "derived_params", lambda *_: dict(every))
    steady = replace(stability_of(constant.record), diverged=1)
    speed = speed_of(constant.record)
    for better in ("ramp", "lr_tail"):
        tried: list[str] = []

        def one(scheduler: str, params: Params, *, better: str = better) -> dict[str, tuple[int, float]]:
            tried.append(scheduler)  # noqa: B023 - called within this round
            return {scheduler: (0, 0.5)} if scheduler == better else {}

        monkeypatch.setattr(way, "_tried", one)
        found = way._schedules(trial_of(constant.record, 0), steady, speed, None)
        assert found == {better: (0, 0.5)}
        assert tried == ["ramp", "lr_tail", *(["deba"] if better == "ramp" else [])]


def test_a_question_has_the_studies_of_its_own_names_however_its_data_are_spelt(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    question = {"study": "advise", "architectures": ("resnet18",), "dataset": "folder:/x/pets"}
    for scheduler in ("ramp", "constant", "cabs"):  # the last is none of its schedules
        name = study_name("resnet18", "nano", scheduler, "folder:/x/pets", "advise")
        store.write_study(replace(study_of(scheduler), study=name, prefix="advise", dataset="folder:/x/pets"))
    names = [f"advise-resnet18-nano-{each}-folder-pets" for each in ("constant", "ramp")]
    for dataset in ("folder:/x/pets", "folder:/x/pets/", "folder:pets"):
        request = Request(**{**question, "dataset": dataset})  # type: ignore[arg-type]
        assert [each.study for each in studies_of(request, store)] == names
    for other in ({"dataset": "digits"}, {"scale": "full"}, {"study": "b"}, {"architectures": ("vgg11",)}):
        assert studies_of(Request(**{**question, **other}), store) == []  # type: ignore[arg-type]


def test_a_network_of_ones_own_has_one_study_with_its_scale_and_another_without(tmp_path: Path) -> None:
    store, network = Store(str(tmp_path)), "tests.own_nets:good"
    for scale in (None, "nano"):
        name = study_name(network, scale, "constant", "digits", "advise")
        store.write_study(replace(study_of("constant", network), study=name, prefix="advise"))
    request = Request(architectures=(network,), scale="nano", study="advise")
    assert len(studies_of(request, store)) == 1


@pytest.mark.parametrize(
    ("error", "seconds", "adaptations", "better"),
    [
        (0.10, 7.6, 3, True),
        (0.10, 7.7, 3, False),  # less than 5 % faster than 8 seconds
        (0.14, 5.0, 3, False),  # beyond 0.10 + sqrt(0.1 * 0.9 / 100)
        (0.10, 5.0, 0, False),  # it never changed the batch
        (0.07, 8.3, 3, True),  # no faster, but 0.07 + sqrt(0.07 * 0.93 / 100) is below 0.10
        (0.08, 8.3, 3, False),  # 0.08 + 0.027 is not
        (0.07, 8.5, 3, False),  # in more than 5 % more time
    ],
)
def test_one_trial_beside_a_few_constant_ones_tells_what_is_worth_confirming(
    error: float, seconds: float, adaptations: int, better: bool
) -> None:
    constant, ramp = study_of("constant"), study_of("ramp")
    trials = [trial_of(constant, n, val_error=0.10 + 0.2 * n, seconds=8.0 - n) for n in range(3)]
    trials.append(replace(trial_of(ramp, 0, val_error=error, seconds=seconds), adaptations=adaptations))
    picks = pick_trials([constant, ramp], trials)
    assert picks[ramp.study].verdict in ("too few to say", "no gain in search")
    assert (rank_of(picks[ramp.study], ramp) is not None) is better


def test_it_stops_after_the_profiles_where_nothing_is_to_be_gained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_advise, "WORTH", 1.0)  # whatever the profiles say
    (found,) = advise(small(), Runtime(), results=str(tmp_path), console=Console(quiet=True))
    assert found.pays is False
    assert found.trainings == pytest.approx(1.0, abs=0.15)
    assert Store(str(tmp_path)).studies() == []


@pytest.mark.parametrize(
    ("changed", "examples"),
    [
        ({"epochs": None, "budget": "600ex"}, 600),
        (
            {
                "architectures": ("gpt",),
                "dataset": "python_source",
                "sequence_length": 16,
                "subset": 100,
                "epochs": None,
                "budget": "960tokens",
                "interval": "160tokens",
                "fixed": ("train/batch_size=4",),
            },
            60,
        ),
        (
            {
                "architectures": (),
                "train": "tests.own_loops:plain",
                "objective": "loss",
                "subset": None,
                "interval": "0.25",
            },
            2 * EXAMPLES,
        ),
    ],
)
def test_the_length_of_a_training_is_a_budget_or_epochs_of_a_network_or_of_a_loop_of_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: dict[str, object], examples: int
) -> None:
    monkeypatch.setattr(_advise, "WORTH", 1.0)
    monkeypatch.setattr(_advise._Advice, "_constant", lambda *_: None)  # where there is no noise scale
    (found,) = advise(small(**changed), Runtime(), results=str(tmp_path), console=Console(quiet=True))
    assert found.trainings == pytest.approx(1.0, abs=0.15)
    (trial,) = Store(str(tmp_path)).trials("profiles")
    assert trial.examples_seen == pytest.approx(examples, abs=32)


@pytest.mark.ray
def test_a_schedule_along_a_path_trains_at_the_paths_first_size_from_the_beginning(tmp_path: Path) -> None:
    request = replace(small(), study="advise")
    out = io.StringIO()
    constant = constant_study(request, Runtime(), results=str(tmp_path))
    way = _advise._Advice(request, constant, Runtime(slots=1), str(tmp_path), Console(file=out, width=200), 4)
    way._profiles()
    reference = way._constant(None, {})
    assert reference is not None
    size, rate = int(reference.params["train/batch_size"]), float(reference.params["train/lr"])
    budget = Store(str(tmp_path)).studies()[0].budget
    params = dict(reference.params) | {"scheduler/points": points_text([Point(budget // 2, size)])}
    params |= {"train/batch_size": 16, "train/lr": rate * 16 / size, "scheduler/coupling": "linear"}
    way._tried("ramp", params)
    store = Store(str(tmp_path))
    (study,) = (each for each in store.studies() if each.scheduler == "ramp")
    (trial,) = store.trials(study.study)
    rows = [each.signals for each in store.intervals(study.study)[trial.trial_id]]
    assert (rows[0].batch_size, rows[-1].batch_size) == (16, size)
    assert size > 16
    said = out.getvalue()
    for line in ("workers are starting; 1 trials to run", "training\n", f"{trial.trial_id} complete"):
        assert line in said
    assert "too few to say" not in said
    assert "verdict" not in said


@pytest.mark.ray
def test_it_goes_on_to_schedules_confirms_the_fastest_and_tells_what_was_spent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_advise, "WORTH", 0.0)
    monkeypatch.setattr(_advise, "hardly_learnt", lambda _: False)
    however_slow = lambda pick, study: (0, pick.trial.seconds(study.clock))  # noqa: E731
    monkeypatch.setattr(_advise, "rank_of", however_slow)
    (found,) = advise(small(), Runtime(slots=1), results=str(tmp_path), console=Console(quiet=True), seeds=4)
    store = Store(str(tmp_path))
    studies = store.studies()
    assert {each.scheduler for each in studies} >= {"constant", "lr_tail"}
    assert all(each.prefix == "advise" for each in studies)
    every = [
        trial for name in ("profiles", *(each.study for each in studies)) for trial in store.trials(name)
    ]
    fresh = [trial for trial in every if trial.phase == "confirm"]
    assert sorted(trial.role for trial in fresh) == ["candidate"] * 4 + ["reference"] * 4
    tried = [trial for trial in every if trial.phase == "search" and trial.scheduler != "constant"]
    (fastest,) = {trial.study for trial in fresh}
    assert fastest == min(tried, key=lambda trial: trial.seconds("modelled")).study
    assert found.pays is not True or found.study == fastest
    assert found.batch_size is not None
    assert found.trainings == pytest.approx(sum(trial.examples_seen for trial in every) / studies[0].budget)
    monkeypatch.setattr(engine, "run_trials", lambda *_, **__: pytest.fail("this would train"))
    again = advise(small(), Runtime(slots=1), results=str(tmp_path), console=Console(quiet=True), seeds=4)
    assert again == [found]  # whose studies have a modelled clock


SPACE = parse_space(
    {"function": "m:f", "fields": {"batch_size": {"int": [8, 256]}, "lr": {"float": [1e-4, 1]}}}, "s"
)
DEFAULT: Params = {"train/batch_size": 32, "train/lr": 0.01, "train/optimizer": "adamw"}
WIDE = Limits(smallest=4, largest=700)


def points(space: Space, best: int, default: Params = DEFAULT) -> list[tuple[object, object]]:
    found = constant_points(space, WIDE, default, best)
    assert found[0] == {}  # the default
    return [(each.get("train/batch_size"), each["train/lr"]) for each in found[1:]]


def test_a_constant_batch_is_tried_by_the_root_and_in_proportion_within_its_space() -> None:
    assert points(SPACE, 128) == [(128, pytest.approx(0.02)), (128, pytest.approx(0.04))]
    assert points(SPACE, 602) == [(256, pytest.approx(0.01 * 8**0.5)), (256, pytest.approx(0.08))]
    assert points(SPACE, 40) == [(40, pytest.approx(0.01 * 1.25**0.5)), (40, pytest.approx(0.02 * 1.25**0.5))]
    assert points(SPACE, 32) == [(32, 0.02)]  # the default's own size at another rate
    assert points(SPACE.with_fixed("batch_size", 32), 128) == [(32, 0.02)]
    assert points(SPACE.with_fixed("lr", 0.01), 128) == [(128, 0.01)]
    assert points(SPACE.with_fixed("lr", 0.01).with_fixed("batch_size", 32), 128) == []


def test_half_way_is_tried_where_the_larger_batch_missed_the_defaults_error() -> None:
    default, larger = (trial_of(STUDY, n, params={"train/batch_size": n}) for n in (32, 128))
    assert [each["train/batch_size"] for each in points_between(SPACE, WIDE, DEFAULT, 128, default)] == [
        64,
        64,
    ]
    assert points_between(SPACE, WIDE, DEFAULT, 128, larger) == []
    assert points_between(SPACE, WIDE, DEFAULT, 60, default) == []  # too near to have a middle
    assert points_between(SPACE.with_fixed("batch_size", 32), WIDE, DEFAULT, 128, default) == []


def test_a_constant_batch_lies_in_its_space_the_limits_and_what_was_timed() -> None:
    curve = SpeedCurve(sizes=(16, 64), step_seconds=(1.0, 2.0), measure_seconds={})
    assert constant_ends(SPACE, WIDE, curve) == (16, 64)
    assert constant_ends(SPACE, Limits(smallest=20, largest=50), curve) == (20, 50)
    assert constant_ends(SPACE.with_fixed("batch_size", 32), WIDE, curve) == (32, 32)
    assert constant_ends(SPACE.with_fixed("batch_size", 128), WIDE, curve) == (64, 64)
    noise = [4000.0, 8000.0]
    assert constant_batch(FLAT, noise, 32).best == 1024
    assert constant_batch(FLAT, noise, 32, ends=(16, 64)).best == 64
    assert path_saves(FLAT, noise, ends=(16, 64)) > path_saves(FLAT, noise) == 0.0


def test_the_default_is_what_to_take_where_it_is_nearly_as_good() -> None:
    steady = stability_of(STUDY)
    known = ceilings_of(FLAT, steady, [100.0, 1000.0])
    assert known is not None
    assert modelled_batch(known, DEFAULT) == {"train/batch_size": known.batch.best}
    near = replace(known, batch=replace(known.batch, default=known.batch.low))
    assert modelled_batch(near, DEFAULT) == DEFAULT
