"""The stages from a prompt or an image to a loop, their settings and the values between them.

:mod:`t2c_core` exports all of these names.
"""

# ruff: noqa: F401

from .errors import InputError
from .flow.predict import predict_flow, suggest_frame_count
from .flow.settings import FlowSettings
from .hints import format_hints, parse_hints
from .io.images import load_image, load_mask, save_image
from .loop.read import LoopFile
from .loop.render import LoopRenderer
from .loop.settings import LoopSettings
from .loop.write import EncodeSettings, write_loop
from .metrics.measure import measure_loop
from .metrics.report import LoopReport
from .segment.fluid import FluidMask, segment_fluid
from .segment.settings import MaskSettings
from .twin.generate import Twins, generate_twins
from .twin.load import load_models
from .twin.prompts import TwinPrompts
from .twin.settings import TwinSettings
from .types import Arrow, Attention, FluidRegion, FluidRegions, MotionField, MotionHints, Stroke
