"""Poses of packets of an OxTS unit (GPS and IMU), 30 numbers each, as KITTI's raw data keeps them.

The IMU has x ahead, y left, z up. The world has x east, y north, z up by gravity, and its origin at the first packet.
A packet was measured some milliseconds after its image: at 13 m/s steps jitter by 5 % unless poses are moved back.
Shapes: F packets, in the order of their frames.
"""

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import uniform_filter1d

from vsrd_ray.errors import InputError

NUM_FIELDS = 30
EARTH_RADIUS = 6378137.0  # metres

_LAT, _LON, _ALT, _ROLL, _PITCH, _YAW, _NORTH, _EAST = range(8)
_UP, _RATES = 10, slice(17, 20)
_POSITION_ACCURACY = 23
_DRIFTING = 0.4  # metres; a position that is less sure than this drifts

_LEAST_STEP, _FEWEST_STEPS = 0.3, 20  # metres between frames that tell a course, and their least number
_SLOWEST = 2.0  # m/s; below, steps do not tell the time between packets
_SMOOTHED = 3.0  # seconds; what a lag has that is slower than this is not of the packets' clock


def parse_packet(text: str, place: str) -> np.ndarray:
    """The 30 numbers of a packet, float64; blanks around them do not count.

    Args:
        text: one line.
        place: file and line, for messages.

    Raises:
        InputError: another number of numbers, or something that is none.
    """
    tokens = text.split()
    if len(tokens) != NUM_FIELDS:
        raise InputError(f"{place}: expected {NUM_FIELDS} numbers of an OxTS packet, got {len(tokens)}: restore it")
    try:
        values = np.array([float(token) for token in tokens])
    except ValueError as error:
        raise InputError(f"{place}: expected {NUM_FIELDS} numbers of an OxTS packet, got {error}: restore it") from None
    if not np.isfinite(values).all() or abs(values[_LAT]) >= 90 or abs(values[_LON]) > 360:
        raise InputError(f"{place}: {values[_LAT]:g}, {values[_LON]:g} is no latitude and longitude: restore it")
    return values


def published_poses(
    packets: np.ndarray,  # [F, 30]
) -> np.ndarray:
    """`T_world_imu` [F, 4, 4] of packets as they are: R = Rz(yaw) Ry(pitch) Rx(roll), Mercator's projection.

    The scale of the projection is that of the first packet's latitude (KITTI, development kit of the raw data).
    """
    latitudes, longitudes = np.radians(packets[:, _LAT]), np.radians(packets[:, _LON])
    scale = EARTH_RADIUS * np.cos(latitudes[0])
    positions = np.stack(
        [scale * longitudes, scale * np.log(np.tan(np.pi / 4 + latitudes / 2)), packets[:, _ALT]], axis=-1
    )
    T_world_imu = np.tile(np.eye(4), (len(packets), 1, 1))
    T_world_imu[:, :3, :3] = _rotations(packets)
    T_world_imu[:, :3, 3] = positions - positions[0]
    return T_world_imu


def moved_back(
    T_world_imu: np.ndarray,  # [F, 4, 4]
    packets: np.ndarray,  # [F, 30]
    lags_s: np.ndarray,  # [F] seconds by which each packet is later than its image
) -> np.ndarray:
    """The poses [F, 4, 4] at the images' times: positions by the velocities, rotations by the rates of the body."""
    moved = T_world_imu.copy()
    moved[:, :3, 3] -= _velocities(packets) * lags_s[:, None]
    moved[:, :3, :3] = T_world_imu[:, :3, :3] @ _turns(-packets[:, _RATES] * lags_s[:, None])
    return moved


