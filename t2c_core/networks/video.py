"""video: features and a splatting metric of an image, and frames decoded from splatted features (4.1 M parameters)."""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import nn

ENCODER_WIDTHS = (3, 32, 32, 32, 64, 64, 64, 64, 65)
DECODER_WIDTHS = (64, 64, 128, 256, 256, 128, 128, 128, 3)
RESIZE = (None, "down", "down", None, "up", "up", None, None)
FEATURES = 64


class FrozenNorm(nn.Module):
    """A batch norm in evaluation whose noise is zero: x * weight + bias, per channel."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.addcmul(self.bias[:, None, None], x, self.weight[:, None, None])


class EncoderBlock(nn.Module):
    """x + conv(relu(conv(relu(norm(x))))); the second norm is folded into the first convolution."""

    def __init__(self, inside: int, out: int) -> None:
        super().__init__()
        self.norm = FrozenNorm(inside)
        self.conv_a, self.conv_b = nn.Conv2d(inside, out, 3, 1, 1), nn.Conv2d(out, out, 3, 1, 1)
        self.shortcut = nn.Conv2d(inside, out, 1) if inside != out else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv_b(F.relu(self.conv_a(F.relu(self.norm(x))))) + self.shortcut(x)


class PartialConv(nn.Module):
    """A convolution 3x3 that leaves out what is masked and makes up for it (Liu et al. 2018).

    The mask has equal channels from the first layer on, so one channel stands for all of them.
    """

    def __init__(self, inside: int, out: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inside, out, 3, 1, 1)
        self.full = 9.0 * inside

    @property
    def _bias(self) -> torch.Tensor:
        assert self.conv.bias is not None
        return self.conv.bias

    def forward(self, x: torch.Tensor, counted: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """x [B, C, h, w] with zeros where masked, counted [B, 1, h, w] float32 unmasked channels.

        out = ((conv(x) - c) * r + c) * m with s = sum of the counted in the window, m = clamp(s, 0, 1), r = full / s.
        Returns out in x's dtype and m [B, 1, h, w] in float32: half precision cannot count the channels of a window.
        """
        s = F.avg_pool2d(counted, 3, 1, 1, divisor_override=1)
        mask = s.clamp(0, 1)
        ratio = self.full / s.clamp_min(1) * mask
        bias = self._bias[:, None, None]
        # (conv without its bias) * r * m + c * m, where m is 0 or 1 and r contains it.
        out = F.conv2d(x, self.conv.weight, None, 1, 1) * ratio.to(x) + bias * mask.to(x)
        return out, mask

    def unmasked(self, x: torch.Tensor) -> torch.Tensor:
        """The same where nothing is masked: a plain convolution but for the border, beyond which all counts as masked.

        x: [B, C, h, w], h and w at least 2.
        """
        out, bias = self.conv(x), self._bias[:, None]
        for line in (out[..., 0, 1:-1], out[..., -1, 1:-1], out[..., 1:-1, 0], out[..., 1:-1, -1]):
            line.sub_(bias).mul_(9 / 6).add_(bias)
        for y in (0, -1):
            for x_ in (0, -1):
                corner = out[..., y, x_]
                corner.sub_(bias[:, 0]).mul_(9 / 4).add_(bias[:, 0])
        return out


class DecoderBlock(nn.Module):
    """One residual block of the decoder on features and their mask; its second norm is in the first convolution.

    Folding is right under a mask too: where the convolution is masked out, so is what the norm would have made of it.
    """

    def __init__(self, inside: int, out: int, resize: str | None) -> None:
        super().__init__()
        self.norm = FrozenNorm(inside)
        self.conv_a, self.conv_b = PartialConv(inside, out), PartialConv(out, out)
        self.resize = resize
        self.shortcut = nn.Conv2d(inside, out, 1, bias=False) if resize or inside != out else nn.Identity()

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor | None]:
        """x [B, C, h, w]; mask [B, C or 1, h, w] float32 of 0 and 1, or None where nothing is masked."""
        if mask is None:
            a, m = self.conv_b.unmasked(F.relu_(self.conv_a.unmasked(F.relu_(self.norm(x))))), None
        else:
            counted = mask.sum(1, keepdim=True) if mask.shape[1] > 1 else mask * x.shape[1]
            a, m = self.conv_a(F.relu_(self.norm(x)) * mask.to(x), counted)
            a, m = self.conv_b(F.relu_(a) * m.to(a), m * a.shape[1])
        b = self.shortcut(x)
        if self.resize == "down":
            a, b = (F.avg_pool2d(t, 3, 2, 1) for t in (a, b))
            m = None if m is None else F.max_pool2d(m, 3, 2, 1)
        elif self.resize == "up":
            a, b = (F.interpolate(t, scale_factor=2, mode="bilinear", align_corners=False) for t in (a, b))
            m = None if m is None else F.interpolate(m, scale_factor=2, mode="nearest")
        return a + b, m


class Video(nn.Module):
    """``encode`` once per image, ``decode`` once per frame; H and W multiples of 4."""

    def __init__(self) -> None:
        super().__init__()
        pairs = itertools.pairwise(ENCODER_WIDTHS)
        self.encoder = nn.ModuleList(EncoderBlock(a, b) for a, b in pairs)
        self.decoder = nn.ModuleList(
            DecoderBlock(a, b, r) for a, b, r in zip(DECODER_WIDTHS, DECODER_WIDTHS[1:], RESIZE, strict=False)
        )

    def encode(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Features [B, 64, H, W] and metric Z [B, 1, H, W] of an image [B, 3, H, W] in -1..1."""
        h = image
        for block in self.encoder:
            h = block(h)
        return h[:, :FEATURES], h[:, FEATURES:]

    def decode(self, features: torch.Tensor) -> torch.Tensor:
        """A frame [B, 3, H, W] in -1..1 from splatted features in float32, exactly 0 where nothing arrived.

        Runs in the weights' precision; what is 0 is asked of the float32 values, as small ones round to 0 in half.
        """
        known = features != 0
        h = features.to(next(self.parameters()).dtype)
        # The rule on real images: every pixel gets something, and the masks say nothing.
        mask = None if min(features.shape[-2:]) >= 8 and known.all() else known.float()
        for block in self.decoder:
            h, mask = block(h, mask)
        return torch.tanh(h)
