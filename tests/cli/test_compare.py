"""``compare`` with --importance and --by, through the command line."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from adasearch.cli.main import main
from adasearch.store import Store
from tests.analysis.test_ablation import FIELD, STUDY, rounds
from tests.analysis.test_importance import drawn, searched


@pytest.fixture
def results(tmp_path: Path) -> str:
    """A folder of one ablation, and in another of one study that was searched."""
    ablation, search = Store(str(tmp_path / "ablation")), Store(str(tmp_path / "search"))
    ablation.write_study(STUDY)
    search.write_study(searched())
    for trial in rounds():
        ablation.write_trial(trial)
    for trial in drawn(searched(), 8):
        search.write_trial(trial)
    return str(tmp_path)


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[object, str, str]:
    code: object = 0
    try:
        main(["compare", *arguments])
    except SystemExit as stop:
        code = stop.code
    out, err = capsys.readouterr()
    return code, out, err


def test_by_prints_the_levels_alone(results: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "--by", FIELD, "--results", f"{results}/ablation")
    assert code == 0
    assert out.startswith("scheduler/cooldown, level by level\n")
    assert "faster at equal error" in out
    assert "Settings" not in out


def test_margin_of_by_is_the_users(results: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("--by", FIELD, "--margin", "0.2", "--format", "json", "--results", f"{results}/ablation")
    rows = json.loads(run(capsys, *arguments)[1])["rows"]
    assert [row["verdict"] for row in rows] == ["first level", "faster at equal error", "equal"]


def test_importance_prints_its_tables_alone(results: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "--importance", "--results", f"{results}/search")
    assert code == 0
    assert out.startswith("deba: what mattered for validation error\n")
    assert "fanova" in out
    code, out, _ = run(
        capsys,
        "--importance",
        "--evaluator",
        "ped-anova",
        "--format",
        "json",
        "--results",
        f"{results}/search",
    )
    assert {row["note"] for row in json.loads(out)["rows"]} == {"too few trials: 8, at least 50"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--importance", "--by", FIELD], "give one of --importance and --by FIELD"),
        (["--evaluator", "fanova"], "--evaluator goes with --importance"),
        (["--by", "scheduler/cooldwn"], "did you mean 'scheduler/cooldown'?"),
        (
            ["--by", FIELD, "--margin", "2"],
            "such as 0.01 for one point: it must lie between 0 and 1, both left out, but got 2",
        ),
        (["--by", FIELD, "--study", "nothing"], "unknown study 'nothing'"),
        (["--importance", "--evaluator", "anova"], "'anova' is not one of"),
    ],
)
def test_bad_usage_is_one_line(
    results: str, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    code, out, err = run(capsys, *arguments, "--results", f"{results}/ablation")
    assert (code, out) == (2, "")
    assert says in err
    assert len(err.splitlines()) == 1


def test_studies_that_are_not_alike_are_refused_unless_forced_and_then_marked(
    results: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Store(f"{results}/ablation").write_study(replace(STUDY, study="longer", budget=3200))
    code, _, err = run(capsys, "--by", FIELD, "--results", f"{results}/ablation")
    assert (code, "studies differ in budget" in err) == (2, True)
    code, out, _ = run(capsys, "--by", FIELD, "--force", "--results", f"{results}/ablation")
    assert (code, "NOT ALIKE: studies differ in budget" in out.splitlines()[0]) == (0, True)
