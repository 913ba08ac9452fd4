"""What is measured before anything is fitted: disparities of a stereo pair, ranges of sweeps, depth that is given.

Shapes: H x W pixels, P points.
"""

from dataclasses import dataclass

import cv2
import numpy as np

_PENALTIES = (12, 72)  # of semi-global matching, a pixel of the block and a step of disparity: one, and more
_BLOCK = 5  # px
_FINER = 2  # times, for disparities of a fraction of a pixel
_LEAST_DEPTH = 3.0  # m
_UNIQUE = 5  # per cent by which the best disparity has to be better than the next
_AGREE = 1.0  # px by which disparities of both images may differ

STEREO_ERROR = 0.3  # px, standard deviation of a disparity
LIDAR_ERROR = 0.05  # m
GIVEN_ERROR = 0.02  # of a depth that comes with the drive
# The range image of a sweep: rows by elevation, columns by azimuth; a 64-ring scanner fills nearly all of it.
RINGS, COLUMNS = 64, 720
ELEVATIONS = (-0.4363, 0.0524)  # rad, -25 to 3 degrees


@dataclass(frozen=True)
class Ranges:
    """A map of distances from one sensor at one moment; 0 where nothing is known."""

    values: np.ndarray  # [H, W] float32, m: along the optical axis, of LiDARs along the ray
    error: np.ndarray  # [H, W] float32, m, standard deviation
    T_world_sensor: np.ndarray  # [4, 4]
    K: np.ndarray | None  # [3, 3] px; None of a LiDAR, whose map is `RINGS` x `COLUMNS`


def disparities(
    left: np.ndarray,  # [H, W, 3] uint8
    right: np.ndarray,  # [H, W, 3] uint8
    *,
    focal_baseline: float,  # px m
) -> tuple[np.ndarray, np.ndarray]:
    """Disparities [H, W] float32 px of both images of a rectified pair, 0 where they do not agree.

    Semi-global matching (Hirschmueller, CVPR 2005) by OpenCV, at twice the size.
    """
    width = left.shape[1]
    count = 16 * int(np.ceil(min(focal_baseline / _LEAST_DEPTH, width / 2) * _FINER / 16))
    size = (width * _FINER, left.shape[0] * _FINER)
    larger = [cv2.resize(one, size, interpolation=cv2.INTER_CUBIC) for one in (left, right)]
    of_left = _matched(larger[0], larger[1], count)
    of_right = _matched(_mirrored(larger[1]), _mirrored(larger[0]), count)[:, ::-1]
    both = _agreeing(of_left, of_right), _agreeing(of_right[:, ::-1], of_left[:, ::-1])[:, ::-1]
    found = [one[_FINER // 2 :: _FINER, _FINER // 2 :: _FINER] / np.float32(_FINER) for one in both]
    return np.ascontiguousarray(found[0]), np.ascontiguousarray(found[1])


def stereo_ranges(
    disparity: np.ndarray,  # [H, W] px
    *,
    focal_baseline: float,  # px m
    K: np.ndarray,  # [3, 3]
    T_world_cam: np.ndarray,  # [4, 4]
) -> Ranges:
    """Depth of a disparity map; its error grows with its square."""
    known = disparity > 0
    depth = np.where(known, focal_baseline / np.where(known, disparity, 1), 0).astype(np.float32)
    error = depth**2 * np.float32(STEREO_ERROR / focal_baseline)
    return Ranges(depth, error, T_world_cam, K)


def given_ranges(
    depth: np.ndarray,  # [H', W'] m, 0 unknown, of any size
    *,
    image_size: tuple[int, int],  # (width, height) px
    K: np.ndarray,  # [3, 3]
    T_world_cam: np.ndarray,  # [4, 4]
) -> Ranges:
    """Depth that comes with the drive, in the size of an image that is worked with."""
    values = cv2.resize(depth.astype(np.float32), image_size, interpolation=cv2.INTER_NEAREST)
    return Ranges(values, values * np.float32(GIVEN_ERROR), T_world_cam, K)


def sweep_ranges(
    points_lidar: np.ndarray,  # [P, 3] m: x ahead, y left, z up
    T_world_lidar: np.ndarray,  # [4, 4]
) -> Ranges:
    """The range image of a sweep: the nearest of the points of each direction."""
    reach = np.linalg.norm(points_lidar, axis=1)
    points, reach = points_lidar[reach > 1], reach[reach > 1]
    row, column = directions(points, reach)
    inside = (row >= 0) & (row < RINGS)
    nearest = np.full((RINGS, COLUMNS), np.inf, dtype=np.float32)
    np.minimum.at(nearest, (row[inside], column[inside]), reach[inside].astype(np.float32))
    values = np.where(np.isfinite(nearest), nearest, 0).astype(np.float32)
    return Ranges(values, np.full_like(values, LIDAR_ERROR), T_world_lidar, None)


def directions(
    points_lidar: np.ndarray,  # [P, 3]
    reach: np.ndarray,  # [P] m, their distances
) -> tuple[np.ndarray, np.ndarray]:
    """Row and column [P] int64 of directions in a range image; rows outside of it are not of the sweep."""
    low, high = ELEVATIONS
    elevation = np.arcsin(np.clip(points_lidar[:, 2] / reach, -1, 1))
    row = np.floor((elevation - low) * (RINGS / (high - low))).astype(np.int64)
    azimuth = np.arctan2(points_lidar[:, 1], points_lidar[:, 0])
    column = np.floor((azimuth + np.pi) * (COLUMNS / (2 * np.pi))).astype(np.int64) % COLUMNS
    return row, column


def _matched(left: np.ndarray, right: np.ndarray, count: int) -> np.ndarray:
    one, more = (penalty * _BLOCK**2 for penalty in _PENALTIES)
    matcher = cv2.StereoSGBM.create(
        minDisparity=0,
        numDisparities=count,
        blockSize=_BLOCK,
        P1=one,
        P2=more,
        disp12MaxDiff=-1,
        uniquenessRatio=_UNIQUE,
        mode=cv2.STEREO_SGBM_MODE_SGBM_3WAY,
    )
    # Without a margin the first columns, whose matches may lie outside of the other image, would be left out.
    margin = [cv2.copyMakeBorder(image, 0, 0, count, 0, cv2.BORDER_REPLICATE) for image in (left, right)]
    return matcher.compute(*margin)[:, count:].astype(np.float32) / 16


def _mirrored(image: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(image[:, ::-1])


def _agreeing(own: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Disparities of an image with those gone that the other image, to the left of it in x, does not have."""
    width = own.shape[1]
    column = np.arange(width) - np.rint(own).astype(np.int64)
    back = np.take_along_axis(other, column.clip(0, width - 1), axis=1)
    return np.where((own > 0) & (column >= 0) & (np.abs(back - own) <= _AGREE * _FINER), own, 0).astype(np.float32)
