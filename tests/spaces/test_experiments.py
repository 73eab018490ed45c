"""Published set-ups: every file is whole, each flag overrides its line, and one really runs."""

import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from adasearch.choices import Scale
from adasearch.cli.main import main
from adasearch.errors import InputError
from adasearch.networks.language import LANGUAGE
from adasearch.networks.registry import ARCHITECTURES
from adasearch.records import Value
from adasearch.schedulers import SCHEDULERS
from adasearch.schedulers.deba import Deba
from adasearch.spaces.experiments import experiment_names, load_experiment
from adasearch.spaces.optuna_trials import combinations, distributions_of
from adasearch.store import Store
from adasearch.studies.request import Request, with_experiment
from adasearch.studies.resolve import resolve

FOLDER = Path(__file__).parents[2] / "search_spaces" / "experiments"


def request_of(name: str, scale: Scale | None = None, *, smallest: int, largest: int) -> Request:
    """A request as the command line makes it, on data that are there."""
    request = with_experiment(Request(scale=scale), load_experiment(name))
    return replace(request, dataset="digits", subset=None, smallest=smallest, largest=largest)


@pytest.mark.parametrize("name", experiment_names())
@pytest.mark.parametrize("scale", ["nano", "full"])
def test_every_experiment_names_what_exists_and_says_where_each_value_is_from(name: str, scale: str) -> None:
    experiment = load_experiment(name).at(scale)
    assert set(experiment.architectures or ()) <= {*ARCHITECTURES, *LANGUAGE}
    assert set(experiment.schedulers or ()) <= set(SCHEDULERS)
    for architecture in experiment.architectures or ():
        space = experiment.train_space(architecture)
        assert (space is None) == (experiment.train is None)
    whole = (FOLDER / f"{name}.yaml").read_text().partition("\nnano:")[0]
    for line in whole.splitlines():
        if line.strip() and not line.lstrip().startswith(("#", "about:", "train:", "schedulers:", "scale:")):
            marked = any(f"[{mark}]" in line for mark in ("code", "paper", "review", "summary", "ours"))
            bare = line.endswith(":") or line.startswith(("  - ", "dataset: folder"))
            assert marked or bare, line


def fixed_of(request: Request, scheduler: str) -> dict[str, Value]:
    studies = {study.record.scheduler: study for study in resolve(request, lambda _: None, lambda _: None)}
    study = studies[scheduler]
    return {**study.train_space.fixed(), **study.scheduler_space.fixed()}


def test_adabatch_experiment_is_the_published_one() -> None:
    request = replace(
        request_of("adabatch_cifar", smallest=16, largest=128), architectures=("resnet18",), scale="nano"
    )
    constant, adabatch = (fixed_of(request, scheduler) for scheduler in ("constant", "adabatch"))
    assert constant["train/lr_schedule"] == "staircase"
    assert constant["train/lr_decay"] == adabatch["scheduler/lr_decay"] == 0.375
    assert adabatch["train/lr_schedule"] == "constant"  # it has its own course
    assert constant["train/batch_size"] == adabatch["train/batch_size"] == 128
    assert (adabatch["scheduler/period"], adabatch["scheduler/growth"]) == (20, 2.0)


def test_nano_form_changes_what_it_lists_and_keeps_the_rest() -> None:
    whole, nano = (load_experiment("adabatch_cifar").at(scale) for scale in (None, "nano"))
    assert (whole.scale, nano.scale) == ("full", "nano")
    assert (whole.epochs, nano.epochs) == (100, 10)
    assert nano.stopper == whole.stopper == "none"
    assert nano.schedulers is not None
    space = nano.schedulers["adabatch"]
    assert space is not None
    assert space["period"].fixed == 2
    assert space["growth"].fixed == 2.0


@pytest.mark.parametrize("name", ["window", "cooldown"])
@pytest.mark.parametrize("scale", ["nano", "full"])
def test_ablation_varies_one_field_of_deba_alone_equally_often(name: str, scale: Scale) -> None:
    experiment = load_experiment(f"deba_{name}").at(scale)
    request = replace(
        request_of(f"deba_{name}", scale, smallest=16, largest=64), architectures=("resnet18",), scale="nano"
    )
    assert not request.baseline
    (study,) = resolve(request, lambda _: None, lambda _: None)
    levels = combinations(distributions_of(study.record))
    key = f"scheduler/{name}"
    assert [level[key] for level in levels] == {"window": [0, 15], "cooldown": [1, 3, 5, 10]}[name]
    assert experiment.trials is not None
    assert experiment.trials % len(levels) == 0
    assert (study.record.sampler, study.record.stopper) == ("grid", "none")
    others = {"stability_threshold": 0.3, "cooldown": 2} if scale == "nano" else {}
    fixed = study.scheduler_space.fixed()
    for field, default in asdict(Deba()).items():
        if field != name:
            assert fixed[f"scheduler/{field}"] == others.get(field, default), field


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("about: x\nschedulers: {}", "needs architectures, schedulers and dataset"),
        ("about: x\narchitectures: [a]\nschedulers: {b: }\ndataset: d\nlength: 3", "length: unknown key"),
        ("about: x\narchitectures: [a]\nschedulers: {b: 3}\ndataset: d", "schedulers b"),
        ("[1, 2]", "must be a mapping"),
        ("a: [", "is not YAML"),
    ],
)
def test_experiment_that_breaks_a_rule_is_refused(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(InputError, match=message):
        load_experiment(str(file))


def test_unknown_experiment_is_refused_with_the_nearest_name(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["search", "--experiment", "deba_cifer"])
    assert stop.value.code == 2
    assert "did you mean 'deba_cifar'?" in capsys.readouterr().err


def test_search_needs_a_network_or_an_experiment(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["search", "--scheduler", "deba"])
    assert stop.value.code == 2
    assert "give --architecture NAME" in capsys.readouterr().err


@pytest.mark.ray
@pytest.mark.soak
def test_one_command_runs_an_experiment_and_flags_override_it(tmp_path: Path) -> None:
    words = "search --experiment adabatch_cifar --scale nano --dataset digits --architecture resnet18"
    words += " --subset 300 --epochs 5 --trials 1 --smallest 16 --largest 64"
    words += " --set scheduler/period=1 --set train/lr=0.02"
    done = subprocess.run(
        [sys.executable, "-m", "adasearch", *words.split()], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    store = Store(str(tmp_path / "results"))
    trials = {study.scheduler: store.trials(study.study) for study in store.studies()}
    assert {name: len(rows) for name, rows in trials.items()} == {"constant": 1, "adabatch": 1}
    (adabatch,) = trials["adabatch"]
    assert adabatch.status == "complete"
    assert adabatch.params["train/lr"] == 0.02
    assert adabatch.params["scheduler/period"] == 1
    assert adabatch.final_batch_size == 64  # doubled from 32 once, then at the largest


def test_value_of_another_kind_is_told_in_plain_words(tmp_path: Path) -> None:
    file = tmp_path / "odd.yaml"
    file.write_text("architectures: resnet18\nepochs: many\n")
    with pytest.raises(InputError, match="architectures: must be a list but got 'resnet18'"):
        load_experiment(str(file))
    file.write_text("epochs: [3]\n")
    with pytest.raises(InputError, match=r"epochs: must be a number but got \[3\]"):
        load_experiment(str(file))
