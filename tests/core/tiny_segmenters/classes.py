"""Networks that know classes: a score for each at every pixel, or queries that propose masks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from tests.core.tiny_checkpoints import tiny_vocabulary

from .made_scene import (
    FALL,
    LABELS,
    ROCK,
    SEA,
    SIDE,
    SKY,
    class_targets,
    network_input,
    padded_input,
)
from .solving import SQUARE, build, by_place, draw, even_tokens, inputs_of, save, solve
from .tokenizers import write_clip_tokenizer


def _labels() -> dict[str, Any]:
    return {"id2label": dict(enumerate(LABELS)), "label2id": {name: i for i, name in enumerate(LABELS)}}


def segformer(folder: Path) -> Path:
    """SegFormer; the classifier is solved for."""
    from transformers import SegformerConfig, SegformerForSemanticSegmentation

    config = SegformerConfig(
        depths=[1, 1, 1, 1],
        hidden_sizes=[8, 8, 16, 16],
        num_attention_heads=[1, 1, 2, 2],
        decoder_hidden_size=48,
        mlp_ratios=[2, 2, 2, 2],
        **_labels(),
    )
    return _dense(build(SegformerForSemanticSegmentation, config), folder, lambda n: n.decode_head.classifier)


def upernet(folder: Path) -> Path:
    """UperNet over a tiny ConvNeXt."""
    from transformers import ConvNextConfig, UperNetConfig, UperNetForSemanticSegmentation

    stages = ["stage1", "stage2", "stage3", "stage4"]
    backbone = ConvNextConfig(hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1], out_features=stages)
    config = UperNetConfig(
        backbone_config=backbone, hidden_size=48, use_auxiliary_head=False, pool_scales=[1, 2], **_labels()
    )
    return _dense(build(UperNetForSemanticSegmentation, config), folder, lambda n: n.decode_head.classifier)


def _dense(network: torch.nn.Module, folder: Path, head: Callable[[Any], torch.nn.Module]) -> Path:
    draw(network)
    (features,) = inputs_of(head(network), lambda: network(pixel_values=network_input()))
    wanted = class_targets(features.shape[-2:], tuple(range(len(LABELS))), 4.0)
    solve(head(network), *by_place(features, wanted))
    return save(network, folder, SQUARE)


PROPOSED = (SKY, SEA, FALL, ROCK)
"""What the networks' four queries propose, one each."""


def _swin() -> Any:
    from transformers import SwinConfig

    stages = ["stage1", "stage2", "stage3", "stage4"]
    return SwinConfig(
        image_size=SIDE, embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 2], window_size=4, out_features=stages
    )


def mask2former(folder: Path) -> Path:
    """Mask2Former; four queries, one for each of PROPOSED."""
    from transformers import Mask2FormerConfig, Mask2FormerForUniversalSegmentation

    config = Mask2FormerConfig(
        backbone_config=_swin(),
        feature_size=32,
        mask_feature_size=48,
        hidden_dim=32,
        encoder_feedforward_dim=32,
        encoder_layers=1,
        decoder_layers=2,
        num_attention_heads=2,
        dim_feedforward=32,
        num_queries=len(PROPOSED),
        **_labels(),
    )
    network = build(Mask2FormerForUniversalSegmentation, config)
    draw(network)
    masks = network.model.transformer_module.decoder.mask_predictor.mask_embedder
    last = masks.get_submodule("2").get_submodule("0")
    pixels = network.model.pixel_level_module.decoder.mask_projection
    _queries(network, {"pixel_values": network_input()}, last, network.class_predictor, pixels)
    return save(network, folder, {**SQUARE, "size_divisor": 32})


def maskformer(folder: Path) -> Path:
    """MaskFormer, panoptic's older form."""
    from transformers import DetrConfig, MaskFormerConfig, MaskFormerForInstanceSegmentation

    decoder = DetrConfig(
        d_model=32,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        num_queries=len(PROPOSED),
    )
    config = MaskFormerConfig(
        backbone_config=_swin(), decoder_config=decoder, fpn_feature_size=32, mask_feature_size=48, **_labels()
    )
    network = build(MaskFormerForInstanceSegmentation, config)
    draw(network)
    last = network.mask_embedder.get_submodule("2").get_submodule("0")
    pixels = network.model.pixel_level_module.decoder.mask_projection
    _queries(network, {"pixel_values": network_input()}, last, network.class_predictor, pixels)
    return save(network, folder, {**SQUARE, "size_divisor": 32})


