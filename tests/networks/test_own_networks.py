"""Networks by torchvision's names and of the user's own: what is taken, and how the rest is refused."""

import sys

import pytest
import torch

from adasearch.data.splits import Dataset
from adasearch.errors import InputError
from adasearch.networks.dry_run import dry_run
from adasearch.networks.registry import build_model, check_model, check_name
from adasearch.records import Limits
from adasearch.schedulers import make_scheduler
from adasearch.studies.wanted import study_name
from adasearch.training.config import Hyperparameters, TrainConfig
from adasearch.training.loop import train

LINE = "tests.own_nets:"


# --- torchvision's others ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "image_size"),
    [
        ("squeezenet1_1", 32),
        ("vgg13", 32),
        ("mnasnet0_5", 16),
        ("vit_b_32", 64),  # built for this size
        ("maxvit_t", 224),
        ("googlenet", 32),  # without the heads that return further outputs
        ("inception_v3", 75),
    ],
)
def test_any_network_of_torchvision_is_taken_by_its_name(name: str, image_size: int) -> None:
    with torch.device("meta"):
        network = build_model(name, "full", classes=7, image_size=image_size)
        assert network(torch.empty(2, 3, image_size, image_size)).shape == (2, 7)
    check_model(name, "full", classes=7, image_size=image_size)


def test_network_that_cannot_be_built_on_the_meta_device_is_checked_with_weights() -> None:
    with pytest.raises(InputError, match="meta tensor"), torch.device("meta"):
        build_model("regnet_x_400mf", "full", classes=7, image_size=16)
    before = torch.get_rng_state()
    check_model("regnet_x_400mf", "full", classes=7, image_size=16)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("name", "image_size", "says"),
    [
        ("inception_v3", 32, r"fails on images of 32x32 pixels; 75x75 would do \(RuntimeError: "),
        ("maxvit_t", 32, r"fails on images of 32x32 pixels; 224x224 would do \(ValueError: "),
        ("vit_b_32", 48, r"fails on images of 48x48 pixels; 64x64 would do \(AssertionError: "),
    ],
)
def test_images_too_small_for_it_are_refused_with_a_size_that_would_do(
    name: str, image_size: int, says: str
) -> None:
    with pytest.raises(InputError, match=f"^architecture '{name}' {says}") as caught:
        check_model(name, "full", classes=10, image_size=image_size)
    assert len(str(caught.value).splitlines()) == 1


def test_network_of_torchvision_has_no_nano_form() -> None:
    with pytest.raises(InputError, match="'squeezenet1_1' has no nano form; it is built at scale 'full'"):
        check_name("squeezenet1_1", "nano")


def test_network_for_another_task_is_unknown() -> None:
    with pytest.raises(InputError, match=r"unknown architecture 'fasterrcnn_.*any classification network"):
        check_name("fasterrcnn_resnet50_fpn", "full")


# --- the user's own ---------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", ["nano", "full"])
@pytest.mark.parametrize("name", ["good", "Good", "LooksAtValues"])
def test_network_of_ones_own_is_taken_at_both_scales(name: str, scale: str) -> None:
    check_model(LINE + name, scale, classes=7, image_size=16)
    network = build_model(LINE + name, scale, classes=7, image_size=16)
    assert network(torch.zeros(2, 3, 16, 16)).shape == (2, 7)


@pytest.mark.parametrize("name", ["Good", "LooksAtValues"])
def test_check_leaves_the_network_and_the_generator_as_they_were(name: str) -> None:
    torch.manual_seed(0)
    network = build_model(LINE + name, "nano", classes=7, image_size=16)
    after = torch.get_rng_state()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    dry_run(network, 16)
    assert torch.equal(torch.get_rng_state(), after)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert int(before["layers.1.num_batches_tracked"]) == 0


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("no_such", "cannot be imported: AttributeError: module 'tests.own_nets' has no attribute 'no_such'"),
        ("CONSTANT", "must be a function of classes and image_size but is of type int"),
        ("NETWORK", "must be a function of classes and image_size but is of type Linear"),
        (
            "no_arguments",
            "was called with classes=10, image_size=16 and raised TypeError: no_arguments() got an "
            "unexpected keyword argument 'classes'",
        ),
        ("raises", "was called with classes=10, image_size=16 and raised RuntimeError: no luck"),
        ("none", "must return a torch.nn.Module but returned type NoneType"),
        ("a_class", "must return a torch.nn.Module but returned type type"),
        ("nothing_to_train", "must return a network with parameters that are trained"),
        (
            "thousand",
            "must return a tensor (2, 10) of floats for two images and 10 classes but returned (2, 1000): "
            "it is built for 1000 classes",
        ),
        (
            "maps",
            "must return a tensor (2, 10) of floats for two images and 10 classes but returned "
            "(2, 10, 16, 16)",
        ),
        (
            "Two",
            "must return a tensor (2, 10) of floats for two images and 10 classes but returned type tuple",
        ),
        ("Labels", "must return a tensor (2, 10) of floats for two images but returned int64"),
        ("in_half_precision", "must return a network in float32 but it has float16"),
        ("leaves", "was called with classes=10, image_size=16 and raised SystemExit: 7"),
        ("for_large_images", "fails on images of 16x16 pixels; 48x48 would do (RuntimeError: "),
    ],
)
def test_what_is_wrong_with_a_network_of_ones_own_is_said_in_one_line(name: str, says: str) -> None:
    with pytest.raises(InputError) as caught:
        check_model(LINE + name, "nano", classes=10, image_size=16)
    assert str(caught.value).startswith(f"architecture {LINE + name!r} {says}")
    assert len(str(caught.value).splitlines()) == 1
    with pytest.raises(InputError):
        build_model(LINE + name, "nano", classes=10, image_size=16)


def test_module_that_does_not_exist_is_refused_before_any_data_are_read() -> None:
    with pytest.raises(InputError, match="architecture 'no_such_nets:net' cannot be imported: ModuleNot"):
        check_name("no_such_nets:net", "nano")
    assert "no_such_nets" not in sys.modules


def test_network_of_ones_own_trains(digits: Dataset) -> None:
    config = TrainConfig(
        architecture=LINE + "Good",
        scale="full",
        seed=0,
        hyperparameters=Hyperparameters(batch_size=16, lr=0.02),
        budget=480,
        interval=160,
        evaluate_every=160,
    )
    limits = Limits(smallest=16, largest=64)
    losses = [
        record.signals.train_loss for record in train(config, make_scheduler("constant", {}), limits, digits)
    ]
    assert losses[-1] < 0.9 * losses[0]


def test_study_of_ones_own_network_has_a_plain_name() -> None:
    name = study_name("my_package.nets:make_net", None, "my_module:MyScheduler", "digits")
    assert name == "my_package.nets-make_net-my_module-MyScheduler-digits"


def test_network_without_gradients_per_example_is_refused_before_anything_starts() -> None:
    check_model("vit_b_16", "nano", classes=10, image_size=16, per_example=True)
    with pytest.raises(InputError, match=r"'resnet18': --per-example needs a network without BatchNorm"):
        check_model("resnet18", "nano", classes=10, image_size=16, per_example=True)
