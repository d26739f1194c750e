"""The paper's networks in ComfyUI's hands: where their files are, how they are loaded, moved and unloaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import comfy.model_management
import comfy.model_patcher
import folder_paths
import torch

from ..t2c_core.errors import InputError
from ..t2c_core.networks.checkpoint import load_network
from ..t2c_core.types import WarpPlan

FOLDER = "t2c"
DTYPES: dict[str, torch.dtype] = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}

folder_paths.add_model_folder_path(FOLDER, str(Path(folder_paths.models_dir) / FOLDER))


@dataclass(frozen=True)
class Network:
    """What a T2C_MODEL socket carries. kind: 'motion', 'motion_direction' or 'video'."""

    kind: str
    patcher: Any
    name: str


def files() -> list[str]:
    """The files in models/t2c and wherever extra_model_paths.yaml puts t2c."""
    endings = (".pth", ".pt", ".ckpt", ".safetensors")
    return [name for name in folder_paths.get_filename_list(FOLDER) if name.lower().endswith(endings)]


def load(name: str, dtype: str) -> Network:
    """Load a file by its name in that list. 'auto' is half precision where the card is fast at it, else float32.

    Raises InputError('model').
    """
    path = folder_paths.get_full_path(FOLDER, name)
    if path is None:
        raise InputError("model", f"'{name}' is not in models/{FOLDER}.", "Put it there and press R in the page.")
    manage = comfy.model_management
    device = manage.get_torch_device()
    chosen = DTYPES.get(dtype)
    if chosen is None:
        chosen = torch.float16 if device.type == "cuda" and manage.should_use_fp16(device) else torch.float32
    kind, network = load_network(Path(path), chosen)
    patcher = comfy.model_patcher.ModelPatcher(network, load_device=device, offload_device=manage.unet_offload_device())
    return Network(kind, patcher, name)


def ready(network: Network, memory: int = 0) -> torch.nn.Module:
    """The network on its device, with ``memory`` bytes free for the work; ComfyUI may unload it again afterwards."""
    comfy.model_management.load_models_gpu([network.patcher], memory_required=memory)
    return network.patcher.model


def ready_plan(plan: WarpPlan) -> tuple[WarpPlan, torch.device | None]:
    """(the plan with its network loaded, the network's device); (the plan itself, None) without a network."""
    from dataclasses import replace

    if plan.network is None:
        return plan, None
    height, width = plan.flow.size
    # The decoder's widest layers: 256 channels at a quarter of the size and 128 at full size, several of each.
    network = ready(plan.network, memory=4 * 128 * 8 * height * width)
    return replace(plan, network=network), plan.network.patcher.load_device


def clip_context(clip: Any, text: str) -> torch.Tensor:
    """CLIP ViT-L/14's last hidden state [1, 77, 768] of a text as the paper takes it: no weights, cut at 77 tokens.

    Raises InputError('clip') for the CLIP of another family.
    """
    plain = text.replace("(", r"\(").replace(")", r"\)")
    clip = clip.clone()
    clip.layer_idx = None
    tokens = {key: [[(token[0], 1.0) for token in chunks[0]]] for key, chunks in clip.tokenize(plain).items()}
    context = clip.encode_from_tokens(tokens).float().cpu()
    if context.shape[-1] != 768 or "l" not in tokens:
        raise InputError(
            "clip",
            f"makes text features of {context.shape[-1]} channels, not 768.",
            "Use the CLIP of Stable Diffusion 1.x (ViT-L/14).",
        )
    return context[:, :77]
