"""Joint sampling with diffusers' transformers: hooks say which block runs, a function mode sees its attention.

No forward of a model is copied, nothing of the model is replaced: torch shows every call of scaled dot product
attention to the mode that is active.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

from ..errors import InputError
from .feature_injection import FeatureInjector
from .joint_attention import Rows, record_outputs, share_rows
from .joint_sampling import Denoiser, velocity
from .layers import InjectionLayers, LayerId, choose_blocks
from .schedule import Schedule, timesteps_of
from .settings import TwinSettings
from .transformer_folder import Inputs, TransformerModels

_ARGUMENTS = ("query", "key", "value", "attn_mask", "dropout_p", "is_causal")


def injection_layers(models: TransformerModels, settings: TwinSettings) -> InjectionLayers:
    """The layers that the settings choose. Raises InputError('checkpoint') for a network without blocks."""
    lists = [(name, len(getattr(models.transformer, name))) for name in models.family.blocks]
    try:
        return choose_blocks(lists, settings.first_block, settings.last_block, joint=True)
    except ValueError as error:
        raise InputError("checkpoint", f"cannot be used: {error}.") from error


def flow_schedule(models: TransformerModels, steps: int, size: tuple[int, int]) -> Schedule:
    """The noise levels of the model's own scheduler, as its pipeline asks for them; size: (height, width) in pixels."""
    from diffusers.pipelines.flux.pipeline_flux import calculate_shift

    scheduler, tokens = models.pipeline.scheduler, size[0] * size[1] // models.multiple**2
    names = "base_image_seq_len", "max_image_seq_len", "base_shift", "max_shift"
    mu = calculate_shift(tokens, *(scheduler.config[name] for name in names))
    if models.family.packed:
        scheduler.set_timesteps(sigmas=torch.linspace(1.0, 1.0 / steps, steps, dtype=torch.float64).numpy(), mu=mu)
    else:
        scheduler.set_timesteps(steps, mu=mu if scheduler.config.use_dynamic_shifting else None)
    sigmas = scheduler.sigmas.cpu()
    return Schedule(timesteps_of(sigmas[:-1] / (1.0 - sigmas[:-1])), sigmas)


class _Attention(TorchFunctionMode):
    """Shows the joint attention of the layer at hand to the injector; ``role`` and ``grid`` are those of the call."""

    def __init__(self, injector: FeatureInjector, *, image_first: bool) -> None:
        super().__init__()
        self.injector, self.image_first = injector, image_first
        self.layer: LayerId | None = None
        self.role, self.grid, self.seen = "cond", (0, 0), 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is not F.scaled_dot_product_attention or self.layer is None:
            return func(*args, **kwargs)
        given = dict(zip(_ARGUMENTS, args, strict=False)) | kwargs
        self.seen += 1
        q, k = given["query"], given["key"]
        tokens, count = q.shape[-2], self.grid[0] * self.grid[1]
        text = tokens - count
        image_first = slice(0, count), slice(count, tokens)
        rows = Rows(*(image_first if self.image_first else (slice(text, tokens), slice(0, text))), self.grid)
        q, k = share_rows(self.injector, self.layer, q, k, q.shape[1], rows, [self.role])
        out = func(**given | {"query": q, "key": k})
        record_outputs(self.injector, self.layer, out, rows, [self.role])
        return out


@contextlib.contextmanager
def _hooked(models: TransformerModels, mode: _Attention) -> Iterator[None]:
    """Tells ``mode`` which layer runs, for the time of the context."""

    def enter(layer: LayerId) -> Callable[..., None]:
        def hook(*_: Any) -> None:
            mode.layer = layer

        return hook

    def leave(*_: Any) -> None:
        mode.layer = None

    with contextlib.ExitStack() as stack:
        for name in models.family.blocks:
            for index, block in enumerate(getattr(models.transformer, name)):
                for call, attention in enumerate((block.attn, getattr(block, "attn2", None))):
                    if attention is not None:
                        stack.callback(attention.register_forward_pre_hook(enter((name, index, call))).remove)
                        stack.callback(attention.register_forward_hook(leave).remove)
        yield


