import json
import shutil
import signal
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from adasearch.analysis.compare import compare
from adasearch.analysis.selection import Pick, pick_trials
from adasearch.choices import Controls
from adasearch.cli.main import main
from adasearch.data.load import load_dataset
from adasearch.data.spec import DataSpec
from adasearch.errors import AdasearchError, InputError
from adasearch.records import Limits, Status, TrialRecord
from adasearch.schedulers import make_scheduler
from adasearch.schedulers.points import Point
from adasearch.store import Store
from adasearch.store.trials import close_trial
from adasearch.studies.confirmation import Job, jobs_of
from adasearch.studies.controls import FRESH, ConfirmRun, confirm_runs_of, matched, spread
from adasearch.training.config import Hyperparameters, TrainConfig
from adasearch.training.loop import train
from adasearch.tuning.fixed_source import FixedSource
from adasearch.tuning.trial_source import TrialPlan
from tests.commands.test_search import Finished, adasearch, run, wait_for
from tests.rows import START, study_of, trial_of

STUDY = "resnet18-nano-deba-digits"
CONSTANT, DEBA = study_of("constant"), study_of("deba")
SETTINGS = {"train/lr": 0.1, "train/batch_size": 32}
DEFAULT = trial_of(CONSTANT, 0, val_error=0.12, seconds=60, params=SETTINGS)
REFERENCE = trial_of(
    CONSTANT, 1, val_error=0.10, seconds=50, params={"train/lr": 0.2, "train/batch_size": 48}
)
CANDIDATE = replace(
    trial_of(DEBA, 3, val_error=0.11, seconds=40, params={**SETTINGS, "scheduler/window": 5}),
    adaptations=2,
    mean_batch_size=50.6,
)
GROWTH = [Point(400, 64, 1.0), Point(1200, 96, 1.0)]
PICK = Pick(
    trial=CANDIDATE,
    verdict="not confirmed",
    stands_in=False,
    error_bound=0.13,
    reference=REFERENCE,
    default=DEFAULT,
)


def controls_of(
    path: Sequence[Point] = GROWTH,
    pick: Pick = PICK,
    *,
    controls: Controls = "matched",
    adabatch: TrialRecord | None = None,
) -> dict[str, ConfirmRun]:
    runs = matched(DEBA, CANDIDATE, path, pick, controls=controls, adabatch=adabatch)
    assert len({run.role for run in runs}) == len(runs)
    return {run.role: run for run in runs}


# --- controls ---------------------------------------------------------------------------------------


def test_candidate_reference_and_default_are_run_as_they_were() -> None:
    runs = controls_of()
    assert list(runs) == ["candidate", "reference", "default", "mean_batch", "decay"]
    for role, trial in (("candidate", CANDIDATE), ("reference", REFERENCE), ("default", DEFAULT)):
        assert dict(runs[role].params) == trial.params
        assert (runs[role].scheduler, runs[role].source_trial_id) == (trial.scheduler, trial.trial_id)


def test_mean_batch_is_rounded_and_stays() -> None:
    run = controls_of()["mean_batch"]
    assert (run.scheduler, dict(run.params)) == ("constant", SETTINGS | {"train/batch_size": 51})


def test_decay_takes_the_ratio_of_rate_to_batch_along_the_path() -> None:
    run = controls_of()["decay"]
    points = f"32*{32 / 64!r}@400, 32*{32 / 96!r}@1200"
    assert (run.scheduler, dict(run.params)) == ("ramp", SETTINGS | {"scheduler/points": points})
    # A candidate that scales its rate with the batch keeps the ratio: its control is a constant run.
    linear = dict(controls_of([Point(400, 64, 2.0)])["decay"].params)
    assert linear["scheduler/points"] == "32@400"


def test_mean_batch_keeps_a_course_of_the_learning_rate() -> None:
    run = controls_of([Point(400, 64, 0.75), Point(800, 96, 0.5)])["mean_batch"]
    assert run.scheduler == "ramp"
    assert dict(run.params)["scheduler/points"] == "51*0.75@400, 51*0.5@800"


