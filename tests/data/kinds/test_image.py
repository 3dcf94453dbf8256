"""Pictures: recognised, sized, decoded whatever the file holds, made harder, and refused where damaged."""

# N = rows, B = rows of a batch, C = channels, H, W = height, width

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
import torch
from PIL import Image as Pillow

from netwright.base import seeds
from netwright.base.errors import BundleError, DataError, RecipeError
from netwright.base.schema import Column
from netwright.data.kinds import augmenting, decoding
from netwright.data.kinds.image import Image
from netwright.data.readers.media import judge

Bytes = npt.NDArray[np.uint8]


def noise(*shape: int, seed: int = 0) -> Bytes:
    """Random pixels."""
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def encoded(picture: Pillow.Image, suffix: str = "PNG", **options: Any) -> bytes:
    """The picture as a file would hold it."""
    stream = io.BytesIO()
    picture.save(stream, suffix, **options)
    return stream.getvalue()


def plain(color: tuple[int, ...] | int, mode: str = "RGB", size: tuple[int, int] = (12, 10)) -> Pillow.Image:
    """A picture of one colour, 12 wide and 10 high."""
    return Pillow.new(mode, size, color)


def fitted(cells: pl.Series, **settings: Any) -> Image:
    """The kind fitted on these cells."""
    frame = cells.rename("x").to_frame()
    column = Column(name="x", kind="image", role="input", why="", settings=settings)
    return Image.fit(frame, [column])


def files_of(folder: Path, count: int, bad: Mapping[int, bytes] | None = None) -> pl.Series:
    """Paths of small pictures, some of them of other content."""
    paths = []
    for row in range(count):
        content = (bad or {}).get(row, encoded(Pillow.fromarray(noise(16, 16, 3, seed=row))))
        path = folder / f"{row}.png"
        path.write_bytes(content)
        paths.append(str(path))
    return pl.Series("x", paths)


# ---- recognised


@pytest.mark.parametrize(
    "cells",
    [
        pl.Series(["a.JPG", "b.png", None]),
        pl.Series([encoded(plain((1, 2, 3))), encoded(plain(5, "L"), "GIF")]),
        pl.Series([encoded(plain((1, 2, 3)), "WEBP")]),
        pl.Series([{"bytes": encoded(plain((1, 2, 3)), "JPEG"), "path": None}]),
        pl.Series(noise(3, 9, 8), dtype=pl.Array(pl.UInt8, (9, 8))),
        pl.Series(noise(3, 9, 8, 3), dtype=pl.Array(pl.UInt8, (9, 8, 3))),
    ],
)
def test_paths_bytes_and_pixels_are_recognised(cells: pl.Series) -> None:
    choice = Image.recognise(cells)
    assert choice is not None
    assert choice.why


@pytest.mark.parametrize(
    "cells",
    [
        pl.Series(["a.txt", "b.png"]),
        pl.Series([b"RIFF\x24\x00\x00\x00WAVEfmt "]),
        pl.Series([b"hello"]),
        pl.Series([None], dtype=pl.String),
        pl.Series([[1.0, 2.0]], dtype=pl.Array(pl.Float64, 2)),
        pl.Series([1, 2]),
    ],
)
def test_other_cells_are_not_recognised(cells: pl.Series) -> None:
    assert Image.recognise(cells) is None


# ---- sized


def test_small_pictures_of_one_size_keep_it() -> None:
    cells = pl.Series(noise(5, 28, 20), dtype=pl.Array(pl.UInt8, (28, 20)))
    derived = Image.derive(cells.to_frame(), 60_000, 2.0)
    assert (derived["size"].value, derived["channels"].value) == ([28, 20], 1)
    assert "28 x 20" in derived["size"].why


def test_tiny_pictures_are_enlarged_to_what_a_network_takes() -> None:
    cells = pl.Series(noise(5, 4, 20), dtype=pl.Array(pl.UInt8, (4, 20)))
    assert fitted(cells).field().shape == (1, 8, 20)


def test_photos_get_a_smaller_size_of_the_same_aspect() -> None:
    cells = pl.Series([encoded(plain((9, 9, 9), size=(400, 200)), "JPEG")] * 3)
    derived = Image.derive(cells.to_frame(), 2_000, 5.0)
    height, width = derived["size"].value
    assert derived["channels"].value == 3
    assert 1.8 <= width / height <= 2.2  # sides are multiples of 8
    assert height * width <= 96 * 96


def test_a_camera_held_upright_counts_as_upright() -> None:
    exif = Pillow.Exif()
    exif[0x0112] = 6
    cells = pl.Series([encoded(plain((9, 9, 9), size=(400, 200)), "JPEG", exif=exif)])
    height, width = Image.derive(cells.to_frame(), 2_000, 5.0)["size"].value
    assert 1.8 <= height / width <= 2.2  # sides are multiples of 8


