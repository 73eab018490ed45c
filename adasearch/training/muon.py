"""Muon for a network's hidden matrices and AdamW for the rest, as one optimiser.

PyTorch's Muon (Jordan, "Muon: an optimizer for hidden layers in neural networks", 2024) takes matrices alone,
and its users leave embeddings and the output layer to AdamW. Here the same: a trained weight of two
dimensions goes to Muon, unless it is an embedding's or that of the last linear layer, the head. Convolutions
have four dimensions and go to AdamW, as does all that is no matrix; Jordan's own code flattens convolutions,
which torch 2.14 does not. A head that borrows its embedding's weight is left out with that.

One learning rate and one weight decay serve both parts: Muon's update is scaled to the root mean square of
AdamW's, ``0.2 * sqrt(max(rows, columns))``, for that purpose (Liu et al., "Muon is scalable for LLM
training", arXiv 2502.16982; ``adjust_lr_fn="match_rms_adamw"``). Nesterov's momentum and five steps of
Newton and Schulz are PyTorch's defaults.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Muon, Optimizer

from adasearch.errors import InputError

__all__ = ["MuonWithAdamW", "hidden_matrices"]

OF_MUON = "ns_steps"  # a key that its groups alone have


def hidden_matrices(network: nn.Module) -> list[nn.Parameter]:
    """Return the trained matrices of a network, without those of embeddings and of its last linear layer.

    >>> names = dict(embedding=nn.Embedding(9, 4), hidden=nn.Linear(4, 4), head=nn.Linear(4, 9))
    >>> network = nn.ModuleDict(names)
    >>> [tuple(p.shape) for p in hidden_matrices(network)], network["hidden"].weight is (
    ...     hidden_matrices(network)[0])
    ([(4, 4)], True)
    """
    modules = list(network.modules())
    linear = [module for module in modules if isinstance(module, nn.Linear)]
    others = [module for module in modules if isinstance(module, nn.Embedding | nn.EmbeddingBag)]
    left_out = {id(module.weight) for module in [*others, *linear[-1:]]}
    return [p for p in network.parameters() if p.requires_grad and p.dim() == 2 and id(p) not in left_out]


class MuonWithAdamW(Optimizer):
    """Steps matrices by Muon and other parameters by AdamW.

    It has the groups of both, so learning-rate schedules, a ``GradScaler``, and ``state_dict`` see one
    optimiser. A group that is added later is AdamW's.

    Args:
        matrices: parameters of two dimensions, at least one.
        others: the rest.
        lr: of both.
        weight_decay: of both, decoupled.
        momentum: of Muon, in Nesterov's form.
        betas, eps: of AdamW.
        fused: whether AdamW takes its fused kernel; None leaves it to PyTorch.
    """

    def __init__(
        self,
        matrices: Sequence[nn.Parameter],
        others: Sequence[nn.Parameter],
        *,
        lr: float,
        weight_decay: float,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        fused: bool | None = None,
    ) -> None:
        if not matrices:
            raise InputError(
                "optimizer 'muon' trains the matrices between a network's first and last layer, but this one "
                "has none (convolutions, embeddings and the last linear layer go to AdamW); take 'adamw'"
            )
        muon = Muon(
            matrices, lr=lr, weight_decay=weight_decay, momentum=momentum, adjust_lr_fn="match_rms_adamw"
        )
        adamw = AdamW(
            # Its settings are those of groups to come, too, where no parameter is its own yet.
            others or [torch.zeros(0)],
            lr=lr,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
            fused=fused,
        )
        self._parts: list[Optimizer] = []
        super().__init__([*muon.param_groups, *(adamw.param_groups if others else ())], {})
        self.defaults = adamw.defaults
        self._divide()

    def _divide(self) -> None:
        """Share groups and state out to an optimiser of each kind."""
        self._parts = []
        for kind, own in ((Muon, True), (AdamW, False)):
            groups = [group for group in self.param_groups if (OF_MUON in group) is own]
            if groups:
                part = kind(groups)
                part.state = self.state
                self._parts.append(part)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group of parameters to AdamW's."""
        super().add_param_group(param_group)
        if self._parts:
            self._divide()

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take another's groups and state, from a checkpoint or a pickle."""
        super().__setstate__(state)
        self._divide()

    @torch.no_grad()
    def step(self, closure: Callable[[], float | Tensor] | None = None) -> float | Tensor | None:  # type: ignore[override]
        """Update the parameters."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for part in self._parts:
            part.step()
        return loss