def test_what_would_be_the_same_run_is_left_out() -> None:
    same = replace(PICK, default=REFERENCE)
    assert list(controls_of([], same)) == ["candidate", "reference"]
    tried_again = replace(REFERENCE, trial_id="again", number=2, seed=2)  # by a grid that was over
    again = replace(PICK, default=tried_again)
    assert list(controls_of([], again)) == ["candidate", "reference"]
    assert list(controls_of([], replace(again, reference=CANDIDATE))) == ["candidate", "default"]
    assert list(controls_of([], replace(PICK, reference=None, default=None))) == ["candidate"]


def test_all_controls_add_the_largest_batch_and_adabatch() -> None:
    tuned = replace(CANDIDATE, scheduler="adabatch", trial_id="tuned")
    runs = controls_of(controls="all", adabatch=tuned)
    assert list(runs)[5:] == ["largest", "adabatch", "adabatch_tuned"]
    largest = dict(runs["largest"].params)
    assert largest["train/batch_size"] == 96
    assert largest["train/lr"] == pytest.approx(0.4)  # 0.2 * 96 / 48
    paper = dict(runs["adabatch"].params)
    assert (paper["train/lr_schedule"], paper["scheduler/period"]) == ("constant", 0.8)  # 4 epochs / 5
    assert runs["adabatch_tuned"].source_trial_id == "tuned"
    fields = {name.partition("/")[2]: value for name, value in paper.items() if "scheduler/" in name}
    make_scheduler("adabatch", fields)


def test_runs_are_spread_seed_by_seed_with_another_one_first() -> None:
    runs = spread(DEBA, list(controls_of().values()), 3)
    assert [run.seed for run in runs] == sorted([FRESH, FRESH + 1, FRESH + 2] * 5)
    assert [run.role for run in runs[::5]] == ["candidate", "reference", "default"]
    assert set(Counter(run.role for run in runs).values()) == {3}


# --- the test split ---------------------------------------------------------------------------------


def test_only_a_run_that_asks_for_it_is_tested_and_at_its_end_alone() -> None:
    data = load_dataset(DataSpec(source="digits", subset=120), include_test=True)
    config = TrainConfig(
        architecture="resnet18",
        scale="nano",
        seed=0,
        hyperparameters=Hyperparameters(batch_size=16),
        budget=80,
        interval=40,
        evaluate_every=40,
    )
    limits = Limits(smallest=16, largest=64)
    tested = list(train(replace(config, test=True), make_scheduler("constant", {}), limits, data))
    plain = list(train(config, make_scheduler("constant", {}), limits, data))
    assert [record.test_error for record in tested[:-1]] == [None] * (len(tested) - 1)
    error = tested[-1].test_error
    assert error is not None
    assert 0 <= error <= 1
    assert [record.signals for record in plain] == [record.signals for record in tested]
    assert {record.test_error for record in plain} == {None}
    closed = close_trial(CANDIDATE, tested, status="complete", ended_at=START)
    assert (closed.test_error, closed.val_error) == (error, tested[-1].val_error)


# --- what is there already --------------------------------------------------------------------------


def source_of(seeds: int, stored: Sequence[TrialRecord] = ()) -> FixedSource:
    runs = spread(DEBA, list(controls_of().values()), seeds)
    data = DataSpec(source="digits")
    plan = TrialPlan(study=DEBA, data=data, trials=len(runs), stored=stored, intervals={})
    return FixedSource(plan, runs)


def test_runs_are_asked_for_in_order_with_role_source_and_seed() -> None:
    source = source_of(2)
    assert source.left == 10
    asked = [source.ask() for _ in range(10)]
    assert [trial.number for trial in asked] == list(range(10))
    assert asked[0].trial_id == f"{STUDY}-confirm-0"
    assert (asked[1].role, asked[1].scheduler, asked[1].seed) == ("reference", "constant", FRESH)
    assert asked[1].source_trial_id == REFERENCE.trial_id
    assert {trial.phase for trial in asked} == {"confirm"}
    assert source.left == 0
    ended = replace(asked[0], status="complete", val_error=float("nan"))
    assert source.tell(ended) == ended