@pytest.mark.parametrize(("size", "shape"), [(16, (16, 16)), ("16x24", (16, 24)), ([16, 24], (16, 24))])
def test_a_size_can_be_asked_for(size: Any, shape: tuple[int, int]) -> None:
    cells = pl.Series([encoded(plain((9, 9, 9)))])
    assert fitted(cells, size=size, channels=3).field().shape == (3, *shape)


@pytest.mark.parametrize("settings", [{"size": 4}, {"size": "wide"}, {"size": 16, "channels": 2}])
def test_a_size_out_of_range_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(RecipeError):
        fitted(pl.Series([encoded(plain((9, 9, 9)))]), **{"channels": 3, **settings})


# ---- decoded


@pytest.mark.parametrize(
    ("content", "color"),
    [
        (encoded(plain((200, 100, 50)), "JPEG", quality=95), (200, 100, 50)),
        (encoded(plain((200, 100, 50)), "BMP"), (200, 100, 50)),
        (encoded(plain((200, 100, 50)), "PPM"), (200, 100, 50)),
        (encoded(plain((200, 100, 50)), "TIFF"), (200, 100, 50)),
        (encoded(plain((200, 100, 50)), "WEBP", lossless=True), (200, 100, 50)),
        (encoded(plain((200, 100, 50)).quantize(4), "GIF"), (200, 100, 50)),
        (encoded(plain((200, 100, 50, 0), "RGBA")), (255, 255, 255)),
        (encoded(plain((0, 128), "LA")), (127, 127, 127)),
        (encoded(plain(77, "L")), (77, 77, 77)),
        (encoded(plain(1, "1")), (255, 255, 255)),
        (encoded(plain((0, 0, 0, 0), "CMYK"), "JPEG"), (255, 255, 255)),
        (encoded(Pillow.fromarray(np.full((9, 9), 40_000, np.uint16))), (156, 156, 156)),
        (encoded(Pillow.fromarray(np.full((9, 9), 200, np.uint16))), (1, 1, 1)),
        (encoded(Pillow.fromarray(np.full((9, 9), 0.5, np.float32)), "TIFF"), (128, 128, 128)),
        (encoded(Pillow.fromarray(np.full((9, 9), np.nan, np.float32)), "TIFF"), (0, 0, 0)),
        (encoded(Pillow.fromarray(np.full((9, 9), 100, np.int32)), "TIFF"), (100, 100, 100)),
    ],
)
def test_every_format_and_mode_becomes_the_same_colours(content: bytes, color: tuple[int, ...]) -> None:
    x_CHW = decoding.decode(content, 3, 8, 8)
    # 3 of 255: JPEG and palettes round
    np.testing.assert_allclose(x_CHW.mean((1, 2)), color, atol=3)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_followed(orientation: int) -> None:
    upright = np.zeros((16, 16, 3), np.uint8)
    upright[:8, :8, 0] = upright[8:, :8, 1] = upright[:8, 8:, 2] = 255
    undo = [None, 0, 3, 1, 5, 2, 6, 4]  # what turns the upright picture into the stored one
    step = undo[orientation - 1]
    stored = Pillow.fromarray(upright)
    stored = stored if step is None else stored.transpose(Pillow.Transpose(step))
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    x_CHW = decoding.decode(encoded(stored, "PNG", exif=exif), 3, 16, 16)
    np.testing.assert_array_equal(x_CHW.transpose(1, 2, 0), upright)


def test_a_damaged_exif_note_does_not_cost_the_picture() -> None:
    content = encoded(plain((200, 100, 50)), "JPEG", exif=b"Exif\x00\x00II*\x00\xff\xff\xff\xff")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert decoding.decode(content, 1, 8, 8).shape == (1, 8, 8)


def test_a_large_picture_is_averaged_not_sampled() -> None:
    checks = np.indices((256, 256)).sum(0) % 2 * 255
    x_CHW = decoding.decode(encoded(Pillow.fromarray(checks.astype(np.uint8))), 1, 8, 8)
    np.testing.assert_allclose(x_CHW, 127, atol=4)  # every output pixel is the mean of many


def test_pixels_of_another_shape_are_brought_to_shape() -> None:
    cells = pl.Series("x", noise(300, 20, 10, 4), dtype=pl.Array(pl.UInt8, (20, 10, 4)))
    kind = fitted(cells, size=[10, 8], channels=3)
    x_NCHW = kind.encode(cells.to_frame()).values
    assert (x_NCHW.shape, x_NCHW.dtype) == ((300, 3, 10, 8), torch.uint8)
    clear = np.zeros((1, 20, 10, 4), np.uint8)
    white = kind.encode(pl.DataFrame({"x": pl.Series(clear, dtype=cells.dtype)})).values
    assert white.min() == 255


