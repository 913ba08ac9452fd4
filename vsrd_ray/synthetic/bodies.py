"""What the bodies of all vehicles are made of: a shape with ranges of its size, lofts through rings of points, wheels.

Every vehicle touches all six sides of its box. Frames: x forward, y left, z up, about the box's centre; while a vehicle
is being built, its origin lies on the ground below that.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from vsrd_ray.synthetic.meshes import (
    Mesh,
    facing_outward,
    joined,
    painted,
    prism,
    regular_polygon,
    shifted,
    split_quads,
)

GLASS, TYRE, RIM = (38, 46, 54), (26, 26, 28), (128, 130, 134)
HEADLAMP, TAIL_LAMP, TRIM = (214, 218, 220), (150, 26, 24), (34, 34, 36)

Color = tuple[float, float, float]  # RGB 0..255
Part = tuple[np.ndarray, np.ndarray | Color]  # faces [F, 4, 3] in metres, and their colours [F, 3] or one for all


@dataclass(frozen=True, kw_only=True)
class Shape(ABC):
    """A kind of vehicle: ranges of its size, and where it stands on the road."""

    name: str
    class_name: str  # as in KITTI-360's masks
    length: tuple[float, float]  # m
    width: tuple[float, float]  # m
    height: tuple[float, float]  # m
    axles: tuple[float, ...]  # x of the wheels, shares of the length

    def random_dimensions(self, rng: np.random.Generator) -> np.ndarray:
        """Length, width and height [3], metres."""
        return np.array([rng.uniform(*side) for side in (self.length, self.width, self.height)])

    @abstractmethod
    def mesh(self, dimensions_lwh: np.ndarray, *, paint: Color, instance_id: int) -> Mesh:
        """The vehicle in the frame of its box, metres: the vertices' bounding box is the box.

        Args:
            dimensions_lwh: [3] metres.
            paint: RGB 0..255.
            instance_id: semantic id * 1000 + instance id.
        """


def assembled(parts: Iterable[Part], height: float, *, instance_id: int) -> Mesh:
    """A vehicle of a given height (metres) in the frame of its box, from parts that stand on the ground."""
    vehicle = joined(painted(faces, colors, instance_id=instance_id) for faces, colors in parts)
    return vehicle.placed(0.0, np.array([0.0, 0.0, -height / 2]))


def loft(
    half_rings: np.ndarray,  # [R, P, 3] left halves from front to rear, from the bottom up
    colors: np.ndarray,  # [R, P + 1, 3] of R - 1 bands and the deck; P - 1 columns along the side, then rear and front
) -> tuple[np.ndarray, np.ndarray]:
    """Faces [F, 4, 3] and colours [F, 3] of the mirrored solid through the rings, closed at the bottom and the top."""
    columns = half_rings.shape[1]
    right = half_rings * [1, -1, 1]
    loops = np.concatenate([half_rings, right[:, ::-1]], axis=1)
    following = np.roll(loops, -1, axis=1)
    quads = np.stack([loops[:-1], following[:-1], following[1:], loops[1:]], axis=2)
    along = [*range(columns - 1), columns - 1, *range(columns - 2, -1, -1), columns]
    sides = split_quads(quads.reshape(-1, 4, 3))
    side_colors = colors[:-1][:, along].reshape(-1, 3).repeat(2, axis=0)
    decks = [np.stack([half_rings[r, :-1], half_rings[r, 1:], right[r, 1:], right[r, :-1]], axis=1) for r in (0, -1)]
    faces = np.concatenate([sides, *decks])
    deck_colors = [np.broadcast_to(TRIM, (columns - 1, 3)), colors[-1, : columns - 1]]
    return facing_outward(faces, loops.mean(axis=(0, 1))), np.concatenate([side_colors, *deck_colors])


def wheels(
    dimensions_lwh: np.ndarray,  # [3] metres
    axles: Iterable[float],  # x of the wheels, shares of the length
    *,
    radius: float,  # m
    breadth: float,  # m
) -> list[Part]:
    """A wheel at each end of every axle, standing on the ground just inside the vehicle's sides."""
    length, width, _ = dimensions_lwh
    parts: list[Part] = []
    for x in (share * length for share in axles):
        for side in (1, -1):
            tyre = disc(radius, 0.490 * width * side, 0.490 * width * side - breadth * side, x=x, z=radius)
            rim = disc(0.58 * radius, 0.495 * width * side, 0.470 * width * side, x=x, z=radius)
            parts += [(tyre, TYRE), (rim, RIM)]
    return parts


def disc(radius: float, outer: float, inner: float, *, x: float, z: float) -> np.ndarray:
    """Faces of a wheel about the axis through (x, z), between two values of y, metres."""
    circle = regular_polygon(12, radius)
    flat = np.stack([circle[:, 0] + x, np.zeros(12), circle[:, 1] + z], axis=-1)
    return prism(shifted(flat, y=inner), shifted(flat, y=outer))
