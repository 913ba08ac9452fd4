"""Figures of occupancy, as Occ3D, SSCBench and SparseOcc (RayIoU) compute them.

Shapes: X x Y x Z voxels, C classes, D directions, O origins.
"""

from dataclasses import dataclass

import numpy as np

from vsrd_ray.labels.voxels.classes import OCC3D, SSCBENCH, UNKNOWN
from vsrd_ray.labels.voxels.grid import Grid
from vsrd_ray.labels.voxels.traversal import Rays, first_occupied

RANGES = (12.8, 25.6, 51.2)  # m ahead and, each half of it, to both sides, of SSCBench's three figures
THRESHOLDS = (1.0, 2.0, 4.0)  # m of RayIoU
_WITHOUT = (0, 12)  # classes of Occ3D that the mean of 15 leaves out
_SMALL = 1e-5  # in SSCBench's denominators
_PITCHES, _AZIMUTHS = 39, 360


def confusion(truth: np.ndarray, predicted: np.ndarray, num: int) -> np.ndarray:
    """Counts [num, num] float64 of pairs of classes below `num`; rows are the truth's."""
    valid = (truth < num) & (predicted < num)
    pairs = truth[valid].astype(np.int64) * num + predicted[valid]
    return np.bincount(pairs, minlength=num * num).reshape(num, num).astype(np.float64)


