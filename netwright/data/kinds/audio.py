"""Sound clips: recognised, not read yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from netwright.base.schema import Choice
from netwright.data.kinds.kind import AbstractComing

if TYPE_CHECKING:
    import polars as pl

ENDINGS = (".wav", ".flac", ".ogg", ".mp3")


@final
class Audio(AbstractComing):
    """Paths of sound files."""

    name = "audio"
    coming = "audio inputs arrive in a later version"

    @classmethod
    def recognise(cls, sample: pl.Series) -> Choice | None:
        """Strings that end as sound files do."""
        import polars as pl

        if sample.dtype != pl.String:
            return None
        step = max(1, len(sample) // 50)
        cells = [cell for cell in sample.gather_every(step).to_list() if cell]
        sound = [cell for cell in cells if cell.lower().endswith(ENDINGS)]
        if not sound or len(sound) < 0.95 * len(cells):
            return None
        return Choice(value=cls.name, why=f"paths of sound files such as '{sound[0]}'")
