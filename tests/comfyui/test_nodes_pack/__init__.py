"""Nodes for the tests only: values that other packs may hand to ours, but ComfyUI's own nodes cannot make."""

import torch
from comfy_api.latest import ComfyExtension, io

from .low_memory import TestLiveTensors, TestLoadedShares, TestVramState
from .transformer_nodes import NODES as TRANSFORMER_NODES
from .twin_nodes import NODES as TWIN_NODES


class TestHalf(io.ComfyNode):
    """IMAGE and MASK in half precision."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="T2CTestHalf",
            category="T2CTest",
            inputs=[io.Image.Input("image"), io.Mask.Input("mask", optional=True)],
            outputs=[io.Image.Output(), io.Mask.Output()],
        )

    @classmethod
    def execute(cls, image, mask=None):
        return io.NodeOutput(image.half(), None if mask is None else mask.half())


class TestNotANumber(io.ComfyNode):
    """IMAGE with one NaN."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="T2CTestNaN", category="T2CTest", inputs=[io.Image.Input("image")], outputs=[io.Image.Output()]
        )

    @classmethod
    def execute(cls, image):
        image = image.clone()
        image[0, 3, 5, 0] = torch.nan
        return io.NodeOutput(image)


class TestAlpha(io.ComfyNode):
    """IMAGE with a fourth channel, half transparent."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="T2CTestAlpha", category="T2CTest", inputs=[io.Image.Input("image")], outputs=[io.Image.Output()]
        )

    @classmethod
    def execute(cls, image):
        return io.NodeOutput(torch.cat([image, torch.full_like(image[..., :1], 0.5)], -1))


class TestHuge(io.ComfyNode):
    """An IMAGE of 3 TB, which takes no memory itself."""

    @classmethod
    def define_schema(cls):
        return io.Schema(node_id="T2CTestHuge", category="T2CTest", inputs=[], outputs=[io.Image.Output()])

    @classmethod
    def execute(cls):
        return io.NodeOutput(torch.zeros(1, 1, 1, 3).expand(1, 2**20, 2**20, 3))


class Nodes(ComfyExtension):
    """What ComfyUI asks for the list of nodes."""

    async def get_node_list(self):
        return [
            TestHalf,
            TestNotANumber,
            TestAlpha,
            TestHuge,
            TestLiveTensors,
            TestLoadedShares,
            TestVramState,
            *TWIN_NODES,
            *TRANSFORMER_NODES,
        ]


async def comfy_entrypoint():
    return Nodes()
