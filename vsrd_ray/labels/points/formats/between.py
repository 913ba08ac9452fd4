"""Labels of the sweeps between two labelled ones: those of the nearest points of the later one.

Shapes: N points of the labelled sweep, M points of the other.
"""

import numpy as np
from scipy.spatial import KDTree

from vsrd_ray.data.drive import POINTS, Drive
from vsrd_ray.geometry import rigid
from vsrd_ray.labels.points.classes import NO_INSTANCE, NONE
from vsrd_ray.labels.points.labelled import LabelledSweep

_NEAR = 0.5  # m from a labelled point


def frames_between(drive: Drive, sensor: str, frame: int, labelled: set[int], most: int) -> list[int]:
    """Frames with sweeps before a labelled one, the nearest first, up to the labelled one before it."""
    known = drive.lidars[sensor].T_world_lidar
    before = [one for one in drive.frames_with(POINTS, sensor) if one < frame and one in known]
    found: list[int] = []
    for one in before[: -most - 1 : -1]:
        if one in labelled:
            break
        found.append(one)
    return found


def labels_between(
    drive: Drive,
    sweep: LabelledSweep,
    frame: int,
    speeds: np.ndarray,  # [instances of the sweep, 2] m/s, world
    seconds: float,  # from the frame to the sweep
) -> tuple[np.ndarray, np.ndarray]:
    """Classes [M] and tracks [M] of another frame's points.

    Points are compared in the world. Those of objects that drive are moved back first: of objects whose points then lie
    nearer to the other frame's than without. Unlabelled points count too, so that ground stays ground.
    """
    here, there = (
        rigid.apply(
            drive.lidars[sweep.sensor].T_world_lidar[one],
            drive.read(POINTS, sweep.sensor, one)[:, :3].astype(np.float64),
        )
        for one in (sweep.frame, frame)
    )
    there[~np.isfinite(there).all(axis=1)] = -1e6
    here[~np.isfinite(here).all(axis=1)] = 1e6
    here = _moved_back(here, there, sweep.instances, speeds * seconds)
    gap, nearest = (np.asarray(one) for one in KDTree(here).query(there, distance_upper_bound=_NEAR))
    taken = np.isfinite(gap)
    classes, tracks = np.full(len(there), NONE), np.full(len(there), NO_INSTANCE)
    classes[taken], tracks[taken] = sweep.classes[nearest[taken]], sweep.tracks[nearest[taken]]
    return classes, tracks


def _moved_back(here: np.ndarray, there: np.ndarray, instances: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """Points [N, 3] of which those of an instance are moved by its shift [2], if that brings them nearer to the others.

    The middle of what is visible of an object wanders, so that shifts are often wrong.
    """
    own = np.flatnonzero(instances != NO_INSTANCE)
    moved = here[own].copy()
    moved[:, :2] -= shifts[instances[own]]
    tree = KDTree(there)
    gaps = [np.bincount(instances[own], tree.query(points)[0], len(shifts)) for points in (here[own], moved)]
    is_nearer = (gaps[1] < gaps[0])[instances[own]]
    result = here.copy()
    result[own[is_nearer]] = moved[is_nearer]
    return result
