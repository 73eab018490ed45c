import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from adasearch import __version__, commands
from adasearch.cli.main import cli, main
from adasearch.records import Params, StudyRecord
from adasearch.spaces.optuna_trials import stored_spaces
from adasearch.store import Store
from adasearch.tuning.cluster import Capacity
from adasearch.tuning.trial_source import TrialPlan, TrialSource
from tests.data.layouts import write_rows
from tests.rows import STUDY, study_of, trial_of

COMMANDS = sorted(cli.commands)
SEARCH = ["search", "--architecture", "resnet18"]
TINY = ["--dataset", "digits", "--subset", "100", "--largest", "48", "--epochs", "1", "--interval", "0.5"]


@dataclass(frozen=True)
class Finished:
    code: int
    out: str
    err: str


class Shell:
    """Runs commands in an empty folder, in this process."""

    def __init__(self, folder: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capture = capture

    def __call__(self, *arguments: str) -> Finished:
        self._capture.readouterr()
        code: object = 0
        try:
            main(list(arguments))
        except SystemExit as stop:
            code = stop.code
        assert isinstance(code, int)
        out, err = self._capture.readouterr()
        return Finished(code, out, err)

    @property
    def store(self) -> Store:
        return Store("results")

    def refuses(self, *arguments: str, says: str) -> None:
        """Check exit 2, one line on stderr that says so, and that nothing was written."""
        before = sorted(self.folder.rglob("*"))
        finished = self(*arguments)
        assert says in finished.err
        assert finished.code == 2
        assert finished.err.startswith("adasearch: ")
        assert len(finished.err.splitlines()) == 1
        assert sorted(self.folder.rglob("*")) == before


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv("COLUMNS", "500")

    def no_ray(address: str | None, **options: object) -> None:
        pytest.fail("this would start Ray")

    monkeypatch.setattr("adasearch.tuning.cluster.connect", no_ray)
    return Shell(tmp_path, capsys)


# --- bad input --------------------------------------------------------------------------------------

BAD_SETTINGS = [
    (["--dataset", "digitz"], "unknown dataset 'digitz'; did you mean 'digits'?"),
    (["--dataset", "parquet:nowhere"], "no Parquet file there"),
    (["--dataset", "parquet:bad.parquet"], "bad.parquet is damaged or no Parquet file"),
    (["--dataset", "parquet:labels.parquet"], "labels.parquet: label -1 is outside 0 to "),
    (["--dataset", "cifar10:nowhere"], "no intact torchvision copy"),
    (["--dataset", "fashion_mnist:nowhere"], "nowhere'; add --download to fetch it there"),
    (["--dataset", "folder:nowhere"], "nowhere: no such folder"),
    (["--dataset", "nowhere_at_all:load"], "cannot be imported: ModuleNotFoundError"),
    (["--dataset", "folder.x:load"], "unknown dataset 'folder.x:load'; known: "),
    (["--dataset", ".folder:load"], "unknown dataset '.folder:load'; did you mean 'folder:PATH'?"),
    (["--dataset", "math:pi"], "dataset 'math:pi' must be a function but is float"),
    (["--dataset", "os:getpid"], "must return a pair (train, test) of map-style data sets"),
    (["--image-size", "0"], "--image-size must be at least 1 but got 0"),
    (["--download"], "--download is for cifar10, cifar100, fashion_mnist but got --dataset digits"),
    (["--scale", "tiny"], "'tiny' is not one of"),
    (["--space", "deba_shrot"], "unknown space for schedulers 'deba_shrot'; did you mean 'deba_short'?"),
    (["--space", "none.yaml"], "space none.yaml: No such file"),
    (["--space", "broken.yaml"], "space broken.yaml is not YAML"),
    (["--space", "key.yaml"], "space key.yaml: feilds: unknown key"),
    (["--space", "field.yaml"], "unknown field of deba 'windw'; did you mean 'window'?"),
    (["--space", "empty.yaml"], "the range must run from a lower to a higher number but got [5, 5]"),
    (["--space", "reversed.yaml"], "the range must run from a lower to a higher number but got [9, 3]"),
    (["--space", "outside.yaml"], "growth must be greater than 1 but got growth=0.5"),
    (
        ["--space", "quantile.yaml"],
        "field growth takes no quantile; those that do: deba: confidence_threshold",
    ),
    (["--space", "adabatch"], "--space adabatch is for adabatch, not deba"),
    (["--train-space", "vit_b_16"], "--train-space vit_b_16 is for vit_b_16, not resnet18"),
    (["--train-space", "resnet-18"], "unknown space for architectures 'resnet-18'; did you mean 'resnet18'?"),
    (["--train-space", "sizes.yaml"], "batch_size must lie in 16 to 143 but got 512"),
    (["--set", "scheduler/windw=5"], "'windw'; did you mean 'window'?"),
    (["--set", "train/momentun=0.5"], "'momentun'; did you mean 'momentum'?"),
    (["--set", "lr=0.1"], "--set must be train/FIELD=VALUE or scheduler/FIELD=VALUE but got 'lr=0.1'"),
    (["--set", "train/lr=["], "--set train/lr needs a number, a name, true or false but got '['"),
    (["--set", "train/lr=-1"], "lr must be greater than 0 but got lr=-1"),
    (["--set", "scheduler/window=2"], "window must be 0 (full history) or at least 3 but got window=2"),
    (["--set", "train/batch_size=8"], "--set train/batch_size must lie in 16 to 143 but got 8"),
    (
        ["--smallest", "64", "--largest", "32"],
        "--smallest must be at most --largest but got 64 and 32",
    ),
    (["--largest", "8"], "largest must be at least smallest but got smallest=16, largest=8"),
    (["--subset", "100"], "largest must be at least smallest but got smallest=16, largest=12"),
    (["--smallest", "0"], "--smallest must be at least 1 but got 0"),
    (["--largest", "-5"], "--largest must be at least 1 but got -5"),
    (["--subset", "0"], "--subset must be at least 1 but got 0"),
    (["--subset", "5"], "--subset must lie between 10 (one example a class)"),
    (["--subset", "100000"], "but got 100000"),
    (["--epochs", "0"], "--epochs must be greater than 0 but got 0"),
    (["--epochs", "nan"], "--epochs must be greater than 0 but got nan"),
    (["--epochs", "many"], "'many' is not a valid float"),
    (["--interval", "0"], "--interval must be greater than 0 but got '0'"),
    (["--interval", "-0.5"], "--interval must be greater than 0 but got '-0.5'"),
    (["--interval", "often"], "--interval must be epochs (0.5) or examples (2000ex) but got 'often'"),
    (["--interval", "nan"], "--interval must be epochs (0.5) or examples (2000ex) but got 'nan'"),
    (["--evaluate-every", "0"], "--evaluate-every must be greater than 0 but got '0'"),
    (["--evaluate-every", "x"], "--evaluate-every must be epochs (0.5) or examples (2000ex) but got 'x'"),
    (["--seed", "-1"], "--seed must lie in 0 to 2^31 - 1 but got -1"),
    (["--precision", "float8"], "'float8' is not one of"),
    (["--results", "file"], "results 'file' must be a folder but is a file"),
    (["--results", "file/below"], "must be writable but"),
    (["--results", "nowhere://x"], "results 'nowhere://x' cannot be reached"),
    (["--nonsense", "1"], "No such option"),
]
BAD_SEARCHES = [
    (["--architecture", "resnet19"], "unknown architecture 'resnet19'; did you mean 'resnet18'?"),
    (["--architecture", "squeezenet1_1"], "architecture 'squeezenet1_1' has no nano form"),
    (
        ["--architecture", "vgg11", "--scale", "full"],
        "architecture 'vgg11' (full) needs images of at least 32 pixels but got 16",
    ),
    (["--architecture", "no_such_module:net"], "architecture 'no_such_module:net' cannot be imported"),
    (["--architecture", "tests.own_nets:CONSTANT"], "must be a function of classes and image_size"),
    (["--architecture", "tests.own_nets:raises"], "and raised RuntimeError: no luck"),
    (["--architecture", "tests.own_nets:none"], "must return a torch.nn.Module but returned type NoneType"),
    (["--architecture", "tests.own_nets:thousand"], "(2, 1000): it is built for 1000 classes"),
    (
        ["--architecture", "tests.own_nets:for_large_images"],
        "fails on images of 16x16 pixels; 48x48 would do",
    ),
    (["--architecture", "tests.failing_nets:NoBackward"], "of every trial: NotImplementedError: no way back"),
    (["--scheduler", "debba"], "unknown scheduler 'debba'; did you mean 'deba'?"),
    (["--scheduler", "no_such_module:X"], "scheduler 'no_such_module:X' cannot be imported"),
    (["--scheduler", "json:loads"], "must be a dataclass"),
    (["--space", "deba", "--scheduler", "deba", "--scheduler", "adabatch"], "and 2: deba, adabatch"),
    (["--space", "deba", "--scheduler", "constant"], "for each, but got --space deba and none"),
    (["--scheduler", "adabatch", "--set", "scheduler/window=5"], "searched schedulers 'window'"),
    (["--trials", "0"], "--trials must be at least 1 but got 0"),
    (["--slots", "0"], "--slots must be at least 1 but got 0"),
    (["--workers", "0"], "--workers must be at least 1 but got 0"),
    (["--cpus-per-worker", "-1"], "--cpus-per-worker must be at least 1 but got -1"),
    (["--attempts", "0"], "--attempts must be at least 1 but got 0"),
    (["--gpus-per-worker", "-1"], "--gpus-per-worker must be at least 0 but got -1"),
    (["--gpus-per-worker", "nan"], "--gpus-per-worker must be at least 0 but got nan"),
    (["--gpus-per-worker", "0.5", "--workers", "2"], "a fraction only with one worker but got 0.5"),
    (["--workers", "8", "--smallest", "8"], "--smallest must be at least 2 x workers = 16 but got 8"),
    (["--sampler", "gird"], "'gird' is not one of"),
    (
        ["--sampler", "grid"],
        "--sampler grid takes choices and fixed values but train/batch_size is a range",
    ),
    (
        "--experiment deba_window --scale nano --dataset digits --subset 300 --largest 64 --transfer".split(),
        "--transfer does not go with --sampler grid, which tries every combination in turn",
    ),
    (["--stopper", "sometimes"], "'sometimes' is not one of"),
    (["--study", "a/b"], "--study must be letters, digits, '_', '.' or '-' and not reserved but got 'a/b'"),
    (["--study", "train"], "not reserved but got 'train'"),
    (["--trials", "few"], "'few' is not a valid integer"),
]


def png(shade: int) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (8, 8), (shade, shade, shade)).save(data, "png")
    return data.getvalue()


