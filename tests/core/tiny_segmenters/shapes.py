"""SAM and SAM 2, which draw what is in a box."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from .made_scene import (
    ASKED,
    FALL,
    SEA,
    SIDE,
    SKY,
    class_targets,
    network_input,
    padded_input,
)
from .solving import SQUARE, build, draw, even_tokens, inputs_of, least_squares, save, solve

BOXES = {SKY: (0.0, 0.0, 0.5, 0.5), SEA: (0.0, 0.5, 0.5, 1.0), FALL: (0.625, 0.25, 0.875, 1.0)}
"""Where the scene's things are: x0, y0, x1, y1."""


def sam(folder: Path) -> Path:
    """SAM that draws what is in BOXES."""
    from transformers import SamConfig, SamModel

    config = SamConfig(
        vision_config={
            "hidden_size": 32,
            "output_channels": 256,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "image_size": SIDE,
            "patch_size": 8,
            "window_size": 0,
            "global_attn_indexes": [0],
            "num_pos_feats": 128,
            "mlp_dim": 32,
        },
        prompt_encoder_config={"hidden_size": 256, "image_size": SIDE, "patch_size": 8},
        mask_decoder_config={"hidden_size": 256, "mlp_dim": 32, "num_attention_heads": 2, "iou_head_hidden_dim": 32},
    )
    network = build(SamModel, config)
    _draw_shapes(network)
    return save(network, folder, {"size": {"longest_edge": SIDE}, "pad_size": {"height": SIDE, "width": SIDE}})


def sam2(folder: Path) -> Path:
    """SAM 2 that draws what is in BOXES."""
    from transformers import Sam2Config, Sam2Model

    backbone = {
        "hidden_size": 8,
        "image_size": [SIDE, SIDE],
        "blocks_per_stage": [1, 1, 1, 1],
        "embed_dim_per_stage": [8, 16, 32, 64],
        "num_attention_heads_per_stage": [1, 1, 2, 2],
        "window_size_per_stage": [4, 4, 2, 2],
        "global_attention_blocks": [],
        "window_positional_embedding_background_size": [2, 2],
        "model_type": "sam2_hiera_det_model",
    }
    config = Sam2Config(
        vision_config={
            "backbone_config": backbone,
            "backbone_channel_list": [64, 32, 16, 8],
            "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]],
            "fpn_hidden_size": 256,
            "model_type": "sam2_vision_model",
        },
        prompt_encoder_config={"hidden_size": 256, "image_size": SIDE, "patch_size": 16},
        mask_decoder_config={"hidden_size": 256, "mlp_dim": 32, "num_attention_heads": 2, "iou_head_hidden_dim": 32},
    )
    network = build(Sam2Model, config)
    _draw_shapes(network)
    return save(network, folder, SQUARE)


def _draw_shapes(network: Any) -> None:
    """Masks are sums of upscaled features with weights made from a token: solve for these weights, box by box."""
    draw(network)
    decoder = network.mask_decoder
    even_tokens(decoder)
    # One feature is a constant.
    decoder.upscale_conv2.weight.data[:, 0], decoder.upscale_conv2.bias.data[0] = 0.0, 1.0
    if hasattr(decoder, "conv_s0"):
        decoder.conv_s0.weight.data[0], decoder.conv_s0.bias.data[0] = 0.0, 0.0
    made: list[torch.Tensor] = []
    hook = decoder.activation.register_forward_hook(lambda module, given, out: made.append(out.detach()))
    boxes = torch.tensor([[BOXES[kind] for kind in ASKED]])
    last = decoder.output_hypernetworks_mlps[0].proj_out
    rows, wanted = [], []
    for image, share in [*((shown, 1.0) for shown in network_input()), (padded_input(), 0.75)]:
        made.clear()
        scale = SIDE * torch.tensor([1.0, share, 1.0, share])
        given = {"pixel_values": image[None], "input_boxes": boxes * scale, "multimask_output": False}
        (tokens,) = inputs_of(last, lambda given=given: network(**given))
        features = made[-1].flatten(2)
        truths = class_targets(made[-1].shape[-2:], ASKED, 6.0, share).flatten(1)
        wanted += [least_squares(of.T, mask[:, None], 1e-5)[:, 0] for of, mask in zip(features, truths, strict=True)]
        rows.append(tokens.flatten(0, -2))
    hook.remove()
    solve(last, torch.cat(rows), torch.stack(wanted), 1e-9)
