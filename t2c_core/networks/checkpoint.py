"""Checkpoints of the published networks: their kind, completeness and converted form.

A converted file (.safetensors) holds our modules' own, folded weights and says so in its metadata; it loads faster, is
about half as large in fp16 and cannot hold a program.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from ..errors import InputError
from ..io.weights import check_finite, read_weights, write_weights
from .fold_batchnorm import KINDS, fold

FILES = "motion-pretrained, motion-direction-pretrained and video-pretrained (latest_net_G.pth)"
PREFIXES = ("module.", "netG.", "model.")


def plain_names(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The weights without the prefixes that DataParallel and wrappers add to every key."""
    result = dict(weights)
    while common := next((p for p in PREFIXES if result and all(key.startswith(p) for key in result)), None):
        result = {key.removeprefix(common): value for key, value in result.items()}
    return result


def kind_of(weights: Mapping[str, torch.Tensor]) -> tuple[str, bool]:
    """(kind, whether it is folded already), told by the keys. Raises InputError('model') for anything else."""
    keys = set(weights)
    if any(key.startswith("encoder.gblocks.") for key in keys):
        return "video", False
    if "decoder.0.conv_a.conv.weight" in keys:
        return "video", True
    if any(key.startswith("attn_middle_block.") for key in keys):
        return "motion", True  # it has nothing to fold
    if "spade_layer2_0.mlp_gamma.weight" in keys:
        return "motion_direction", "conv1.weight" in keys
    raise InputError("model", "is none of the paper's networks.", f"Files that work: {FILES}.")


def to_state_dict(weights: Mapping[str, torch.Tensor]) -> tuple[str, dict[str, torch.Tensor]]:
    """(kind, state of our module) from published or converted weights. Raises InputError('model')."""
    weights = plain_names(weights)
    kind, folded = kind_of(weights)
    check_finite(weights, "model")
    empty = [key for key, value in weights.items() if value.ndim == 4 and not value.any()]
    if empty:
        raise InputError("model", f"holds only zeros in {empty[0]}.", "Get the file again.")
    if not folded or kind == "motion":
        return kind, fold(kind, weights)
    with torch.device("meta"):
        wanted = KINDS[kind]().state_dict()
    wrong = [key for key in wanted if key not in weights or weights[key].shape != wanted[key].shape]
    wrong += [key for key in weights if key not in wanted]
    if wrong:
        raise InputError("model", f"is no complete converted '{kind}' network ({', '.join(wrong[:4])}).")
    return kind, {key: weights[key] for key in wanted}


def load_network(path: Path, dtype: torch.dtype | None = torch.float32) -> tuple[str, torch.nn.Module]:
    """(kind, network in evaluation, on the CPU) of a published or converted file; dtype None keeps the file's.

    Raises InputError('model') for files that are missing, damaged, incomplete or something else.
    """
    kind, state = to_state_dict(read_weights(path, "model"))
    with torch.device("meta"):
        network = KINDS[kind]()
    if dtype is not None:
        state = {key: value.to(dtype) for key, value in state.items()}
    network.load_state_dict(state, assign=True)
    return kind, network.eval().requires_grad_(False)


def convert(source: Path, target: Path, dtype: torch.dtype = torch.float32) -> str:
    """Write ``source`` as a folded .safetensors file and return its kind; the target appears only when it is whole.

    Raises InputError('model') for the source, ('output') for a target that is no .safetensors file or the source.
    """
    if target.exists() and source.exists() and target.samefile(source):
        raise InputError("output", f"'{target}' is the source itself.", "Give another name.")
    kind, state = to_state_dict(read_weights(source, "model"))
    tensors = {key: value.to(dtype) for key, value in state.items()}
    write_weights(tensors, target, {"t2c_kind": kind, "t2c_folded": "1"})
    return kind
