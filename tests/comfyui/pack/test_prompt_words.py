"""Words of a prompt among the tokens of ComfyUI's own tokenizers, templates and padding skipped."""

from __future__ import annotations

import json
from typing import Any

import pytest

pytestmark = pytest.mark.comfyui

PROMPT = "a painting of a (large waterfall:1.2), describe the forêt; clouds"
WORDS = ["a", "painting", "of", "large", "waterfall", "describe", "the", "forêt", "clouds"]
# Module, class, and what of the tokens is cut off in front (or stands in front of them) in the text context.
TOKENIZERS = {
    "flux": ("flux", "FluxTokenizer", 0),
    "flux2": ("flux", "KleinTokenizer", 0),
    "sd3": ("sd3_clip", "SD3Tokenizer", -77),
    "qwen": ("qwen_image", "QwenImageTokenizer", 34),
    "z": ("z_image", "ZImageTokenizer", 0),
    "hidream": ("hidream", "HiDreamTokenizer", 0),
    "omnigen": ("omnigen2", "Omnigen2Tokenizer", 0),
    "cosmos": ("cosmos", "CosmosT5Tokenizer", 0),
    "aura": ("aura_t5", "AuraT5Tokenizer", 0),
}

SCRIPT = """
import importlib, json, types
from pack_without_comfyui.nodes import twin_prompts
for module, name, cut in json.loads({tokenizers!r}):
    tokenizer = getattr(importlib.import_module("comfy.text_encoders." + module), name)()
    clip = types.SimpleNamespace(tokenizer=tokenizer, tokenize=tokenizer.tokenize_with_weights)
    chains = list(clip.tokenize({prompt!r}).items())
    key, tokens = next((c for c in chains if "t5" in c[0] or "qwen" in c[0]), chains[-1])
    length = sum(map(len, tokens)) - cut
    own = getattr(tokenizer, "clip_" + key, None) or getattr(tokenizer, key)
    shown = []
    for word, positions in twin_prompts.words(clip, {prompt!r}, length):
        pieces = [own.inv_vocab[tokens[0][p + cut][0]] for p in positions]
        shown.append([word, "".join(pieces).strip("▁Ġ ")])
    print(json.dumps([module, shown]))
"""


def test_every_word_has_its_tokens(run_with_pack: Any) -> None:
    script = SCRIPT.format(tokenizers=json.dumps(list(TOKENIZERS.values())), prompt=PROMPT)
    lines = [json.loads(line) for line in run_with_pack(script) if line.startswith("[")]
    assert len(lines) == len(TOKENIZERS)
    for name, (_, words) in zip(TOKENIZERS, lines, strict=True):
        assert [word for word, _ in words] == WORDS, name
        for word, pieces in words:
            if word != "forêt":  # spelt in bytes by some
                assert word in pieces.replace("▁", "").replace("Ġ", "").lower(), (name, word, pieces)
