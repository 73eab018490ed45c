"""Searched by ``adasearch search --train segmentation:train``: a small U-Net on drawn discs."""

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from adasearch import Trial

SIZE = 16  # pixels


def discs(count: int, seed: int) -> TensorDataset:
    """Return noisy images of discs, and which pixels belong to one."""
    draw = torch.Generator().manual_seed(seed)
    centre = torch.rand(count, 2, 1, 1, generator=draw) * SIZE
    radius = 2 + 4 * torch.rand(count, 1, 1, generator=draw)
    rows, columns = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    inside = (rows - centre[:, 0]) ** 2 + (columns - centre[:, 1]) ** 2 < radius**2
    images = inside + 0.7 * torch.randn(count, SIZE, SIZE, generator=draw)
    return TensorDataset(images[:, None], inside.float())


TRAINING, HELD_OUT, TEST = discs(1200, seed=0), discs(300, seed=1), discs(300, seed=2)


class UNet(nn.Module):
    """One level down and up again."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.down = nn.Sequential(nn.Conv2d(1, width, 3, padding=1), nn.ReLU())
        self.bottom = nn.Sequential(
            nn.MaxPool2d(2), nn.Conv2d(width, width, 3, padding=1), nn.ReLU(), nn.Dropout2d(dropout)
        )
        self.up = nn.Upsample(scale_factor=2)
        self.head = nn.Conv2d(2 * width, 1, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        """Return a logit for each pixel."""
        fine = self.down(images)
        logits: Tensor = self.head(torch.cat([fine, self.up(self.bottom(fine))], dim=1))
        return logits[:, 0]


def train(trial: Trial) -> None:
    """Train one trial."""
    width, dropout = int(trial.params["width"]), float(trial.params["dropout"])
    model = trial.prepare(UNet(width, dropout))
    optimizer = torch.optim.AdamW(model.parameters(), lr=trial.lr)
    loss_function = nn.BCEWithLogitsLoss()

    @torch.no_grad()
    def measured(data: TensorDataset) -> dict[str, float]:
        model.eval()
        images, inside = (each.to(trial.device) for each in data.tensors)
        logits = model(images)
        found, meant = logits > 0, inside > 0.5
        union = (found | meant).sum().clamp_min(1)
        iou = (found & meant).sum() / union
        return {"loss": loss_function(logits, inside).item(), "iou": iou.item()}

    controller = trial.controller(
        model, optimizer, TRAINING, evaluate=lambda: measured(HELD_OUT), test=lambda: measured(TEST)
    )
    trial.checkpoint(model=model, optimizer=optimizer)
    loader = DataLoader(TRAINING, batch_sampler=controller.sampler)
    for images, inside in trial.batches(loader):
        logits = model(images.to(trial.device))
        controller.step(loss_function(logits, inside.to(trial.device)))
