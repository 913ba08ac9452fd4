"""Meshes of flat triangles and quadrilaterals, and the solids that a street is built from.

Shapes: F faces. A face has four corners, counter-clockwise seen from outside; a triangle repeats its last one.
Everything stands in metres in the frame of its object (x forward, y left, z up) or of the street (z up).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

# Directions of the corners of an icosahedron, and its 20 triangles.
_GOLDEN = (1 + 5**0.5) / 2
_ICOSAHEDRON = np.array(
    [
        *[[-1, y, 0] for y in (_GOLDEN, -_GOLDEN)],
        *[[1, y, 0] for y in (_GOLDEN, -_GOLDEN)],
        *[[0, -1, z] for z in (_GOLDEN, -_GOLDEN)],
        *[[0, 1, z] for z in (_GOLDEN, -_GOLDEN)],
        *[[x, 0, -1] for x in (_GOLDEN, -_GOLDEN)],
        *[[x, 0, 1] for x in (_GOLDEN, -_GOLDEN)],
    ]
)
_ICOSAHEDRON = _ICOSAHEDRON / np.linalg.norm(_ICOSAHEDRON, axis=1, keepdims=True)


@dataclass(frozen=True)
class Mesh:
    """Faces with their looks and labels."""

    faces: np.ndarray  # [F, 4, 3] float64, metres
    colors: np.ndarray  # [F, 3] float64, RGB 0..255 in full light
    roughness: np.ndarray  # [F] float64, relative strength of the surface's texture
    ids: np.ndarray  # [F] int64, semantic id * 1000 + instance id

    def placed(self, yaw: float, translation: np.ndarray) -> "Mesh":
        """The mesh turned by `yaw` (radians about z) and then moved by `translation` [3], metres."""
        cos, sin = np.cos(yaw), np.sin(yaw)
        rotation = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
        return replace(self, faces=self.faces @ rotation.T + translation)


def painted(
    faces: np.ndarray,  # [F, 4, 3] metres
    color: Sequence[float] | np.ndarray,  # [3] or [F, 3], RGB 0..255
    *,
    instance_id: int,  # semantic id * 1000 + instance id
    roughness: float = 0.0,
) -> Mesh:
    """A mesh of one label."""
    count = len(faces)
    colors = np.broadcast_to(np.asarray(color, dtype=np.float64), (count, 3))
    return Mesh(faces, colors, np.full(count, roughness), np.full(count, instance_id))


def joined(meshes: Iterable[Mesh]) -> Mesh:
    """All faces of at least one mesh, in order."""
    parts = list(meshes)
    return Mesh(
        faces=np.concatenate([part.faces for part in parts]),
        colors=np.concatenate([part.colors for part in parts]),
        roughness=np.concatenate([part.roughness for part in parts]),
        ids=np.concatenate([part.ids for part in parts]),
    )


def face_normals(faces: np.ndarray) -> np.ndarray:
    """Vectors [F, 3] along the outward normals of faces [F, 4, 3], twice their area long."""
    return np.cross(faces[:, 2] - faces[:, 0], faces[:, 3] - faces[:, 1])


def facing_outward(
    faces: np.ndarray,  # [F, 4, 3] metres
    center: np.ndarray,  # [3] metres, a point from which every face is seen from inside
) -> np.ndarray:
    """The same faces [F, 4, 3], each turned so that it is counter-clockwise seen from outside."""
    inward = np.einsum("fi,fi->f", face_normals(faces), faces.mean(axis=1) - center) < 0
    # Reversed, a triangle would repeat its first corner instead of its last; rolling it restores the order.
    return np.where(inward[:, None, None], np.roll(faces[:, ::-1], -2, axis=1), faces)


def split_quads(quads: np.ndarray) -> np.ndarray:
    """Triangles [2 F, 4, 3] that cover quadrilaterals [F, 4, 3], which need not be flat."""
    first = quads[:, [0, 1, 2, 2]]
    second = quads[:, [0, 2, 3, 3]]
    return np.stack([first, second], axis=1).reshape(-1, 4, 3)


def shifted(points: np.ndarray, *, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> np.ndarray:
    """Points [..., 3] moved along the axes."""
    return points + np.array([x, y, z])


def cuboid(low: Sequence[float], high: Sequence[float]) -> np.ndarray:
    """Faces [6, 4, 3] of an axis-aligned box: left, right, front, rear, top, bottom."""
    (x0, y0, z0), (x1, y1, z1) = low, high
    faces = [
        [[x1, y1, z0], [x0, y1, z0], [x0, y1, z1], [x1, y1, z1]],
        [[x0, y0, z0], [x1, y0, z0], [x1, y0, z1], [x0, y0, z1]],
        [[x1, y0, z0], [x1, y1, z0], [x1, y1, z1], [x1, y0, z1]],
        [[x0, y1, z0], [x0, y0, z0], [x0, y0, z1], [x0, y1, z1]],
        [[x0, y0, z1], [x1, y0, z1], [x1, y1, z1], [x0, y1, z1]],
        [[x0, y1, z0], [x1, y1, z0], [x1, y0, z0], [x0, y0, z0]],
    ]
    return np.array(faces, dtype=np.float64)


def regular_polygon(count: int, radius: float) -> np.ndarray:
    """Corners [count, 2] on a circle about the origin, counter-clockwise, the first one at its lowest point."""
    angles = np.arange(count) * (2 * np.pi / count) - np.pi / 2
    return radius * np.stack([np.cos(angles), np.sin(angles)], axis=-1)


def fan(polygon: np.ndarray) -> np.ndarray:
    """Quadrilaterals [P / 2 - 1, 4, 3] that cover a flat convex polygon [P, 3] with an even number of corners."""
    starts = np.arange(1, len(polygon) - 2, 2)
    return polygon[np.stack([np.zeros_like(starts), starts, starts + 1, starts + 2], axis=-1)]


def prism(bottom: np.ndarray, top: np.ndarray) -> np.ndarray:
    """Faces of the convex solid between two flat polygons [P, 3] with an even number of corners, in the same order."""
    sides = np.stack([bottom, np.roll(bottom, -1, axis=0), np.roll(top, -1, axis=0), top], axis=1)
    faces = np.concatenate([split_quads(sides), fan(top), fan(bottom)])
    return facing_outward(faces, np.concatenate([bottom, top]).mean(axis=0))


def column(
    radius: float,
    height: float,
    *,
    sides: int = 8,
) -> np.ndarray:
    """Faces of an upright column that stands on the origin."""
    circle = np.pad(regular_polygon(sides, radius), ((0, 0), (0, 1)))
    return prism(circle, shifted(circle, z=height))


def blob(radii: Sequence[float], rng: np.random.Generator) -> np.ndarray:
    """Faces [80, 4, 3] of a bumpy ellipsoid about the origin, such as foliage, with half axes `radii` [3]."""
    directions, triangles = _geodesic_sphere()
    corners = directions * rng.uniform(0.78, 1.1, size=(len(directions), 1)) * np.asarray(radii)
    return facing_outward(corners[triangles[:, [0, 1, 2, 2]]], np.zeros(3))


def _geodesic_sphere() -> tuple[np.ndarray, np.ndarray]:
    """Directions [42, 3] and triangles [80, 3] of an icosahedron with every triangle cut in four."""
    triangles = _icosahedron_triangles()
    corners = [*_ICOSAHEDRON]
    middles: dict[frozenset[int], int] = {}

    def middle(a: int, b: int) -> int:
        if (edge := frozenset((a, b))) not in middles:
            middles[edge] = len(corners)
            direction = corners[a] + corners[b]
            corners.append(direction / np.linalg.norm(direction))
        return middles[edge]

    cut = []
    for a, b, c in triangles:
        ab, bc, ca = middle(a, b), middle(b, c), middle(c, a)
        cut += [[a, ab, ca], [ab, b, bc], [ca, bc, c], [ab, bc, ca]]
    return np.array(corners), np.array(cut)


def _icosahedron_triangles() -> list[tuple[int, int, int]]:
    """All triples of corners that are neighbours of one another."""
    near = _ICOSAHEDRON @ _ICOSAHEDRON.T > 0.4
    count = len(_ICOSAHEDRON)
    pairs = [(a, b) for a in range(count) for b in range(a + 1, count) if near[a, b]]
    return [(a, b, c) for a, b in pairs for c in range(b + 1, count) if near[a, c] and near[b, c]]
