"""motion_direction: the flow of a masked image along a hint (15.6 M parameters)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from .spade import Spade, resize_condition

FILTERS = 32
CHANNELS = 6
"""RGB in -1..1, mask 0 or 1, hint x, hint y."""
MULTIPLE = 256
"""Height and width must be multiples of this."""
_DOWN = (1, 2, 4, 8, 8, 8, 8, 8)
_UP = (8, 8, 8, 8, 4, 2, 1)
_ENCODER_NORMS = ("2_0", "4_0", "8_0", "8_1", "8_2", "8_3")
_DECODER_NORMS = ("8_4", "8_5", "8_6", "8_7", "4_1", "2_1", "")


def _upsample_2x(x: torch.Tensor) -> torch.Tensor:
    """Twice the size. A quirk of training: features are treated like the input, whose channel 3 is a mask."""
    return resize_condition(x, (2 * x.shape[2], 2 * x.shape[3]))


class MotionDirection(nn.Module):
    """[B, 6, H, W] -> [B, 2, H, W] in -1..1, to be multiplied by 64 px/frame."""

    def __init__(self) -> None:
        super().__init__()
        widths = [CHANNELS, *(n * FILTERS for n in _DOWN)]
        for k in range(8):
            setattr(self, f"conv{k + 1}", nn.Conv2d(widths[k], widths[k + 1], 4, 2, 1))
        for k, name in enumerate(_ENCODER_NORMS):
            setattr(self, f"spade_layer{name}", Spade(widths[k + 2], CHANNELS))
        now = widths[8]
        for k, (n, name) in enumerate(zip(_UP, _DECODER_NORMS, strict=True)):
            setattr(self, f"dconv{k + 1}", nn.Conv2d(now, n * FILTERS, 3, 1, 1))
            setattr(self, f"spade_layer{name}", Spade(n * FILTERS, CHANNELS))
            now = n * FILTERS + widths[7 - k]
        self.dconv8 = nn.Conv2d(now, 2, 3, 1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        skips = [self.get_submodule("conv1")(x)]
        for k in range(2, 9):
            h = getattr(self, f"conv{k}")(F.leaky_relu(skips[-1], 0.2))
            if k < 8:
                h = getattr(self, f"spade_layer{_ENCODER_NORMS[k - 2]}")(h, x)
            skips.append(h)
        h = skips.pop()
        for k in range(1, 8):
            h = (
                _upsample_2x(F.relu(h))
                if k == 1
                else F.relu(torch.cat([_upsample_2x(h), _upsample_2x(skips.pop())], 1))
            )
            h = getattr(self, f"dconv{k}")(h)
            h = getattr(self, f"spade_layer{_DECODER_NORMS[k - 1]}")(h, x)
        return torch.tanh(self.dconv8(F.relu(torch.cat([_upsample_2x(h), _upsample_2x(skips.pop())], 1))))