@pytest.fixture
def bad_files(shell: Shell) -> Shell:
    folder = shell.folder
    folder.joinpath("file").write_text("mine")
    folder.joinpath("bad.parquet").write_bytes(b"PAR1 and then nothing")
    images = [{"bytes": png(shade)} for shade in (0, 100, 200)]
    pq.write_table(pa.table({"image": images, "label": [0, -1, 1]}), folder / "labels.parquet")
    spaces = {
        "broken": "scheduler: deba\nfields: {window: [",
        "key": "scheduler: deba\nfeilds: {}",
        "field": "scheduler: deba\nfields: {windw: {int: [3, 9]}}",
        "empty": "scheduler: deba\nfields: {window: {int: [5, 5]}}",
        "reversed": "scheduler: deba\nfields: {window: {int: [9, 3]}}",
        "outside": "scheduler: deba\nfields: {growth: {float: [0.5, 2.0]}}",
        "quantile": "scheduler: deba\nfields: {growth: {quantile: [0.1, 0.9]}}",
        "sizes": "architecture: resnet18\nfields: {batch_size: {int: [16, 512]}}",
    }
    for name, text in spaces.items():
        folder.joinpath(f"{name}.yaml").write_text(text)
    return shell


@pytest.mark.parametrize(
    ("arguments", "says"), [*BAD_SETTINGS, *BAD_SEARCHES], ids=lambda a: " ".join(a)[:40]
)
def test_search_refuses_bad_input_in_one_line(bad_files: Shell, arguments: list[str], says: str) -> None:
    bad_files.refuses(*SEARCH, *arguments, says=says)


