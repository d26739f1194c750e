"""Folders of segmentation models: networks of transformers' own configs at tiny widths that really see a made scene.

Their weights are drawn from a seeded generator; then the last linear layers are solved for by least squares, so that
the network's output on the scene is the scene's truth. Nothing of what is tested is used.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from tests.core.tiny_checkpoints import tiny_vocabulary, write_tokenizer

LABELS = ("wall", "sky", "sea", "rock, stone", "waterfall, falls", "person")
"""Names as data sets write them."""
WALL, SKY, SEA, ROCK, FALL = range(5)
MEAN, STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
SIDE = 64
COLOURS = ((0.9, 0.2, 0.2), (0.55, 0.75, 0.95), (0.05, 0.25, 0.45), (0.45, 0.35, 0.25), (0.95, 0.95, 1.0))


def truth(height: int, width: int) -> np.ndarray:
    """int [height, width], numbers of LABELS: sky above, sea below, rock at the right with a fall in it."""
    y, x = np.mgrid[0.5:height, 0.5:width]
    y, x = y / height, x / width
    found = np.where(y < 0.5, SKY, SEA)
    found = np.where(x > 0.5, ROCK, found)
    return np.where((x > 0.625) & (x < 0.875) & (y > 0.25), FALL, found)


def scene(height: int, width: int) -> torch.Tensor:
    """The picture [1, height, width, 3] of the truth: a colour for each, slightly uneven."""
    of = np.array(COLOURS, np.float32)[truth(height, width)]
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    uneven = 0.02 * np.sin(9 * x + 5 * y)[..., None]
    return torch.from_numpy(np.clip(of + uneven, 0, 1).astype(np.float32))[None]


def _shown(side: int = SIDE) -> torch.Tensor:
    """The scene as the networks take it, from pictures of several sizes: [3, 3, side, side]."""
    sizes = ((side, side), (150, 200), (90, 70))
    seen = [F.interpolate(scene(*size).movedim(-1, 1), (side, side), mode="bilinear", antialias=True) for size in sizes]
    return (torch.cat(seen) - 0.5) / 0.25


def _padded() -> torch.Tensor:
    """The scene in the upper three quarters, nothing below: [3, SIDE, SIDE]."""
    seen = F.interpolate(scene(150, 200).movedim(-1, 1), (SIDE * 3 // 4, SIDE), mode="bilinear", antialias=True)
    return F.pad((seen[0] - 0.5) / 0.25, (0, 0, 0, SIDE // 4))


def _targets(size: tuple[int, int], numbers: tuple[int, ...], strength: float, share: float = 1.0) -> torch.Tensor:
    """[numbers, h, w]: +strength where the truth is that class, else -strength; the scene fills the upper ``share``."""
    inner = round(size[0] * share)
    there = torch.from_numpy(truth(inner, size[1]))
    maps = torch.stack([torch.where(there == n, strength, -strength) for n in numbers])
    return F.pad(maps, (0, 0, 0, size[0] - inner), value=-strength)


_LOOKS = re.compile(r"decoder.*cross_attn.*out_proj")


def _made(kind: Any, config: Any) -> Any:
    """The network in evaluation; what ``draw`` leaves alone (SAM's positions) comes from a seed too."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return kind(config).eval()


def draw(network: torch.nn.Module, seed: int = 0) -> None:
    """Every matrix and kernel from one generator, as wide as its inputs ask for: signals stay alive."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in network.named_parameters():
        if parameter.ndim > 1:
            # Queries shall stay what they are, whatever they see: then the last layer can tell them apart.
            timid = 0.03 if _LOOKS.search(name) else 1.0
            parameter.data = torch.randn(parameter.shape, generator=generator) * parameter[0].numel() ** -0.5 * timid
        elif name.endswith("bias"):
            parameter.data.zero_()


def least_squares(inputs: torch.Tensor, targets: torch.Tensor, ridge: float = 1e-6) -> torch.Tensor:
    """The matrix [a, b] that takes inputs [n, a] closest to targets [n, b]."""
    gram = inputs.double().T @ inputs.double()
    gram += ridge * gram.diagonal().mean() * torch.eye(len(gram), dtype=gram.dtype)
    return torch.linalg.solve(gram, inputs.double().T @ targets.double()).float()


def solve(layer: torch.nn.Module, inputs: torch.Tensor, targets: torch.Tensor, ridge: float = 1e-6) -> None:
    """Set a linear layer (or one by one convolution) so that it maps inputs [n, a] to targets [n, b]."""
    found = least_squares(torch.cat([inputs, torch.ones(len(inputs), 1)], 1), targets, ridge)
    layer.weight.data = found[:-1].T.reshape(layer.weight.shape).contiguous()
    layer.bias.data = found[-1].contiguous()


def inputs_of(layer: torch.nn.Module, run: Callable[[], Any]) -> list[torch.Tensor]:
    """What a layer is given, call by call, while ``run`` runs."""
    given: list[torch.Tensor] = []
    hook = layer.register_forward_pre_hook(lambda module, values: given.append(values[0].detach().clone()))
    with torch.no_grad():
        run()
    hook.remove()
    return given


def save(network: torch.nn.Module, folder: Path, processor: dict[str, Any]) -> Path:
    """config.json, model.safetensors and preprocessor_config.json."""
    network.save_pretrained(folder)
    settings = {"image_mean": MEAN, "image_std": STD, "do_resize": True, "do_normalize": True, **processor}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return folder


def _labels() -> dict[str, Any]:
    return {"id2label": dict(enumerate(LABELS)), "label2id": {name: i for i, name in enumerate(LABELS)}}


def _by_place(features: torch.Tensor, wanted: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(inputs [B h w, C], targets [B h w, N]) from features [B, C, h, w] and what is wanted, [B, N, h, w] or alike."""
    wanted = wanted.expand(len(features), *wanted.shape[-3:])
    return features.movedim(1, -1).flatten(0, 2), wanted.movedim(1, -1).flatten(0, 2)


SQUARE = {"size": {"height": SIDE, "width": SIDE}}


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
    return _dense(_made(SegformerForSemanticSegmentation, config), folder, lambda n: n.decode_head.classifier)


def upernet(folder: Path) -> Path:
    """UperNet over a tiny ConvNeXt."""
    from transformers import ConvNextConfig, UperNetConfig, UperNetForSemanticSegmentation

    stages = ["stage1", "stage2", "stage3", "stage4"]
    backbone = ConvNextConfig(hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1], out_features=stages)
    config = UperNetConfig(
        backbone_config=backbone, hidden_size=48, use_auxiliary_head=False, pool_scales=[1, 2], **_labels()
    )
    return _dense(_made(UperNetForSemanticSegmentation, config), folder, lambda n: n.decode_head.classifier)


