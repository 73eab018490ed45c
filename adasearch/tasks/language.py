"""Causal language modelling: an example is a sequence, its loss the mean cross entropy of its tokens in nats.

So the gradient of a batch is that of the mean over all its tokens, as language models are trained, and every
signal is of sequences: their tokens are no independent examples.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from adasearch.data.text.sequences import SequenceBatches, Sequences, TextData
from adasearch.networks.language import build_language_model, check_language_model
from adasearch.signals.flat_gradient import sum_dtype
from adasearch.tasks.base import Evaluation, HeldOut

__all__ = ["Language"]

PASS_TOKENS = 4096  # of a pass on a CPU, and of an evaluation; larger ones gain no speed
PASS_LOGITS = 2**26  # of them at most: 256 MiB in single precision


@dataclass(frozen=True, slots=True, kw_only=True)
class Language:
    """Sequences of ``sequence_length`` tokens of so large a vocabulary."""

    vocabulary: int
    sequence_length: int

    @property
    def objective(self) -> str:
        """The loss in nats per token."""
        return "loss"

    @property
    def shape(self) -> str:
        """The sequence's length, and what it is of."""
        return f"{self.sequence_length} of {self.vocabulary}"

    @property
    def pass_size(self) -> int:
        """Sequences per forward pass on a CPU."""
        return max(4, min(PASS_TOKENS, PASS_LOGITS // self.vocabulary) // self.sequence_length)

    @property
    def scored(self) -> int:
        """Losses, their squares, and the fraction of tokens that were not the likeliest."""
        return 3

    def network(self, architecture: str, scale: str) -> nn.Module:
        """Return a network from tokens (batch, length) to logits (batch, length, vocabulary)."""
        return build_language_model(
            architecture, scale, vocabulary=self.vocabulary, sequence_length=self.sequence_length
        )

    def check_network(self, architecture: str, scale: str, *, per_example: bool) -> None:
        """Refuse a network that does not take the sequences."""
        check_language_model(
            architecture,
            scale,
            vocabulary=self.vocabulary,
            sequence_length=self.sequence_length,
            per_example=per_example,
        )

    def stream(self, data: TextData, seed: int) -> SequenceBatches:
        """Return batches of sequences."""
        return SequenceBatches(data, seed)

    def loss(self, output: Tensor, targets: Tensor) -> Tensor:
        """Return the sum over sequences of the mean cross entropy of their tokens."""
        flat = output.flatten(0, 1), targets.flatten()
        return nn.functional.cross_entropy(*flat, reduction="sum") / self.sequence_length

    def pieces(
        self, data: TextData, split: HeldOut, rank: int, world: int
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield inputs and targets."""
        held_out = data.val if split == "val" else data.test
        assert held_out is not None, "the data were loaded without their test split"
        return held_out.pieces(self.pass_size, rank, world)

    def scores(self, output: Tensor, targets: Tensor) -> Sequence[Tensor]:
        """Return the sums over sequences of their losses, of these squared, and of their errors."""
        each = nn.functional.cross_entropy(output.flatten(0, 1), targets.flatten(), reduction="none")
        losses = each.view(targets.shape).mean(dim=1).to(sum_dtype(output.device))
        wrong = (output.argmax(dim=-1) != targets).sum() / self.sequence_length
        return losses.sum(), losses.square().sum(), wrong

    def evaluation(self, data: TextData, split: HeldOut, means: Sequence[float]) -> Evaluation:
        """Return the loss with its standard error, bits per byte where bytes are known, and errors."""
        held_out = data.val if split == "val" else data.test
        assert held_out is not None
        loss, square, wrong = means
        count = len(held_out)
        spread = max(0.0, square - loss**2) * count / max(1, count - 1)
        metrics = {"token_error": wrong}
        if held_out.size is not None:
            metrics["bits_per_byte"] = loss / math.log(2) * held_out.tokens / held_out.size
        return Evaluation(
            loss=loss,
            objective=loss,
            objective_se=math.sqrt(spread / count) if count > 1 else None,
            metrics=metrics,
        )

    def blank(self, examples: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """Return sequences of token 0."""
        tokens = torch.zeros((examples, self.sequence_length), dtype=torch.int64, device=device)
        return tokens, tokens

    def made_up(self, train: int, val: int) -> TextData:
        """Return sequences drawn at random."""
        draw = np.random.default_rng(0)
        kind = np.min_scalar_type(self.vocabulary - 1)

        def split(examples: int) -> Sequences:
            tokens = draw.integers(self.vocabulary, size=examples * self.sequence_length + 1)
            return Sequences(blocks=(tokens.astype(kind),), length=self.sequence_length)

        return TextData(
            train=split(train),
            val=split(val),
            test=None,
            vocabulary=self.vocabulary,
            sequence_length=self.sequence_length,
            fingerprint="rehearsal",
        )
