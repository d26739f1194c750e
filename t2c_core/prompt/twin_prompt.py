"""The realistic twin's prompt, derived from the artistic one."""

from __future__ import annotations

from ..errors import InputError
from .directions import without_directions
from .scene import scene_nouns, without_style, without_syntax

SUFFIX = "nature, bright, realistic, photography, 4k, 8k"
"""The paper's."""


def twin_prompt(prompt: str) -> str:
    """The scene's nouns of a prompt and SUFFIX, no style, no direction: 'a lake, ukiyo-e' -> 'lake, nature, ...'.

    If no noun is known, what is left of the prompt without style and directions stands for them. Raises
    InputError('prompt') for an empty prompt.
    """
    if not without_syntax(prompt):
        raise InputError("prompt", "is empty.", "Write what the picture shows, or write the twin's prompt yourself.")
    scene = without_directions(without_style(prompt))
    subject = ", ".join(scene_nouns(scene)) or scene or without_syntax(prompt)
    return f"{subject}, {SUFFIX}"
