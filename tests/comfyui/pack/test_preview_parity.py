"""The preview's field is that of the nodes, at the same size and with the same inputs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts.paths import EXAMPLE

pytestmark = pytest.mark.comfyui

SCRIPT = """
import base64, io, json, sys, torch
import folder_paths
from PIL import Image
from pack_without_comfyui.nodes import preview_request
from pack_without_comfyui.nodes.flow_predictor import FlowPredictor
from pack_without_comfyui.nodes.motion_hints import MotionHintsNode
from pack_without_comfyui.nodes.real_image_segmenter import RealImageSegmenter
from pack_without_comfyui.t2c_core.geometry import fit_longest_side
from pack_without_comfyui.t2c_core.io.images import load_image, to_uint8
from pack_without_comfyui.t2c_core import preview
from pack_without_comfyui.t2c_core.types import FluidRegion, FluidRegions

folder_paths.set_temp_directory({temp!r})

def defaults(node):
    widgets = [i for i in node.define_schema().inputs if getattr(i, "default", None) is not None]
    return {{i.id: i.default for i in widgets}}

def encoded(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()

picture = load_image({picture!r}, longer_side=96)
height, width = picture.shape[1:3]
given = torch.zeros(1, height, width)
given[:, height // 3 :, 10:-10] = 1
pixels = to_uint8(picture[0])
picture = torch.from_numpy(pixels)[None].float() / 255
classes = FluidRegions((FluidRegion("river", "river", 0.9, given[0] * (torch.arange(width) < width // 2)),
                        FluidRegion("smoke", "smoke", 0.9, given[0] * (torch.arange(width) >= width // 2))))
for case in json.loads({cases!r}):
    mask = given if case.get("mask") else None
    regions = classes if case.get("regions") else None
    hints = MotionHintsNode.execute(json.dumps(case["hints"]), picture).args[0]
    method = "hints" if mask is None else "mask"
    masking = {{**defaults(RealImageSegmenter), **case.get("masking", {{}}), "method": method}}
    found, _, own = RealImageSegmenter.execute(picture, hints=hints, mask=mask, **masking).args
    linked = own if case.get("linked") else regions
    inputs = {{**defaults(FlowPredictor), **case.get("flow", {{}})}}
    inputs = {{name: value for name, value in inputs.items() if name != "regions"}}
    made = FlowPredictor.execute(picture, found, hints=hints, regions=linked, **inputs).args[0]
    case.setdefault("flow", {{}})["regions"] = bool(case.get("linked"))
    values = {{**case.get("masking", {{}}), **case["flow"]}}
    field = preview.preview_field(picture, hints, preview.read_settings(values), mask=mask, regions=regions)
    apart = float((field.velocity - made.velocity).abs().max())
    if regions is None:
        body = {{"picture": encoded(pixels), "hints": json.dumps(case["hints"]), "scale": 1.0,
                "settings": {{"mask": case.get("masking", {{}}), "flow": case.get("flow", {{}})}}}}
        if mask is not None:
            body["mask"] = encoded(to_uint8(mask[0]))
        answer = preview_request.answer_preview(json.dumps(body).encode(), lambda: None)
        sent = torch.frombuffer(bytearray(base64.b64decode(answer["velocity"])), dtype=torch.int16)
        sent = sent.reshape(2, height, width) * answer["scale"] * max(height, width) / 512
        apart = max(apart, float((sent - made.velocity[0]).abs().max()) - answer["scale"])
    print("RESULT", apart, float(made.velocity.abs().max()))
"""
ARROW = {"points": [[0.3, 0.6], [0.6, 0.75]], "speed": 3}
SKY = {"points": [[0.3, 0.05], [0.7, 0.08]], "speed": 3}
STROKES = [
    {"points": [[0.2, 0.55], [0.8, 0.6]], "radius": 0.08, "mode": "move", "feather": 0.5},
    {"points": [[0.5, 0.4], [0.5, 0.9]], "radius": 0.03, "mode": "freeze"},
]
CASES = [
    {"hints": {"arrows": [ARROW], "pins": [[0.2, 0.1], [0.9, 0.4]]}},
    {"hints": {"strokes": STROKES}, "flow": {"prompt": "a river flowing slowly to the left"}},
    {"hints": {"arrows": [ARROW], "strokes": STROKES}, "masking": {"grow": 2.0, "feather": 5.0, "detail": 0.5}},
    {"hints": {}, "mask": True, "flow": {"prompt": "smoke drifting fast upwards", "smoothness": 0.9}},
    {"hints": {"strokes": STROKES}, "mask": True, "flow": {"direction": "custom angle", "angle": 200.0, "speed": 2.5}},
    {"hints": {"arrows": [ARROW], "strokes": STROKES}, "masking": {"freeze_outliers": False}},
    {"hints": {"arrows": [SKY], "pins": [[0.5, 0.9]]}, "linked": True},
    {"hints": {}, "mask": True, "regions": True, "flow": {"prompt": "a river flowing slowly to the left"}},
]


def test_preview_and_nodes_give_one_field(run_with_pack: Callable[[str], list[str]], tmp_path: Path) -> None:
    script = SCRIPT.format(temp=str(tmp_path), picture=str(EXAMPLE), cases=json.dumps(CASES))
    results = [line.split()[1:] for line in run_with_pack(script) if line.startswith("RESULT")]
    assert len(results) == len(CASES)
    for case, (apart, fastest) in zip(CASES, results, strict=True):
        assert float(apart) <= 1e-6 and float(fastest) > 0.05, case
