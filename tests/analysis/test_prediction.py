"""Guesses before any search: what they rest on, what they answer, and how they are checked."""

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from scipy import stats

from adasearch.analysis.prediction import Gain, Traits, ceiling, leave_one_out, pays, predict
from adasearch.analysis.prediction_table import outcomes_of, predict_table
from adasearch.analysis.shipped import ceiling_said, shipped_outcomes
from adasearch.cli.main import main
from adasearch.errors import InputError
from adasearch.profiles.modelled_time import SpeedCurve
from adasearch.profiles.profile import Statistic
from adasearch.profiles.profile_store import ProfileStore
from adasearch.store import Store
from tests.profile_rows import speed_of, stability_of
from tests.rows import study_of, trial_of


def traits(
    architecture: str, top: float = 1.5, score: float | None = 0.8, noise: float | None = 100
) -> Traits:
    return Traits(
        architecture=architecture,
        scale="nano",
        dataset="digits",
        ceiling=top,
        stability_score=score,
        noise_scale=noise,
    )


def outcome(of: Traits, speedup: float, change: float = 0.0, scheduler: str = "deba") -> Gain:
    return Gain(traits=of, scheduler=scheduler, speedup=speedup, error_change=change, confirmed=True)


FULL = [outcome(traits(f"net{i}", top=1 + i / 10), (1 + i / 10) ** 0.5) for i in range(1, 9)]
"""Networks that realise half of their ceiling, on the scale of logarithms."""


def test_ceiling_is_the_best_throughput_over_the_defaults() -> None:
    curve = SpeedCurve(sizes=(16, 32, 64), step_seconds=(1.0, 1.6, 2.0), measure_seconds={})
    assert ceiling(curve, 16) == pytest.approx(2.0)  # 16/s against 32/s
    assert ceiling(curve, 24) == pytest.approx(32 / (24 / 1.3))  # between two profiled sizes
    assert ceiling(curve, 64) == 1.0


def test_five_percent_faster_at_most_a_point_worse_pays() -> None:
    assert pays(1.05, 0.01)
    assert not pays(1.04, 0.0)
    assert not pays(2.0, 0.011)


def test_guess_follows_what_other_networks_realised_of_their_ceilings() -> None:
    found = predict(traits("new", top=2.5), "deba", FULL)
    assert found.speedup is not None
    assert found.speedup.mean == pytest.approx(2.5**0.5, rel=0.03)
    assert found.speedup.low > 1.05
    assert found.answer == "pays"
    assert found.networks == 8
    assert found.error_change is not None
    assert found.error_change.mean == pytest.approx(0.0, abs=1e-6)


def test_a_network_whose_throughput_still_rises_is_never_said_to_be_no_faster() -> None:
    new = replace(traits("new", top=1.0), rising_at=32)
    assert predict(new, "deba", FULL).answer == "not known"
    assert predict(new, "deba", []).answer == "not known"
    assert ceiling_said(new).startswith("new nano: still rising at the largest timed size 32, so the ceiling")
    assert predict(replace(traits("new", top=2.5), rising_at=32), "deba", FULL).answer == "pays"


def test_no_speed_up_is_guessed_beyond_a_known_ceiling() -> None:
    others = [outcome(traits(f"net{i}", top=1.9), 1.8 + i / 100) for i in range(3)]
    found = predict(traits("new", top=1.2), "deba", others).speedup
    assert found is not None
    assert found.high == found.mean == 1.2
    further = predict(replace(traits("new", top=1.2), rising_at=64), "deba", others).speedup
    assert further is not None
    assert further.mean > 1.8


def test_scatter_between_networks_widens_the_range() -> None:
    def width(spread: float) -> float:
        known = [outcome(traits(f"net{i}", top=1.5), math.exp(0.2 + spread * (-1) ** i)) for i in range(6)]
        found = predict(traits("new", top=1.5), "deba", known).speedup
        assert found is not None
        return found.high - found.low

    assert width(0.3) > 2 * width(0.05)


