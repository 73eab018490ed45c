"""Pictures decode to what a viewer shows, or are refused by file and mode."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from adasearch.data.sources.decoding import as_rgb, picture
from adasearch.data.sources.registry import decode
from adasearch.errors import InputError

RAMP = np.linspace(0, 65535, 1024).astype(np.uint16).reshape(32, 32)
GREY = np.rint(RAMP / 257).astype(np.uint8)
RGB = np.dstack([GREY, GREY[::-1], GREY.T])


def saved(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    """Return a picture as a file."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def decoded(blob: bytes) -> np.ndarray:
    """Return the pixels (height, width, 3) of a file."""
    return np.asarray(picture(io.BytesIO(blob), "a.png"))


def of(array: np.ndarray) -> Image.Image:
    return Image.fromarray(array)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def deep_png(rows: np.ndarray, colour: int) -> bytes:
    """Return a PNG of 16 bits (height, width, channels), which Pillow does not write with colour."""
    height, width = rows.shape[:2]
    lines = b"".join(b"\0" + row.astype(">u2").tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


OPAQUE = np.full_like(RAMP, 65535)
GREYS = {
    "8 bits": saved(of(GREY)),
    "16 bits in PNG": saved(of(RAMP)),
    "16 bits in TIFF": saved(of(RAMP), "TIFF"),
    "16 bits in TIFF, compressed": saved(of(RAMP), "TIFF", compression="tiff_lzw"),
    "16 bits in TIFF, big end first": saved(
        Image.frombytes("I;16B", (32, 32), RAMP.astype(">u2").tobytes()), "TIFF"
    ),
    "16 bits in TIFF, white is 0": saved(of(65535 - RAMP), "TIFF", tiffinfo={262: 0}),
    "16 bits in PGM": b"P5\n32 32\n65535\n" + RAMP.astype(">u2").tobytes(),
    "floats from 0 to 1": saved(of((RAMP / 65535).astype(np.float32)), "TIFF"),
    "palette": saved(of(GREY).convert("P")),
    "GIF": saved(of(GREY), "GIF"),
    "grey with opaque alpha": saved(of(np.dstack([GREY, np.full_like(GREY, 255)]))),
    "CMYK in TIFF": saved(of(np.dstack([GREY] * 3)).convert("CMYK"), "TIFF"),
}


@pytest.mark.parametrize("blob", GREYS.values(), ids=GREYS)
def test_a_grey_picture_keeps_its_levels_at_any_depth(blob: bytes) -> None:
    np.testing.assert_array_equal(decoded(blob), np.dstack([GREY] * 3))


@pytest.mark.parametrize(("channels", "colour"), [(3, 2), (2, 4), (4, 6)])
def test_deep_pictures_with_colour_or_alpha_keep_their_high_bytes(channels: int, colour: int) -> None:
    deep = np.dstack([RAMP] * channels)
    if channels in (2, 4):
        deep[..., -1] = 65535
    np.testing.assert_array_equal(decoded(deep_png(deep, colour))[..., 0], RAMP >> 8)


def test_one_bit_is_black_and_white() -> None:
    bits = GREY > 100
    np.testing.assert_array_equal(decoded(saved(of(bits)))[..., 0], np.where(bits, 255, 0))


def test_cmyk_jpegs_of_adobe_are_not_inverted() -> None:
    blob = saved(of(np.dstack([GREY] * 3)).convert("CMYK"), "JPEG", quality=100, subsampling=0)
    assert Image.open(io.BytesIO(blob)).info["adobe"]
    np.testing.assert_allclose(decoded(blob)[..., 0], GREY, atol=4)


def test_cmyk_with_a_profile_that_is_no_such_one_is_converted_plainly() -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    plain = saved(of(RGB).convert("CMYK"), "TIFF")
    np.testing.assert_array_equal(
        decoded(saved(of(RGB).convert("CMYK"), "TIFF", icc_profile=srgb)), decoded(plain)
    )


ALPHA = np.roll(GREY, 7, axis=1)
SHARE = ALPHA[..., None] / 255


def test_transparent_pixels_show_white() -> None:
    found = decoded(saved(of(np.dstack([RGB, ALPHA]))))
    np.testing.assert_allclose(found, RGB * SHARE + 255 * (1 - SHARE), atol=1)
    grey = decoded(saved(of(np.dstack([GREY, ALPHA]))))
    np.testing.assert_allclose(grey[..., :1], GREY[..., None] * SHARE + 255 * (1 - SHARE), atol=1)


@pytest.mark.parametrize(
    ("image", "key"),
    [(of(GREY), 0), (of(np.dstack([GREY] * 3)), (0, 0, 0)), (of(GREY).convert("P"), 0)],
    ids=["grey", "colour", "palette"],
)
def test_a_colour_that_is_declared_transparent_shows_white(image: Image.Image, key: object) -> None:
    found = decoded(saved(image, transparency=key))[..., 0]
    np.testing.assert_array_equal(found, np.where(GREY == 0, 255, GREY))


UPRIGHT = {
    1: RGB,
    2: RGB[:, ::-1],
    3: RGB[::-1, ::-1],
    4: RGB[::-1],
    5: RGB.transpose(1, 0, 2),
    6: RGB.transpose(1, 0, 2)[:, ::-1],
    7: RGB.transpose(1, 0, 2)[::-1, ::-1],
    8: RGB.transpose(1, 0, 2)[::-1],
}


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_a_picture_is_turned_as_its_exif_data_say(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x112] = orientation
    options = {"lossless": True} if kind == "WEBP" else {}
    np.testing.assert_array_equal(decoded(saved(of(RGB), kind, exif=exif, **options)), UPRIGHT[orientation])


def test_a_deep_picture_is_turned_too() -> None:
    exif = Image.Exif()
    exif[0x112] = 6
    np.testing.assert_array_equal(decoded(saved(of(RAMP), exif=exif))[..., 0], GREY.T[:, ::-1])


@pytest.mark.parametrize("exif", [b"Exif\0\0MM\0\x2a\xff\xff\xff\xff", b"Exif\0\0garbage", b"Exif\0\0"])
def test_broken_exif_data_turn_nothing(exif: bytes) -> None:
    plain, with_exif = saved(of(RGB), "JPEG"), saved(of(RGB), "JPEG", exif=exif)
    np.testing.assert_array_equal(decoded(with_exif), decoded(plain))


REFUSED = {
    "32 bits": (saved(of(RAMP.astype(np.int32)), "TIFF"), "mode I (32 bits), whose range nobody can tell"),
    "floats from 0 to 255": (
        saved(of((RAMP / 257).astype(np.float32)), "TIFF"),
        "mode F (floats) with values from 0 to 255, but 0 to 1 are understood",
    ),
    "floats that are none": (
        saved(of(np.where(RAMP > 9, RAMP / 65535, np.nan).astype(np.float32)), "TIFF"),
        "mode F (floats) with values from nan to nan",
    ),
    "10 bits of 16": (
        saved(of(RAMP >> 6)),
        "of the 1,024 different values of the image (mode I;16, 0 to 1023) only 5 would be left",
    ),
    "labels in 16 bits": (saved(of(RAMP // 30000)), "of the 3 different values of the image (mode I;16"),
    "white ink": (saved(of(np.dstack([np.full_like(RGB, 255), ALPHA]))), "only 1 would be left"),
    "no alpha after all": (saved(of(np.dstack([RGB, np.zeros_like(GREY)]))), "(mode RGBA, 0 to 255) only 1"),
}


@pytest.mark.parametrize(("blob", "says"), REFUSED.values(), ids=REFUSED)
def test_what_nobody_can_tell_or_see_is_refused_with_file_and_mode(blob: bytes, says: str) -> None:
    with pytest.raises(InputError) as caught:
        decoded(blob)
    assert str(caught.value).startswith("a.png: ")
    assert says in str(caught.value)


def test_a_blank_picture_is_one() -> None:
    assert decoded(saved(of(np.zeros((4, 4, 4), np.uint8)))).min() == 255


def test_a_picture_of_a_users_own_is_turned_and_made_opaque_as_well() -> None:
    image = Image.open(io.BytesIO(saved(of(np.dstack([RGB, ALPHA])))))
    np.testing.assert_allclose(np.asarray(as_rgb(image, "x")), RGB * SHARE + 255 * (1 - SHARE), atol=1)


def test_images_of_a_former_version_are_decoded_again(tmp_path: Path, cache_dir: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / "set" / name).mkdir(parents=True)
        (tmp_path / "set" / name / "1.png").write_bytes(saved(of(RAMP)))
    decode(f"folder:{tmp_path / 'set'}")
    assert [path.name for path in (cache_dir / "adasearch" / "decoded").iterdir()] == ["v3"]