class TransformerDenoiser(Denoiser):
    """The denoiser of a diffusers transformer, in its pipeline's noise levels; a context manager that hooks it.

    prompts: those of 'cond' (artistic) and 'twin', and of 'uncond' and 'negative' where there is guidance. Without it
    (cfg 1, or guidance that is an input of the network) a step is one pass for each picture.
    """

    merges_bases = True

    def __init__(self, models: TransformerModels, prompts: Mapping[str, Inputs], injector: FeatureInjector) -> None:
        self.models, self.prompts, self.injector = models, prompts, injector
        self.guides_source, self.guides_twin = guides(models, injector.settings)
        self._mode = _Attention(injector, image_first=models.family.image_first)
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> TransformerDenoiser:
        self._stack.enter_context(_hooked(self.models, self._mode))
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def start(self, noise: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        return noise

    def end(self, x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        return x

    def guide(
        self, uncond: torch.Tensor, cond: torch.Tensor, scale: float, x: torch.Tensor, sigma: torch.Tensor
    ) -> torch.Tensor:
        """Classifier-free guidance; with Qwen-Image each token's velocity keeps the length it has without."""
        guided = super().guide(uncond, cond, scale, x, sigma)
        if scale == 1.0 or not self.models.family.rescaled:
            return guided
        plain, led = (_packed(velocity(x, x0, sigma)) for x0 in (cond, guided))
        led = led * (plain.norm(dim=-1, keepdim=True) / led.norm(dim=-1, keepdim=True))
        return x - sigma * _unpacked(led, x)

    @torch.no_grad()
    def predict(self, x: torch.Tensor, sigma: torch.Tensor, prompts: Mapping[str, str]) -> Sequence[torch.Tensor]:
        return [x - sigma * self._velocity(x, sigma, role, name) for role, name in prompts.items()]

    def _velocity(self, x: torch.Tensor, sigma: torch.Tensor, role: str, name: str) -> torch.Tensor:
        models, network = self.models, self.models.transformer
        packed, patch = models.family.packed, models.multiple // 8
        mode, grid = self._mode, (x.shape[-2] // patch, x.shape[-1] // patch)
        mode.role, mode.grid, mode.seen = role, grid, 0
        timestep = (sigma * models.pipeline.scheduler.config.num_train_timesteps).expand(len(x))
        given = {key: _as(value, x.device, network.dtype) for key, value in self.prompts[name].items()}
        if models.takes_guidance:
            settings = self.injector.settings
            scale = settings.twin_cfg if name == "twin" else settings.cfg
            given["guidance"] = torch.full([len(x)], scale, device=x.device)
        if "txt_ids" in given:
            h, w = (torch.arange(side, device=x.device) for side in grid)
            given["img_ids"] = torch.cartesian_prod(h[:1] * 0, h, w).to(network.dtype)
        elif packed:
            given["img_shapes"] = [[(1, *grid)]] * len(x)
            if "txt_seq_lens" in inspect.signature(network.forward).parameters:  # of older versions
                given["txt_seq_lens"] = [given["encoder_hidden_states"].shape[1]] * len(x)
        hidden = (_packed(x) if packed else x).to(network.dtype)
        with mode:
            out = network(
                hidden_states=hidden, timestep=timestep / 1000 if packed else timestep, return_dict=False, **given
            )[0].to(x)
        if not mode.seen:
            raise InputError("checkpoint", "does not run torch's attention.", "Unset DIFFUSERS_ATTN_BACKEND.")
        return _unpacked(out, x) if packed else out


def guides(models: TransformerModels, settings: TwinSettings) -> tuple[bool, bool]:
    """Whether classifier-free guidance runs, two prompts a step instead of one, for (artistic picture, twin)."""
    source, twin = (not models.takes_guidance and scale != 1.0 for scale in (settings.cfg, settings.twin_cfg))
    return source, twin


def _as(value: Any, device: torch.device, dtype: torch.dtype) -> Any:
    if not isinstance(value, torch.Tensor):
        return value
    return value.to(device, dtype if value.is_floating_point() else None)


def _packed(x: torch.Tensor) -> torch.Tensor:
    """Tokens [B, h / 2 * w / 2, 4 * C] of 2 x 2 latent pixels."""
    return F.pixel_unshuffle(x, 2).flatten(2).transpose(1, 2)


def _unpacked(tokens: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    h, w = like.shape[-2] // 2, like.shape[-1] // 2
    return F.pixel_shuffle(tokens.transpose(1, 2).unflatten(2, (h, w)), 2)
