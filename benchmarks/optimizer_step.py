"""What the optimiser's own step costs on one thread: PyTorch's default, foreach and fused SGD with momentum.

The share is of a whole training step (forward, backward and the default update) at batch 32 on 16×16 images.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from adasearch.data.splits import LAYOUT
from adasearch.io.tables import Column, fraction
from adasearch.networks.registry import build_model
from common import Row, clock_of, clocked, in_units, interleaved, keep, parser_of, per, spread

NETWORKS = ("resnet18", "mobilenet_v3_small", "vit_b_16")
FORMS: dict[str, dict[str, bool]] = {"default": {}, "foreach": {"foreach": True}, "fused": {"fused": True}}


def forward_and_backward(network: nn.Module, images: Tensor, labels: Tensor) -> None:
    """Set the gradients of one batch."""
    network.zero_grad(set_to_none=True)
    nn.functional.cross_entropy(network(images), labels).backward()


COLUMNS = (
    Column("architecture", "network"),
    Column("form", "form"),
    Column("seconds", "ms", in_units(1e3, 2)),
    Column("seconds_low", "low", in_units(1e3, 2)),
    Column("seconds_high", "high", in_units(1e3, 2)),
    Column("share", "of a step", fraction),
    Column("ratio", "over default"),
    Column("ratio_low", "low"),
    Column("ratio_high", "high"),
)


def main() -> None:
    """Measure and print."""
    arguments = clocked(parser_of(__doc__, "optimizer_step")).parse_args()
    torch.set_num_threads(1)
    rows: list[Row] = []
    for name in NETWORKS[:1] if arguments.quick else NETWORKS:
        network = build_model(name, "nano", classes=10, image_size=16).to(memory_format=LAYOUT)
        images = torch.randn(32, 3, 16, 16).contiguous(memory_format=LAYOUT)
        works: dict[str, Callable[[], object]] = {
            "passes": partial(forward_and_backward, network, images, torch.randint(10, (32,)))
        }
        for form, kind in FORMS.items():
            parameters = list(network.parameters())
            works[form] = torch.optim.SGD(parameters, lr=1e-4, momentum=0.9, weight_decay=5e-4, **kind).step
        works["passes"]()
        found = interleaved(works, 6 if arguments.quick else 60, clock_of(arguments))
        whole = spread(found["passes"]).median + spread(found["default"]).median
        rows += [
            {
                "architecture": name,
                "form": form,
                **spread(found[form]).columns("seconds"),
                "share": spread(found[form]).median / whole,
                **per(found[form], found["default"]).columns("ratio"),
            }
            for form in FORMS
        ]
    keep(rows, COLUMNS, arguments.out)


if __name__ == "__main__":
    main()
