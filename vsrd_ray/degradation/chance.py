"""Random numbers by name: each depends on its own key, and not on what was drawn before it."""

from dataclasses import dataclass
from hashlib import blake2b

import numpy as np


@dataclass(frozen=True)
class Dice:
    """The random numbers of one sequence and camera."""

    seed: int
    sequence: str
    camera: str

    def uniform(self, kind: str, *key: int) -> float:
        """A number in [0, 1) for one purpose, such as "miss", and one thing, such as a frame and an instance."""
        return int.from_bytes(self._digest(kind, key)[:8], "little") / 2**64

    def stream(self, kind: str, *key: int) -> np.random.Generator:
        """A generator for one purpose and one thing."""
        return np.random.default_rng(int.from_bytes(self._digest(kind, key), "little"))

    def _digest(self, kind: str, key: tuple[int, ...]) -> bytes:
        parts = (self.seed, self.sequence, self.camera, kind, *key)
        return blake2b("\0".join(map(str, parts)).encode(), digest_size=16).digest()