def test_pixels_come_out_as_they_went_in() -> None:
    stored = noise(7, 12, 9)
    cells = pl.Series("x", stored, dtype=pl.Array(pl.UInt8, (12, 9)))
    np.testing.assert_array_equal(fitted(cells).encode(cells.to_frame()).values[:, 0].numpy(), stored)


def test_a_missing_cell_of_pixels_is_grey() -> None:
    whole = pl.Series("x", noise(2, 8, 8), dtype=pl.Array(pl.UInt8, (8, 8)))
    cells = pl.concat([whole, pl.Series("x", [None], dtype=whole.dtype)])
    x_NCHW = fitted(cells).encode(cells.to_frame()).values
    np.testing.assert_array_equal(x_NCHW[:2, 0].numpy(), whole.to_numpy())
    assert (x_NCHW[2] == 128).all()
    assert bad_of(cells) == {2: "there is none"}


def test_decoded_once_is_the_same_as_decoded_when_needed(tmp_path: Path) -> None:
    cells = files_of(tmp_path, 5)
    kind = fitted(cells)
    channels, height, width = kind.shape
    pixels, bad = Image.decode(cells, {"size": [height, width], "channels": channels})
    assert not bad
    assert torch.equal(kind.encode(cells.to_frame()).values, kind.encode(pixels.to_frame(kind.column)).values)


# ---- fitted and kept


def test_center_and_scale_are_mean_and_spread_of_training_pictures(tmp_path: Path) -> None:
    cells = files_of(tmp_path, 12)
    kind = fitted(cells)
    pixels = kind.encode(cells.to_frame()).values.double()
    np.testing.assert_allclose(kind.center, pixels.mean((0, 2, 3)), rtol=1e-9)
    np.testing.assert_allclose(kind.scale, pixels.std((0, 2, 3), correction=0), rtol=1e-9)


def test_pictures_of_one_colour_have_a_scale_that_can_be_divided_by() -> None:
    assert min(fitted(pl.Series([encoded(plain((9, 9, 9)))] * 3)).scale) >= 1.0


def test_a_kind_survives_saving() -> None:
    cells = pl.Series("x", [encoded(plain((9, 80, 200)))] * 3)
    kind = fitted(cells)
    facts, tensors = kind.state()
    again = Image.restore(json.loads(json.dumps(facts)), tensors)
    assert again.field() == kind.field()
    assert again.how == kind.how
    assert torch.equal(again.encode(cells.to_frame()).values, kind.encode(cells.to_frame()).values)


@pytest.mark.parametrize(
    "change",
    [
        {"shape": [3, 16]}, {"shape": [3, 16, 10**9]}, {"center": [0.0]}, {"scale": [1.0, 1.0, 0.0]},
        {"center": [0.0, 0.0, float("nan")]}, {"how": {"rotate": "far"}}, {"how": {"import": 1.0}},
        {"how": None},
    ],
)  # fmt: skip
def test_a_state_that_is_not_ours_is_refused(change: dict[str, Any]) -> None:
    facts, tensors = fitted(pl.Series([encoded(plain((9, 80, 200)))])).state()
    with pytest.raises(BundleError):
        Image.restore({**facts, **change}, tensors)


# ---- damaged


def bad_of(cells: pl.Series) -> dict[int, str]:
    """Row -> what is wrong with its picture."""
    return Image.decode(cells, {"size": [8, 8], "channels": 3})[1]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"hello", "not a picture"),
        (encoded(Pillow.fromarray(noise(64, 64, 3)), "JPEG")[:900], "truncated"),
        (encoded(Pillow.new("1", (30_000, 30_000))), "64 million"),
        (encoded(Pillow.new("1", (9_000, 9_000))), "64 million"),
    ],
)
def test_a_bad_picture_is_named_by_what_is_wrong(content: bytes, said: str) -> None:
    cells = pl.Series("x", [content])
    assert said in bad_of(cells)[0]
    kind = Image("x", (3, 8, 8), [0.0] * 3, [1.0] * 3, {})
    assert (kind.encode(cells.to_frame()).values == 128).all()


def test_up_to_one_in_twenty_bad_pictures_are_left_out_and_said(tmp_path: Path) -> None:
    cells = files_of(tmp_path, 40, bad={7: b"", 21: b"hello"})
    bad = bad_of(cells)
    findings = judge(cells, bad, "image")
    assert list(bad) == [7, 21]
    assert findings[0].count == 2
    assert "7.png: " in findings[0].what


def test_more_bad_pictures_are_refused_with_the_first_and_the_count(tmp_path: Path) -> None:
    cells = files_of(tmp_path, 20, bad={3: b"", 4: b"hello"})
    with pytest.raises(DataError, match=r"2 of 20 pictures .*3\.png"):
        judge(cells, bad_of(cells), "image")


