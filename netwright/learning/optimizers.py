"""Optimizers: fused AdamW, and Muon for the matrices where it pays."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from netwright.learning.trainee import Settings

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
NEWTON_SCHULZ_STEPS = 4


class Optimizer:
    """Groups of parameters with settings of their own, and tensors of state for each parameter.

    As `torch.optim.Optimizer`, but for what that one costs: its first step imports torch's compiler, which
    takes seconds, and each step passes through its hooks.

    Attributes:
        param_groups: "params" of each group, and its settings.
        state: Tensors by name, for each parameter that has moved.
    """

    def __init__(self, groups: Sequence[Mapping[str, Any]]) -> None:
        self.param_groups: list[dict[str, Any]] = [
            {**group, "params": list(group["params"])} for group in groups
        ]
        self.state: dict[Tensor, dict[str, Tensor]] = {}

    @property
    def params(self) -> list[Tensor]:
        """All parameters, in order."""
        return [param for group in self.param_groups for param in group["params"]]

    def step(self) -> None:
        """One update of every parameter that has a gradient."""
        raise NotImplementedError

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drops all gradients."""
        for group in self.param_groups:
            for param in group["params"]:
                param.grad = None

    def state_dict(self) -> dict[str, Any]:
        """The state by the number of each parameter."""
        return {"state": {n: self.state[each] for n, each in enumerate(self.params) if each in self.state}}

    def load_state_dict(self, found: Mapping[str, Any]) -> None:
        """Puts back what `state_dict` gave."""
        params = self.params
        self.state = {
            params[number]: {name: value.to(params[number].device) for name, value in state.items()}
            for number, state in found["state"].items()
        }


class AdamW(Optimizer):
    """Adam with decoupled weight decay, all parameters of a group in one call.

    Reference: Loshchilov and Hutter 2019, https://arxiv.org/abs/1711.05101.
    """

    def __init__(
        self, groups: Sequence[Mapping[str, Any]], *, lr: float, betas: tuple[float, float], eps: float = 1e-8
    ) -> None:
        super().__init__([{"lr": lr, "betas": betas, "eps": eps, **group} for group in groups])
        self._lists: dict[int, _Lists] = {}

    @torch.no_grad()
    def step(self) -> None:
        """One update of every parameter that has a gradient; where it is sparse, of its rows alone."""
        for number, group in enumerate(self.param_groups):
            slopes = [param.grad for param in group["params"]]
            for place, slope in enumerate(slopes):
                if slope is not None and slope.is_sparse:
                    self._move_rows(group["params"][place], slope.coalesce(), group)
                    slopes[place] = None
            lists = self._lists_of(number, [slope is not None for slope in slopes])
            if not lists.params:
                continue
            lists.steps[0].add_(1.0)  # one count for all: one for each would take longer than small sums
            given = [slope for slope in slopes if slope is not None]
            _move(group, (lists.params, given, lists.means, lists.squares, [], lists.steps))

    def _move_rows(self, table: Tensor, slope: Tensor, group: Mapping[str, Any]) -> None:
        """One update of the rows that a step looked up; the others rest, and so do their running means.

        To move all of them is most of a step: a table of words has a hundred times the numbers of the layers.
        """
        rows, state = slope.indices()[0], self._state(table)
        count = state.setdefault("row_step", torch.zeros_like(state["step"])).add_(1.0)
        wholes = (table, state["exp_avg"], state["exp_avg_sq"])
        param, mean, square = (whole.index_select(0, rows) for whole in wholes)
        _move(group, ([param], [slope.values()], [mean], [square], [], [count]))
        for whole, part in zip(wholes, (param, mean, square), strict=True):
            whole.index_copy_(0, rows, part)

    def load_state_dict(self, found: Mapping[str, Any]) -> None:
        """Puts back what `state_dict` gave."""
        super().load_state_dict(found)
        self._lists.clear()

    def _lists_of(self, number: int, moves: list[bool]) -> _Lists:
        """What a call takes for the parameters of a group that move, made anew when others do."""
        kept = self._lists.get(number)
        if kept is None or kept.moves != moves:
            first = self.param_groups[number]["params"][0]
            chosen = itertools.compress(self.param_groups[number]["params"], moves)
            states = {param: self._state(param) for param in chosen}
            kept = self._lists[number] = _Lists(
                moves=moves,
                params=list(states),
                means=[state["exp_avg"] for state in states.values()],
                squares=[state["exp_avg_sq"] for state in states.values()],
                steps=[self._state(first)["step"]] * len(states) if states else [],
            )
        return kept

    def _state(self, param: Tensor) -> dict[str, Tensor]:
        found = self.state.get(param)
        if found is None:
            step = torch.zeros((), dtype=torch.float32, device=param.device)
            found = {"step": step, "exp_avg": torch.zeros_like(param), "exp_avg_sq": torch.zeros_like(param)}
            self.state[param] = found
        return found


