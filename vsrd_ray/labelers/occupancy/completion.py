"""LiDAR in images: which points a camera sees, depth between them, and dense depth aligned to them.

Shapes: N points, M points in view, H x W pixels.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial import Delaunay, KDTree, QhullError

from vsrd_ray.geometry import rigid
from vsrd_ray.labelers.occupancy.images import DepthImage

_MIN_DEPTH = 0.5  # m
_ROWS, _COLUMNS = 2, 1  # px around a point, in which
_NEARER_SHARE, _NEARER = 0.25, 0.3  # nothing may be nearer by this share of its depth and so many metres
_SIDE, _FLAT_SIDE = 2.5, 8.0  # m, of triangles between points
_NEAREST, _ROUNDS = 8, 4  # ground points that tell the height of a place, and times that it is looked up
_FAR = 1e4  # m
_FINE, _COARSE = 40, 10  # parts of the width over which dense depth is aligned


@dataclass(frozen=True)
class PointsInView:
    """Points that a camera sees, at most one a pixel."""

    index: np.ndarray  # [M] int64, among the points that were given
    uv: np.ndarray  # [M, 2] float64 px
    depth: np.ndarray  # [M] float64 m along the optical axis

    @property
    def pixels(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows [M] and columns [M] of the pixels that the points fall on."""
        columns, rows = np.rint(self.uv).astype(np.int64).T
        return rows, columns


def in_view(
    points: np.ndarray,  # [N, 3] m, grid's frame
    T_grid_cam: np.ndarray,  # [4, 4]
    K: np.ndarray,  # [3, 3] px
    shape: tuple[int, int],  # (height, width) px
) -> PointsInView:
    """The points before which no other point lies in the image."""
    height, width = shape
    cam = rigid.apply(rigid.inverse(T_grid_cam), points)
    ahead = np.flatnonzero(cam[:, 2] > _MIN_DEPTH)
    uv = cam[ahead, :2] / cam[ahead, 2:] * K[[0, 1], [0, 1]] + K[:2, 2]
    inside = ((uv >= -0.5) & (uv < np.array([width, height]) - 0.5)).all(axis=1)
    index, uv, depth = ahead[inside], uv[inside], cam[ahead[inside], 2]
    order = np.argsort(depth, kind="stable")
    columns, rows = np.clip(np.rint(uv[order]).astype(np.int64), 0, [width - 1, height - 1]).T
    _, first = np.unique(rows * width + columns, return_index=True)  # the nearest of each pixel
    kept = order[np.sort(first)]
    index, uv, depth = index[kept], uv[kept], depth[kept]
    columns, rows = np.clip(np.rint(uv).astype(np.int64), 0, [width - 1, height - 1]).T
    nearest = np.full(shape, np.inf)
    nearest[rows, columns] = depth
    nearest = ndimage.minimum_filter(nearest, size=(2 * _ROWS + 1, 2 * _COLUMNS + 1), mode="nearest")[rows, columns]
    seen = depth <= nearest * (1 + _NEARER_SHARE) + _NEARER
    return PointsInView(index[seen], uv[seen], depth[seen])


def completed(
    view: PointsInView,
    points: np.ndarray,  # [N, 3] m, those that `view` is of
    labels: np.ndarray,  # [H, W] uint8 class
    flat: tuple[int, ...],  # classes of flat ground
) -> np.ndarray:
    """Depth [H, W] float32 of the pixels in triangles between points of one class; 0 elsewhere.

    Inverse depth is linear in a triangle's image. Triangles with a side longer than 2.5 m, 8 m on flat ground, are
    left out.
    """
    height, width = labels.shape
    depth = np.zeros((height, width), dtype=np.float32)
    if len(view.uv) < 4:
        return depth
    try:
        mesh = Delaunay(view.uv)
    except QhullError:  # all of them lie in a line
        return depth
    corners = mesh.simplices  # [T, 3]
    of_point = labels[view.pixels]
    classes = of_point[corners]
    places = points[view.index][corners]
    longest = np.linalg.norm(places - np.roll(places, 1, axis=1), axis=2).max(axis=1)
    limit = np.where(np.isin(classes[:, 0], flat), _FLAT_SIDE, _SIDE)
    whole = (classes == classes[:, :1]).all(axis=1) & (longest <= limit)
    _fill(depth, labels, view.uv[corners[whole]], view.depth[corners[whole]], classes[whole, 0])
    return depth


