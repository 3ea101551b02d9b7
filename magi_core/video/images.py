"""Still pictures and arrays as frames: reading image files, checking arrays, fitting to a video's size."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from magi_core.errors import MagiError, echo
from magi_core.inputs.regular import regular_file

# Pillow opens by content, and some of its formats run other programs (PostScript) or are hardly ever looked at.
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP", "AVIF", "PPM")
MAX_PIXELS = 61_000_000  # what the largest ordinary cameras take; 13 bytes each while it is read
MAX_SIDE = 65_535
MOVING = ("GIF", "WEBP", "PNG", "AVIF")  # the others' further pictures are pages, or a phone's depths and brightness
MEMORY_HUNGRY = {"WEBP": 48_000_000}  # decoders that hold the picture several times over have a limit of their own
ROWS = 256  # of deep pictures, scaled at a time

CHANNELS = (1, 3, 4)
BEYOND, ROUNDING = 0.5, 1e-3  # how far outside 0..1 is a mistake in the numbers, and how far is nothing
FIT_POLICIES = ("crop", "pad", "stretch")
BACKGROUND = (255, 255, 255)  # what transparent pixels show: white, as on paper


def read_image(path: str | Path) -> Tensor:
    """The picture as uint8 [H, W, 3], upright as its EXIF orientation says, transparency on white.

    Formats: see `FORMATS`, by content, whatever the name says. 16-bit pictures are scaled to 8 bit, of animations the
    first frame is taken. Raises `MagiError` for a file that is missing, damaged, too large or no such image; sizes are
    looked at before any pixel is decoded.
    """
    return read_noted_image(path)[0]


def read_noted_image(path: str | Path) -> tuple[Tensor, tuple[str, ...]]:
    """The same, and what was done to the picture, in words."""
    path = regular_file(path, "image")
    try:
        picture, notes = _decoded(path)
        return torch.from_numpy(np.array(picture)), notes
    except Image.DecompressionBombError as error:
        raise MagiError(f"{path} is too large an image: {echo(error)}. Make it smaller first.") from error
    except UnidentifiedImageError as error:
        known = ", ".join(FORMATS[:-1])
        raise MagiError(
            f"{path} is not an image of a format that is read here: use {known} or {FORMATS[-1]}"
        ) from error
    except MemoryError as error:
        raise MagiError(f"there is not enough memory for the image {path}: make it smaller first") from error
    except MagiError:
        raise
    except Exception as error:  # decoders raise whatever a damaged file makes them stumble over
        raise MagiError(
            f"{path} cannot be read as an image ({echo(error)}): the file is damaged or incomplete"
        ) from error


def open_picture(path: Path, formats: Sequence[str] = FORMATS) -> Image.Image:
    """The file, looked at and not decoded, if it is of one of `formats`, which are of `FORMATS`. Raises as Pillow."""
    Image.init()  # only now are all of this Pillow's formats known; older ones have no AVIF
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # limits here are lower
        return Image.open(path, formats=[name for name in formats if name in Image.OPEN])


def _decoded(path: Path) -> tuple[Image.Image, tuple[str, ...]]:
    with open_picture(path) as opened:
        limit = MEMORY_HUNGRY.get(opened.format or "", MAX_PIXELS)
        if opened.width * opened.height > limit or max(opened.size) > MAX_SIDE:
            raise MagiError(
                f"{path} is too large an image: {opened.width} x {opened.height}, where {limit / 1e6:.0f} million "
                f"pixels and sides of {MAX_SIDE} are possible. Make it smaller first."
            )
        opened.load()
        notes = _of_many(opened)
        ImageOps.exif_transpose(opened, in_place=True)
        if _see_through(opened):
            notes.append("its transparency was laid on white")
        return to_rgb(opened), tuple(notes)


def _of_many(opened: Image.Image) -> list[str]:
    """What to say of a file with more than one picture."""
    count = getattr(opened, "n_frames", 1)
    if count > 1 and opened.format in MOVING:
        return ["it moves, and its first picture is taken; as a video, all of it is"]
    return [f"the first of its {count} pages is taken"] if count > 1 and opened.format == "TIFF" else []


def as_frames(array: Any, name: str = "video") -> Tensor:
    """`noted_frames` without its notes."""
    return noted_frames(array, name)[0]


def noted_frames(array: Any, name: str = "video") -> tuple[Tensor, tuple[str, ...]]:
    """`array` (Tensor or anything NumPy takes) as frames [T, H, W, 3] on the CPU, uint8 or float32 in 0..1, and
    notes on what was done to it.

    name: what the caller calls it, for messages. The last axis has 3 colours, 4 with opacity (shown on white), or 1 or
    none of grey. An "image" is one frame, whose axis may be left out. Floats a little outside 0..1, as resizing makes
    them, are cut. Raises `MagiError` for other shapes and types, for no frames, and for values far outside 0..1.
    """
    given = array.detach().cpu() if isinstance(array, Tensor) else _from_numpy(array, name)
    frames = _with_axes(given, name)
    if not frames.numel():
        raise MagiError(f"the {name} is empty: shape {list(given.shape)}")
    notes: list[str] = []
    if frames.dtype != torch.uint8:
        frames, notes = _in_range(frames, name)
    if frames.shape[-1] == 1:
        frames = frames.repeat(1, 1, 1, 3)
    elif frames.shape[-1] == 4:
        frames = _on_white(frames)
        notes.append(f"the {name} has transparency, which was laid on white")
    return frames, tuple(notes)


def _with_axes(given: Tensor, name: str) -> Tensor:
    """[T, H, W, 1, 3 or 4] of any shape that can only mean that."""
    frames, image = given, name == "image"
    if frames.ndim == (2 if image else 3) and frames.shape[-1] not in CHANNELS:
        frames = frames[..., None]
    if image and frames.ndim == 3:
        frames = frames[None] if frames.shape[-1] in CHANNELS else frames[..., None]
    if frames.ndim != 4 or frames.shape[-1] not in CHANNELS or (image and len(frames) != 1):
        allowed = "[height, width, 3]" if image else "[frames, height, width, 3]"
        raise MagiError(
            f"the {name} has shape {list(given.shape)}; it must be {allowed}, RGB (or 4 with opacity, or 1 of grey)"
        )
    return frames


def _in_range(frames: Tensor, name: str) -> tuple[Tensor, list[str]]:
    if not frames.is_floating_point():
        raise MagiError(f"the {name} has numbers of type {frames.dtype}; use uint8 (0..255) or floats in 0..1")
    frames = frames.float()
    low, high = frames.min().item(), frames.max().item()
    if not (low >= -BEYOND and high <= 1 + BEYOND):  # NaN fails both
        raise MagiError(f"the {name} has values from {low:.4g} to {high:.4g}; floats must lie in 0..1, or use uint8")
    outside = low < -ROUNDING or high > 1 + ROUNDING
    notes = [f"values of the {name} from {low:.3g} to {high:.3g} were cut to 0..1"] if outside else []
    return frames.clamp(0, 1), notes


def _on_white(frames: Tensor) -> Tensor:
    """RGB of RGBA, one frame at a time: floats of a whole video would need four times its memory."""
    flat = frames.new_empty(*frames.shape[:3], 3)
    top = 255.0 if frames.dtype == torch.uint8 else 1.0
    white = torch.tensor(BACKGROUND) / 255 * top
    for target, frame in zip(flat, frames, strict=True):
        opacity = frame[..., 3:].float() / top
        shown = frame[..., :3].float() * opacity + white * (1 - opacity)
        target.copy_(shown.round_() if frames.dtype == torch.uint8 else shown)
    return flat


def fit(frames: Tensor, width: int, height: int, policy: str = "crop") -> tuple[Tensor, str]:
    """Frames [T, H, W, 3] (uint8 or float in 0..1) at width x height, and what was done in words ("" = nothing).

    crop: the largest centred part of the right shape, resized. pad: the whole picture, with black bars.
    stretch: the whole picture, proportions changed. Resizing is bicubic with antialiasing; the dtype stays.
    """
    if policy not in FIT_POLICIES:
        raise MagiError(f"unknown way to fit pictures {echo(policy)}: use {', '.join(FIT_POLICIES[:-1])} or stretch")
    if width < 1 or height < 1:
        raise MagiError(f"cannot fit pictures to {width}x{height}: both sides must be at least 1")
    have_height, have_width = frames.shape[1:3]
    if (have_width, have_height) == (width, height):
        return frames, ""
    fitted = {"crop": _crop, "pad": _pad, "stretch": _stretch}[policy]
    return fitted(frames, have_width, have_height, width, height)


def _crop(frames: Tensor, have_w: int, have_h: int, width: int, height: int) -> tuple[Tensor, str]:
    part_w = min(have_w, max(1, round(have_h * width / height)))
    part_h = min(have_h, max(1, round(have_w * height / width)))
    left, top = (have_w - part_w) // 2, (have_h - part_h) // 2
    part = frames[:, top : top + part_h, left : left + part_w]
    resized = _resize(part, width, height)
    if (part_w, part_h) == (have_w, have_h):
        return resized, f"resized {have_w}x{have_h} to {width}x{height}"
    ratio = Fraction(width, height)
    note = f"cropped {have_w}x{have_h} to {part_w}x{part_h} ({ratio.numerator}:{ratio.denominator})"
    return resized, note if (part_w, part_h) == (width, height) else f"{note}, then resized to {width}x{height}"


def _pad(frames: Tensor, have_w: int, have_h: int, width: int, height: int) -> tuple[Tensor, str]:
    scale = min(Fraction(width, have_w), Fraction(height, have_h))
    inner_w, inner_h = max(1, round(have_w * scale)), max(1, round(have_h * scale))
    resized = _resize(frames, inner_w, inner_h)
    steps = [f"resized {have_w}x{have_h} to {inner_w}x{inner_h}"] if (inner_w, inner_h) != (have_w, have_h) else []
    if (inner_w, inner_h) == (width, height):
        return resized, steps[0]
    left, top = (width - inner_w) // 2, (height - inner_h) // 2
    padded = frames.new_zeros(len(frames), height, width, 3)
    padded[:, top : top + inner_h, left : left + inner_w] = resized
    steps.append(f"padded {'' if steps else f'{have_w}x{have_h} '}with black to {width}x{height}")
    return padded, ", then ".join(steps)


def _stretch(frames: Tensor, have_w: int, have_h: int, width: int, height: int) -> tuple[Tensor, str]:
    same = math.isclose(width / have_w, height / have_h)
    note = f"{'resized' if same else 'stretched'} {have_w}x{have_h} to {width}x{height}"
    return _resize(frames, width, height), note + ("" if same else " (proportions change)")


def _resize(frames: Tensor, width: int, height: int) -> Tensor:
    """One frame and colour at a time: float copies of a whole video would need four times its memory."""
    if tuple(frames.shape[1:3]) == (height, width):
        return frames.contiguous()
    top = 255.0 if frames.dtype == torch.uint8 else 1.0
    resized = frames.new_empty(len(frames), height, width, 3)
    for target, frame in zip(resized, frames, strict=True):
        for colour in range(3):
            plane = frame[None, None, :, :, colour].float()
            plane = F.interpolate(plane, (height, width), mode="bicubic", antialias=True, align_corners=False)
            plane = plane[0, 0].clamp_(0, top)
            target[..., colour] = plane.round_() if frames.dtype == torch.uint8 else plane
    return resized


def _see_through(picture: Image.Image) -> bool:
    """Whether any pixel is not opaque."""
    if picture.mode in ("RGBA", "LA"):
        return picture.getchannel("A").getextrema() != (255, 255)
    return picture.mode in ("La", "RGBa", "PA") or "transparency" in picture.info


def to_rgb(picture: Image.Image) -> Image.Image:
    """Always a picture of its own, which stays when the file is closed."""
    if picture.mode in ("F", "I") or picture.mode.startswith("I;16"):
        return _deep_grey(picture).convert("RGB")
    if "A" in picture.getbands() or "a" in picture.getbands() or "transparency" in picture.info:
        picture = picture if picture.mode == "RGBA" else picture.convert("RGBA")
        page = Image.new("RGB", picture.size, BACKGROUND)
        page.paste(picture, mask=picture.getchannel("A"))
        return page
    return picture.copy() if picture.mode == "RGB" else picture.convert("RGB")


def _deep_grey(picture: Image.Image) -> Image.Image:
    """Grey of more than 8 bit. Pillow cuts it at 255 when it converts, so scale it first.

    Integers are 16 bit; floats are 0..1 unless one lies above, then 0..255 or 0..65535. Raises `MagiError` for floats
    that are no finite numbers, and for larger integers.
    """
    deep = np.asarray(picture)
    top = 65535.0
    if picture.mode == "F":
        brightest = max(float(abs(deep[row : row + ROWS]).max()) for row in range(0, len(deep), ROWS))
        if not math.isfinite(brightest):
            raise MagiError("the image has pixels that are no finite numbers (NaN or infinite): save it again as PNG")
        top = next((limit for limit in (1.0, 255.0) if brightest <= limit), 65535.0)
    elif deep.max() > top:
        raise MagiError("the image has grey of more than 16 bit: save it again as a 16-bit PNG")
    grey = np.empty(deep.shape, np.uint8)
    for row in range(0, len(deep), ROWS):  # wide numbers for a few rows at a time
        values = deep[row : row + ROWS].astype(np.float64)
        grey[row : row + ROWS] = (values * (255.0 / top)).round().clip(0, 255)
    return Image.fromarray(grey)


def _from_numpy(array: Any, name: str) -> Tensor:
    try:
        return torch.from_numpy(np.ascontiguousarray(array))
    except (TypeError, ValueError) as error:
        raise MagiError(f"the {name} is no array of pixels: use uint8 (0..255) or floats in 0..1") from error
