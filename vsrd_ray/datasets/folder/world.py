"""From the world of given poses to one of metres with z up, in which boxes stand upright.

Which way is up: as camera.yaml says; else the poses' own z axis, where they are of odometry and cameras stand upright
by it; else what the camera's motion says. A car moves along the road, and its camera's x axis keeps the small angle to
the road that it is mounted at: up is the eigenvector of the smallest eigenvalue of mean(m m^T) + cov(x) + w mean(x)
mean(x)^T over directions m of moves and x axes x, with a small w. A camera's pitch does not tilt it; its roll does,
unless the drive turns. On two real drives, whose cameras are rolled by 2 degrees, it is off by .4 and 2.2.
Shapes: F poses, P points.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.spatial import KDTree

from vsrd_ray.datasets.folder.camera import CameraFile
from vsrd_ray.errors import InputError

_Z_IS_UP = 20.0  # degrees between a world's z axis and the cameras' mean up, within which z is taken for up
_DIRECTION = 0.5  # of the median step, from where on a move has a direction
_LEVEL = 0.1  # weight of the camera's x axis being level, of 1 for moves
_TELLS = 0.02  # second eigenvalue from where on the smallest one's vector is one: less where cameras move sideways
_STEEP = 2.0  # horizontal distance of a point of the road below a camera, in heights of the camera, at most
_BAND = 1.1  # ratio of heights within which points are of one road
_MIN_ROAD, _MIN_SHARE = 50, 0.3  # points of the road, and their share of all steeply below cameras


@dataclass(frozen=True)
class Placed:
    """Poses in a world of metres with z up."""

    T_world_cam: dict[int, np.ndarray]  # frame -> [4, 4] float64, metres
    up: str  # how the direction is known, in words
    scale: str  # how the unit is known, in words
    up_is_estimated: bool


def placed(
    given: dict[int, np.ndarray],  # frame -> T_given_cam [4, 4]
    camera: CameraFile,
    *,
    place: str,
    is_metric: bool,
    read_points: Callable[[], np.ndarray],
) -> Placed:
    """Bring poses into the world that labels are in.

    Args:
        given: poses as their tool gave them.
        camera: what the drive's camera file says of up and scale.
        place: where the poses are from, for messages.
        is_metric: they are of odometry; structure from motion knows neither up nor metres.
        read_points: points [P, 3] of the model in its world; asked only for the camera's height.

    Raises:
        InputError: nothing says how long a unit is, or the road cannot be found among the points.
    """
    T_given_cam = np.stack(list(given.values()))
    R_world_given, up, is_estimated = _levelled(T_given_cam, camera, is_metric)
    centers = T_given_cam[:, :3, 3] @ R_world_given.T
    if camera.camera_height is not None:
        height, count = road_below(centers, read_points() @ R_world_given.T, place=place)
        metres = camera.camera_height / height
        scale = f"{metres:.6g} m a unit, by the camera's height over {count} points of the road"
    elif camera.scale is not None:
        metres, scale = camera.scale, f"{camera.scale:.6g} m a unit, as the camera file says"
    elif is_metric:
        metres, scale = 1.0, "metres, as files of this form have it"
    else:
        raise InputError(
            f"{place}: structure from motion has no metres, and labels would have none: say in camera.yaml how many "
            "metres a unit is (scale: 1 where the poses are metric), or with COLMAP's points camera_height in metres"
        )
    T_world_cam = T_given_cam.copy()
    T_world_cam[:, :3, :3] = R_world_given @ T_given_cam[:, :3, :3]
    T_world_cam[:, :3, 3] = metres * centers
    return Placed(dict(zip(given, T_world_cam, strict=True)), up, scale, is_estimated)


def _levelled(T_given_cam: np.ndarray, camera: CameraFile, is_metric: bool) -> tuple[np.ndarray, str, bool]:
    """`R_world_given` [3, 3], how up is known, and whether it is estimated."""
    upward = -T_given_cam[:, :3, 1].mean(axis=0)
    z_off = np.degrees(np.arccos(np.clip(upward[2] / max(float(np.linalg.norm(upward)), 1e-9), -1, 1)))
    if camera.up is not None:
        return _turn_to_z(np.array(camera.up)), "as the camera file says", False
    if is_metric and z_off <= _Z_IS_UP:
        return np.eye(3), f"the poses' z axis, which is {z_off:.1f} degrees off the cameras' own up", False
    return _turn_to_z(estimated_up(T_given_cam)), "estimated by how the camera moves", True


def estimated_up(
    T_given_cam: np.ndarray,  # [F, 4, 4]
) -> np.ndarray:
    """Unit vector [3] that moves and cameras' x axes are most level by, on the side of the cameras' up."""
    upward = -T_given_cam[:, :3, 1].mean(axis=0)
    moves = np.diff(T_given_cam[:, :3, 3], axis=0)
    lengths = np.linalg.norm(moves, axis=1)
    far = lengths > _DIRECTION * np.median(lengths) if len(lengths) else np.zeros(0, bool)
    if far.any():
        directions = moves[far] / lengths[far, None]
        x_axes = T_given_cam[:, :3, 0]
        mean = x_axes.mean(axis=0)
        spread = directions.T @ directions / len(directions) + np.cov(x_axes.T, bias=True)
        spread += _LEVEL * np.outer(mean, mean)
        values, vectors = np.linalg.eigh(spread)
        if values[1] > _TELLS:
            return vectors[:, 0] * np.sign(vectors[:, 0] @ upward)
    return upward / np.linalg.norm(upward)


def _turn_to_z(up: np.ndarray) -> np.ndarray:
    """Rotation [3, 3] that brings a direction [3] to z by the shortest way; nothing but rounding where it is z."""
    x, y, z = up / np.linalg.norm(up)
    if z < -1 + 1e-9:
        return np.diag([1.0, -1.0, -1.0])
    k = 1 / (1 + z)
    return np.array([[1 - k * x * x, -k * x * y, -x], [-k * x * y, 1 - k * y * y, -y], [x, y, z]])


def road_below(
    centers: np.ndarray,  # [F, 3] z up
    points: np.ndarray,  # [P, 3] z up
    *,
    place: str,
) -> tuple[float, int]:
    """Height of the cameras over the road, in the unit of the points, and how many points tell it.

    Of the points steeply below the nearest camera, most lie on the road: it is the height that most of them share.

    Raises:
        InputError: too few points, or too few of them at one height.
    """
    if len(points):
        distances, nearest = KDTree(centers[:, :2]).query(points[:, :2])
        drops = centers[nearest, 2] - points[:, 2]
        drops = np.sort(drops[(drops > 0) & (distances < _STEEP * drops)])
    else:
        drops = np.empty(0)
    ends = np.searchsorted(drops, drops * _BAND, side="right")
    counts = ends - np.arange(len(drops))
    most = int(counts.max(initial=0))
    if most < max(_MIN_ROAD, _MIN_SHARE * len(drops)):
        raise InputError(
            f"{place}: camera_height needs points of the road, and of {len(points)} points {most} lie at one height "
            "below the cameras: give scale in camera.yaml in its place"
        )
    start = int(counts.argmax())
    return float(np.median(drops[start : ends[start]])), most
