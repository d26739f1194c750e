"""Dense registration of a twin that another model or editor painted: the same scene, a few pixels off."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch

from ..errors import InputError
from ..geometry import fit_longest_side

LONGEST = 768
"""Longest side, in px, at which the displacement is estimated; it is scaled up to the image."""
SHORTEST = 32
"""Shortest side of an image, in px."""
COARSEST = 40
"""The shorter side of the pyramid's top is at least this, in px."""
WINDOWS = ((64.0, 0.005), (24.0, 0.02), (9.0, 0.1))
"""(standard deviation in px, ridge) of nested windows: each estimate is drawn to that of the wider one before."""
GLOBAL_STEPS, WARPS, GLOBAL_LEVELS = 8, 4, 2
"""Gauss-Newton steps of the affine map, and of the dense field, on each level; levels with an affine map only."""
SPREAD = 6.0
"""Standard deviation, in px, of the window of the local correlation."""
ROUND_TRIP = 2.0
"""Forward-backward error, in px, at which the confidence has fallen to 1/e."""
CORRELATION = (0.15, 0.55)
"""Local correlations of structure that mean confidence 0 and 1."""
FILL = 48.0
"""Standard deviation, in px, over which confident displacements are carried into places of low confidence."""
LEAST_CONFIDENT = 0.003
"""Mean confidence at which what is found counts as much as finding nothing."""
_LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)


@dataclass(frozen=True)
class Registration:
    """A twin in the artistic image's frame.

    twin: [1, H, W, 3] float32 in 0..1. displacement: [1, 2, H, W] float32 in px of the artistic image (x right,
    y down): what the artistic image shows at p, the twin (scaled to H x W) shows at p + displacement. confidence:
    [1, H, W] in 0..1.
    """

    twin: torch.Tensor
    displacement: torch.Tensor
    confidence: torch.Tensor


def register_twin(artistic: torch.Tensor, twin: torch.Tensor) -> Registration:
    """Register ``twin`` [1, h, w, 3], of any size, to ``artistic`` [1, H, W, 3]; both float32 in 0..1.

    Minimises sum_q G(p - q) w(q) |F1(q) - F2(q + d)|^2 over d at every p, coarse to fine (Lucas and Kanade 1981, with
    the images warped between steps). F: magnitude and doubled angle of the luma's gradient, divided by its local mean,
    so that neither tone curves nor the sign of an edge matter. w: the local correlation of F1 and the warped F2,
    squared. First d is affine, then it is estimated in nested windows G, ridges drawing each to the wider one.
    Confidence: the local correlation of the structures, times exp(-(e / 2 px)^2) of the forward-backward error e
    (Sundaram, Brox and Keutzer, ECCV 2010), 0 outside the twin. It is low on plain areas, too: nothing is seen there.
    Where it is low, d is that of confident places around (normalised convolution). Raises InputError for other shapes
    and sides below 32 px.
    """
    _check("artistic", artistic)
    _check("twin", twin)
    height, width = artistic.shape[1:3]
    size = fit_longest_side(height, width, LONGEST)
    target = twin[0].numpy()
    fixed, moving = _luma(artistic[0].numpy(), size), _luma(target, size)
    forward, start = _flow(fixed, moving, _initial_maps(size, twin.shape[2] / twin.shape[1]))
    backward, _ = _flow(moving, fixed, [-_warp(forward, -forward)])
    confidence = _confidence(fixed, moving, forward, backward)
    forward = _fill(forward, start, confidence)
    displacement = _resize_flow(forward, (height, width))
    confidence = cv2.resize(confidence, (width, height), interpolation=cv2.INTER_LINEAR)
    # Stronger minification than this would alias.
    if twin.shape[1] > 1.5 * height or twin.shape[2] > 1.5 * width:
        target = cv2.resize(target, (width, height), interpolation=cv2.INTER_AREA)
    ratio = np.array([target.shape[1] / width, target.shape[0] / height], np.float32)
    positions = (_grid((height, width)) + displacement + 0.5) * ratio - 0.5
    registered = _remap(target, positions, cv2.INTER_CUBIC).clip(0.0, 1.0)
    return Registration(
        torch.from_numpy(registered)[None],
        torch.from_numpy(displacement.transpose(2, 0, 1).copy())[None],
        torch.from_numpy(confidence)[None],
    )


def _check(name: str, image: torch.Tensor) -> None:
    if image.ndim != 4 or image.shape[0] != 1 or image.shape[-1] != 3:
        raise InputError(name, f"needs shape [1, height, width, 3], not {list(image.shape)}.")
    if min(image.shape[1:3]) < SHORTEST:
        raise InputError(name, f"is {image.shape[2]}x{image.shape[1]}; its sides must be at least {SHORTEST} px.")