@dataclass(frozen=True)
class _Lists:
    """What one call moves: parameters and their state, in order; which of the group's move at all."""

    moves: list[bool]
    params: list[Tensor]
    means: list[Tensor]
    squares: list[Tensor]
    steps: list[Tensor]


def _move(group: Mapping[str, Any], lists: tuple[list[Tensor], ...]) -> None:
    """Parameters, gradients, their means and squares, nothing, and steps: one update of all of them."""
    beta1, beta2 = group["betas"]
    torch._fused_adamw_(
        *lists,
        lr=group["lr"],
        beta1=beta1,
        beta2=beta2,
        weight_decay=group["weight_decay"],
        eps=group["eps"],
        amsgrad=False,
        maximize=False,
    )


class Muon(Optimizer):
    """Momentum whose matrix is made nearly orthogonal before it is applied.

    Newton-Schulz runs in float32: bfloat16 is slower on most CPUs. Filters are flattened to
    matrices; equal shapes go through one batched product. Maps that stand one upon another in one matrix
    are taken apart.

    Reference: Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        *,
        lr: float,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
        parts: Mapping[int, int] | None = None,
    ) -> None:
        settings = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay}
        super().__init__([{"params": params, **settings}])
        self._parts = dict(parts or {})

    @torch.no_grad()
    def step(self) -> None:
        """One update of every matrix that has a gradient."""
        for group in self.param_groups:
            alike: dict[tuple[int, ...], list[Tensor]] = {}
            for param in group["params"]:
                if param.grad is not None:
                    alike.setdefault((self._parts.get(id(param), 1), *param.shape), []).append(param)
            for (parts, *_), params in alike.items():
                self._update(params, parts, group)

    def _update(self, params: list[Tensor], parts: int, group: dict[str, Any]) -> None:
        directions: list[Tensor] = []
        for param in params:
            momentum = self.state.setdefault(param, {}).get("momentum")
            if momentum is None:
                momentum = self.state[param]["momentum"] = torch.zeros_like(param)
            assert param.grad is not None
            momentum.lerp_(param.grad, 1 - group["momentum"])
            directions += param.grad.lerp(momentum, group["momentum"]).flatten(1).chunk(parts)
        whole = orthogonal(torch.stack(directions))
        scale = max(1.0, whole.shape[1] / whole.shape[2]) ** 0.5
        for param, direction in zip(params, whole.view(len(params), -1, whole.shape[2]), strict=True):
            param.mul_(1 - group["lr"] * group["weight_decay"])
            param.add_(direction.view_as(param), alpha=-group["lr"] * scale)


def orthogonal(x_NRC: Tensor, steps: int = NEWTON_SCHULZ_STEPS) -> Tensor:
    """Each matrix with its singular values brought near 1; (N, R, C) float."""
    a, b, c = NEWTON_SCHULZ
    tall = x_NRC.shape[1] > x_NRC.shape[2]
    x: Tensor = x_NRC.transpose(1, 2) if tall else x_NRC
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.transpose(1, 2)
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.transpose(1, 2) if tall else x


class Optimizers:
    """The optimizers of one network as one: rates, state and step."""

    def __init__(self, module: nn.Module, settings: Settings) -> None:
        matrices, rest = _groups(module, settings.optimizer == "muon")
        self.each: list[Optimizer | torch.optim.Optimizer] = []
        if matrices:
            rates = {"lr": settings.muon_lr, "weight_decay": settings.weight_decay}
            self.each.append(Muon(matrices, **rates, parts=_parts(module)))
        looked_up, rare = _tables(module, rare=False), _tables(module, rare=True)
        looked_up = looked_up if settings.embedding_lr else set()
        others = [param for param in rest if id(param) not in looked_up | rare]
        groups: list[dict[str, Any]] = [
            {"params": [param for param in others if _decays(param)], "weight_decay": settings.weight_decay},
            {"params": [param for param in others if not _decays(param)], "weight_decay": 0.0},
            {
                "params": [param for param in rest if id(param) in looked_up],
                "weight_decay": 0.0,
                "lr": settings.embedding_lr,
            },
            {
                "params": [param for param in rest if id(param) in rare],
                "weight_decay": settings.rare_decay,
            },
        ]
        groups = [group for group in groups if group["params"]]
        if groups:
            alike = all(param.dtype == torch.float32 for param in rest)
            adam: Any = AdamW if alike else torch.optim.AdamW  # a module of the user's own may be of any type
            self.each.append(adam(groups, lr=settings.lr, betas=(settings.beta1, settings.beta2), eps=1e-8))
        self._peaks = [[group["lr"] for group in one.param_groups] for one in self.each]

    def step(self, rate: float) -> None:
        """One update at `rate` times the peak learning rate; gradients are dropped after it."""
        for optimizer, peaks in zip(self.each, self._peaks, strict=True):
            for group, peak in zip(optimizer.param_groups, peaks, strict=True):
                group["lr"] = peak * rate
            if isinstance(optimizer, torch.optim.Optimizer):  # torch's own takes no sparse ones
                for param in itertools.chain.from_iterable(each["params"] for each in optimizer.param_groups):
                    if param.grad is not None and param.grad.is_sparse:
                        param.grad = param.grad.to_dense()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    def peak(self) -> float:
        """The learning rate of the first group at rate 1."""
        return float(self._peaks[-1][0])

    def tensors(self) -> dict[str, Tensor]:
        """The state as named tensors."""
        found: dict[str, Tensor] = {}
        for index, optimizer in enumerate(self.each):
            for number, state in optimizer.state_dict()["state"].items():
                for name, value in state.items():
                    found[f"{index}/{number}/{name}"] = torch.as_tensor(value)
        return found

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Puts back what `tensors` gave."""
        for index, optimizer in enumerate(self.each):
            whole = optimizer.state_dict()
            state: dict[int, dict[str, Tensor]] = {}
            for name, value in tensors.items():
                owner, number, key = name.split("/")
                if int(owner) == index:
                    state.setdefault(int(number), {})[key] = value.clone()
            whole["state"] = state
            optimizer.load_state_dict(whole)


