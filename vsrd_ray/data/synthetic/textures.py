"""Rich texture: fine and coarse marks that are fixed to every surface, and filtered to what a pixel covers.

One square of noise repeats over all surfaces. Its place on a surface, its strength and its grey value do not depend on
the camera, so a pixel warped from one view into another finds its value there. Copies of half, a quarter, … of the
size serve surfaces that are far away. Shapes: F faces, P pixels.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter

from vsrd_ray.data.synthetic.meshes import face_normals
from vsrd_ray.data.synthetic.street import Street

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
    """How texture lies on faces: place = axes @ (x, y, z, 1), in metres of texture, for points of the street."""

    axes: np.ndarray  # [F + 1, 2, 4] float32; the last row is nothing's
    normals: np.ndarray  # [F + 1, 3] float32, of length 1

    @classmethod
    def of(cls, faces: np.ndarray) -> "Surfaces":
        """Texture on faces [F, 4, 3] in their own frame: from above, or upright along walls."""
        normals = face_normals(faces)
        normals /= np.linalg.norm(normals, axis=1, keepdims=True)
        axes = np.zeros((len(faces), 2, 4))
        flat = np.abs(normals[:, 2]) > _FLAT
        axes[flat, 0, 0] = axes[flat, 1, 1] = 1
        along = np.stack([-normals[:, 1], normals[:, 0]], axis=-1)[~flat]
        axes[~flat, 0, :2] = along / np.linalg.norm(along, axis=1, keepdims=True)
        axes[~flat, 1, 2] = 1
        return cls(axes, normals)

    def placed(self, yaw: float, translation: np.ndarray) -> "Surfaces":
        """The texture of faces that were turned by `yaw` (radians about z) and then moved [3], metres."""
        cos, sin = np.cos(yaw), np.sin(yaw)
        rotation = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
        axes = self.axes.copy()
        axes[..., :3] = self.axes[..., :3] @ rotation.T
        axes[..., 3] -= axes[..., :3] @ translation
        return Surfaces(axes, self.normals @ rotation.T)


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
        axes = np.concatenate([*(part.axes for part in parts), np.zeros((1, 2, 4))])
        normals = np.concatenate([*(part.normals for part in parts), np.zeros((1, 3))])
        return Surfaces(axes.astype(np.float32), normals.astype(np.float32))


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
        self._texels = np.concatenate([level.ravel() for level in levels])
        sides = np.array([len(level) for level in levels])
        self._sides = sides
        self._starts = np.concatenate([[0], np.cumsum(sides**2)[:-1]])

    def at(
        self,
        s: np.ndarray,  # [P] float32 metres of texture
        t: np.ndarray,  # [P] float32 metres of texture
        footprint: np.ndarray,  # [P] metres that a pixel covers
    ) -> np.ndarray:
        """Values [P] float32 with a standard deviation of about 1 nearby, less where marks are finer than a pixel."""
        level = np.clip(np.rint(np.log2(np.maximum(footprint / _METRES, 1))), 0, _LEVELS - 1).astype(np.int32)
        side = self._sides.astype(np.int32)[level]
        scale = side / np.float32(_SIDE * _METRES)
        x, y = s * scale - np.float32(0.5), t * scale - np.float32(0.5)
        left, top = np.floor(x), np.floor(y)
        share_x, share_y = x - left, y - top
        mask = side - 1
        column, row = left.astype(np.int32) & mask, top.astype(np.int32) & mask
        following, below = (column + 1) & mask, (row + 1) & mask
        start = self._starts.astype(np.int32)[level]
        first, second = start + row * side, start + below * side
        upper = self._texels[first + column] * (1 - share_x) + self._texels[first + following] * share_x
        lower = self._texels[second + column] * (1 - share_x) + self._texels[second + following] * share_x
        return upper * (1 - share_y) + lower * share_y


def _enlarged(layer: np.ndarray, factor: int) -> np.ndarray:
    """A repeating layer `factor` times as large, of standard deviation 1."""
    margin = 2
    padded = np.pad(layer / layer.std(), margin, mode="wrap")
    large = cv2.resize(padded, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
    inner = slice(margin * factor, large.shape[0] - margin * factor)
    return large[inner, inner]
