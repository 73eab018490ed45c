"""Help, versions, lists and tables, and what each of them imports."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from adasearch import __version__
from adasearch.cli.main import cli
from tests.cli.shell import COMMANDS, Shell
from tests.rows import STUDY, trial_of

# --- help -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_shows_an_example_that_names_the_command(shell: Shell, command: str) -> None:
    finished = shell(*filter(None, (command, "--help")))
    assert finished.code == 0
    assert "Example:" in finished.out
    assert f"adasearch {command}" in finished.out.partition("Example:")[2]
    assert not finished.err


def test_flags_of_search_stand_in_groups(shell: Shell) -> None:
    text = shell("search", "--help").out
    headings = [line for line in text.splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert len(headings) >= 5
    last = text.partition("\nOptions:\n")[2]
    shown = [line.split()[0] for line in last.splitlines() if line.startswith("  -")]
    assert shown in (["-h,"], ["--help"])  # click keeps what the first context of the process was told
    shown = [line.split()[0] for line in text.splitlines() if line.startswith("  -")]
    for parameter in cli.commands["search"].params:
        assert shown.count(parameter.opts[0]) == 1


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            ["train", "--architecture", "resnet18", "--scheduler", "deba", "--scheduler", "cabs"],
            "--scheduler",
        ),
        (["train", "--architecture", "resnet18", "--architecture=vgg11_bn"], "--architecture"),
        (["search", "--architecture", "resnet18", "--study", "a", "--study", "b"], "--study"),
    ],
)
def test_option_that_takes_one_value_here_and_several_elsewhere_is_refused_if_given_twice(
    shell: Shell, words: list[str], says: str
) -> None:
    shell.refuses(*words, says=f"{says} takes one value but was given 2 times")


def test_damaged_file_is_named_once_in_a_command(shell: Shell) -> None:
    shell.store.write_study(STUDY)
    for number in range(3):
        shell.store.write_trial(trial_of(STUDY, number, val_error=0.1, seconds=1))
    file = shell.folder / "results" / STUDY.study / "trials" / f"{STUDY.study}-search-1.parquet"
    file.write_bytes(b"no table")
    Path("results/profiles").mkdir()
    Path("results/profiles/speed-x-resnet18-nano-digits.parquet").write_bytes(b"nor this")
    for command in ("compare", "compare", "predict", "predict", "list studies"):
        lines = shell(*command.split()).err.splitlines()
        skipped = [line for line in lines if "skipping" in line]
        assert skipped
        assert len(skipped) == len(set(skipped)), command


def test_without_arguments_help_is_shown(shell: Shell) -> None:
    bare, asked = shell(), shell("--help")
    assert (bare.out, bare.code, asked.code) == (asked.out, 2, 0)


def test_version_is_told(shell: Shell) -> None:
    assert __version__ in shell("--version").out


def modules_after(*arguments: str) -> set[str]:
    """Run a command in a process of its own and return the top-level modules that it imported."""
    code = (
        "import sys; from adasearch.cli.main import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as stop: assert not stop.code\n"
        "print(*{name.partition('.')[0] for name in sys.modules}, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    return set(done.stderr.split())


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_imports_nothing_slow(shell: Shell, command: str) -> None:
    loaded = modules_after(*filter(None, (command, "--help")))
    assert "click" in loaded
    assert not loaded & {"torch", "ray", "pandas", "pyarrow", "optuna", "numpy", "yaml"}


def test_compare_and_list_studies_import_neither_torch_nor_ray(shell: Shell) -> None:
    shell.store.write_study(STUDY)
    for arguments in (["compare"], ["list", "studies"]):
        assert not modules_after(*arguments) & {"torch", "ray", "optuna"}


# --- list -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "names"),
    [
        ("architectures", {"resnet18", "mobilenet_v3_small", "vit_b_16", "vgg19_bn", "resnet20"}),
        ("schedulers", {"constant", "adabatch", "deba"}),
        ("datasets", {"digits", "fashion_mnist[:ROOT]", "parquet:PATH", "folder:PATH", "module:function"}),
        ("spaces", {"resnet18", "deba", "deba_short", "constant"}),
    ],
)
def test_list_names_what_there_is(shell: Shell, what: str, names: set[str]) -> None:
    finished = shell("list", what)
    assert (finished.code, finished.err) == (0, "")
    assert all(name in finished.out for name in names)
    rows = json.loads(shell("list", what, "--format", "json").out)["rows"]
    assert names <= {row["name"] for row in rows}
    assert not shell.store.studies()


def test_list_architectures_shows_size_input_and_cost_at_both_scales(shell: Shell) -> None:
    rows = json.loads(shell("list", "architectures", "--format", "json").out)["rows"]
    (vgg,) = [row for row in rows if row["name"] == "vgg11"]
    assert vgg == {
        "name": "vgg11",
        "nano parameters": 135_018,
        "nano pixels": "at least 8",
        "nano multiply-adds": 6_341_248,
        "full parameters": 9_225_610,
        "full pixels": "at least 32",
        "full multiply-adds": 152_769_536,
    }


def test_list_schedulers_is_plain_text_whose_values_can_be_set(shell: Shell) -> None:
    rows = json.loads(shell("list", "schedulers", "--format", "json").out)["rows"]
    fields = {row["name"]: row["fields"] for row in rows}
    assert fields["increase_instead_of_decay"] == 'milestones="30, 60, 80", factor=5.0'
    assert 'shape=geometric, growth=16.0, exponent=0.5, points="", coupling=none' in fields["ramp"]
    assert not [row for row in rows if "`" in row["what"] or not row["what"].endswith(".")]


def test_list_studies_counts_trials_by_status(shell: Shell) -> None:
    shell.store.write_study(STUDY)
    for n, status in enumerate(("complete", "complete", "pruned", "failed", "running")):
        shell.store.write_trial(trial_of(STUDY, n, status=status))  # type: ignore[arg-type]
    (row,) = json.loads(shell("list", "studies", "--format", "json").out)["rows"]
    assert row == {
        "name": STUDY.study,
        "complete": 2,
        "pruned": 1,
        "failed": 1,
        "running": 1,
        "confirming": 0,
        "epochs": 4.0,
        "train examples": 400,
    }


# --- compare ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["text", "markdown", "csv", "json"])
def test_compare_prints_every_format(shell: Shell, form: str) -> None:
    shell.store.write_study(STUDY)
    finished = shell("compare", "--format", form)
    assert (finished.code, finished.err) == (0, "")
    assert "no complete trial" in finished.out


def test_compare_of_an_empty_folder_says_what_is_missing(shell: Shell) -> None:
    Path("results").mkdir()
    finished = shell("compare")
    assert finished.code == 0
    assert "no study in results" in finished.out


def test_compare_of_an_unknown_study_is_refused(shell: Shell) -> None:
    shell.store.write_study(STUDY)
    shell.refuses("compare", "--study", "resnet18-nano-deba-digit", says=f"did you mean '{STUDY.study}'?")
