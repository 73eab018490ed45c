"""Searched by ``adasearch search --train nano_gpt:train``: a language model as one trains it after nanoGPT.

AdamW with and without weight decay, clipped gradients, a warm-up and a cosine over the run, large batches
accumulated from small ones. What is other, since the batch size may change: the learning rate's schedule is
built by the controller, which steps it by examples, and the controller accumulates.
"""

import argparse
import math
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, scaled_dot_product_attention
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader, Dataset

from adasearch import Trial

BLOCK = 32  # tokens of a sequence
WIDTH, LAYERS = 32, 2
TEXT = torch.tensor(list(Path(argparse.__file__).read_bytes()[:60_000]))  # the standard library's own source


class Blocks(Dataset[tuple[Tensor, Tensor]]):
    """Sequences of bytes, and for each byte the one that follows."""

    def __init__(self, text: Tensor) -> None:
        self.text = text

    def __len__(self) -> int:
        return (len(self.text) - 1) // BLOCK

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor]:
        start = number * BLOCK
        return self.text[start : start + BLOCK], self.text[start + 1 : start + 1 + BLOCK]


class Layer(nn.Module):
    """Attention to the tokens before, and a network for each."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.project = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width), nn.Dropout(dropout)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return what the next layer takes."""
        batch, length, width = x.shape
        parts = self.qkv(self.norm1(x)).view(batch, length, 3, self.heads, width // self.heads)
        q, k, v = parts.permute(2, 0, 3, 1, 4)
        mixed = scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.project(mixed.transpose(1, 2).reshape(batch, length, width))
        out: Tensor = x + self.mlp(self.norm2(x))
        return out


class GPT(nn.Module):
    """A decoder of bytes."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(256, WIDTH), nn.Embedding(BLOCK, WIDTH)
        self.layers = nn.Sequential(*(Layer(WIDTH, 4, dropout) for _ in range(LAYERS)))
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 256, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return logits of the byte after each."""
        x = self.tokens(tokens) + self.places(torch.arange(tokens.shape[1], device=tokens.device))
        logits: Tensor = self.head(self.norm(self.layers(x)))
        return logits


def loss_of(model: nn.Module, batch: tuple[Tensor, Tensor], device: torch.device) -> Tensor:
    """Return the mean loss over the tokens of a batch, in nats."""
    tokens, following = (each.to(device) for each in batch)
    return cross_entropy(model(tokens).flatten(0, 1), following.flatten())


def factor(progress: float, warmup: float = 0.1, least: float = 0.1) -> float:
    """Return the learning rate's factor: a linear warm-up, then a cosine down to a tenth."""
    if progress < warmup:
        return (progress + 0.01) / (warmup + 0.01)
    return least + (1 - least) * 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup)))


def train(trial: Trial) -> None:
    """Train one trial."""
    training, held_out = Blocks(TEXT[:48_000]), Blocks(TEXT[48_000:])
    model = trial.prepare(GPT(dropout=float(trial.value("dropout", 0.0))))
    decayed = [p for p in model.parameters() if p.dim() >= 2]
    others = [p for p in model.parameters() if p.dim() < 2]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}],
        lr=trial.lr,
        betas=(0.9, 0.95),
    )

    @torch.no_grad()
    def evaluate() -> float:
        model.eval()
        blocks = DataLoader(held_out, batch_size=128)
        losses = [loss_of(model, batch, trial.device).item() * len(batch[0]) for batch in blocks]
        return sum(losses) / len(held_out)

    controller = trial.controller(model, optimizer, training, evaluate=evaluate, device_batch=32)
    curve = controller.curve(lambda optimizer, steps: LambdaLR(optimizer, lambda step: factor(step / steps)))
    trial.checkpoint(model=model, optimizer=optimizer, curve=curve)
    loader = DataLoader(training, batch_sampler=controller.sampler)
    for batch in trial.batches(loader):
        if controller.backward(loss_of(model, batch, trial.device)):  # with the last part of a batch
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            controller.update()
