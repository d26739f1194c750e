"""motion: the flow of a masked image and its prompt (320 M parameters)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from .spade import Spade

FILTERS = 320
CHANNELS = 4
"""RGB in -1..1 and mask 0 or 1."""
CONTEXT = 768
"""Width of CLIP ViT-L/14's last hidden state."""
MULTIPLE = 64
HEADS = 8


class CrossAttention(nn.Module):
    """Multi-head attention of the image's positions to the prompt's tokens."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.to_q = nn.Linear(width, width, bias=False)
        self.to_k = nn.Linear(CONTEXT, width, bias=False)
        self.to_v = nn.Linear(CONTEXT, width, bias=False)
        self.to_out = nn.Sequential(nn.Linear(width, width))

    def forward(self, x: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        projected = (self.to_q(x), self.to_k(context), self.to_v(context))
        q, k, v = (t.unflatten(2, (HEADS, -1)).transpose(1, 2) for t in projected)
        return self.to_out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class GEGLU(nn.Module):
    """value * gelu(gate), both linear in x (Shazeer 2020)."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.proj = nn.Linear(width, 2 * out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        value, gate = self.proj(x).chunk(2, -1)
        return value * F.gelu(gate)


class FeedForward(nn.Module):
    """Two linear layers with a GEGLU between them, 4 times as wide inside."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.net = nn.Sequential(GEGLU(width, 4 * width), nn.Identity(), nn.Linear(4 * width, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x)


class TransformerBlock(nn.Module):
    """Cross-attention and a feed-forward part; there is no self-attention."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm2, self.norm3 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn2, self.ff = CrossAttention(width), FeedForward(width)

    def forward(self, x: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        x = x + self.attn2(self.norm2(x), context)
        return x + self.ff(self.norm3(x))


class TextAttention(nn.Module):
    """A transformer block on the prompt's 77 tokens, as a residual of a feature map."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(32, width, eps=1e-6)
        self.proj_in = nn.Conv2d(width, width, 1)
        self.transformer_blocks = nn.ModuleList([TransformerBlock(width)])
        self.proj_out = nn.Conv2d(width, width, 1)

    def forward(self, x: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        h = self.proj_in(self.norm(x)).flatten(2).transpose(1, 2)
        for block in self.transformer_blocks:
            h = block(h, context)
        return x + self.proj_out(h.transpose(1, 2).unflatten(2, x.shape[-2:]))


# (convolution, width in filters, halved or doubled, norm, attention) in the order they run.
_ENCODER = (
    (1, 1, True, None, None),
    (2, 1, True, "2_0", None),
    (3, 2, True, "4_0", None),
    (4, 2, True, "8_0", "input_block_1"),
    (5, 2, False, "8_1", "input_block_2"),
    (6, 4, True, "8_2", "input_block_3"),
    (7, 4, False, "8_3", "input_block_4"),
    (8, 4, True, None, "middle_block"),
)
_DECODER = (
    (1, 4, True, "8_4", "output_block_4"),
    (2, 4, False, "8_5", "output_block_3"),
    (3, 2, True, "8_6", "output_block_2"),
    (4, 2, False, "8_7", "output_block_1"),
    (5, 2, True, "4_1", None),
    (6, 1, True, "2_1", None),
    (7, 1, True, "", None),
)


class Motion(nn.Module):
    """[B, 4, H, W] and context [B, 77, 768] -> [B, 2, H, W] in -1..1, to be multiplied by 64 px/frame."""

    def __init__(self, filters: int = FILTERS) -> None:
        super().__init__()
        now, widths = CHANNELS, []
        for k, n, _, norm, attention in _ENCODER:
            self._stage("conv", k, now, n * filters, norm, attention)
            now = n * filters
            widths.append(now)
        widths.pop()
        for k, n, _, norm, attention in _DECODER:
            self._stage("dconv", k, now, n * filters, norm, attention)
            now = n * filters + widths.pop()
        self.dconv8 = nn.Conv2d(now, 2, 3, 1, 1)

    def _stage(self, kind: str, k: int, inside: int, out: int, norm: str | None, attention: str | None) -> None:
        setattr(self, f"{kind}{k}", nn.Conv2d(inside, out, 3, 1, 1))
        if norm is not None:
            setattr(self, f"spade_layer{norm}", Spade(out, CHANNELS))
        if attention is not None:
            setattr(self, f"attn_{attention}", TextAttention(out))

    def _normed(self, h: torch.Tensor, x: torch.Tensor, norm: str | None) -> torch.Tensor:
        return h if norm is None else getattr(self, f"spade_layer{norm}")(h, x)

    def _attended(self, h: torch.Tensor, context: torch.Tensor, attention: str | None) -> torch.Tensor:
        return h if attention is None else getattr(self, f"attn_{attention}")(h, context)

    def forward(self, x: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        skips, h = [], x
        for k, _, halved, norm, attention in _ENCODER:
            h = getattr(self, f"conv{k}")(h if k == 1 else F.leaky_relu(h, 0.2))
            h = F.avg_pool2d(h, 2) if halved else h
            h = self._attended(self._normed(h, x, norm), context, attention)
            skips.append(h)
        skips.pop()
        for k, _, doubled, norm, attention in _DECODER:
            h = F.relu(h if k == 1 else torch.cat([h, skips.pop()], 1))
            h = _upsample_2x(h) if doubled else h
            h = self._attended(self._normed(getattr(self, f"dconv{k}")(h), x, norm), context, attention)
        return torch.tanh(self.dconv8(_upsample_2x(F.relu(torch.cat([h, skips.pop()], 1)))))


def _upsample_2x(x: torch.Tensor) -> torch.Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
