"""Single-file checkpoints of the true topology and tiny widths, weights by the reference's rule, and a tiny tokenizer.

Names are those of the original files, written down here from the architecture and not taken from the code under test.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors.torch import save_file

from tests.vectors import weight

Shapes = Iterator[tuple[str, tuple[int, ...]]]
CONTEXT, WIDTH = 64, 32
WORDS = ["waterfall", "water", "river", "clouds", "lake", "hills", "the", "a", "painting", "falling", "down"]


def _linear(name: str, out: int, inside: int) -> Shapes:
    yield f"{name}.weight", (out, inside)
    yield f"{name}.bias", (out,)


def _conv(name: str, out: int, inside: int, size: int = 3) -> Shapes:
    yield f"{name}.weight", (out, inside, size, size)
    yield f"{name}.bias", (out,)


def _norm(name: str, width: int) -> Shapes:
    yield f"{name}.weight", (width,)
    yield f"{name}.bias", (width,)


def _residual(name: str, inside: int, out: int) -> Shapes:
    yield from _norm(f"{name}.in_layers.0", inside)
    yield from _conv(f"{name}.in_layers.2", out, inside)
    yield from _linear(f"{name}.emb_layers.1", out, 4 * WIDTH)
    yield from _norm(f"{name}.out_layers.0", out)
    yield from _conv(f"{name}.out_layers.3", out, out)
    if inside != out:
        yield from _conv(f"{name}.skip_connection", out, inside, 1)


def _attention(name: str, width: int, depth: int, linear: bool) -> Shapes:
    yield from _norm(f"{name}.norm", width)
    for side in ("proj_in", "proj_out"):
        yield from _linear(f"{name}.{side}", width, width) if linear else _conv(f"{name}.{side}", width, width, 1)
    for k in range(depth):
        block = f"{name}.transformer_blocks.{k}"
        for number, inside in ((1, width), (2, CONTEXT)):
            yield f"{block}.attn{number}.to_q.weight", (width, width)
            yield f"{block}.attn{number}.to_k.weight", (width, inside)
            yield f"{block}.attn{number}.to_v.weight", (width, inside)
            yield from _linear(f"{block}.attn{number}.to_out.0", width, width)
        yield from _linear(f"{block}.ff.net.0.proj", 8 * width, width)
        yield from _linear(f"{block}.ff.net.2", width, 4 * width)
        for number in (1, 2, 3):
            yield from _norm(f"{block}.norm{number}", width)


def unet_shapes(mult: list[int], depths: list[int], *, linear: bool, adm: int = 0, channels: int = 4) -> Shapes:
    """The UNet of the original layout: two residual blocks a level, attention of the given depth behind each."""
    yield from _linear("time_embed.0", 4 * WIDTH, WIDTH)
    yield from _linear("time_embed.2", 4 * WIDTH, 4 * WIDTH)
    if adm:
        yield from _linear("label_emb.0.0", 4 * WIDTH, adm)
        yield from _linear("label_emb.0.2", 4 * WIDTH, 4 * WIDTH)
    yield from _conv("input_blocks.0.0", WIDTH, channels)
    index, now, skips = 1, WIDTH, [WIDTH]
    for level, (factor, depth) in enumerate(zip(mult, depths, strict=True)):
        for _ in range(2):
            yield from _residual(f"input_blocks.{index}.0", now, factor * WIDTH)
            now = factor * WIDTH
            if depth:
                yield from _attention(f"input_blocks.{index}.1", now, depth, linear)
            skips.append(now)
            index += 1
        if level < len(mult) - 1:
            yield from _conv(f"input_blocks.{index}.0.op", now, now)
            skips.append(now)
            index += 1
    yield from _residual("middle_block.0", now, now)
    yield from _attention("middle_block.1", now, depths[-1] or 1, linear)
    yield from _residual("middle_block.2", now, now)
    index = 0
    for level in reversed(range(len(mult))):
        for r in range(3):
            yield from _residual(f"output_blocks.{index}.0", now + skips.pop(), mult[level] * WIDTH)
            now = mult[level] * WIDTH
            place = 1
            if depths[level]:
                yield from _attention(f"output_blocks.{index}.1", now, depths[level], linear)
                place = 2
            if r == 2 and level:
                yield from _conv(f"output_blocks.{index}.{place}.conv", now, now)
            index += 1
    yield from _norm("out.0", now)
    yield from _conv("out.2", 4, now)


def _vae_block(name: str, inside: int, out: int) -> Shapes:
    yield from _norm(f"{name}.norm1", inside)
    yield from _conv(f"{name}.conv1", out, inside)
    yield from _norm(f"{name}.norm2", out)
    yield from _conv(f"{name}.conv2", out, out)
    if inside != out:
        yield from _conv(f"{name}.nin_shortcut", out, inside, 1)


def _vae_middle(name: str, width: int) -> Shapes:
    yield from _vae_block(f"{name}.block_1", width, width)
    yield from _norm(f"{name}.attn_1.norm", width)
    for part in ("q", "k", "v", "proj_out"):
        yield from _conv(f"{name}.attn_1.{part}", width, width, 1)
    yield from _vae_block(f"{name}.block_2", width, width)


def vae_shapes(widths: tuple[int, ...] = (32, 32, 64, 64)) -> Shapes:
    """The autoencoder: one residual block a level in the encoder, two in the decoder."""
    yield from _conv("encoder.conv_in", widths[0], 3)
    now = widths[0]
    for level, width in enumerate(widths):
        yield from _vae_block(f"encoder.down.{level}.block.0", now, width)
        now = width
        if level < len(widths) - 1:
            yield from _conv(f"encoder.down.{level}.downsample.conv", now, now)
    yield from _vae_middle("encoder.mid", now)
    yield from _norm("encoder.norm_out", now)
    yield from _conv("encoder.conv_out", 8, now)
    yield from _conv("quant_conv", 8, 8, 1)
    yield from _conv("post_quant_conv", 4, 4, 1)
    yield from _conv("decoder.conv_in", now, 4)
    yield from _vae_middle("decoder.mid", now)
    for level in reversed(range(len(widths))):
        for block in range(2):
            yield from _vae_block(f"decoder.up.{level}.block.{block}", now, widths[level])
            now = widths[level]
        if level:
            yield from _conv(f"decoder.up.{level}.upsample.conv", now, now)
    yield from _norm("decoder.norm_out", now)
    yield from _conv("decoder.conv_out", 3, now)


def clip_shapes(width: int, layers: int = 2, vocabulary: int | None = None) -> Shapes:
    """OpenAI's text encoder under its names in transformers."""
    yield "text_model.embeddings.token_embedding.weight", (vocabulary or len(tiny_vocabulary()[0]), width)
    yield "text_model.embeddings.position_embedding.weight", (77, width)
    for i in range(layers):
        layer = f"text_model.encoder.layers.{i}"
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            yield from _linear(f"{layer}.self_attn.{part}", width, width)
        yield from _norm(f"{layer}.layer_norm1", width)
        yield from _norm(f"{layer}.layer_norm2", width)
        yield from _linear(f"{layer}.mlp.fc1", 4 * width, width)
        yield from _linear(f"{layer}.mlp.fc2", width, 4 * width)
    yield from _norm("text_model.final_layer_norm", width)