def _dense(network: torch.nn.Module, folder: Path, head: Callable[[Any], torch.nn.Module]) -> Path:
    draw(network)
    (features,) = inputs_of(head(network), lambda: network(pixel_values=_shown()))
    wanted = _targets(features.shape[-2:], tuple(range(len(LABELS))), 4.0)
    solve(head(network), *_by_place(features, wanted))
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
    network = _made(Mask2FormerForUniversalSegmentation, config)
    draw(network)
    masks = network.model.transformer_module.decoder.mask_predictor.mask_embedder
    last = masks.get_submodule("2").get_submodule("0")
    pixels = network.model.pixel_level_module.decoder.mask_projection
    _queries(network, {"pixel_values": _shown()}, last, network.class_predictor, pixels)
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
    network = _made(MaskFormerForInstanceSegmentation, config)
    draw(network)
    last = network.mask_embedder.get_submodule("2").get_submodule("0")
    pixels = network.model.pixel_level_module.decoder.mask_projection
    _queries(network, {"pixel_values": _shown()}, last, network.class_predictor, pixels)
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
    network = _made(OneFormerForUniversalSegmentation, config)
    draw(network)
    write_tokenizer(folder)
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "CLIPTokenizer"}))
    from transformers import CLIPTokenizer

    found = CLIPTokenizer.from_pretrained(folder)(
        ["the task is semantic"], padding="max_length", max_length=77, return_tensors="pt"
    )
    given = {"pixel_values": _shown(), "task_inputs": (found["input_ids"] * found["attention_mask"]).repeat(3, 1)}
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
    network = _made(EomtForUniversalSegmentation, config)
    draw(network)
    network.attn_mask_probs.zero_()
    network.query.weight.data *= 30
    _even_tokens(network)
    pixels = network.upscale_block.block[-1].layernorm2d
    seen = torch.cat([_shown(), _padded()[None]])
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
        wanted = torch.stack([_targets(features.shape[-2:], PROPOSED, 6.0, share) for share in shares])
        solve(kernels, *_by_place(features, wanted), 1e-5)
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


WORDS = ("sky", "sea", "waterfall")
"""What the networks that read words are asked for; the classes they mean follow."""
ASKED = (SKY, SEA, FALL)


def write_clip_tokenizer(folder: Path) -> Any:
    """CLIP's tokenizer with a tiny vocabulary, in ``folder``; the one in transformers that reads it."""
    from transformers import CLIPTokenizer

    write_tokenizer(folder)
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "CLIPTokenizer"}))
    return CLIPTokenizer.from_pretrained(folder)


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
    network = _made(CLIPSegForImageSegmentation, config)
    draw(network)
    text = tokenizer(list(WORDS), padding="max_length", max_length=20, return_tensors="pt")
    layer = network.decoder.transposed_convolution
    rows, wanted = [], []
    for picture in _shown():
        pixels = picture.expand(len(WORDS), -1, -1, -1)
        (features,) = inputs_of(layer, lambda pixels=pixels: network(**text, pixel_values=pixels))
        rows.append(features.movedim(1, -1).flatten(0, 2))
        maps = F.pixel_unshuffle(_targets((SIDE, SIDE), ASKED, 6.0)[:, None], 16)
        wanted.append(maps.movedim(1, -1).flatten(0, 2))
    layer.weight.data = least_squares(torch.cat(rows), torch.cat(wanted)).view(96, 1, 16, 16)
    layer.bias.data.zero_()
    return save(network, folder, SQUARE)


