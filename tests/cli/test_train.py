"""``adasearch train``: the data that it takes, the rows that it keeps, and how it ends."""

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from adasearch import commands
from adasearch.store import Store
from tests.cli.shell import TINY, Shell
from tests.data.layouts import write_rows


def test_train_takes_a_folder_of_images_of_any_shape(shell: Shell) -> None:
    for row in range(60):
        place = shell.folder / "images" / f"class {row % 3}" / f"{row}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20 + row, 40), (row % 3 * 80, row, 9)).save(place)
    finished = shell("train", "--architecture", "resnet18", "--dataset", "folder:images", "--image-size",
                     "16", "--epochs", "1", "--largest", "16", "--set", "train/batch_size=16")  # fmt: skip
    assert (finished.code, finished.err) == (0, "")
    assert "resnet18-nano-constant-folder-images-16-train-0: error" in finished.out
    (trial,) = shell.store.trials("train")
    assert trial.dataset == "folder:images@16"
    (shell.folder / "images").rename(shell.folder / "elsewhere")
    lost = shell("rerun", trial.trial_id)
    assert (lost.code, lost.err.count("\n")) == (2, 1)
    assert lost.err.rstrip().endswith("where they have moved, give --images PATH")
    assert shell("rerun", trial.trial_id, "--images", "elsewhere").code == 0


def test_a_number_behind_an_at_in_a_path_is_no_image_size(shell: Shell) -> None:
    for row in range(60):
        place = shell.folder / "pets@16" / f"class {row % 3}" / f"{row}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 16), (row % 3 * 80, row, 9)).save(place)
    words = (
        "--architecture resnet18 --dataset folder:pets@16 --epochs 1 --largest 16 --set train/batch_size=16"
    )
    assert shell("train", *words.split()).code == 0
    (trial,) = shell.store.trials("train")
    again = shell("rerun", trial.trial_id)
    assert (again.code, again.err) == (0, "")
    assert "equal in all" in again.out


def test_train_says_what_it_understood_and_keeps_what_was_selected(shell: Shell) -> None:
    for split, count in (("train", 60), ("extra", 60), ("test", 15)):
        write_rows(shell.folder / "set" / f"{split}.parquet", count)
    words = "--architecture tests.own_nets:good --dataset parquet:set --epochs 1 --largest 16".split()
    refused = shell("train", *words)
    assert refused.code == 2
    assert "extra.parquet of no split beside a training split; --split train leaves out" in refused.err
    finished = shell("train", *words, "--split", "train", "--weights", "balanced")
    assert (finished.code, finished.err) == (0, "")
    assert finished.out.startswith(
        "60 training, 15 test images, 2 classes (cat, dog); label column `label`; split `train` to train on; "
        "examples are drawn so that all classes are alike\n"
    )
    (trial,) = shell.store.trials("train")
    study = shell.store.study_of(trial)
    assert study is not None
    assert (study.split, study.weights, study.config) == ("train", "balanced", None)


def test_train_takes_a_function_of_the_current_folder(shell: Shell) -> None:
    (shell.folder / "squares_of_mine.py").write_text(
        "import torch\n"
        "from torch.utils.data import TensorDataset\n"
        "def load():\n"
        "    images = torch.arange(100, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 16, 16)\n"
        "    return TensorDataset(images, torch.arange(100) % 2), None\n"
    )
    finished = shell("train", "--architecture", "resnet18", "--dataset", "squares_of_mine:load",
                     "--epochs", "1", "--largest", "16", "--set", "train/batch_size=16")  # fmt: skip
    assert (finished.code, finished.err) == (0, "")


