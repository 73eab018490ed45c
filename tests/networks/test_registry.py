"""The networks: shapes, gradients, fresh weights, published sizes, and the images that they take."""

import re

import pytest
import torch
from torchvision.models import get_model_weights

from adasearch.data.splits import Dataset
from adasearch.errors import InputError
from adasearch.networks.dry_run import check_output, dry_run, multiply_adds
from adasearch.networks.registry import (
    ARCHITECTURES,
    SCALES,
    build_model,
    check_model,
    pixels,
    trained,
)
from adasearch.records import Limits
from adasearch.schedulers import make_scheduler
from adasearch.spaces.space import load_space
from adasearch.training.config import Hyperparameters, TrainConfig
from adasearch.training.loop import train

DEBA = "resnet18 resnet50 densenet121 efficientnet_b0 mobilenet_v3_small mobilenet_v3_large vit_b_16".split()
ADABATCH = "alexnet vgg11 vgg11_bn vgg16 vgg16_bn vgg19 vgg19_bn resnet20".split()


def test_the_networks_of_both_papers_are_there() -> None:
    assert set(DEBA + ADABATCH) <= set(ARCHITECTURES)
    assert all(set(forms) == set(SCALES) for forms in ARCHITECTURES.values())


@pytest.mark.parametrize("image_size", [16, 32])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_nano_networks_train_on_two_small_images(name: str, image_size: int) -> None:
    torch.manual_seed(0)
    network = build_model(name, "nano", classes=7, image_size=image_size).train()
    output = network(torch.randn(2, 3, image_size, image_size))
    assert output.shape == (2, 7)
    torch.nn.functional.cross_entropy(output, torch.tensor([0, 6])).backward()
    for parameter_name, parameter in network.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.isfinite().all(), parameter_name


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_parameter_learns_once_the_head_has_moved(name: str) -> None:
    torch.manual_seed(0)
    network = build_model(name, "nano", classes=7, image_size=16).train()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)  # a fresh ViT has a head of zeros, which stops gradients
    output = network(torch.randn(8, 3, 16, 16))
    torch.nn.functional.cross_entropy(output, torch.arange(8) % 7).backward()
    for parameter_name, parameter in network.named_parameters():
        assert parameter.grad is not None
        assert parameter.grad.abs().sum() > 0, parameter_name


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_weights_depend_on_the_global_seed_only(name: str) -> None:
    def weights(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        network = build_model(name, "nano", classes=10, image_size=16)
        return torch.cat([parameter.detach().flatten() for parameter in network.parameters()])

    first = weights(0)
    assert torch.equal(weights(0), first)
    assert not torch.equal(weights(1), first)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_nano_networks_are_a_small_share_of_the_full_ones(name: str) -> None:
    with torch.device("meta"):
        nano, full = (build_model(name, scale, classes=10, image_size=32) for scale in SCALES)
    sizes = [sum(parameter.numel() for parameter in network.parameters()) for network in (nano, full)]
    assert sizes[0] < sizes[1] / 3
    assert sizes[0] < 400_000


@pytest.mark.parametrize(("image_size", "features"), [(32, 32), (63, 63), (64, 16), (224, 56)])
def test_full_resnet18_keeps_the_resolution_of_small_images(image_size: int, features: int) -> None:
    with torch.device("meta"):
        network = build_model("resnet18", "full", classes=10, image_size=image_size).eval()
        shapes: list[torch.Size] = []
        network.get_submodule("layer1").register_forward_hook(lambda _, __, out: shapes.append(out.shape))
        output = network(torch.empty(1, 3, image_size, image_size))
    assert shapes == [(1, 64, features, features)]
    assert output.shape == (1, 10)


@pytest.mark.parametrize("name", [name for name in DEBA + ADABATCH if name != "resnet20"])
def test_full_network_for_imagenet_has_the_published_size_and_cost(name: str) -> None:
    """Parameters, and billions of multiply-adds, as torchvision publishes them with its weights."""
    published = get_model_weights(name).DEFAULT.meta
    with torch.device("meta"):
        network = build_model(name, "full", classes=1000, image_size=224)
    assert trained(network) == published["num_params"]
    assert round(multiply_adds(network, 224) / 1e9, 3) == published["_ops"]


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("resnet20", 269_722),  # 0.27 M in table 6 of arXiv 1512.03385
        ("resnet18", 11_173_962),  # from here on as the sources count that models.py names
        ("resnet50", 23_520_842),
        ("alexnet", 2_472_266),
        ("vgg16_bn", 14_728_266),
        ("vgg19_bn", 20_040_522),
        ("mobilenet_v3_small", 2_542_856 - 990 * 1025),  # a stride holds no parameters
        ("efficientnet_b0", 5_288_548 - 990 * 1281),
        ("vit_b_16", 86_567_656 - 990 * 769 - (14**2 - 2**2) * 768),
    ],
)
def test_full_network_for_cifar_has_the_known_size(name: str, parameters: int) -> None:
    with torch.device("meta"):
        network = build_model(name, "full", classes=10, image_size=32)
    assert trained(network) == parameters


