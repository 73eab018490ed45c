"""Counts of a language task on every screen: in tokens, while what is stored counts sequences."""

import csv
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from adasearch.analysis.compare import compare
from adasearch.analysis.gather import gather
from adasearch.analysis.prediction_table import predict_table
from adasearch.analysis.profile_tables import profile_tables
from adasearch.callbacks import no_progress
from adasearch.commands import catalogue, export, replay, watch
from adasearch.io.progress import Goal, SearchDisplay
from adasearch.plots import batch_sizes, deba_signals, replay_sizes
from adasearch.profiles.profile import Statistic, here, profile_command
from adasearch.profiles.profile_store import ProfileStore
from adasearch.records import IntervalRecord, StudyRecord, TrialRecord
from adasearch.report import report
from adasearch.runs.execute import interval_line
from adasearch.schedulers.export_forms import SizePath, exported
from adasearch.schedulers.points import Point
from adasearch.store import Store
from tests.analysis.test_confirmed import SEARCH, case
from tests.plots.figures import across, deba_run, up
from tests.profile_rows import speed_of, stability_of
from tests.rows import interval_at, study_of, trial_of

LENGTH = 128
CANDIDATE = "resnet18-nano-deba-digits-search-0"


def language(study: StudyRecord) -> StudyRecord:
    return replace(study, task="language", objective="loss", sequence_length=LENGTH, dataset="python_source")


def as_loss(trial: TrialRecord) -> TrialRecord:
    tested = None if trial.test_error is None else 20 * trial.test_error
    known = None if trial.val_error is None else 20 * trial.val_error
    sizes = {"mean_batch_size": 40.0, "final_batch_size": 72}
    return replace(trial, objective="loss", val_error=known, test_error=tested, **sizes)  # type: ignore[arg-type]


def course(trial: TrialRecord) -> list[IntervalRecord]:
    """Four intervals, the last of which grows; the third reaches the target."""
    rows = [
        interval_at(n, val_error=error, seconds=10, action="grow" if n == 2 else "hold")
        for n, error in enumerate((4.0, 3.0, 1.0, trial.known_error))
    ]
    return [replace(row, metrics={"bits_per_byte": 1.5 + n}) for n, row in enumerate(rows)]