def test_download_without_network_is_one_line(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    finished = shell("train", "--architecture", "resnet18", "--dataset", "cifar10", "--download")
    assert finished.code == 1
    assert finished.err.startswith("adasearch: dataset cifar10 cannot be downloaded to 'data': ")
    assert len(finished.err.splitlines()) == 1
    assert not shell.store.studies()


def test_train_prints_and_keeps_a_run(shell: Shell) -> None:
    finished = shell("train", "--architecture", "resnet18", "--scheduler", "deba", *TINY)
    assert (finished.code, finished.err) == (0, "")
    assert finished.out.splitlines()[-1].startswith("resnet18-nano-deba-digits-train-0: error ")
    (trial,) = shell.store.trials("train")
    assert (trial.status, trial.phase, trial.number, trial.params["scheduler/rule"]) == (
        "complete",
        "train",
        0,
        "settle",
    )
    records = shell.store.intervals("train")[trial.trial_id]
    assert [record.signals.interval for record in records] == [0, 1]
    assert sum("epoch" in line for line in finished.out.splitlines()) >= 2
    assert not shell.store.studies()


@pytest.mark.parametrize(("every", "evaluated"), [("1", [1, 3]), ("0.5", [0, 1, 2, 3]), ("150ex", [2, 3])])
def test_train_evaluates_as_often_as_it_is_told(shell: Shell, every: str, evaluated: list[int]) -> None:
    words = [*TINY, "--epochs", "2", "--evaluate-every", every, "--set", "train/batch_size=16"]
    assert shell("train", "--architecture", "resnet18", *words).code == 0
    (records,) = shell.store.intervals("train").values()
    assert [record.signals.interval for record in records if record.val_error is not None] == evaluated


def test_train_again_is_another_run(shell: Shell) -> None:
    for _ in range(2):
        assert shell("train", "--architecture", "resnet18", *TINY, "--set", "train/lr=1e-3").code == 0
    first, second = shell.store.trials("train")
    assert (first.number, second.number) == (0, 1)
    assert first.params["train/lr"] == second.params["train/lr"] == 0.001
    assert first.val_error == second.val_error


def test_train_takes_a_network_of_ones_own_from_the_current_folder(shell: Shell) -> None:
    code = """
from torch import nn

def make_net(classes, image_size):
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * image_size**2, classes))
"""
    shell.folder.joinpath("my_nets.py").write_text(code)
    finished = shell("train", "--architecture", "my_nets:make_net", *TINY)
    assert (finished.code, finished.err) == (0, "")
    assert "my_nets:make_net has no search space of its own and takes 'any'" in finished.out
    (trial,) = shell.store.trials("train")
    assert (trial.trial_id, trial.status) == ("my_nets-make_net-constant-digits-train-0", "complete")
    assert trial.params["train/optimizer"] == "adamw"


def test_train_that_diverges_is_a_failed_row_and_exit_1(shell: Shell) -> None:
    finished = shell("train", "--architecture", "resnet18", *TINY, "--set", "train/lr=1e30")
    assert finished.code == 1
    assert len(finished.err.splitlines()) == 1
    assert "train_loss is " in finished.err
    (trial,) = shell.store.trials("train")
    assert (trial.status, trial.cause) == ("failed", "diverged")
    assert str(trial.error).startswith("train_loss is ")


def test_train_under_a_faulty_scheduler_is_a_failed_row_and_exit_1(shell: Shell) -> None:
    longer = [*TINY, "--epochs", "2", "--scheduler", "tests.faulty:LeavesLimits"]
    finished = shell("train", "--architecture", "resnet18", *longer)
    assert finished.code == 1
    assert len(finished.err.splitlines()) == 1
    (trial,) = shell.store.trials("train")
    assert trial.status == "failed"
    assert "scheduler LeavesLimits() chose batch_size" in str(trial.error)


def test_error_of_a_network_of_ones_own_tells_its_place_and_keeps_the_traceback(shell: Shell) -> None:
    code = """
from torch import nn

class Net(nn.Module):
    def __init__(self, pixels, classes):
        super().__init__()
        self.layer = nn.Linear(pixels, classes)

    def forward(self, images):
        if self.training and not images.is_meta and len(images) > 16:
            raise ValueError("first line\\nsecond " + "x" * 1000)
        return self.layer(images.flatten(1))

def make_net(classes, image_size):
    return Net(3 * image_size**2, classes)
"""
    shell.folder.joinpath("bad_nets.py").write_text(code)
    finished = shell("train", "--architecture", "bad_nets:make_net", *TINY, "--set", "train/batch_size=32")
    assert finished.code == 1
    assert "Traceback (most recent call last)" not in finished.out
    assert "in your own code:" in finished.out
    assert 'bad_nets.py", line 11, in forward' in finished.out
    assert "torch" not in finished.out.partition("in your own code:")[2]
    where = f"{shell.store.name}/train/errors/"
    assert f"traceback: {where}" in finished.err
    assert Path(finished.err.rpartition("traceback: ")[2].strip()).is_file()
    listed = shell("list", "failures").out
    assert "bad_nets-make_net-constant-digits-train-0" in listed
    assert f"{where}bad_nets-make_net-constant-digits-train-0.txt" in listed
    (trial,) = shell.store.trials("train")
    assert trial.cause == "raised"
    error = str(trial.error)
    assert error.startswith("ValueError: first line second xxx")
    assert "(bad_nets.py, line 11, in forward); traceback: train/errors/" in error
    assert len(error) < 700
    kept = Path(shell.store.name, error.rpartition("traceback: ")[2]).read_text()
    assert kept.startswith("Traceback")
    assert "in make_net" not in kept
    assert "x" * 1000 in kept


def test_run_that_never_changed_the_batch_says_so_and_why(shell: Shell) -> None:
    plain = ["train", "--architecture", "resnet18", *TINY]
    timetable = ["--scheduler", "ramp", "--set", "scheduler/points=48@40, 64@5000"]
    finished = shell(*plain, *timetable)
    assert "ramp: 1 of 2 points never taken (64@5000): the run ends at" in finished.out
    assert "never changed" not in finished.out
    late = shell(*plain, "--scheduler", "ramp", "--set", "scheduler/points=64@5000")
    assert "the batch size never changed, in" in late.out
    assert "; the last: 0 of 1 points passed at" in late.out
    default = shell(*plain, "--scheduler", "ramp")
    assert "ramp: 4 of 4 steps never taken (epoch 10, epoch 20, epoch 30 and 1 more)" in default.out
    assert "never" not in shell(*plain).out


def test_interrupted_training_says_what_is_kept(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "train", interrupted)
    finished = shell("train", "--architecture", "resnet18", "--results", "my results")
    assert finished.code == 130
    assert finished.err.lstrip() == (  # a terminal's ^C leaves the line unfinished
        "adasearch: interrupted; what is finished is kept. "
        "To go on: adasearch train --architecture resnet18 --results 'my results'\n"
    )


@pytest.mark.parametrize("name", ["search", "train", "confirm"])
def test_trackers_are_taken_several_times_and_checked(
    name: str, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = [name, *(["--architecture", "resnet18"] if name != "confirm" else [])]
    shell.refuses(*arguments, "--log", "tensorbord", says="'tensorbord' is not one of")
    remote = [*arguments, "--results", "gs://bucket/results", "--log", "tensorboard"]
    shell.refuses(*remote, says="must be a local one but is gs://bucket/results")
    monkeypatch.setattr("adasearch.trackers.log.find_spec", lambda library: None)
    shell.refuses(*arguments, "--log", "mlflow", says="pip install 'adasearch[mlflow]'")
    told: list[object] = []

    def called(*_: object, log: object, **__: object) -> None:
        told.append(log)
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, name, called)
    shell(*arguments, "--log", "tensorboard", "--log", "wandb")
    assert told == [("tensorboard", "wandb")]


def test_training_that_was_killed_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    """With -9, so that nothing is told; the same command goes on under the same name."""
    words = "--architecture mobilenet_v3_small --scheduler deba --subset 400 --epochs 8 --interval 0.25"
    command = [sys.executable, "-m", "adasearch", "train", *words.split(), "--checkpoint-every", "2"]

    def killed_after(lines: int) -> None:
        with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for _ in range(lines):  # one per interval
                process.stdout.readline()
            process.kill()

    killed_after(7)
    store = Store(str(tmp_path / "results"))
    (trial,) = store.trials("train")
    assert trial.status == "running"
    before = store.intervals("train")[trial.trial_id]
    assert len(before) >= 4
    assert store.study_of(trial) is not None

    again = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert f"{trial.trial_id} goes on after" in again.stdout
    (done,) = store.trials("train")
    after = store.intervals("train")[trial.trial_id]
    assert done.status == "complete"
    assert after[: len(before)] == before
    assert [record.signals.interval for record in after] == list(range(32))
    assert not list(tmp_path.rglob("*.pt"))

    killed_after(7)
    assert [trial.number for trial in store.trials("train")] == [0, 1]
