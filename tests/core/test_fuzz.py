"""Whatever is given to the readers: InputError or what it says, in 10 s and 2 GiB, and nothing is written."""

from __future__ import annotations

import io
import json
import struct
import warnings
from functools import cache

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms
from safetensors.torch import save

from t2c_core.hints import arrow_samples, parse_hints, rasterise_strokes
from t2c_core.io.files import read_json
from t2c_core.io.images import read_mask, read_picture
from t2c_core.io.weights import read_weights
from t2c_core.job import read_direction, read_hints
from t2c_core.loop.read import LoopFile, read_frames
from t2c_core.loop.write import FORMATS, write_loop
from t2c_core.prompt.parse import parse_prompt
from t2c_core.prompt.scene import scene_nouns, twin_prompt
from tests.core.written_loops import loop, target
from tests.core.written_loops import settings as encode_settings

pytest.importorskip("hypothesis", reason="the extra 'test' brings it")
from hypothesis import given
from hypothesis import strategies as st

from tests import fuzzing
from tests.fuzzing import allowed, damaged, only_these

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
PICTURES = {
    "png": ("RGB", "RGBA", "L", "LA", "P", "I;16", "1"),
    "jpeg": ("RGB", "L", "CMYK"),
    "webp": ("RGB", "RGBA"),
    "gif": ("P",),
    "tiff": ("RGB", "RGBA", "L", "CMYK", "F", "I;16"),
    "bmp": ("RGB", "L"),
    "ppm": ("RGB", "L"),
    "tga": ("RGB", "RGBA"),
    "jpeg2000": ("RGB",),
    "avif": ("RGB",),
}
KINDS = [
    (kind, mode)
    for kind, modes in PICTURES.items()
    for mode in modes
    if kind.upper() in Image.registered_extensions().values()
]


@cache
def picture(kind: str, mode: str) -> bytes:
    pixels = np.random.default_rng(1).integers(0, 256, (24, 33, 4), dtype=np.uint8)
    image = Image.fromarray(pixels)
    if mode == "I;16":
        image = Image.fromarray(pixels[..., :2].copy().view("<u2")[..., 0])
    elif mode == "F":
        image = Image.fromarray(pixels[..., 0] / np.float32(255))
    else:
        image = image.convert("RGB").convert(mode) if mode in ("P", "CMYK", "1") else image.convert(mode)
    exif = Image.Exif()
    exif[0x0112] = 6
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB" if kind == "tiff" else "sRGB")).tobytes()
    file = io.BytesIO()
    extra = {"exif": exif, "icc_profile": profile} if kind in ("png", "jpeg", "webp", "avif") else {}
    image.save(file, kind, **extra)
    return file.getvalue()


def test_the_profiles_make_the_same_cases_each_time():
    assert fuzzing.settings.get_profile("few").derandomize


@given(value=fuzzing.hints() | st.text(max_size=60), encoding=st.sampled_from(("utf-8", "utf-16", "latin-1")))
def test_hints(tmp_path, value, encoding):
    text = value if isinstance(value, str) else json.dumps(value)
    file = tmp_path / "hints.json"
    file.write_bytes(text.encode(encoding, "replace"))
    allowed(lambda: read_hints(file))
    if (found := allowed(lambda: parse_hints(text))) is not None:
        assert rasterise_strokes(found, 24, 32).max() <= 2
        assert np.isfinite(np.hstack(arrow_samples(found, 24, 32, 2.0))).all()


@given(
    content=damaged(b'{"arrows": [{"points": [[0.1, 0.2], [0.3, 0.4]]}], "pins": [[0.5, 0.5]]}')
    | st.binary(max_size=80)
)
def test_files_of_settings(tmp_path, content):
    file = tmp_path / "a.json"
    file.write_bytes(content)
    allowed(lambda: read_hints(file))
    allowed(lambda: read_json(file, "model"))
    assert only_these(tmp_path, "a.json")


@given(text=fuzzing.prompts())
def test_prompts(text):
    for read in (parse_prompt, twin_prompt, read_direction):
        allowed(lambda read=read: read(text))
    if len(text) < 5000:
        scene_nouns(text)


@pytest.mark.parametrize(("kind", "mode"), KINDS, ids=lambda v: v)
@given(data=st.data())
def test_pictures(tmp_path, kind, mode, data):
    file = tmp_path / f"a.{kind}"
    file.write_bytes(data.draw(damaged(picture(kind, mode))))
    if (found := allowed(lambda: read_picture(file))) is not None:
        assert found.image.ndim == 4 and torch.isfinite(found.image).all()
    if (found := allowed(lambda: read_mask(file, 24, 33))) is not None:
        assert found[0].shape == (1, 24, 33) and found[0].min() >= 0 and found[0].max() <= 1
    assert only_these(tmp_path, file.name)


@pytest.fixture(scope="module")
def loops(tmp_path_factory):
    """The files of every format; of the folder its first picture."""
    folder, frames = tmp_path_factory.mktemp("loops"), loop(count=4)[0]
    paths = {name: target(folder, name) for name in FORMATS if name != "png"}
    for name, path in paths.items():
        write_loop(frames, path, encode_settings(name))
    return {name: (path.suffix, path.read_bytes()) for name, path in paths.items()}


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "png"])
@given(data=st.data())
def test_loops(tmp_path, loops, name, data):
    suffix, content = loops[name]
    file = tmp_path / f"a{suffix}"
    file.write_bytes(data.draw(damaged(content)))
    allowed(lambda: LoopFile(file))

    def count():
        # Of a head that lies about the number of frames, as many as are shown at once.
        return sum(frame.ndim == 3 for frame, _ in zip(read_frames(file), range(100), strict=False))

    allowed(count)
    assert only_these(tmp_path, file.name)


@cache
def weights(suffix: str) -> bytes:
    tensors = {"a.weight": torch.arange(64.0).reshape(8, 8), "b": torch.ones(3, dtype=torch.half)}
    if suffix == ".safetensors":
        return save(tensors)
    file = io.BytesIO()
    torch.save({"state_dict": tensors}, file, _use_new_zipfile_serialization=suffix == ".pth")
    return file.getvalue()


def check_weights(tmp_path, name, content):
    file = tmp_path / name
    file.write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = allowed(lambda: read_weights(file))
    assert found is None or all(isinstance(value.sum().item(), (int, float)) for value in found.values())
    assert only_these(tmp_path, name)


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".safetensors"])
@given(data=st.data())
def test_checkpoints(tmp_path, suffix, data):
    check_weights(tmp_path, f"a{suffix}", data.draw(damaged(weights(suffix))))


_SIZES = st.integers(-3, 200) | st.sampled_from((2**31, 2**63 - 1, 2**64 - 1, 10**30))
_ENTRIES = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(("F32", "F16", "BF16", "I64", "BOOL", "F8_E4M3", "F4", "X")) | fuzzing.json_values(),
        "shape": st.lists(_SIZES, max_size=4) | fuzzing.json_values(),
        "data_offsets": st.lists(_SIZES, min_size=2, max_size=2) | fuzzing.json_values(),
    }
)


@given(
    head=st.dictionaries(st.sampled_from(("a", "b", "__metadata__", "")), _ENTRIES | fuzzing.json_values(), max_size=3),
    claimed=st.none() | _SIZES,
    data=st.binary(max_size=64),
)
def test_safetensors_with_lying_heads(tmp_path, head, claimed, data):
    text = json.dumps(head).encode()
    length = len(text) if claimed is None else claimed % 2**64
    check_weights(tmp_path, "a.safetensors", struct.pack("<Q", length) + text + data)
