import csv
import io
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from adasearch.analysis.compare import compare
from adasearch.analysis.confirmed import ConfirmedRow, flat_row, whole_verdict
from adasearch.analysis.confirmed_runs import confirmed_rows
from adasearch.analysis.confirmed_tables import confirmed_parts
from adasearch.analysis.gather import Scope
from adasearch.analysis.paired_tests import speedup_of, verdict
from adasearch.analysis.search_table import search_rows
from adasearch.analysis.summary import in_one_sentence
from adasearch.analysis.time_to_target import to_target
from adasearch.commands import export
from adasearch.errors import InputError
from adasearch.profiles.profile_store import ProfileStore
from adasearch.records import StudyRecord, TrialRecord
from adasearch.schedule_file import load_schedule
from adasearch.spaces.fixed_fields import fixed_elsewhere
from adasearch.store import Store
from tests.profile_rows import speed_of
from tests.rows import at_marks, enough, interval_at, study_of, trial_of

CONSTANT, DEBA = study_of("constant"), study_of("deba")
SETTINGS = {"train/lr": 0.1, "train/batch_size": 32}
SEARCH = [
    trial_of(CONSTANT, 0, val_error=0.12, seconds=60, params=SETTINGS),  # the untuned default
    trial_of(CONSTANT, 1, val_error=0.10, seconds=50, params=SETTINGS),  # the reference
    replace(trial_of(DEBA, 0, val_error=0.11, seconds=40, params=SETTINGS), adaptations=3),
    *enough(CONSTANT, DEBA),
]
REFERENCE, CANDIDATE = SEARCH[1].trial_id, SEARCH[2].trial_id
WIGGLE = (0.0, 0.001, -0.001, 0.002, -0.002)