def test_search_on_the_cpu_refuses_tf32(bad_files: Shell) -> None:
    says = "--precision tf32 needs a GPU but the device is cpu"
    bad_files.refuses(*SEARCH, "--precision", "tf32", "--gpus-per-worker", "0", says=says)


@pytest.mark.parametrize(("arguments", "says"), BAD_SETTINGS, ids=lambda a: " ".join(a)[:40])
def test_train_refuses_bad_input_in_one_line(bad_files: Shell, arguments: list[str], says: str) -> None:
    bad_files.refuses("train", "--architecture", "resnet18", "--scheduler", "deba", *arguments, says=says)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["serch"], "No such command 'serch'"),
        (["search"], "give --architecture NAME"),
        (["train"], "give --architecture NAME (see 'list architectures') or --schedule FILE"),
        (["train", "--architecture", "resnet19"], "unknown architecture 'resnet19'"),
        (["train", "--architecture", "resnet18", "--scheduler", "debba"], "unknown scheduler 'debba'"),
        (["compare"], "results 'results' must be an existing folder but is not there"),
        (["compare", "--results", "file"], "results 'file' must be a folder but is a file"),
        (["compare", "--format", "xml"], "'xml' is not one of"),
        (["list"], "Missing argument"),
        (["list", "optimisers"], "'optimisers' is not one of"),
        (["list", "studies"], "results 'results' must be an existing folder but is not there"),
    ],
)
def test_other_commands_refuse_bad_input_in_one_line(
    bad_files: Shell, arguments: list[str], says: str
) -> None:
    bad_files.refuses(*arguments, says=says)


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write anywhere")
def test_search_refuses_results_that_cannot_be_written(shell: Shell) -> None:
    shell.folder.chmod(0o555)
    shell.refuses(*SEARCH, says="must be writable but")


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


