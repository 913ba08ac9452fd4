"""Plain car bodies that touch their box on every side: what a fit starts from, before it learns a car's own shape.

A body is a union of convex solids given by their vertices in the box [-1, 1]^3 (x right, y down, z forward): the lower
body, the cabin and four wheels, with air under the sill. Shapes: P points, Q vertices, H planes.
"""

from dataclasses import dataclass

import numpy as np
from scipy.spatial import ConvexHull

Vertices = list[tuple[float, float, float]]

# Right halves; left is their mirror image.
_LOWER_BODY: Vertices = [
    (0.72, 0.66, 0.97), (0.80, 0.63, -0.97),  # lower edges of the bumpers
    (0.93, 0.70, 0.80), (0.93, 0.70, -0.85),  # sill
    (0.62, 0.35, 1.00), (0.72, 0.30, -1.00),  # bumpers
    (0.95, 0.35, 0.82), (0.97, 0.30, -0.85),  # corners of the flanks
    (1.00, 0.10, 0.45), (1.00, 0.10, -0.50),  # flanks
    (0.70, 0.00, 0.92), (0.90, -0.12, 0.50),  # bonnet
]  # fmt: skip
_WHEEL: Vertices = [
    (x, y, z)
    for x in (0.62, 0.95)
    for y, z in ((1.00, -0.05), (1.00, 0.05), (0.85, 0.13), (0.85, -0.13), (0.60, 0.13), (0.60, -0.13))
]
_AXLES = (0.58, -0.58)


@dataclass(frozen=True)
class Body:
    """A car body as a union of convex solids."""

    solids: tuple[np.ndarray, ...]  # each [Q, 3], vertices in the unit box

    @property
    def vertices(self) -> np.ndarray:
        """All vertices, [Q, 3]."""
        return np.concatenate(self.solids)

    def signed_distances(
        self,
        points: np.ndarray,  # [P, 3] metres, in the box's own frame
        half_extents: np.ndarray,  # [3] metres, half of width, height, length
    ) -> np.ndarray:
        """Signed distances [P] metres to the body scaled to a box: the largest distance to a solid's planes.

        Exact inside a solid and beside its faces; beside edges it is too short.
        """
        distances = []
        for solid in self.solids:
            planes = ConvexHull(solid * half_extents).equations  # [H, 4]
            distances.append((points @ planes[:, :3].T + planes[:, 3]).max(axis=-1))
        return np.min(distances, axis=0)


def _body(roof: Vertices, tail: Vertices) -> Body:
    windscreen = [(0.90, -0.12, 0.50)]
    wheels = [np.array(_WHEEL) * (side, 1, 1) + (0, 0, axle) for side in (1, -1) for axle in _AXLES]
    return Body(solids=(_mirrored(_LOWER_BODY + tail), _mirrored(windscreen + roof + tail), *wheels))


def _mirrored(right: Vertices) -> np.ndarray:
    return np.concatenate([np.array(right), np.array(right) * (-1, 1, 1)])


SALOON = _body(
    roof=[(0.74, -0.90, 0.12), (0.68, -1.00, -0.05), (0.68, -1.00, -0.35), (0.74, -0.88, -0.48)],
    tail=[(0.92, -0.12, -0.62), (0.78, -0.15, -0.96)],
)
HATCHBACK = _body(
    roof=[(0.74, -0.90, 0.18), (0.70, -1.00, -0.02), (0.72, -1.00, -0.60), (0.76, -0.88, -0.80)],
    tail=[(0.92, -0.12, -0.85), (0.84, -0.10, -0.99)],
)
BODIES = (SALOON, HATCHBACK)

# Typical half extents (width, height, length) of a car, and their spread, metres.
TYPICAL_HALF_EXTENTS = np.array([0.87, 0.77, 2.10])
HALF_EXTENTS_SPREAD = np.array([0.06, 0.07, 0.25])
