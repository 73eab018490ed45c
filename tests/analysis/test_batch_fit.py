import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from adasearch.analysis.batch_by_runs import FittedBatch, TooFewRuns, batch_by_runs, constant_runs
from adasearch.analysis.batch_fit import ConstantRun, fitted, runs_to_target
from adasearch.analysis.ceiling_table import ceiling_rows
from adasearch.analysis.prediction_table import predict_table
from adasearch.profiles.modelled_time import SpeedCurve
from adasearch.profiles.profile import Setting, here
from adasearch.profiles.profile_store import ProfileStore
from adasearch.profiles.stability import stability_figures
from adasearch.records import StudyRecord, TrialRecord
from adasearch.store import Store
from tests.profile_rows import speed_of, stability_of
from tests.rows import STUDY, interval_at, study_of, trial_of
from tests.schedulers.rows import row

CONSTANT = study_of("constant")
LEAST, CRITICAL = 400.0, 64.0  # examples, of the curves below
FLAT = SpeedCurve(sizes=(1, 1024), step_seconds=(1.001, 2.024), measure_seconds={})  # 1 + B/1000


def course(size: int, *, slower: float = 1.0) -> tuple[tuple[int, float], ...]:
    """An error that falls from 1 steadily, to 0.5 after E(B) = 400 (1 + B/64) examples."""
    needed = slower * LEAST * (1 + size / CRITICAL)
    return tuple((seen, 1 - 0.5 * seen / needed) for seen in range(40, 1640, 40))


def run_of(size: int, lr: float = 0.1, slower: float = 1.0) -> ConstantRun:
    return ConstantRun(
        batch_size=size,
        setting=(("train/batch_size", size), ("train/lr", lr)),
        course=course(size, slower=slower),
    )


SIZES = [16, 32, 64, 128]
EXACT = [run_of(size) for size in SIZES]


def test_the_critical_batch_of_exact_curves_is_found_whatever_error_is_common() -> None:
    found = runs_to_target(EXACT)
    assert found is not None
    target, runs = found
    assert target == pytest.approx(1 - 0.5 * 1600 / (LEAST * 3))  # what the largest came to, at its end
    assert [size for size, _ in runs] == SIZES
    fit = fitted(runs)
    assert fit.critical == pytest.approx(CRITICAL, rel=0.01)
    assert fit.examples == pytest.approx(LEAST * 2 * (1 - target), rel=0.01)
    assert (fit.low, fit.high) == pytest.approx((CRITICAL, CRITICAL), rel=0.02)


def test_steps_that_do_not_depend_on_the_size_and_examples_that_do_not_lie_at_the_ends() -> None:
    same_steps = fitted([(size, 10.0 * size) for size in SIZES])
    same_examples = fitted([(size, 1000.0) for size in SIZES])
    assert same_steps.critical == pytest.approx(16 / 64)
    assert same_examples.critical == pytest.approx(128 * 64)


@pytest.mark.parametrize(("sizes", "seeds"), [((16, 64, 256), 3), ((16, 32, 64, 128, 256), 1)])
def test_the_interval_holds_the_truth_as_often_as_it_says(sizes: tuple[int, ...], seeds: int) -> None:
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        scatter = rng.normal(0, 0.1, size=(len(sizes), seeds))
        runs = [
            (size, math.exp(noise) * LEAST * (1 + size / CRITICAL))
            for size, own in zip(sizes, scatter, strict=True)
            for noise in own
        ]
        fit = fitted(runs)
        held += fit.low <= CRITICAL <= fit.high
    assert 0.92 <= held / 400 <= 0.98


def test_the_best_setting_stands_for_a_size_and_the_best_size_for_an_octave() -> None:
    worse = [run_of(size, lr=0.01, slower=1.3) for size in SIZES]
    near = run_of(24, slower=1.2)  # counts as 32
    assert runs_to_target([*worse, near, *EXACT]) == runs_to_target(EXACT)


def test_a_setting_counts_with_all_its_seeds_or_not_at_all() -> None:
    lucky = [run_of(32, lr=0.2, slower=0.5), run_of(32, lr=0.2, slower=9.0)]  # one never gets there
    seeds = [run_of(16), run_of(16, slower=1.02)]
    found = runs_to_target([*lucky, *EXACT, *seeds])
    assert found is not None
    assert [size for size, _ in found[1]] == [16, 16, 16, 32, 64, 128]


def test_the_size_that_learnt_least_is_left_out_where_others_were_there_before_an_evaluation() -> None:
    stuck = run_of(1024, slower=200)
    found = runs_to_target([*EXACT, stuck])
    assert found == runs_to_target(EXACT)
    assert runs_to_target([*EXACT[:2], stuck]) is None  # two are left
    assert runs_to_target(EXACT[:2]) is None


def keep(store: Store, study: StudyRecord, number: int, size: int, **changed: object) -> TrialRecord:
    """A stored run of a study at a constant size."""
    trial = trial_of(study, number, val_error=0.1, params={"train/batch_size": size, "train/lr": 0.1})
    trial = replace(trial, **{"seed": 0, **changed})  # type: ignore[arg-type]
    store.write_trial(trial)
    rows = [
        interval_at(place, seen=seen, val_error=error, batch_size=size)
        for place, (seen, error) in enumerate(course(size))
    ]
    store.write_intervals(trial, rows)
    return trial


@pytest.fixture
def results(tmp_path: Path) -> Store:
    """Profiles, and constant runs at three sizes."""
    store, profiles = Store(str(tmp_path)), ProfileStore(str(tmp_path))
    history = [row(k, noise=4.0 if k < 50 else 16.0, square=1.0, count=1) for k in range(100)]
    profiles.write(speed_of(CONSTANT))
    profiles.write(replace(stability_of(CONSTANT), figures=stability_figures([history])))
    for study in (CONSTANT, STUDY):
        store.write_study(study)
    for number, size in enumerate((16, 32, 64)):
        keep(store, CONSTANT, number, size)
    return store