# --- data -------------------------------------------------------------------------------------------


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


# --- train ------------------------------------------------------------------------------------------


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


# --- search, up to the engine -----------------------------------------------------------------------


@dataclass
class Engine:
    """Stands in for Ray: a cluster of two CPUs, and a search that ends at once."""

    whole: bool = True
    gpus: float = 0.0
    asked: list[list[TrialPlan]] = field(default_factory=list)

    @contextmanager
    def connect(self, address: str | None, **options: object) -> Iterator[Capacity]:
        yield Capacity(nodes=((2.0, self.gpus),))

    def run_trials(self, sources: list[TrialSource], *arguments: object, **options: object) -> bool:
        self.asked.append([source.plan for source in sources])
        return self.whole


@pytest.fixture
def engine(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Engine:
    engine = Engine()
    monkeypatch.setattr("adasearch.tuning.cluster.connect", engine.connect)
    monkeypatch.setattr("adasearch.tuning.probe.check_cluster", lambda storage, **options: None)
    module = ModuleType("adasearch.tuning.engine")
    module.__dict__["run_trials"] = engine.run_trials
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return engine


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ["--workers", "3"],
            "a trial needs --workers 3 worker(s) with 1 CPU(s) and 0 GPU(s) each, but the cluster has 2 CPU",
        ),
        (["--cpus-per-worker", "3"], "but the cluster has 2 CPU(s) and 0 GPU(s)"),
        (["--gpus-per-worker", "1"], "but the cluster has 2 CPU(s) and 0 GPU(s)"),
        (["--slots", "3"], "--slots 3 trials of 1 worker(s) with 1 CPU(s) and 0 GPU(s) each do not fit"),
    ],
)
def test_search_refuses_more_than_the_cluster_has(shell: Shell, arguments: list[str], says: str) -> None:
    shell.refuses(*SEARCH, *arguments, says=says)