def grounded(
    image: DepthImage,
    view: PointsInView,
    points: np.ndarray,  # [N, 3] m, those that `view` is of
    flat: tuple[int, ...],  # classes of flat ground
) -> np.ndarray:
    """Depth [H, W] float32 with that of flat ground between and behind its points, up to 8 m from the nearest.

    A pixel's ray meets the ground at the height that the points around have, by inverse distance.
    """
    ground = points[view.index[np.isin(image.labels[view.pixels], flat)]]
    v, u = np.nonzero(np.isin(image.labels, flat) & (image.depth == 0))
    if len(ground) < _NEAREST or not len(u):
        return image.depth
    tree = KDTree(ground[:, :2])
    directions = image.points(u, v, np.ones(len(u))) - image.origin  # [P, 3] of a metre of depth
    falls = np.maximum(-directions[:, 2], 1e-9)
    height = np.full(len(u), np.median(ground[:, 2]))
    away = np.full((len(u), _NEAREST), np.inf)
    for _ in range(_ROUNDS):
        place = image.origin[:2] + ((image.origin[2] - height) / falls)[:, None] * directions[:, :2]
        away, index = tree.query(np.clip(place, -_FAR, _FAR), k=_NEAREST)
        height = np.average(ground[index, 2], axis=1, weights=1 / (away + _NEARER))
    depth = (image.origin[2] - height) / falls
    near = (away[:, 0] <= _FLAT_SIDE) & (depth > _MIN_DEPTH)
    result = image.depth.copy()
    result[v[near], u[near]] = depth[near]
    return result


def raised(
    image: DepthImage,
    upright: tuple[int, ...],  # classes of what rises straight from where it stands
) -> np.ndarray:
    """Depth [H, W] float32 with that of upright things above the highest of their pixels that have one.

    Column by column, as far as pixels are of one class: what is above lies as far away, measured along the ground.
    """
    depth, labels = image.depth.copy(), image.labels
    height, width = depth.shape
    v, u = np.mgrid[:height, :width]
    directions = image.points(u, v, np.ones(depth.shape)) - image.origin
    along_ground = np.maximum(np.linalg.norm(directions[..., :2], axis=-1), 1e-6)  # [H, W] m, of a metre of depth
    is_highest = np.zeros(depth.shape, dtype=bool)  # nothing above, in the same thing, has a depth
    is_free = np.ones(width, dtype=bool)
    for row in range(height):
        is_free |= labels[row] != labels[max(row - 1, 0)]
        is_highest[row] = is_free
        is_free &= depth[row] == 0
    goes_on = np.isin(labels, upright) & is_highest & (depth == 0)
    for row in range(height - 2, -1, -1):
        higher = depth[row + 1] * along_ground[row + 1] / along_ground[row]
        depth[row] = np.where(goes_on[row] & (labels[row] == labels[row + 1]), higher, depth[row])
    return depth


def _fill(
    depth: np.ndarray,  # [H, W], changed
    labels: np.ndarray,  # [H, W]
    corners: np.ndarray,  # [T, 3, 2] px
    depths: np.ndarray,  # [T, 3] m
    classes: np.ndarray,  # [T]
) -> None:
    """Set the pixels of a class that lie in triangles of it."""
    height, width = depth.shape
    low = np.maximum(np.ceil(corners.min(axis=1)), 0).astype(np.int64)
    high = np.minimum(np.floor(corners.max(axis=1)), [width - 1, height - 1]).astype(np.int64)
    size = np.maximum(high - low + 1, 0)
    number = size.prod(axis=1)
    which = np.repeat(np.arange(len(corners)), number)
    place = np.arange(number.sum()) - np.repeat(np.cumsum(number) - number, number)
    u, v = low[which, 0] + place % size[which, 0], low[which, 1] + place // size[which, 0]
    a, b, c = (corners[which, n] for n in range(3))
    area = _cross(b - a, c - a)
    pixel = np.stack([u, v], axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        weights = np.stack([_cross(b - pixel, c - pixel), _cross(c - pixel, a - pixel)]) / area
    weights = np.concatenate([weights, 1 - weights.sum(axis=0, keepdims=True)]).T
    inside = np.isfinite(weights).all(axis=1) & (weights >= -1e-9).all(axis=1) & (labels[v, u] == classes[which])
    depth[v[inside], u[inside]] = 1 / (weights[inside] / depths[which[inside]]).sum(axis=1)


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]


def aligned(
    depth: np.ndarray,  # [H, W] float32 m; 0 where unknown
    view: PointsInView,
) -> tuple[np.ndarray, float]:
    """Dense depth [H, W] float32 with the scale that points give it from place to place, and the share left over.

    The logarithm of the ratio is blurred by 1/40 of the width, and by 1/10 where there are few points. The share that
    is left over is the spread of that ratio between a point and those around it.
    """
    rows, columns = view.pixels
    known = depth[rows, columns] > 0
    rows, columns = rows[known], columns[known]
    if not len(rows):
        return depth, np.inf
    ratio = np.log(view.depth[known] / depth[rows, columns])
    ratio = np.clip(ratio, *np.median(ratio) + np.array([-0.5, 0.5]))
    value, weight = np.zeros(depth.shape), np.zeros(depth.shape)
    value[rows, columns], weight[rows, columns] = ratio, 1.0
    shift = np.full(depth.shape, np.median(ratio))
    for parts in (_COARSE, _FINE):
        blurred = [ndimage.gaussian_filter(one, depth.shape[1] / parts, mode="constant") for one in (value, weight)]
        trust = blurred[1] / (blurred[1] + 0.1 * weight.mean())
        shift += trust * (np.divide(blurred[0], blurred[1], out=shift.copy(), where=blurred[1] > 1e-9) - shift)
    left = ratio - shift[rows, columns]
    return np.where(depth > 0, depth * np.exp(shift), 0).astype(np.float32), float(1.4826 * np.median(np.abs(left)))
