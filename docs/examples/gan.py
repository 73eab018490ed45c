"""Searched by ``adasearch search --train gan:train``: two networks, each with an optimizer of its own.

The controller has one optimizer, whose gradients it measures: the discriminator's. The generator's takes its
own steps on the same batches, whatever their sizes are. As its loss goes backward through the discriminator's
own module, nothing of it is reduced between workers, and what it leaves there is cleared with the next batch.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, softplus
from torch.utils.data import DataLoader, TensorDataset

from adasearch import Trial

NOISE = 4


def ring(count: int, seed: int) -> Tensor:
    """Return points around a circle."""
    draw = torch.Generator().manual_seed(seed)
    angle = 2 * torch.pi * torch.rand(count, generator=draw)
    points = torch.stack([angle.cos(), angle.sin()], dim=1)
    return points + 0.05 * torch.randn(count, 2, generator=draw)


def energy_distance(ours: Tensor, theirs: Tensor) -> Tensor:
    """Return by how much two clouds of points differ; 0 for the same distribution."""
    within = torch.cdist(ours, ours).mean() + torch.cdist(theirs, theirs).mean()
    return 2 * torch.cdist(ours, theirs).mean() - within


def layers(inputs: int, outputs: int) -> nn.Module:
    """Return a network of either kind."""
    return nn.Sequential(nn.Linear(inputs, 64), nn.LeakyReLU(0.2), nn.Linear(64, 64), nn.LeakyReLU(0.2),
                         nn.Linear(64, outputs))  # fmt: skip


def train(trial: Trial) -> None:
    """Train one trial."""
    data, held_out = TensorDataset(ring(2000, seed=0)), ring(500, seed=1).to(trial.device)
    generator = trial.prepare(layers(NOISE, 2))
    discriminator = trial.prepare(layers(2, 1))
    g_optimizer = torch.optim.Adam(generator.parameters(), lr=trial.lr, betas=(0.5, 0.99))
    d_optimizer = torch.optim.Adam(discriminator.parameters(), lr=trial.lr, betas=(0.5, 0.99))
    judge = getattr(discriminator, "module", discriminator)  # of DDP, where there are several workers
    fixed = torch.randn(500, NOISE, generator=torch.Generator().manual_seed(2)).to(trial.device)

    @torch.no_grad()
    def evaluate() -> dict[str, float]:
        return {"distance": energy_distance(generator(fixed), held_out).item()}

    controller = trial.controller(discriminator, d_optimizer, data, evaluate=evaluate)
    trial.checkpoint(
        generator=generator, discriminator=discriminator, g_optimizer=g_optimizer, d_optimizer=d_optimizer
    )
    loader = DataLoader(data, batch_sampler=controller.sampler)
    for (real,) in trial.batches(loader):
        real = real.to(trial.device)
        fake = generator(torch.randn(len(real), NOISE, device=trial.device))
        scores = discriminator(torch.cat([real, fake.detach()]))
        kinds = torch.cat([torch.ones_like(scores[: len(real)]), torch.zeros_like(scores[len(real) :])])
        controller.step(binary_cross_entropy_with_logits(scores, kinds))
        g_optimizer.zero_grad()
        softplus(-judge(fake)).mean().backward()
        g_optimizer.step()
