"""tinyshakespeare: nats a character of its last 111,540, netwright beside nanoGPT's setting for a CPU.

    NETWRIGHT_DATA=… python benchmarks/language.py [MINUTES] [SEEDS] [FLAG …]

Each character is predicted once, with at least half of the context before it. The loop is written by hand as
nanoGPT's train.py sets it up for a CPU: 4 layers, 4 heads, 128 wide, context 64, batches of 12, 2,000 steps, no
dropout, AdamW from 1e-3 to 1e-4. Its seconds are those of its steps alone; ours are those of the whole command.
"""

from __future__ import annotations

import math
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from command import prepared, train

HELD = 111_540
"""Characters at the end that are predicted."""
WIDTH, HEADS, DEPTH, CONTEXT, BATCH, STEPS = 128, 4, 4, 64, 12, 2_000
FASTEST, SLOWEST, WARM = 1e-3, 1e-4, 100


class Block(nn.Module):
    """Causal attention and two linear layers with GELU, each after a layer norm and added to its input."""

    def __init__(self) -> None:
        super().__init__()
        self.before, self.between = nn.LayerNorm(WIDTH, bias=False), nn.LayerNorm(WIDTH, bias=False)
        self.own, self.out = nn.Linear(WIDTH, 3 * WIDTH, bias=False), nn.Linear(WIDTH, WIDTH, bias=False)
        self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH, bias=False), nn.Linear(4 * WIDTH, WIDTH, bias=False)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """The same shape."""
        batch, steps, _ = x_BTD.shape
        parts = self.own(self.before(x_BTD)).view(batch, steps, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
        seen = functional.scaled_dot_product_attention(*parts.unbind(0), is_causal=True)
        x_BTD = x_BTD + self.out(seen.transpose(1, 2).reshape(batch, steps, WIDTH))
        return x_BTD + self.down(functional.gelu(self.up(self.between(x_BTD))))  # type: ignore[no-any-return]


class Small(nn.Module):
    """nanoGPT as it is set up for a CPU: learned places, and one table for reading and for scores."""

    def __init__(self, characters: int) -> None:
        super().__init__()
        self.table, self.places = nn.Embedding(characters, WIDTH), nn.Embedding(CONTEXT, WIDTH)
        self.blocks, self.last = (
            nn.Sequential(*(Block() for _ in range(DEPTH))),
            nn.LayerNorm(WIDTH, bias=False),
        )
        for name, weight in self.named_parameters():
            if weight.ndim == 2:
                deep = name.endswith(("out.weight", "down.weight"))
                nn.init.normal_(weight, std=0.02 / math.sqrt(2 * DEPTH) if deep else 0.02)

    def forward(self, code_BT: Tensor) -> Tensor:
        """(B, T, characters) scores of the next character."""
        x_BTD = self.table(code_BT) + self.places.weight[: code_BT.shape[1]]
        return functional.linear(self.last(self.blocks(x_BTD)), self.table.weight)


def nats(network: nn.Module, code_N: Tensor) -> float:
    """Mean over the last `HELD` characters; windows overlap by half."""
    half, found = CONTEXT // 2, []
    begins = torch.arange(len(code_N) - HELD - half - 1, len(code_N) - half - 1, half)
    network.eval()
    with torch.inference_mode():
        for begin_B in begins.split(256):
            place_BT = (begin_B.unsqueeze(1) + torch.arange(CONTEXT)).clamp(max=len(code_N) - 2)
            loss = functional.cross_entropy(
                network(code_N[place_BT]).transpose(1, 2), code_N[place_BT + 1], reduction="none"
            )
            real = begin_B.unsqueeze(1) + torch.arange(CONTEXT) < len(code_N) - 1
            found.append(loss[:, half:][real[:, half:]])
    every = torch.cat(found)
    assert len(every) == HELD
    return float(every.mean())


def by_hand(path: Path, seed: int) -> tuple[float, float]:
    """Nats a character, and seconds of the steps."""
    torch.manual_seed(seed)
    text = np.array(list(path.read_text(encoding="utf-8")))
    characters, codes = np.unique(text, return_inverse=True)
    code_N = torch.from_numpy(codes)
    network, past = Small(len(characters)), len(code_N) - HELD
    matrices = [weight for weight in network.parameters() if weight.ndim == 2]
    others = [weight for weight in network.parameters() if weight.ndim != 2]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=FASTEST, betas=(0.9, 0.99))
    began = time.perf_counter()
    for step in range(STEPS):
        way = (step - WARM) / (STEPS - WARM)
        rate = SLOWEST + 0.5 * (1 + math.cos(math.pi * way)) * (FASTEST - SLOWEST)
        for group in optimizer.param_groups:
            group["lr"] = rate if step >= WARM else FASTEST * (step + 1) / (WARM + 1)
        place_BT = torch.randint(past - CONTEXT, (BATCH, 1)) + torch.arange(CONTEXT)
        scores = network(code_N[place_BT])
        optimizer.zero_grad()
        functional.cross_entropy(scores.flatten(0, 1), code_N[place_BT + 1].flatten()).backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
    return nats(network, code_N), time.perf_counter() - began


def main() -> None:
    """Prints a row of Markdown a run, taking turns."""
    minutes, seeds = sys.argv[1] if len(sys.argv) > 1 else "3", int(sys.argv[2]) if len(sys.argv) > 2 else 3
    path = prepared("tinyshakespeare") / "input.txt"
    print("| seed | what | nats a character | seconds |\n|---|---|---|---|")
    for seed in range(seeds):
        asked = [str(path), "--test", "last:0.1", "--minutes", minutes, "--seed", str(seed), *sys.argv[3:]]
        run = train(asked)
        error, seconds = run.found["metrics"]["nats_per_character"], run.seconds
        print(f"| {seed} | netwright, {run.found['network']} | {error:.4f} | {seconds:.0f} |", flush=True)
        error, seconds = by_hand(path, seed)
        print(f"| {seed} | nanoGPT's setting by hand | {error:.4f} | {seconds:.0f} |", flush=True)


if __name__ == "__main__":
    main()
