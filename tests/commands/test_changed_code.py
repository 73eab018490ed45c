"""A training function whose source changed: its studies stay comparable, or it is said that they are not."""

from dataclasses import replace
from pathlib import Path

import pytest

from adasearch.analysis.compare import compare
from adasearch.analysis.gather import Scope
from adasearch.callbacks import no_progress
from adasearch.commands._claim import accept_beside
from adasearch.records import StudyRecord
from adasearch.report import report
from adasearch.store import Store
from tests.rows import enough, study_of, trial_of


def own(scheduler: str, code: str, **changes: object) -> StudyRecord:
    study = replace(study_of(scheduler), task="own", dataset="own", objective="loss", code=code)
    return replace(study, architecture="my_loop:train", **changes)  # type: ignore[arg-type]


CONSTANT, DEBA, CABS = (own(scheduler, "old") for scheduler in ("constant", "deba", "cabs"))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    written = Store(str(tmp_path / "results"))
    for study in (CONSTANT, DEBA, CABS):
        written.write_study(study)
        for trial in [*enough(study), trial_of(study, 0, val_error=2.0, seconds=5)]:
            written.write_trial(replace(trial, objective="loss", adaptations=1))
    return written


def codes(store: Store) -> dict[str, str | None]:
    return {study.scheduler: study.code for study in store.studies()}


def test_accepted_source_is_that_of_all_studies_that_are_compared(store: Store) -> None:
    new = replace(DEBA, code="new")
    store.write_study(new)
    for other in (
        own("ramp", "old", study="other", prefix="other"),
        own("seesaw", "old", study="long", budget=3200),
    ):
        store.write_study(other)
    said: list[str] = []
    accept_beside([new], store, said.append)
    assert codes(store) == {"deba": "new", "constant": "new", "cabs": "new", "ramp": "old", "seesaw": "old"}
    assert sorted(said) == [
        f"{study.study}: the changed source of my_loop:train is accepted, too" for study in (CABS, CONSTANT)
    ]
    assert "no reference" not in compare(store, Scope(studies=[DEBA.study, CABS.study]))


def test_study_that_another_search_holds_keeps_its_source_and_that_is_said(store: Store) -> None:
    new = replace(DEBA, code="new")
    store.write_study(new)
    said: list[str] = []
    with Store(store.name).locks.hold(CONSTANT.study):
        accept_beside([new], store, said.append)
    assert codes(store) == {"deba": "new", "constant": "old", "cabs": "new"}
    assert any("it keeps its former source, and is not compared with this one" in line for line in said)


def test_table_and_report_say_why_there_is_no_reference(store: Store, tmp_path: Path) -> None:
    store.write_study(replace(DEBA, code="new"))
    line = (
        f"{DEBA.study}: no reference, since {CONSTANT.study} was searched with another source of "
        "my_loop:train; where their trials may still be compared, go on with either and --accept-changed-code"
    )
    text = " ".join(compare(store).split())
    assert text.count("no reference, since") == 1
    assert line in text
    report(store, output=str(tmp_path / "report.html"), progress=no_progress)
    page = (tmp_path / "report.html").read_text()
    assert line in page
    assert "no complete constant trial to compare it with" not in page


def test_report_of_a_training_function_knows_neither_scale_nor_validation_data(
    store: Store, tmp_path: Path
) -> None:
    report(store, output=str(tmp_path / "report.html"), progress=no_progress)
    page = (tmp_path / "report.html").read_text()
    assert ">my_loop:train</" in page
    assert "my_loop:train, nano" not in page
    assert "400 to train" in page
    assert "to validate" not in page
    assert "is what its evaluate returns as NAME_se" in " ".join(compare(store).split())
