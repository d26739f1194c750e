"""Where the fluid is asked to go: by the prompt, by an angle, or by arrows alone."""

from __future__ import annotations

from ..errors import InputError
from .directions import Direction, find_directions, usual_directions

WAYS: tuple[str, ...] = ("from prompt", "custom angle", "arrows only")


def asked_directions(way: str, prompt: str, angle: float, *, drawn: bool) -> list[Direction]:
    """The directions asked for by one of ``WAYS``; none if arrows alone say it.

    angle: degrees counter-clockwise from the right. drawn: whether there are arrows.
    Raises InputError('prompt') or ('direction') if nothing says where the fluid goes.
    """
    if way == "custom angle":
        return [Direction(None, f"{angle}", angle, (0, 0))]
    chosen = find_directions(prompt) if way == "from prompt" else []
    if not chosen and not drawn and way == "from prompt":
        chosen = usual_directions(prompt)
    if not chosen and not drawn:
        problem = "contains no direction" if way == "from prompt" else "is 'arrows only'"
        raise InputError(
            "prompt" if way == "from prompt" else "direction",
            f"{problem}, and no arrow was drawn: nothing says where the fluid goes.",
            "Draw an arrow in 'Motion Hints' and connect its hints, write a direction such as 'in left to right "
            "direction' in the prompt, or choose 'custom angle'.",
        )
    return chosen
