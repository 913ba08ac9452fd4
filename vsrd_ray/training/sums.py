"""Sums over the workers of a run: of one process alone, or of all in torch's process group."""

from collections.abc import Iterable
from typing import Any, Protocol

import torch
import torch.distributed as dist
from torch import Tensor, nn


class Workers(Protocol):
    """The workers of a run, as each of them sees them."""

    @property
    def rank(self) -> int:
        """Which one this is, from 0; the first one writes."""
        ...

    @property
    def world_size(self) -> int:
        """How many there are."""
        ...

    def add(self, values: Tensor) -> Tensor:
        """The sum over all workers, in place."""
        ...

    def gather(self, value: Any) -> list[Any]:
        """What each worker gives, by rank; plain values."""
        ...


class Alone:
    """One process."""

    rank, world_size = 0, 1

    def add(self, values: Tensor) -> Tensor:
        """The values themselves."""
        return values

    def gather(self, value: Any) -> list[Any]:
        """The value alone."""
        return [value]


class Together:
    """The process group that this process is in."""

    def __init__(self) -> None:
        self.rank, self.world_size = dist.get_rank(), dist.get_world_size()

    def add(self, values: Tensor) -> Tensor:
        """See `Workers`."""
        dist.all_reduce(values)
        return values

    def gather(self, value: Any) -> list[Any]:
        """See `Workers`."""
        found: list[Any] = [None] * self.world_size
        dist.all_gather_object(found, value)
        return found


def add_gradients(parameters: Iterable[nn.Parameter], workers: Workers) -> None:
    """Add the gradients of all workers up, in one message for each dtype; one that none of them has stays None."""
    if workers.world_size == 1:
        return
    by_dtype: dict[torch.dtype, list[nn.Parameter]] = {}
    for parameter in parameters:
        by_dtype.setdefault(parameter.dtype, []).append(parameter)
    for some in by_dtype.values():
        grads = [torch.zeros_like(one) if one.grad is None else one.grad for one in some]
        present = torch.tensor([float(one.grad is not None) for one in some]).to(grads[0])
        flat = workers.add(torch.cat([*(one.reshape(-1) for one in grads), present]))
        has_any = flat[-len(some) :].tolist()
        parts = flat[: -len(some)].split([one.numel() for one in some])
        for one, part, count in zip(some, parts, has_any, strict=True):
            one.grad = part.view_as(one).clone() if count else None
