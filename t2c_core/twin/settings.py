"""How a pair of twins is sampled: the published values, and where they can be switched to a cleaner variant."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from ..errors import InputError
from .schedule import uncond_shares

Preset = Literal["paper", "clean"]
PRESETS: tuple[str, ...] = ("paper", "clean")
LAST_MASK_TIMESTEP = 541
"""Self-attention for the mask is gathered from this training step (of 1000) to the last; earlier ones are vague."""


@dataclass(frozen=True)
class TwinSettings:
    """Settings of both passes.

    steps: number of DDIM steps, 1..999.
    source_scale, twin_scale: classifier-free guidance of the artistic picture and of its twin.
    attention_injection, feature_injection: for which part of the steps (0..1, from the noisiest on) the artistic
        pass's queries and keys, and its one residual feature, replace the twin's. 0 injects nothing.
    negative_schedule, negative_strength: see `schedule.uncond_shares`; the negative prompt's weight is 1 minus those.
        Strength 1 with 'constant' switches negative prompting off.
    preset: 'paper' repeats what the published code does; 'clean' differs in four points, each named where it is used.
    """

    steps: int = 50
    source_scale: float = 5.0
    twin_scale: float = 7.5
    attention_injection: float = 0.5
    feature_injection: float = 0.8
    negative_schedule: str = "linear"
    negative_strength: float = 0.75
    preset: Preset = "paper"

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise InputError("preset", f"is '{self.preset}'; choose one of {', '.join(PRESETS)}.")
        for name in ("attention_injection", "feature_injection"):
            value = getattr(self, name)
            if not 0.0 <= value <= 1.0:
                raise InputError(name, f"is {value}; it must lie between 0 and 1.")
        for name in ("source_scale", "twin_scale"):
            if not math.isfinite(getattr(self, name)):
                raise InputError(name, f"is {getattr(self, name)}; it must be a finite number.")
        self.uncond_shares()

    def _injected(self, fraction: float) -> int:
        if fraction == 0:
            return 0
        # The small amount keeps 0.29 * 100 from becoming 28.
        count = math.floor(fraction * self.steps + 1e-6)
        # Published: steps i <= threshold, one more than the threshold says. Clean: exactly that many.
        return min(self.steps, count + 1) if self.preset == "paper" else count

    @property
    def attention_steps(self) -> int:
        """During how many steps queries and keys are injected."""
        return self._injected(self.attention_injection)

    @property
    def feature_steps(self) -> int:
        """During how many steps the residual feature is injected."""
        return self._injected(self.feature_injection)

    @property
    def keep_last_noise(self) -> bool:
        """Published: the picture at training step 0 is decoded with what noise is left in it. Clean: at noise 0."""
        return self.preset == "paper"

    @property
    def negative_features(self) -> Literal["uncond", "cond"]:
        """Whose features the negative branch gets. Its prompt is the artistic one; published are the empty prompt's."""
        return "uncond" if self.preset == "paper" else "cond"

    def uncond_shares(self) -> list[float]:
        """Share of the empty prompt in the base of the twin's guidance, per step; clean: the negative fades out."""
        return uncond_shares(self.negative_schedule, self.steps, self.negative_strength, rising=self.preset == "paper")
