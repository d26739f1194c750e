"""Whatever is sent to the preview route: a field or a refusal, in 10 s and 2 GiB."""

from __future__ import annotations

import base64
import importlib
import io
import json
import sys
import types
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image

from scripts.paths import REPO

pytest.importorskip("hypothesis", reason="the extra 'test' brings it")
from hypothesis import given
from hypothesis import strategies as st

from t2c_core.preview import INPUTS
from tests import fuzzing
from tests.fuzzing import damaged

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def request_module() -> Iterator[Any]:
    """nodes/preview_request.py, in a package that leaves ComfyUI's entry point out."""
    package = types.ModuleType("pack_for_fuzzing")
    package.__path__ = [str(REPO)]
    sys.modules[package.__name__] = package
    yield importlib.import_module(f"{package.__name__}.nodes.preview_request")
    for name in [name for name in sys.modules if name.startswith(package.__name__)]:
        del sys.modules[name]


def file(kind: str, mode: str) -> bytes:
    written = io.BytesIO()
    Image.linear_gradient("L").resize((40, 32)).convert("RGB").convert(mode).save(written, kind)
    return written.getvalue()


FILES = [
    file(kind, mode) for kind, mode in (("PNG", "RGB"), ("PNG", "P"), ("PNG", "1"), ("JPEG", "L"), ("JPEG", "CMYK"))
]
ENCODED = [base64.b64encode(content).decode() for content in FILES]
PICTURES = st.sampled_from(ENCODED) | st.one_of([damaged(content) for content in FILES]).map(
    lambda content: base64.b64encode(content).decode()
)
HINTS = {"arrows": [{"points": [[0.3, 0.3], [0.6, 0.6]]}], "pins": [[0.9, 0.1]]}
GROUP = st.dictionaries(st.sampled_from(sorted(INPUTS)), st.floats(0, 2) | fuzzing.json_values(), max_size=4)
BODIES = st.fixed_dictionaries(
    {
        "picture": PICTURES | PICTURES | fuzzing.json_values(),
        "hints": st.just(json.dumps(HINTS)) | fuzzing.hints().map(json.dumps) | fuzzing.json_values(),
    },
    optional={
        "settings": st.fixed_dictionaries({}, optional={"flow": GROUP, "mask": GROUP}) | fuzzing.json_values(),
        "scale": st.floats(0, 1) | fuzzing.json_values(),
        "mask": PICTURES | fuzzing.json_values(),
    },
)


@given(
    body=BODIES.map(lambda body: json.dumps(body).encode())
    | BODIES.map(lambda b: json.dumps(b).encode()).flatmap(damaged)
)
def test_preview_bodies(request_module: Any, body: bytes) -> None:
    # The pack's classes are other ones than the library's here.
    error = sys.modules["pack_for_fuzzing.t2c_core.errors"].InputError
    answer = fuzzing.allowed(lambda: request_module.answer_preview(body, lambda: None), error)
    assert answer is None or json.loads(json.dumps(answer, allow_nan=False))["width"] >= 8
