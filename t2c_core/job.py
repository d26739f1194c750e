"""One loop from files and settings: the same steps for the command line and for batches."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch

from .errors import InputError
from .flow.predict import predict_flow, suggest_frame_count
from .flow.settings import FlowSettings
from .hints import parse_hints
from .io.images import over_white, read_mask, read_picture
from .loop.render import LoopRenderer
from .loop.settings import LoopSettings
from .loop.write import EncodeSettings
from .prompt.parse import parse_prompt
from .segment.fluid import segment_fluid
from .segment.models.base import Segmenter, Step
from .segment.settings import MaskSettings
from .stylize.settings import FROM_PICTURE, PaintSettings
from .twin.generate import Twins, generate_twins
from .twin.load import DiffusionModels, load_models
from .twin.prompts import TwinPrompts
from .twin.settings import TwinSettings
from .twin.transformer_folder import TransformerModels
from .types import Attention, MotionField, MotionHints

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
Stage = Callable[[str], AbstractContextManager[Step]]
"""Called with a stage's name; within its block, steps are reported with (done, total)."""


@dataclass(frozen=True)
class Job:
    """What one loop is made from.

    image: a picture; with a checkpoint it gets a twin instead of noise. prompt: with a checkpoint what is painted, else
    what it says of motion counts. hints, mask (a file) and model (a folder) say what moves, direction (words, degrees
    or 'arrows only') where to. size: px the longer side of the image is scaled down to. frames: None: what the words
    ask for or suits what moves. width, height: of what is painted from noise. paint: the painting of the image moves.
    """

    image: Path | None = None
    prompt: str = ""
    hints: MotionHints = MotionHints()
    mask: Path | None = None
    model: Path | None = None
    direction: str | None = None
    size: int | None = None
    frames: int | None = None
    checkpoint: Path | None = None
    tokenizer: Path | None = None
    prediction: str | None = None
    dtype: str = "float32"
    twin_prompt: str = ""
    negative: str = ""
    twin_negative: str = ""
    seed: int = 0
    width: int | None = None
    height: int | None = None
    device: str = "cpu"
    masks: MaskSettings = MaskSettings()
    flow: FlowSettings = FlowSettings()
    loop: LoopSettings = LoopSettings()
    twin: TwinSettings = TwinSettings()
    paint: PaintSettings | None = None
    encode: EncodeSettings = EncodeSettings()

    def check(self) -> None:
        """Raise InputError, before anything is read, where inputs are missing or do not go together."""
        direction = read_direction(self.direction)[1]
        if self.model and self.mask:
            remedy = "Give one of them; strokes in the hints add to either."
            raise InputError("mask", "and model both say what moves.", remedy)
        if self.frames is not None and self.encode.seconds:
            raise InputError("seconds", "and frames both say how long the loop is.", "Leave one out.")
        if self.checkpoint is None:
            if self.image is None:
                raise InputError("image", "is missing.", "Give a picture, or a prompt and a checkpoint.")
            if self.hints.empty and not (self.model or self.mask):
                raise InputError("hints", "are missing.", "Give hints, a mask or a model that finds what moves.")
        else:
            if not self.prompt.strip():
                raise InputError("prompt", "is missing.", "Say what the picture shows.")
            parsed = parse_prompt(read_direction(self.direction)[0] or self.prompt)
            if not (direction or self.hints.arrows or self.model or parsed.directions or parsed.defaults):
                problem = "is not given, and the prompt says neither a direction nor anything that moves."
                raise InputError("direction", problem, "Add one: 'left to right'.")
        if self.paint is not None:
            if self.checkpoint is not None:
                raise InputError("style", "paints a picture, and the checkpoint paints already.", "Leave one out.")
            if self.paint.style == FROM_PICTURE:
                raise InputError("style", f"'{FROM_PICTURE}' needs a style picture.", "Name another style.")


class Made(NamedTuple):
    """loop: ready to render. alpha: [H, W] in 0..1 of a picture that is transparent in places. twins: of a prompt."""

    loop: LoopRenderer
    alpha: torch.Tensor | None = None
    twins: Twins | None = None


class Models:
    """What was loaded last of diffusion and of segmentation models, kept for the next job that asks for the same."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[Any, Any]] = {}

    def _get(self, kind: str, key: Any, load: Callable[[], Any]) -> Any:
        if self._kept.get(kind, (None, None))[0] != key:
            self._kept.pop(kind, None)  # its memory is free before the next one is read
            self._kept[kind] = key, load()
        return self._kept[kind][1]

    def diffusion(self, job: Job) -> DiffusionModels | TransformerModels:
        """The job's diffusion model on its device. Raises InputError."""
        path = job.checkpoint
        assert path is not None
        options = {"tokenizer": job.tokenizer, "prediction": job.prediction, "device": job.device}
        key = (path, *options.values(), job.dtype)
        return self._get("diffusion", key, lambda: load_models(path, dtype=DTYPES[job.dtype], **options))

    def segmenter(self, folder: Path) -> Segmenter:
        """The segmentation model in a folder. Raises InputError."""
        from .segment.models.load import load_model

        return self._get("segmenter", folder, lambda: load_model(folder))