def open_clip_shapes(width: int, layers: int = 3) -> Shapes:
    """OpenCLIP's text encoder under its own names."""
    yield "positional_embedding", (77, width)
    yield "text_projection", (width, width)
    yield "token_embedding.weight", (len(tiny_vocabulary()[0]), width)
    for i in range(layers):
        layer = f"transformer.resblocks.{i}"
        yield f"{layer}.attn.in_proj_weight", (3 * width, width)
        yield f"{layer}.attn.in_proj_bias", (3 * width,)
        yield from _linear(f"{layer}.attn.out_proj", width, width)
        yield from _norm(f"{layer}.ln_1", width)
        yield from _norm(f"{layer}.ln_2", width)
        yield from _linear(f"{layer}.mlp.c_fc", 4 * width, width)
        yield from _linear(f"{layer}.mlp.c_proj", width, 4 * width)
    yield from _norm("ln_final", width)


def weights(family: str, *, channels: int = 4) -> dict[str, torch.Tensor]:
    """Every tensor of a tiny checkpoint of 'sd1', 'sd2' or 'sdxl'."""
    if family == "sdxl":
        unet = unet_shapes([1, 2, 4], [0, 1, 2], linear=True, adm=CONTEXT // 2 + 6 * 256, channels=channels)
        texts = [("conditioner.embedders.0.transformer.", clip_shapes(CONTEXT // 2, 3))]
        texts.append(("conditioner.embedders.1.model.", open_clip_shapes(CONTEXT // 2)))
    else:
        unet = unet_shapes([1, 2, 4, 4], [1, 1, 1, 0], linear=family == "sd2", channels=channels)
        text = clip_shapes(CONTEXT) if family == "sd1" else open_clip_shapes(CONTEXT)
        texts = [("cond_stage_model.transformer." if family == "sd1" else "cond_stage_model.model.", text)]
    parts = [("model.diffusion_model.", unet), ("first_stage_model.", vae_shapes()), *texts]
    return {prefix + key: weight(key, shape) for prefix, shapes in parts for key, shape in shapes}


def checkpoint(family: str, folder: Path) -> Path:
    """A tiny checkpoint with its tokenizer beside it."""
    path = folder / f"{family}.safetensors"
    save_file(weights(family), path)
    write_tokenizer(folder / "tokenizer")
    return path


def tiny_vocabulary() -> tuple[dict[str, int], list[str]]:
    """Byte-pair vocabulary and merges that know WORDS and spell all else with letters; CLIP's special tokens last."""
    letters = [chr(c) for c in range(33, 127)]
    pieces = letters + [letter + "</w>" for letter in letters]
    merges = []
    for word in WORDS:
        parts = [*word[:-1], word[-1] + "</w>"]
        while len(parts) > 1:
            merge = f"{parts[0]} {parts[1]}"
            parts = [parts[0] + parts[1], *parts[2:]]
            if merge not in merges:
                merges.append(merge)
                pieces.append(parts[0])
    pieces = [*dict.fromkeys(pieces), "<|startoftext|>", "<|endoftext|>"]
    return {piece: i for i, piece in enumerate(pieces)}, merges


def write_tokenizer(folder: Path) -> None:
    """vocab.json and merges.txt as CLIP's tokenizer reads them."""
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary, merges = tiny_vocabulary()
    (folder / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n", encoding="utf-8")