def test_what_ended_is_not_run_again_and_what_was_cut_keeps_its_number() -> None:
    first = source_of(2)
    asked = [first.ask() for _ in range(4)]
    statuses: tuple[Status, ...] = ("complete", "complete", "failed", "running")
    stored = [replace(trial, status=status) for trial, status in zip(asked, statuses, strict=True)]
    again = source_of(2, [*stored, trial_of(DEBA, 99)])
    assert again.left == 7
    rest = [again.ask() for _ in range(7)]
    assert [trial.number for trial in rest] == [3, 4, 5, 6, 7, 8, 9]
    assert (rest[0].trial_id, rest[0].role) == (asked[3].trial_id, asked[3].role)
    assert source_of(3, [replace(t, status="complete") for t in [*asked, *rest]]).left == 5


def test_estimate_counts_what_is_left() -> None:
    runs = spread(DEBA, list(controls_of().values()), 2)
    sources = {trial.trial_id: trial for trial in (CANDIDATE, REFERENCE, DEFAULT)}
    job = Job(study=DEBA, runs=runs, stored=[], sources=sources)
    assert job.seconds == 2 * (40 + 50 + 60 + 40 + 60)  # a decay is reckoned as the slowest
    done = [replace(t, status="complete") for t in (source_of(2).ask(),)]
    assert replace(job, stored=done).seconds == job.seconds - 40
    assert len(confirm_runs_of(done)) == 1


# --- from the store ---------------------------------------------------------------------------------


def jobs(
    store: Store, studies: Sequence[str] = (), trials: Sequence[str] = (), controls: Controls = "matched"
) -> list[Job]:
    return jobs_of(store, studies, trials, seeds=2, controls=controls, console=Console(quiet=True))


def test_each_adaptive_studys_candidate_is_confirmed(small_results: Path) -> None:
    store = Store(str(small_results))
    (job,) = jobs(store)
    studies = store.studies()
    trials = [trial for study in studies for trial in store.trials(study.study)]
    pick = pick_trials(studies, trials)[STUDY]
    assert pick.trial is not None
    assert job.study.study == STUDY
    assert {run.source_trial_id for run in job.runs if run.role == "candidate"} == {pick.trial.trial_id}
    assert {run.seed for run in job.runs}.isdisjoint({trial.seed for trial in trials})
    assert job.outstanding == job.runs


def test_named_trials_are_confirmed_and_share_their_controls(small_results: Path) -> None:
    names = [f"{STUDY}-search-{n}" for n in (0, 1)]
    (job,) = jobs(Store(str(small_results)), trials=names)
    roles = Counter(run.role for run in job.runs)
    assert roles["candidate"] == roles["decay"] == 4
    assert roles["reference"] == 2


@pytest.mark.parametrize(
    ("studies", "trials", "says"),
    [
        (["resnet18-nano-debba-digits"], [], "unknown study .*; did you mean"),
        ([], [f"{STUDY}-search-9"], "unknown complete trial"),
        (["resnet18-nano-constant-digits"], [], "there is nothing to confirm"),
    ],
)
def test_confirm_refuses(small_results: Path, studies: list[str], trials: list[str], says: str) -> None:
    with pytest.raises(InputError, match=says):
        jobs(Store(str(small_results)), studies, trials)


def test_unfinished_study_is_nothing_to_confirm(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    for study in (CONSTANT, DEBA):
        store.write_study(study)
    store.write_trial(trial_of(DEBA, 0, status="running"))
    with pytest.raises(InputError, match="no adaptive study has a complete trial"):
        jobs(store)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--seeds", "0"], "--seeds must be at least 1 but got 0"),
        (["--controls", "some"], "'some' is not one of"),
        (["--slots", "0"], "--slots must be at least 1 but got 0"),
        (["--results", "nowhere"], "results 'nowhere' must be an existing folder"),
    ],
)
def test_command_refuses_in_one_line(
    small_results: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["confirm", "--results", str(small_results), *arguments])
    assert stop.value.code == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"fingerprint": "f00d"}, "was searched on data with fingerprint f00d"),
        ({"val_examples": 7}, "and validated on 7 examples, but of digits there are now"),
    ],
    ids=["images", "split"],
)
def test_data_that_changed_are_refused(
    small_results: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: dict[str, Any],
    says: str,
) -> None:
    results = tmp_path / "results"
    shutil.copytree(small_results, results)
    store = Store(str(results))
    for study in store.studies():
        store.write_study(replace(study, **change))
    with pytest.raises(SystemExit) as stop:
        main(["confirm", "--results", str(results)])
    assert stop.value.code == 2
    assert says in capsys.readouterr().err


