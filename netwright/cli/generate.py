"""`netwright generate`: text from a model that learned to write."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import Annotated

from typer import Argument, Option

from netwright.cli import models

BLINK = 0.05
"""Seconds between two times that what was written is shown: more often nobody sees, and it costs."""


@dataclass(frozen=True, kw_only=True)
class Flags:
    """The flags of `netwright generate`."""

    model: Annotated[str, Argument(metavar="MODEL", help="A model.safetensors, or the run folder with it.")]
    prompt: Annotated[
        str, Option("--prompt", metavar="TEXT", show_default="none", help="What the text goes on from.")
    ] = ""
    length: Annotated[
        int, Option("--length", metavar="N", show_default="500", help="Tokens to write, from 1 on.")
    ] = 500
    temperature: Annotated[
        float,
        Option(
            "--temperature",
            metavar="T",
            show_default="0.8",
            help="How daring, from 0; 0 takes the likeliest always.",
        ),
    ] = 0.8
    top_k: Annotated[
        int,
        Option(
            "--top-k",
            metavar="K",
            show_default="all",
            help="Draw from the K likeliest tokens only; 0: from all.",
        ),
    ] = 0
    top_p: Annotated[
        float,
        Option(
            "--top-p",
            metavar="P",
            show_default="1",
            help="Draw from the likeliest tokens that make up this probability.",
        ),
    ] = 1.0
    seed: Annotated[
        int, Option("--seed", metavar="N", show_default="0", help="Of the draws; the same seed, the same text.")
    ] = 0


def run(flags: Flags) -> None:
    """Write text with a trained model, as it comes.

    The text goes to stdout, without the prompt.
    """
    model = models.load(models.place(flags.model))
    pieces = model.generate(
        flags.prompt,
        length=flags.length,
        temperature=flags.temperature,
        top_k=flags.top_k,
        top_p=flags.top_p,
        seed=flags.seed,
    )
    shown = 0.0
    for piece in pieces:
        sys.stdout.write(piece)
        if time.monotonic() - shown > BLINK:
            sys.stdout.flush()
            shown = time.monotonic()
    print()