def oneformer(folder: Path) -> Path:
    """OneFormer, told its task by CLIP's tokenizer."""
    from transformers import OneFormerConfig, OneFormerForUniversalSegmentation

    config = OneFormerConfig(
        backbone_config=_swin(),
        conv_dim=64,
        mask_dim=64,
        hidden_dim=64,
        encoder_feedforward_dim=32,
        encoder_layers=1,
        decoder_layers=2,
        query_dec_layers=1,
        num_attention_heads=2,
        dim_feedforward=32,
        num_queries=len(PROPOSED) + 1,
        text_encoder_width=16,
        text_encoder_num_layers=1,
        text_encoder_vocab_size=len(tiny_vocabulary()[0]),
        **_labels(),
    )
    network = build(OneFormerForUniversalSegmentation, config)
    draw(network)
    tokens = write_clip_tokenizer(folder)(
        ["the task is semantic"], padding="max_length", max_length=77, return_tensors="pt"
    )
    given = {
        "pixel_values": network_input(),
        "task_inputs": (tokens["input_ids"] * tokens["attention_mask"]).repeat(3, 1),
    }
    network.model.transformer_module.queries_embedder.weight.data *= 8  # all that tells its queries apart
    decoder = network.model.transformer_module.decoder
    last = decoder.mask_embed.layers[2].layers[0] if hasattr(decoder.mask_embed.layers[2], "layers") else None
    last = last if last is not None else decoder.mask_embed.layers[2][0]
    pixels = network.model.pixel_level_module.decoder.mask_projection
    _queries(network, given, last, decoder.class_embed, pixels)
    return save(network, folder, SQUARE)


def eomt(folder: Path) -> Path:
    """EoMT: a plain vision transformer with queries."""
    from transformers import EomtConfig, EomtForUniversalSegmentation

    config = EomtConfig(
        hidden_size=96,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=SIDE,
        patch_size=8,
        mlp_ratio=2,
        num_blocks=1,
        num_queries=len(PROPOSED),
        num_register_tokens=1,
        **_labels(),
    )
    network = build(EomtForUniversalSegmentation, config)
    draw(network)
    network.attn_mask_probs.zero_()
    network.query.weight.data *= 30
    even_tokens(network)
    pixels = network.upscale_block.block[-1].layernorm2d
    seen = torch.cat([network_input(), padded_input()[None]])
    shares = (1.0, 1.0, 1.0, 0.75)
    _queries(network, {"pixel_values": seen}, network.mask_head.fc3, network.class_predictor, pixels, shares)
    return save(network, folder, {"size": {"shortest_edge": SIDE, "longest_edge": SIDE}, "do_pad": True})


def _queries(
    network: Any,
    given: dict[str, Any],
    masks: Any,
    classes: Any,
    pixels: Any,
    shares: tuple[float, ...] = (1.0, 1.0, 1.0),
) -> None:
    """Let query k propose PROPOSED[k], surely, and all other queries nothing.

    masks: the last layer of the queries' mask embedding. pixels: the module that makes the features these are compared
    with; the first of them is made a constant. shares: how much of each picture is no padding below. The networks look
    again at what they proposed: solved more than once.
    """
    pixels.weight.data[0], pixels.bias.data[0] = 0.0, 1.0
    made: list[torch.Tensor] = []
    hook = pixels.register_forward_hook(lambda module, given, out: made.append(out.detach()))
    for _ in range(3):
        seen = inputs_of(masks, lambda: network(**given))
        features = made[-1]
        kernels = torch.nn.Conv2d(features.shape[1], len(PROPOSED), 1)
        wanted = torch.stack([class_targets(features.shape[-2:], PROPOSED, 6.0, share) for share in shares])
        solve(kernels, *by_place(features, wanted), 1e-5)
        wanted = torch.zeros(seen[-1].shape[1], features.shape[1])
        wanted[: len(PROPOSED)] = kernels.weight.data[..., 0, 0]
        wanted[: len(PROPOSED), 0] += kernels.bias.data
        rows = torch.cat([rows.flatten(0, 1) for rows in seen])
        solve(masks, rows, wanted.repeat(len(rows) // len(wanted), 1), 1e-9)
        seen = inputs_of(classes, lambda: network(**given))
        wanted = torch.full((seen[-1].shape[1], len(LABELS) + 1), -4.0)
        wanted[range(len(PROPOSED)), PROPOSED] = 4.0
        wanted[len(PROPOSED) :, -1] = 4.0
        rows = torch.cat([rows.flatten(0, 1) for rows in seen])
        solve(classes, rows, wanted.repeat(len(rows) // len(wanted), 1), 1e-9)
    hook.remove()
