"""Frames of clips: what of loudness and colour is left in them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from netwright.data.kinds import sounds

RATE = 8_000


def clip(path: Path, loudness: float) -> str:
    """A rising tone over noise, as 32-bit floats."""
    draw, time = np.random.default_rng(0), np.arange(RATE // 2) / RATE
    samples = np.sin(2 * np.pi * (300 + 900 * time) * time) * (1 + np.sin(20 * time)) + 0.3 * draw.normal(
        size=len(time)
    )
    soundfile.write(path, loudness * 0.1 * samples, RATE, subtype="FLOAT")
    return str(path)


def test_a_louder_clip_is_the_same_clip(tmp_path: Path) -> None:
    soft = sounds.frames(clip(tmp_path / "soft.wav", 1.0), RATE, 40)
    loud = sounds.frames(clip(tmp_path / "loud.wav", 4.0), RATE, 40)
    np.testing.assert_allclose(soft, loud, atol=1e-3)
    assert soft.dtype == np.float32
    assert abs(float(soft.mean())) < 1e-4
    assert float(soft.std()) > 0.5


def test_half_of_the_colour_of_a_voice_is_left() -> None:
    draw = np.random.default_rng(1)
    frames, colour = (draw.normal(size=shape).astype(np.float32) for shape in ((30, 8), (8,)))
    left = sounds.levelled(frames + colour) - sounds.levelled(frames)
    np.testing.assert_allclose(left, np.tile((colour - colour.mean()) / 2, (30, 1)), atol=1e-5)


@pytest.mark.parametrize("samples", [1, 100, 4_000])
def test_silence_is_zero_however_short(samples: int, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "silent.wav", np.zeros(samples), RATE)
    assert np.abs(sounds.frames(str(tmp_path / "silent.wav"), RATE, 40)).max() < 1e-5
