"""Tokenizers with tiny vocabularies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.core.tiny_checkpoints import write_tokenizer


def write_clip_tokenizer(folder: Path) -> Any:
    """CLIP's tokenizer with a tiny vocabulary, in ``folder``; the one in transformers that reads it."""
    from transformers import CLIPTokenizer

    write_tokenizer(folder)
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "CLIPTokenizer"}))
    return CLIPTokenizer.from_pretrained(folder)


def write_bert_tokenizer(folder: Path) -> Any:
    """BERT's tokenizer with a tiny vocabulary whose special tokens stand where Grounding DINO looks for them."""
    from transformers import BertTokenizerFast

    places = {0: "[PAD]", 100: "[UNK]", 101: "[CLS]", 102: "[SEP]", 103: "[MASK]", 1012: ".", 1029: "?"}
    places |= {1000 + i: word for i, word in enumerate(("sky", "sea", "water", "##fall", "rock"))}
    folder.mkdir(parents=True, exist_ok=True)
    lines = [places.get(i, f"[unused{i}]") for i in range(1030)]
    (folder / "vocab.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BertTokenizer"}))
    return BertTokenizerFast.from_pretrained(folder)