def test_confirming_runs_are_no_trials_of_the_search(
    small_results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_ray(address: str | None, **options: object) -> None:
        raise AdasearchError("a search goes on")

    monkeypatch.setattr("adasearch.tuning.cluster.connect", no_ray)
    results = str(tmp_path / "results")
    shutil.copytree(small_results, results)
    store = Store(results)
    for study in store.studies():
        made = replace(trial_of(study, 0, phase="confirm", val_error=0.1), params=SETTINGS)
        store.write_trial(replace(made, role="candidate", source_trial_id="gone"))
    command = [
        "search",
        "--architecture",
        "resnet18",
        "--scheduler",
        "deba",
        "--results",
        results,
        "--trials",
    ]
    main([*command, "2"])
    with pytest.raises(SystemExit) as stop:
        main([*command, "3"])
    assert stop.value.code == 1
    assert "a search goes on" in capsys.readouterr().err
    main(["list", "studies", "--results", results])
    assert "runs of confirm" in capsys.readouterr().out


# --- on real workers --------------------------------------------------------------------------------


def confirming(results: Path) -> list[TrialRecord]:
    return [trial for trial in Store(str(results)).trials(STUDY) if trial.phase == "confirm"]


@pytest.mark.ray
def test_confirm_goes_on_after_ctrl_c_and_compare_tells_what_came_of_it(
    small_results: Path, tmp_path: Path
) -> None:
    shutil.copytree(small_results, tmp_path / "results")
    results = tmp_path / "results"
    command = ["confirm", "--seeds", "2", "--slots", "1"]

    def ended() -> list[TrialRecord]:
        return [trial for trial in confirming(results) if trial.status != "running"]

    first = adasearch(*command, cwd=tmp_path)
    wait_for(lambda: len(ended()) >= 2, first)
    first.send_signal(signal.SIGINT)
    out, err = first.communicate(timeout=120)
    assert first.returncode == 130, (out, err)
    assert "To go on: adasearch confirm --seeds 2 --slots 1" in err
    assert "runs to make, about" in out
    before = {trial.trial_id: trial for trial in ended()}

    second: Finished = run(*command, cwd=tmp_path)
    assert second.code == 0, second.err
    trials = confirming(results)
    assert {trial.status for trial in trials} == {"complete"}
    assert {trial.trial_id: trial for trial in trials if trial.trial_id in before} == before
    roles = Counter(trial.role for trial in trials)  # the reference may be the default: then it runs once
    assert set(roles) - {"default"} == {"candidate", "reference", "mean_batch", "decay"}
    assert set(roles.values()) == {2}
    assert all(trial.test_error is not None and trial.source_trial_id for trial in trials)
    searched = [trial for trial in Store(str(results)).trials(STUDY) if trial.phase == "search"]
    assert all(trial.test_error is None for trial in searched)  # the test split is used here alone
    # As it would have been without the interruption: seed by seed.
    ordered = sorted(trials, key=lambda trial: trial.number)
    assert [trial.seed - FRESH for trial in ordered] == [0] * len(roles) + [1] * len(roles)
    assert second.out.index("Confirmed: fresh seeds, test split") < second.out.index("Search: one seed")
    assert "too few seeds" in second.out

    rows = json.loads(compare(Store(str(results)), form="json"))["rows"]
    rows = [row for row in rows if row["table"] != "search"]
    assert [row["seeds"] for row in rows] == [2] * 5
    decays = [trial for trial in trials if trial.role == "decay"]
    assert all(trial.mean_batch_size == 16 and trial.scheduler == "ramp" for trial in decays)