def confirming(
    role: str,
    source: str,
    *,
    error: float,
    seconds: float,
    seeds: int = 5,
    first: int = 0,
    study: StudyRecord = DEBA,
    adaptations: int = 0,
) -> list[TrialRecord]:
    """Confirming runs of one role: errors and times about the given ones, in an order of its own."""
    scatter = [WIGGLE[n * (1 + first // 5) % 5] for n in range(5)]
    return [
        replace(
            trial_of(study, first + n, phase="confirm", val_error=error, seconds=seconds * (1 + scatter[n])),
            role=role,
            scheduler=study.scheduler if role == "candidate" else "constant",
            source_trial_id=source,
            seed=1_000_000 + n,
            params=SETTINGS,
            test_error=error + scatter[n],
            measure_seconds=seconds / 10,
            steps=50,
            mean_batch_size=40.0,
            final_batch_size=72,
            adaptations=adaptations,
            peak_memory_bytes=2**20 * (n + 1),
        )
        for n in range(seeds)
    ]


def case(seeds: int = 5, candidate_seconds: float = 40, adaptations: int = 3) -> list[TrialRecord]:
    return [
        *confirming(
            "candidate",
            CANDIDATE,
            error=0.11,
            seconds=candidate_seconds,
            seeds=seeds,
            adaptations=adaptations,
        ),
        *confirming("reference", REFERENCE, error=0.11, seconds=50, first=5, seeds=seeds),
        *confirming("default", SEARCH[0].trial_id, error=0.15, seconds=60, first=10, seeds=seeds),
        *confirming("decay", CANDIDATE, error=0.11, seconds=50, first=15, seeds=seeds),
    ]


def rows_of(trials: Sequence[TrialRecord]) -> dict[str, ConfirmedRow]:
    found = confirmed_rows([CONSTANT, DEBA], [*SEARCH, *trials], {})
    return {row.role: row for row in found}


# --- rows -------------------------------------------------------------------------------------------


def test_candidate_is_told_against_reference_and_default() -> None:
    row = rows_of(case())["candidate"]
    assert (row.table, row.verdict, row.runs.seeds, row.pairs) == ("confirmed", "faster at equal error", 5, 5)
    gain, beside_default = speedup_of(row.paired), speedup_of(row.default)
    assert row.paired is not None
    assert row.default is not None
    assert gain is not None
    assert gain.low is not None
    assert gain.high is not None
    assert beside_default is not None
    assert verdict(row.default) == "both faster and better"
    assert gain.mean == pytest.approx(1.25, rel=0.01)
    assert gain.low < 1.25 < gain.high
    assert row.paired.time_saved == pytest.approx(0.2, rel=0.02)
    assert beside_default.mean == pytest.approx(1.5, rel=0.01)
    assert row.paired.error.mean == pytest.approx(0.0, abs=1e-9)
    assert row.default.error.mean == pytest.approx(-0.04)
    assert row.runs.measure_share == pytest.approx(0.1, rel=0.01)
    assert (row.runs.adaptations, row.runs.final_batch_size) == (3, 72)
    assert row.runs.peak_memory_bytes == 5 * 2**20
    assert (row.search_verdict, whole_verdict(row)) == ("not confirmed", row.verdict)


def test_a_candidate_that_is_worse_has_no_speed_up_in_any_column() -> None:
    poorer = [
        replace(trial, test_error=trial.test_error + 0.25) if trial.role == "candidate" else trial
        for trial in case()
        if trial.test_error is not None
    ]
    rows = rows_of(poorer)
    assert rows["candidate"].verdict == "worse error, less time"
    for row in rows.values():
        flat = flat_row(row)
        assert flat["error_difference"] == pytest.approx(0.25 if row.role != "default" else 0.21)
        names = [name for name in flat if name.startswith(("speedup", "time_saved"))]
        assert len(names) == 8
        assert {flat[name] for name in names} == {None}
        assert flat["seconds"] is not None
    (_, (cells,), columns), *_ = confirmed_parts(list(rows.values()))
    printed = {column.header: column.cell(cells) for column in columns}
    assert printed["speed-up"] == printed["time saved"] == printed["speed-up vs default"] == "-"
    assert printed["error vs reference"].startswith("+25.0 pp")
    assert printed["error vs default"].startswith("+21.0 pp")


def test_a_candidate_that_made_no_change_has_no_speed_up_either() -> None:
    row = rows_of(case(adaptations=0))["candidate"]
    assert row.idle
    assert (speedup_of(row.paired), speedup_of(row.default)) == (None, None)


def test_controls_tell_what_the_candidate_is_against_each() -> None:
    rows = rows_of(case())
    assert list(rows) == ["candidate", "reference", "default", "decay"]
    assert {rows[role].table for role in ("reference", "default", "decay")} == {"controls"}
    assert rows["decay"].verdict == "faster at equal error"
    error = rows["default"].runs.test_error
    assert error is not None
    assert error.mean == pytest.approx(0.15)
    assert rows["decay"].ran == "constant"


def test_too_few_seeds_give_intervals_and_these_words() -> None:
    row = rows_of(case(seeds=2))["candidate"]
    assert row.paired is not None
    assert (row.verdict, row.paired.p_error, row.paired.p_time) == ("too few seeds", None, None)
    assert flat_row(row)["speedup_low"] is not None


def test_reference_that_is_the_default_serves_as_both() -> None:
    trials = [trial for trial in case() if trial.role != "default"]
    same = [replace(t, source_trial_id=SEARCH[0].trial_id) if t.role == "reference" else t for t in trials]
    found = confirmed_rows([CONSTANT, DEBA], [SEARCH[0], SEARCH[2], *same], {})
    (row,) = [row for row in found if row.role == "candidate"]
    assert row.paired is not None
    assert row.default == row.paired


def test_candidate_that_changed_nothing_says_so() -> None:
    assert rows_of(case(adaptations=0))["candidate"].verdict == "no change made (faster at equal error)"


def test_a_constant_trial_that_was_confirmed_has_times_that_compare_and_is_no_gain_of_a_schedule() -> None:
    default = confirming(
        "candidate", SEARCH[0].trial_id, error=0.11, seconds=40, study=CONSTANT, adaptations=0
    )
    reference = confirming("reference", REFERENCE, error=0.11, seconds=50, first=5, study=CONSTANT)
    (own, control) = confirmed_rows([CONSTANT, DEBA], [*SEARCH, *default, *reference], {})
    assert (own.verdict, own.search_verdict) == ("faster at equal error", "chosen by name")
    assert (control.role, control.source_trial_id) == ("reference", REFERENCE)
    assert (gain := speedup_of(own.paired)) is not None
    assert gain.mean == pytest.approx(1.25, rel=0.01)
    assert "no schedule is confirmed to gain: 1 not checked" in in_one_sentence(
        search_rows([CONSTANT, DEBA], SEARCH), [own, control]
    )


def test_a_reference_that_was_confirmed_alone_is_compared_with_nothing() -> None:
    runs = confirming("candidate", REFERENCE, error=0.1, seconds=50, study=CONSTANT)
    (row,) = confirmed_rows([CONSTANT, DEBA], [*SEARCH, *runs], {})
    assert (row.verdict, row.search_verdict, row.pairs) == ("reference", "reference", 0)


def test_a_reference_that_was_confirmed_by_name_is_what_others_are_compared_with() -> None:
    candidate, *_ = (case()[:5],)
    reference = confirming("candidate", REFERENCE, error=0.11, seconds=50, first=5, study=CONSTANT)
    found = confirmed_rows([CONSTANT, DEBA], [*SEARCH, *candidate, *reference], {})
    told = {(row.study, row.role): (row.outcome, row.pairs) for row in found}
    assert told == {
        (CONSTANT.study, "candidate"): ("reference", 0),
        (DEBA.study, "candidate"): ("faster at equal error", 5),
        (DEBA.study, "reference"): ("faster at equal error", 5),
    }


def test_constants_that_were_confirmed_take_nothing_from_the_evidence_of_schedules() -> None:
    alone = rows_of(case())["candidate"].paired
    named = [
        run
        for number in range(3, 9)
        for run in confirming(
            "candidate", f"{CONSTANT.study}-search-{number}", error=0.11, seconds=50 + number, study=CONSTANT
        )
    ]
    reference = confirming("reference", REFERENCE, error=0.11, seconds=50, first=5, study=CONSTANT)
    found = confirmed_rows([CONSTANT, DEBA], [*SEARCH, *case(), *named, *reference], {})
    (own,) = [row for row in found if (row.study, row.role) == (DEBA.study, "candidate")]
    assert own.paired == alone
    assert sum(row.study == CONSTANT.study and row.role == "candidate" for row in found) == 6


def test_tables_name_the_trial_where_several_of_a_study_were_confirmed() -> None:
    runs = [
        *confirming("candidate", SEARCH[0].trial_id, error=0.11, seconds=40, study=CONSTANT),
        *confirming("candidate", REFERENCE, error=0.11, seconds=50, first=5, study=CONSTANT),
    ]
    (_, table, _), *_ = confirmed_parts(confirmed_rows([CONSTANT, DEBA], [*SEARCH, *runs, *case()], {}))
    assert [row["scheduler"] for row in table] == ["constant, search-0", "constant, search-1", "deba"]


def test_doubts_of_the_search_travel_along() -> None:
    slow = [*SEARCH[:2], replace(SEARCH[2], train_seconds=70.0), *SEARCH[3:]]
    (row,) = [r for r in confirmed_rows([CONSTANT, DEBA], [*slow, *case()], {}) if r.role == "candidate"]
    assert whole_verdict(row) == "faster at equal error (no gain in search)"


def test_without_reference_runs_there_is_no_verdict() -> None:
    row = rows_of(confirming("candidate", CANDIDATE, error=0.1, seconds=5, adaptations=1))["candidate"]
    assert (row.verdict, row.paired, row.runs.seeds) == ("no reference", None, 5)


def test_half_finished_confirmation_is_what_is_there() -> None:
    begun = [replace(t, status="running", test_error=None) if t.number in (3, 7) else t for t in case()]
    rows = rows_of(begun)
    candidate = rows["candidate"]
    assert (candidate.runs.seeds, candidate.pairs, candidate.runs.unfinished) == (4, 3, 1)
    assert candidate.verdict == "too few seeds"
    none = rows_of([replace(t, status="failed", test_error=None) for t in case()])["candidate"]
    assert (none.verdict, none.runs.failed, none.runs.test_error) == ("nothing complete", 5, None)


# --- the target -------------------------------------------------------------------------------------


def test_target_is_the_first_evaluation_at_or_below_it() -> None:
    run = at_marks((0.4, 2.0), (None, 3.0), (0.2, 4.0), (0.1, 5.0))
    assert to_target(run, 0.2, "measured") == (9.0, 1200, run[2].signals.step)
    assert to_target(run, 0.05, "measured")[0] == float("inf")
    assert to_target(run, 0.2, "modelled")[0] == float("inf")


def test_target_is_the_references_median_error_and_the_margin() -> None:
    trials = case()
    intervals = {t.trial_id: at_marks((0.3, 2.0), (0.119, 3.0), (0.1, 9.0)) for t in trials}
    (row, *_) = confirmed_rows([CONSTANT, DEBA], [*SEARCH, *trials], intervals)
    assert row.runs.target_error == pytest.approx(0.12)
    assert (row.runs.target_seconds, row.runs.target_examples, row.runs.reached) == (5.0, 800, 5)
    some = {name: each for name, each in intervals.items() if name.endswith(("-0", "-1"))}
    (row, *_) = confirmed_rows([CONSTANT, DEBA], [*SEARCH, *trials], some)
    assert (row.runs.target_seconds, row.runs.reached) == ("not reached", 2)


# --- compare and export -----------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(str(tmp_path / "results"))
    for study in (CONSTANT, DEBA):
        store.write_study(study)
    for trial in [*SEARCH, *case()]:
        store.write_trial(trial)
    return store


@pytest.mark.parametrize("form", ["text", "markdown"])
def test_confirmed_tables_come_first(store: Store, form: str) -> None:
    text = compare(store, form=form)
    titles = ("Confirmed: fresh", "What the candidates took", "against their controls", "Search: one seed")
    places = [text.index(title) for title in titles]
    assert places == sorted(places)
    assert "faster at equal error" in text
    assert "equal: within 1 pp of error or 5% of time (TOST)" in " ".join(text.split())
    prose = text[text.index("means over") : text.index("Search: one seed")]
    assert max(map(len, prose.splitlines())) <= 80


def test_what_is_missing_is_told(store: Store) -> None:
    (first, *_) = confirming("decay", CANDIDATE, error=0.11, seconds=50, first=15, seeds=1)
    store.write_trial(replace(first, status="running", test_error=None))
    assert f"{DEBA.study}, decay: 4 of 5 seeds complete, 0 failed, 1 unfinished" in compare(store)


def test_target_that_was_not_reached_is_no_word_for_machines(store: Store) -> None:
    (row, *_) = json.loads(compare(store, form="json"))["rows"]
    assert (row["reached"], row["target_seconds"]) == (0, None)
    assert "not reached" in compare(store)


def test_json_and_csv_hold_both_tables_with_their_settings(store: Store) -> None:
    rows = json.loads(compare(store, form="json"))["rows"]
    assert [row["table"] for row in rows] == ["confirmed", *["controls"] * 3, "search", "search"]
    assert rows[0]["verdict"] == "faster at equal error"
    assert {row["train/lr"] for row in rows} == {0.1}
    read = list(csv.DictReader(io.StringIO(compare(store, form="csv"))))
    assert [row["role"] for row in read] == ["candidate", "reference", "default", "decay", "", ""]
    assert {row["train/batch_size"] for row in read} == {"32"}


def test_columns_stay_those_that_others_read(store: Store) -> None:
    (heads, *_) = compare(store, form="csv").splitlines()
    known = """
        table study architecture scheduler scale dataset role ran trial_id source_trial_id seeds
        unfinished failed test_error test_error_low test_error_high val_error seconds seconds_low
        seconds_high clock train_seconds modelled_seconds target_error target_seconds
        target_examples target_steps reached mean_batch_size final_batch_size adaptations
        measure_share peak_memory_bytes pairs error_difference error_difference_low
        error_difference_high speedup speedup_low speedup_high time_saved p_error p_time
        p_equal_error p_equal_time error_margin error_difference_default speedup_default
        speedup_default_low speedup_default_high time_saved_default verdict_default search_verdict
        verdict
    """.split()
    assert heads.split(",") == [*known, *SETTINGS, "trials", "complete", "pruned", "acted", "objective"]


def test_a_wider_margin_is_another_test(store: Store) -> None:
    (row, *_) = json.loads(compare(store, form="json", margin=0.0001))["rows"]
    assert (row["error_margin"], row["verdict"]) == (0.0001, "no evidence")
    with pytest.raises(InputError, match="must lie between 0 and 1, both left out, but got 0"):
        compare(store, margin=0)


def test_settings_of_controls_are_not_searched_ones(store: Store) -> None:
    odd = confirming("mean_batch", CANDIDATE, error=0.11, seconds=50, first=30, seeds=1)[0]
    store.write_trial(replace(odd, params=SETTINGS | {"train/batch_size": 40}))
    assert "batch_size" not in compare(store).partition("Settings of these trials")[2]


def test_settings_that_the_user_fixed_are_told_and_nothing_stored_is_imported(store: Store) -> None:
    given = {"scheduler": "deba", "fields": {"window": {"fixed": 3}, "growth": {"float": [1.2, 3.0]}}}
    store.write_study(replace(DEBA, scheduler_space=json.dumps(given)))
    for trial in SEARCH:
        store.write_trial(replace(trial, params={**trial.params, "scheduler/window": 3}))
    assert "not searched: scheduler/window=3 (resnet18 deba)" in compare(store)
    assert fixed_elsewhere(replace(DEBA, scheduler="no_such:Thing", scheduler_space="{]")) == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            {"budget": 800},
            "studies differ in budget (other: 800, --epochs 2, resnet18-nano-deba-digits: 1600, --epochs 4)",
        ),
        ({"fingerprint": "beef"}, "studies differ in data"),
        ({"seed": 3}, "studies differ in split"),
    ],
)
def test_unlike_studies_are_refused_or_marked(store: Store, change: dict[str, object], says: str) -> None:
    store.write_study(replace(DEBA, study="other", **change))  # type: ignore[arg-type]
    with pytest.raises(InputError) as refused:
        compare(store)
    assert says in str(refused.value)
    assert "--force" in str(refused.value)
    assert compare(store, Scope(force=True)).count("NOT ALIKE") >= 4
    assert all(
        "differ" in row["not_alike"]
        for row in json.loads(compare(store, Scope(force=True), form="json"))["rows"]
    )
    assert "NOT ALIKE" not in compare(store, Scope(studies=[DEBA.study, CONSTANT.study]))


