"""Poses of an arbitrary world and scale, levelled and scaled by others of the same drive, such as those of an OxTS.

Visual odometry is smooth, but its world is that of its first camera, and its scale some percent off or none at all. An
OxTS knows gravity and metres, but jitters. Labels stand upright and have metres, and need both.
Shapes: F frames that have a pose of both.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from vsrd_ray.errors import InputError
from vsrd_ray.poses.check import MIN_STEP, check_steps

_SHORTEST, _SHORT = 5.0, 50.0  # metres of a path that tells no scale, and of one that tells it to a percent or so
_OFF = 0.01  # by which a scale may be off before labels suffer
_UNLIKE = 0.2  # of a step, in the median: poses of one drive differ by a few hundredths


@dataclass(frozen=True)
class Posed:
    """Poses of a camera, and what is odd about them."""

    poses: dict[int, np.ndarray]  # frame -> T_world_cam [4, 4] float64, metres
    warnings: tuple[str, ...] = ()  # sentences
    ratio: float | None = None  # see `Aligned`, of poses that a file gave; None where it is not known


@dataclass(frozen=True)
class Aligned:
    """Poses in the world of the others."""

    poses: dict[int, np.ndarray]  # frame -> T_world_cam [4, 4], metres
    ratio: float  # path of the others over that of these poses as they were given; NaN where that is not known
    length: float  # metres of the path that told it
    off: float  # how far steps in the camera's axes differ, as a share of their lengths, in the median; NaN likewise


def levelled(
    given: Mapping[int, np.ndarray], reference: Mapping[int, np.ndarray], *, is_scaled: bool, place: str, by: str
) -> Posed:
    """`align`, with words on what it cannot know. Without any reference the poses stay as they are.

    Args:
        given: see `align`.
        reference: see `align`; may be empty.
        is_scaled: see `align`.
        place: file of the given poses, for messages.
        by: what the reference is, for messages.

    Raises:
        InputError: there is a reference, and no frame has a pose of both, or they are of different drives or
            conventions.
    """
    if not reference:
        return Posed(dict(given), (f"{place}: no {by} tells its scale: it has to be in metres, with z up.",))
    if not given.keys() & reference.keys():
        raise InputError(f"{place}: none of its {len(given)} frames has a pose by {by}: check that it is of this drive")
    aligned = align(given, reference, scaled=is_scaled)
    if aligned.off > _UNLIKE:
        raise InputError(
            f"{place}: steps of the camera differ by {aligned.off:.0%} from those by {by}: check that it is of this "
            "drive and its frames, and holds camera-to-world poses with x right, y down, z ahead"
        )
    warnings: list[str] = []
    if np.isnan(aligned.ratio):
        warnings.append(f"{place}: the car hardly moves where there is {by}: whether the scale is right is not known.")
    elif not is_scaled and abs(aligned.ratio - 1) > _OFF:
        off, longer = abs(1 / aligned.ratio - 1), "longer" if aligned.ratio < 1 else "shorter"
        warnings.append(
            f"{place}: its path is {off:.1%} {longer} than that by {by}, and labels are off as much: let it be scaled "
            "(leave poses.scale=none out)."
        )
    elif is_scaled and aligned.length < _SHORT:
        warnings.append(f"{place}: {aligned.length:.0f} m of common path alone tell its scale by {by}.")
    if missing := len(reference.keys() - given.keys()):
        warnings.append(f"{place}: {missing} of {len(reference)} frames have no pose in it, and get no labels.")
    ratio = None if np.isnan(aligned.ratio) else aligned.ratio
    return Posed(aligned.poses, (*warnings, *check_steps(aligned.poses, place=place)), ratio)


def align(given: Mapping[int, np.ndarray], reference: Mapping[int, np.ndarray], *, scaled: bool) -> Aligned:
    """Poses turned, and if wanted scaled, into the world of reference poses of the same camera.

    Up is where the reference says it is, in the median over the drive; the heading likewise. The position is that of
    the first common frame. Scale is the ratio of the paths over all steps of the reference above .3 m.

    Args:
        given: frame -> `T_given_cam` [4, 4], in any world and unit.
        reference: frame -> `T_world_cam` [4, 4] of the same camera, metres, z up.
        scaled: multiply positions by the ratio, where there is one.

    Raises:
        ValueError: no frame has a pose of both.
    """
    frames = sorted(given.keys() & reference.keys())
    if not frames:
        raise ValueError("no frame has a pose of both")
    T_given_cam, T_world_cam = (np.stack([poses[frame] for frame in frames]) for poses in (given, reference))
    ratio, length = path_ratio(np.array(frames), T_given_cam[:, :3, 3], T_world_cam[:, :3, 3])
    off = _disagreement(np.array(frames), T_given_cam, T_world_cam, ratio)
    scale = ratio if scaled and np.isfinite(ratio) else 1.0
    T_world_given = np.eye(4)
    T_world_given[:3, :3] = _rotation(T_world_cam[:, :3, :3] @ np.swapaxes(T_given_cam[:, :3, :3], -1, -2))
    T_world_given[:3, 3] = T_world_cam[0, :3, 3] - T_world_given[:3, :3] @ (scale * T_given_cam[0, :3, 3])
    return Aligned({frame: T_world_given @ _scaled(pose, scale) for frame, pose in given.items()}, ratio, length, off)


def path_ratio(
    frames: np.ndarray,  # [F], ascending
    given: np.ndarray,  # [F, 3]
    reference: np.ndarray,  # [F, 3] metres
) -> tuple[float, float]:
    """The reference's path over the given one, over steps of the reference above `MIN_STEP`, and its length, metres.

    NaN where the path is too short to tell.
    """
    lengths, others = (np.linalg.norm(np.diff(positions, axis=0), axis=-1) for positions in (reference, given))
    counts = (np.diff(frames) == 1) & (lengths > MIN_STEP)
    length, other = float(lengths[counts].sum()), float(others[counts].sum())
    return length / other if length >= _SHORTEST and other > 0 else float("nan"), length


def _disagreement(
    frames: np.ndarray,  # [F], ascending
    T_given_cam: np.ndarray,  # [F, 4, 4]
    T_world_cam: np.ndarray,  # [F, 4, 4]
    ratio: float,
) -> float:
    """See `Aligned.off`."""
    given, reference = (
        np.einsum("nji,nj->ni", T[:-1, :3, :3], np.diff(T[:, :3, 3], axis=0)) for T in (T_given_cam, T_world_cam)
    )
    lengths = np.linalg.norm(reference, axis=-1)
    counts = (np.diff(frames) == 1) & (lengths > MIN_STEP)
    if np.isnan(ratio):
        return float("nan")
    return float(np.median(np.linalg.norm(ratio * given - reference, axis=-1)[counts] / lengths[counts]))


def _scaled(pose: np.ndarray, scale: float) -> np.ndarray:
    scaled = pose.copy()
    scaled[:3, 3] *= scale
    return scaled


def _rotation(
    R_world_given: np.ndarray,  # [F, 3, 3] as each frame has it
) -> np.ndarray:
    """`R_world_given` [3, 3] of all: its up is the median of theirs, and its heading as well."""
    up = np.median(R_world_given[:, 2], axis=0)  # the world's z, in the given axes
    up /= np.linalg.norm(up)
    ahead = R_world_given[0, 0] - up * (up @ R_world_given[0, 0])
    ahead /= np.linalg.norm(ahead)
    R_level_given = np.stack([ahead, np.cross(up, ahead), up])
    turns = R_world_given @ R_level_given.T  # about z, but for noise
    angles = np.arctan2(turns[:, 1, 0] - turns[:, 0, 1], turns[:, 0, 0] + turns[:, 1, 1])
    angle = float(angles[0] + np.median((angles - angles[0] + np.pi) % (2 * np.pi) - np.pi))
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]]) @ R_level_given
