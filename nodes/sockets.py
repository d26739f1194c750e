"""The sockets of this pack. Each carries exactly one class of t2c_core.types."""

from __future__ import annotations

from comfy_api.latest import io

CATEGORY = "Text2Cinemagraph"

Flow = io.Custom("T2C_FLOW")
"""MotionField: velocity [1, 2, H, W] in px/frame and mask [1, H, W]."""

Hints = io.Custom("T2C_HINTS")
"""MotionHints: arrows, pins and strokes in normalised coordinates."""

Regions = io.Custom("T2C_REGIONS")
"""FluidRegions: what moves, kind by kind, with masks [H, W], labels and scores."""

Warp = io.Custom("T2C_WARP")
"""WarpPlan: picture, field and settings; no frames."""

Model = io.Custom("T2C_MODEL")
"""networks.Network: one of the paper's networks, in ComfyUI's memory management."""

Segmenter = io.Custom("T2C_SEGMENTER")
"""segmenters.ManagedSegmenter: a segmentation model, in ComfyUI's memory management."""

Attention = io.Custom("T2C_ATTENTION")
"""Attention: averaged self-attention and heat maps of words, of one picture."""
