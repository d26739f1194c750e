"""The twin's prompt: scene nouns stay, style and directions go."""

from __future__ import annotations

import pytest

from t2c_core.errors import InputError
from t2c_core.prompt.scene import SUFFIX, twin_prompt
from t2c_core.twin.prompts import words_in_pieces

PROMPTS = [
    ("a large waterfall falling from hills in the style of Leonid Afremov", "waterfall, hills"),
    (
        "a large river flowing in left to right, upwards direction in front of a mountain in the style of starry night "
        "painting",
        "river, mountain",
    ),
    ("a flowing river next to a castle, oil on canvas", "river, castle"),
    ("an oil painting of a lake in the style of Monet, 4k", "lake"),
    ("a painting of a waterfall in a forest by Claude Monet, trending on artstation", "waterfall, forest"),
    ("(a lake:1.2) at night <lora:paint:0.8>, pixel art, highly detailed", "lake, night"),
    ("in the style of Vincent van Gogh, a river in a valley", "river, valley"),
    ("anime style, waves crashing on rocks, Studio Ghibli", "waves, rocks"),
    ("ukiyo-e print of the sea, Hokusai", "sea"),
    ("flowing clouds drifting leftwards over a city, cyberpunk", "clouds, city"),
    ("sea in the style of Turner, sunset", "sea, sunset"),
    ("A watercolour of a creek and ferns", "creek, ferns"),
    ("stained glass mosaic of a fountain in a garden", "fountain, garden"),
    ("smoke rising from a volcano, in the style of a woodblock print", "smoke, volcano"),
    ("a beautiful digital painting of an ocean with cliffs, by Greg Rutkowski and Thomas Kinkade", "ocean, cliffs"),
    ("masterpiece, best quality, river, bridge, (autumn:1.1)", "river, bridge, autumn"),
    ("pencil sketch of a harbour, boats and sea", "harbour, boats, sea"),
    ("low poly art, lava flowing down a mountain", "lava, mountain"),
    ("sea BREAK embedding:badhands beach", "sea, beach"),
    ("a waterfall, impressionist, vivid, octane render", "waterfall"),
    ("Clouds over fields. Pastel drawing.", "clouds, fields"),
    ("rapids, rapids and rapids", "rapids"),
    ("a pond with a willow inspired by Claude Monet", "pond, willow"),
    ("cascades between boulders, drawn in charcoal technique", "cascades, boulders"),
    ("8k, hdr, aurora above snow", "aurora, snow"),
    ("campfire beside tents, 3d render", "campfire"),
    ("the sea with [a lighthouse]", "sea, lighthouse"),
    ("river\nforest\nsunrise", "river, forest, sunrise"),
    ("acrylic painting of a brook, evening", "brook, evening"),
    ("a lake in the style of Ivan Aivazovsky, Caspar David Friedrich and Albert Bierstadt, hills", "lake, hills"),
    ("Van Gogh's painting of a river flowing down to the left", "river"),
    ("comic book style volcano erupting lava", "volcano, lava"),
    ("a starry night over a lake", "night, lake"),
    ("a surreal dreamscape with floating islands and waterfalls, Salvador Dali style", "islands, waterfalls"),
    ("cinematic still of a river, film grain, 35mm, f/1.8", "river"),
    ("a house by Lake Como by Claude Monet", "house, lake"),
    ("a river flowing through a forest to the left, clouds drifting rightwards", "river, forest, clouds"),
    ("fog rolling from left to right over hills, matte painting", "fog, hills"),
]


@pytest.mark.parametrize(("prompt", "scene"), PROMPTS)
def test_scene_and_suffix(prompt, scene):
    assert twin_prompt(prompt) == f"{scene}, {SUFFIX}"


@pytest.mark.parametrize(("prompt", "kept"), [("a sleeping dragon", "a sleeping dragon"), ("abstract", "abstract")])
def test_without_a_known_noun_the_words_stay(prompt, kept):
    assert twin_prompt(prompt) == f"{kept}, {SUFFIX}"


@pytest.mark.parametrize("prompt", ["", "  ", "<lora:x:1>", "BREAK"])
def test_nothing_to_paint(prompt):
    with pytest.raises(InputError) as caught:
        twin_prompt(prompt)
    assert caught.value.input == "prompt"


def test_words_are_found_in_the_pieces_of_any_tokenizer():
    template = [b"Paint", b" the", b" water", None, b"user"]
    pieces = [
        *template,
        b" a",
        b" (",
        b"Water",
        b"fall",
        b":1",
        b".2",
        b")",
        b" by",
        b" water",
        b", for",
        b"\xc3\xaa",
        b"t",
    ]
    prompt = "a (Waterfall:1.2) by water, forêt"
    found = dict(words_in_pieces(pieces, prompt))
    assert found == {"a": [5], "waterfall": [7, 8], "by": [12], "water": [13], "forêt": [14, 15, 16]}
    assert dict(words_in_pieces([b"ap", b"ool", b"ofwat", b"er"], "a pool of water")) == {
        "a": [0],
        "pool": [0, 1],
        "of": [2],
        "water": [2, 3],
    }
    assert words_in_pieces([None, b" sea"], "lake") == []
    assert dict(words_in_pieces([b"sea", b" and", b" sea"], "sea and sea")) == {"sea": [0, 2], "and": [1]}
