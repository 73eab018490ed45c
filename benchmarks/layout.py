"""What the order of an image's values in memory costs a step: channels last against channels first.

A step is forward pass, backward pass and SGD's update of a network on random images, on one thread; both
layouts take turns. adasearch trains in channels last.
"""

from functools import partial

import torch
from torch import nn

from adasearch.io.tables import Column, times
from adasearch.networks.registry import build_model
from common import Row, clock_of, clocked, interleaved, keep, parser_of, per, spread

NETWORKS = (
    *("resnet18", "resnet20", "resnet50", "mobilenet_v3_small", "mobilenet_v3_large", "efficientnet_b0"),
    *("densenet121", "alexnet", "vgg11", "vgg11_bn", "vgg16", "vit_b_16"),
)
LAYOUTS = {"first": torch.contiguous_format, "last": torch.channels_last}
ROUNDS = 7


def step(network: nn.Module, optimizer: torch.optim.Optimizer, images: torch.Tensor) -> None:
    """Train on images that are all of class 0."""
    optimizer.zero_grad()
    labels = torch.zeros(len(images), dtype=torch.int64)
    nn.functional.cross_entropy(network(images), labels).backward()
    optimizer.step()


def main() -> None:
    """Measure and print."""
    parser = clocked(parser_of(__doc__, "layout"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows: list[Row] = []
    for name in NETWORKS[:1] if arguments.quick else NETWORKS:
        for size, batch in ((16, 32), (16, 128), (32, 32), (32, 128)):
            works = {}
            for layout, memory in LAYOUTS.items():
                torch.manual_seed(0)
                network = build_model(name, "nano", classes=10, image_size=size).to(memory_format=memory)
                optimizer = torch.optim.SGD(network.parameters(), lr=1e-4, momentum=0.9, fused=True)
                images = torch.randn(batch, 3, size, size).contiguous(memory_format=memory)
                works[layout] = partial(step, network, optimizer, images)
            seconds = interleaved(works, ROUNDS, clock_of(arguments))
            rows.append(
                {
                    "architecture": name,
                    "image_size": size,
                    "batch_size": batch,
                    **{f"{layout}_ms": 1000 * spread(each).median for layout, each in seconds.items()},
                    **per(seconds["last"], seconds["first"]).columns("ratio"),
                }
            )
    columns = [
        Column("architecture", "architecture"),
        Column("image_size", "pixels"),
        Column("batch_size", "batch"),
        Column("first_ms", "first, ms"),
        Column("last_ms", "last, ms"),
        Column("ratio", "last / first", times),
        Column("ratio_low", "low", times),
        Column("ratio_high", "high", times),
    ]
    keep(rows, columns, arguments.out)


if __name__ == "__main__":
    main()
