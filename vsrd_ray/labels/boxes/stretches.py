"""How far fits of one parked car from different stretches of a drive lie apart: what poses that drift do to boxes.

A car that stands is somewhere, whichever frames tell. Its box is moved until its outline meets the sides of its masks'
boxes in some frames alone, and in others alone; with exact poses both places are one but for what masks tell.
Shapes: F frames of a stretch, P corners of a plain car, 4 sides (left, top, right, bottom).
"""

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pyarrow as pa

from vsrd_ray.data.drive import Camera
from vsrd_ray.data.index import SIDES
from vsrd_ray.geometry import rigid
from vsrd_ray.geometry.boxes import UprightBoxes
from vsrd_ray.labels.boxes.columns import boxes_of

_STRETCHES, _FEWEST_FRAMES = 3, 4  # of an object at most; of a stretch at least
_NEAREST, _FARTHEST = 5.0, 40.0  # metres along the optical axis
_LEAST_CONFIDENCE = 0.3
_FEWEST_SIDES = 3  # of a mask's box that are the object's own
_BESIDE, _LEVEL = 6.0, 2.0  # px: how near another mask hides a side; by how much its foot may be higher
_NOISE, _NOISE_SHARE = 2.0, 0.02  # px and share of the width, of a side
_OUTLIER = 3.0  # times the noise
_LARGEST_DEVIATION = 1.0  # metres, of a fit that tells anything
_INDEPENDENT = 2.0  # frames that a stretch counts as: what masks and shapes have in common does not average out
_STEPS, _PULL = 8, 0.1
_MOST_OBJECTS = 200  # of a drive, evenly chosen; more tell no more


def _plain_car() -> np.ndarray:
    """Corners [P, 3] of a car in the unit box [-1, 1]^3: ahead, to the left, up."""
    sill = [(1.0, 0.72), (0.84, 0.93), (0.45, 1.0), (-0.5, 1.0), (-0.86, 0.96), (-1.0, 0.78)]
    half = [(x, y, z) for x, y in sill for z in (-0.1, -0.5)]
    half += [
        (0.12, 0.72, 1.0),
        (-0.55, 0.72, 1.0),
        (0.55, 0.9, 0.25),
        (-0.8, 0.88, 0.2),
        (0.6, 0.95, -1),
        (-0.6, 0.95, -1),
    ]
    return np.array(half + [(x, -y, z) for x, y, z in half])


_CAR = _plain_car()


@dataclass(frozen=True)
class Scatter:
    """How far fits lie apart."""

    metres: float  # on the ground, in the weighted median over pairs of stretches; NaN where none tells
    num_objects: int  # that tell it


def scatter(rows: pa.Table, index: pa.Table, camera: Camera) -> Scatter:
    """How far fits of parked objects from different stretches lie apart.

    Args:
        rows: labels of a drive and camera, in `LABEL_SCHEMA`.
        index: of the same.
        camera: whose they are.
    """
    sides = _Sides.of(index, camera.image_size)
    distances: list[tuple[float, float]] = []
    num_objects = 0
    for instance_id, box in _parked(rows):
        frames = [frame for frame in sides.frames_of(instance_id) if frame in camera.T_world_cam]
        fits = _fits(box, frames, instance_id, sides, camera) if len(frames) >= 2 * _FEWEST_FRAMES else []
        pairs = [(math.dist(a[:2], b[:2]), 1 / (a[2] ** 2 + b[2] ** 2)) for a, b in combinations(fits, 2)]
        distances += pairs
        num_objects += bool(pairs)
    if not distances:
        return Scatter(float("nan"), 0)
    values, weights = np.array(sorted(distances)).T
    return Scatter(float(values[np.searchsorted(weights.cumsum(), weights.sum() / 2)]), num_objects)


def _parked(rows: pa.Table) -> list[tuple[int, UprightBoxes]]:
    """Objects that stand and are trusted, with their boxes [1], by id."""
    is_moving = rows["is_moving"].fill_null(True).to_numpy()
    chosen = np.flatnonzero(~is_moving & (rows["confidence"].to_numpy() > _LEAST_CONFIDENCE))
    ids, first = np.unique(rows["instance_id"].to_numpy()[chosen], return_index=True)
    some = np.unique(np.linspace(0, len(ids) - 1, min(len(ids), _MOST_OBJECTS)).round().astype(int)) if len(ids) else []
    boxes = boxes_of(rows)
    return [(int(ids[n]), boxes[chosen[first[n : n + 1]]]) for n in some]