def write_bert_tokenizer(folder: Path) -> Any:
    """BERT's tokenizer with a tiny vocabulary whose special tokens stand where Grounding DINO looks for them."""
    from transformers import BertTokenizerFast

    places = {0: "[PAD]", 100: "[UNK]", 101: "[CLS]", 102: "[SEP]", 103: "[MASK]", 1012: ".", 1029: "?"}
    places |= {1000 + i: word for i, word in enumerate(("sky", "sea", "water", "##fall", "rock"))}
    folder.mkdir(parents=True, exist_ok=True)
    lines = [places.get(i, f"[unused{i}]") for i in range(1030)]
    (folder / "vocab.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BertTokenizer"}))
    return BertTokenizerFast.from_pretrained(folder)


CAPTION = "sky. sea. waterfall."
BOXES = {SKY: (0.0, 0.0, 0.5, 0.5), SEA: (0.0, 0.5, 0.5, 1.0), FALL: (0.625, 0.25, 0.875, 1.0)}
"""Where the scene's things are: x0, y0, x1, y1."""


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
    network = _made(GroundingDinoForObjectDetection, config)
    draw(network)
    found = tokenizer(CAPTION, return_tensors="pt")
    text = {name: found[name].repeat(3, 1) for name in ("input_ids", "attention_mask")}
    given = {"pixel_values": _shown(), **text}
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
    network = _made(SamModel, config)
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
    network = _made(Sam2Model, config)
    _draw_shapes(network)
    return save(network, folder, SQUARE)


def _even_tokens(network: torch.nn.Module) -> None:
    """Let features that are upscaled be alike within a token: its outline is all that few of them have to tell."""
    for layer in network.modules():
        if isinstance(layer, torch.nn.ConvTranspose2d):
            layer.weight.data = 2 * layer.weight.data.mean((2, 3), keepdim=True).expand_as(layer.weight).contiguous()


def _draw_shapes(network: Any) -> None:
    """Masks are sums of upscaled features with weights made from a token: solve for these weights, box by box."""
    draw(network)
    decoder = network.mask_decoder
    _even_tokens(decoder)
    # One feature is a constant.
    decoder.upscale_conv2.weight.data[:, 0], decoder.upscale_conv2.bias.data[0] = 0.0, 1.0
    if hasattr(decoder, "conv_s0"):
        decoder.conv_s0.weight.data[0], decoder.conv_s0.bias.data[0] = 0.0, 0.0
    made: list[torch.Tensor] = []
    hook = decoder.activation.register_forward_hook(lambda module, given, out: made.append(out.detach()))
    boxes = torch.tensor([[BOXES[kind] for kind in ASKED]])
    last = decoder.output_hypernetworks_mlps[0].proj_out
    rows, wanted = [], []
    for picture, share in [*((shown, 1.0) for shown in _shown()), (_padded(), 0.75)]:
        made.clear()
        scale = SIDE * torch.tensor([1.0, share, 1.0, share])
        given = {"pixel_values": picture[None], "input_boxes": boxes * scale, "multimask_output": False}
        (tokens,) = inputs_of(last, lambda given=given: network(**given))
        features = made[-1].flatten(2)
        truths = _targets(made[-1].shape[-2:], ASKED, 6.0, share).flatten(1)
        wanted += [least_squares(of.T, mask[:, None], 1e-5)[:, 0] for of, mask in zip(features, truths, strict=True)]
        rows.append(tokens.flatten(0, -2))
    hook.remove()
    solve(last, torch.cat(rows), torch.stack(wanted), 1e-9)


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
    network = _made(Sam3Model, config)
    draw(network)
    for layer, value in (
        (network.detr_decoder.presence_head.layer3, 8.0),
        (network.dot_product_scoring.query_proj, 0.0),
    ):
        layer.weight.data.zero_()
        layer.bias.data.fill_(value)
    _even_tokens(network)
    network.mask_decoder.prompt_cross_attn.o_proj.weight.data *= 10  # words count for more than what is seen
    layer = network.mask_decoder.semantic_projection
    rows, wanted = [], []
    for picture in _shown():
        for word, kind in zip(WORDS, ASKED, strict=True):
            text = tokenizer([word], padding="max_length", max_length=20, return_tensors="pt")
            given = {"pixel_values": picture[None], **text}
            (features,) = inputs_of(layer, lambda given=given: network(**given))
            found, targets = _by_place(features, _targets(features.shape[-2:], (kind,), 6.0))
            rows.append(found)
            wanted.append(targets)
    solve(layer, torch.cat(rows), torch.cat(wanted))
    return save(network, folder, SQUARE)
