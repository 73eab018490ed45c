"""Bad input is refused in one line, before anything is written."""

import io
import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.cli.shell import SEARCH, Shell

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
