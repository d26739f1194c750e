"""Every node of the pack, in the order of the pipeline."""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io
from server import PromptServer

from .cinemagraph_metrics import CinemagraphMetrics
from .eulerian_warp import EulerianWarp
from .flow_as_image import FlowToImage, ImageToFlow
from .flow_predictor import FlowPredictor
from .flow_preview import FlowPreview
from .load_t2c_model import LoadT2CModel
from .loop_blend import LoopBlend
from .motion_hints import MotionHintsNode
from .photo_twin import PhotoTwin
from .preview_route import add_preview_route
from .real_image_segmenter import RealImageSegmenter
from .save_cinemagraph import SaveCinemagraph
from .twin_prompt_sampler import TwinPromptSampler

NODES: list[type[io.ComfyNode]] = [
    TwinPromptSampler,
    PhotoTwin,
    MotionHintsNode,
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
        """Called once, before the nodes are asked for: the editor's route joins the server's."""
        add_preview_route(PromptServer.instance.routes)

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return NODES


async def comfy_entrypoint() -> Text2Cinemagraph:
    """Called by ComfyUI once, at its start."""
    return Text2Cinemagraph()