@pytest.mark.parametrize("name", ["mobilenet_v3_small", "mobilenet_v3_large", "efficientnet_b0"])
def test_mobile_networks_halve_small_images_once_less(name: str) -> None:
    def last_map(image_size: int) -> int:
        with torch.device("meta"):
            network = build_model(name, "full", classes=10, image_size=image_size)
            features = network.get_submodule("features")(torch.empty(2, 3, image_size, image_size))
        return int(features.shape[-1])

    assert (last_map(32), last_map(64)) == (2, 2)


def test_resnet20_has_twenty_layers_with_weights_and_shortcuts_without() -> None:
    with torch.device("meta"):
        network = build_model("resnet20", "full", classes=10, image_size=32)
    layers = [module for module in network.modules() if isinstance(module, torch.nn.Conv2d | torch.nn.Linear)]
    assert len(layers) == 20


def test_shortcut_of_resnet20_takes_every_second_pixel_and_adds_empty_channels() -> None:
    network = build_model("resnet20", "full", classes=10, image_size=32)
    shortcut = network.get_submodule("6.downsample")
    images = torch.randn(2, 16, 8, 8)
    output = shortcut(images)
    assert output.shape == (2, 32, 4, 4)
    assert torch.equal(output[:, :16], images[:, :, ::2, ::2])
    assert not output[:, 16:].any()


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_images_are_taken_and_refused_as_the_list_says(name: str, scale: str) -> None:
    kind, number = re.fullmatch(r"(any|at least|a multiple of) ?(\d*)", pixels(name, scale)).groups()  # type: ignore[union-attr]
    first = int(number or 1)
    for size in (first, 2 * first, 64) + ((37, 63) if kind != "a multiple of" else ()):
        with torch.device("meta"):
            network = build_model(name, scale, classes=7, image_size=size)
        check_output(name, dry_run(network, size), 7)  # in training, with BatchNorm in passes of two
    if kind == "any":
        return
    for size in {first - 1, 1} if kind == "at least" else {first - 1, first + 1, first // 2}:
        with pytest.raises(InputError, match=rf"needs images of {kind} {first} pixels but got {size}$"):
            check_model(name, scale, classes=7, image_size=size)
        with pytest.raises((RuntimeError, AssertionError)), torch.device("meta"):
            dry_run(ARCHITECTURES[name][scale](7, size), size)  # it really cannot


@pytest.mark.parametrize("name", ["alexnet", "vgg11", "resnet20", "resnet50"])
def test_nano_network_learns_digits_at_the_defaults_of_its_space(name: str, digits: Dataset) -> None:
    space = load_space("architectures", name)
    values = {field.partition("/")[2]: value for field, value in {**space.fixed(), **space.first()}.items()}
    config = TrainConfig(
        architecture=name,
        scale="nano",
        seed=0,
        hyperparameters=Hyperparameters(**values),  # type: ignore[arg-type]
        budget=30 * len(digits.train),
        interval=30 * len(digits.train),
        evaluate_every=30 * len(digits.train),
    )
    limits = Limits(smallest=16, largest=64)
    (record,) = train(config, make_scheduler("constant", {}), limits, digits)
    assert record.val_error is not None
    assert record.val_error < 0.6  # chance is 0.9


def test_unknown_architecture_is_refused_with_the_nearest() -> None:
    with pytest.raises(InputError, match=r"unknown architecture 'resnet81'; did you mean 'resnet18'\?"):
        build_model("resnet81", "nano", classes=10, image_size=16)


def test_unknown_scale_is_refused_with_the_nearest() -> None:
    with pytest.raises(InputError, match=r"unknown scale 'nanno'; did you mean 'nano'\?"):
        build_model("resnet18", "nanno", classes=10, image_size=16)


@pytest.mark.parametrize(("scale", "patch"), [("nano", 4), ("full", 16)])
def test_image_that_no_patches_cover_is_refused(scale: str, patch: int) -> None:
    with pytest.raises(InputError, match=f"multiple of {patch} pixels but got 30"), torch.device("meta"):
        build_model("vit_b_16", scale, classes=10, image_size=30)
