"""What holds for the Triton kernels: run by test_kernels.py, in Triton's interpreter and, where there is one, on a GPU.

Not collected by itself: the interpreter must be switched on before Triton is imported, so it has a process of its own.
"""

# No annotations from __future__: Triton's older interpreters do not know constexpr by its name alone.

import os

import pytest
import torch
import torch.nn.functional as F
import triton
import triton.language as tl

from benchmarks.kernels import cost
from t2c_core.kernels import dispatch
from t2c_core.kernels.atomic import splat_atomic
from t2c_core.kernels.fused import advect_and_splat
from t2c_core.types import MotionField
from t2c_core.warp import sample as sampling
from t2c_core.warp.integrate import flow_map, pixel_grid, trajectory
from t2c_core.warp.layers import FluidWarp
from t2c_core.warp.plan import WarpPlan, WarpSettings
from t2c_core.warp.splat import _splat_torch, splat, splat_points
from t2c_core.warp.trajectory_splat import trajectory_splat

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICE = "cpu" if INTERPRETED else "cuda"
CLOSE = {"atol": 1e-4, "rtol": 0.0}
SIZES = [(1, 1), (1, 23), (19, 1), (7, 11), (16, 16), (13, 37)]


@triton.jit
def _count(out, count, BLOCK: tl.constexpr):
    at = tl.arange(0, BLOCK)
    total = at * 0
    for k in range(count):
        total += k
    tl.store(out + at, total, mask=at < count)


def _interpreter_works() -> bool:
    """Older Triton's interpreters cannot convert newer NumPy's arrays, or store nothing at all."""
    out = torch.zeros(4, dtype=torch.int32)
    try:
        _count[(1,)](out, 4, BLOCK=8)
    except Exception:
        return False
    return out.tolist() == [6] * 4


if INTERPRETED and not _interpreter_works():
    pytest.skip("this Triton's interpreter does not work with this NumPy", allow_module_level=True)


@pytest.fixture(autouse=True)
def as_on_a_gpu(monkeypatch):
    """The interpreter's CPU counts as a device for kernels, and torch samples as it does on a GPU: no 1/32 px steps."""
    monkeypatch.setattr(dispatch, "DEVICES", {DEVICE})
    monkeypatch.delenv(dispatch.VARIABLE, raising=False)
    monkeypatch.setattr(sampling, "_by_opencv", lambda raster: False)
    monkeypatch.setattr(dispatch, "_numba", lambda: False)
    yield
    assert not dispatch._failed, "kernels have failed, and torch did their work"


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(DEVICE)


def scattered(count: int, height: int, width: int, seed: int = 1) -> torch.Tensor:
    """Positions in the picture and around it, some exactly on pixels, some very far away, some no numbers."""
    p = torch.rand(count, 2, generator=torch.Generator().manual_seed(seed)) * torch.tensor([width + 6.0, height + 6.0])
    p -= 3
    p[::7] = torch.round(p[::7])
    p[3::29, 0] *= 1e5
    wild = torch.tensor([torch.nan, torch.inf, -torch.inf, 1e30, -1e30])
    p[5::31, 1] = wild[torch.arange(len(p[5::31])) % 5]
    return p.to(DEVICE)


def noise_field(height: int, width: int, seed: int = 0, speed: float = 1.5) -> torch.Tensor:
    small = torch.randn(1, 2, 4, 4, generator=torch.Generator().manual_seed(seed))
    return speed * F.interpolate(small, size=(height, width), mode="bilinear", align_corners=False).to(DEVICE)


# --- the splat --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
def test_splats_equal_torch(size):
    count = size[0] * size[1] + 17
    values, positions = random(3, count), scattered(count, *size)
    found = splat_atomic(values, positions, *size, block=128)
    assert found.dtype == torch.float32 and found.shape == (3, size[0] * size[1])
    torch.testing.assert_close(found, _splat_torch(values, positions, *size), **CLOSE)


@pytest.mark.parametrize(("count", "block"), [(1, 16), (1, 128), (31, 32), (32, 32), (33, 32), (129, 1024)])
def test_splats_of_any_number_of_points_in_any_block(block, count):
    values, positions = random(1, count), scattered(count, 5, 9)
    found = splat_atomic(values, positions, 5, 9, block=block)
    torch.testing.assert_close(found, _splat_torch(values, positions, 5, 9), **CLOSE)