def clip(params: Iterable[Tensor], most: float) -> Tensor:
    """The norm of all gradients together; where it is above `most` they are scaled down to it."""
    slopes = []
    for param in params:
        if param.grad is not None and param.grad.is_sparse:
            param.grad = param.grad.coalesce()
            slopes.append(param.grad.values())
        elif param.grad is not None:
            slopes.append(param.grad)
    norm = nn.utils.get_total_norm(slopes)
    torch._foreach_mul_(slopes, torch.clamp(most / (norm + 1e-6), max=1.0))
    return norm


def _parts(module: nn.Module) -> dict[int, int]:
    """Ids of weights that are several maps one upon another, and how many."""
    maps = (child for child in module.modules() if isinstance(child, nn.Linear))
    return {id(each.weight): int(each.parts) for each in maps if hasattr(each, "parts")}  # type: ignore[arg-type]


def _tables(module: nn.Module, *, rare: bool) -> set[int]:
    """Ids of the weights of embeddings, and of what a module calls `looked_up`: a step needs few rows of them.

    Those of `rare` ones are apart: Adam moves a row that is looked up once as far as any, and so learns it by
    heart, unless it fades before it is looked up again.
    """
    found = set()
    for child in module.modules():
        name = "weight" if isinstance(child, nn.Embedding) else getattr(child, "looked_up", None)
        if name and getattr(child, "rare", False) == rare:
            found.add(id(child.get_parameter(name)))
    return found


def _decays(param: Tensor) -> bool:
    return param.ndim >= 2


def _groups(module: nn.Module, muon: bool) -> tuple[list[Tensor], list[Tensor]]:
    """Matrices and filters inside the network for Muon, and all the rest.

    First and last layers, embeddings and anything with a side of 1 stay with AdamW: a module says
    so by a `plain` attribute, or by being the head.
    """
    params = [(name, param) for name, param in module.named_parameters() if param.requires_grad]
    if not muon:
        return [], [param for _, param in params]
    plain = {
        id(param)
        for child in module.modules()
        if getattr(child, "plain", False)
        for param in child.parameters()
    }
    inner: list[Tensor] = [
        param
        for name, param in params
        if param.ndim in (2, 4)
        and min(param.shape[0], param[0].numel()) > 1
        and id(param) not in plain
        and not name.startswith("head.")
    ]
    chosen = {id(param) for param in inner}
    return inner, [param for _, param in params if id(param) not in chosen]
