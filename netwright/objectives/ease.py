"""Items recommended by items, linearly and in closed form."""

# U = users, I = items

from __future__ import annotations

import torch
from torch import Tensor

AT_ONCE = 512
"""Items whose counts are made together."""


def gram(users: Tensor, items: Tensor, count: int) -> Tensor:
    """(I, I) how often two items were taken by one user; on the diagonal how often each was.

    Args:
        users: (N,) number of the user of each interaction.
        items: (N,) number of its item, 0 to `count` - 1; each pair once.
        count: Number of items.
    """
    _, user_N = torch.unique(users, return_inverse=True)
    users_there = int(user_N.max()) + 1 if len(user_N) else 0
    place_2N = torch.stack([items, user_N])
    x_IU = torch.sparse_coo_tensor(
        place_2N, torch.ones(len(items)), (count, users_there), check_invariants=True
    )
    found_II = torch.empty(count, count)
    for start in range(0, count, AT_ONCE):
        stop = min(count, start + AT_ONCE)
        mine = (items >= start) & (items < stop)
        some_UC = torch.zeros(users_there, stop - start)
        some_UC[user_N[mine], items[mine] - start] = 1.0
        found_II[:, start:stop] = torch.sparse.mm(x_IU, some_UC)
    return found_II


def weights(gram_II: Tensor, ridge: float) -> Tensor:
    """(I, I) what each item in a history (down) says for each other item (across); 0 on the diagonal.

    Minimises ||X - X B||^2 + ridge ||B||^2 with a diagonal of zeros: B = I - P / diag(P), P the inverse of
    X'X + ridge I.

    A ridge that single precision loses beside so many users is raised tenfold until it is not lost.

    Reference: Steck 2019, https://arxiv.org/abs/1905.03375 (EASE).
    """
    size = len(gram_II)
    regular, failed = gram_II.clone(), True
    while failed:
        regular.diagonal().copy_(gram_II.diagonal() + ridge)
        factor, info = torch.linalg.cholesky_ex(regular)
        failed, ridge = bool(info), 10.0 * ridge
    inverse = torch.cholesky_inverse(factor)
    found = -inverse / inverse.diagonal().unsqueeze(0)
    found[torch.arange(size), torch.arange(size)] = 0.0
    return found
