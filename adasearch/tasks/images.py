"""The classification of images: cross entropy, and the fraction that is classified wrongly."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from adasearch.data.batches import Batches
from adasearch.data.splits import LAYOUT, Augmentation, Dataset, Split
from adasearch.networks.registry import build_model, check_model
from adasearch.objective import ERROR
from adasearch.tasks.base import Evaluation, HeldOut

__all__ = ["Images"]

EVAL_BATCH = 1024  # examples; evaluation keeps no activations, so it takes larger batches than training
EVAL_PIXELS = EVAL_BATCH * 128**2  # and of larger images fewer: one layer's output must fit into memory
CPU_BATCH = 512  # examples per pass on a CPU; larger passes gain no speed there


@dataclass(frozen=True, slots=True, kw_only=True)
class Images:
    """Images of so many classes, ``image_size`` pixels high and wide."""

    classes: int
    image_size: int

    @property
    def objective(self) -> str:
        """The fraction of errors."""
        return ERROR

    @property
    def shape(self) -> str:
        """The image's size."""
        return str(self.image_size)

    @property
    def pass_size(self) -> int:
        """Examples per forward pass on a CPU."""
        return CPU_BATCH

    @property
    def scored(self) -> int:
        """Losses, and errors."""
        return 2

    def network(self, architecture: str, scale: str) -> nn.Module:
        """Return a network from images to logits (batch, classes)."""
        network = build_model(architecture, scale, classes=self.classes, image_size=self.image_size)
        return network.to(memory_format=LAYOUT)

    def check_network(self, architecture: str, scale: str, *, per_example: bool) -> None:
        """Refuse a network that does not take the images."""
        check_model(
            architecture,
            scale,
            classes=self.classes,
            image_size=self.image_size,
            per_example=per_example,
        )

    def stream(self, data: Dataset, seed: int) -> Batches:
        """Return augmented and normalised batches."""
        return Batches(data, seed)

    def loss(self, output: Tensor, targets: Tensor) -> Tensor:
        """Return the sum of the images' cross entropies."""
        return nn.functional.cross_entropy(output, targets, reduction="sum")

    def pieces(self, data: Dataset, split: HeldOut, rank: int, world: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield normalised images and labels."""
        held_out = data.val if split == "val" else data.test
        assert held_out is not None, "the data were loaded without their test split"
        normalise = data.normaliser()
        size = max(1, min(EVAL_BATCH, EVAL_PIXELS // self.image_size**2))
        for pixels, labels in held_out.pieces(size, rank, world):
            yield normalise(pixels), labels

    def scores(self, output: Tensor, targets: Tensor) -> Sequence[Tensor]:
        """Return the sum of losses, and how many are wrong."""
        return self.loss(output, targets), (output.argmax(dim=1) != targets).sum()

    def evaluation(
        self,
        data: Dataset,  # noqa: ARG002 - the fractions say it all
        split: HeldOut,  # noqa: ARG002
        means: Sequence[float],
    ) -> Evaluation:
        """Return mean loss and fraction of errors."""
        loss, wrong = means
        return Evaluation(loss=loss, objective=wrong)

    def blank(self, examples: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """Return images of zeros, all of class 0."""
        shape = (examples, 3, self.image_size, self.image_size)
        images = torch.empty(shape, device=device, memory_format=LAYOUT).zero_()
        return images, torch.zeros(examples, dtype=torch.int64, device=device)

    def made_up(self, train: int, val: int) -> Dataset:
        """Return images of noise, labelled at random."""
        draw = torch.Generator().manual_seed(0)
        size = self.image_size

        def split(examples: int) -> Split:
            return Split(
                torch.randint(256, (examples, 3, size, size), dtype=torch.uint8, generator=draw),
                torch.randint(self.classes, (examples,), generator=draw),
            )

        return Dataset(
            train=split(train),
            val=split(val),
            test=None,
            classes=self.classes,
            image_size=size,
            augmentation=Augmentation(padding=0, flip=False),
            mean=torch.full((3,), 0.5),
            std=torch.full((3,), 0.25),
            fingerprint="rehearsal",
        )