@pytest.mark.parametrize("channels", [2, 7, 17])
def test_splats_of_any_number_of_channels(channels):
    values, positions = random(channels, 90), scattered(90, 6, 8)
    found = splat_atomic(values, positions, 6, 8)
    torch.testing.assert_close(found, _splat_torch(values, positions, 6, 8), **CLOSE)


@pytest.mark.parametrize(
    ("of_values", "of_positions"),
    [(torch.float16, torch.float32), (torch.bfloat16, torch.float16), (torch.float64, torch.float16)],
)
def test_splats_of_other_types_are_summed_in_float32(of_values, of_positions):
    values, positions = random(2, 80).to(of_values), scattered(80, 7, 9).to(of_positions)
    found = splat_atomic(values, positions, 7, 9)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, _splat_torch(values, positions, 7, 9), **CLOSE)


def test_splats_of_half_precision_can_count():
    # 2100 ones on one pixel: float16 could not count beyond 2048.
    ones = torch.ones(1, 2100, dtype=torch.float16, device=DEVICE)
    found = splat_atomic(ones, torch.ones(2100, 2, device=DEVICE), 3, 3, block=1024)
    assert found.tolist() == [[0, 0, 0, 0, 2100, 0, 0, 0, 0]]


def test_splats_of_strided_inputs():
    values, positions = random(70, 4).T[::2], scattered(70, 2, 9).T.contiguous().T
    assert not values.is_contiguous() and not positions.is_contiguous()
    found = splat_atomic(values, positions, 2, 9)
    torch.testing.assert_close(found, _splat_torch(values, positions, 2, 9), **CLOSE)


def test_splats_out_of_the_frame_leave_nothing():
    around = torch.tensor([[-1.0, 2.0], [4.0, -1.0], [9.0, 3.0], [2.0, 7.0], [-50.0, -50.0], [torch.nan, 1.0]])
    found = splat_atomic(torch.ones(2, 6, device=DEVICE), around.to(DEVICE), 7, 9)
    assert torch.equal(found, torch.zeros(2, 63, device=DEVICE))


def test_splats_at_the_border_keep_what_is_inside():
    around = torch.tensor([[-0.25, 2.0], [8.5, 3.0], [4.0, -0.75], [8.75, 6.5]])
    found = splat_atomic(torch.ones(1, 4, device=DEVICE), around.to(DEVICE), 7, 9).reshape(7, 9)
    assert [float(found[y, x]) for y, x in ((2, 0), (3, 8), (0, 4), (6, 8))] == [0.75, 0.5, 0.25, 0.125]
    assert float(found.sum()) == 1.625


@pytest.mark.parametrize(("channels", "count", "size"), [(2, 0, (3, 4)), (0, 5, (3, 4)), (2, 5, (0, 4))])
def test_splats_of_nothing(channels, count, size):
    values, positions = torch.ones(channels, count, device=DEVICE), torch.zeros(count, 2, device=DEVICE)
    found = splat_atomic(values, positions, *size)
    assert found.shape == (channels, size[0] * size[1]) and not found.any()


def test_splats_conserve_energy_inside():
    values = random(2, 250).abs()
    positions = torch.rand(250, 2, generator=torch.Generator().manual_seed(2)) * torch.tensor([21.0, 12.0])
    found = splat_atomic(values, positions.to(DEVICE), 13, 22)
    torch.testing.assert_close(found.double().sum(1), values.double().sum(1), atol=1e-4, rtol=1e-6)


def test_splats_of_whole_pixels_are_exact():
    values = random(3, 6 * 9)
    found = splat_atomic(values, pixel_grid(6, 9, DEVICE) + torch.tensor([2.0, -1.0], device=DEVICE), 6, 9)
    expected = torch.zeros(3, 6, 9, device=DEVICE)
    expected[:, :-1, 2:] = values.reshape(3, 6, 9)[:, 1:, :-2]
    assert torch.equal(found, expected.reshape(3, -1))


