"""The attention layers and the residual block of a UNet that take part in feature injection.

Blocks carry the numbers of the original (LDM) layout in every library: ('input', 4) is the fifth encoder block. The
published choice for Stable Diffusion 1.x, as rules that fit its relatives:

* injected: self-attention of every decoder block that has one, except the first (1.x, 2.x: output 4..11; XL: 1..5);
* feature: the residual block in front of the first injected attention (1.x, 2.x: output 4; XL: output 1);
* mask: all self-attention at the middle one of the levels that have attention, the deeper one of two (1.x, 2.x: input
  4, 5 and output 6, 7, 8, a grid of 1/16 of the image; XL: input 7, 8 and output 0, 1, 2, 1/32). Where a block holds
  several transformers (XL: 10), the middle one stands for all of them.
* cross: cross-attention of the mask's blocks and of the decoder one level deeper, where words act most clearly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

LayerId = tuple[str, int, int]
"""('input' | 'output', block, transformer within the block); of a diffusion transformer (list of blocks, block, call of
attention within the block)."""


@dataclass(frozen=True)
class AttentionBlock:
    """A UNet block with transformers: its index, how often the image was halved before it, how many transformers."""

    index: int
    level: int
    depth: int


@dataclass(frozen=True)
class InjectionLayers:
    """The layers of one network as above; ``feature`` is the number of a UNet's output block."""

    injected: frozenset[LayerId]
    mask: frozenset[LayerId]
    cross: frozenset[LayerId]
    feature: int | None = None

    @property
    def hooked(self) -> frozenset[LayerId]:
        """Every self-attention that needs a hook."""
        return self.injected | self.mask


def choose_blocks(lists: Sequence[tuple[str, int]], first: float, last: float, *, joint: bool) -> InjectionLayers:
    """The layers of a diffusion transformer whose lists of blocks have these names and lengths, in running order.

    injected: the image's self-attention of blocks from relative depth ``first`` to ``last``, 0..1. mask, cross: three
    blocks from the middle on. joint: whether text and image are in one attention (some blocks have a second call for
    the image alone); else a block's first call is self-attention, its second cross-attention. Raises ValueError for a
    network without blocks.
    """
    blocks = [(name, index) for name, count in lists for index in range(count)]
    if not blocks:
        raise ValueError("it has no transformer blocks")
    depth = max(len(blocks) - 1, 1)
    chosen = [block for i, block in enumerate(blocks) if first - 1e-6 <= i / depth <= last + 1e-6]
    middle = blocks[len(blocks) // 2 : len(blocks) // 2 + 3]
    return InjectionLayers(
        injected=frozenset((*block, call) for block in chosen for call in range(1 + joint)),
        mask=frozenset((*block, 0) for block in middle),
        cross=frozenset((*block, 0 if joint else 1) for block in middle),
    )


def choose_layers(encoder: Sequence[AttentionBlock], decoder: Sequence[AttentionBlock]) -> InjectionLayers:
    """The layers of a UNet whose blocks with attention are ``encoder`` and ``decoder``, in the order they run.

    Raises ValueError for a UNet with fewer than two decoder blocks with attention.
    """
    if len(decoder) < 2:
        raise ValueError("the UNet has fewer than two decoder blocks with attention")
    injected = list(decoder)[1:]
    levels = sorted({block.level for block in (*encoder, *decoder)})
    middle = levels[len(levels) // 2]

    def middle_transformers(side: str, blocks: Sequence[AttentionBlock], level: int) -> set[LayerId]:
        return {(side, block.index, block.depth // 2) for block in blocks if block.level == level}

    mask = middle_transformers("input", encoder, middle) | middle_transformers("output", decoder, middle)
    deeper = {("output", b.index, b.depth // 2) for b in decoder if b.level == middle + 1}
    return InjectionLayers(
        injected=frozenset(("output", block.index, k) for block in injected for k in range(block.depth)),
        feature=injected[0].index,
        mask=frozenset(mask),
        cross=frozenset(mask | deeper),
    )
