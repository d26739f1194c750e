"""The scene in a prompt: its nouns, what of it moves, and the style words around it; a list of words, no model."""

from __future__ import annotations

import re


def _words(text: str) -> list[str]:
    return text.split()


MOVING_WORDS: tuple[str, ...] = tuple(
    _words(
        "water waters waterfall waterfalls falls river rivers stream streams creek creeks brook brooks ocean oceans "
        "sea seas seawater lake lakes pond ponds lagoon wave waves surf tide cascade cascades rapids fountain "
        "fountains geyser geysers whirlpool spring canal lava magma cloud clouds smoke steam vapor vapour fog mist "
        "haze fire fires flame flames campfire bonfire fireplace torch torches candle candles embers rain snow "
        "snowfall blizzard sandstorm dust aurora sky skies nebula galaxy"
    )
)
"""Words for what can move in a cinemagraph, singular and plural."""

_STILL_WORDS = frozenset(
    _words(
        "mountain mountains hill hills cliff cliffs rock rocks boulder boulders stone stones canyon canyons valley "
        "valleys gorge cave caves island islands beach beaches shore coast coastline bay desert dune dunes glacier "
        "glaciers iceberg volcano volcanoes plain plains meadow meadows field fields forest forests wood woods "
        "woodland jungle rainforest tree trees pine pines palm palms willow birch oak bamboo bush bushes grass moss "
        "fern ferns flower flowers leaf leaves garden gardens park path trail road roads street streets bridge "
        "bridges castle castles house houses hut cottage cabin village villages town towns city cities skyline "
        "skyscraper building buildings tower towers temple temples pagoda church cathedral ruin ruins lighthouse "
        "harbor harbour pier dock boat boats ship ships sailboat canoe windmill mill barn farm fence wall dam sun "
        "sunset sunrise moon star stars rainbow horizon night day dawn dusk twilight morning evening winter summer "
        "autumn spring landscape scenery seascape cityscape countryside swamp marsh wetland reef waterside riverbank "
        "bank banks lakeside vineyard orchard statue gate arch chimney chimneys factory train railway station sand "
        "ice pebbles shell shells cactus hot-spring terrace terraces amphitheater ravine fjord cliffside hillside "
        "mountainside treehouse greenery vegetation foliage"
    )
)
_SCENE = frozenset(MOVING_WORDS) | _STILL_WORDS
_WORD = re.compile(r"[A-Za-zÀ-ÿ]+(?:-[A-Za-zÀ-ÿ]+)*")

