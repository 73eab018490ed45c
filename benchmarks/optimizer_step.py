"""What the optimiser's own step costs on one thread: PyTorch's default, foreach and fused SGD with momentum.

The share is of a whole training step (forward, backward and the default update) at batch 32 on 16×16 images.
"""

import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from adasearch.models import build_model

NETWORKS = ("resnet18", "mobilenet_v3_small", "vit_b_16")
FORMS: dict[str, dict[str, bool]] = {"default": {}, "foreach": {"foreach": True}, "fused": {"fused": True}}
ROUNDS = 60


def milliseconds(work: Callable[[], object]) -> float:
    """Return the median of some calls, in milliseconds."""
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        work()
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times)


def forward_and_backward(network: nn.Module, images: Tensor, labels: Tensor) -> None:
    """Set the gradients of one batch."""
    network.zero_grad(set_to_none=True)
    nn.functional.cross_entropy(network(images), labels).backward()


def main() -> None:
    """Measure network by network, and print."""
    torch.set_num_threads(1)
    for name in NETWORKS:
        network = build_model(name, "nano", classes=10, image_size=16)
        parameters = list(network.parameters())
        images, labels = torch.randn(32, 3, 16, 16), torch.randint(10, (32,))

        both = partial(forward_and_backward, network, images, labels)
        both()
        optimizers = {
            form: torch.optim.SGD(parameters, lr=1e-4, momentum=0.9, weight_decay=5e-4, **kind)
            for form, kind in FORMS.items()
        }
        updates = {form: milliseconds(optimizer.step) for form, optimizer in optimizers.items()}
        whole = milliseconds(both) + updates["default"]
        shown = ", ".join(f"{form} {spent:.2f} ms ({spent / whole:.1%})" for form, spent in updates.items())
        print(f"{name}: {shown} of a step of {whole:.1f} ms")


if __name__ == "__main__":
    main()
