"""Which face each pixel sees: an exact z-buffer for flat convex faces.

Shapes: F faces, E corners of a face after clipping (spare ones repeat another), H x W pixels. Faces stand in the camera
(x right, y down, z forward). A pixel (u, v) names its centre, and shows the face that lies nearest behind that very
point: no face is grown or shrunk at its edges.
"""

from dataclasses import dataclass

import numpy as np

from vsrd_ray.geometry import polygons
from vsrd_ray.synthetic.spans import expand, low_and_high

NEAR = 0.1  # m; whatever is nearer to the camera's plane is cut off
_TILE_SIDES = (4, 8, 16, 32)  # px; faces up to the largest are filled many at a time
_BATCH = 1 << 16  # px that are filled at once
_FLAT = 1e-9  # px; an edge that rises less bounds no row


@dataclass(frozen=True)
class Raster:
    """What a camera sees of a mesh."""

    face: np.ndarray  # [H, W] int32, index of the visible face; -1 where there is none
    inverse_depth: np.ndarray  # [H, W] float32, 1/m along the optical axis; 0 where there is nothing


@dataclass(frozen=True)
class _Projected:
    """Faces in the image."""

    indices: np.ndarray  # [F], in the mesh
    planes: np.ndarray  # [F, 3] 1/m: inverse depth = plane @ (u, v, 1)
    left: np.ndarray  # [F, E, 2] slope and offset of the lines that bound the columns from the left
    right: np.ndarray  # [F, E, 2] and from the right
    low: np.ndarray  # [F, 2] px, first column and row
    high: np.ndarray  # [F, 2] px, beyond the last column and row

    def take(self, which: np.ndarray | slice) -> "_Projected":
        """Some of the faces."""
        return _Projected(
            self.indices[which],
            self.planes[which],
            self.left[which],
            self.right[which],
            self.low[which],
            self.high[which],
        )


def rasterize(
    faces_cam: np.ndarray,  # [F, 4, 3] float64, metres, counter-clockwise seen from outside
    K: np.ndarray,  # [3, 3] pixels
    image_size: tuple[int, int],  # (width, height)
) -> Raster:
    """The nearest face that turns its outside to the camera, for every pixel."""
    width, height = image_size
    raster = Raster(np.full((height, width), -1, dtype=np.int32), np.zeros((height, width), dtype=np.float32))
    first, last = -K[:2, 2] - 1, np.array([width, height]) - K[:2, 2]  # a pixel farther than the outermost ones
    front, normals, distances = facing(faces_cam, first / np.diag(K)[:2], last / np.diag(K)[:2])
    corners = polygons.clip(faces_cam[front], faces_cam[front, :, 2] - NEAR)
    uv = corners @ K.T
    uv = uv[..., :2] / uv[..., 2:]
    low, high = low_and_high(uv)
    low = np.maximum(np.ceil(low), 0).astype(np.int64)
    high = np.minimum(np.floor(high), [width - 1, height - 1]).astype(np.int64) + 1
    inside = (low[:, 0] < high[:, 0]) & (low[:, 1] < high[:, 1])
    front, uv, low, high = front[inside], uv[inside], low[inside], high[inside]
    # A plane's inverse depth is an affine function of the pixel.
    planes = (normals[inside] / distances[inside, None]) @ np.linalg.inv(K)
    left, right = edge_lines(uv)
    _fill(raster, _Projected(front, planes, left, right, low, high))
    return raster


