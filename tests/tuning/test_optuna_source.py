import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, get_args

import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from adasearch.choices import Sampler
from adasearch.data.spec import DataSpec
from adasearch.errors import InputError
from adasearch.profiles.quantiles import thresholds
from adasearch.records import Params, Signals, Status, StudyRecord, TrialRecord
from adasearch.schedulers import make_scheduler
from adasearch.spaces.space import Space, load_space, parse_space
from adasearch.tuning.optuna_source import OptunaSource, initial_points
from adasearch.tuning.trial_source import TrialPlan
from tests.rows import STUDY, interval_at, trial_of

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")

TRAIN, DEBA = load_space("architectures", "resnet18"), load_space("schedulers", "deba_short")
DRAWN = [name for name in get_args(Sampler) if name != "grid"]
DEFAULTS = {**TRAIN.fixed(), **TRAIN.first(), **DEBA.fixed(), **DEBA.first()}


def source(
    *,
    trials: int = 20,
    stored: Sequence[TrialRecord] = (),
    study: StudyRecord = STUDY,
    train: Space = TRAIN,
    scheduler: Space = DEBA,
    profile: Sequence[Sequence[Signals]] = (),
    early: Sequence[Params] = (),
    points: Sequence[Params] | None = None,
) -> OptunaSource:
    data = DataSpec(source="digits")
    plan = TrialPlan(study=study, data=data, trials=trials, stored=stored, intervals={})
    return OptunaSource(plan, train, scheduler, profile=profile, early=early, points=points)


@pytest.fixture
def studies(monkeypatch: pytest.MonkeyPatch) -> list[optuna.Study]:
    """The Optuna studies that were made, for a look at what they were told."""
    made: list[optuna.Study] = []
    create = optuna.create_study

    def keep(*arguments: object, **options: object) -> optuna.Study:
        made.append(create(*arguments, **options))  # type: ignore[arg-type]
        return made[-1]

    monkeypatch.setattr(optuna, "create_study", keep)
    return made


def ended(
    trial: TrialRecord, status: Status = "complete", error: float | None = 0.1, seconds: float | None = 10.0
) -> TrialRecord:
    return replace(trial, status=status, val_error=error, train_seconds=seconds)


def run(proposals: OptunaSource, count: int, status: Status = "complete") -> list[TrialRecord]:
    """Ask for trials and tell their end, each better than the one before."""
    return [
        proposals.tell(ended(trial, status, 0.5 / (n + 1), 10.0 - n / 10))
        for n, trial in enumerate(proposals.ask() for _ in range(count))
    ]


# --- asking -----------------------------------------------------------------------------------------


def test_first_trial_is_the_documented_default() -> None:
    trial = source().ask()
    assert trial.params == DEFAULTS
    assert (trial.trial_id, trial.number, trial.seed) == (f"{STUDY.study}-search-0", 0, STUDY.seed)
    assert (trial.status, trial.phase, trial.role, trial.study) == (
        "running",
        "search",
        "search",
        STUDY.study,
    )
    assert (trial.architecture, trial.scheduler, trial.workers) == ("resnet18", "deba", 1)
    assert trial.versions["optuna"] == optuna.__version__


def test_every_trial_has_every_parameter_inside_its_range() -> None:
    asked = run(source(), 12)
    distributions = {**TRAIN.distributions(), **DEBA.distributions()}
    fixed = DEFAULTS.keys() - distributions.keys()
    for number, trial in enumerate(asked):
        assert trial.params.keys() == DEFAULTS.keys()
        assert all(trial.params[name] == DEFAULTS[name] for name in fixed)
        assert (trial.number, trial.seed) == (number, STUDY.seed + number)
        optuna.trial.create_trial(
            params={name: trial.params[name] for name in distributions}, distributions=distributions, value=0
        )
    assert len({str(trial.params) for trial in asked}) == len(asked)


@pytest.mark.parametrize("sampler", DRAWN)
def test_same_seed_proposes_the_same_and_another_seed_something_else(sampler: str) -> None:
    study = replace(STUDY, sampler=sampler)
    first, again, other = (
        [trial.params for trial in run(source(study=replace(study, seed=seed)), 9)] for seed in (0, 0, 1)
    )
    assert first == again
    same = 3 if sampler == "tpe" else 1  # the first points, which nobody draws
    assert first[:same] == other[:same]
    assert all(a != b for a, b in zip(first[same:], other[same:], strict=True))


