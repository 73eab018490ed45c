"""Replay: what a scheduler would have decided on the signals of a stored run."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from adasearch.analysis.replay import virtual_decisions
from adasearch.cli.main import main
from adasearch.commands import replay
from adasearch.commands._replay import NOTE
from adasearch.data.load import load_dataset
from adasearch.environment import versions
from adasearch.errors import InputError
from adasearch.plots.replay import replay_sizes
from adasearch.records import Decision, IntervalRecord, Limits, Signals, TrialRecord
from adasearch.schedulers import make_scheduler
from adasearch.schedulers.adabatch import AdaBatch
from adasearch.schedulers.deba import Deba
from adasearch.store import Store
from adasearch.store.trials import close_trial
from adasearch.studies.request import Request
from adasearch.studies.resolve import resolve
from adasearch.training.config import TrainConfig
from adasearch.training.loop import train
from tests.rows import trial_of

DEBA = ("rule=settle", "confidence_threshold=3", "stability_threshold=5", "cooldown=2")
RUNS: dict[str, tuple[str, ...]] = {"constant": (), "deba": DEBA, "adabatch": ("period=1",)}


@dataclass(frozen=True)
class Stored:
    """A results folder with one finished trial per scheduler."""

    folder: Path
    trials: dict[str, TrialRecord]
    intervals: dict[str, list[IntervalRecord]]
    limits: Limits

    @property
    def store(self) -> Store:
        return Store(str(self.folder))

    def rows(self, run: str, scheduler: str, fixed: Sequence[str] = ()) -> list[dict[str, object]]:
        text = replay(self.store, self.trials[run].trial_id, scheduler, fixed=fixed, form="json")
        rows: list[dict[str, object]] = json.loads(text)["rows"]
        return rows


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Stored:
    folder = tmp_path_factory.mktemp("results")
    store = Store(str(folder))
    trials: dict[str, TrialRecord] = {}
    intervals: dict[str, list[IntervalRecord]] = {}
    for scheduler, fixed in RUNS.items():
        request = Request(
            architectures=("mobilenet_v3_small",),
            schedulers=(scheduler,),
            baseline=False,
            subset=120,
            epochs=3,
            interval="0.25",
            largest=64,
            fixed=("train/batch_size=16", *(f"scheduler/{text}" for text in fixed)),
        )
        (study,) = resolve(request, store.study, lambda text: None)
        record = study.record
        spaces = (study.train_space, study.scheduler_space)
        params = {name: value for space in spaces for name, value in (space.fixed() | space.first()).items()}
        begun = trial_of(record, 0, status="running", params=params)
        trial = replace(begun, versions=versions())
        rule = make_scheduler(scheduler, trial.fields_of("scheduler"))
        records = list(train(TrainConfig.of(record, trial), rule, record.limits, load_dataset(study.data)))
        store.write_study(record)
        store.write_intervals(trial, records)
        store.write_trial(close_trial(trial, records, status="complete", ended_at=datetime.now(timezone.utc)))
        trials[scheduler], intervals[scheduler] = trial, records
    return Stored(folder, trials, intervals, record.limits)


@pytest.mark.parametrize("scheduler", RUNS)
def test_replay_of_a_run_with_its_own_scheduler_gives_its_own_decisions(
    stored: Stored, scheduler: str
) -> None:
    trial = stored.trials[scheduler]
    rule = make_scheduler(scheduler, trial.fields_of("scheduler"))
    made = [record for record in stored.intervals[scheduler] if record.decided]
    decisions = virtual_decisions([record.signals for record in made], rule, stored.limits)
    assert decisions == [record.decision for record in made]
    assert len(made) == len(stored.intervals[scheduler]) - 1  # the last ended the run
    if scheduler != "constant":
        assert len({decision.batch_size for decision in decisions}) > 1
    for row in stored.rows(scheduler, scheduler):
        for name in ("batch_size", "next_batch_size", "next_lr_scale", "action", "reason"):
            assert row[name] == row[f"replayed_{name}"]


def test_sizes_and_factors_are_the_replayed_schedulers_own(stored: Stored) -> None:
    rows = stored.rows(
        "constant", "adabatch", ["scheduler/period=1", "scheduler/growth=2", "scheduler/lr_decay=0.5"]
    )
    changes = [row for row in rows if row["replayed_action"] == "grow"]
    assert {row["next_batch_size"] for row in rows} == {16}
    assert [(row["replayed_batch_size"], row["replayed_next_batch_size"]) for row in changes] == [
        (16, 32),
        (32, 64),
    ]
    assert [row["replayed_next_lr_scale"] for row in changes] == [1.0, 1.0]  # 0.5 for twice the size
    sizes = [row["replayed_batch_size"] for row in rows]
    assert sizes[1:] == [row["replayed_next_batch_size"] for row in rows][:-1]


def test_virtual_history_is_what_the_scheduler_sees() -> None:
    def row(interval: int, lr_scale: float) -> Signals:
        return Signals(
            interval=interval,
            epoch=interval + 1.0,
            step=interval + 1,
            examples_seen=(interval + 1) * 100,
            initial_batch_size=16,
            batch_size=24,
            lr=0.2 * lr_scale,
            lr_scale=lr_scale,
            train_loss=1.0,
        )

    seen: list[Signals] = []

    @dataclass(frozen=True)
    class Doubles:
        needs = frozenset[str]()
        lr_schedules = frozenset({"constant"})

        def decide(self, history: Sequence[Signals], limits: Limits) -> Decision:
            seen.append(history[-1])
            size = min(2 * history[-1].batch_size, limits.largest)
            return Decision(batch_size=size, lr_scale=0.5, action="grow", reason="twice")

    virtual_decisions([row(0, 1.0), row(1, 4.0)], Doubles(), Limits(smallest=16, largest=512))
    assert [(one.batch_size, one.lr_scale, one.lr) for one in seen] == [(16, 1.0, 0.2), (32, 0.5, 0.1)]
    assert [one.train_loss for one in seen] == [1.0, 1.0]


def test_table_says_that_it_shows_decisions_and_not_outcomes(
    stored: Stored, capsys: pytest.CaptureFixture[str]
) -> None:
    trial_id = stored.trials["deba"].trial_id
    command = [
        "replay",
        trial_id,
        "--scheduler",
        "deba",
        "--set",
        "scheduler/cooldown=1",
        "--results",
        str(stored.folder),
    ]
    for form in ("text", "markdown", "csv", "json"):
        assert call([*command, "--format", form]) == 0
        printed = capsys.readouterr()
        assert NOTE in (printed.err if form in ("csv", "json") else printed.out)
        assert "c=" in printed.out


def call(arguments: list[str]) -> int:
    """Run the command line and return its exit code."""
    try:
        main(arguments)
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def test_signals_that_the_run_did_not_measure_are_all_named(
    stored: Stored, capsys: pytest.CaptureFixture[str]
) -> None:
    trial_id = stored.trials["constant"].trial_id
    assert call(["replay", trial_id, "--scheduler", "deba", "--results", str(stored.folder)]) == 2
    message = capsys.readouterr().err
    assert f"needs what {trial_id} did not measure: grad_component_variance, grad_norm\n" in message
    assert call(["replay", trial_id, "--scheduler", "plateau", "--results", str(stored.folder)]) == 2
    assert re.search(r"did not measure: val_loss \(in \d of \d+ intervals\)", capsys.readouterr().err)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing", "--scheduler", "deba"], "unknown trial 'nothing'"),
        (["RUN", "--scheduler", "debba"], "unknown scheduler 'debba'; did you mean 'deba'?"),
        (["RUN", "--scheduler", "deba", "--set", "scheduler/grow=2"], "did you mean 'growth'?"),
        (["RUN", "--scheduler", "deba", "--set", "scheduler/growth=0.5"], "growth must be greater than 1"),
        (["RUN", "--scheduler", "deba", "--set", "train/lr=0.5"], "must be scheduler/FIELD=VALUE but got"),
        (["RUN", "--scheduler", "deba", "--set", "growth=2"], "scheduler/FIELD=VALUE but got 'growth=2'"),
        (["RUN", "--scheduler", "deba", "--largest", "64"], "give both --smallest and --largest"),
        (["RUN", "--scheduler", "deba", "--smallest", "9", "--largest", "8"], "largest must be at least"),
        (["RUN", "--scheduler", "deba", "--smallest", "32", "--largest", "64"], "began with 16, outside"),
        (["RUN", "--scheduler", "deba", "--plot", "course.nonsense"], "course.nonsense"),
    ],
)
def test_bad_input_is_refused_in_one_line(
    stored: Stored, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    given = [stored.trials["deba"].trial_id if word == "RUN" else word for word in arguments]
    assert call(["replay", *given, "--results", str(stored.folder)]) == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert printed.count("\n") == 1


def test_limits_can_be_given(stored: Stored) -> None:
    trial = stored.trials["deba"]
    text = replay(stored.store, trial.trial_id, "deba", limits=Limits(smallest=16, largest=17), form="json")
    assert {row["replayed_next_batch_size"] for row in json.loads(text)["rows"]} == {16, 17}


def test_run_whose_study_is_not_stored_asks_for_limits(stored: Stored, tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    trial = replace(stored.trials["deba"], trial_id="lone-train-0", study="lone", phase="train")
    store.write_trial(trial)
    store.write_intervals(trial, stored.intervals["deba"])
    with pytest.raises(InputError, match="give --smallest and --largest"):
        replay(store, "lone-train-0", "deba")
    assert "lone-train-0" in replay(store, "lone-train-0", "deba", limits=stored.limits)


def test_foreign_learning_rate_curve_is_told(stored: Stored) -> None:
    store, trial = stored.store, stored.trials["deba"]
    curve = trial.params["train/lr_schedule"]
    text = replay(store, trial.trial_id, "adabatch")
    told = f"adabatch would not run with this trial's lr_schedule {curve}" in text
    assert told == (curve not in AdaBatch().lr_schedules)
    assert "would not run" not in replay(store, trial.trial_id, "deba")


def test_what_ended_a_run_is_no_decision(stored: Stored) -> None:
    """A flag says so, not the text of a reason, which a scheduler of one's own may give as well."""
    records = stored.intervals["deba"]
    assert [record.decided for record in records] == [True] * (len(records) - 1) + [False]


def test_plot_shows_both_courses(stored: Stored, tmp_path: Path) -> None:
    trial = stored.trials["deba"]
    made = [record for record in stored.intervals["deba"] if record.decided]
    rule = Deba(stability_threshold=1e-9)
    decisions = virtual_decisions([record.signals for record in made], rule, stored.limits)
    figure = replay_sizes(trial, made, "deba", decisions)
    assert isinstance(figure, Figure)
    (axes,) = figure.axes
    drawn = {line.get_gid(): list(line.get_ydata()) for line in axes.lines}  # type: ignore[arg-type]
    assert drawn["run: deba"] == [16, *(record.decision.batch_size for record in made)]
    assert drawn["replay: deba"] == [16, *(decision.batch_size for decision in decisions)]
    assert "decisions, not outcomes" in axes.get_title(loc="left")
    file = tmp_path / "course.png"
    replay(stored.store, trial.trial_id, "deba", plot=str(file))
    assert file.stat().st_size > 1000
