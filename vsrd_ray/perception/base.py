"""What every segmenter is. Shapes: D detections, H x W pixels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np


@dataclass(frozen=True)
class Detections:
    """What was found in one image, by falling score."""

    masks: np.ndarray  # [D, H, W] bool
    labels: tuple[str, ...]  # [D] in the model's words
    scores: np.ndarray  # [D] float32, 0..1


class Segmenter(Protocol):
    """Finds the objects in images."""

    @property
    def labels(self) -> tuple[str, ...]:
        """All names that it can give, in the order of its classes; none where it finds what any word says."""
        ...

    def segment(self, images: Sequence[np.ndarray], *, min_score: float, wanted: Sequence[str]) -> list[Detections]:
        """The objects in some images of one size, a batch for the device.

        What is found in an image does not depend on the others but for rounding, unless they are taken as a video.

        Args:
            images: [H, W, 3] uint8, BGR.
            min_score: what is scored lower is left out.
            wanted: some of `labels`, if there are any; others are left out.
        """
        ...
