"""Makes the README's pictures and the painted template's: ``python -m scripts.readme_pictures`` (with the library)."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import torch

import t2c_core
from t2c_core.flow.visualise import flow_preview
from t2c_core.hints import parse_hints
from t2c_core.segment.overlay import mask_overlay
from t2c_core.stylize.paint import paint
from t2c_core.types import MotionHints

from .paths import EXAMPLE, PAINTED, REPO

HEIGHT, STEP_HEIGHT, THUMBNAIL = 480, 512, 396
SPEED, FRAMES = 0.7, 60
ASSETS = REPO / "assets"


def main() -> None:
    image = t2c_core.load_image(EXAMPLE)
    hints = parse_hints(EXAMPLE.with_suffix(".hints.json").read_text(encoding="utf-8"))
    fluid = t2c_core.segment_fluid(image, hints=hints)
    flow = t2c_core.predict_flow(image, fluid.mask, hints=hints, regions=fluid.regions)
    painting = paint(image)
    moved, field = mask_overlay(image, fluid.mask)[0], flow_preview(image, flow)[0]
    settings = t2c_core.LoopSettings(FRAMES, speed=SPEED)
    for name, picture, first in (
        ("stream", image, (_drawn(image[0], hints), moved, field)),
        ("stream_painted", painting, (image[0], field, painting[0])),
    ):
        loop = t2c_core.LoopRenderer(picture, flow, settings)
        frames = list(loop)
        encoding = t2c_core.EncodeSettings(format="webp", quality=60)
        t2c_core.write_loop(list(_scaled(frames, HEIGHT)), ASSETS / f"{name}_preview.webp", encoding)
        panels = [*_scaled([*first, frames[FRAMES // 2]], STEP_HEIGHT)]
        gap = torch.ones(STEP_HEIGHT, 6, 3)
        row = torch.cat([part for panel in panels for part in (panel, gap)][:-1], 1)
        _save(row, ASSETS / f"{name}_steps.jpg")
    top, side = 300, image.shape[2]
    _save(next(_scaled([painting[0, top : top + side]], THUMBNAIL)), PAINTED.with_suffix(".jpg"))


def _scaled(frames: list[torch.Tensor], height: int) -> Iterator[torch.Tensor]:
    for frame in frames:
        size = (round(frame.shape[1] * height / frame.shape[0]), height)
        yield torch.from_numpy(cv2.resize(frame.cpu().numpy(), size, interpolation=cv2.INTER_AREA)).clamp(0, 1)


def _drawn(image: torch.Tensor, hints: MotionHints) -> torch.Tensor:
    """The image with its arrows and pins."""
    out = np.ascontiguousarray((image.numpy() * 255).round().astype(np.uint8))
    size = np.array(out.shape[1::-1])
    for arrow in hints.arrows:
        points = np.rint(np.array(arrow.points) * size).astype(np.int32)
        for colour, width in (((20, 20, 20), 9), ((255, 255, 255), 5)):
            cv2.polylines(out, [points[:-1]], False, colour, width, cv2.LINE_AA)
            cv2.arrowedLine(out, points[-2], points[-1], colour, width, cv2.LINE_AA, tipLength=0.6)
    for pin in hints.pins:
        at = np.rint(np.array(pin) * size).astype(int).tolist()
        for colour, radius in (((255, 255, 255), 14), ((220, 40, 40), 10)):
            cv2.circle(out, at, radius, colour, -1, cv2.LINE_AA)
    return torch.from_numpy(out).float() / 255


def _save(image: torch.Tensor, file: object) -> None:
    pixels = (image.numpy()[..., ::-1] * 255).round().astype(np.uint8)
    cv2.imwrite(str(file), pixels, [cv2.IMWRITE_JPEG_QUALITY, 88])


if __name__ == "__main__":
    main()
