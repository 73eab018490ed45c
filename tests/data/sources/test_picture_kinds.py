"""Every depth and colour type of PNG, kinds of TIFF, modes and animations beside what their formats say."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import PIL
import pytest
from PIL import Image, ImageCms

from adasearch.errors import InputError
from tests.data.sources.test_decoding import chunk, decoded, of, saved

SIDE = 16
RNG = np.random.default_rng(0)


def png(samples: np.ndarray, depth: int, colour: int, chunks: bytes = b"") -> bytes:
    """Return a PNG of samples (height, width, channels), as its specification has it."""
    lines = []
    for row in samples.reshape(len(samples), -1):
        bits = "".join(f"{value:0{depth}b}" for value in row)
        bits += "0" * (-len(bits) % 8)
        lines.append(b"\0" + int(bits, 2).to_bytes(len(bits) // 8, "big"))
    header = struct.pack(">IIBBBBB", samples.shape[1], len(samples), depth, colour, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunks + chunk(b"IDAT", zlib.compress(b"".join(lines)))
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b"")


def samples(depth: int, channels: int) -> np.ndarray:
    found = np.asarray(RNG.integers(0, 2**depth, (SIDE, SIDE, channels)))
    found[0] = 2**depth - 1
    found[1] = 0
    return found


def on_white(colours: np.ndarray, opacity: np.ndarray) -> np.ndarray:
    return np.asarray(colours * opacity + 255 * (1 - opacity))


def close(blob: bytes, expected: np.ndarray, most: float = 1) -> None:
    """Check pixels (height, width, 3) up to so many levels of 256."""
    np.testing.assert_allclose(decoded(blob), np.broadcast_to(expected, (SIDE, SIDE, 3)), atol=most)


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_grey_png_of_any_depth_with_and_without_a_transparent_value(depth: int) -> None:
    values = samples(depth, 1)
    most = 2**depth - 1
    close(png(values, depth, 0), values / most * 255)
    for key in {most, int(values[5, 5, 0]), int(values[7, 7, 0]), 1} - ({0} if depth == 1 else set()):
        chunks = chunk(b"tRNS", struct.pack(">H", key))
        close(png(values, depth, 0, chunks), np.where(values == key, 255, values / most * 255))


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_palettes_of_any_depth_with_and_without_transparency(depth: int) -> None:
    palette = RNG.integers(0, 256, (2**depth, 3))
    index = samples(depth, 1)[..., 0]
    colours = chunk(b"PLTE", palette.astype(np.uint8).tobytes())
    close(png(index[..., None], depth, 3, colours), palette[index])
    alpha = RNG.integers(0, 256, 2**depth)
    chunks = colours + chunk(b"tRNS", alpha.astype(np.uint8).tobytes())
    opacity = alpha[index][..., None] / 255
    close(png(index[..., None], depth, 3, chunks), on_white(palette[index], opacity))


@pytest.mark.parametrize(("colour", "channels"), [(2, 3), (4, 2), (6, 4)])
@pytest.mark.parametrize("depth", [8, 16])
def test_colour_and_alpha_of_any_depth(depth: int, colour: int, channels: int) -> None:
    values = samples(depth, channels)
    shown = values / (2**depth - 1)
    if channels == 3:
        close(png(values, depth, colour), shown * 255)
        return
    close(png(values, depth, colour), on_white(shown[..., :-1] * 255, shown[..., -1:]), most=2)


def test_a_transparent_colour_shows_white_or_is_refused_where_its_low_bytes_are_not_read() -> None:
    values = samples(8, 3)
    key = struct.pack(">HHH", *values[5, 5].tolist())
    hidden = (values == values[5, 5]).all(axis=-1, keepdims=True)
    close(png(values, 8, 2, chunk(b"tRNS", key)), np.where(hidden, 255, values))
    deep = samples(16, 3)
    absent = struct.pack(">HHH", 1, 60_000, 77)
    close(png(deep, 16, 2, chunk(b"tRNS", absent)), deep / 65535 * 255)
    near = struct.pack(">HHH", *(deep[5, 5] ^ 1).tolist())
    with pytest.raises(InputError, match=r"a\.png: the image has mode RGB of 16 bits with a transparent col"):
        decoded(png(deep, 16, 2, chunk(b"tRNS", near)))


def tiff(array: np.ndarray, *, kind: int, photometric: int = 1, extra: int | None = None) -> bytes:
    """Return a TIFF (height, width, channels) in one strip; ``kind`` 1 is unsigned, 2 signed, 3 floats."""
    height, width, channels = array.shape
    tags: dict[int, list[int]] = {
        256: [width],
        257: [height],
        258: [8 * array.itemsize] * channels,
        259: [1],
        262: [photometric],
        273: [0],
        277: [channels],
        278: [height],
        279: [array.nbytes],
        339: [kind] * channels,
    }
    if extra is not None:
        tags[338] = [extra]
    tags = dict(sorted(tags.items()))
    end = 8 + 2 + 12 * len(tags) + 4
    long = {tag: struct.pack(f"<{len(each)}H", *each) for tag, each in tags.items() if len(each) > 2}
    tags[273] = [end + sum(map(len, long.values()))]
    entries, at = b"", end
    for tag, values in tags.items():
        entries += struct.pack("<HHI", tag, 3, len(values))
        if tag in long:
            entries += struct.pack("<I", at)
            at += len(long[tag])
        else:
            entries += struct.pack(f"<{len(values)}H", *values).ljust(4, b"\0")
    head = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)
    return head + b"".join(long.values()) + array.tobytes()


def test_tiff_of_any_depth_and_alpha() -> None:
    deep, plain = samples(16, 1), samples(8, 4)
    close(tiff(deep.astype("<u2"), kind=1), deep / 257)
    close(tiff(deep.astype("<u2"), kind=1, photometric=0), 255 - deep / 257)
    close(tiff((deep / 65535).astype("<f4"), kind=3), deep / 257)
    close(tiff((deep / 65535).astype("<f4"), kind=3, photometric=0), 255 - deep / 257)
    colours = samples(16, 3)
    close(tiff(colours.astype("<u2"), kind=1, photometric=2), colours / 257)
    opacity = plain[..., 3:] / 255
    close(tiff(plain.astype(np.uint8), kind=1, photometric=2, extra=2), on_white(plain[..., :3], opacity))
    times_alpha = plain.copy()
    times_alpha[..., :3] = np.rint(plain[..., :3] * opacity)
    close(
        tiff(times_alpha.astype(np.uint8), kind=1, photometric=2, extra=1),
        on_white(plain[..., :3], opacity),
        most=2,
    )
    close(tiff(plain.astype(np.uint8), kind=1, photometric=2, extra=0), plain[..., :3])
    ink = 255 - plain
    close(tiff(plain.astype(np.uint8), kind=1, photometric=5), ink[..., :3] * ink[..., 3:] / 255)


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (samples(7, 1).astype(np.int8) - 64, "mode L of signed integers, whose range nobody can tell"),
        (samples(15, 1).astype("<i2"), r"mode I \(32 bits\), whose range nobody can tell"),
    ],
)
def test_signed_integers_are_refused(array: np.ndarray, says: str) -> None:
    with pytest.raises(InputError, match=says):
        decoded(tiff(array, kind=2))


@pytest.mark.parametrize(
    "array", [samples(15, 1).astype("<u4"), samples(8, 1).astype("<f8"), samples(8, 3).astype("<f4")]
)
def test_what_is_deeper_than_can_be_told_is_refused(array: np.ndarray) -> None:
    kind = 3 if array.dtype.kind == "f" else 1
    with pytest.raises(InputError, match=r"a\.png: the image "):
        decoded(tiff(array, kind=kind, photometric=2 if array.shape[2] == 3 else 1))


PATCHES = np.kron(RNG.integers(0, 256, (2, 2, 3)), np.ones((8, 8, 1))).astype(np.uint8)


HELD = {  # which modes Pillow writes in a format as they are
    "PNG": "L LA I;16 P RGB RGBA",
    "TIFF": "L LA I;16 F P PA RGB RGBA CMYK YCbCr LAB",
    "WEBP": "L LA P RGB RGBA",
    "AVIF": "L LA P RGB RGBA",
    "BMP": "L P RGB",
    "JPEG": "L RGB CMYK YCbCr",
    "JPEG2000": "L LA I;16 RGB RGBA CMYK YCbCr",
    "TGA": "L LA P RGB RGBA",
    "PPM": "L I;16 F RGB",
}


@pytest.mark.parametrize(("kind", "mode"), [(kind, mode) for kind in HELD for mode in HELD[kind].split()])
def test_a_mode_that_a_format_can_hold_shows_what_was_saved(kind: str, mode: str) -> None:
    grey = mode in ("L", "LA", "I;16", "F")
    plain = of(PATCHES).convert("L") if grey else of(PATCHES)
    if mode == "LAB":
        profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        image = ImageCms.profileToProfile(plain, *profiles, outputMode="LAB")
        assert image is not None
    elif mode == "I;16":
        image = of(np.asarray(plain).astype(np.uint16) * 257)
    elif mode == "F":
        image = of(np.asarray(plain).astype(np.float32) / 255)
    else:
        image = plain.convert("P").convert("PA") if mode == "PA" else plain.convert(mode)
    if mode in ("P", "PA"):
        plain = plain.convert("P").convert("RGB")
    options: dict[str, dict[str, Any]] = {
        "WEBP": {"lossless": True},
        "JPEG": {"quality": 100, "subsampling": 0},
        "AVIF": {"quality": 100, "subsampling": "4:4:4"},
    }
    blob = saved(image, kind, **options.get(kind, {}))
    if (kind, mode) == ("TIFF", "YCbCr") and int(PIL.__version__.split(".")[0]) < 13:
        with pytest.raises(InputError, match="image cannot be read: OSError"):  # nor does Pillow
            decoded(blob)
        return
    difference = np.abs(decoded(blob).astype(float) - np.asarray(plain.convert("RGB")))
    assert difference.mean() < 3


@pytest.mark.parametrize(
    ("kind", "options"),
    [("PNG", {}), ("GIF", {}), ("TIFF", {}), ("WEBP", {"lossless": True}), ("MPO", {"quality": 100})],
)
def test_of_several_frames_the_first_is_shown(kind: str, options: dict[str, Any]) -> None:
    frames = [of(np.full((SIDE, SIDE, 3), value, np.uint8)) for value in (10, 90, 200)]
    blob = saved(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert getattr(Image.open(io.BytesIO(blob)), "n_frames", 1) == 3
    close(blob, np.full(3, 10))


def test_ycck_jpegs_show_their_ink() -> None:
    ink = np.kron(RNG.integers(0, 256, (2, 2, 4)), np.ones((8, 8, 1))).astype(np.uint8)
    stored = np.dstack([np.asarray(of(ink[..., :3]).convert("YCbCr")), 255 - ink[..., 3]])
    image = Image.frombytes("CMYK", (SIDE, SIDE), (255 - stored).tobytes())  # which Pillow inverts
    blob = bytearray(saved(image, "JPEG", quality=100, subsampling=0))
    blob[blob.index(b"Adobe") + 11] = 2  # how the colours are coded
    paper = 255.0 - ink
    close(bytes(blob), paper[..., :3] * paper[..., 3:] / 255, most=3)


def test_the_picture_that_an_animation_has_for_old_viewers_is_no_frame() -> None:
    frames = [of(np.full((SIDE, SIDE, 3), value, np.uint8)) for value in (10, 90, 200)]
    blob = saved(frames[0], "PNG", save_all=True, append_images=frames[1:], default_image=True)
    close(blob, np.full(3, 90))


def test_colour_profiles_of_rgb_are_left_alone() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for kind in ("PNG", "TIFF"):
        np.testing.assert_array_equal(decoded(saved(of(PATCHES), kind, icc_profile=profile)), PATCHES)
