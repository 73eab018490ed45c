"""Searches and runs that start from Python, with names and with objects."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

import adasearch
from adasearch.api.options import as_request
from adasearch.errors import InputError
from adasearch.functions.source import digest_of
from adasearch.schedulers.constant import Constant
from adasearch.user_code import give, load_own, packed, unpack
from tests.trackers.shown import read_tensorboard

SMALL: Any = {"subset": 160, "epochs": 1, "interval": 0.5, "quiet": True}


def a_net(*, classes: int, image_size: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * image_size**2, classes))


def pair() -> tuple[TensorDataset, TensorDataset]:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (200, 3, 8, 8), generator=generator, dtype=torch.uint8)
    labels = torch.arange(200) % 4
    return TensorDataset(images[:160], labels[:160]), TensorDataset(images[160:], labels[160:])


def test_a_run_is_the_same_as_that_of_the_command_line(tmp_path: Path) -> None:
    run = adasearch.train("resnet18", "digits", results=str(tmp_path / "python"), **SMALL)
    flags = ["--subset", "160", "--epochs", "1", "--interval", "0.5", "--results", str(tmp_path / "cli")]
    subprocess.run(
        [sys.executable, "-m", "adasearch", "train", "--architecture", "resnet18", *flags],
        check=True,
        capture_output=True,
    )
    other = adasearch.load(str(tmp_path / "cli")).trial(run.trial_id)
    assert run.val_error == other.val_error
    ours, theirs = ([each.signals for each in trial.records()] for trial in (run, other))
    assert ours == theirs


def test_functions_classes_pairs_and_dictionaries_stand_for_names(tmp_path: Path) -> None:
    run = adasearch.train(
        lambda *, classes, image_size: a_net(classes=classes, image_size=image_size),
        pair(),
        scheduler="deba",
        epochs=1,
        interval=0.5,
        results=str(tmp_path),
        quiet=True,
        space={"cooldown": 1, "window": {"choice": [3]}},
        set={"train/batch_size": 16},
        smallest=8,
    )
    assert run.fields["cooldown"] == 1
    assert run.fields["window"] == 3
    assert run.architecture.startswith("python:")
    assert run.dataset == "python:TensorDataset_160"


def test_a_function_of_a_module_keeps_its_name() -> None:
    with as_request(a_net, pair, schedulers=Constant, epochs=None, interval=None, options={}) as request:
        assert request.architectures == (f"{__name__}:a_net",)
        assert request.dataset == f"{__name__}:pair"
        assert request.schedulers == ("adasearch.schedulers.constant:Constant",)
    assert load_own("network", f"{__name__}:a_net") is a_net


def test_a_local_class_is_a_scheduler(tmp_path: Path) -> None:
    @dataclass(frozen=True, slots=True, kw_only=True)
    class Mine(Constant):
        """Keeps the size."""

    run = adasearch.train("resnet18", scheduler=Mine, results=str(tmp_path), **SMALL)
    assert run.scheduler.startswith("python:")


def test_a_run_is_shown_in_a_tracker(tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX", reason="it comes with ray[tune]")
    run = adasearch.train("resnet18", results=str(tmp_path), log="tensorboard", **SMALL)
    shown = read_tensorboard(tmp_path / "logs")[run.trial_id]
    assert [step for step, _ in shown.points["train/loss"]] == [
        each.signals.examples_seen for each in run.records()
    ]
    assert len(adasearch.load(str(tmp_path)).trials()) == 0  # of searches: the logs are no study
    with pytest.raises(InputError, match="unknown tracker 'tb'"):
        adasearch.search("resnet18", log="tb", results=str(tmp_path))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="unknown option 'log'"):
        adasearch.profile("resnet18", log="wandb", results=str(tmp_path))  # type: ignore[call-arg]


def test_unknown_options_are_refused_with_the_nearest() -> None:
    with pytest.raises(InputError, match="unknown option 'epoch'"):
        adasearch.train("resnet18", epoch=3)  # type: ignore[call-arg]
    with pytest.raises(InputError, match="did you mean 'slots'"):
        adasearch.confirm("results", slot=3)  # type: ignore[call-arg]


def test_wrong_kinds_are_refused_in_one_line() -> None:
    with pytest.raises(InputError, match="network or a scheduler must be"):
        adasearch.train(3)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="two objects are called python:lambda"):
        adasearch.search([lambda: None, lambda: None])
    with pytest.raises(InputError, match="data must be"):
        adasearch.train("resnet18", [1, 2, 3])  # type: ignore[arg-type]


def test_an_object_of_another_session_is_said_to_be_one() -> None:
    with pytest.raises(InputError, match="another Python session"):
        load_own("architecture", "python:gone")


def test_quiet_prints_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    adasearch.train("resnet18", results=str(tmp_path), **SMALL)
    assert capsys.readouterr() == ("", "")


SCRIPT = """
import faulthandler, logging, os, signal, sys, warnings
import optuna, ray, ray.train, ray.tune  # what importing them changes stays
import torch
from torch import nn
from torch.utils.data import TensorDataset
import adasearch

class Net(nn.Module):
    def __init__(self, classes, image_size):
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(3 * image_size**2, classes))
    def forward(self, images):
        return self.body(images)

def net(*, classes, image_size):
    return Net(classes, image_size)

images = torch.randint(0, 256, (400, 3, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
data = TensorDataset(images, torch.arange(400) % 4)
state = lambda: {
    "logging": (logging.root.level, list(logging.root.handlers), optuna.logging.get_verbosity()),
    "levels": [logging.getLogger(name).level for name in ("ray", "ray.tune", "ray.train", "optuna")],
    "environment": dict(os.environ),
    "streams": [sys.stdout, sys.stderr],
    "signals": [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)],
    "faulthandler": faulthandler.is_enabled(),
    "threads": torch.get_num_threads(),
    "folder": [os.getcwd(), *sys.path],
    "filters": [str(each) for each in warnings.filters if "optuna" in str(each[2])],
}
before = state()
found = adasearch.search(
    net, (data, None), scheduler="deba", trials=2, epochs=1, interval=0.5, results=sys.argv[1], slots=1,
    space={"cooldown": {"int": [1, 2]}, "window": 3}, workers=int(sys.argv[2]),
)
assert state() == before, [name for name, value in state().items() if value != before[name]]
print(sorted(found.trials()["status"]), found.best("python:net", "deba").fields["window"])
"""


@pytest.mark.ray
def test_a_script_searches_its_own_objects_and_is_left_as_it_was(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "results"), "2"],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines()[-1] == "['complete', 'complete', 'complete', 'complete'] 3"


def first(trial: adasearch.Trial) -> None:
    raise NotImplementedError


def test_a_training_function_stands_for_network_and_data(tmp_path: Path) -> None:
    space = {"dropout": {"float": [0.0, 0.5]}, "depth": 3}
    with as_request(
        None, None, schedulers="deba", epochs=2, interval=None, options={"train_space": space}, train=first
    ) as request:
        assert request.networks == (f"{__name__}:first",)
        assert request.dataset is None
        assert request.train_space == {"fields": {"dropout": {"float": [0.0, 0.5]}, "depth": {"fixed": 3}}}


def test_the_digest_of_a_function_of_a_notebook_is_that_of_its_source() -> None:
    def second(trial: adasearch.Trial) -> None:
        raise ValueError

    name = give(second)
    before = digest_of(name)
    unpack(packed())  # as a worker does, which has no source
    assert digest_of(name) == before

    def changed() -> Any:
        def second(trial: adasearch.Trial) -> None:
            raise TypeError

        return second

    assert give(changed()) == name
    assert digest_of(name) != before
