"""What rays from one point see, exactly: up to six virtual views of the rasterizer, then the faces' own planes.

Shapes: R rays, F faces, P pairs of a ray and a face that it may meet. A view's pixels near a ray name the faces that it
may meet; each of them is then met by the ray itself, so no distance depends on the pixels' size. Only a face that lies
between the pixels of a view can be missed.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from vsrd_ray.synthetic.rasterizer import rasterize
from vsrd_ray.synthetic.spans import low_and_high

_BATCH = 64  # points that are held against all faces at once
_REACH = 4  # px, side of the square of pixels around a ray whose faces it may meet
# Rows: x, y and z of the six views in the sensor's frame; a view looks along its z.
_VIEWS = np.array(
    [
        [[0, -1, 0], [0, 0, -1], [1, 0, 0]],
        [[0, 1, 0], [0, 0, -1], [-1, 0, 0]],
        [[1, 0, 0], [0, 0, -1], [0, 1, 0]],
        [[-1, 0, 0], [0, 0, -1], [0, -1, 0]],
        [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
        [[1, 0, 0], [0, -1, 0], [0, 0, -1]],
    ],
    dtype=np.float64,
)


@dataclass(frozen=True)
class Hits:
    """What rays meet first."""

    face: np.ndarray  # [R] int64, index in the mesh; -1 where there is none
    distance: np.ndarray  # [R] float64, in lengths of the ray's direction; infinite where there is none


@dataclass(frozen=True)
class _Bundle:
    """The rays of one view and the part of its image plane that they need."""

    index: np.ndarray  # [R'] among all rays
    rotation: np.ndarray  # [3, 3] of the sensor's frame into the view's
    rays: np.ndarray  # [R', 3], sensor's frame
    uv: np.ndarray  # [R', 2] px
    K: np.ndarray  # [3, 3]
    image_size: tuple[int, int]  # px


class RayFan:
    """Rays from one point, sorted by the virtual view that they belong to; made once, cast as often as wanted."""

    def __init__(self, directions: np.ndarray, *, focal: float) -> None:
        """Sorts the rays.

        Args:
            directions: [R, 3] in the sensor's frame, of any length.
            focal: px, of the virtual views: their finest step is 1 / focal radians.
        """
        self._count = len(directions)
        axis = np.abs(directions).argmax(axis=1)
        side = 2 * axis + (np.take_along_axis(directions, axis[:, None], axis=1)[:, 0] < 0)
        bundles = (_bundle(directions, np.flatnonzero(side == view), _VIEWS[view], focal) for view in range(6))
        self._bundles = [bundle for bundle in bundles if bundle is not None]

    def cast(self, faces_sensor: np.ndarray) -> Hits:
        """What each ray meets first.

        Args:
            faces_sensor: [F, 4, 3] metres, sensor's frame, counter-clockwise seen from outside; backs are not met.
        """
        hits = Hits(np.full(self._count, -1), np.full(self._count, np.inf))
        cones = _Cones(faces_sensor)
        for bundle in self._bundles:
            faces_view = faces_sensor @ bundle.rotation.T
            seen = rasterize(faces_view, bundle.K, bundle.image_size).face
            hits.face[bundle.index], hits.distance[bundle.index] = _resolve(seen, faces_view, bundle, cones)
        return hits


class _Cones:
    """Faces as cones from the sensor, for tests whether rays pass through them; `front` are those seen from outside."""

    def __init__(self, faces: np.ndarray) -> None:
        self._edges = _cross(faces, np.roll(faces, -1, axis=1))
        self._normals = _cross(faces[:, 2] - faces[:, 0], faces[:, 3] - faces[:, 1])
        self._offsets = np.einsum("fi,fi->f", self._normals, faces[:, 0])
        self.front = np.flatnonzero(self._offsets < 0)

    def distances(self, rays: np.ndarray, face: np.ndarray) -> np.ndarray:
        """Lengths [P] of rays [P, 3] up to the planes of faces [P]."""
        return self._offsets[face] / np.einsum("pi,pi->p", rays, self._normals[face])

    def meet(self, rays: np.ndarray, face: np.ndarray) -> np.ndarray:
        """Lengths [P] of rays [P, 3] up to faces [P]; infinite where a ray misses its face or meets its back."""
        inside = low_and_high(np.einsum("pi,pei->pe", rays, self._edges[face]))[1] <= 0
        inside &= self._offsets[face] < 0
        result = np.full(len(face), np.inf)
        result[inside] = self.distances(rays[inside], face[inside])
        result[result <= 0] = np.inf
        return result


class _Rectangles:
    """The rectangles of a view that faces lie in."""

    def __init__(self, faces_view: np.ndarray, front: np.ndarray, K: np.ndarray) -> None:
        depth = faces_view[front, :, 2]
        ahead = low_and_high(depth)[1] > 0
        self._index, depth = front[ahead], depth[ahead]
        with np.errstate(divide="ignore", invalid="ignore"):
            uv = faces_view[self._index, :, :2] / depth[..., None] * K[0, 0] + K[:2, 2]
        low, high = low_and_high(uv)
        crossing = low_and_high(depth)[0] <= 0  # they may lie anywhere
        self._low = np.where(crossing[:, None], -np.inf, low).T
        self._high = np.where(crossing[:, None], np.inf, high).T

    def around(self, uv: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pairs of points [R, 2] px and the faces whose rectangles hold them: indices [P] of both."""
        pairs = [np.empty((2, 0), dtype=np.int64)]
        for start in range(0, len(uv), _BATCH):
            u, v = uv[start : start + _BATCH].T[..., None]
            inside = (self._low[0] <= u) & (u <= self._high[0]) & (self._low[1] <= v) & (v <= self._high[1])
            point, face = np.nonzero(inside)
            pairs.append(np.stack([point + start, self._index[face]]))
        point, face = np.concatenate(pairs, axis=1)
        return point, face


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cross products [..., 3]; NumPy's takes ten times as long."""
    (ax, ay, az), (bx, by, bz) = np.moveaxis(a, -1, 0), np.moveaxis(b, -1, 0)
    return np.stack([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx], axis=-1)