def occ3d_histogram(truth: np.ndarray, predicted: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Counts [18, 18] of the voxels inside a mask; what is unknown counts as free."""
    known = np.where(predicted == UNKNOWN, OCC3D.free, predicted)
    return confusion(truth[mask], known[mask], len(OCC3D.names))


def iou_of(histogram: np.ndarray) -> np.ndarray:
    """IoU [C] of each class; NaN of those that occur nowhere."""
    hits = np.diag(histogram)
    union = histogram.sum(axis=0) + histogram.sum(axis=1) - hits
    return np.divide(hits, union, out=np.full(len(hits), np.nan), where=union > 0)


def occ3d_scores(histogram: np.ndarray) -> dict[str, float]:
    """`miou` of 17 classes, `miou_15` without others and other flat, and geometric `iou`, shares."""
    per_class = iou_of(histogram)[: OCC3D.free]
    fewer = np.delete(per_class, _WITHOUT)
    free = OCC3D.free
    seen = histogram.sum() - histogram[free, free]
    return {
        "miou": _mean(per_class),
        "miou_15": _mean(fewer),
        "iou": float(histogram[:free, :free].sum() / seen) if seen else float("nan"),
    }


def _mean(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


def ssc_histogram(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Counts [19, 19] of the voxels whose truth is not 255; what is unknown counts as empty."""
    valid = truth != UNKNOWN
    known = np.where(predicted == UNKNOWN, SSCBENCH.free, predicted)
    return confusion(truth[valid], known[valid], len(SSCBENCH.names))


def ssc_scores(histogram: np.ndarray) -> dict[str, float]:
    """`iou`, `precision` and `recall` of what is not empty, and `miou`, the plain mean of 18 classes."""
    hits = histogram[1:, 1:].sum()
    found, true = histogram[:, 1:].sum(), histogram[1:].sum()
    per_class = ssc_iou(histogram)
    return {
        "iou": float(hits / max(found + true - hits, 1)),
        "precision": float(hits / max(found, 1)),
        "recall": float(hits / max(true, 1)),
        "miou": float(per_class[1:].mean()),
    }


def ssc_iou(histogram: np.ndarray) -> np.ndarray:
    """IoU [19] of each class, 0 of those that occur nowhere."""
    hits = np.diag(histogram)
    return hits / (histogram.sum(axis=0) + histogram.sum(axis=1) - hits + _SMALL)


def within(grid: Grid, reach: float) -> tuple[slice, slice, slice]:
    """The voxels of SSCBench's grid up to a reach ahead, and half of it to both sides."""
    ahead, half = round(reach / grid.voxel_size), round(reach / 2 / grid.voxel_size)
    middle = grid.shape[1] // 2
    return slice(0, min(ahead, grid.shape[0])), slice(max(middle - half, 0), middle + half), slice(None)


def ray_directions() -> np.ndarray:
    """The 39 x 360 directions [14040, 3] float64 of RayIoU, as SparseOcc spaces them (float32)."""
    down = -np.arctan(1 / np.arange(1.0, 11.0))  # metres ahead for each of height: 1 to 10
    step = down[-1] - down[-2]
    pitch = np.concatenate([down, down[-1] + step * np.arange(1, _PITCHES - len(down) + 1)])
    azimuth = np.radians(np.arange(_AZIMUTHS))
    rays = np.stack(
        [
            np.cos(pitch)[:, None] * np.cos(azimuth),
            np.cos(pitch)[:, None] * np.sin(azimuth),
            np.broadcast_to(np.sin(pitch)[:, None], (len(pitch), _AZIMUTHS)),
        ],
        axis=-1,
    )
    return rays.reshape(-1, 3)


@dataclass
class RayScores:
    """Tallies of RayIoU over grids."""

    hits: np.ndarray  # [3, 17], by threshold and class
    true: np.ndarray  # [17]
    found: np.ndarray  # [17]

    @staticmethod
    def empty() -> "RayScores":
        """Before any ray."""
        num = OCC3D.free
        return RayScores(np.zeros((len(THRESHOLDS), num)), np.zeros(num), np.zeros(num))

    def add(
        self,
        grid: Grid,
        truth: np.ndarray,  # [X, Y, Z] uint8, Occ3D
        predicted: np.ndarray,  # [X, Y, Z] uint8
        origins: np.ndarray,  # [O, 3] m, grid's frame
        directions: np.ndarray,  # [D, 3]
    ) -> None:
        """Walk from every origin in every direction; rays that truly meet nothing are left out."""
        for origin in origins:
            label, distance = cast_rays(grid, truth, origin, directions)
            answer, reached = cast_rays(grid, predicted, origin, directions)
            valid = label != OCC3D.free
            label, distance, answer, reached = label[valid], distance[valid], answer[valid], reached[valid]
            self.true += np.bincount(label, minlength=OCC3D.free)[: OCC3D.free]
            self.found += np.bincount(answer, minlength=OCC3D.free + 1)[: OCC3D.free]
            for place, most in enumerate(THRESHOLDS):
                is_hit = (answer == label) & (np.abs(distance - reached) < most)
                self.hits[place] += np.bincount(label[is_hit], minlength=OCC3D.free)[: OCC3D.free]

    @property
    def per_class(self) -> np.ndarray:
        """IoU [3, 17] by threshold and class; NaN of those that no ray meets."""
        union = self.true + self.found - self.hits
        return np.divide(self.hits, union, out=np.full(self.hits.shape, np.nan), where=union > 0)

    def values(self) -> dict[str, float]:
        """`rayiou`, the mean over thresholds, and each: `rayiou_1` to `rayiou_4`."""
        each = [_mean(row) for row in self.per_class]
        names = [f"rayiou_{most:.0f}" for most in THRESHOLDS]
        return {"rayiou": float(np.mean(each)), **dict(zip(names, each, strict=True))}


def cast_rays(
    grid: Grid, semantics: np.ndarray, origin: np.ndarray, directions: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Class [D] of the first occupied voxel on each ray, free without one, and where the ray leaves it [D], metres."""
    single = (origin.astype(np.float32) - grid.low.astype(np.float32)) / np.float32(grid.voxel_size)  # as published
    starts = np.broadcast_to(single.astype(np.float64), directions.shape)
    rays = Rays(np.ascontiguousarray(starts), directions.astype(np.float64), np.full(len(directions), np.inf))
    known = np.where(semantics == UNKNOWN, OCC3D.free, semantics)
    found = first_occupied(rays, known != OCC3D.free)
    labels = np.where(found.places >= 0, known.ravel()[np.maximum(found.places, 0)], OCC3D.free)
    return labels.astype(np.int64), found.left * grid.voxel_size