@contextmanager
def quiet(description: str) -> Iterator[Step]:
    """A stage that reports nothing."""
    yield lambda done, total: None


def make_loop(
    job: Job,
    models: Models | None = None,
    *,
    stage: Stage = quiet,
    say: Callable[[str], object] = lambda sentence: None,
    coverage: bool = False,
) -> Made:
    """The job's loop, ready to render. say: gets sentences on what was made of an input. Raises InputError."""
    job.check()
    models = models or Models()
    if job.checkpoint is not None:
        twins = make_twins(job, models, stage=stage, say=say)
        seen, moved, alpha, attention = twins.realistic, twins.artistic, None, twins.attention
    else:
        twins, attention = None, None
        assert job.image is not None
        picture = read_picture(job.image, longer_side=job.size)
        say(picture.note)
        seen, alpha = picture.image, None if picture.alpha is None else picture.alpha[0]
        moved = seen if job.paint is None else _painted(over_white(picture), job.paint, stage)
    flow, frames = _motion(job, seen, attention, models, stage, say)
    frames = job.encode.frame_count(frames if job.frames is None else job.frames)
    settings = replace(job.loop, frames=frames)
    return Made(LoopRenderer(moved, flow, settings, coverage=coverage, device=job.device), alpha, twins)


def make_twins(
    job: Job, models: Models, *, stage: Stage = quiet, say: Callable[[str], object] = lambda sentence: None
) -> Twins:
    """The artistic picture and its realistic twin of a job with a checkpoint. Raises InputError."""
    image = None
    if job.image is not None:
        picture = read_picture(job.image, longer_side=job.size)
        say(picture.note)
        image = over_white(picture)
    with stage("loading the model"):
        loaded = models.diffusion(job)
    size = (job.height or loaded.native_size, job.width or loaded.native_size)
    prompts = TwinPrompts(job.prompt, job.twin_prompt, job.negative, job.twin_negative)
    with stage("painting") as on_step:
        twins = generate_twins(loaded, prompts, job.twin, image=image, size=size, seed=job.seed, on_step=on_step)
    if twins.round_trip is not None:
        say(f"inverted; sampled again the picture ends {twins.round_trip:.1%} off.")
    return twins


def _painted(image: torch.Tensor, settings: PaintSettings, stage: Stage) -> torch.Tensor:
    from .stylize.paint import paint

    with stage("painting") as on_step:
        return paint(image, settings, on_step=on_step)


def _motion(
    job: Job,
    image: torch.Tensor,
    attention: Attention | None,
    models: Models,
    stage: Stage,
    say: Callable[[str], object],
) -> tuple[MotionField, int]:
    """The motion field of an image [1, H, W, 3], and the number of frames that suits it. Raises InputError."""
    mask = None
    if job.mask:
        mask, note = read_mask(job.mask, *image.shape[1:3])
        mask = (mask >= 0.5).float()
        say(note)
    method = "model" if job.model else "mask" if job.mask else "attention" if job.hints.empty else "hints"
    settings = replace(job.masks, method=method)
    with stage("finding what moves") as on_step:
        model = models.segmenter(job.model) if job.model else None
        fluid = segment_fluid(
            image, hints=job.hints, mask=mask, attention=attention, model=model, settings=settings, step=on_step
        )
    words, direction = read_direction(job.direction)
    with stage("solving the flow"):
        flow = predict_flow(
            image,
            fluid.mask,
            hints=job.hints,
            prompt=words or job.prompt,
            regions=fluid.regions,
            attention=attention,
            settings=replace(job.flow, **direction),
        )
    # "left to right" alone names no fluid: the prompt still does. What comes first wins.
    return flow, suggest_frame_count(f"{words}. {job.prompt}", fluid.regions, fluid.mask)


def read_direction(text: str | None) -> tuple[str, dict[str, Any]]:
    """What a direction says: (prompt, the flow settings that a number of degrees or 'arrows only' stands for).

    Raises InputError for words that say nothing of motion.
    """
    if text is None:
        return "", {}
    if text == "arrows only":
        return "", {"direction": text}
    try:
        angle = float(text)
    except ValueError:
        parsed = parse_prompt(text, "direction")
        if parsed.directions or parsed.defaults or parsed.speed_factors:
            return text, {}
    else:
        if math.isfinite(angle):
            return "", {"direction": "custom angle", "angle": math.fmod(angle, 360.0)}
    raise InputError(
        "direction",
        f"'{text[:80]}' is neither an angle nor says where something flows.",
        "Give degrees (0 right, 90 up, 180 left, 270 down), or write 'right to left', 'flowing down to the left' "
        "or 'clouds drifting to the right, river flowing left'.",
    )


def read_hints(path: Path | None) -> MotionHints:
    """The hints in a JSON file; none without a file. Raises InputError."""
    if path is None:
        return MotionHints()
    try:
        raw = path.read_bytes()
        # UTF-8 and UTF-16, with a byte order mark or without, as other systems write it.
        return parse_hints(raw.decode(json.detect_encoding(raw)))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("hints", f"'{path}' cannot be read ({error}).") from error
