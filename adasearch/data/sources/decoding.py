"""From a picture's file to the RGB pixels that a viewer shows: upright, at 8 bits, without transparency."""

import io
import warnings
from typing import Any

import numpy as np
from PIL import Image, ImageCms, ImageOps

from adasearch.errors import InputError, one_line

__all__ = ["as_rgb", "frames_in", "picture"]

MANY, FEW = 64, 8
"""A picture of at least ``MANY`` different values that decodes to fewer than ``FEW`` is refused.

So is one of any more than one that decodes to a single one.
"""

DEEP_FORMATS = ("PNG", "PPM")  # in which Pillow's mode I is 16 bits deep; elsewhere its range is unknown
ORIENTATION, UPRIGHT = 0x112, 1  # of EXIF
BITS_PER_SAMPLE, PHOTOMETRIC, WHITE_IS_ZERO = 258, 262, 0  # of TIFF
SAMPLE_FORMAT, SIGNED = 339, 2  # likewise
SCALED = {"L;2": 85, "L;4": 17}  # grey PNG of few bits, whose transparent value Pillow leaves unscaled


def picture(source: object, where: str) -> Image.Image:
    """Return the RGB picture in a file or a stream of bytes.

    Raises:
        InputError: it cannot be read, or nobody can tell what it shows.
    """
    try:
        # Of broken EXIF data, whose orientation no viewer heeds either.
        with (
            warnings.catch_warnings(action="ignore", category=UserWarning),
            Image.open(source) as image,  # type: ignore[arg-type]
        ):
            return as_rgb(image, where)
    except InputError:
        raise
    except Exception as error:  # Pillow's readers let out whatever the damage makes of them
        raise InputError(f"{where}: the image cannot be read: {one_line(error)}") from error


def frames_in(path: str) -> int:
    """Return how many frames or pages a file of a picture has; 1 where it cannot be read."""
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(path) as image:
            return int(getattr(image, "n_frames", 1))
    except Exception:  # noqa: BLE001 - whoever decodes it says so
        return 1


def as_rgb(image: Image.Image, where: str) -> Image.Image:
    """Return a picture as a viewer shows it, on white where it is transparent.

    Raises:
        InputError: a mode whose range nobody can tell, or almost nothing would be left of the picture.
    """
    if image.mode != "I" and SIGNED in np.atleast_1d(_tags(image).get(SAMPLE_FORMAT, 1)):
        raise InputError(
            f"{where}: the image has mode {image.mode} of signed integers, whose range nobody can tell"
        )
    if image.info.get("default_image"):  # which is none of the frames of an animated PNG
        image.seek(1)
    tiles: Any = getattr(image, "tile", None)
    layout = tiles[0][-1] if tiles else None  # as it is in the file; known before it is loaded
    key = image.info.get("transparency")
    if layout in SCALED and isinstance(key, int):
        image.info["transparency"] = key * SCALED[layout]
    if layout == "RGB;16B" and isinstance(key, tuple):
        _without_deep_key(image, key, where)
    upright = _upright(image)
    if image.mode == "F" or image.mode.startswith("I"):
        values = np.asarray(upright)
        return _compared(_shallow(image, values, where).convert("RGB"), values, where, image.mode)
    if upright.mode == "CMYK":
        return _in_colour(upright)
    if upright.has_transparency_data:
        return _on_white(upright, where)
    try:
        return upright.convert("RGB")
    except ValueError as error:
        raise InputError(f"{where}: the image has mode {image.mode}, which is not understood") from error


def _tags(image: Image.Image) -> Any:
    return getattr(image, "tag_v2", {})


def _without_deep_key(image: Image.Image, key: tuple[int, ...], where: str) -> None:
    """Forget a transparent colour of 16 bits, of which Pillow reads 8; refuse a picture that may have it."""
    del image.info["transparency"]
    if (np.asarray(image) == [value >> 8 for value in key]).all(axis=-1).any():
        raise InputError(
            f"{where}: the image has mode RGB of 16 bits with a transparent colour, of which 8 are read; "
            "save it with an alpha channel"
        )


def _upright(image: Image.Image) -> Image.Image:
    """Turn a picture as its EXIF data say; where they are broken they say nothing."""
    try:
        if image.getexif().get(ORIENTATION, UPRIGHT) == UPRIGHT:
            return image  # which a turn would copy
        return ImageOps.exif_transpose(image)
    except Exception:  # noqa: BLE001 - whatever broken EXIF data make of their reader
        image.load()
        return image


def _shallow(image: Image.Image, values: np.ndarray, where: str) -> Image.Image:
    """Return a grey picture of 16 bits, or of floats from 0 to 1, at 8 bits; ``image`` tells their range."""
    tags = _tags(image)
    if image.mode == "F":
        most, said = 1.0, "floats"
    elif image.mode == "I" and image.format not in DEEP_FORMATS:
        raise InputError(
            f"{where}: the image has mode I (32 bits), whose range nobody can tell; 8 or 16 bits are known"
        )
    else:
        most, said = 2.0 ** _bits(tags) - 1, "16 bits"
    if not (values.min() >= 0 and values.max() <= most):
        raise InputError(
            f"{where}: the image has mode {image.mode} ({said}) with values from {values.min():g} to "
            f"{values.max():g}, but 0 to {most:g} are understood"
        )
    shown = values.astype(np.float64) / most
    if tags.get(PHOTOMETRIC) == WHITE_IS_ZERO:
        shown = 1 - shown
    if isinstance(key := image.info.get("transparency"), int):
        shown[values == key] = 1
    return Image.fromarray(np.rint(shown * 255).astype(np.uint8))


def _bits(tags: Any) -> int:
    bits = tags.get(BITS_PER_SAMPLE, 16)
    return int(bits[0] if isinstance(bits, tuple) else bits)


def _in_colour(image: Image.Image) -> Image.Image:
    """Return a CMYK picture in RGB, by its own colour profile if it has a sound one."""
    profile = image.info.get("icc_profile")
    if profile:
        try:
            converted = ImageCms.profileToProfile(
                image, io.BytesIO(profile), ImageCms.createProfile("sRGB"), outputMode="RGB"
            )
            if converted is not None:
                return converted
        except (ImageCms.PyCMSError, OSError):
            pass
    return image.convert("RGB")


def _on_white(image: Image.Image, where: str) -> Image.Image:
    full = image.convert("RGBA")
    white, black = (
        Image.alpha_composite(Image.new("RGBA", full.size, colour), full).convert("RGB")
        for colour in ("white", "black")
    )
    # What white hides stands out on black; what is hidden on both is in the colours themselves.
    others = np.stack([np.asarray(full.convert("RGB")), np.asarray(black)])
    return _compared(white, max(others, key=_levels), where, image.mode)


def _levels(values: np.ndarray) -> int:
    return len(np.unique(values))


def _compared(shown: Image.Image, original: np.ndarray, where: str, mode: str) -> Image.Image:
    """Refuse a picture of which nothing, or almost nothing, is left."""
    left = _levels(np.asarray(shown))
    if left < FEW and (had := _levels(original)) > left and (had >= MANY or left == 1):
        raise InputError(
            f"{where}: of the {had:,} different values of the image (mode {mode}, {original.min():g} to "
            f"{original.max():g}) only {left} would be left; stretch it to the whole range, or save it as "
            "opaque 8 bits"
        )
    return shown
