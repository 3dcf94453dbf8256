"""Picture files to pixels: one decoding, to the size that is needed, whatever the file holds."""

# H, W = height, width; C = channels

from __future__ import annotations

import io
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from netwright.data.readers.media import FORMATS, MOST_PIXELS

Pixels = npt.NDArray[np.uint8]
Source = str | bytes | None
THREADS = 2
TURNS = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
"""EXIF orientation -> what makes the stored pixels upright; 1 is upright."""
GREY = 128
"""What stands in place of a picture that cannot be read."""


def decode(source: Source, channels: int, height: int, width: int) -> Pixels:
    """(C, H, W) uint8 of a file or of encoded bytes.

    EXIF rotation is followed, transparency lies on white, 16 bits become 8, of a film the first frame.

    Raises:
        ValueError: If it is no picture, damaged, or too large; the message says which.
    """
    from PIL import Image

    if source is None:
        raise ValueError("missing")
    if isinstance(source, bytes) and not source:
        raise ValueError("empty file")
    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=FORMATS) as opened:
            if opened.width * opened.height > MOST_PIXELS:
                raise ValueError("over 64 million pixels")
            mode = "L" if channels == 1 else "RGB"
            turn = _turn(opened)
            if opened.format in ("JPEG", "MPO"):
                longer = 2 * max(height, width) if turn else 0
                opened.draft(mode, (longer or 2 * width, longer or 2 * height))
            picture = _flattened(opened, mode)
        picture = picture.transpose(turn) if turn is not None else picture
        if picture.size != (width, height):
            picture = picture.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2.0)
    except Image.DecompressionBombError as error:
        raise ValueError("over 64 million pixels") from error
    except Exception as error:  # Pillow's decoders raise OSError, SyntaxError, struct.error and many more
        raise ValueError(_reason(error)) from error
    pixels = np.asarray(picture, dtype=np.uint8)
    return pixels[None] if channels == 1 else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _turn(opened: Any) -> Any:
    """How EXIF says the picture must be turned; a TIFF is turned by its decoder; None if it stands."""
    from PIL import Image

    if opened.format == "TIFF":
        return None
    try:
        orientation = opened.getexif().get(0x0112, 1)
    except Exception:  # a note that cannot be read turns nothing: the pixels may still be whole
        return None
    return Image.Transpose[TURNS[orientation]] if orientation in TURNS else None


def size(source: Source) -> tuple[int, int, bool] | None:
    """(height, width, whether it is grey) from the head of the file; None if it cannot be told."""
    from PIL import Image

    if source is None:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(
                io.BytesIO(source) if isinstance(source, bytes) else source, formats=FORMATS
            ) as opened:
                turn = _turn(opened)
                width, height = opened.size
                grey = opened.mode in ("1", "L", "LA", "I", "I;16", "I;16B", "I;16L", "F")
    except Exception:  # a head that cannot be read tells nothing; decode says what is wrong
        return None
    turned = turn is not None and int(turn) in (2, 4, 5, 6)  # a quarter turn, with or without a mirror
    return (width, height, grey) if turned else (height, width, grey)


def decode_all(sources: list[Source], channels: int, height: int, width: int, into: Any) -> dict[int, str]:
    """Decodes every picture into `into` (N, C, H, W); a bad one is left grey. Row -> what is wrong with it."""
    bad: dict[int, str] = {}

    def one(row: int) -> None:
        try:
            into[row] = decode(sources[row], channels, height, width)
        except ValueError as error:
            into[row] = GREY
            bad[row] = str(error)

    with warnings.catch_warnings():  # here and not in each thread: filters belong to the process
        warnings.simplefilter("ignore")
        if len(sources) < 8:
            for row in range(len(sources)):
                one(row)
        else:
            with ThreadPoolExecutor(THREADS) as pool:
                list(pool.map(one, range(len(sources))))
    return dict(sorted(bad.items()))


def _flattened(picture: Any, mode: str) -> Any:
    """The picture as 8-bit grey or colours, without transparency."""
    from PIL import Image

    if picture.mode in ("I;16", "I;16B", "I;16L", "I", "F"):
        picture = Image.fromarray(_eight_bits(np.asarray(picture, dtype=np.float64), picture.mode))
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        clear = picture.convert("RGBA")
        white = Image.new("RGBA", clear.size, (255, 255, 255, 255))
        picture = Image.alpha_composite(white, clear)
    return picture.convert(mode)


def _eight_bits(values: npt.NDArray[np.float64], mode: str) -> Pixels:
    """0-255 of 16-bit pixels (0-65535), or of pixels whose range only their values tell."""
    values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    most = float(values.max(initial=0.0))
    if mode.startswith("I;16"):
        top = 65535.0
    else:
        top = next((each for each in (1.0, 255.0, 65535.0) if most <= each), most)
        top = 255.0 if mode == "I" and top == 1.0 else top
    return np.clip(values * (255.0 / top), 0, 255).round().astype(np.uint8)


def _reason(error: BaseException) -> str:
    if isinstance(error, FileNotFoundError):
        return "no such file"
    text = str(error).split("(")[0].split("<")[0].strip().rstrip(":")
    if "cannot identify" in text:
        return "not a picture"
    return text[:80] or type(error).__name__


def is_file(source: Source) -> bool:
    """Whether a path leads to a file; encoded bytes count as there."""
    return isinstance(source, bytes) or (isinstance(source, str) and Path(source).is_file())