def test_whole_pictures_give_nothing_to_say(tmp_path: Path) -> None:
    cells = files_of(tmp_path, 10)
    assert judge(cells, bad_of(cells), "image") == ()


def test_files_that_are_not_there_are_refused(tmp_path: Path) -> None:
    cells = pl.Series([str(tmp_path / f"{row}.png") for row in range(5)])
    with pytest.raises(DataError, match="5 of 5"):
        fitted(cells)


def test_mutated_files_give_pixels_or_a_reason_and_nothing_else() -> None:
    picture = Pillow.fromarray(noise(24, 24, 3))
    exif = Pillow.Exif()
    exif[0x0112] = 6
    whole = [encoded(picture, each, exif=exif) for each in ("PNG", "JPEG", "WEBP", "TIFF")]
    whole += [encoded(picture, each) for each in ("BMP", "GIF", "PPM")]
    draws = np.random.default_rng(0)
    mutants: list[decoding.Source] = []
    for number in range(420):
        content = bytearray(whole[number % len(whole)])
        for place in draws.integers(0, len(content), draws.integers(1, 6)):
            content[place] = draws.integers(0, 256)
        mutants.append(bytes(content[: draws.integers(1, len(content) + 1)] if number % 3 == 0 else content))
    into = np.empty((len(mutants), 3, 8, 8), np.uint8)
    bad = decoding.decode_all(mutants, 3, 8, 8, into)
    assert 0 < len(bad) < len(mutants)
    assert all(bad.values())


def test_decoding_leaves_the_warning_filters_as_they_were(tmp_path: Path) -> None:
    before = list(warnings.filters)
    bad_of(files_of(tmp_path, 30))
    assert warnings.filters == before


# ---- made harder

HOW = {"shift": 2.0, "rotate": 15.0, "scale": 0.15, "color": 0.2}


def draws_of(count: int) -> seeds.U64:
    """One draw a row."""
    return seeds.draws(np.arange(count), 0, "augment", 1)


def test_augmentation_is_a_function_of_each_row_and_its_draw() -> None:
    x, draws_B = torch.from_numpy(noise(6, 3, 16, 16)), draws_of(6)
    whole = augmenting.augment(x, draws_B, HOW)
    # 1e-3 of 255: the kernel of one row may sum in another order
    torch.testing.assert_close(whole[2:4], augmenting.augment(x[2:4], draws_B[2:4], HOW), rtol=0, atol=1e-3)
    assert torch.equal(whole, augmenting.augment(x, draws_B, HOW))


def test_augmentation_changes_pictures_and_keeps_their_range() -> None:
    x = torch.from_numpy(noise(6, 3, 16, 16))
    y = augmenting.augment(x, draws_of(6), HOW)
    assert (y.shape, y.dtype) == (x.shape, torch.float32)
    assert y.min() >= 0
    assert y.max() <= 255
    assert ((y - x.float()).abs().mean((1, 2, 3)) > 1).all()


def test_with_nothing_switched_on_pictures_stay_as_they_are() -> None:
    x = torch.from_numpy(noise(6, 3, 16, 16))
    assert torch.equal(augmenting.augment(x, draws_of(6), {}), x.float())


def test_half_of_the_pictures_are_mirrored_where_flip_is_on() -> None:
    x = torch.from_numpy(noise(400, 1, 8, 8))
    y = augmenting.augment(x, draws_of(400), {"flip": True})
    mirrored = (y - x.flip(-1).float()).abs().amax((1, 2, 3)) < 0.01  # sampling at pixel centres, in float32
    kept = (y - x.float()).abs().amax((1, 2, 3)) < 0.01
    assert (mirrored ^ kept).all()
    assert 150 < int(mirrored.sum()) < 250  # five standard deviations


def test_a_shift_stays_within_what_was_asked() -> None:
    x = torch.zeros(64, 1, 17, 17)
    x[:, :, 8, 8] = 255
    y = augmenting.augment(x.to(torch.uint8), draws_of(64), {"shift": 2.0})
    assert y[:, :, :5].abs().max() == 0
    assert y[:, :, 12:].abs().max() == 0
    assert y[:, :, 8, 8].min() < 100


def test_pieces_of_draws_are_uniform_and_apart() -> None:
    pieces_BP, mirrored_B = augmenting.pieces(draws_of(20_000))
    # 0.03: four standard errors of a mean of 20,000 and of a correlation
    assert np.abs(pieces_BP.mean(0)).max() < 0.03
    assert np.abs(np.corrcoef(pieces_BP.T) - np.eye(augmenting.PIECES)).max() < 0.03
    assert abs(mirrored_B.mean() - 0.5) < 0.015
    assert np.abs(pieces_BP).max() < 1
