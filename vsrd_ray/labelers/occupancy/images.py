"""What one image says of space: rays of its pixels, and ends between neighbouring pixels of one surface.

Shapes: H x W pixels, R rays, S ends between pixels, Q quads of four pixels.
"""

from dataclasses import dataclass, replace

import numpy as np

from vsrd_ray.geometry import rigid
from vsrd_ray.labelers.occupancy.bodies import Body, owners
from vsrd_ray.labels.voxels.classes import NO_LABEL, SKY

FAR = 1e4  # m, to where rays that meet nothing are sent
_SPACING = 0.1  # m between ends on a surface
_MOST_A_SIDE = 16  # ends on a side of a quad
_STEP = 1.0  # m by which depth may change between neighbouring pixels of one surface, whatever its slope
_BEND, _ROUNDING = 0.35, 1e-4  # second difference of 1/z, as a share of the first, and beside it (1/m)


@dataclass(frozen=True)
class DepthImage:
    """An image whose pixels have a depth and a class, placed in the grid's frame."""

    depth: np.ndarray  # [H, W] float32 m along the optical axis; 0 where unknown
    labels: np.ndarray  # [H, W] uint8 class; `SKY` or `NO_LABEL`
    K: np.ndarray  # [3, 3] px; a pixel (u, v) names its centre
    T_grid_cam: np.ndarray  # [4, 4]
    ignored: np.ndarray | None = None  # [H, W] bool, of what was elsewhere at the grid's time
    is_measured: bool = False  # depth is that of LiDAR points on their pixels
    bodies: tuple[Body, ...] = ()  # boxes around what is ignored
    is_moved: bool = False  # it was carried on to the grid's time: its rays end where they say, and pass nothing

    @property
    def inverse(self) -> np.ndarray:
        """Inverse depth [H, W] float64, 1/m; 0 where unknown or ignored."""
        known = self.depth > 0
        if self.ignored is not None:
            known &= ~self.ignored
        return np.divide(1.0, self.depth, out=np.zeros(self.depth.shape), where=known)

    def points(self, u: np.ndarray, v: np.ndarray, depth: np.ndarray) -> np.ndarray:
        """Points [..., 3] of the grid's frame at places in the image, px, and depths, m."""
        x = (u - self.K[0, 2]) / self.K[0, 0] * depth
        y = (v - self.K[1, 2]) / self.K[1, 1] * depth
        return rigid.apply(self.T_grid_cam, np.stack([x, y, depth], axis=-1))

    @property
    def origin(self) -> np.ndarray:
        """The camera [3] in the grid's frame."""
        return self.T_grid_cam[:3, 3]


@dataclass(frozen=True)
class Ends:
    """Points on surfaces."""

    points: np.ndarray  # [S, 3] m, grid's frame
    labels: np.ndarray  # [S] uint8
    weights: np.ndarray  # [S] float64


@dataclass(frozen=True)
class PixelRays:
    """Rays from one camera."""

    origin: np.ndarray  # [3]
    ends: np.ndarray  # [R, 3] m, grid's frame
    labels: np.ndarray  # [R] uint8
    is_endless: np.ndarray  # [R] bool, of the sky


def parted(image: DepthImage, *, error: float = 0.0) -> list[DepthImage]:
    """An image of another time as several: of what stands, with what boxes say so of, and of each thing that moved.

    A thing that moved is seen by its pixels alone, from where the camera would have been at the grid's time to see it
    so. What is in no box, or in one that nobody knows of at that time, stays ignored.

    Args:
        image: of a frame beside the target.
        error: standard deviation of its depths, as a share of them.
    """
    if image.ignored is None or not image.bodies:
        return [image]
    v, u = np.nonzero(image.ignored & (image.depth > 0))
    depth = image.depth[v, u].astype(np.float64)
    owner = owners(image.points(u, v, depth), image.bodies, error * depth)
    still = image.ignored.copy()
    found = []
    for number, body in enumerate(image.bodies):
        mine = v[owner == number], u[owner == number]
        if body.stands:
            still[mine] = False
        elif body.T_moved is not None and len(mine[0]):
            others = np.full(still.shape, True)
            others[mine] = False
            T_grid_cam = body.T_moved @ image.T_grid_cam
            found.append(replace(image, ignored=others, T_grid_cam=T_grid_cam, bodies=(), is_moved=True))
    return [replace(image, ignored=still, bodies=()), *found]


