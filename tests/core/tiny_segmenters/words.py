"""Networks that read words: CLIPSeg, SAM 3, and Grounding DINO with SAM or SAM 2."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from .made_scene import (
    ASKED,
    FALL,
    SEA,
    SIDE,
    SKY,
    WORDS,
    class_targets,
    network_input,
)
from .shapes import BOXES, sam, sam2
from .solving import SQUARE, build, by_place, draw, even_tokens, inputs_of, least_squares, save, solve
from .tokenizers import write_bert_tokenizer, write_clip_tokenizer


def clipseg(folder: Path) -> Path:
    """CLIPSeg: what turns each token into a patch of the map is solved for."""
    from transformers import CLIPSegConfig, CLIPSegForImageSegmentation

    tokenizer = write_clip_tokenizer(folder)
    ends = {"bos_token_id": len(tokenizer) - 2, "eos_token_id": len(tokenizer) - 1, "pad_token_id": len(tokenizer) - 1}
    common = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = CLIPSegConfig(
        text_config={**common, **ends, "vocab_size": len(tokenizer), "max_position_embeddings": 20},
        vision_config={**common, "image_size": SIDE, "patch_size": 16},
        projection_dim=16,
        extract_layers=[0, 1],
        reduce_dim=96,
        decoder_num_attention_heads=2,
        decoder_intermediate_size=64,
    )
    network = build(CLIPSegForImageSegmentation, config)
    draw(network)
    text = tokenizer(list(WORDS), padding="max_length", max_length=20, return_tensors="pt")
    layer = network.decoder.transposed_convolution
    rows, wanted = [], []
    for image in network_input():
        pixels = image.expand(len(WORDS), -1, -1, -1)
        (features,) = inputs_of(layer, lambda pixels=pixels: network(**text, pixel_values=pixels))
        rows.append(features.movedim(1, -1).flatten(0, 2))
        maps = F.pixel_unshuffle(class_targets((SIDE, SIDE), ASKED, 6.0)[:, None], 16)
        wanted.append(maps.movedim(1, -1).flatten(0, 2))
    layer.weight.data = least_squares(torch.cat(rows), torch.cat(wanted)).view(96, 1, 16, 16)
    layer.bias.data.zero_()
    return save(network, folder, SQUARE)


CAPTION = "sky. sea. waterfall."


def grounding(folder: Path, shapes: str = "sam") -> Path:
    """Grounding DINO that finds BOXES, with SAM or SAM 2 in a folder in it."""
    from transformers import GroundingDinoConfig, GroundingDinoForObjectDetection, SwinConfig

    tokenizer = write_bert_tokenizer(folder)
    backbone = SwinConfig(
        image_size=SIDE,
        embed_dim=8,
        depths=[1, 1, 1, 1],
        num_heads=[1, 1, 2, 2],
        window_size=4,
        out_features=["stage2", "stage3", "stage4"],
    )
    text = {"vocab_size": 1030, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = GroundingDinoConfig(
        backbone_config=backbone,
        text_config={**text, "intermediate_size": 32, "model_type": "bert"},
        num_queries=8,
        encoder_layers=1,
        decoder_layers=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        d_model=64,
        disable_custom_kernels=True,
    )
    network = build(GroundingDinoForObjectDetection, config)
    draw(network)
    found = tokenizer(CAPTION, return_tensors="pt")
    text = {name: found[name].repeat(3, 1) for name in ("input_ids", "attention_mask")}
    given = {"pixel_values": network_input(), **text}
    _find_boxes(network, given, found["input_ids"][0].tolist())
    save(network, folder, SQUARE)
    {"sam": sam, "sam2": sam2}[shapes](folder / shapes)
    return folder


def _find_boxes(network: Any, given: dict[str, Any], ids: list[int]) -> None:
    """Let the first three queries see BOXES, each with the tokens of its word, and all others nothing."""
    guess = network.model.encoder_output_bbox_embed.layers[-1]
    # All first guesses lie in one corner, so that the last step alone says where the boxes are.
    guess.weight.data.zero_()
    guess.bias.data.fill_(30.0)
    with torch.no_grad():
        text = network(**given).encoder_last_hidden_state_text.mean(0)
    own = {SKY: [1000], SEA: [1001], FALL: [1002, 1003]}
    wanted = torch.full((network.config.num_queries, len(ids)), -1.0)
    for query, tokens in enumerate(own.values()):
        wanted[query, [ids.index(token) for token in tokens]] = 1.0
    # Queries are compared with the text's own features, after a norm that takes their mean.
    centred = text - text.mean(1, keepdim=True)
    asked = least_squares(centred @ centred.T, wanted.T, 1e-9).T @ centred
    last = network.model.decoder.layers[-1].fc2
    (rows,) = inputs_of(last, lambda: network(**given))
    strong = 100 * asked / asked.std(1, keepdim=True)
    solve(last, rows.flatten(0, 1), strong.repeat(len(rows), 1), 1e-9)
    with torch.no_grad():
        reached = network(**given).logits[0, range(3), [ids.index(tokens[0]) for tokens in own.values()]]
    network.model.decoder.layer_norm.weight.data *= 3.0 / reached.min()
    corners = torch.tensor([BOXES[kind] for kind in own] + [(0.4, 0.4, 0.6, 0.6)] * (len(wanted) - len(own)))
    boxes = torch.cat([(corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]], 1)
    steps = torch.logit(boxes) - torch.logit(torch.tensor(1.0), eps=1e-5)
    # Some versions of transformers share one module among all steps.
    first = inputs_of(network.model.decoder.bbox_embed[0].layers[-1], lambda: network(**given))[0]
    second = inputs_of(network.bbox_embed[1].layers[-1], lambda: network(**given))[-1]
    head = network.bbox_embed[0]
    wanted = torch.cat([torch.full_like(steps, 30.0).repeat(3, 1), steps.repeat(3, 1)])
    solve(head.layers[-1], torch.cat([first, second]).flatten(0, 1), wanted, 1e-9)
    for other in (*network.bbox_embed, *network.model.decoder.bbox_embed):
        other.load_state_dict(head.state_dict())


def sam3(folder: Path) -> Path:
    """SAM 3: what turns pixels and words into the map of stuff is solved for; it proposes no single things."""
    from transformers import Sam3Config, Sam3Model

    tokenizer = write_clip_tokenizer(folder)
    ends = {"bos_token_id": len(tokenizer) - 2, "eos_token_id": len(tokenizer) - 1, "pad_token_id": len(tokenizer) - 1}
    backbone = {
        "hidden_size": 32,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": SIDE,
        "patch_size": 8,
        "window_size": 4,
        "global_attn_indexes": [0],
        "pretrain_image_size": SIDE,
        "model_type": "sam3_vit_model",
    }
    part = {"hidden_size": 128, "num_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    config = Sam3Config(
        vision_config={
            "backbone_config": backbone,
            "fpn_hidden_size": 128,
            "backbone_feature_sizes": [[32, 32], [16, 16], [8, 8]],
            "model_type": "sam3_vision_model",
        },
        text_config={
            "model_type": "clip_text_model",
            "vocab_size": len(tokenizer),
            "hidden_size": 32,
            "intermediate_size": 32,
            "projection_dim": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "max_position_embeddings": 20,
            **ends,
        },
        geometry_encoder_config=part,
        detr_encoder_config=part,
        detr_decoder_config={**part, "num_queries": 4},
        mask_decoder_config={"hidden_size": 128, "num_attention_heads": 2},
    )
    network = build(Sam3Model, config)
    draw(network)
    for layer, value in (
        (network.detr_decoder.presence_head.layer3, 8.0),
        (network.dot_product_scoring.query_proj, 0.0),
    ):
        layer.weight.data.zero_()
        layer.bias.data.fill_(value)
    even_tokens(network)
    network.mask_decoder.prompt_cross_attn.o_proj.weight.data *= 10  # words count for more than what is seen
    layer = network.mask_decoder.semantic_projection
    rows, wanted = [], []
    for image in network_input():
        for word, kind in zip(WORDS, ASKED, strict=True):
            text = tokenizer([word], padding="max_length", max_length=20, return_tensors="pt")
            given = {"pixel_values": image[None], **text}
            (features,) = inputs_of(layer, lambda given=given: network(**given))
            found, targets = by_place(features, class_targets(features.shape[-2:], (kind,), 6.0))
            rows.append(found)
            wanted.append(targets)
    solve(layer, torch.cat(rows), torch.cat(wanted))
    return save(network, folder, SQUARE)
