"""Networks as users write them, right and wrong."""

import torch
from torch import Tensor, nn

CONSTANT = 3
NETWORK = nn.Linear(1, 1)


def good(classes: int, image_size: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * image_size**2, classes))


class Good(nn.Module):
    """A class does as well as a function."""

    def __init__(self, *, classes: int, image_size: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten()
        )
        self.head = nn.Linear(4 * ((image_size + 1) // 2) ** 2, classes)

    def forward(self, images: Tensor) -> Tensor:
        output: Tensor = self.head(self.layers(images))
        return output


class LooksAtValues(Good):
    """Runs on numbers alone: neither its weights nor its images may be on the meta device."""

    def __init__(self, *, classes: int, image_size: int) -> None:
        super().__init__(classes=classes, image_size=image_size)
        self.scale = self.head.weight.abs().max().item()

    def forward(self, images: Tensor) -> Tensor:
        if images.isnan().any():
            raise ValueError("not a number")
        return super().forward(torch.nn.functional.dropout(images)) / self.scale


def for_large_images(classes: int, image_size: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 4, 40), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, classes)
    )


def no_arguments() -> nn.Module:
    return good(10, 16)


def raises(classes: int, image_size: int) -> nn.Module:
    raise RuntimeError("no\nluck")


def none(classes: int, image_size: int) -> None:
    return None


def a_class(classes: int, image_size: int) -> type[nn.Module]:
    return Good


def thousand(classes: int, image_size: int) -> nn.Module:
    return good(1000, image_size)


def maps(classes: int, image_size: int) -> nn.Module:
    return nn.Conv2d(3, classes, 1)


def nothing_to_train(classes: int, image_size: int) -> nn.Module:
    return good(classes, image_size).requires_grad_(False)


class Two(Good):
    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        output = super().forward(images)
        return output, output


class Labels(Good):
    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images).long()


def in_half_precision(classes: int, image_size: int) -> nn.Module:
    return good(classes, image_size).half()


def leaves(classes: int, image_size: int) -> nn.Module:
    raise SystemExit(7)


def language(vocabulary: int, sequence_length: int) -> nn.Module:
    assert sequence_length > 0
    return nn.Sequential(nn.Embedding(vocabulary, 4), nn.Linear(4, vocabulary))


class _LastOnly(nn.Module):
    def forward(self, logits: Tensor) -> Tensor:
        return logits[:, -1]


def last_token_only(vocabulary: int, sequence_length: int) -> nn.Module:
    assert sequence_length > 0
    return nn.Sequential(nn.Embedding(vocabulary, 4), nn.Linear(4, vocabulary), _LastOnly())
