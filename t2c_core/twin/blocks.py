"""Which blocks of a UNet give and take features.

Blocks carry the numbers of the original (LDM) layout in every library: ('input', 4) is the fifth encoder block. The
published choice for Stable Diffusion 1.x is put into words that fit its relatives:

* injected: self-attention of every decoder block that has one, except the first (1.x, 2.x: output 4..11; XL: 1..5);
* feature: the residual block in front of the first injected attention (1.x, 2.x: output 4; XL: output 1);
* mask: all self-attention at the middle one of the levels that have attention, the deeper one of two (1.x, 2.x: input
  4, 5 and output 6, 7, 8, a grid of 1/16 of the picture; XL: input 7, 8 and output 0, 1, 2, 1/32). Where a block holds
  several transformers (XL: 10), the middle one stands for all of them.
* words: cross-attention of the mask's blocks and of the decoder one level deeper, where words act most clearly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

Site = tuple[str, int, int]
"""('input' | 'output', block, transformer within the block)."""


class AttentionBlock(NamedTuple):
    """A UNet block with transformers: its number, how often the picture was halved before it, how many transformers."""

    index: int
    level: int
    depth: int


@dataclass(frozen=True)
class BlockChoice:
    """The blocks of one UNet that matter here; ``feature`` is the number of an output block."""

    injected: frozenset[Site]
    feature: int
    mask: frozenset[Site]
    words: frozenset[Site]

    @property
    def watched(self) -> frozenset[Site]:
        """Every self-attention that has to be listened to."""
        return self.injected | self.mask


def choose_blocks(encoder: Sequence[AttentionBlock], decoder: Sequence[AttentionBlock]) -> BlockChoice:
    """The choice described above, for a UNet whose blocks with attention are these, in the order they run.

    Raises ValueError for a UNet with fewer than two decoder blocks with attention.
    """
    if len(decoder) < 2:
        raise ValueError("the UNet has fewer than two decoder blocks with attention")
    taking = list(decoder)[1:]
    levels = sorted({block.level for block in (*encoder, *decoder)})
    middle = levels[len(levels) // 2]

    def halfway(side: str, blocks: Sequence[AttentionBlock], level: int) -> set[Site]:
        return {(side, block.index, block.depth // 2) for block in blocks if block.level == level}

    mask = halfway("input", encoder, middle) | halfway("output", decoder, middle)
    deeper = {("output", b.index, b.depth // 2) for b in decoder if b.level == middle + 1}
    return BlockChoice(
        injected=frozenset(("output", block.index, k) for block in taking for k in range(block.depth)),
        feature=taking[0].index,
        mask=frozenset(mask),
        words=frozenset(mask | deeper),
    )