def test_network_that_is_no_faster_with_larger_batches_is_not_worth_it_whatever_is_known() -> None:
    assert predict(traits("new", top=1.02), "deba", []).answer == "not worth it"
    assert predict(traits("new", top=1.02), "deba", FULL).answer == "not worth it"


def test_networks_that_gained_nothing_make_the_answer_not_worth_it_or_open() -> None:
    none = [outcome(traits(f"net{i}", top=1.5), 1.0 + i / 1000) for i in range(8)]
    assert predict(traits("new"), "deba", none).answer == "not worth it"
    worse = [outcome(traits(f"net{i}"), 1.5, 0.05 + i / 1000) for i in range(8)]
    assert predict(traits("new"), "deba", worse).answer == "not worth it"
    torn = [outcome(traits(f"net{i}"), 1.5 if i % 2 else 0.9) for i in range(8)]
    assert predict(traits("new"), "deba", torn).answer == "may pay"
    mostly_not = [outcome(traits(f"net{i}"), 1.2 if i == 0 else 0.95) for i in range(8)]
    assert predict(traits("new"), "deba", mostly_not).answer == "unlikely"


def test_range_is_the_prediction_interval_of_least_squares() -> None:
    # By hand, three networks and no trait: mean 0.2, s = 0.1, t(0.95, 2) = 2.92, sqrt(1 + 1/3)
    known = [outcome(traits(f"net{i}"), math.exp(0.1 * (i + 1))) for i in range(3)]
    found = predict(replace(traits("new"), rising_at=64), "deba", known).speedup  # so that nothing is cut
    assert found is not None
    assert math.log(found.mean) == pytest.approx(0.2)
    assert math.log(found.high) == pytest.approx(0.2 + 2.91999 * 0.1 * math.sqrt(4 / 3), rel=1e-4)
    # Four networks let the ceiling count: the same as scipy's straight line through them
    known = [outcome(traits(f"net{i}", top=1 + i / 5), 1 + i / 9 + (i == 2) / 5) for i in range(1, 5)]
    line = stats.linregress(
        [math.log(each.traits.ceiling) for each in known], [math.log(each.speedup) for each in known]
    )
    found = predict(traits("new", top=1.5), "deba", known).speedup
    assert found is not None
    assert math.log(found.mean) == pytest.approx(line.intercept + line.slope * math.log(1.5))


def test_too_few_other_networks_are_no_ground_for_a_guess() -> None:
    assert predict(traits("new"), "deba", FULL[:2]).answer == "not known"
    assert predict(traits("new"), "adabatch", FULL).answer == "not known"
    assert predict(traits("net1"), "deba", FULL[:3]).networks == 2  # its own outcome does not count


def test_missing_noise_scale_is_no_obstacle() -> None:
    known = [replace(each, traits=replace(each.traits, noise_scale=None)) for each in FULL]
    found = predict(traits("new", noise=None), "deba", known).speedup
    assert found is not None
    assert math.isfinite(found.mean)
    assert predict(traits("new", score=None, noise=-3.0), "deba", FULL).speedup is not None


