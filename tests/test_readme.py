"""The README is tried, not believed: its commands parse, its code runs, every command is in it."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pyarrow.parquet as pq
import pytest
import yaml

from adasearch.analysis.confirmed_tables import confirmed_tables
from adasearch.analysis.gather import gather
from adasearch.analysis.prediction_table import predict_table
from adasearch.cli.main import cli
from adasearch.commands import catalogue, export
from adasearch.data.sources.registry import decode
from adasearch.spaces.space import parse_space
from adasearch.store import Store
from adasearch.testing import check_scheduler

README = (Path(__file__).parent.parent / "README.md").read_text()
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", README, flags=re.DOTALL)


def command_lines() -> list[str]:
    shell = [block.replace("\\\n", " ") for language, block in BLOCKS if not language]
    lines = [
        line.removeprefix("$ ") for block in shell for line in block.splitlines() if line.startswith("$ ")
    ]
    return [line for line in lines if line.startswith("adasearch ")]


@pytest.mark.parametrize("line", command_lines())
def test_every_command_line_of_the_readme_parses(line: str) -> None:
    _, name, *arguments = shlex.split(line)
    command = cli.commands[name]
    with click.Context(command) as context:
        command.parse_args(context, arguments)


def test_readme_names_every_command() -> None:
    assert {name for name in cli.commands if f"adasearch {name}" not in README} == set()


def test_scheduler_of_the_readme_keeps_the_contract(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = [block for language, block in BLOCKS if language == "python" and "GrowOnLowLoss" in block]
    (tmp_path / "from_the_readme.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    from adasearch.schedulers import make_scheduler

    check_scheduler(make_scheduler("from_the_readme:GrowOnLowLoss", {"threshold": 0.4}))


def test_network_of_the_readme_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = [block for language, block in BLOCKS if language == "python" and "make_net" in block]
    (tmp_path / "net_from_the_readme.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    from adasearch.networks.registry import check_model

    check_model("net_from_the_readme:make_net", "nano", classes=10, image_size=16)


def test_training_function_of_the_readme_takes_its_first_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (code,) = [block for language, block in BLOCKS if language == "python" and "def train(trial)" in block]
    (tmp_path / "loop_of_the_readme.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    from adasearch.functions.rehearsal import FunctionRehearsal, Learnt, rehearse_function

    assert rehearse_function(
        FunctionRehearsal(
            function="loop_of_the_readme:train",
            params={"lr": 1e-3, "batch_size": 32},
            scheduler="deba",
            fields={},
            epochs=10,
        )
    ) == Learnt(examples=1400, figures=("loss", "error"), tests=False, resumes=True)


def test_architectures_of_the_readme_are_those_that_are_listed() -> None:
    (shown,) = [block for _, block in BLOCKS if block.startswith("$ adasearch list architectures")]
    assert shown.partition("\n")[2] == catalogue("architectures", results="results")


def test_space_of_the_readme_is_one() -> None:
    (text,) = [block for language, block in BLOCKS if language == "yaml"]
    space = parse_space(yaml.safe_load(text), "README")
    assert len(space.distributions()) == 3


def test_data_of_the_readme_are_a_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = [block for language, block in BLOCKS if language == "python" and "seven_or_not" in block]
    (tmp_path / "data_of_the_readme.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    found = decode("data_of_the_readme:seven_or_not", image_size=16)
    assert found.images.shape == (1797, 3, 16, 16)
    assert found.classes == 2


def test_readme_has_no_gaps() -> None:
    assert "@@" not in README
    assert "TODO" not in README


def test_loop_of_the_readme_grows_the_batch(tmp_path: Path) -> None:
    (code,) = [block for language, block in BLOCKS if language == "python" and "import BatchSize" in block]
    (loading,) = [block for language, block in BLOCKS if language == "python" and "load_state_dict" in block]
    assert len(code.splitlines()) <= 25
    before, loop = code.split("for epoch in", maxsplit=1)

    def printed(text: str) -> list[str]:
        (tmp_path / "loop.py").write_text(text)
        done = subprocess.run([sys.executable, "loop.py"], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    # A run of three epochs, and the rest from the state that it wrote down.
    three = printed(code.replace("range(controller.epoch, 12)", "range(controller.epoch, 3)"))
    assert [int(line.split()[0]) for line in three] == [1, 2, 3]
    resumed = printed(before + loading + "for epoch in" + loop)
    assert [int(line.split()[0]) for line in resumed] == list(range(4, 13))
    sizes = [int(line.split()[1]) for line in three + resumed]
    assert sizes[-1] > sizes[0]


def test_found_schedule_of_the_readme_trains(tmp_path: Path) -> None:
    (found,) = [block for language, block in BLOCKS if language == "python" and "found.lr" in block]
    (code,) = [block for language, block in BLOCKS if language == "python" and "import BatchSize" in block]
    study = next(path.name for path in sorted(STUDY.iterdir()) if "adabatch" in path.name)
    export(Store(str(STUDY)), study, output=str(tmp_path / "schedule.yaml"))
    model = code.partition("optimizer =")[0]
    last = "assert controller.progress == 1 and len(controller.history) >= found.epochs - 1"
    (tmp_path / "found.py").write_text("\n".join([model, found, last]))
    done = subprocess.run([sys.executable, "found.py"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


STUDY = Path(__file__).parents[1] / "notebooks" / "data"


def table_lines(markdown: str) -> list[str]:
    return [line for line in markdown.splitlines() if line.startswith("| ")]


def test_first_table_of_the_readme_is_that_of_the_stored_study() -> None:
    found = gather(Store(str(STUDY), must_exist=True))
    tables = confirmed_tables(found.evidence, "markdown", mark="")
    first = table_lines(tables.partition("**What the candidates took**")[0])
    assert table_lines(README)[: len(first)] == first
    assert len(first) > 2 + 3  # of at least four networks


def test_guesses_in_the_readme_are_those_over_the_stored_study() -> None:
    checked = predict_table(Store(str(STUDY), must_exist=True), check=True, form="markdown")
    for line in checked.strip().splitlines()[1:]:
        assert line.strip() in README


def test_stored_study_names_no_place_of_the_machine_that_made_it() -> None:
    for path in STUDY.rglob("*.parquet"):
        for column in pq.read_table(path).to_pydict().values():
            texts = [str(value) for value in column if isinstance(value, str)]
            assert not any(re.search(r"/(home|root|tmp|work|Users)/", text) for text in texts), path
