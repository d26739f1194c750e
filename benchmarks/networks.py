"""python -m benchmarks.networks [--frames N] [--size S]: the video network's loop, ours beside the published procedure.

Weights are made by rule (the published files run alike: speed does not depend on values). Both render the same frames
in the same run; their largest difference is printed too.
"""

from __future__ import annotations

import argparse
import resource
import time

import torch

from benchmarks import published_video
from t2c_core.loop.network import NetworkFrames
from t2c_core.networks.checkpoint import to_state_dict
from t2c_core.networks.video import Video
from t2c_core.types import MotionField
from t2c_core.warp.plan import WarpPlan, WarpSettings
from tests.core.published_networks import published_weights, rnd


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    size, n = args.size, args.frames
    weights = published_weights("video")
    network = Video()
    network.load_state_dict(to_state_dict(weights)[1])
    network.eval().requires_grad_(False)
    image = torch.tanh(rnd(1, 1, 3, size, size))
    coarse = rnd(2, 1, 2, 8, 8)
    flow = torch.nn.functional.interpolate(coarse, (size, size), mode="bilinear", align_corners=False) * 0.7
    flow[..., : size // 3] = 0
    field = MotionField(flow, (flow != 0).any(1).float())
    plan = WarpPlan((image.movedim(1, -1) + 1) / 2, field, WarpSettings(n, integration="nearest"))

    began = time.perf_counter()
    ours = [frame.movedim(-1, 0)[None] * 2 - 1 for frame in NetworkFrames(plan, network)]
    middle = time.perf_counter()
    theirs = [published_video.frame(weights, image, flow, i, n) for i in range(n)]
    end = time.perf_counter()
    # Where nothing moves ours shows the picture instead of the network's copy of it.
    moving = field.mask[0] > 0
    difference = max(float((a - b)[..., moving].abs().max()) for a, b in zip(ours, theirs, strict=True))
    fast, slow = middle - began, end - middle
    print(f"{n} frames of {size}x{size}, {torch.get_num_threads()} threads")
    print(f"published procedure, port   {slow:7.1f} s   1.0")
    print(f"ours                        {fast:7.1f} s   {slow / fast:.1f} times faster")
    print(f"largest difference where it moves (-1..1): {difference:.1e}")
    print(f"most memory of the process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main()