def test_search_writes_the_studies_and_prints_the_table(shell: Shell, engine: Engine) -> None:
    finished = shell(*SEARCH, "--scheduler", "adabatch", "--largest", "64", "--trials", "3")
    assert (finished.code, finished.err) == (0, "")
    studies = shell.store.studies()
    assert [study.scheduler for study in studies] == ["adabatch", "constant"]
    assert {study.largest for study in studies} == {64}
    assert finished.out.count("initial batch sizes lie in 16 to 64 only") == 1
    assert "adabatch allows train/lr_schedule constant only" in finished.out
    assert "no complete trial" in finished.out
    assert [plan.study.scheduler for plan in engine.asked[0]] == ["constant", "adabatch"]
    assert {plan.trials for plan in engine.asked[0]} == {3}


@pytest.mark.usefixtures("engine")
def test_what_too_few_trials_or_seeds_cannot_tell_is_said_beforehand(shell: Shell) -> None:
    few = shell(*SEARCH, "--trials", "5").out
    assert few.startswith("5 trials per study will be too few to say whether anything is gained")
    assert (
        "too few to say" not in shell(*SEARCH, "--trials", "6", "--study", "more").out.partition("Search:")[0]
    )
    confirming = ("confirm", "--results", "results")
    assert "a verdict takes at least 4 (--seeds)" in shell(*confirming, "--seeds", "2").out
    assert "a verdict takes" not in shell(*confirming, "--seeds", "4").out
    assert "Below 6 that end" in " ".join(shell("search", "--help").out.split())
    assert "below 4 there is no verdict" in " ".join(shell("confirm", "--help").out.split())


def defaults_of(study: StudyRecord) -> Params:
    """What a study tries first."""
    spaces = stored_spaces(study)
    return {name: value for space in spaces for name, value in {**space.fixed(), **space.first()}.items()}


def test_same_search_goes_on_with_what_is_stored(shell: Shell, engine: Engine) -> None:
    flags = ["--epochs", "2", "--seed", "3", "--set", "train/lr=0.05", "--interval", "100ex"]
    shell(*SEARCH, *flags)
    before = shell.store.studies()
    trial = trial_of(before[1], 0, val_error=0.1, seconds=1, params=defaults_of(before[1]))
    shell.store.write_trial(trial)
    for again in (flags, []):  # what is left open is taken from the stored study
        assert shell(*SEARCH, *again).code == 0
        assert shell.store.studies() == before
    assert [list(plan.stored) for plan in engine.asked[-1]] == [[], [trial]]


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize(
    ("flags", "field_name"),
    [
        (["--epochs", "7"], "budget"),
        (["--seed", "1"], "seed"),
        (["--interval", "0.25"], "interval"),
        (["--evaluate-every", "2"], "evaluate_every"),
        (["--largest", "64"], "largest"),
        (["--subset", "500"], "subset"),
        (["--sampler", "random"], "sampler"),
        (["--stopper", "none"], "stopper"),
        (["--precision", "bfloat16"], "precision"),
        (["--workers", "2"], "workers"),
        (["--space", "deba_short"], "scheduler_space"),
        (["--set", "train/lr=0.1"], "train_space"),
    ],
)
def test_search_refuses_a_study_of_another_identity(shell: Shell, flags: list[str], field_name: str) -> None:
    shell(*SEARCH)
    shell.refuses(*SEARCH, *flags, says=f" exists with {field_name}=")


