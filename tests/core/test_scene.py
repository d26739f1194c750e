"""What of a prompt is the scene, what of it moves, and what is only style."""

from __future__ import annotations

import pytest

from t2c_core.prompt.scene import scene_nouns, without_style, without_syntax


@pytest.mark.parametrize(
    ("prompt", "plain"),
    [
        ("((a lake)), [sea:0.5], (fog:1.3) \\(x\\)", "a lake, sea, fog x"),
        ("a lake<lora:paint:0.8>, hills", "a lake, hills"),
        ("a waterfall BREAK a bridge embedding:bad-hands", "a waterfall a bridge"),
        ("(a lake with (clouds:1.1):0.9)", "a lake with clouds"),
        (", ,a lake ,, sea , ", "a lake, sea"),
        ("<lora:x:1>", ""),
    ],
)
def test_syntax(prompt, plain):
    assert without_syntax(prompt) == plain


@pytest.mark.parametrize(
    ("prompt", "scene"),
    [
        ("a castle by the river, in the style of Moebius", "a castle by the river"),
        ("a painting of a waterfall in a forest", "a waterfall in a forest"),
        ("an oil painting of snowy mountains", "snowy mountains"),
        ("a watercolor, waves on a beach", "waves on a beach"),
        ("pixel art waterfall", "waterfall"),
        ("a river, in the style of Van Gogh, Monet and Hokusai, with a bridge", "a river, with a bridge"),
        ("a lake by Claude Monet and Vincent van Gogh", "a lake"),
        ("a lake painted with watercolors", "a lake"),
        ("a river as if painted by Turner", "a river"),
        ("art nouveau poster of a fountain", "a fountain"),
        ("a waterfall in Van Gogh style", "a waterfall"),
        ("hyperrealistic river, unsplash photo, canon 5d, f/1.8", "river"),
        ("a lake. In the style of Leonid Afremov. Sunset.", "a lake, Sunset"),
        ("stars over a lake, starry night style", "stars over a lake"),
        ("digital art", ""),
        # No style: places and things of the scene.
        ("a hut by Loch Ness, clouds", "a hut by Loch Ness, clouds"),
        ("a lake by the forest", "a lake by the forest"),
        ("a starry night over a lake", "a starry night over a lake"),
        ("a river in the mountains, mist", "a river in the mountains, mist"),
    ],
)
def test_style_leaves_the_scene(prompt, scene):
    assert without_style(prompt) == scene


@pytest.mark.parametrize(
    ("prompt", "nouns"),
    [
        ("the old castle above a blue lake", ("castle", "lake")),
        ("Snowy Mountains, SNOW and snow", ("mountains", "snow")),
        ("a snow-covered field", ("field",)),
        ("the river's bank", ("river", "bank")),
        ("a dragon", ()),
    ],
)
def test_nouns(prompt, nouns):
    assert scene_nouns(prompt) == nouns