_MEDIUM = (
    r"(?:oil|acrylic|watercolou?r|gouache|tempera|ink|pencil|charcoal|pastel|digital|matte|fantasy|concept|abstract|"
    r"impressionist|surrealist|cubist|expressionist|chinese|japanese|ukiyo-e|vintage|beautiful|detailed|stylized|"
    r"minimalist|traditional|realistic|photorealistic|3d|low[- ]poly|pixel|vector|black[- ]and[- ]white|colou?rful)"
)
_WORK = (
    r"(?:painting|artwork|drawing|illustration|sketch|watercolou?r|woodblock print|woodcut|print|poster|rendering|"
    r"render|photograph|photo|picture|image|mosaic|mural|fresco|etching|engraving|collage|wallpaper|art|scene|depiction|view)"
)
_INTRODUCTION = re.compile(
    rf"^\s*(?:an?|the)?\s*(?:{_MEDIUM}[\s,]+(?:and\s+)?)*{_WORK}(?:\s+on\s+\w+)?\s+(?:of|depicting|showing)\s+",
    re.IGNORECASE,
)
_MANNER = re.compile(
    r",?\s*\b(?:painted\s+|drawn\s+|rendered\s+|done\s+)?(?:(?:in|with|using)\s+(?:the\s+|an?\s+)?(?:[\w-]+\s+){0,3}?"
    r"(?:style|manner|technique)\b(?:\s+of\b[^,;.]*)?|as\s+(?:if\s+)?painted\s+by\b[^,;.]*|"
    r"inspired\s+by\b[^,;.]*|(?:à|a)\s+la\s+[^,;.]*)",
    re.IGNORECASE,
)
_ARTIST = re.compile(r",?\s*\bby\s+(?:[A-Z][\w.'’-]*)(?:\s+(?:van|von|de|da|di|del|la|le|and|&|[A-Z][\w.'’-]*))*")
_STYLE_WORDS = re.compile(
    r"\b(?:style|styled|painting|painted|artwork|art|artstation|deviantart|illustration|drawing|sketch|render|rendering|"
    r"octane|unreal engine|watercolou?rs?|oil on canvas|oils?|acrylics?|gouache|pastels?|ink|charcoal|canvas|"
    r"brush\s?strokes?|"
    r"impasto|impression(?:ist|ism)|post-impressionism|cubis[tm]|surreal(?:ist|ism)?|expressionis[tm]|ukiyo-e|"
    r"woodblock|woodcut|"
    r"anime|manga|cartoon|comic|disney|pixar|ghibli|pixel|8-bit|low[- ]poly|vector|cyberpunk|"
    r"steampunk|vaporwave|synthwave|"
    r"fantasy|concept|masterpiece|trending|award[- ]winning|best quality|high quality|highly detailed|"
    r"ultra[- ]detailed|"
    r"intricate|detailed|hdr|uhd|[248]k|hd|cinematic lighting|volumetric|bokeh|sharp focus|vivid|vibrant|"
    r"colou?rful|aesthetic|"
    r"stylized|abstract|minimalis[tm]|starry night|van gogh|monet|afremov|hokusai|turner|kinkade|dreamy|psychedelic|"
    r"pop|graffiti|stained glass|mosaic|origami|papercut|claymation|3d)\b",
    re.IGNORECASE,
)


def without_syntax(prompt: str) -> str:
    """A prompt without ComfyUI's syntax: '(a lake:1.2)' -> 'a lake'; LoRA tags, embeddings and BREAK go."""
    text = re.sub(r"<[^<>]*>|\bembedding:\S+|\bBREAK\b", " ", prompt)
    text = re.sub(r"\\([()])", r"\1", text)
    for _ in range(8):
        plain = re.sub(r"[(\[]([^()\[\]]*?)(?::\s*[-+]?\d*\.?\d+)?[)\]]", r"\1", text)
        if plain == text:
            break
        text = plain
    return tidy(text)


def tidy(text: str) -> str:
    """Single spaces, no comma twice or at an end."""
    text = re.sub(r"\s+", " ", text)
    text = re.sub(r"\s+([,;.])", r"\1", text)
    text = re.sub(r"([,;.])(?:\s*[,;.])+", r"\1", text)
    return text.strip(" ,;.")


def words(text: str) -> list[tuple[str, int]]:
    """(word in lower case, where it starts) of every word."""
    return [(match[0].lower(), match.start()) for match in _WORD.finditer(text)]


def scene_nouns(prompt: str) -> tuple[str, ...]:
    """The scene's nouns in their order, each once, as written in the prompt but in lower case."""
    return tuple(dict.fromkeys(word for word, _ in words(without_syntax(prompt)) if word in _SCENE))


def moving_words(prompt: str) -> tuple[str, ...]:
    """Those of MOVING_WORDS that occur in the prompt, in order."""
    return tuple(word for word in scene_nouns(prompt) if word in MOVING_WORDS)


def without_style(prompt: str) -> str:
    """The prompt without ComfyUI's syntax and without words on style, medium, artist and quality; may be empty.

    'an oil painting of a lake in the style of Monet, 4k' -> 'a lake'. Where in doubt a part with a noun of the scene
    stays.
    """
    text = without_syntax(prompt)
    text = _INTRODUCTION.sub("", text)
    text = _MANNER.sub(" ", text)
    text = _ARTIST.sub(" ", text)
    kept = []
    for part in re.split(r"[,;.]", text):
        part = _INTRODUCTION.sub("", part.strip())
        plain = _STYLE_WORDS.sub(" ", part)
        if part and (plain == part or any(word in _SCENE for word, _ in words(plain))):
            kept.append(tidy(plain) if plain != part else part)
    return tidy(", ".join(part for part in kept if _WORD.search(part)))
