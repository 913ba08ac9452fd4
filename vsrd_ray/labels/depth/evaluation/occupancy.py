"""Occupancy of a density field against LiDAR sweeps, as BTS (CVPR 2023) measures it and in a strict form.

A grid of query points lies at wheel height ahead of the key frame's camera. Twenty sweeps say which of them are
occupied: those that lie behind the nearest return in nearly all sweeps, or in the blind ring around the car. As
published, a point is also visible, and so taken for free, where the *predicted* depth reaches it: predict too far and
everything is free. `strict` takes the depth from elsewhere (LiDAR, stereo or truth), the same for every method.

Frames: `cam` the key frame's camera; `eval` the same tilted upwards by 5 degrees, so that y is height; `lidar` each
sweep's own. Shapes: Q query points, P points of a sweep, N sweeps, H x W pixels. Metres.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

# The camera looks down by 5 degrees: the rotation into axes along the street (published code of BTS).
T_EVAL_CAM = np.eye(4)
T_EVAL_CAM[1:3, 1:3] = [[0.9961947, 0.0871557], [-0.0871557, 0.9961947]]

GRID = (160, 80)  # rows (z, far to near), columns (x, left to right)
OCCUPIED_DENSITY = 0.5  # a density above this is predicted occupied

_X, _Y, _Z = (-4.0, 4.0), 0.375, (20.0, 4.0)
_BAND = (0.0, 0.75)  # y_eval of returns that count
_FAR_SQUARE = 416.0  # 20^2 + 4^2: returns from there on count at any height
_BINS = 360
_BLIND = 3.0  # the car itself and what lies under the LiDAR
_SLACK = 2  # sweeps in which an occupied point may be free


@dataclass(frozen=True)
class Sweep:
    """A LiDAR sweep and where it was taken."""

    points_lidar: np.ndarray  # [P, 3]
    T_cam_lidar: np.ndarray  # [4, 4], into the key frame's camera


@dataclass(frozen=True)
class Measured:
    """What LiDAR says of the query points."""

    occupied: np.ndarray  # [Q] bool: behind the nearest return of nearly all sweeps
    free_now: np.ndarray  # [Q] bool: in front of it in the first sweep, that of the key frame


def query_points() -> np.ndarray:
    """The query points [12800, 3] in `eval`, row by row of `GRID`."""
    z, x = np.meshgrid(np.linspace(*_Z, GRID[0]), np.linspace(*_X, GRID[1]), indexing="ij")
    return np.stack([x, np.full_like(x, _Y), z], axis=-1).reshape(-1, 3)


def in_camera(
    points_eval: np.ndarray,  # [..., 3]
) -> np.ndarray:
    """Points [..., 3] in `cam` of points in `eval`."""
    return points_eval @ np.linalg.inv(T_EVAL_CAM)[:3, :3].T


def nearest_returns(sweep: Sweep) -> tuple[np.ndarray, np.ndarray]:
    """Azimuths [362], ascending, and least horizontal ranges [362] of a sweep's returns, wrapped at both ends.

    A bin of a degree without a return takes the range of the one before; before the first, that of the least azimuth.

    Raises:
        ValueError: no return of the sweep lies in the band that counts.
    """
    points_eval = _moved(T_EVAL_CAM @ sweep.T_cam_lidar, sweep.points_lidar)
    in_band = (points_eval[:, 1] >= _BAND[0]) & (points_eval[:, 1] <= _BAND[1])
    counts = in_band | ((points_eval**2).sum(axis=1) >= _FAR_SQUARE)
    if not counts.any():
        raise ValueError("no return of the sweep lies between the ground and 0.75 m above it, or beyond 20 m")
    flat = sweep.points_lidar[counts, :2]
    azimuths, ranges = np.arctan2(flat[:, 1], flat[:, 0]), np.hypot(flat[:, 0], flat[:, 1])
    edges = np.linspace(-np.pi, np.pi, _BINS + 1)
    least = np.full(_BINS, np.inf)
    np.minimum.at(least, np.clip(np.searchsorted(edges, azimuths, side="right") - 1, 0, _BINS - 1), ranges)
    full = np.isfinite(least)
    filled = np.where(full, np.arange(_BINS), -1)
    before = np.maximum.accumulate(filled)
    least = np.where(before >= 0, least[np.maximum(before, 0)], ranges[azimuths.argmin()])
    centers = (edges[:-1] + edges[1:]) / 2
    turn = 2 * np.pi
    return (
        np.concatenate([[centers[-1] - turn], centers, [centers[0] + turn]]),
        np.concatenate([least[-1:], least, least[:1]]),
    )


def blocked(
    points_cam: np.ndarray,  # [Q, 3]
    sweep: Sweep,
    *,
    published: bool,
) -> np.ndarray:
    """Whether points [Q] lie behind the nearest return of a sweep, or in its blind ring of 3 m.

    As published a point's range is sqrt(x^2 + y^2 + z^2 + 1): the length of its homogeneous coordinates. Otherwise it
    is horizontal, as that of the returns is.
    """
    points = _moved(np.linalg.inv(sweep.T_cam_lidar), points_cam)
    ranges = np.sqrt((points**2).sum(axis=1) + 1) if published else np.hypot(points[:, 0], points[:, 1])
    limit = np.interp(np.arctan2(points[:, 1], points[:, 0]), *nearest_returns(sweep))
    return (ranges > limit) | (ranges < _BLIND)


def measure(
    points_cam: np.ndarray,  # [Q, 3]
    sweeps: Sequence[Sweep],  # N, that of the key frame first
    *,
    published: bool,
) -> Measured:
    """What sweeps say of points: occupied where blocked in at least N - 2 of them (published code of BTS).

    Raises:
        ValueError: no sweep, or one without returns that count.
    """
    if not sweeps:
        raise ValueError("occupancy is measured by LiDAR sweeps, and there are none")
    behind = np.stack([blocked(points_cam, sweep, published=published) for sweep in sweeps])
    return Measured(occupied=behind.sum(axis=0) >= len(sweeps) - _SLACK, free_now=~behind[0])


def behind_depth(
    points_cam: np.ndarray,  # [Q, 3]
    depth: np.ndarray,  # [H, W] along the optical axis
    K_norm: np.ndarray,  # [3, 3], image edges at -1 and 1
) -> np.ndarray:
    """How far points [Q] lie behind a depth map at their pixel, metres along the axis; 0 and less is visible.

    The pixel is the nearest one with the corners of the image at centres of pixels, or the border's outside of it.
    """
    height, width = depth.shape
    z = points_cam[:, 2]
    image = (points_cam @ K_norm.T)[:, :2] / np.maximum(z, 1e-3)[:, None]
    at = np.rint((image + 1) / 2 * (width - 1, height - 1))
    column, row = np.clip(at, 0, (width - 1, height - 1)).astype(int).T
    return z - depth[row, column]


def scores(
    predicted: np.ndarray,  # [Q] bool: the density there is above 0.5
    measured: Measured,
    reached: np.ndarray,  # [Q] bool: not behind a depth map, the predicted one (published) or another (strict)
) -> dict[str, float]:
    """Figures of one frame; NaN where one has no denominator.

    `o_acc`: share of right points. `ie_acc`: the same among points that are not visible. `ie_rec`: share of free
    points that are not visible which are predicted free. `o_prec`, `o_rec`, `ie_prec`: precision and recall of
    occupied points, precision of free ones that are not visible. `ie_r`: their share of all points. `t_ie` and
    `t_no_nop_nv`: their number, and how many of them are predicted free.
    """
    visible = measured.free_now | reached
    occupied = measured.occupied & ~visible
    hidden = ~visible
    empty = hidden & ~occupied
    empty_found = empty & ~predicted
    return {
        "o_acc": float((predicted == occupied).mean()),
        "o_prec": _share(predicted & occupied, predicted),
        "o_rec": _share(predicted & occupied, occupied),
        "ie_acc": _share((predicted == occupied) & hidden, hidden),
        "ie_prec": _share(empty_found, hidden & ~predicted),
        "ie_rec": _share(empty_found, empty),
        "ie_r": float(empty.mean()),
        "t_ie": float(empty.sum()),
        "t_no_nop_nv": float(empty_found.sum()),
    }


def mean_scores(frames: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Means over frames; a frame without a denominator is left out of that figure, NaN where all are."""
    names = frames[0] if frames else ()
    columns = {name: np.array([frame[name] for frame in frames]) for name in names}
    return {
        name: float(np.nanmean(column)) if np.isfinite(column).any() else float("nan")
        for name, column in columns.items()
    }


def _moved(T_a_b: np.ndarray, points_b: np.ndarray) -> np.ndarray:
    return points_b @ T_a_b[:3, :3].T + T_a_b[:3, 3]


def _share(part: np.ndarray, whole: np.ndarray) -> float:
    count = int(whole.sum())
    return int(part.sum()) / count if count else float("nan")
