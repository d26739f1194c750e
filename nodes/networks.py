"""The paper's networks in ComfyUI's hands: where their files are, how they are loaded, moved and unloaded."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import comfy.model_management
import comfy.model_patcher
import folder_paths
import torch

from ..t2c_core.devices import sampling_device
from ..t2c_core.errors import InputError
from ..t2c_core.networks.checkpoint import load_network

FOLDER = "t2c"
DTYPES: dict[str, torch.dtype] = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}

folder_paths.add_model_folder_path(FOLDER, str(Path(folder_paths.models_dir) / FOLDER))


class WholePatcher(comfy.model_patcher.ModelPatcher):
    """Moves a network to its device as a whole or not at all.

    Low memory and --novram load networks layer by layer, which needs layers of comfy.ops that fetch their weights; the
    weights of plain modules would stay behind.
    """

    def partially_load(self, device_to: Any, extra_memory: float = 0, *args: Any, **kwargs: Any) -> int:
        return super().partially_load(device_to, 10**32, *args, **kwargs)

    def partially_unload(self, device_to: Any, memory_to_free: float = 0, *args: Any, **kwargs: Any) -> int:
        return 0  # ComfyUI then unloads all of it


def whole_patcher(network: torch.nn.Module, *, samples: bool = False) -> WholePatcher:
    """A network in ComfyUI's memory management; samples: whether images are sampled where it runs."""
    manage = comfy.model_management
    device = manage.get_torch_device()
    return WholePatcher(network, sampling_device(device) if samples else device, manage.unet_offload_device())


def load_whole(patcher: WholePatcher, memory: int) -> Any:
    """The patcher's network on its device, with ``memory`` bytes free for the work; ComfyUI may unload it later."""
    comfy.model_management.load_models_gpu([patcher], memory_required=memory, force_full_load=True)
    return patcher.model


def fingerprint(*files: Path) -> str:
    """Changes when one of the files is replaced: a hash of names, sizes and times; files that are not there count."""
    states = [(str(file), *_size_and_time(file)) for file in files]
    return hashlib.sha256(repr(states).encode()).hexdigest()


def _size_and_time(file: Path) -> tuple[int, int]:
    try:
        status = file.stat()
    except OSError:
        return 0, 0
    return status.st_size, status.st_mtime_ns


@dataclass(frozen=True)
class Network:
    """What a T2C_MODEL socket carries. kind: 'motion', 'motion_direction' or 'video'."""

    kind: str
    patcher: WholePatcher
    name: str

    def __call__(self, memory: int) -> tuple[torch.nn.Module, torch.device]:
        """The network and its device, with ``memory`` bytes free there: what a WarpPlan takes."""
        return ready(self, memory), self.patcher.load_device


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
    chosen = DTYPES.get(dtype)
    if chosen is None:
        manage = comfy.model_management
        device = manage.get_torch_device()
        chosen = torch.float16 if device.type == "cuda" and manage.should_use_fp16(device) else torch.float32
    kind, network = load_network(Path(path), chosen)
    return Network(kind, whole_patcher(network, samples=kind == "video"), name)


def file_fingerprint(name: str) -> str:
    """Changes when a file of `files` is replaced; '' for one that is not there."""
    path = folder_paths.get_full_path(FOLDER, name)
    return "" if path is None else fingerprint(Path(path))


def ready(network: Network, memory: int = 0) -> torch.nn.Module:
    """The network on its device, with ``memory`` bytes free for the work; ComfyUI may unload it again afterwards."""
    return load_whole(network.patcher, memory)


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
