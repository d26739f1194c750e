"""One of the paper's networks from a file."""

from __future__ import annotations

from comfy_api.latest import io

from . import networks, sockets
from .support import report_input_errors, say


class LoadT2CModel(io.ComfyNode):
    """A file of models/t2c in, T2C_MODEL out."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LoadT2CModel",
            display_name="Load T2C Model",
            category=sockets.CATEGORY,
            description="Loads one of the paper's networks from models/t2c: motion and motion_direction for Flow "
            "Predictor, video for Eulerian Warp. Which one it is shows in its weights.",
            search_aliases=["text2cinemagraph model", "motion-pretrained", "video-pretrained", "latest_net_G"],
            inputs=[
                io.Combo.Input(
                    "model",
                    options=networks.files(),
                    tooltip="A .pth as the authors publish it, or what 'python -m t2c_core convert' makes of it.",
                ),
                io.Combo.Input(
                    "dtype",
                    options=["auto", *networks.DTYPES],
                    default="auto",
                    tooltip="'auto': half precision on graphics cards that are fast at it, float32 elsewhere.",
                ),
            ],
            outputs=[
                sockets.Model.Output(display_name="t2c model", tooltip="For Flow Predictor or Eulerian Warp."),
                io.String.Output(display_name="kind", tooltip="motion, motion_direction or video."),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, model: str, dtype: str) -> str:  # pyright: ignore[reportIncompatibleMethodOverride]
        return networks.file_fingerprint(model)

    @classmethod
    @report_input_errors()
    def execute(cls, model: str, dtype: str) -> io.NodeOutput:
        say("loading the network")
        loaded = networks.load(model, dtype)
        say(f"loaded: {loaded.kind}")
        return io.NodeOutput(loaded, loaded.kind)
