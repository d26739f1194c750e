"""Save Cinemagraph's export_job: the row that a graph becomes makes the same loop by the library alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from scripts.errors import NodeFailed
from t2c_core.batch.manifest import read_manifest
from t2c_core.batch.plan import make_plan
from t2c_core.batch.store import LocalStore
from t2c_core.batch.worker import Worker, pack
from t2c_core.loop.read import read_frames

pytestmark = pytest.mark.comfyui
ARROW = {"points": [[0.1, 0.75], [0.9, 0.75]], "speed": 4.0}
STROKE = {"points": [[0.05, 0.8], [0.95, 0.8]], "radius": 0.1, "mode": "move", "feather": 0.0}
HINTS = json.dumps({"version": 1, "arrows": [ARROW], "pins": [[0.5, 0.2]], "strokes": [STROKE]})


@pytest.fixture(scope="module")
def still(server: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A rough picture of 96 x 64 in the server's input folder."""
    path = tmp_path_factory.mktemp("still") / "export_still.png"
    noise = np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8)
    Image.fromarray(noise).resize((96, 64), Image.Resampling.BICUBIC).save(path)
    return server.put_input(path)


def drawn(graph: Any, still: str) -> tuple[str, str]:
    """Load Image and Motion Hints."""
    image = graph.add("LoadImage", image=still)
    return image, graph.add("MotionHints", hints=HINTS, image=(image, 0))


def by_the_library(manifest: Path, out: Path) -> list[Path]:
    store = LocalStore(out)
    packed = Worker(store.url)({"task": [pack(task) for task in make_plan(read_manifest(manifest), store).tasks]})
    records = [json.loads(record) for record in packed["record"]]
    assert [record["status"] for record in records] == ["done"] * len(records), records
    return [out / record["path"] for record in records]


def test_a_graph_becomes_a_row_that_makes_the_same_loop(
    graph: Any, still: str, run_graph: Any, server: Any, tmp_path: Path
) -> None:
    image, hints = drawn(graph, still)
    mask = graph.add("RealImageSegmenter", image=(image, 0), hints=(hints, 0), feather=2.0, freeze_outliers=False)
    flow = graph.add("FlowPredictor", image=(image, 0), mask=(mask, 0), hints=(hints, 0), regions=(mask, 2),
                     prompt="a river flowing left, 5 frames", speed=2.0)  # fmt: skip
    length = graph.add("PrimitiveInt", value=6)
    for number, (frames, more) in enumerate((((length, 0), {}), ((flow, 2), {"blend": "linear"}))):
        warp = graph.add("EulerianWarp", image=(image, 0), flow=(flow, 0), frames=frames, speed=0.5, cycles="2")
        graph.add("SaveCinemagraph", warp=(warp, 0), filename_prefix=f"export/river{number}", format="apng",
                  export_job=True, **more)  # fmt: skip
    made = sorted(run_graph(graph.nodes).files)
    manifest = server.data / "output/export/t2c_batch.jsonl"
    rows = [json.loads(line) for line in manifest.read_text().splitlines()]
    assert sorted(row["id"] for row in rows) == [path.stem for path in made]
    first = next(row for row in rows if row["id"].startswith("river0"))
    expected = {"frames": 6, "speed": 0.5, "flow_speed": 2.0, "feather": 2.0, "freeze_outliers": False, "cycles": "2"}
    assert {name: first[name] for name in expected} == expected
    assert first["hints"] == HINTS and first["prompt"] == "a river flowing left, 5 frames"
    assert sum("frames" in row for row in rows) == 1, "linked to what suits the fluid: left to it"
    again = sorted(by_the_library(manifest, tmp_path / "out"))
    for ours, theirs in zip(again, made, strict=True):
        pairs = list(zip(read_frames(ours), read_frames(theirs), strict=True))
        assert len(pairs) == (6 if "river0" in ours.name else 5)
        assert all(np.array_equal(a, b) for a, b in pairs)


def test_a_painting_with_a_mask_file_and_an_angle(graph: Any, still: str, run_graph: Any, server: Any) -> None:
    image = graph.add("LoadImage", image=still)
    painted = graph.add("PhotoTwin", image=(image, 0), style="crayon")
    mask = graph.add("LoadImageMask", image=still, channel="red")
    flow = graph.add("FlowPredictor", image=(painted, 1), mask=(mask, 0), direction="custom angle", angle=30.0)
    warp = graph.add("EulerianWarp", image=(painted, 0), flow=(flow, 0), frames=2)
    graph.add("SaveCinemagraph", warp=(warp, 0), filename_prefix="painted/p", format="webp", export_job=True)
    run_graph(graph.nodes)
    (row,) = read_manifest(server.data / "output/painted/t2c_batch.jsonl")
    job = row.job()
    assert job.paint is not None and job.paint.style == "crayon" and job.direction == "30"
    assert job.image == job.mask and (job.masks.feather, job.masks.fill_holes, job.encode.format) == (0, 0, "webp")


def test_what_no_column_can_say_is_refused_before_rendering(
    graph: Any, still: str, run_graph: Any, server: Any
) -> None:
    image, hints = drawn(graph, still)
    turned = graph.add("ImageInvert", image=(image, 0))
    mask = graph.add("RealImageSegmenter", image=(turned, 0), hints=(hints, 0))
    flow = graph.add("FlowPredictor", image=(turned, 0), mask=(mask, 0), hints=(hints, 0))
    warp = graph.add("EulerianWarp", image=(turned, 0), flow=(flow, 0), frames=3)
    graph.add("SaveCinemagraph", warp=(warp, 0), filename_prefix="refused/r", export_job=True)
    sentence = rf"Save Cinemagraph: export_job: .*picture that 'ImageInvert' \(node {turned}\) makes\. Save it and load"
    with pytest.raises(NodeFailed, match=sentence):
        run_graph(graph.nodes)
    assert not list((server.data / "output/refused").glob("*.*"))
