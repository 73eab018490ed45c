"""Each example's own gradient, for networks that treat examples one by one."""

from collections.abc import Callable

from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

__all__ = ["example_gradients", "mixes_examples"]


def mixes_examples(network: nn.Module) -> bool:
    """Tell whether a layer normalises over the batch, so that an example's output depends on the others."""
    return any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in network.modules())


def example_gradients(network: nn.Module) -> Callable[[Tensor, Tensor], list[Tensor]]:
    """Return a function from images (batch, ...) and labels (batch,) to each example's own gradient.

    The gradients of the cross entropy with respect to the trained parameters, each (batch, *shape).

    Raises:
        ValueError: a layer mixes the examples of a batch (BatchNorm), so that no example has a gradient of
            its own, or draws at random (dropout), so that the gradients would not be those of the step.
    """
    for name, module in network.named_modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            raise ValueError(
                f"per_example needs a network without BatchNorm, which mixes the examples of a batch, but "
                f"layer {name!r} is {type(module).__name__}"
            )
        dropout = module.p if isinstance(module, nn.modules.dropout._DropoutNd) else 0.0
        dropout = module.dropout if isinstance(module, nn.MultiheadAttention) else dropout
        if dropout:
            raise ValueError(
                f"per_example needs a network without dropout, but layer {name!r} drops {dropout}"
            )
    trained = {name: p for name, p in network.named_parameters() if p.requires_grad}

    def loss(parameters: dict[str, Tensor], image: Tensor, label: Tensor) -> Tensor:
        output: Tensor = functional_call(network, parameters, (image.unsqueeze(0),))
        return nn.functional.cross_entropy(output, label.unsqueeze(0))

    # A dropout of 0 drops nothing, but vmap wants to know how to draw it.
    gradient = vmap(grad(loss), in_dims=(None, 0, 0), randomness="different")

    def gradients(images: Tensor, labels: Tensor) -> list[Tensor]:
        with sdpa_kernel(SDPBackend.MATH):  # the kernels for attention cannot be mapped over examples
            found = gradient({name: p.detach() for name, p in trained.items()}, images, labels)
        return [found[name] for name in trained]

    return gradients
