"""Depth against LiDAR points, by the protocol of Eigen et al. (NeurIPS 2014).

Shapes: P points, H x W pixels. Metres along the optical axis; 0 in a depth map is unknown.
"""

import numpy as np

MIN_DEPTH, MAX_DEPTH = 1e-3, 80.0
FIGURES = ("abs_rel", "sq_rel", "rmse", "rmse_log", "a1", "a2", "a3")

# Rows and columns that count, in parts of the image (Garg et al., ECCV 2016).
_CROP_ROWS, _CROP_COLUMNS = (0.40810811, 0.99189189), (0.03594771, 0.96405229)


def lidar_depth(
    points_lidar: np.ndarray,  # [P, 3]
    P_image_lidar: np.ndarray,  # [3, 4], into pixels
    image_size: tuple[int, int],  # (width, height)
    *,
    first_pixel: int = 0,  # 1 for KITTI's own programs, which count pixels from 1
    behind_too: bool = False,
) -> np.ndarray:
    """The depth map [H, W] of a sweep: the nearest of the points that fall on a pixel, 0 where there is none.

    Args:
        points_lidar: of the sweep, in the LiDAR's axes (x ahead).
        P_image_lidar: K (R | t), from the LiDAR into the image.
        image_size: of the map.
        first_pixel: number of the first row and column.
        behind_too: also project points behind the camera, which then blank their pixel, as published for KITTI-360.
    """
    width, height = image_size
    image = points_lidar @ P_image_lidar[:, :3].T + P_image_lidar[:, 3]
    if not behind_too:
        image = image[image[:, 2] > 0]
    pixels = np.round(image[:, :2] / image[:, 2:]) - first_pixel
    within = ((pixels >= 0) & (pixels < (width, height))).all(axis=1)
    column, row = pixels[within].astype(int).T
    depth = np.full((height, width), np.inf)
    np.minimum.at(depth, (row, column), image[within, 2])
    return np.where(np.isfinite(depth) & (depth > 0), depth, 0.0)


def eigen_depth(
    points_lidar: np.ndarray,  # [P, 3]
    P_image_lidar: np.ndarray,  # [3, 4]
    image_size: tuple[int, int],
) -> np.ndarray:
    """The depth map [H, W] that Eigen's test of KITTI raw compares with: points ahead of the LiDAR, cropped."""
    width, height = image_size
    depth = lidar_depth(points_lidar[points_lidar[:, 0] >= 0], P_image_lidar, image_size, first_pixel=1)
    inside = np.zeros_like(depth, dtype=bool)
    rows, columns = (slice(int(a * size), int(b * size)) for (a, b), size in _crops(width, height))
    inside[rows, columns] = True
    return np.where(inside, within_range(depth), 0.0)


def within_range(
    depth: np.ndarray,  # [H, W]
) -> np.ndarray:
    """The map with 0 in place of depths that do not count: up to 1 mm, and from 80 m on."""
    return np.where((depth > MIN_DEPTH) & (depth < MAX_DEPTH), depth, 0.0)


def depth_scores(
    predicted: np.ndarray,  # [h, w], enlarged to the true map's size by nearest
    true: np.ndarray,  # [H, W], 0 where unknown
) -> dict[str, float]:
    """Figures of one image without scaling by medians: see `FIGURES`; NaN where the true map is empty.

    Predictions are clamped to 1 mm ... 80 m. `a1` to `a3` are shares of pixels within a factor of 1.25, its square
    and cube.
    """
    known = true > 0
    if not known.any():
        return dict.fromkeys(FIGURES, float("nan"))
    rows, columns = (np.arange(size) * own // size for size, own in zip(true.shape, predicted.shape, strict=True))
    there = np.clip(predicted[rows][:, columns][known], MIN_DEPTH, MAX_DEPTH)
    truth = true[known]
    error, ratio = there - truth, np.maximum(there / truth, truth / there)
    values = (
        np.mean(np.abs(error) / truth),
        np.mean(error**2 / truth),
        np.sqrt(np.mean(error**2)),
        np.sqrt(np.mean(np.log(there / truth) ** 2)),
        *(np.mean(ratio < 1.25**power) for power in (1, 2, 3)),
    )
    return {name: float(value) for name, value in zip(FIGURES, values, strict=True)}


def _crops(width: int, height: int) -> tuple[tuple[tuple[float, float], int], ...]:
    return (_CROP_ROWS, height), (_CROP_COLUMNS, width)
