"""The scene in a prompt: its nouns, what of it moves, and the style words around it; a list of words, no model."""

from __future__ import annotations

import re

from .lexicon import MOVING_WORDS, SCENE_WORDS

_WORD = re.compile(r"[A-Za-zÀ-ÿ]+(?:-[A-Za-zÀ-ÿ]+)*")

_MEDIUM = (
    r"(?:oil|acrylic|watercolou?r|gouache|tempera|ink|pencil|charcoal|pastel|digital|matte|fantasy|concept|abstract|"
    r"impressionist|surrealist|cubist|expressionist|chinese|japanese|ukiyo-e|vintage|beautiful|detailed|stylized|"
    r"minimalist|traditional|realistic|hyperrealistic|photorealistic|cinematic|animated|comic book|ink wash|"
    r"art nouveau|art deco|3d|low[- ]poly|pixel|vector|black[- ]and[- ]white|colou?rful)"
)
_WORK = (
    r"(?:still|painting|artwork|drawing|illustration|sketch|watercolou?r|woodblock print|woodcut|print|poster|"
    r"rendering|render|photograph|photo|picture|image|mosaic|mural|fresco|etching|engraving|collage|"
    r"wallpaper|art|scene|depiction|view)"
)
_INTRODUCTION = re.compile(
    rf"^\s*(?:an?|the)?\s*(?:(?:(?:van|von|de|da)\s+)?[\w-]+['’]s\s+)?(?:{_MEDIUM}[\s,]+(?:and\s+)?)*{_WORK}"
    r"(?:\s+on\s+\w+)?\s+(?:of|depicting|showing)\s+",
    re.IGNORECASE,
)
_NAME = r"(?-i:[A-Z][\w.'’-]*(?:\s+(?:van|von|der|de|da|di|del|la|le|and|&|[A-Z][\w.'’-]*))*)"
_MANNER = re.compile(
    r",?\s*\b(?:painted\s+|drawn\s+|rendered\s+|done\s+)?(?:(?:in|with|using)\s+(?:the\s+|an?\s+)?(?:[\w-]+\s+){0,3}?"
    r"(?:style|manner|technique)\b(?:\s+of\b[^,;.]*)?|(?:as\s+(?:if\s+)?)?painted\s+(?:by|with|in)\b[^,;.]*|"
    r"inspired\s+by\b[^,;.]*|(?:à|a)\s+la\s+[^,;.]*)",
    re.IGNORECASE,
)
_MORE_NAMES = re.compile(rf"\s*,\s*(?:and\s+)?(?P<name>{_NAME})\s*(?=[,;.]|$)", re.IGNORECASE)
_ARTIST = re.compile(rf",?\s*\bby\s+(?P<name>{_NAME})", re.IGNORECASE)
_ALL_STYLE = re.compile(r"(?:[\w'’-]+\s+){0,4}(?:style|aesthetics?)", re.IGNORECASE)
_STYLE_WORDS = re.compile(
    r"\b(?:style|styled|painting|painted|artwork|art|artstation|deviantart|illustration|drawing|sketch|render|rendering|"
    r"octane|unreal engine|watercolou?rs?|oil on canvas|oils?|acrylics?|gouache|pastels?|ink|charcoal|canvas|"
    r"brush\s?strokes?|"
    r"impasto|impression(?:ist|ism)|post-impressionism|cubis[tm]|surreal(?:ist|ism)?|expressionis[tm]|ukiyo-e|"
    r"woodblock|woodcut|"
    r"anime|manga|cartoon|comic(?: book)?|disney|pixar|ghibli|pixel|8-bit|low[- ]poly|vector|cyberpunk|"
    r"steampunk|vaporwave|synthwave|"
    r"fantasy|concept|masterpiece|trending|award[- ]winning|best quality|high quality|highly detailed|"
    r"ultra[- ]detailed|"
    r"intricate|detailed|hyper-?realistic|photo-?realistic|unsplash|film grain|\d+mm|canon|nikon|f/\d[.\d]*|"
    r"resolution|nouveau|hdr|uhd|[248]k|hd|cinematic lighting|volumetric|bokeh|sharp focus|vivid|vibrant|"
    r"colou?rful|aesthetic|"
    r"stylized|abstract|minimalis[tm]|(?:van gogh|monet|afremov|hokusai|turner|kinkade)(?:['’]s)?|dreamy|psychedelic|"
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
    return tuple(dict.fromkeys(word for word, _ in words(without_syntax(prompt)) if word in SCENE_WORDS))


def moving_words(prompt: str) -> tuple[str, ...]:
    """Those of MOVING_WORDS that occur in the prompt, in order."""
    return tuple(word for word in scene_nouns(prompt) if word in MOVING_WORDS)


def without_style(prompt: str) -> str:
    """The prompt without ComfyUI's syntax and without words on style, medium, artist and quality; may be empty.

    'an oil painting of a lake in the style of Monet, 4k' -> 'a lake'. Where in doubt a part with a noun of the scene
    stays.
    """
    text = _INTRODUCTION.sub("", without_syntax(prompt))
    text = _without_names(_MANNER, text)
    text = _without_names(_ARTIST, text)
    kept = []
    for part in re.split(r"[,;]|\.(?=\s|$)", text):
        part = _INTRODUCTION.sub("", part.strip())
        plain = _STYLE_WORDS.sub(" ", part)
        if _ALL_STYLE.fullmatch(part) and not moving_words(part):
            continue
        if part and (plain == part or any(word in SCENE_WORDS for word, _ in words(plain))):
            kept.append(tidy(plain) if plain != part else part)
    return tidy(", ".join(part for part in kept if _WORD.search(part)))


def _without_names(pattern: re.Pattern[str], text: str) -> str:
    """The text without the pattern's matches and the names listed behind them; 'by Lake Como' is a place and stays."""
    kept, end = [], 0
    for match in pattern.finditer(text):
        name = match.groupdict().get("name")
        if match.start() < end or (name and words(name) and words(name)[0][0] in SCENE_WORDS):
            continue
        kept.append(text[end : match.start()])
        end = match.end()
        while (more := _MORE_NAMES.match(text, end)) and not any(w in SCENE_WORDS for w, _ in words(more["name"])):
            end = more.end()
    return " ".join([*kept, text[end:]])