def test_trials_asked_for_before_any_is_told_differ() -> None:
    proposals = source()
    asked = [proposals.ask() for _ in range(8)]
    assert len({str(trial.params) for trial in asked}) == 8


def test_study_without_anything_to_search_repeats_its_values_under_new_seeds() -> None:
    train = parse_space({"architecture": "resnet18"}, "test")
    scheduler = parse_space({"scheduler": "deba"}, "test")
    asked = run(source(train=train, scheduler=scheduler), 3)
    assert [trial.seed for trial in asked] == [0, 1, 2]
    assert all(trial.params == {**train.fixed(), **scheduler.fixed()} for trial in asked)


def test_budget_is_counted_down_by_asking() -> None:
    proposals = source(trials=2)
    assert proposals.left == 2
    proposals.ask()
    proposals.ask()
    assert proposals.left == 0


# --- telling ----------------------------------------------------------------------------------------


def test_complete_trial_carries_both_values_as_floats(studies: list[optuna.Study]) -> None:
    proposals = source()
    told = proposals.tell(ended(proposals.ask(), error=0, seconds=7))
    frozen = studies[0].trials[0]
    assert told.status == "complete"
    assert (frozen.state, frozen.values) == (TrialState.COMPLETE, [0.0, 7.0])
    assert all(type(value) is float for value in frozen.values)


def test_modelled_clock_tells_modelled_seconds(studies: list[optuna.Study]) -> None:
    proposals = source(study=replace(STUDY, clock="modelled"))
    proposals.tell(replace(ended(proposals.ask()), modelled_seconds=3.0))
    assert studies[0].trials[0].values == [0.1, 3.0]


def test_pruned_trial_has_neither_values_nor_intermediate_ones(studies: list[optuna.Study]) -> None:
    proposals = source()
    told = proposals.tell(ended(proposals.ask(), "pruned"))
    frozen = studies[0].trials[0]
    assert told.status == "pruned"
    assert (frozen.state, frozen.values, frozen.intermediate_values) == (TrialState.PRUNED, None, {})


def test_failed_trial_is_told_as_such(studies: list[optuna.Study]) -> None:
    proposals = source()
    failed = replace(ended(proposals.ask(), "failed"), error="train_loss is nan")
    assert proposals.tell(failed) == failed
    assert studies[0].trials[0].state == TrialState.FAIL


@pytest.mark.parametrize(
    ("error", "seconds"),
    [(math.nan, 1.0), (0.1, math.nan), (math.inf, 1.0), (0.1, math.inf), (None, 1.0), (0.1, None)],
)
def test_complete_trial_without_two_finite_values_is_failed(
    studies: list[optuna.Study], error: float | None, seconds: float | None
) -> None:
    proposals = source()
    told = proposals.tell(ended(proposals.ask(), "complete", error, seconds))
    assert told.status == "failed"
    assert "objectives" in str(told.error)
    assert told.cause == "diverged"
    assert studies[0].trials[0].state == TrialState.FAIL
    run(proposals, 8)  # and the search goes on


@pytest.mark.parametrize("live", [True, False])
def test_fifteen_more_trials_after_six_that_were_pruned(studies: list[optuna.Study], live: bool) -> None:
    first = source(trials=21)
    pruned = run(first, 6, "pruned")
    proposals = first if live else source(trials=21, stored=pruned)
    assert len(run(proposals, 15)) == 15
    states = [trial.state for trial in studies[-1].trials]
    assert states == [TrialState.PRUNED] * 6 + [TrialState.COMPLETE] * 15


def test_trials_learn_from_those_before() -> None:
    """Small learning rates are good here; the sampler must propose them more often than at random."""
    train = (
        TRAIN.with_fixed("batch_size", 32).with_fixed("lr_schedule", "cosine").with_fixed("weight_decay", 0)
    )
    scheduler = parse_space({"scheduler": "constant"}, "test")
    proposals = source(train=train, scheduler=scheduler, trials=40)
    rates = []
    for _ in range(40):
        trial = proposals.ask()
        rates.append(float(trial.params["train/lr"]))
        proposals.tell(ended(trial, error=rates[-1], seconds=1 + rates[-1]))
    median = math.sqrt(0.01 * 0.5)
    assert sum(rate < median for rate in rates[-20:]) >= 14


# --- going on ---------------------------------------------------------------------------------------


