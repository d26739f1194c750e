"""How long a prompt may be, and how long reading it takes."""

from __future__ import annotations

import time

import pytest

from t2c_core.errors import InputError
from t2c_core.job import read_direction
from t2c_core.prompt.lexicon import MAX_LENGTH
from t2c_core.prompt.parse import parse_prompt
from t2c_core.prompt.scene import twin_prompt

PIECES = (
    "left to right ",
    "slowly ",
    "a river flowing to the left, ",
    "a-",
    "(",
    " ",
    "in the style of Monet by Monet, ",
)


@pytest.mark.parametrize("piece", PIECES)
def test_the_longest_are_read_in_seconds(piece):
    text = f"a river {piece * MAX_LENGTH}"[:MAX_LENGTH]
    start = time.process_time()
    parse_prompt(text), twin_prompt(text)
    assert time.process_time() - start < 10


def test_longer_ones_are_refused_by_the_name_they_came_by():
    text = "a river flowing left " * 10_000
    for read, name in ((parse_prompt, "prompt"), (twin_prompt, "prompt"), (read_direction, "direction")):
        with pytest.raises(InputError, match=r"has 210,000 characters; at most 20,000 are read") as caught:
            read(text)
        assert caught.value.input == name
