"""Order of samples and random numbers, from (seed, step, sample) alone: never from the worker that draws.

Shapes: B samples of a batch.
"""

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from itertools import islice

import torch
from torch import Tensor

VALIDATION = -1  # in place of a step: validation draws the same whenever it is done


def generator(*parts: object) -> torch.Generator:
    """A CPU generator whose stream depends on what is given alone, such as a seed, a step and a sample's name."""
    digest = hashlib.sha256("\0".join(map(str, parts)).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)


class Draws:
    """Random numbers of the samples of a batch, each from a stream of its own, put on one device.

    They are drawn on the CPU, so that every device and every split of a batch over workers gives the same.
    """

    def __init__(self, generators: Sequence[torch.Generator], device: torch.device | str = "cpu") -> None:
        self.generators, self.device = tuple(generators), torch.device(device)

    @staticmethod
    def of(seed: int, step: int, ids: Sequence[str], purpose: str, device: torch.device | str = "cpu") -> "Draws":
        """The draws of some samples in a step; those for a purpose do not depend on those for others."""
        return Draws([generator(seed, step, purpose, one) for one in ids], device)

    def __len__(self) -> int:
        return len(self.generators)

    def rand(self, *shape: int) -> Tensor:
        """Uniform numbers [B, *shape] float32 in [0, 1)."""
        return self._stack([torch.rand(shape, generator=one) for one in self.generators])

    def randn(self, *shape: int) -> Tensor:
        """Normal numbers [B, *shape] float32."""
        return self._stack([torch.randn(shape, generator=one) for one in self.generators])

    def randint(self, high: int, *shape: int) -> Tensor:
        """Whole numbers [B, *shape] int64 in [0, high)."""
        return self._stack([torch.randint(high, shape, generator=one) for one in self.generators])

    def randperm(self, count: int) -> Tensor:
        """A permutation [B, count] int64 for each sample."""
        return self._stack([torch.randperm(count, generator=one) for one in self.generators])

    def _stack(self, drawn: list[Tensor]) -> Tensor:
        return torch.stack(drawn).to(self.device, non_blocking=True)


def batch_of(step: int, *, count: int, batch_size: int, seed: int) -> list[int]:
    """Numbers of the samples [batch_size] of a step (from 0): each once an epoch, in an order of the epoch's own.

    Batches run on over the ends of epochs, so that every step has as many samples.
    """
    first, found = step * batch_size, list[int]()
    while len(found) < batch_size:
        epoch, place = divmod(first + len(found), count)
        found += islice(_order(seed, epoch, count), place, place + batch_size - len(found))
    return found


@lru_cache(maxsize=2)
def _order(seed: int, epoch: int, count: int) -> list[int]:
    return torch.randperm(count, generator=generator(seed, "order", epoch)).tolist()


def share_of(numbers: Sequence[int], *, rank: int, world_size: int) -> list[int]:
    """The part of a batch that is one worker's: neighbours, as even as can be."""
    size = len(numbers)
    return list(numbers[rank * size // world_size : (rank + 1) * size // world_size])