def test_stored_trials_are_refilled_in_order(studies: list[optuna.Study]) -> None:
    first = source()
    stored = [*run(first, 2), *run(first, 1, "pruned"), *run(first, 1, "failed"), *run(first, 1)]
    source(stored=stored)
    live, refilled = ([(t.state, t.params, t.values) for t in study.trials] for study in studies)
    assert refilled == live
    assert all(not trial.intermediate_values for trial in studies[1].trials)


def test_trials_that_were_running_come_first_under_their_own_numbers() -> None:
    first = source()
    done = run(first, 2)
    running = [first.ask(), first.ask()]
    resumed = source(stored=[*done, *running])
    again = [resumed.ask(), resumed.ask()]
    assert [(t.trial_id, t.number, t.seed, t.params) for t in again] == [
        (t.trial_id, t.number, t.seed, t.params) for t in running
    ]
    assert resumed.ask().number == 4


def test_default_that_was_running_is_tried_again_and_once() -> None:
    first = source()
    running = [first.ask(), first.ask()]
    resumed = source(stored=running)
    asked = run(resumed, 4)
    assert [trial.number for trial in asked] == [0, 1, 2, 3]
    assert [trial.params == DEFAULTS for trial in asked] == [True, False, False, False]


@pytest.mark.parametrize("sampler", DRAWN)
@pytest.mark.parametrize("status", ["complete", "running"])
def test_resumed_search_does_not_draw_its_initial_points_again(sampler: str, status: Status) -> None:
    study = replace(STUDY, sampler=sampler)
    first = source(study=study)
    stored = [ended(trial, status) for trial in (first.ask() for _ in range(3))]
    resumed = source(study=study, stored=stored)
    asked = [resumed.ask() for _ in range(6)]
    new = [trial for trial in asked if trial.number > 2]
    assert len(new) >= 3
    lrs = {trial.params["train/lr"] for trial in stored}
    assert not lrs & {trial.params["train/lr"] for trial in new}


@pytest.mark.parametrize(
    ("statuses", "left"),
    [
        ([], 5),
        (["complete", "pruned", "failed"], 2),
        (["complete", "running", "running"], 4),
        (["complete"] * 5, 0),
        (["complete"] * 7, 0),
    ],
)
def test_budget_counts_what_ended_however_it_ended(statuses: list[Status], left: int) -> None:
    stored = [
        trial_of(STUDY, n, status=status, val_error=0.1, seconds=1, params=DEFAULTS)
        for n, status in enumerate(statuses)
    ]
    assert source(trials=5, stored=stored).left == left


def test_running_trials_beyond_a_smaller_budget_are_left() -> None:
    stored = [trial_of(STUDY, n, status="running", params=DEFAULTS) for n in range(3)]
    resumed = source(trials=1, stored=stored)
    assert resumed.left == 1
    assert resumed.ask().number == 0


def test_other_phases_neither_count_nor_steer(studies: list[optuna.Study]) -> None:
    confirmed = trial_of(STUDY, 7, phase="confirm", val_error=0.1, seconds=1, params={"train/lr": 0.1})
    proposals = source(trials=5, stored=[confirmed])
    assert proposals.left == 5
    assert not [trial for trial in studies[0].trials if trial.state.is_finished()]
    assert proposals.ask().number == 0


def test_resumed_search_runs_to_the_end_with_every_kind_of_trial_stored(studies: list[optuna.Study]) -> None:
    first = source()
    stored = [*run(first, 3), *run(first, 3, "pruned"), *run(first, 1, "failed"), first.ask()]
    resumed = source(stored=stored)
    asked = run(resumed, resumed.left)
    assert [trial.number for trial in asked] == list(range(7, 20))
    assert len(studies[1].trials) == 20


# --- the grid ---------------------------------------------------------------------------------------

FIXED = parse_space({"architecture": "resnet18"}, "test")
GRID = parse_space(
    {"scheduler": "deba", "fields": {"window": {"choice": [0, 15]}, "cooldown": {"choice": [1, 3, 5]}}},
    "test",
)
STUDY_OF_GRID = replace(STUDY, sampler="grid", seed=7)
PAIRS = [(cooldown, window) for cooldown in (1, 3, 5) for window in (0, 15)]


def grid_source(*, scheduler: Space = GRID, **changes: Any) -> OptunaSource:
    return source(study=STUDY_OF_GRID, train=FIXED, scheduler=scheduler, **changes)