def _bundle(directions: np.ndarray, index: np.ndarray, rotation: np.ndarray, focal: float) -> _Bundle | None:
    if len(index) == 0:
        return None
    local = directions[index] @ rotation.T
    tangents = local[:, :2] / local[:, 2:]
    margin = _REACH // 2
    low = np.floor(tangents.min(axis=0) * focal) - margin
    high = np.ceil(tangents.max(axis=0) * focal) + margin
    K = np.array([[focal, 0.0, -low[0]], [0.0, focal, -low[1]], [0.0, 0.0, 1.0]])
    width, height = (high - low).astype(int) + 1
    return _Bundle(index, rotation, directions[index], tangents * focal - low, K, (int(width), int(height)))


def _resolve(
    seen: np.ndarray,  # [H, W] int32, the face at each pixel of the view
    faces_view: np.ndarray,  # [F, 4, 3]
    bundle: _Bundle,
    cones: _Cones,
) -> tuple[np.ndarray, np.ndarray]:
    """Faces [R] and lengths [R] of a view's rays."""
    column, row = np.floor(bundle.uv).astype(np.int64).T - (_REACH // 2 - 1)
    kernel, corner = np.ones((_REACH, _REACH), np.uint8), (0, 0)
    # The smallest and the largest face of the square whose first corner a pixel is: float32 holds such integers.
    low, high = (
        morph(seen.astype(np.float32), kernel, anchor=corner, borderType=cv2.BORDER_REPLICATE)[row, column]
        for morph in (cv2.erode, cv2.dilate)
    )
    face = np.where(low == high, low, -1).astype(np.int64)
    length = np.full(len(face), np.inf)
    plain = np.flatnonzero((low == high) & (face >= 0))
    length[plain] = cones.distances(bundle.rays[plain], face[plain])
    mixed = np.flatnonzero(low != high)
    pairs = _faces_around(seen, row[mixed], column[mixed])
    _keep_nearest(face, length, mixed, pairs, cones.meet(bundle.rays[mixed[pairs[0]]], pairs[1]))
    lost = mixed[(face[mixed] < 0) & (low[mixed] >= 0)]  # no face that is near, and no gap between them
    if len(lost) > 0:
        pairs = _Rectangles(faces_view, cones.front, bundle.K).around(bundle.uv[lost])
        _keep_nearest(face, length, lost, pairs, cones.meet(bundle.rays[lost[pairs[0]]], pairs[1]))
    return face, length


def _faces_around(seen: np.ndarray, row: np.ndarray, column: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of rays and the faces in their squares of pixels, whose first corners are given: indices [P] of both."""
    steps = np.arange(_REACH)
    near = seen[row[:, None, None] + steps[:, None], column[:, None, None] + steps].reshape(-1, _REACH**2)
    near = np.sort(near, axis=1)
    is_new = near >= 0
    is_new[:, 1:] &= near[:, 1:] != near[:, :-1]
    ray, place = np.nonzero(is_new)
    return ray, near[ray, place].astype(np.int64)


def _keep_nearest(
    face: np.ndarray,  # [R], written to
    length: np.ndarray,  # [R], written to
    index: np.ndarray,  # [R'] which rays these are
    pairs: tuple[np.ndarray, np.ndarray],  # [P] of these rays, and faces that they may meet
    lengths: np.ndarray,  # [P] of the pairs' meetings, infinite where there is none
) -> None:
    """Give rays the nearest of the faces that they meet."""
    ray, candidate = pairs
    nearest, found = np.full(len(index), np.inf), np.full(len(index), -1)
    np.minimum.at(nearest, ray, lengths)
    best = np.isfinite(lengths) & (lengths == nearest[ray])
    found[ray[best]] = candidate[best]
    face[index], length[index] = found, nearest