def facing(
    faces: np.ndarray,  # [F, 4, 3] metres, camera
    first: np.ndarray,  # [2] lowest x / z and y / z of the view
    last: np.ndarray,  # [2] and highest
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Faces that turn their outside to the camera and may reach into its view.

    Their indices [N], their normals [N, 3], of any length, and the normals' products [N] with their points.
    """
    z = faces[..., 2]
    may = low_and_high(z)[1] > NEAR
    for axis in (0, 1):
        may &= low_and_high(faces[..., axis] - first[axis] * z)[1] >= 0
        may &= low_and_high(faces[..., axis] - last[axis] * z)[0] <= 0
    index = np.flatnonzero(may)
    some = faces[index]
    normals = np.cross(some[:, 2] - some[:, 0], some[:, 3] - some[:, 1])
    distances = np.einsum("fi,fi->f", normals, some[:, 0])
    front = distances < 0
    return index[front], normals[front], distances[front]


def edge_lines(
    uv: np.ndarray,  # [F, E, 2] px
) -> tuple[np.ndarray, np.ndarray]:
    """Lines u = slope * v + offset through the faces' left and right edges, each [F, E, 2] (slope, offset).

    Of a face whose outside is seen, left edges run down the image and right edges up. Edges of the other side get a
    bound at infinity.
    """
    steps = np.roll(uv, -1, axis=1) - uv
    down, up = steps[..., 1] > _FLAT, steps[..., 1] < -_FLAT
    slopes = np.divide(steps[..., 0], steps[..., 1], out=np.zeros_like(steps[..., 0]), where=down | up)
    offsets = uv[..., 0] - slopes * uv[..., 1]
    left = np.stack([np.where(down, slopes, 0), np.where(down, offsets, -np.inf)], axis=-1)
    right = np.stack([np.where(up, slopes, 0), np.where(up, offsets, np.inf)], axis=-1)
    return left, right


def crossings(
    left: np.ndarray,  # [F, E, 2] as `edge_lines` gives them
    right: np.ndarray,  # [F, E, 2]
    face: np.ndarray,  # [S]
    v: np.ndarray,  # [S] px
) -> tuple[np.ndarray, np.ndarray]:
    """Where lines of constant v enter and leave faces, each [S] px; a line beside its face enters after it leaves."""
    low, high = np.full(len(v), -np.inf), np.full(len(v), np.inf)
    for edge in range(left.shape[1]):
        np.maximum(low, left[face, edge, 0] * v + left[face, edge, 1], out=low)
        np.minimum(high, right[face, edge, 0] * v + right[face, edge, 1], out=high)
    return low, high


def _fill(raster: Raster, faces: _Projected) -> None:
    """Write faces into the raster where they are nearer than what is there: small ones in tiles, large ones by rows."""
    sides = (faces.high - faces.low).max(axis=1)
    smaller = 0
    for side in _TILE_SIDES:
        _fill_tiles(raster, faces.take(np.flatnonzero((sides > smaller) & (sides <= side))), side)
        smaller = side
    _fill_spans(raster, faces.take(np.flatnonzero(sides > smaller)))


def _fill_tiles(raster: Raster, faces: _Projected, side: int) -> None:
    """Faces that each fit into a tile of `side` x `side` px."""
    width = raster.face.shape[1]
    steps = np.arange(side)
    u, v = faces.low[:, :1] + steps, faces.low[:, 1:] + steps  # [F, side] each
    first, last = _row_bounds(faces, v)
    plane = faces.planes[:, :, None]
    inverse_depth = (plane[:, 0] * u)[:, None, :] + (plane[:, 1] * v + plane[:, 2])[:, :, None]
    inside = (u[:, None, :] >= first[..., None]) & (u[:, None, :] <= last[..., None])
    inside &= (u < faces.high[:, :1])[:, None, :] & (v < faces.high[:, 1:])[..., None]
    face, row, column = np.nonzero(inside)
    pixels = v[face, row] * width + u[face, column]
    values = inverse_depth[inside].astype(np.float32)
    nearest = raster.inverse_depth.reshape(-1)
    before = nearest[pixels]
    np.maximum.at(nearest, pixels, values)
    seen = (values == nearest[pixels]) & (values > before)
    raster.face.reshape(-1)[pixels[seen]] = faces.indices[face[seen]]


def _fill_spans(raster: Raster, faces: _Projected) -> None:
    """Faces of any size, row by row, as if they were filled one after the other."""
    row, face = expand(faces.low[:, 1], faces.high[:, 1])
    start, end = _row_spans(faces, face, row)
    filled = np.flatnonzero(start < end)
    face, row, start, end = face[filled], row[filled], start[filled], end[filled]
    slope, offset = faces.planes[face, 0], faces.planes[face, 1] * row + faces.planes[face, 2]
    ends = np.cumsum(end - start)
    cuts = np.searchsorted(ends, np.arange(_BATCH, ends[-1] + _BATCH, _BATCH)) + 1 if len(ends) else []
    nearest, seen = raster.inverse_depth.reshape(-1), raster.face.reshape(-1)
    first = row * raster.face.shape[1]
    for part in map(slice, [0, *cuts[:-1]], cuts):
        u, span = expand(start[part], end[part])
        inverse_depth = slope[part][span] * u + offset[part][span]
        pixels = u + first[part][span]
        nearer = np.flatnonzero(inverse_depth > nearest[pixels])
        pixels, inverse_depth, span = pixels[nearer], inverse_depth[nearer], span[nearer]
        rounded = inverse_depth.astype(np.float32)
        np.maximum.at(nearest, pixels, rounded)
        on_top = np.flatnonzero(rounded == nearest[pixels])
        # Of faces that are equally near once rounded, the first one stays, unless a later one rounds down to that.
        below = inverse_depth[on_top] > rounded[on_top]
        order = np.concatenate([on_top[~below][::-1], on_top[below]])
        seen[pixels[order]] = faces.indices[face[part]][span[order]]


def _row_spans(faces: _Projected, face: np.ndarray, row: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First column and the one beyond the last, each [S], that faces [S] cover in rows [S]."""
    low, high = crossings(faces.left, faces.right, face, row)
    start = np.maximum(np.ceil(low), faces.low[face, 0]).astype(np.int32)
    return start, np.minimum(np.floor(high) + 1, faces.high[face, 0]).astype(np.int32)


def _row_bounds(faces: _Projected, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First and last column, each [F, R] px (not whole), that faces cover in rows [F, R]."""
    left = faces.left[:, :, 0, None] * rows[:, None] + faces.left[:, :, 1, None]
    right = faces.right[:, :, 0, None] * rows[:, None] + faces.right[:, :, 1, None]
    return np.maximum.reduce(left, axis=1), np.minimum.reduce(right, axis=1)