def of_grid(trial: TrialRecord) -> tuple[int, int, object, object]:
    return (trial.number, trial.seed, trial.params["scheduler/cooldown"], trial.params["scheduler/window"])


WHOLE_GRID = [(number, 7 + number // 6, *PAIRS[number % 6]) for number in range(20)]


def test_grid_tries_every_combination_in_turn_and_then_again_with_the_next_seed() -> None:
    assert [of_grid(trial) for trial in run(grid_source(), 20)] == WHOLE_GRID


@pytest.mark.parametrize("done", [1, 6, 8])
def test_resumed_grid_goes_on_where_it_was(done: int) -> None:
    first = grid_source()
    stored = [*run(first, done), *run(first, 1, "failed"), first.ask(), first.ask()]
    stored[-1], stored[-2] = stored[-2], stored[-1]  # two were running
    resumed = grid_source(stored=stored)
    asked = run(resumed, resumed.left)
    assert sorted(map(of_grid, asked)) == WHOLE_GRID[done + 1 :]
    assert {trial.number for trial in asked[:2]} == {done + 1, done + 2}  # those come first


def test_grid_is_the_same_from_a_stored_space_whose_fields_are_sorted() -> None:
    first = run(grid_source(), 6)
    again = run(grid_source(scheduler=GRID.complete()), 6)
    assert [trial.params for trial in first] == [trial.params for trial in again]


def test_grid_of_a_study_with_nothing_to_search_has_a_seed_per_trial() -> None:
    constant = parse_space({"scheduler": "constant"}, "test")
    asked = run(grid_source(scheduler=constant), 3)
    assert [trial.seed for trial in asked] == [7, 8, 9]


def test_grid_refuses_a_range_by_name() -> None:
    quantile = load_space("schedulers", "deba_quantile").with_fixed("confidence_threshold", 1.0)
    with pytest.raises(
        InputError, match=r"quantile/stability_threshold is a range; .*scheduler/stability_thr"
    ):
        grid_source(scheduler=quantile)


# --- thresholds as quantiles ------------------------------------------------------------------------

QUANTILES = load_space("schedulers", "deba_quantile")
QUANTILE, ABSOLUTE = "quantile/confidence_threshold", "scheduler/confidence_threshold"
PROFILE = [
    [
        replace(
            interval_at(t).signals,
            grad_component_variance=1.0 + (seed + t * t) % 7,
            grad_norm=1.0 + t % 5,
            mean_grad_component_variance=1.0 + (seed + t * t) % 11,
            mean_grad_norm=1.0 + t % 3,
            train_loss=1.0 + t * t % 13,
        )
        for t in range(30)
    ]
    for seed in range(3)
]


def quantile_source(**changes: Any) -> OptunaSource:
    return source(**{"scheduler": QUANTILES, "profile": PROFILE, **changes})


def test_quantile_is_searched_and_the_absolute_value_stored_beside_it() -> None:
    proposals = quantile_source()
    seen = []
    for trial in run(proposals, 8):
        quantiles = {name: value for name, value in trial.params.items() if name != ABSOLUTE}
        assert trial.params == {**quantiles, **thresholds("deba", quantiles, PROFILE)}
        make_scheduler("deba", trial.fields_of("scheduler"))
        seen.append((trial.params[QUANTILE], trial.params[ABSOLUTE]))
    assert seen[0][0] == 0.75  # the documented default first
    assert len(set(seen)) > 4


def test_optuna_hears_quantiles_and_never_absolute_thresholds(studies: list[optuna.Study]) -> None:
    run(quantile_source(), 3)
    for told in studies[0].trials:
        assert QUANTILE in told.params
        assert ABSOLUTE not in told.params


@pytest.mark.parametrize("sampler", DRAWN)
def test_resumed_search_of_quantiles_proposes_what_an_uninterrupted_refill_would(sampler: str) -> None:
    study = replace(STUDY, sampler=sampler)
    stored = run(quantile_source(study=study), 6)
    again = [quantile_source(study=study, stored=stored).ask().params for _ in range(2)]
    assert again[0] == again[1]
    assert QUANTILE in again[0]


def test_interrupted_trial_keeps_its_threshold_even_if_the_profile_is_another() -> None:
    running = quantile_source().ask()
    resumed = quantile_source(stored=[running], profile=PROFILE[:1]).ask()
    assert (resumed.number, resumed.params) == (running.number, running.params)


# --- first points -----------------------------------------------------------------------------------

ADAMW = {"train/optimizer": "adamw"}
SIZES = {"train/batch_size": IntDistribution(16, 256), "train/lr": FloatDistribution(1e-4, 1e-2)}


def test_default_is_tried_at_larger_batches_whose_learning_rate_follows() -> None:
    default = {"train/batch_size": 16, "train/lr": 1e-3, "scheduler/window": 8}
    found = initial_points(default, SIZES, ADAMW)
    assert [point["train/batch_size"] for point in found] == [16, 256, 64]
    assert [point["train/lr"] for point in found] == [1e-3, 4e-3, 2e-3]
    assert all(point["scheduler/window"] == 8 for point in found)
    found = initial_points(default, SIZES, {"train/optimizer": "sgd"})
    assert [point["train/lr"] for point in found] == [1e-3, 1e-2, 4e-3]  # no further than its range goes


def test_default_learning_rate_may_be_written_as_a_whole_number() -> None:
    rates = {**SIZES, "train/lr": FloatDistribution(0.1, 10.0)}
    found = initial_points({"train/batch_size": 16, "train/lr": 1}, rates, ADAMW)
    assert [point["train/lr"] for point in found] == [1, 4.0, 2.0]


def test_learning_rate_that_is_fixed_stays() -> None:
    default = {"train/batch_size": 16}
    found = initial_points(default, {"train/batch_size": SIZES["train/batch_size"]}, {"train/lr": 1e-3})
    assert found == [{"train/batch_size": size} for size in (16, 256, 64)]


@pytest.mark.parametrize(
    ("default", "distributions"),
    [
        ({"train/lr": 1e-3}, {"train/lr": SIZES["train/lr"]}),
        ({"train/batch_size": 32}, {"train/batch_size": CategoricalDistribution([32, 64])}),
        ({"train/batch_size": 256}, SIZES),
    ],
)
def test_without_a_range_of_larger_sizes_there_is_the_default_alone(
    default: Params, distributions: dict[str, BaseDistribution]
) -> None:
    assert initial_points(default, distributions, ADAMW) == [default]


def test_initial_points_are_tried_once_however_often_a_search_goes_on() -> None:
    whole = run(source(), 3)
    assert [trial.params["train/batch_size"] for trial in whole] == [32, 256, 91]
    for cut in (1, 2, 3):
        later = run(source(stored=whole[:cut]), 4 - cut)
        assert [trial.params for trial in later[: 3 - cut]] == [trial.params for trial in whole[cut:]]
        assert later[-1].params not in [trial.params for trial in whole]
    cut_off = replace(whole[1], status="running")
    later = run(source(stored=[whole[0], cut_off]), 2)
    assert [(trial.number, trial.params) for trial in later] == [
        (each.number, each.params) for each in whole[1:]
    ]


def test_random_search_draws_all_but_the_default() -> None:
    drawn = run(source(study=replace(STUDY, sampler="random")), 3)
    assert [trial.params for trial in drawn[1:]] != [trial.params for trial in run(source(), 3)[1:]]


def test_early_points_come_right_after_the_first_ones_and_once() -> None:
    early = [{**TRAIN.first(), **DEBA.first(), "train/lr": lr} for lr in (0.2, 0.3)]
    trials = run(source(early=early), 6)
    assert [trial.params["train/lr"] for trial in (trials[0], *trials[3:5])] == [0.1, 0.2, 0.3]
    again = source(early=early, stored=trials[:4])  # cut after the first of them
    later = run(again, 2)
    assert later[0].params["train/lr"] == 0.3
    assert later[1].params["train/lr"] not in (0.2, 0.3)


def test_points_that_were_given_lie_in_the_spaces_so_that_a_search_goes_on_from_them() -> None:
    given: list[Params] = [
        {},
        {"train/batch_size": 300, "train/lr": 0.9},
        {"train/batch_size": 48, "train/optimizer": "adamw"},
    ]
    trials = run(source(points=given), 3)
    chosen = [(trial.params["train/batch_size"], trial.params["train/lr"]) for trial in trials]
    assert chosen == [(32, 0.1), (256, 0.5), (48, 0.1)]
    assert {trial.params["train/optimizer"] for trial in trials} == {"sgd"}
    for cut in (1, 2):
        later = run(source(points=given, stored=trials[:cut]), 3 - cut)
        assert [trial.params for trial in later] == [trial.params for trial in trials[cut:]]