def _luma(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    interpolation = cv2.INTER_AREA if size[0] * size[1] < image.shape[0] * image.shape[1] else cv2.INTER_LINEAR
    return cv2.resize(image @ _LUMA, size[::-1], interpolation=interpolation)


def _grid(size: tuple[int, int]) -> np.ndarray:
    """Pixel positions (x, y), [H, W, 2]."""
    rows, columns = np.mgrid[: size[0], : size[1]].astype(np.float32)
    return np.stack([columns, rows], -1)


def _smooth(a: np.ndarray, sigma: float) -> np.ndarray:
    return cv2.GaussianBlur(a, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)


def _remap(a: np.ndarray, positions: np.ndarray, interpolation: int = cv2.INTER_LINEAR) -> np.ndarray:
    x, y = np.ascontiguousarray(positions[..., 0]), np.ascontiguousarray(positions[..., 1])
    return cv2.remap(a, x, y, interpolation, borderMode=cv2.BORDER_REFLECT_101)


def _warp(a: np.ndarray, flow: np.ndarray) -> np.ndarray:
    return _remap(a, _grid(flow.shape[:2]) + flow)


def _inside(flow: np.ndarray) -> np.ndarray:
    """float32 [H, W]: 1 where ``flow`` leads into the image, else 0."""
    last = np.array([flow.shape[1] - 1, flow.shape[0] - 1], np.float32)
    positions = _grid(flow.shape[:2]) + flow
    return np.all((positions >= 0) & (positions <= last), axis=-1).astype(np.float32)


def _resize_flow(flow: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    scale = np.array([size[1] / flow.shape[1], size[0] / flow.shape[0]], np.float32)
    return cv2.resize(flow, size[::-1], interpolation=cv2.INTER_LINEAR) * scale


def _initial_maps(size: tuple[int, int], aspect: float) -> list[np.ndarray]:
    """Displacements to start from: the twin stretched to ``size``, or cropped at the sides or above and below."""
    zero = np.zeros((*size, 2), np.float32)
    ratio = size[1] / size[0] / aspect
    if abs(ratio - 1) < 0.01:
        return [zero]
    from_centre = _grid(size) - (np.array(size[::-1], np.float32) - 1) / 2
    return [
        zero,
        from_centre * np.array([ratio - 1, 0], np.float32),
        from_centre * np.array([0, 1 / ratio - 1], np.float32),
    ]


def _structure(luma: np.ndarray) -> np.ndarray:
    """Gradient of [H, W] as magnitude and doubled angle, over its local root mean square: [H, W, 3]."""
    luma = _smooth(luma, 1.2)
    x, y = cv2.Scharr(luma, cv2.CV_32F, 1, 0) / 32, cv2.Scharr(luma, cv2.CV_32F, 0, 1) / 32
    energy = x * x + y * y
    local = np.sqrt(_smooth(energy, 8.0) + 0.0225 * energy.mean() + 1e-10)
    scale = 1 / (local * (np.sqrt(energy) + 0.3 * local))  # strong edges count little more than others
    return _smooth(np.stack([energy * scale, (x * x - y * y) * scale, 2 * x * y * scale], -1), 1.0)


def _correlation(a: np.ndarray, b: np.ndarray, sigma: float = SPREAD) -> np.ndarray:
    """Local correlation [H, W] of two structures, in Gaussian windows."""
    mean_a, mean_b = _smooth(a, sigma), _smooth(b, sigma)
    covariance = (_smooth(a * b, sigma) - mean_a * mean_b).sum(-1)
    variance = [np.maximum((_smooth(f * f, sigma) - m * m).sum(-1), 1e-6) for f, m in ((a, mean_a), (b, mean_b))]
    return covariance / np.sqrt(variance[0] * variance[1] + 1e-4)


def _pyramid(luma: np.ndarray) -> list[np.ndarray]:
    levels = [luma]
    while min(levels[-1].shape) >= 2 * COARSEST and len(levels) < 6:
        levels.append(cv2.pyrDown(levels[-1]))
    return levels[::-1]


def _flow(fixed: np.ndarray, moving: np.ndarray, starts: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Displacement [H, W, 2] of ``fixed`` towards ``moving``, coarse to fine, and which of the ``starts`` led to it."""
    flow = start = starts[0]
    for level, (a, b) in enumerate(zip(_pyramid(fixed), _pyramid(moving), strict=True)):
        f1, f2 = _structure(a), _structure(b)
        if level == 0:
            candidates = [(f, first) for first in starts for f in _affine_candidates(f1, f2, first)]
            flow, start = max(candidates, key=lambda candidate: _agreement(f1, f2, candidate[0]))
            continue
        flow = _resize_flow(flow, a.shape)
        dense = level >= GLOBAL_LEVELS
        for _ in range(WARPS if dense else GLOBAL_STEPS):
            flow = _step(f1, f2, flow, dense)
    return _resize_flow(flow, fixed.shape), start


def _affine_candidates(f1: np.ndarray, f2: np.ndarray, start: np.ndarray) -> list[np.ndarray]:
    """``start`` on the level of the structures, and where affine steps lead from it."""
    first = flow = _resize_flow(start, f1.shape[:2])
    for _ in range(GLOBAL_STEPS):
        flow = _step(f1, f2, flow, dense=False)
    return [first, flow]


def _agreement(f1: np.ndarray, f2: np.ndarray, flow: np.ndarray) -> float:
    """Mean local correlation where ``flow`` leads into the image."""
    inside = _inside(flow)
    return float((_correlation(f1, _warp(f2, flow)) * inside).sum() / max(inside.sum(), 0.25 * inside.size))


def _step(f1: np.ndarray, f2: np.ndarray, flow: np.ndarray, dense: bool) -> np.ndarray:
    """One Gauss-Newton step for the whole displacement: affine, and then in the nested windows if ``dense``."""
    warped = _warp(f2, flow)
    mean, difference = (warped + f1) / 2, f1 - warped
    x, y = (cv2.Sobel(mean, cv2.CV_32F, *axes, scale=1 / 8) for axes in ((1, 0), (0, 1)))
    weight = (_inside(flow) * np.maximum(_correlation(f1, warped), 0) ** 2 + 1e-4)[..., None]
    tensor = weight * np.stack([(x * x).sum(-1), (x * y).sum(-1), (y * y).sum(-1)], -1)
    right = weight * np.stack([(x * difference).sum(-1), (y * difference).sum(-1)], -1)
    right[..., 0] += (tensor[..., :2] * flow).sum(-1)
    right[..., 1] += (tensor[..., 1:] * flow).sum(-1)
    estimate = _fit_affine(tensor, right)
    if not dense:
        return estimate
    texture = (tensor[..., 0] + tensor[..., 2]).mean()
    for sigma, ridge in WINDOWS:
        strength = ridge * texture
        a, b, d = np.moveaxis(_smooth(tensor, sigma), -1, 0)
        a, d = a + strength, d + strength
        c = _smooth(right, sigma) + strength * estimate
        determinant = (a * d - b * b)[..., None]
        estimate = np.stack([d * c[..., 0] - b * c[..., 1], a * c[..., 1] - b * c[..., 0]], -1) / determinant
    return _smooth(estimate, WINDOWS[-1][0] / 2)


def _fit_affine(tensor: np.ndarray, right: np.ndarray, ridge: float = 0.0) -> np.ndarray:
    """The affine displacement u that minimises sum u' J u - 2 u' b of J (xx, xy, yy) and b at every pixel.

    ridge: weight of the squared coefficients.
    """
    height, width = tensor.shape[:2]
    grid = np.concatenate(
        [np.ones((height, width, 1), np.float32), _grid((height, width)) / np.array([width, height], np.float32) - 0.5],
        -1,
    )
    xx, xy, yy = np.einsum("hwk,hwi,hwj->kij", tensor, grid, grid, optimize=True).astype(np.float64)
    system = np.block([[xx, xy], [xy, yy]])
    system += (1e-4 * np.trace(system) / 6 + ridge) * np.eye(6)
    solved = np.linalg.solve(system, np.einsum("hwk,hwi->ki", right, grid).ravel().astype(np.float64))
    return grid @ solved.reshape(2, 3).T.astype(np.float32)


def _confidence(fixed: np.ndarray, moving: np.ndarray, forward: np.ndarray, backward: np.ndarray) -> np.ndarray:
    error = np.square(forward + _warp(backward, forward)).sum(-1)
    low, high = CORRELATION
    agreement = _correlation(_structure(fixed), _warp(_structure(moving), forward), 2 * SPREAD)
    agreement = np.clip((agreement - low) / (high - low), 0, 1)
    return agreement * np.exp(-error / ROUND_TRIP**2) * _inside(forward)


def _fill(flow: np.ndarray, start: np.ndarray, confidence: np.ndarray) -> np.ndarray:
    """``flow`` where confidence is 1, where it is 0 the Gaussian mean of confident places around.

    Far from any it is the affine map of all confident places; where there are next to none, ``start``.
    """
    weight = confidence[..., None]
    identity = np.array([1, 0, 1], np.float32)
    affine = start + _fit_affine(weight * identity, weight * (flow - start), LEAST_CONFIDENT * confidence.size)
    near = _smooth(confidence, FILL)[..., None]
    around = (_smooth((flow - affine) * weight, FILL) / (near + LEAST_CONFIDENT)) + affine
    share = np.sqrt(_smooth(confidence, SPREAD))[..., None]
    return share * flow + (1 - share) * around
