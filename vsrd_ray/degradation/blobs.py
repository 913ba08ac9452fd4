"""False objects: blobs that last a few frames at places of the image where there is no object.

Shapes: H x W pixels, S corners.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from vsrd_ray.data.classes import IDS_PER_CLASS
from vsrd_ray.degradation.chance import Dice
from vsrd_ray.degradation.scan import Seen
from vsrd_ray.degradation.tracks import Numbers

_LEAST_FRAMES, _MOST_FRAMES = 2, 6
_TRIES = 40  # places that are looked at; each time the blob gets smaller
_SHRINK = 0.95
_LEAST_SIDE = 8.0  # px
_CLEARANCE = 8  # px to the boxes of objects
_CORNERS = 48
_LARGEST = 0.4  # of the image's sides


@dataclass(frozen=True)
class Blob:
    """One false object."""

    instance_id: int
    frames: tuple[int, ...]  # ascending
    center_uv: np.ndarray  # [2] float64 px, in its first frame
    drift_uv: np.ndarray  # [2] float64 px a frame
    corners_uv: np.ndarray  # [S, 2] float64 px, of its outline around its centre

    def mask(
        self,
        frame: int,
        image_size: tuple[int, int],  # (width, height) px
    ) -> np.ndarray:
        """The blob in a frame: [H, W] bool, empty but in its own frames."""
        width, height = image_size
        drawn = np.zeros((height, width), dtype=np.uint8)
        if frame in self.frames:
            corners = self.corners_uv + self.center_uv + self.frames.index(frame) * self.drift_uv
            cv2.fillPoly(drawn, [np.rint(corners).astype(np.int32)], color=1)
        return drawn.astype(bool)


def blobs_of(
    seen: Seen,
    share: float,
    dice: Dice,
    numbers: Numbers,
    image_size: tuple[int, int],  # (width, height) px
) -> list[Blob]:
    """False objects of a drive, a share of the number of its tracks: as large as its masks, and of their classes.

    Those that find no place are left out.

    Raises:
        InputError: a class has no instance number left.
    """
    blobs: list[Blob] = []
    for number in range(round(share * len(seen.tracks))):
        if (blob := _blob(seen, dice.stream("false", number), numbers, np.array(image_size))) is not None:
            blobs.append(blob)
    return blobs


def _blob(seen: Seen, rng: np.random.Generator, numbers: Numbers, image_size: np.ndarray) -> Blob | None:
    model = int(rng.integers(len(seen.ids)))  # the mask that it is as large as
    count = min(int(rng.integers(_LEAST_FRAMES, _MOST_FRAMES + 1)), len(seen.readable))
    start = int(rng.integers(len(seen.readable) - count + 1))
    frames = seen.readable[start : start + count]
    boxes = np.concatenate([seen.boxes_xyxy[seen.rows_in(frame)] for frame in frames])
    size = np.minimum(seen.boxes_xyxy[model, 2:] - seen.boxes_xyxy[model, :2] + 1, _LARGEST * image_size)
    outline, drift = _outline(rng), rng.uniform(-2.0, 2.0, size=2)
    for attempt in range(_TRIES):
        sides = np.maximum(size * _SHRINK**attempt, _LEAST_SIDE)
        center = rng.uniform(sides / 2, image_size - sides / 2)
        ends = np.stack([center, center + (count - 1) * drift])
        low, high = ends.min(axis=0) - sides / 2 - _CLEARANCE, ends.max(axis=0) + sides / 2 + _CLEARANCE
        if not ((boxes[:, :2] <= high) & (boxes[:, 2:] >= low)).all(axis=1).any():
            instance_id = numbers.take(int(seen.ids[model]) // IDS_PER_CLASS)
            return Blob(instance_id, frames, center, drift, outline * sides / 2)
    return None


def _outline(rng: np.random.Generator) -> np.ndarray:
    """An uneven closed curve [S, 2] within the square from -1 to 1."""
    angles = np.linspace(0, 2 * np.pi, _CORNERS, endpoint=False)
    waves = [rng.uniform(0, 0.3 / order) * np.cos(order * angles + rng.uniform(0, 2 * np.pi)) for order in (2, 3, 5)]
    radii = 1 + np.sum(waves, axis=0)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1) * (radii / radii.max())[:, None]