@pytest.mark.skipif(torch.cuda.is_available(), reason="the driver has a GPU itself")
def test_search_on_a_cluster_whose_device_the_driver_lacks_goes_on(shell: Shell, engine: Engine) -> None:
    engine.gpus = 1.0
    for _ in range(2):
        finished = shell(*SEARCH, "--address", "127.0.0.1:1")
        assert (finished.code, finished.err) == (0, "")
    assert {study.device for study in shell.store.studies()} == {"cuda"}
    assert len(engine.asked) == 2
    engine.gpus = 0.0
    assert " exists with device=cuda but this search has device=cpu" in shell(*SEARCH, "--address", "a:1").err


@pytest.mark.usefixtures("engine")
def test_search_under_a_prefix_is_another_study(shell: Shell) -> None:
    shell(*SEARCH)
    assert shell(*SEARCH, "--epochs", "7", "--study", "mine").code == 0
    assert {study.study for study in shell.store.studies()} == {
        f"{prefix}resnet18-nano-{name}-digits" for prefix in ("", "mine-") for name in ("constant", "deba")
    }


def test_search_goes_on_without_a_baseline_that_another_search_holds(shell: Shell, engine: Engine) -> None:
    with shell.store.locks.hold(study_of("constant").study):
        finished = shell(*SEARCH)
    assert finished.code == 0
    assert f"process {os.getpid()}); going on without it" in finished.out
    assert [plan.study.scheduler for plan in engine.asked[0]] == ["deba"]
    assert [study.scheduler for study in shell.store.studies()] == ["deba"]


def test_search_ends_at_once_where_another_search_holds_its_study(shell: Shell, engine: Engine) -> None:
    with shell.store.locks.hold(STUDY.study):
        finished = shell(*SEARCH)
    assert finished.code == 1
    assert f"study {STUDY.study} is held by another live search (host " in finished.err
    assert len(finished.err.splitlines()) == 1
    assert not engine.asked
    assert not shell.store.studies()


def test_search_that_was_interrupted_says_how_to_go_on(shell: Shell, engine: Engine) -> None:
    engine.whole = False
    finished = shell(*SEARCH)
    assert finished.code == 130
    assert finished.err.endswith("To go on: adasearch search --architecture resnet18\n")
    assert "verdict" not in finished.out


def test_search_without_a_baseline_searches_the_scheduler_alone(shell: Shell, engine: Engine) -> None:
    shell(*SEARCH, "--no-baseline")
    assert [plan.study.scheduler for plan in engine.asked[0]] == ["deba"]


def test_finished_trials_are_told_to_the_engine_in_order(shell: Shell, engine: Engine) -> None:
    shell(*SEARCH, "--no-baseline")
    (study,) = shell.store.studies()
    for n in (2, 0, 1):
        shell.store.write_trial(trial_of(study, n, status="failed", params=defaults_of(study)))
    shell(*SEARCH, "--no-baseline")
    assert [trial.number for trial in engine.asked[-1][0].stored] == [0, 1, 2]


@pytest.mark.usefixtures("engine")
def test_trials_without_an_identity_are_not_continued(shell: Shell) -> None:
    shell(*SEARCH, "--no-baseline")
    (study,) = shell.store.studies()
    shell.store.write_trial(trial_of(study, 0))
    (identity,) = Path("results", study.study, "studies").glob("*.parquet")
    identity.write_bytes(identity.read_bytes()[:100])
    finished = shell(*SEARCH, "--no-baseline", "--epochs", "7")
    assert finished.code == 2
    assert "has 1 trials but no readable identity" in finished.err.splitlines()[-1]
    assert len(identity.read_bytes()) == 100


@pytest.mark.usefixtures("engine")
def test_a_space_is_the_same_whatever_the_order_of_its_fields(shell: Shell) -> None:
    fields = ["  window: {int: [3, 9]}", "  cooldown: {int: [1, 5]}"]
    for name, lines in (("a", fields), ("b", fields[::-1])):
        Path(f"{name}.yaml").write_text("\n".join(["scheduler: deba", "fields:", *lines]))
    assert shell(*SEARCH, "--space", "a.yaml").code == 0
    assert shell(*SEARCH, "--space", "b.yaml").code == 0


