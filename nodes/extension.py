"""Every node of the pack, in the order of the pipeline."""

from __future__ import annotations

from pathlib import Path

import folder_paths
from comfy_api.latest import ComfyExtension, io
from server import PromptServer

from ..t2c_core.io.files import clear_unfinished
from .cinemagraph_metrics import CinemagraphMetrics
from .editor_settings import add_settings_route
from .eulerian_warp import EulerianWarp
from .example_pictures import put_example_pictures
from .flow_as_image import FlowToImage, ImageToFlow
from .flow_predictor import FlowPredictor
from .flow_preview import FlowPreview
from .load_segmentation_model import LoadSegmentationModel
from .load_t2c_model import LoadT2CModel
from .loop_blend import LoopBlend, mark_unlinked_coverage
from .motion_hints import MotionHintsNode
from .photo_twin import PhotoTwin
from .preview_route import add_preview_route
from .real_image_segmenter import RealImageSegmenter
from .register_twin import RegisterTwin
from .save_cinemagraph import SaveCinemagraph
from .twin_prompt_sampler import TwinPromptSampler

NODES: list[type[io.ComfyNode]] = [
    TwinPromptSampler,
    PhotoTwin,
    RegisterTwin,
    MotionHintsNode,
    LoadSegmentationModel,
    RealImageSegmenter,
    LoadT2CModel,
    FlowPredictor,
    FlowPreview,
    FlowToImage,
    ImageToFlow,
    EulerianWarp,
    LoopBlend,
    SaveCinemagraph,
    CinemagraphMetrics,
]


class Text2Cinemagraph(ComfyExtension):
    """What ComfyUI asks for the list of nodes."""

    async def on_load(self) -> None:
        """Called once, before the nodes are asked for: routes and a handler join the server's, pictures the inputs.

        What a killed server left unfinished among the outputs goes.
        """
        PromptServer.instance.add_on_prompt_handler(mark_unlinked_coverage)
        add_preview_route(PromptServer.instance.routes)
        add_settings_route(PromptServer.instance.routes)
        clear_unfinished(Path(folder_paths.get_output_directory()))
        put_example_pictures(folder_paths.get_input_directory())

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return NODES


async def comfy_entrypoint() -> Text2Cinemagraph:
    """Called by ComfyUI once, at its start."""
    return Text2Cinemagraph()