def test_splats_leave_the_neighbours_of_an_infinite_value_alone():
    values = torch.ones(1, 20, device=DEVICE)
    values[0, 7] = torch.inf
    found = splat_atomic(values, pixel_grid(4, 5, DEVICE), 4, 5)
    assert torch.equal(found, values), "weight 0 times infinity would be no number"


@pytest.mark.skipif(not INTERPRETED, reason="only the interpreter can be asked")
def test_the_benchmark_counts_the_atomic_additions_that_are_made(monkeypatch):
    from triton.runtime.interpreter import interpreter_builder as builder

    made = []
    original = type(builder).create_atomic_rmw

    def create_atomic_rmw(op, pointers, values, mask, *rest):
        made.append(int(mask.data.sum()))
        return original(builder, op, pointers, values, mask, *rest)

    monkeypatch.setattr(builder, "create_atomic_rmw", create_atomic_rmw)
    positions = scattered(7 * 9, 7, 9).nan_to_num(-9, 99, -99)
    splat_atomic(random(3, 63), positions, 7, 9)
    assert sum(made) == cost("atomic", positions, 3, 7, 9).atomics
    assert cost("atomic", positions, 3, 7, 9).atomics > 63


# --- integration and splat in one -------------------------------------------------------------------------------------


@pytest.mark.parametrize("integration", ["rk4", "bilinear", "nearest"])
@pytest.mark.parametrize("size", SIZES)
def test_fused_equals_tracing_and_splatting(integration, size):
    step, start = flow_map(noise_field(*size), integration), pixel_grid(*size, DEVICE)
    values = random(2, len(start))
    for steps, positions in enumerate(trajectory(step, start, 5, integration)):
        if steps not in (0, 1, 5):
            continue
        reached = torch.full_like(start, torch.nan)
        found = advect_and_splat(values, step, start, steps, *size, nearest=integration == "nearest", reached=reached)
        torch.testing.assert_close(reached, positions, **CLOSE)
        torch.testing.assert_close(found, _splat_torch(values, positions, *size), **CLOSE)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_fused_of_half_precision(dtype):
    step, start = flow_map(noise_field(9, 14)), pixel_grid(9, 14, DEVICE)
    values = random(3, len(start)).to(dtype)
    *_, positions = trajectory(step, start, 4, "rk4")
    found = advect_and_splat(values, step, start, 4, 9, 14)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, _splat_torch(values, positions, 9, 14), **CLOSE)


@pytest.mark.parametrize("nearest", [False, True])
def test_fused_halves_go_to_the_even_pixel(nearest):
    """Points half-way between pixels of very different motion, where one rule or the other shows."""
    step = torch.zeros(1, 8, 2, device=DEVICE)
    step[0, ::2, 0] = 1.0
    start = torch.tensor([[k + 0.5, 0.0] for k in range(7)], device=DEVICE)
    reached = torch.empty_like(start)
    advect_and_splat(torch.ones(0, 7, device=DEVICE), step, start, 1, 1, 8, nearest=nearest, reached=reached)
    moved = (reached - start)[:, 0].tolist()
    assert moved == ([1.0] * 7 if nearest else [0.5] * 7)


def test_fused_into_a_part_of_the_field():
    step, start = flow_map(noise_field(14, 18)), scattered(90, 14, 18)
    values = random(2, 90)
    *_, positions = trajectory(step, start.nan_to_num(0, 0, 0), 3, "bilinear")
    found = advect_and_splat(values, step, start.nan_to_num(0, 0, 0), 3, 6, 7, origin=(5, 4))
    offset = torch.tensor([5.0, 4.0], device=DEVICE)
    torch.testing.assert_close(found, _splat_torch(values, positions - offset, 6, 7), **CLOSE)


@pytest.mark.parametrize("nearest", [False, True])
def test_fused_points_that_are_no_numbers_are_dropped(nearest):
    start = torch.tensor([[torch.nan, 1.0], [torch.inf, 2.0], [2.0, -torch.inf], [1.0, 1.0]], device=DEVICE)
    step = torch.zeros(4, 5, 2, device=DEVICE)
    found = advect_and_splat(torch.ones(1, 4, device=DEVICE), step, start, 2, 4, 5, nearest=nearest)
    assert float(found.sum()) == 1.0 and float(found[0, 6]) == 1.0