def test_settings_that_agree_between_architectures_are_named(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "results"))
    for place, architecture in enumerate(("resnet18", "vit_b_16")):
        study = study_of("deba", architecture)
        store.write_study(study)
        for number in range(2):
            params = {
                "scheduler/rule": "settle" if number else "noise",
                "scheduler/window": 10 + 4 * place + number,
                "train/lr": 0.1 * 10 ** (place + number),
            }
            store.write_trial(trial_of(study, number, val_error=0.1 + number / 10, seconds=5, params=params))
    assert "deba: alike for all architectures: rule, window; not alike: lr" in compare(store)


def test_export_carries_the_confirmed_verdict_and_its_seeds(store: Store, tmp_path: Path) -> None:
    export(store, DEBA.study, output=str(tmp_path / "found.yaml"))
    found = load_schedule(tmp_path / "found.yaml").provenance
    assert found.verdict == "faster at equal error"
    assert found.confirm_seeds == tuple(range(1_000_000, 1_000_005))


def test_time_to_the_target_is_that_of_the_profile_that_judges(store: Store) -> None:
    for trial in case():
        store.write_intervals(trial, [interval_at(0, val_error=0.5), interval_at(1, val_error=0.05)])
    for name, factor in (("abacus", 1.0), ("h100", 0.25)):
        ProfileStore(store.name).write(speed_of(DEBA, name, factor=factor))
    slow, fast = (
        json.loads(compare(store, Scope(device_profile=name), form="json"))["rows"][0]["target_seconds"]
        for name in ("abacus", "h100")
    )
    assert slow == pytest.approx(4 * fast)
    assert slow == pytest.approx(26 * 32 / 16)  # the steps of two intervals at batch 32


def test_profile_beside_the_measured_clock_is_refused(store: Store) -> None:
    with pytest.raises(InputError, match="--device-profile abacus goes with --clock modelled, not measured"):
        compare(store, Scope(clock="measured", device_profile="abacus"))
