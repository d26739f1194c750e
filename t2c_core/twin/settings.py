"""Settings of joint sampling: the published values, and where they can be switched to a cleaner variant."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch

from ..settings import Settings, fraction, setting

NEGATIVE_SCHEDULES: tuple[str, ...] = ("linear", "constant", "exp", "off")
PRESETS: tuple[str, ...] = ("paper", "clean")
WORD_MAPS: tuple[str, ...] = ("attention", "outputs")


@dataclass(frozen=True)
class TwinSettings(Settings):
    """Settings of both passes. Preset 'paper' repeats the published code; 'clean' differs in the properties below."""

    steps: int = setting(
        50, "DDIM steps, Euler's with a flow model; 50 in the paper, 20 will do, 4 to 8 if distilled.", low=1, high=999
    )
    cfg: float = setting(
        5.0,
        "How closely the artistic picture follows its prompt. Flux takes it as its guidance (3.5). 1: no guidance, for "
        "turbo, lightning and schnell models.",
        low=0.0,
        high=100.0,
        step=0.1,
    )
    twin_cfg: float = setting(
        7.5, "How closely the twin follows its prompt.", low=0.0, high=100.0, step=0.1, advanced=True
    )
    attention_injection: float = fraction(
        0.5,
        "For which part of the steps the twin takes over the artistic picture's self-attention: the layout. 0: never. "
        "Lower if style leaks into the twin.",
        advanced=True,
    )
    feature_injection: float = fraction(
        0.8,
        "The same for one residual feature: shapes and borders. Raise it if the twin drifts away. Transformers have "
        "none.",
        advanced=True,
    )
    negative_schedule: str = setting(
        "linear",
        "How the weight of 'twin negative' changes over the steps; 'off' leaves only 'negative'.",
        choices=NEGATIVE_SCHEDULES,
        advanced=True,
    )
    preset: str = setting(
        "paper",
        "'paper' repeats the published sampler exactly. 'clean': injection ends on the step it says, the last noise is "
        "removed, the negative fades out instead of in, its branch gets the artistic prompt's features.",
        choices=PRESETS,
        advanced=True,
    )
    first_block: float = fraction(
        0.0,
        "Diffusion transformers: the first of the blocks whose attention the twin takes over, as a part of the model's "
        "depth.",
        advanced=True,
    )
    last_block: float = fraction(1.0, "Diffusion transformers: the last of these blocks.", advanced=True)
    word_maps: str = setting(
        "attention",
        "Where a transformer sees the prompt's words: where its image tokens attend to theirs, or where the outputs of "
        "attention are alike (ConceptAttention).",
        choices=WORD_MAPS,
        advanced=True,
    )
    negative_strength: float = fraction(
        0.75, "Highest weight of 'negative' in the twin's guidance; the rest is 'twin negative'.", advanced=True
    )

    def _injected(self, fraction: float) -> int:
        if fraction == 0:
            return 0
        # The small amount keeps 0.29 * 100 from becoming 28.
        count = math.floor(fraction * self.steps + 1e-6)
        # Published: steps i <= threshold, one more than the threshold says. Clean: exactly that many.
        return min(self.steps, count + 1) if self.preset == "paper" else count

    @property
    def attention_steps(self) -> int:
        """Number of steps, from the noisiest on, during which queries and keys are injected."""
        return self._injected(self.attention_injection)

    @property
    def feature_steps(self) -> int:
        """Number of steps, from the noisiest on, during which the residual feature is injected."""
        return self._injected(self.feature_injection)

    @property
    def keep_last_noise(self) -> bool:
        """Whether the latent of training step 0 is decoded with its noise, as published, or (clean) that of noise 0."""
        return self.preset == "paper"

    @property
    def negative_features(self) -> Literal["uncond", "cond"]:
        """Whose features the negative branch gets. Its prompt is the artistic one; published are the empty prompt's."""
        return "uncond" if self.preset == "paper" else "cond"

    def uncond_weights(self) -> list[float]:
        """Weight (0..1) of the empty prompt in the base of the twin's guidance, per step; the negative has the rest.

        strength * linspace(1, 0), * 1 or * exp(-6 * linspace(0, 1)); 1 with 'off'. As published the weight falls, so
        that the negative prompt counts more and more although the code calls it attenuation; clean reverses it.
        """
        ramp = torch.linspace(0, 1, self.steps, dtype=torch.float64)
        shapes = {"linear": 1.0 - ramp, "constant": torch.ones_like(ramp), "exp": torch.exp(-6.0 * ramp)}
        if self.negative_schedule == "off":
            return [1.0] * self.steps
        weights = (self.negative_strength * shapes[self.negative_schedule]).tolist()
        return weights if self.preset == "paper" else weights[::-1]
