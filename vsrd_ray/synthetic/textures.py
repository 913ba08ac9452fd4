"""Rich texture: fine and coarse marks that are fixed to every surface, and filtered to what a pixel covers.

One square of noise repeats over all surfaces. Its place on a surface, its strength and its grey value do not depend on
the camera, so a pixel warped from one view into another finds its value there. Copies of half, a quarter, … of the
size serve surfaces that are far away. Shapes: F faces, P pixels.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter

from vsrd_ray.synthetic.meshes import face_normals
from vsrd_ray.synthetic.street import Street

_SIDE = 1024  # texels of the finest copy
_METRES = 0.008  # of a texel of the finest copy
# Of each layer of noise: the size of its marks (texels), how much smaller a canvas it is drawn on, and its weight.
_GRAINS = (
    (0.9, 1, 0.8),
    (2.2, 1, 1.0),
    (5.0, 1, 1.0),
    (12.0, 4, 1.0),
    (30.0, 8, 0.9),
    (75.0, 16, 0.8),
    (180.0, 32, 0.6),
)
_LEVELS = 9  # copies
_FLAT = 0.7  # vertical part of a face's normal beyond which it is textured from above


@dataclass(frozen=True)
class Surfaces:
    """How texture lies on faces: a place is axes @ (x, y, z, 1), in metres of texture, for points of the street."""

    axes: np.ndarray  # [2, 4, F] float32
    normals: np.ndarray  # [3, F] float32, of length 1

    @classmethod
    def of(cls, faces: np.ndarray) -> "Surfaces":
        """Texture on faces [F, 4, 3] in their own frame: from above, or upright along walls."""
        normals = face_normals(faces)
        normals /= np.linalg.norm(normals, axis=1, keepdims=True)
        axes = np.zeros((2, 4, len(faces)))
        flat = np.abs(normals[:, 2]) > _FLAT
        axes[0, 0, flat] = axes[1, 1, flat] = 1
        along = np.stack([-normals[:, 1], normals[:, 0]])[:, ~flat]
        axes[0, :2, ~flat] = (along / np.linalg.norm(along, axis=0)).T
        axes[1, 2, ~flat] = 1
        return cls(axes.astype(np.float32), normals.T.astype(np.float32))

    def placed(self, yaw: float, translation: np.ndarray) -> "Surfaces":
        """The texture of faces that were turned by `yaw` (radians about z) and then moved [3], metres."""
        cos, sin = np.cos(yaw), np.sin(yaw)
        rotation = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
        axes = self.axes.astype(np.float64)
        axes[:, :3] = np.einsum("ij,kjf->kif", rotation, axes[:, :3])
        axes[:, 3] -= np.einsum("i,kif->kf", translation, axes[:, :3])
        return Surfaces(axes.astype(np.float32), (rotation @ self.normals).astype(np.float32))


class StreetSurfaces:
    """The texture of one street's faces in any frame: it goes along with cars that drive."""

    def __init__(self, street: Street) -> None:
        self._street = street
        self._scenery = Surfaces.of(street.scenery.faces)
        self._moving = [Surfaces.of(vehicle.mesh.faces) for vehicle in street.moving]

    def at(self, frame: float) -> Surfaces:
        """How texture lies on the faces of `street.mesh_at(frame)`."""
        parts = [self._scenery]
        for vehicle, surfaces in zip(self._street.moving, self._moving, strict=True):
            center, yaw = vehicle.pose_at(frame)
            parts.append(surfaces.placed(yaw, center))
        # Index -1, where no face is seen, takes the row that is appended for nothing.
        nothing = Surfaces(np.zeros((2, 4, 1), np.float32), np.zeros((3, 1), np.float32))
        axes, normals = zip(*((part.axes, part.normals) for part in (*parts, nothing)), strict=True)
        return Surfaces(np.concatenate(axes, axis=-1), np.concatenate(normals, axis=-1))


class RichTexture:
    """Noise that repeats without a seam, in copies of several sizes."""

    def __init__(self, rng: np.random.Generator) -> None:
        noise = np.zeros((_SIDE, _SIDE), dtype=np.float32)
        for grain, shrink, weight in _GRAINS:
            canvas = rng.standard_normal((_SIDE // shrink, _SIDE // shrink), dtype=np.float32)
            noise += np.float32(weight) * _enlarged(gaussian_filter(canvas, grain / shrink, mode="wrap"), shrink)
        levels = [np.clip(noise / noise.std(), -2.5, 2.5)]
        while len(levels) < _LEVELS:
            levels.append(cv2.resize(levels[-1], None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))
        # All copies lie in one picture, the first to the left, the others below one another beside it. Each has one
        # more row and column, in which it begins anew.
        self._atlas = np.zeros((_SIDE + _LEVELS, _SIDE + _SIDE // 2 + 2), dtype=np.float32)
        corners, top = [(0, 0)], 0
        for level in levels[1:]:
            corners.append((_SIDE + 1, top))
            top += len(level) + 1
        for level, (left, top) in zip(levels, corners, strict=True):
            side = len(level) + 1
            self._atlas[top : top + side, left : left + side] = np.pad(level, (0, 1), mode="wrap")
        self._sides = np.array([len(level) for level in levels], dtype=np.float32)
        self._corners = np.array(corners, dtype=np.float32).T

    def at(
        self,
        s: np.ndarray,  # [H, W] float32 metres of texture
        t: np.ndarray,  # [H, W] float32 metres of texture
        footprint: np.ndarray,  # [H, W] float32 metres that a pixel covers
    ) -> np.ndarray:
        """Values [H, W] float32, of standard deviation 1 nearby, less where marks are finer than a pixel."""
        level = np.rint(np.log2(np.maximum(footprint * np.float32(1 / _METRES), 1))).astype(np.intp)
        level = np.minimum(level, _LEVELS - 1)
        side = self._sides[level]
        turns, half = np.float32(1 / (_SIDE * _METRES)), np.float32(0.5) / side
        # The centre of a copy's texel i lies at (i + .5) / side; so do those of all copies.
        x, y = (
            (share - np.floor(share)) * side + corner[level]
            for share, corner in zip((s * turns - half, t * turns - half), self._corners, strict=True)
        )
        return cv2.remap(self._atlas, x, y, cv2.INTER_LINEAR)


def _enlarged(layer: np.ndarray, factor: int) -> np.ndarray:
    """A repeating layer `factor` times as large, of standard deviation 1."""
    margin = 2
    padded = np.pad(layer / layer.std(), margin, mode="wrap")
    large = cv2.resize(padded, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
    inner = slice(margin * factor, large.shape[0] - margin * factor)
    return large[inner, inner]