def lags_of_steps(
    packets: np.ndarray,  # [F, 30]
    frames: Sequence[int],  # [F], ascending
) -> np.ndarray:
    """How much later [F] than its image each packet is, seconds about the mean, where no timestamps tell.

    The way between two packets, over the mean of their speeds, is the time between them. Images are evenly spaced; so
    what that time is off its mean adds up to the lag. Its part slower than 3 s is errors of positions, and goes.
    """
    positions, speeds = published_poses(packets)[:, :3, 3], np.linalg.norm(_velocities(packets), axis=-1)
    gaps = np.diff(np.asarray(frames))
    means = (speeds[1:] + speeds[:-1]) / 2
    is_sure = (means > _SLOWEST) & (gaps == 1)
    if not is_sure.any():
        return np.zeros(len(packets))
    times = np.linalg.norm(np.diff(positions, axis=0), axis=-1) / np.where(is_sure, means, 1.0)
    middle = float(np.median(times[is_sure]))
    is_sure &= np.abs(times - middle) < middle / 2  # no jumps of the GPS
    usual = float(times[is_sure].mean())
    lags = np.append(0.0, np.cumsum(np.where(is_sure, times - usual, 0.0)))
    return lags - uniform_filter1d(lags, max(round(_SMOOTHED / usual), 1), mode="nearest")


def steadied(
    T_world_imu: np.ndarray,  # [F, 4, 4]
    frames: Sequence[int],  # [F], ascending
) -> np.ndarray:
    """The poses [F, 4, 4] with positions that go where the vehicle heads; attitudes stay.

    A GPS drifts sideways and up by up to a degree of the course, attitudes hold to a tenth. A unit over the rear axle
    does not slip sideways (KITTI's lies 5 cm from it): in its axes half way between two frames it moves ahead, and by
    fixed shares of that sideways and up, since it is not mounted quite straight. They are medians over the drive.
    """
    moves = np.diff(T_world_imu[:, :3, 3], axis=0)
    R = T_world_imu[:, :3, :3]
    turns = np.swapaxes(R[:-1], -1, -2) @ R[1:]
    vectors = np.stack([turns[:, 2, 1] - turns[:, 1, 2], turns[:, 0, 2] - turns[:, 2, 0]], axis=-1) / 2
    vectors = np.concatenate([vectors, (turns[:, 1, :1] - turns[:, 0, 1:2]) / 2], axis=-1)
    R_world_middle = R[:-1] @ _turns(vectors / 2)
    steps = np.einsum("nji,nj->ni", R_world_middle, moves)
    ahead = steps[:, 0]
    drives = (np.diff(np.asarray(frames)) == 1) & (ahead > _LEAST_STEP)
    if drives.sum() < _FEWEST_STEPS:
        return T_world_imu
    steps[drives, 1:] = ahead[drives, None] * np.median(steps[drives, 1:] / ahead[drives, None], axis=0)
    steady = T_world_imu.copy()
    steady[1:, :3, 3] = steady[0, :3, 3] + np.cumsum(np.einsum("nij,nj->ni", R_world_middle, steps), axis=0)
    return steady


def is_drifting(packets: np.ndarray) -> np.ndarray:
    """Whether the position of each packet [F] is so unsure that it drifts."""
    return packets[:, _POSITION_ACCURACY] > _DRIFTING


def _velocities(packets: np.ndarray) -> np.ndarray:
    """Velocities [F, 3] in the world, m/s."""
    return packets[:, [_EAST, _NORTH, _UP]]


def _rotations(packets: np.ndarray) -> np.ndarray:
    """`R_world_imu` [F, 3, 3]."""
    (sin_r, sin_p, sin_y), (cos_r, cos_p, cos_y) = (
        function(packets[:, [_ROLL, _PITCH, _YAW]].T) for function in (np.sin, np.cos)
    )
    rows = [
        [cos_y * cos_p, cos_y * sin_p * sin_r - sin_y * cos_r, cos_y * sin_p * cos_r + sin_y * sin_r],
        [sin_y * cos_p, sin_y * sin_p * sin_r + cos_y * cos_r, sin_y * sin_p * cos_r - cos_y * sin_r],
        [-sin_p, cos_p * sin_r, cos_p * cos_r],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def _turns(vectors: np.ndarray) -> np.ndarray:
    """Rotations [F, 3, 3] about vectors [F, 3] by their lengths, radians (Rodrigues)."""
    angles = np.linalg.norm(vectors, axis=-1)[:, None, None]
    x, y, z = (vectors / np.maximum(angles[:, 0], 1e-12)).T
    zero = np.zeros_like(x)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=-1).reshape(-1, 3, 3)
    return np.eye(3) + np.sin(angles) * cross + (1 - np.cos(angles)) * cross @ cross
