"""Each example's own gradient, for networks that treat examples one by one."""

from collections.abc import Callable, Iterator

from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from adasearch.signals.flat_gradient import plain

__all__ = ["Loss", "example_gradients", "mixes_examples"]

BATCH_NORMS = (
    *(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm),
    *(nn.LazyBatchNorm1d, nn.LazyBatchNorm2d, nn.LazyBatchNorm3d),
)
DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)
COMPONENTS = 2**25  # of examples' gradients at once: 128 MiB in single precision


def mixes_examples(network: nn.Module) -> bool:
    """Tell whether a layer normalises over the batch, so that an example's output depends on the others."""
    return any(isinstance(module, BATCH_NORMS) for module in network.modules())


Loss = Callable[[Tensor, Tensor], Tensor]
"""From a network's output and the targets to the sum of the examples' losses."""


def example_gradients(
    network: nn.Module, loss_of: Loss = nn.functional.cross_entropy
) -> Callable[[Tensor, Tensor], Iterator[list[Tensor]]]:
    """Return a function from inputs (batch, ...) and targets (batch, ...) to each example's own gradient.

    It yields the gradients of some of the examples at a time, in their order: those of the loss with
    respect to each trained parameter, (some, components).

    Raises:
        ValueError: a layer mixes the examples of a batch (BatchNorm), so that no example has a gradient of
            its own, or draws at random (dropout), so that the gradients would not be those of the step.
    """
    for name, module in network.named_modules():
        if isinstance(module, BATCH_NORMS):
            raise ValueError(
                f"per_example needs a network without BatchNorm, which mixes the examples of a batch, but "
                f"layer {name!r} is {type(module).__name__}"
            )
        dropout = module.p if isinstance(module, DROPOUTS) else 0.0
        dropout = module.dropout if isinstance(module, nn.MultiheadAttention) else dropout
        if dropout:
            raise ValueError(
                f"per_example needs a network without dropout, but layer {name!r} drops {dropout}"
            )
    trained = {name: p for name, p in network.named_parameters() if p.requires_grad}

    def loss(parameters: dict[str, Tensor], image: Tensor, label: Tensor) -> Tensor:
        output: Tensor = functional_call(network, parameters, (image.unsqueeze(0),))
        return loss_of(output, label.unsqueeze(0))

    # A dropout of 0 drops nothing, but vmap wants to know how to draw it.
    gradient = vmap(grad(loss), in_dims=(None, 0, 0), randomness="different")
    some = max(1, COMPONENTS // sum(p.numel() for p in trained.values()))

    def gradients(images: Tensor, labels: Tensor) -> Iterator[list[Tensor]]:
        for some_images, some_labels in zip(images.split(some), labels.split(some), strict=True):
            if len(some_labels):
                weights = {name: p.detach() for name, p in trained.items()}
                with sdpa_kernel(SDPBackend.MATH):  # the kernels for attention cannot be mapped over examples
                    found = gradient(weights, some_images, some_labels)
                yield [plain(found[name]).flatten(1) for name in trained]

    return gradients