def test_fused_conserves_energy_inside():
    """A rotation about the middle keeps everything near it in the picture."""
    x, y = (pixel_grid(21, 21, DEVICE) - 10).T.reshape(2, 21, 21)
    step = flow_map(0.2 * torch.stack([-y, x])[None])
    start = pixel_grid(21, 21, DEVICE)
    values = ((start - 10).norm(dim=1) < 8).float()[None]
    found = advect_and_splat(values, step, start, 9, 21, 21)
    assert float(found.sum()) == pytest.approx(float(values.sum()), rel=1e-5)


# --- in the library's own functions -----------------------------------------------------------------------------------


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("integration", ["rk4", "nearest"])
def test_every_frame_of_a_field(backwards, integration):
    step, start = flow_map(noise_field(9, 12), integration), pixel_grid(9, 12, DEVICE)[5:90]
    frames = (random(1, 85), step, start, 5, integration, 7, 8)
    options = {"origin": (2, 1), "backwards": backwards}
    expected = list(trajectory_splat(*frames, **options, kernel="torch"))
    assert len(expected) == 6 and not torch.equal(expected[0], expected[-1])
    # Two frames' positions fit in; the rest starts from check points.
    for stored in (2 * start.numel() * 4, 2**30):
        found = list(trajectory_splat(*frames, **options, kernel="triton", stored_bytes=stored))
        torch.testing.assert_close(found, expected, **CLOSE)


def test_the_loop_renderer_s_layers(monkeypatch):
    mask = torch.zeros(1, 11, 15)
    mask[:, 2:9, 3:13] = 1
    image = torch.rand(1, 11, 15, 3, generator=torch.Generator().manual_seed(0))
    field = MotionField(noise_field(11, 15, speed=0.6).cpu() * mask[:, None], mask)
    warp = FluidWarp(WarpPlan(image, field, WarpSettings(3, renderer="splat")), DEVICE)
    monkeypatch.setenv(dispatch.VARIABLE, "torch")
    expected, covered = list(warp.layers(warp.texture)), list(warp.coverage())
    monkeypatch.delenv(dispatch.VARIABLE)
    for ours, theirs in zip(warp.layers(warp.texture), expected, strict=True):
        torch.testing.assert_close(ours.forward, theirs.forward, **CLOSE)
        torch.testing.assert_close(ours.backward, theirs.backward, **CLOSE)
    torch.testing.assert_close(list(warp.coverage()), covered, **CLOSE)


@pytest.mark.parametrize("mode", ["sum", "average", "softmax"])
def test_images_splatted_by_the_public_function(mode):
    image, moved, metric = random(2, 3, 7, 9), 2 * random(2, 2, 7, 9, seed=1), random(2, 1, 7, 9, seed=2)
    moved[:, 0, :, 6:] -= 8
    expected, arrived = splat(image, moved, metric, mode=mode, kernel="torch")
    result, weight = splat(image, moved, metric, mode=mode, kernel="triton")
    torch.testing.assert_close(weight, arrived, **CLOSE)
    # Where next to nothing arrives the quotient of two tiny numbers says little.
    enough = (arrived > 1e-3).expand_as(result)
    torch.testing.assert_close(result[enough], expected[enough], atol=1e-4, rtol=1e-4)
    empty = (arrived == 0).expand_as(result)
    assert empty.any() and torch.isfinite(result).all()
    assert not result[empty].any(), "where nothing arrived it is 0"


def test_gradients_go_through_torch():
    values, positions = random(2, 12).requires_grad_(), scattered(12, 5, 4).nan_to_num(1, 1, 1)
    splat_points(values, positions, 5, 4).square().sum().backward()
    assert values.grad is not None and values.grad.abs().max() > 0
    with torch.no_grad():
        assert not splat_points(values, positions, 5, 4).requires_grad


def test_torch_told_to_be_deterministic_adds_up_by_torch():
    device = torch.device(DEVICE)
    assert dispatch.use_triton(device)
    try:
        torch.use_deterministic_algorithms(True)
        assert not dispatch.use_triton(device)
        assert dispatch.use_triton(device, atomics=False) and dispatch.use_triton(device, "triton")
    finally:
        torch.use_deterministic_algorithms(False)
