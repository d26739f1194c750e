"""A graphics card that is nearly full, played by the CPU, which ComfyUI by itself never loads partly.

The states are those of --novram and --lowvram; these options need a card. In one of them the CPU counts as a card with
one free byte while models are loaded.
"""

from __future__ import annotations

import functools
import gc
from typing import Any

import comfy.model_management as manage
import torch
from comfy_api.latest import io

load = manage.load_models_gpu


def pretend(state: str) -> None:
    """Load all models from now on as on a card in this state; 'OFF' ends it."""
    manage.load_models_gpu = load
    if state == "OFF":
        return
    played = {
        "vram_state": manage.VRAMState[state],
        "lowvram_available": True,
        "is_device_cpu": lambda device: False,
        "get_free_memory": lambda *args, **kwargs: 1,
    }

    @functools.wraps(load)
    def loaded(*args: Any, **kwargs: Any) -> None:
        real = {name: getattr(manage, name) for name in played}
        vars(manage).update(played)
        try:
            load(*args, **kwargs)
        finally:
            vars(manage).update(real)

    manage.load_models_gpu = loaded


class TestVramState(io.ComfyNode):
    """`pretend`, before the image goes on; a state of its own each time it runs."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="T2CTestVramState",
            category="T2CTest",
            inputs=[io.Image.Input("image"), io.Combo.Input("state", options=["OFF", "NO_VRAM", "LOW_VRAM"])],
            outputs=[io.Image.Output()],
            is_output_node=True,
        )

    @classmethod
    def fingerprint_inputs(cls, **inputs):
        return float("nan")

    @classmethod
    def execute(cls, image, state):
        pretend(state)
        return io.NodeOutput(image)


class TestLoadedShares(io.ComfyNode):
    """The share of its weights that each loaded model has on its device: 'Video 1.00, Dense 0.00'."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="T2CTestLoadedShares",
            category="T2CTest",
            inputs=[io.Image.Input("after")],
            outputs=[io.String.Output()],
        )

    @classmethod
    def execute(cls, after):
        patchers = [loaded.model for loaded in manage.current_loaded_models if loaded.model is not None]
        shares = [f"{type(p.model).__name__} {p.loaded_size() / p.model_size():.2f}" for p in patchers]
        return io.NodeOutput(", ".join(shares))


class TestLiveTensors(io.ComfyNode):
    """How many bytes the tensors of the process hold, each storage counted once; ``number``: another for each run."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="T2CTestLiveTensors",
            category="T2CTest",
            inputs=[io.Int.Input("number")],
            outputs=[io.String.Output()],
        )

    @classmethod
    def execute(cls, number):
        gc.collect()
        tensors = (entry for entry in gc.get_objects() if isinstance(entry, torch.Tensor))
        storages = {s.data_ptr(): s.nbytes() for s in (tensor.untyped_storage() for tensor in tensors)}
        return io.NodeOutput(str(sum(storages.values())))