@dataclass(frozen=True)
class _Sides:
    """Sides of masks' boxes, and which of them are the object's own."""

    found: dict[int, dict[int, tuple[np.ndarray, np.ndarray]]]  # instance -> frame -> sides [4] px, own [4] bool

    @staticmethod
    def of(index: pa.Table, image_size: tuple[int, int]) -> "_Sides":
        """A side at the image's border, or beside a mask whose foot is lower, is not the object's own."""
        index = index.filter(index["instance_id"].is_valid()).sort_by("frame")
        frames, ids = index["frame"].to_numpy(), index["instance_id"].to_numpy()
        boxes = np.stack([index[f"box_{side}"].to_numpy() for side in SIDES], axis=-1).astype(np.float64)
        bounds = np.array([0, 0, image_size[0] - 1, image_size[1] - 1])
        found: dict[int, dict[int, tuple[np.ndarray, np.ndarray]]] = {}
        for part in np.split(np.arange(len(frames)), np.flatnonzero(np.diff(frames)) + 1) if len(frames) else []:
            own = (boxes[part] != bounds) & ~_hidden(boxes[part])
            for row, is_own in zip(part.tolist(), own, strict=True):
                sides = boxes[row] + [-0.5, -0.5, 0.5, 0.5]
                found.setdefault(int(ids[row]), {})[int(frames[row])] = sides, is_own
        return _Sides(found)

    def frames_of(self, instance_id: int) -> list[int]:
        """Frames, ascending, in which enough sides of an instance are its own."""
        return [frame for frame, (_, own) in self.found.get(instance_id, {}).items() if own.sum() >= _FEWEST_SIDES]


def _hidden(
    boxes: np.ndarray,  # [N, 4] of one frame
) -> np.ndarray:
    """Which sides [N, 4] bool of boxes may be another object's that stands nearer."""
    a, b = boxes[:, None], boxes[None]
    is_nearer = (b[..., 3] >= a[..., 3] - _LEVEL) & ~np.eye(len(boxes), dtype=bool)
    beside = (a[..., 1] <= b[..., 3]) & (b[..., 1] <= a[..., 3])
    over = (a[..., 0] <= b[..., 2]) & (b[..., 0] <= a[..., 2])
    hidden = []
    for side, low, meets in ((0, 0, beside), (1, 1, over), (2, 0, beside), (3, 1, over)):
        is_near = (b[..., low] - _BESIDE <= a[..., side]) & (a[..., side] <= b[..., low + 2] + _BESIDE)
        hidden.append((is_nearer & meets & is_near).any(axis=1))
    return np.stack(hidden, axis=-1)


def _fits(
    box: UprightBoxes, frames: list[int], instance_id: int, sides: _Sides, camera: Camera
) -> list[tuple[float, float, float]]:
    """By how much each stretch moves a box [1] along x and y, and how sure that is, metres."""
    T_cam_world = np.stack([rigid.inverse(camera.T_world_cam[frame]) for frame in frames])
    depths = rigid.apply(T_cam_world, box.centers[None])[:, 0, 2]
    near = np.flatnonzero((depths > _NEAREST) & (depths < _FARTHEST))
    if len(near) < 2 * _FEWEST_FRAMES:
        return []
    measured, own = (np.stack([sides.found[instance_id][frames[n]][k] for n in near.tolist()]) for k in (0, 1))
    fits = []
    for part in np.array_split(np.arange(len(near)), min(_STRETCHES, len(near) // _FEWEST_FRAMES)):
        offset, deviation = _fitted(box, T_cam_world[near[part]], camera.K, measured[part], own[part])
        if deviation < _LARGEST_DEVIATION:
            fits.append((*offset[:2], deviation))
    return fits


def _fitted(
    box: UprightBoxes,
    T_cam_world: np.ndarray,  # [F, 4, 4]
    K: np.ndarray,
    measured: np.ndarray,  # [F, 4] px
    own: np.ndarray,  # [F, 4] bool
) -> tuple[np.ndarray, float]:
    """The offset [3] metres by which a box meets the measured sides, and its standard deviation on the ground."""
    noise = _NOISE + _NOISE_SHARE * (measured[:, 2] - measured[:, 0])[:, None]
    offset, step = np.zeros(3), 1e-3
    information = np.eye(3)
    for _ in range(_STEPS):
        here = _seen(box, offset, T_cam_world, K)
        slopes = np.stack([(_seen(box, offset + step * axis, T_cam_world, K) - here) / step for axis in np.eye(3)], -1)
        residuals = measured - here
        weights = (own / noise**2 / (1 + (residuals / noise / _OUTLIER) ** 2)).ravel()
        slopes = slopes.reshape(-1, 3)
        information = (slopes * weights[:, None]).T @ slopes
        gradient = (slopes * weights[:, None]).T @ residuals.ravel() - _PULL * offset
        offset = offset + np.linalg.solve(information + _PULL * np.eye(3), gradient)
    covariance = np.linalg.inv(information * _INDEPENDENT / len(measured) + 1e-9 * np.eye(3))
    return offset, float(np.sqrt(np.trace(covariance[:2, :2])))


def _seen(box: UprightBoxes, offset: np.ndarray, T_cam_world: np.ndarray, K: np.ndarray) -> np.ndarray:
    """Sides [F, 4] px of a plain car of a box's sizes in some frames."""
    (cos, sin), local = (np.cos(box.yaws[0]), np.sin(box.yaws[0])), _CAR * box.dimensions_lwh[0] / 2
    turned = np.stack([cos * local[:, 0] - sin * local[:, 1], sin * local[:, 0] + cos * local[:, 1], local[:, 2]], -1)
    points = rigid.apply(T_cam_world, (turned + box.centers[0] + offset)[None]) @ K.T
    pixels = points[..., :2] / np.maximum(points[..., 2:], 0.5)
    return np.concatenate([pixels.min(axis=1), pixels.max(axis=1)], axis=1)
