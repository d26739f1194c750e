"""The scene in a prompt, told from the style words around it, and the realistic twin's prompt made of it."""

from __future__ import annotations

import re

from ..errors import InputError
from .directions import without_directions
from .lexicon import MOVING_WORDS, SCENE_WORDS, check_length, normalize_whitespace, words

SUFFIX = "nature, bright, realistic, photography, 4k, 8k"
"""The paper's."""

_ART = (
    r"paintings?|artwork|art|drawing|illustration|sketch|render(?:ing)?|watercolou?rs?|woodblock(?: print)?|woodcut|"
    r"mosaic"
)
_STYLE = (
    rf"{_ART}|styled?|painted|artstation|deviantart|octane|unreal engine|oil on canvas|oils?|acrylics?|gouache|"
    r"pastels?|ink|charcoal|canvas|brush\s?strokes?|impasto|impression(?:ist|ism)|post-impressionism|cubis[tm]|"
    r"surreal(?:ist|ism)?|expressionis[tm]|ukiyo-e|anime|manga|cartoon|comic(?: book)?|disney|pixar|ghibli|pixel|"
    r"8-bit|low[- ]poly|vector|cyberpunk|steampunk|vaporwave|synthwave|fantasy|concept|masterpiece|trending|"
    r"award[- ]winning|(?:best|high) quality|(?:highly |ultra[- ])?detailed|intricate|(?:hyper|photo)-?realistic|"
    r"unsplash|film grain|\d+mm|canon|nikon|f/\d[.\d]*|resolution|nouveau|hdr|uhd|[248]k|hd|cinematic lighting|"
    r"volumetric|bokeh|sharp focus|vivid|vibrant|colou?rful|aesthetic|stylized|abstract|minimalis[tm]|"
    r"(?:van gogh|monet|afremov|hokusai|turner|kinkade)(?:['’]s)?|dreamy|psychedelic|pop|graffiti|stained glass|"
    r"origami|papercut|claymation|3d"
)
_MEDIUM = (
    rf"(?:{_STYLE}|tempera|pencil|digital|matte|chinese|japanese|vintage|beautiful|traditional|realistic|cinematic|"
    r"animated|ink wash|art nouveau|art deco|black[- ]and[- ]white)"
)
_WORK = (
    rf"(?:{_ART}|still|print|poster|photograph|photo|picture|image|mural|fresco|etching|engraving|collage|wallpaper|scene|"
    r"depiction|view)"
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
_STYLE_WORDS = re.compile(rf"\b(?:{_STYLE})\b", re.IGNORECASE)


def without_syntax(prompt: str) -> str:
    """A prompt without ComfyUI's syntax: '(a lake:1.2)' -> 'a lake'; LoRA tags, embeddings and BREAK go."""
    text = re.sub(r"<[^<>]*>|\bembedding:\S+|\bBREAK\b", " ", prompt)
    text = re.sub(r"\\([()])", r"\1", text)
    for _ in range(8):
        plain = re.sub(r"[(\[]([^()\[\]]*?)(?::\s*[-+]?\d*\.?\d+)?[)\]]", r"\1", text)
        if plain == text:
            break
        text = plain
    return normalize_whitespace(text)


def scene_nouns(prompt: str) -> tuple[str, ...]:
    """The scene's nouns in their order, each once, as written in the prompt but in lower case."""
    return tuple(dict.fromkeys(word for word, _ in words(without_syntax(prompt)) if word in SCENE_WORDS))


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
        if _ALL_STYLE.fullmatch(part) and MOVING_WORDS.isdisjoint(scene_nouns(part)):
            continue
        if part and (plain == part or any(word in SCENE_WORDS for word, _ in words(plain))):
            kept.append(normalize_whitespace(plain) if plain != part else part)
    return normalize_whitespace(", ".join(part for part in kept if words(part)))


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


def twin_prompt(prompt: str) -> str:
    """The scene's nouns of a prompt and SUFFIX, no style, no direction: 'a lake, ukiyo-e' -> 'lake, nature, ...'.

    If no noun is known, what is left of the prompt without style and directions stands for them. Raises
    InputError('prompt') for an empty prompt, or one of over lexicon.MAX_LENGTH characters.
    """
    check_length(prompt, "prompt")
    if not without_syntax(prompt):
        raise InputError("prompt", "is empty.", "Write what the picture shows, or write the twin's prompt yourself.")
    scene = without_directions(without_style(prompt))
    subject = ", ".join(scene_nouns(scene)) or scene or without_syntax(prompt)
    return f"{subject}, {SUFFIX}"
