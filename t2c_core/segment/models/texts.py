"""Words as a network's tokens, with the tokenizer that lies in its folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from ...errors import InputError
from .base import Model
from .names import INPUT
from .prepare import Preparation

TOKENIZER_FILES = ("tokenizer.json", "vocab.json and merges.txt", "vocab.txt")


class Tokenizer:
    """The tokenizer of a folder. Raises InputError for one that is missing, damaged or not the network's."""

    def __init__(self, folder: Path, vocabulary_size: int) -> None:
        from transformers import AutoTokenizer

        if not has_tokenizer(folder):
            raise InputError(
                INPUT, f"'{folder.name}' has no tokenizer.", f"Put its {' or '.join(TOKENIZER_FILES)} into {folder}."
            )
        try:
            self.tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
        except Exception as error:  # whatever the parsers of the several formats raise
            said = (str(error).splitlines() or [type(error).__name__])[0]
            raise InputError(INPUT, f"'{folder.name}' has a tokenizer that cannot be read ({said}).") from error
        tokens = len(self.tokenizer)
        if tokens > vocabulary_size:
            raise InputError(
                INPUT,
                f"'{folder.name}' has a tokenizer of {tokens} tokens, the network knows {vocabulary_size}.",
                "Take the tokenizer's files from where config.json comes from.",
            )

    def __call__(self, texts: Sequence[str], length: int | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """(ids, mask of what is no padding), both int64 [n, tokens], padded to ``length`` or to the longest text."""
        how = {"padding": "max_length", "max_length": length, "truncation": True} if length else {"padding": True}
        found = self.tokenizer(list(texts), return_tensors="pt", **how)
        return found["input_ids"], found["attention_mask"]

    def pieces(self, text: str) -> tuple[torch.Tensor, list[tuple[int, int]]]:
        """(ids int64 [1, tokens], where each token stands in the text; (0, 0) for tokens that are no text)."""
        found = self.tokenizer(text, return_tensors="pt", return_offsets_mapping=True)
        return found["input_ids"], [tuple(span) for span in found["offset_mapping"][0].tolist()]


class WordModel(Model):
    """A model that is shown a picture and asked for words. network: its config says how long a text may be."""

    def __init__(self, network: torch.nn.Module, tokenizer: Tokenizer, how: Preparation) -> None:
        super().__init__()
        self.network, self.tokenizer, self.how = network, tokenizer, how
        self.length = network.config.text_config.max_position_embeddings


def has_tokenizer(folder: Path) -> bool:
    """Whether a folder holds the files of a tokenizer."""
    there = {file.name for file in folder.iterdir() if file.is_file()}
    return bool({"tokenizer.json", "vocab.txt"} & there) or {"vocab.json", "merges.txt"} <= there
