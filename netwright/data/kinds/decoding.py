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


def decode(source: Source, channels: int, height: int, width: int) -> Pixels:
    """(C, H, W) uint8 of a file or of encoded bytes.

    EXIF rotation is followed, transparency lies on white, 16 bits become 8, of a film the first frame.

    Raises:
        ValueError: If it is no picture, damaged, or too large; the message says which.
    """
    from PIL import Image, ImageOps

    if source is None:
        raise ValueError("missing")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=FORMATS) as opened:
                if opened.width * opened.height > MOST_PIXELS:
                    raise ValueError("over 64 million pixels")
                mode = "L" if channels == 1 else "RGB"
                if opened.format == "JPEG":
                    opened.draft(mode, (2 * width, 2 * height))
                picture = _flattened(ImageOps.exif_transpose(opened), mode)
        if picture.size != (width, height):
            picture = picture.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2.0)
    except Image.DecompressionBombError as error:
        raise ValueError("over 64 million pixels") from error
    except (OSError, SyntaxError, EOFError, KeyError, TypeError, IndexError, OverflowError, MemoryError) as error:
        raise ValueError(_reason(error)) from error
    pixels = np.asarray(picture, dtype=np.uint8)
    return pixels[None] if channels == 1 else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def size(source: Source) -> tuple[int, int, bool] | None:
    """(height, width, whether it is grey) from the head of the file; None if it cannot be told."""
    from PIL import Image

    if source is None:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=FORMATS) as opened:
                turned = opened.getexif().get(0x0112, 1) >= 5
                width, height = opened.size
                grey = opened.mode in ("1", "L", "LA", "I", "I;16", "I;16B", "F")
    except Exception:  # noqa: BLE001 - a head that cannot be read tells nothing; decode says what is wrong
        return None
    return (width, height, grey) if turned else (height, width, grey)


def decode_all(sources: list[Source], channels: int, height: int, width: int, into: Any) -> dict[int, str]:
    """Decodes every picture into `into` (N, C, H, W); a bad one is left grey. Row -> what is wrong with it."""
    bad: dict[int, str] = {}

    def one(row: int) -> None:
        try:
            into[row] = decode(sources[row], channels, height, width)
        except ValueError as error:
            into[row] = 128
            bad[row] = str(error)

    if len(sources) < 8:
        for row in range(len(sources)):
            one(row)
    else:
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(one, range(len(sources)), chunksize=16))
    return dict(sorted(bad.items()))


def _flattened(picture: Any, mode: str) -> Any:
    """The picture as 8-bit grey or colours, without transparency."""
    from PIL import Image

    if picture.mode in ("I;16", "I;16B", "I;16L", "I", "F"):
        values = np.asarray(picture, dtype=np.float64)
        top = 65535.0 if values.max(initial=0.0) > 255 else 255.0
        picture = Image.fromarray(np.clip(values * 255.0 / top, 0, 255).astype(np.uint8))
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        clear = picture.convert("RGBA")
        white = Image.new("RGBA", clear.size, (255, 255, 255, 255))
        picture = Image.alpha_composite(white, clear)
    return picture.convert(mode)


def _reason(error: BaseException) -> str:
    text = str(error).split("(")[0].split("<")[0].strip().rstrip(":")
    if "cannot identify" in text:
        return "not a picture"
    return text[:80] or type(error).__name__


def is_file(source: Source) -> bool:
    """Whether a path leads to a file; encoded bytes count as there."""
    return isinstance(source, bytes) or (isinstance(source, str) and Path(source).is_file())