def pixel_rays(image: DepthImage, stride: int = 1) -> PixelRays:
    """Rays through every `stride`-th pixel that has a depth or shows the sky."""
    inverse = image.inverse[::stride, ::stride]
    labels = image.labels[::stride, ::stride]
    is_sky = labels == SKY
    if image.ignored is not None:
        is_sky &= ~image.ignored[::stride, ::stride]
    v, u = np.nonzero(is_sky | (inverse > 0))
    endless = is_sky[v, u]
    depth = np.where(endless, FAR, 1 / np.where(endless, 1.0, inverse[v, u]))
    return PixelRays(image.origin, image.points(u * stride, v * stride, depth), labels[v, u], endless)


def ends_between(image: DepthImage) -> Ends:
    """Ends on the quads between four neighbouring pixels of one class and one surface, together of weight one each.

    An edge lies on a surface if its ends are nearly as deep, or if inverse depth, which is linear in the image of a
    plane, changes about as much before or behind it. Quads are sampled every 0.1 m, bilinear in inverse depth.
    """
    inverse = image.inverse
    along = _is_surface(inverse)  # [H, W-1]
    down = _is_surface(inverse.T).T  # [H-1, W]
    labels = image.labels
    is_one = (labels[:-1, :-1] == labels[:-1, 1:]) & (labels[:-1, :-1] == labels[1:, :-1])
    is_one &= (labels[:-1, :-1] == labels[1:, 1:]) & (labels[:-1, :-1] != SKY)
    v, u = np.nonzero(is_one & along[:-1] & along[1:] & down[:, :-1] & down[:, 1:])
    corners = np.stack([inverse[v, u], inverse[v, u + 1], inverse[v + 1, u], inverse[v + 1, u + 1]])  # [4, Q]
    points = np.stack([image.points(u + i, v + j, 1 / corners[2 * j + i]) for j in (0, 1) for i in (0, 1)])
    across = _samples(np.linalg.norm(points[1] - points[0], axis=1), np.linalg.norm(points[3] - points[2], axis=1))
    upright = _samples(np.linalg.norm(points[2] - points[0], axis=1), np.linalg.norm(points[3] - points[1], axis=1))
    number = across * upright
    quad = np.repeat(np.arange(len(u)), number)
    place = np.arange(number.sum()) - np.repeat(np.cumsum(number) - number, number)
    a = (place % across[quad] + 0.5) / across[quad]
    b = (place // across[quad] + 0.5) / upright[quad]
    top = corners[0][quad] * (1 - a) + corners[1][quad] * a
    bottom = corners[2][quad] * (1 - a) + corners[3][quad] * a
    depth = 1 / (top * (1 - b) + bottom * b)
    return Ends(image.points(u[quad] + a, v[quad] + b, depth), labels[v, u][quad], 1.0 / number[quad])


def _samples(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.clip(np.ceil(np.maximum(one, other) / _SPACING), 1, _MOST_A_SIDE).astype(np.int64)


def _is_surface(inverse: np.ndarray) -> np.ndarray:
    """Whether edges [H, W-1] between neighbours of a row [H, W] lie on one surface."""
    known = (inverse[:, 1:] > 0) & (inverse[:, :-1] > 0)
    depth = np.divide(1.0, inverse, out=np.zeros_like(inverse), where=inverse > 0)
    first = np.diff(inverse, axis=1)
    second = np.full((inverse.shape[0], inverse.shape[1] + 0), np.inf)  # at each pixel, of its two edges
    bend = np.abs(np.diff(first, axis=1))
    bend[~(known[:, 1:] & known[:, :-1])] = np.inf
    second[:, 1:-1] = bend
    smaller = np.minimum(second[:, :-1], second[:, 1:])
    return known & ((np.abs(np.diff(depth, axis=1)) < _STEP) | (smaller <= _BEND * np.abs(first) + _ROUNDING))


def majority(labels: np.ndarray) -> np.ndarray:
    """The class that most of each pixel's 3 x 3 neighbours have [H, W] uint8; its own where none has more."""
    padded = np.pad(labels, 1, mode="edge")
    height, width = labels.shape
    neighbours = np.stack([padded[j : j + height, i : i + width] for j in range(3) for i in range(3)])
    best, most = labels.copy(), (neighbours == labels).sum(axis=0)
    for candidate in neighbours:
        number = (neighbours == candidate).sum(axis=0)
        better = (number > most) & (candidate != NO_LABEL)
        best[better], most[better] = candidate[better], number[better]
    return best