def test_checked_guesses_hold_the_network_out_and_count_right_ones() -> None:
    checked = leave_one_out(FULL)
    assert len(checked) == len(FULL)
    assert all(each.prediction.networks == 7 for each in checked)
    odd = [*FULL, outcome(traits("odd", top=1.85), 0.5)]
    (wrong,) = [each for each in leave_one_out(odd) if each.outcome.traits.architecture == "odd"]
    assert not wrong.right
    assert not wrong.inside
    assert leave_one_out(FULL[:3]) == []


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Four networks that were profiled and searched, one whose profile diverged, one only profiled."""
    store, profiles = Store(str(tmp_path)), ProfileStore(str(tmp_path))
    for number, name in enumerate(["resnet18", "vit_b_16", "alexnet", "vgg11", "resnet50", "densenet121"]):
        constant, deba = study_of("constant", name), study_of("deba", name)
        fast = speed_of(deba)
        small, large = fast.points
        points = (small, replace(large, step_seconds=large.step_seconds / (1.2 + number / 10)))
        profiles.write(replace(fast, points=points))
        steady = stability_of(deba)
        if name == "resnet50":
            steady = replace(steady, figures=(), diverged=1)
        else:
            figures = (
                Statistic("stability_score", None, 0.5 + number / 20, None, None),
                Statistic("noise_scale", None, 100.0 * (number + 1), None, None),
            )
            steady = replace(steady, figures=figures)
        profiles.write(steady)
        if name == "densenet121":
            continue
        for study, took in ((constant, 10.0), (deba, 10.0 / (1 + number / 10))):
            store.write_study(study)
            store.write_trial(replace(trial_of(study, 0, val_error=0.1, seconds=took), adaptations=3))
    return tmp_path


def test_outcomes_are_candidates_beside_their_references(results: Path) -> None:
    found = {each.traits.architecture: each for each in outcomes_of(Store(str(results)))}
    assert found.keys() == {"resnet18", "vit_b_16", "alexnet", "vgg11"}
    assert found["vgg11"].speedup == pytest.approx(1.3)
    assert found["vgg11"].error_change == 0
    assert not found["vgg11"].confirmed


def test_predict_lists_profiled_networks_with_ranges_and_says_what_they_mean(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["predict", "--results", str(results)])
    out = capsys.readouterr().out
    assert "densenet121" in out
    assert "resnet50" not in out  # its profile diverged, and predicts nothing
    assert "ceiling: throughput" in out
    words = ["--results", str(results), "--architecture", "densenet121", "--format", "json"]
    main(["predict", *words])
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    assert row["networks"] == 4
    assert row["ceiling"] > 1.05
    assert row["speedup_low"] <= row["speedup_mean"] <= row["speedup_high"]
    assert "adasearch predict --check" in out


def test_a_folder_with_too_few_searched_networks_is_not_sent_to_check_its_guesses(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("vgg11", "alexnet"):
        shutil.rmtree(results / study_of("deba", name).study)
    main(["predict", "--results", str(results)])
    out = capsys.readouterr().out
    assert "--check" not in out
    assert "to be told by 4 classifiers of your own" in " ".join(out.split())


def test_predict_check_tells_how_often_it_was_right(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["predict", "--check", "--results", str(results)])
    out = capsys.readouterr().out
    assert "of 4 right (always giving the commoner answer: 3)" in out
    assert "of 4 outcomes inside both 90 % ranges" in out


def test_network_without_profiles_is_refused_with_the_command_that_takes_them(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words, says in (
        (["--results", str(results), "--architecture", "vgg19"], "adasearch profile --architecture vgg19"),
        (["--results", str(results / "nowhere")], "nowhere"),
    ):
        with pytest.raises(SystemExit) as stop:
            main(["predict", *words])
        assert stop.value.code == 2
        assert says in capsys.readouterr().err


def test_too_few_outcomes_to_check_is_said(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    with pytest.raises(InputError, match="--check: to be told by 4 classifiers of your own"):
        predict_table(store, check=True)
    assert json.loads(predict_table(store, check=True, form="json"))["rows"] == []


def test_network_that_was_searched_on_several_data_sets_counts_once() -> None:
    once = [outcome(traits(f"net{i}"), math.exp(0.1 * (i + 1))) for i in range(3)]
    often = [replace(each, traits=replace(each.traits, dataset=f"set{n}")) for each in once for n in range(5)]
    assert predict(traits("new"), "deba", often) == predict(traits("new"), "deba", once)


def test_check_takes_no_choice_and_an_unknown_scheduler_is_refused(results: Path) -> None:
    store = Store(str(results))
    with pytest.raises(InputError, match="--check guesses every network"):
        predict_table(store, check=True, architectures=["alexnet"])
    with pytest.raises(InputError, match="unknown scheduler 'debba'; did you mean 'deba'"):
        predict_table(store, schedulers=["debba"])


def test_outcome_without_a_finished_reference_is_the_searchs(results: Path) -> None:
    store, deba = Store(str(results)), study_of("deba", "vgg11")
    made = trial_of(deba, 0, val_error=0.3, seconds=1.0, phase="confirm")
    source = f"{deba.study}-search-0"
    store.write_trial(replace(made, role="candidate", source_trial_id=source, test_error=0.3))
    (found,) = [each for each in outcomes_of(store) if each.traits.architecture == "vgg11"]
    assert found.speedup == pytest.approx(1.3)
    assert not found.confirmed


def test_speed_ups_are_guessed_and_told_at_equal_error_only(results: Path) -> None:
    store = Store(str(results))
    for name in ("alexnet", "vgg11", "resnet18", "vit_b_16"):
        study = study_of("deba", name)
        (trial,) = store.trials(study.study)
        store.write_trial(replace(trial, val_error=0.2))  # ten points above the reference
    checked = json.loads(predict_table(store, check=True, form="json"))["rows"]
    assert {row["speedup_found"] for row in checked if row["error_change_found"] > 0.01} == {None}
    guessed = json.loads(predict_table(store, architectures=["densenet121"], form="json"))["rows"]
    assert [(row["speedup_mean"], row["speedup_low"]) for row in guessed] == [(None, None)]
    assert guessed[0]["error_change_low"] > 0.01


STUDY = Path(__file__).parents[2] / "notebooks" / "data"


def test_shipped_outcomes_are_those_of_the_stored_study() -> None:
    stored = {(each.traits.architecture, each.scheduler): each for each in outcomes_of(Store(str(STUDY)))}
    shipped = {(each.traits.architecture, each.scheduler): each for each in shipped_outcomes()}
    assert shipped.keys() == stored.keys()
    for key, each in shipped.items():
        assert (each.speedup, each.error_change) == pytest.approx(
            (stored[key].speedup, stored[key].error_change)
        )
        assert each.traits.ceiling == pytest.approx(stored[key].traits.ceiling)


def test_folder_that_knows_too_few_networks_guesses_from_the_shipped_study(results: Path) -> None:
    alone = Store(str(results))
    assert "study that comes with adasearch" not in predict_table(alone, architectures=["densenet121"])
    for folder in ("resnet18-nano-deba-digits", "vit_b_16-nano-deba-digits"):
        shutil.rmtree(results / folder)
    text = predict_table(alone, architectures=["densenet121"])
    assert "study that comes with adasearch" in text
    assert "densenet121 nano: still rising at the largest timed size 64" in text
    (row,) = json.loads(predict_table(alone, architectures=["densenet121"], form="json"))["rows"]
    assert row["networks"] == 2 + 4  # alexnet is known here, so it counts as it was here
    assert row["answer"] != "not known"


def test_noise_scale_of_text_is_told_in_tokens_and_kept_in_sequences(tmp_path: Path) -> None:
    study, profiles = study_of("constant", "gpt"), ProfileStore(str(tmp_path))
    figures = (Statistic("noise_scale", None, 12.5, None, None),)
    for found in (speed_of(study), replace(stability_of(study), figures=figures)):
        profiles.write(replace(found, setting=replace(found.setting, sequence_length=64)))
    text = predict_table(Store(str(tmp_path)))
    heading, row = text.splitlines()[1:3]
    assert "noise scale (tokens)" in heading
    assert " 800 " in row
    (told,) = json.loads(predict_table(Store(str(tmp_path)), form="json"))["rows"]
    assert told["noise_scale"] == 12.5
    images = study_of("constant")
    profiles.write(replace(stability_of(images), figures=figures))
    profiles.write(speed_of(images, "other"))
    both = predict_table(Store(str(tmp_path)))
    assert "noise scale (tokens or examples)" in both
