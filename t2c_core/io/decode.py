"""Picture files decoded in one way for all who read them: upright, sRGB, 8 bits a channel, alpha apart."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageCms, ImageOps

from ..errors import InputError, first_line
from ..memory import reading

_FORMATS = ("PNG", "JPEG", "MPO", "WEBP", "BMP", "DIB", "GIF", "TIFF", "PPM", "TGA", "JPEG2000", "AVIF", "PSD")
"""What is opened, whatever a name's ending says. Pillow knows more; its readers of EPS and the like start programs."""
WHITE = 255


class Pixels(NamedTuple):
    """rgb: [H, W, 3] uint8, sRGB, straight (not multiplied by alpha). alpha: [H, W] uint8, None where all is opaque.
    note: a sentence on what was done to the colours, or ''.
    """

    rgb: np.ndarray
    alpha: np.ndarray | None
    note: str = ""

    def on(self, level: int) -> np.ndarray:
        """[H, W, 3] uint8: laid over grey of that level."""
        if self.alpha is None:
            return self.rgb
        alpha = self.alpha[..., None].astype(np.float32) / 255.0
        return (self.rgb * alpha + level * (1.0 - alpha)).round().astype(np.uint8)

    def with_hidden_filled(self) -> np.ndarray:
        """[H, W, 3] uint8: where nothing is visible the nearest visible colour, so that no hidden one flows in."""
        if self.alpha is None or not self.alpha.any():
            return self.on(WHITE)
        from scipy.ndimage import distance_transform_edt

        rows, columns = np.asarray(distance_transform_edt(self.alpha == 0, return_distances=False, return_indices=True))
        return self.rgb[rows, columns]


@contextmanager
def decoding(input: str, name: object = None, problem: str = "cannot be read") -> Iterator[None]:
    """Turns whatever Pillow raises over damaged bytes, and it raises much, into an InputError(input) with ``name``, if
    they have one, and ``problem``."""
    with reading(input, problem if name is None else f"'{name}' {problem}"):
        try:
            yield
        except FileNotFoundError:
            raise InputError(input, f"'{name}' does not exist.") from None


@contextmanager
def opened(path: str | Path, input: str) -> Iterator[Image.Image]:
    """A picture file, opened and not yet decoded. Raises InputError(input) for all that goes wrong inside."""
    with decoding(input, path), Image.open(path, formats=_known_formats()) as image:
        yield image


def upright_size(image: Image.Image) -> tuple[int, int]:
    """(width, height) once it is turned as its EXIF says, without decoding it."""
    lying = image.getexif().get(0x0112, 1) in (5, 6, 7, 8)
    return (image.height, image.width) if lying else image.size


def decode(image: Image.Image) -> Pixels:
    """The pixels of an opened picture (the frame it stands at): turned upright, its colours converted to sRGB."""
    profile = image.info.get("icc_profile")
    image = _to_8_bits(ImageOps.exif_transpose(image))
    alpha, grey = None, image.mode in ("1", "L", "LA", "La")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        image = image.convert("RGBA")
        alpha = np.asarray(image.getchannel("A"))
    if image.mode != "CMYK":
        image = image.convert("L" if grey else "RGB")
    image, note = _to_srgb(image, profile)
    opaque = alpha is None or alpha.min() == 255
    return Pixels(np.asarray(image.convert("RGB")), None if opaque else alpha, note)


def _known_formats() -> list[str]:
    Image.init()
    return [name for name in _FORMATS if name in Image.OPEN]


def _to_8_bits(image: Image.Image) -> Image.Image:
    """Grey levels of 16 bits or floats in 0..1 scaled to 8 bits: Pillow's own conversion cuts them off at 255."""
    if image.mode.startswith("I"):
        levels = np.asarray(image, np.float32) / 257.0
    elif image.mode == "F":
        levels = np.nan_to_num(np.asarray(image, np.float32)) * 255.0
    else:
        return image
    return Image.fromarray(levels.round().clip(0, 255).astype(np.uint8))


def _to_srgb(image: Image.Image, profile: bytes | None) -> tuple[Image.Image, str]:
    """The image [L, RGB or CMYK] in sRGB by its ICC profile, and a sentence if that changed it or could not be done."""
    if not profile:
        return image, ""
    try:
        source = ImageCms.getOpenProfile(io.BytesIO(profile))
        name = ImageCms.getProfileDescription(source).strip()
        space = source.profile.xcolor_space.strip()  # pyright: ignore[reportAttributeAccessIssue] - Pillow types it as a file
        if "sRGB" in name or {"L": "GRAY"}.get(image.mode, image.mode) != space:
            return image, ""
        converted = ImageCms.profileToProfile(
            image,
            source,
            ImageCms.createProfile("sRGB"),
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            outputMode="RGB",
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
        return converted or image, f"its colours were converted from '{name}' to sRGB."
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError, ImportError) as error:
        return image, f"its colour profile cannot be used ({first_line(error)}); its colours count as sRGB."