CONSTANT, DEBA = language(study_of("constant")), language(study_of("deba"))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A search of a language model, and what confirmed it."""
    written = Store(str(tmp_path / "results"))
    for study in (CONSTANT, DEBA):
        written.write_study(study)
    for trial in map(as_loss, [*SEARCH, *case()]):
        written.write_trial(trial)
        if trial.status == "complete":
            written.write_intervals(trial, course(trial))
    return written


def table_of(text: str, title: str) -> tuple[str, list[str]]:
    """Return header and rows of a table for people."""
    _, _, rest = text.partition(title)
    head, *rows = rest.partition("\n\n")[0].strip().splitlines()
    return head, rows


def test_tables_of_a_search_and_of_what_confirmed_it_count_tokens(store: Store) -> None:
    text = compare(store)
    head, (_, deba) = table_of(text, "Search: one seed, validation split")
    assert "val loss  bits per byte" in head
    assert "mean batch (tokens)  final batch (tokens)" in head
    assert deba.split()[3] == "4.5"  # of the last interval
    assert {"5,120", "9,216"} <= {*deba.split()}
    head, (deba,) = table_of(text, "What the candidates took")
    assert " tokens " in head
    assert "examples" not in head
    assert "mean batch (tokens)  final batch (tokens)" in head
    assert {"153,600", "5,120", "9,216"} <= {*deba.split()}  # 1,200 sequences to the target
    head, rows = table_of(text, "The candidates against their controls")
    assert "batch (tokens)" in head
    assert all("5,120" in row.split() for row in rows)
    assert "nats per token" in text
    assert "settings count sequences, as flags do, of 128 tokens" in " ".join(text.split())


def test_tables_for_machines_count_sequences_and_say_how_long_they_are(store: Store) -> None:
    rows = json.loads(compare(store, form="json"))["rows"]
    assert {row["mean_batch_size"] for row in rows} == {40.0}
    assert {row["sequence_length"] for row in rows} == {LENGTH}
    assert {row["bits_per_byte"] for row in rows if row["table"] == "search"} == {4.5}
    assert list(rows[0])[-3:] == ["objective", "sequence_length", "bits_per_byte"]
    (first, *_) = csv.DictReader(io.StringIO(compare(store, form="csv")))
    assert (first["final_batch_size"], first["sequence_length"]) == ("72.0", "128")


def test_tables_of_images_have_neither_unit_nor_length(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "results"))
    for scheduler in ("constant", "deba"):
        store.write_study(study_of(scheduler))
    for trial in SEARCH:
        store.write_trial(trial)
    assert "(tokens)" not in compare(store)
    assert "sequence" not in compare(store, form="json")


def test_report_counts_tokens(store: Store, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    report(store, output=str(file), progress=no_progress)
    page = file.read_text()
    for said in (
        "Course over tokens",
        "training tokens seen",
        "batch size (tokens)",
        "val loss (nats per token)",
        "validation loss (nats per token)",
        "after 153,600 tokens: grow 4,096 → 6,144 (32 → 48 sequences): because",
        "python_source: 51,200 to train, 12,800 to validate",
        "4 epochs, 204,800 tokens",
        "51,200 tokens, 1 epochs",
        "2,048 to 12,288 tokens",
        "settings count sequences, as flags do, of 128 tokens",
    ):
        assert said in page, said
    assert "examples seen" not in page


def test_figures_of_a_run_count_tokens() -> None:
    trial, rows = deba_run()
    decided = [row.decision for row in rows]
    for figure in (
        batch_sizes(trial, rows, sequence_length=LENGTH),
        replay_sizes(trial, rows, "deba", decided, sequence_length=LENGTH),
    ):
        (axes,) = figure.axes
        assert axes.get_xlabel() == "training tokens seen"
        assert axes.get_ylabel() == "batch size\n(tokens per step)"
        line = axes.get_lines()[0]
        assert across(line)[-1] == LENGTH * rows[-1].signals.examples_seen
        assert up(line)[0] == LENGTH * rows[0].signals.batch_size
    reasons = batch_sizes(trial, rows, sequence_length=LENGTH).get_supxlabel()
    assert "4,096 → 6,144 (32 → 48 sequences)" in reasons
    assert deba_signals(trial, rows, sequence_length=LENGTH).axes[-1].get_xlabel() == "training tokens seen"


def test_line_of_an_interval_says_its_size_in_sequences_too_which_the_reason_counts() -> None:
    line = interval_line(interval_at(0, action="grow"), "loss", LENGTH)
    assert line.startswith("tokens      51,200  batch   4,096  lr")
    assert line.endswith("grow to 6,144 (48 sequences): because")
    assert interval_line(interval_at(0, action="grow")).endswith("grow to 48: because")


@pytest.mark.parametrize("terminal", [False, True])
def test_running_search_shows_tokens(terminal: bool) -> None:
    out = io.StringIO()
    goal = Goal(study=DEBA.study, budget=1600, trials=2, finished=0, best=None, sequence_length=LENGTH)
    trial = trial_of(DEBA, 0, status="running")
    console = Console(file=out, width=200, force_terminal=terminal, color_system=None)
    with SearchDisplay(console, [goal]) as display:
        display.started(trial)
        display.progressed(trial, interval_at(0, action="grow"))
        console.print(display)
        display.ended(replace(trial, status="complete", val_error=2.5, adaptations=1, final_batch_size=48))
    assert "batch (tokens)" in out.getvalue()
    assert "6,144" in out.getvalue()
    assert "1 change to batch 6,144 tokens" in out.getvalue()


@pytest.mark.parametrize("terminal", [False, True])
def test_watch_shows_tokens(store: Store, terminal: bool) -> None:
    running = trial_of(DEBA, 50, status="running")
    store.write_trial(running)
    store.write_intervals(running, [interval_at(0, action="grow")])
    out = io.StringIO()
    watch(store, console=Console(file=out, width=160, force_terminal=terminal, color_system=None), once=True)
    assert ("batch (tokens)" if terminal else "batch 6,144 tokens") in out.getvalue()
    assert "6,144" in out.getvalue()


def test_list_of_studies_says_how_many_tokens_they_train_on(store: Store) -> None:
    head, *rows = catalogue("studies", results=store.name).splitlines()
    assert head.endswith("train tokens")
    assert all(row.endswith("51,200") for row in rows)
    assert (
        json.loads(catalogue("studies", results=store.name, form="json"))["rows"][0]["train examples"] == 400
    )
    store.write_study(study_of("cabs"))
    head, *rows = catalogue("studies", results=store.name).splitlines()
    assert head.endswith("train tokens or examples")
    assert sorted(row.split("4  ")[-1].strip() for row in rows) == ["400", "51,200 tokens", "51,200 tokens"]


def test_replay_shows_tokens_and_says_what_its_reasons_count(store: Store) -> None:
    text = replay(store, CANDIDATE, "constant")
    assert "4,096" in text
    assert "sizes are tokens; reasons count sequences of 128 tokens" in text
    assert json.loads(replay(store, CANDIDATE, "constant", form="json"))["rows"][0]["batch_size"] == 32


def test_profiles_are_told_in_tokens() -> None:
    study = language(study_of("deba"))
    steady, speed = stability_of(study), speed_of(study)
    steady = replace(steady, figures=(*steady.figures, Statistic("noise_scale", None, 50.0, 40.0, 60.0)))
    text = profile_tables([steady], [speed])
    head, (row, *_) = table_of(text, "Stability at a fixed batch")
    assert "batch (tokens)" in head
    assert "6,400 (5,120 to 7,680)" in row
    assert "4,096" in row.split()
    assert "noise scale in tokens" in " ".join(text.split())
    head, _ = table_of(text, "Speed, alone on the device")
    assert "batch (tokens)" in head
    assert "tokens per s " in head
    assert " 2,048 " in text  # 16 sequences, in a second
    assert "still rising at the largest timed size" in text or "per sequence of 128 tokens" in text
    raw = json.loads(profile_tables([steady], [speed], form="json"))["rows"]
    assert [row["batch"] for row in raw] == [32, 16, 64]


def test_profile_of_text_is_stored_with_its_length_and_its_command_says_it(tmp_path: Path) -> None:
    study = replace(DEBA, dataset="text:a.txt@128", tokenizer="t.json")
    profiles = ProfileStore(str(tmp_path))
    profiles.write(speed_of(study))
    (found,) = profiles.speed()
    assert found.setting.sequence_length == LENGTH
    assert found.setting == here(study, 1)
    line = profile_command(study, "results")
    assert "--dataset text:a.txt --sequence-length 128" in line
    assert "--tokenizer t.json" in line
    assert "--image-size" not in line
    own = replace(DEBA, dataset="own", architecture="my_loop:train", sequence_length=None, task="own")
    assert (
        profile_command(own, "results", kind="speed")
        == "adasearch profile --train my_loop:train --kind speed"
    )


def test_nothing_is_guessed_of_a_language_model_but_its_ceiling(tmp_path: Path) -> None:
    profiles = ProfileStore(str(tmp_path))
    profiles.write(speed_of(DEBA))
    profiles.write(stability_of(DEBA))
    row = json.loads(predict_table(Store(str(tmp_path)), form="json"))["rows"][0]
    assert (row["networks"], row["speedup_mean"], row["sequence_length"]) == (0, None, LENGTH)
    assert "of language models and training functions nothing but the ceiling is told" in " ".join(
        predict_table(Store(str(tmp_path))).split()
    )


def test_export_says_what_it_counts(store: Store, tmp_path: Path) -> None:
    said: Callable[..., list[str]] = lambda form: export(  # noqa: E731
        store, DEBA.study, output=str(tmp_path / form), form=form, trial_id=CANDIDATE
    )
    assert "its sizes and marks count sequences of 128 tokens" in said("ramp")
    assert "# Sizes and marks count sequences of 128 tokens." in (tmp_path / "ramp").read_text()
    path = SizePath(initial=32, points=[Point(4000, 64)], epoch=4000, sequence_length=LENGTH)
    for form, unit in {
        "megatron": "thresholds are tokens (--seq-length), sizes sequences;",
        "lightning": "a loader's batch is 32 sequences of 128 tokens",
        "hf": "is 32 sequences of 128 tokens",
        "json": "examples and sizes are sequences of 128 tokens",
    }.items():
        assert any(unit in line for line in exported(path, form)[1])


def test_rows_of_a_search_hold_sequences(store: Store) -> None:
    rows = gather(store).rows
    assert [(row.mean_batch_size, row.sequence_length) for row in rows] == [(40.0, LENGTH)] * 2