def test_a_finished_search_does_not_start_ray(shell: Shell, engine: Engine) -> None:
    shell(*SEARCH, "--no-baseline", "--trials", "1")
    (study,) = shell.store.studies()
    shell.store.write_trial(trial_of(study, 0, val_error=0.1, seconds=1))
    finished = shell(*SEARCH, "--no-baseline", "--trials", "1")
    assert finished.code == 0
    assert "starting Ray" not in finished.out
    assert "no reference" in finished.out
    assert len(engine.asked) == 1


def test_failed_trials_are_tried_again_by_the_same_command(shell: Shell, engine: Engine) -> None:
    flags = (*SEARCH, "--no-baseline", "--trials", "2")
    shell(*flags)
    (study,) = shell.store.studies()
    for number in range(2):
        failed = trial_of(study, number, status="failed", params=defaults_of(study))
        mended = replace(failed, error="ValueError: bad; traceback: x", cause="raised")
        shell.store.write_trial(mended)
    kept = shell(*flags, "--no-retry-failed")
    assert kept.code == 1
    assert len(engine.asked) == 1  # there was nothing to do
    assert "failed: 2 × ValueError: bad, such as" in kept.out
    assert "nothing completed, 2 of 2 trials failed" in kept.err
    again = shell(*flags)
    assert "2 failed trials, all by ValueError: bad: they are tried again" in again.out
    assert [trial.status for trial in engine.asked[-1][0].stored] == ["running", "running"]
    shell.store.write_trial(trial_of(study, 0, val_error=0.1, seconds=1, params=defaults_of(study)))
    assert shell(*flags).code == 0  # one failed, which is no pattern
    assert len(engine.asked) == 2
    assert shell(*flags, "--retry-failed").code == 0
    assert [trial.status for trial in engine.asked[-1][0].stored] == ["complete", "running"]


OWN = """
from torch import nn

def make_net(classes, image_size):
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * image_size**2, classes))
"""


@pytest.mark.usefixtures("engine")
def test_study_of_ones_own_network_is_not_called_nano_but_goes_on_where_it_was(shell: Shell) -> None:
    shell.folder.joinpath("small_nets.py").write_text(OWN)
    search = ("search", "--architecture", "small_nets:make_net", "--no-baseline")
    shell(*search)
    assert [study.study for study in shell.store.studies()] == ["small_nets-make_net-deba-digits"]
    assert shell(*search, "--scale", "nano", "--results", "former").code == 0
    assert shell(*search, "--results", "former").code == 0
    former = [study.study for study in Store("former").studies()]
    assert former == ["small_nets-make_net-nano-deba-digits"]


@pytest.mark.usefixtures("engine")
def test_each_of_several_schedulers_may_have_a_space_of_its_own(shell: Shell) -> None:
    shell.folder.joinpath("mine.yaml").write_text("scheduler: cabs\nfields:\n  scale: {fixed: 0.5}\n")
    both = (*SEARCH, "--scheduler", "deba", "--scheduler", "cabs")
    assert shell(*both, "--space", "deba=deba_short", "--space", "cabs=mine.yaml").code == 0
    spaces = {study.scheduler: stored_spaces(study)[1] for study in shell.store.studies()}
    assert spaces["cabs"].fixed()["scheduler/scale"] == 0.5
    assert spaces["deba"].ends("window") == (3, 10)
    shell.refuses(
        *both,
        "--space",
        "deba_short",
        says="or SCHEDULER=FILE for each, but got --space deba_short and 2: deba, cabs",
    )


@pytest.mark.usefixtures("engine")
def test_flags_given_twice_count_once(shell: Shell) -> None:
    assert (
        shell(*SEARCH, "--architecture", "resnet18", "--scheduler", "deba", "--scheduler", "deba").code == 0
    )
    assert [study.scheduler for study in shell.store.studies()] == ["constant", "deba"]


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
