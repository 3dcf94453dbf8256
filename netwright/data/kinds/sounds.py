"""Sound files to log-mel frames: decoded, mixed to one channel, resampled, then short-time spectra."""

# T = frames, M = mel bands, F = frequencies

from __future__ import annotations

import functools
import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

Source = str | bytes | None
Frames = npt.NDArray[np.float32]
WINDOW, HOP = 0.025, 0.010
"""Seconds of a spectrum, and between two."""
COLOUR = 0.5
"""Share of each band's own mean that is taken away."""
FLOOR = 1e-6
"""Power under which it is silence."""
MOST_SECONDS = 600.0
"""A clip is read up to here; longer ones are refused as unreadable."""
THREADS = 2


def frames(source: Source, rate: int, mels: int) -> Frames:
    """(T, M) natural logarithms of mel power, levelled, T >= 1.

    Raises:
        ValueError: If it is no sound, damaged, empty or longer than ten minutes; the message says which.
    """
    return levelled(log_mel(_resampled(*_decoded(source), rate), rate, mels))


def levelled(frames_TM: Frames) -> Frames:
    """Without the clip's mean, and without half of what a band's own mean is beside it.

    Loudness says nothing. What a band has throughout tells the voice and the microphone, but in a short clip
    also what was said. Reference: Atal 1974 (cepstral mean subtraction, which takes away all of it).
    """
    band_M = frames_TM.mean(axis=0)
    found: Frames = frames_TM - (COLOUR * band_M + (1 - COLOUR) * band_M.mean())
    return found


def _decoded(source: Source) -> tuple[npt.NDArray[np.float32], int]:
    """(samples,) of one channel and their rate."""
    import soundfile

    if source is None:
        raise ValueError("missing")
    if isinstance(source, bytes) and not source:
        raise ValueError("empty file")
    if isinstance(source, str) and not Path(source).exists():
        raise ValueError("no such file")  # the library says "system error"
    try:
        with soundfile.SoundFile(io.BytesIO(source) if isinstance(source, bytes) else source) as opened:
            if opened.frames > MOST_SECONDS * opened.samplerate:
                raise ValueError(f"longer than {MOST_SECONDS / 60:.0f} minutes")
            samples = opened.read(dtype="float32", always_2d=True)
            rate = int(opened.samplerate)
    except (RuntimeError, OSError, TypeError) as error:
        raise ValueError(_reason(error)) from error
    if not len(samples):
        raise ValueError("no sound in it")
    if not np.isfinite(samples).all():
        raise ValueError("samples that are no numbers")
    return samples.mean(axis=1), rate


def _resampled(samples: npt.NDArray[np.float32], rate: int, wanted: int) -> npt.NDArray[np.float32]:
    import soxr

    if rate == wanted:
        return samples
    made: npt.NDArray[np.float32] = soxr.resample(samples, rate, wanted)
    return made if len(made) else samples[:1]


def info(source: Source) -> tuple[int, float] | None:
    """Samples a second and seconds, from the head of the file; None if it cannot be told."""
    import soundfile

    try:
        found = soundfile.info(io.BytesIO(source) if isinstance(source, bytes) else source)
    except Exception:  # a head that cannot be read tells nothing; frames says what is wrong
        return None
    return int(found.samplerate), float(found.duration)


def log_mel(samples: npt.NDArray[np.float32], rate: int, mels: int) -> Frames:
    """(T, M): power spectra of Hann windows in triangular bands of equal width on the mel scale."""
    hop, window = round(HOP * rate), round(WINDOW * rate)
    size = 1 << (window - 1).bit_length()
    wave = torch.from_numpy(np.ascontiguousarray(samples))
    short = window - len(wave)
    wave = torch.nn.functional.pad(wave, (0, max(0, short)))
    spectrum = torch.stft(
        wave,
        size,
        hop,
        window,
        torch.hann_window(window),
        center=True,
        pad_mode="constant",
        return_complex=True,
    )
    power_FT = spectrum.abs().square()
    found: Frames = (bands(rate, size, mels) @ power_FT).clamp(min=FLOOR).log().T.contiguous().numpy()
    return found


@functools.cache
def bands(rate: int, size: int, mels: int) -> torch.Tensor:
    """(M, F) weights of the triangular bands between 20 Hz and half the rate.

    Reference: Davis and Mermelstein 1980; the mel scale of O'Shaughnessy 1987, 2595 log10(1 + f / 700).
    """
    low, high = _mel(20.0), _mel(rate / 2)
    edges = 700.0 * (10.0 ** (np.linspace(low, high, mels + 2) / 2595.0) - 1.0)
    frequency_F = np.arange(size // 2 + 1) * rate / size
    rise = (frequency_F - edges[:-2, None]) / np.diff(edges)[:-1, None]
    fall = (edges[2:, None] - frequency_F) / np.diff(edges)[1:, None]
    return torch.from_numpy(np.maximum(0.0, np.minimum(rise, fall)).astype(np.float32))


def _mel(frequency: float) -> float:
    return 2595.0 * float(np.log10(1.0 + frequency / 700.0))


def all_frames(sources: list[Source], rate: int, mels: int) -> tuple[list[Frames], dict[int, str]]:
    """Frames of every clip; one frame of silence for a bad one, and row -> what is wrong with it."""
    bad: dict[int, str] = {}

    def one(row: int) -> Frames:
        try:
            return frames(sources[row], rate, mels)
        except ValueError as error:
            bad[row] = str(error)
            return np.zeros((1, mels), dtype=np.float32)

    with ThreadPoolExecutor(THREADS) as pool:
        found = list(pool.map(one, range(len(sources))))
    return found, dict(sorted(bad.items()))


def _reason(error: Any) -> str:
    if isinstance(error, FileNotFoundError) or "No such file" in str(error):
        return "no such file"
    return str(error).split(":")[-1].strip().rstrip(".")[:80] or type(error).__name__
