"""GPT: a decoder of pre-normalised blocks, as GPT-2 has it, with two choices that later models made.

The plain form is that of GPT-2 (Radford et al. 2019; sizes and initialisation as in its released code):
learned positions, LayerNorm, GELU, biases, the head tied to the token embedding, weights from N(0, 0.02),
those that end a residual branch divided by the square root of the number of branches. What differs: there is
no dropout.
``rms`` takes RMSNorm (arXiv 1910.07467) in place of LayerNorm, ``rotary`` rotary positions (RoPE, arXiv
2104.09864, in the form that turns the first half of a head's components with the second) in place of learned
ones; all else stays.
"""

import math

import torch
from torch import Tensor, nn

__all__ = ["Gpt"]

ROTARY_BASE = 10_000.0


class Gpt(nn.Module):
    """From tokens (batch, length) to logits (batch, length, vocabulary); no token sees those behind it.

    Args:
        vocabulary: number of tokens.
        sequence_length: the longest sequence.
        layers: blocks.
        heads: of attention, whose number divides the width.
        width: components of a token.
        rms: whether RMSNorm takes the place of LayerNorm.
        rotary: whether rotary positions take the place of learned ones.

    >>> network = Gpt(50257, 1024, layers=12, heads=12, width=768)
    >>> sum(p.numel() for p in network.parameters())  # GPT-2 small
    124439808
    """

    def __init__(
        self,
        vocabulary: int,
        sequence_length: int,
        *,
        layers: int,
        heads: int,
        width: int,
        rms: bool = False,
        rotary: bool = False,
    ) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width)
        self.positions = None if rotary else nn.Embedding(sequence_length, width)
        turns = _Rotary(sequence_length, width // heads) if rotary else None
        blocks = [_Block(width, heads, rms, turns) for _ in range(layers)]
        self.blocks = nn.ModuleList(blocks)
        self.norm = _norm(width, rms)
        self.head = nn.Linear(width, vocabulary, bias=False)
        self.head.weight = self.tokens.weight
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=0.02)
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)
        for block in blocks:
            for weight in (block.attention.output.weight, block.last.weight):
                nn.init.normal_(weight, std=0.02 / math.sqrt(2 * layers))

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the logits of each next token."""
        hidden = self.tokens(tokens)
        if self.positions is not None:
            hidden = hidden + self.positions.weight[: tokens.shape[1]]
        for block in self.blocks:
            hidden = block(hidden)
        logits: Tensor = self.head(self.norm(hidden))
        return logits


def _norm(width: int, rms: bool) -> nn.Module:
    return nn.RMSNorm(width, eps=1e-5) if rms else nn.LayerNorm(width)


class _Rotary(nn.Module):
    """Turns pairs of components by angles that grow with the position."""

    cos: Tensor
    sin: Tensor

    def __init__(self, length: int, width: int) -> None:
        super().__init__()
        rates = ROTARY_BASE ** (-torch.arange(0, width, 2) / width)
        angles = torch.outer(torch.arange(length), rates)  # (length, width / 2)
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Turn queries or keys (batch, heads, length, width)."""
        cos, sin = (each[: x.shape[-2]].to(x.dtype) for each in (self.cos, self.sin))
        one, other = x.chunk(2, dim=-1)
        return torch.cat([one * cos - other * sin, one * sin + other * cos], dim=-1)


class _Attention(nn.Module):
    def __init__(self, width: int, heads: int, turns: _Rotary | None) -> None:
        super().__init__()
        self.heads = heads
        self.turns = turns
        self.inputs = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        parts = self.inputs(x).view(batch, length, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)  # each (batch, heads, length, width / heads)
        if self.turns is not None:
            query, key = self.turns(query), self.turns(key)
        seen = nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        mixed: Tensor = self.output(seen.transpose(1, 2).reshape(batch, length, width))
        return mixed


class _Block(nn.Module):
    def __init__(self, width: int, heads: int, rms: bool, turns: _Rotary | None) -> None:
        super().__init__()
        self.before_attention = _norm(width, rms)
        self.attention = _Attention(width, heads, turns)
        self.before_mlp = _norm(width, rms)
        self.first = nn.Linear(width, 4 * width)
        self.last = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.before_attention(x))
        wide = nn.functional.gelu(self.first(self.before_mlp(x)), approximate="tanh")
        mixed: Tensor = x + self.last(wide)
        return mixed