def advice(store: Store, curve: SpeedCurve = FLAT) -> FittedBatch | TooFewRuns | None:
    return batch_by_runs(store, here(CONSTANT, 1), curve, 32)


def test_the_best_batch_is_that_of_the_seconds_within_the_sizes_that_were_tried(results: Store) -> None:
    found = advice(results)
    assert isinstance(found, FittedBatch)
    assert (found.batch.best, found.batch.open_end) == (64, True)  # sqrt(1000 * 64) = 253 was not tried
    assert (found.sizes, found.runs) == ((16, 32, 64), 3)
    cheap = advice(results, replace(FLAT, step_seconds=(26.0, 25 + 1024.0)))  # 25 + B
    assert isinstance(cheap, FittedBatch)
    assert cheap.batch.best == pytest.approx(math.sqrt(25 * CRITICAL), abs=1)
    assert cheap.low <= cheap.batch.best <= cheap.high
    assert cheap.batch.cost >= 1.0


def test_what_several_studies_confirm_is_one_run_and_other_runs_are_none(results: Store) -> None:
    before = constant_runs(results, here(CONSTANT, 1))
    confirmed = {"phase": "confirm", "scheduler": "constant", "role": "reference"}
    keep(results, STUDY, 0, 16, trial_id=f"{STUDY.study}-confirm-0", **confirmed)  # the same seed
    keep(results, CONSTANT, 8, 128, status="pruned")
    keep(results, STUDY, 9, 128)  # of DEBA
    assert constant_runs(results, here(CONSTANT, 1)) == before
    keep(results, STUDY, 1, 16, trial_id=f"{STUDY.study}-confirm-1", **{**confirmed, "seed": 7})
    found = advice(results)
    assert isinstance(found, FittedBatch)
    assert found.runs == 4


def test_runs_that_differ_in_budget_or_curve_are_not_compared(results: Store) -> None:
    longer = replace(CONSTANT, study="longer-constant", budget=3200)
    results.write_study(longer)
    keep(results, longer, 0, 256)
    decayed = {"train/batch_size": 128, "train/lr": 0.1, "train/lr_schedule": "cosine"}
    keep(results, CONSTANT, 5, 128, params=decayed)
    groups = constant_runs(results, here(CONSTANT, 1))
    assert sorted((group.lr_schedule or "", group.sizes) for group in groups) == [
        ("", 1),
        ("", 3),
        ("cosine", 1),
    ]
    found = advice(results)
    assert isinstance(found, FittedBatch)
    assert found.sizes == (16, 32, 64)


def test_predict_and_the_table_of_ceilings_say_it_beside_what_the_noise_says(results: Store) -> None:
    found = batch_by_runs(results, here(CONSTANT, 1), speed_of(CONSTANT).curve, 32)
    assert isinstance(found, FittedBatch)
    text = " ".join(predict_table(results).split())
    assert "by the noise scale a constant batch of" in text
    assert "by 3 constant runs at sizes from 16 to 64, up to an error of" in text
    assert f"a batch of {found.best} costs least, {found.batch.band} at most 5 % more" in text
    assert "by E(B) = E_min (1 + B / B_crit)" in text
    (told,) = json.loads(predict_table(results, form="json"))["rows"]
    assert {name: told[name] for name in found.row()} == found.row()
    (shown,) = ceiling_rows(results, [CONSTANT])
    assert shown["runs"] == f"{found.best} ({found.batch.band})"


def test_two_sizes_are_too_few_and_the_rule_is_named(tmp_path: Path, results: Store) -> None:
    (tmp_path / CONSTANT.study / "trials" / f"{CONSTANT.study}-search-2.parquet").unlink()
    assert advice(results) == TooFewRuns(runs=2, sizes=2)
    text = " ".join(predict_table(results).split())
    assert "no batch is fitted to 2 constant runs at 2 sizes: it takes 3 sizes an octave apart" in text
    assert "runs_batch" not in json.loads(predict_table(results, form="json"))["rows"][0]
    (shown,) = ceiling_rows(results, [CONSTANT])
    assert shown["runs"] == "runs at 2 of 3 sizes"


def test_a_folder_without_constant_runs_says_nothing_of_them(results: Store, tmp_path: Path) -> None:
    other = replace(here(CONSTANT, 1), fingerprint="other")
    assert batch_by_runs(results, other, FLAT, 32) is None


def test_sizes_of_text_are_told_in_tokens(results: Store) -> None:
    setting = replace(here(CONSTANT, 1), sequence_length=8)
    found = batch_by_runs(results, setting, FLAT, 32)
    assert isinstance(found, FittedBatch)
    assert "at sizes from 128 tokens to 512 tokens" in found.said()
    assert found.best.startswith("512 tokens [")


def test_the_runs_of_the_study_of_growth_say_that_alexnet_loses_little_up_to_64() -> None:
    """Of real training: CIFAR-10, one seed at sizes from 16 to 64 and six more at 16."""
    store = Store(str(Path(__file__).parents[2] / "notebooks" / "data_schedules"))
    study = next(each for each in store.studies() if each.study == "alexnet-nano-constant-parquet-cifar10")
    setting: Setting = here(study, 1)
    found = batch_by_runs(store, setting, FLAT, 32)
    assert isinstance(found, FittedBatch)
    assert found.sizes == (16, 32, 64)
    assert 0.5 < found.target < 0.6
    assert found.fit.low > 32  # sizes cost examples slowly
    assert found.batch.best == 64
