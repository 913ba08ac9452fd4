"""Boxes of clusters, and those of other labelers, against true boxes: one table for both.

True boxes count that hold points which a camera shows. Labels are matched as nuScenes matches detections: by class and
distance from above, the surest first. Shapes: P labels, T truths, N points.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from vsrd_ray.data.drive import POINTS, Camera, Drive
from vsrd_ray.data.truth import BOXES
from vsrd_ray.errors import InputError
from vsrd_ray.geometry import rigid
from vsrd_ray.geometry.boxes import UprightBoxes
from vsrd_ray.labels.base import Evaluation, kinds_of
from vsrd_ray.labels.points.classes import NAMES, class_named
from vsrd_ray.labels.points.labelled import rows_of
from vsrd_ray.labels.points.schema import TABLE, unpacked
from vsrd_ray.runs.folder import RunFolder

_MIN_POINTS = 5  # of a true box that counts
_GATE = 2.0  # m between centres, from above
_GOOD = 0.5  # IoU from above
_NONE = -1
_SQUARE = tuple(NAMES.index(name) for name in ("pedestrian", "traffic_cone"))


@dataclass
class BoxTally:
    """What is counted of one source of boxes."""

    labels: int = 0
    truths: int = 0
    distances: list[float] = field(default_factory=list)  # m, of each match
    size_errors: list[float] = field(default_factory=list)  # 1 - IoU of the boxes laid over each other
    yaw_errors: list[float] = field(default_factory=list)  # degrees, to the nearest end; not of what is about square
    ious: list[float] = field(default_factory=list)  # from above

    def add(
        self,
        labels: UprightBoxes,  # [P], the surest first
        of_labels: np.ndarray,  # [P] class
        truths: UprightBoxes,  # [T]
        of_truths: np.ndarray,  # [T]
        counts: np.ndarray,  # [T] bool; labels of others count as neither right nor wrong
    ) -> None:
        """Count the boxes of a frame."""
        self.truths += int(counts.sum())
        left = np.ones(len(truths), dtype=bool)
        for place in range(len(labels)):
            apart = np.linalg.norm(truths.centers[:, :2] - labels.centers[place, :2], axis=1)
            apart[~left | (of_truths != of_labels[place])] = np.inf
            best = int(apart.argmin()) if len(apart) else _NONE
            if best == _NONE or apart[best] > _GATE:
                self.labels += 1
                continue
            left[best] = False
            if counts[best]:
                self.labels += 1
                self._match(labels[place], truths[best], float(apart[best]), is_square=of_labels[place] in _SQUARE)

    def _match(self, label: UprightBoxes, truth: UprightBoxes, distance: float, *, is_square: bool) -> None:
        shared = np.minimum(label.dimensions_lwh, truth.dimensions_lwh).prod()
        union = label.dimensions_lwh.prod() + truth.dimensions_lwh.prod() - shared
        turn = np.abs((label.yaws - truth.yaws + np.pi / 2) % np.pi - np.pi / 2)
        self.distances.append(distance)
        self.size_errors.append(float(1 - shared / union))
        if not is_square:
            self.yaw_errors.append(float(np.degrees(turn)))
        self.ious.append(float(label.iou(truth)[1]))

    @property
    def values(self) -> dict[str, float | int]:
        """Counts, shares and mean errors of matches; 0 where there is none."""
        found = len(self.distances)
        return {
            "truths": self.truths,
            "labels": self.labels,
            "recall": found / max(self.truths, 1),
            "precision": found / max(self.labels, 1),
            "good": float(np.sum(np.array(self.ious) >= _GOOD)) / max(self.truths, 1),
            "iou_bev": float(np.mean(self.ious)) if found else 0.0,
            "center_error": float(np.mean(self.distances)) if found else 0.0,
            "size_error": float(np.mean(self.size_errors)) if found else 0.0,
            "yaw_error_deg": float(np.mean(self.yaw_errors)) if self.yaw_errors else 0.0,
        }


def add_boxes(
    tally: BoxTally, run: RunFolder, drive: Drive, *, of: RunFolder, frames: set[int], image: str | None = None
) -> None:
    """Count the boxes that a run has of a drive.

    Args:
        tally: what is added to.
        run: of labels of points, which says what cameras show of each sweep.
        drive: with the truth.
        of: the run whose boxes are counted.
        frames: that count.
        image: camera in whose image centres have to lie; None: anywhere.
    """
    truth = drive.truth(BOXES)
    places = [class_named(name) for name in truth.class_names]
    of_truth = np.array([_NONE if place is None else place for place in places])
    labelled = _by_frame(of, drive.name)
    for row in rows_of(run, TABLE, drive.name).to_pylist():
        frame = row["frame"]
        if frame not in frames:
            continue
        chosen = np.flatnonzero(truth.in_frame(frame) & (of_truth != _NONE))
        true = truth.boxes[chosen]
        shown = _with_points(true, _points_in_view(drive, row))
        labels, classes = labelled.get(frame, (UprightBoxes.stack([]), np.zeros(0, dtype=np.int64)))
        if image is not None:
            shown &= _in_image(true, drive.cameras[image], frame)  # others stay, so that labels of them are not wrong
            inside = _in_image(labels, drive.cameras[image], frame)
            labels, classes = labels[inside], classes[inside]
        tally.add(labels, classes, true, of_truth[chosen], shown)


def compare(run_a: RunFolder, run_b: RunFolder, options: Mapping[str, Any]) -> Evaluation:
    """Boxes of two runs over the frames of both, in the image of the second's camera; see `Kind.compare`."""
    tallies = BoxTally(), BoxTally()
    names = [name for name in run_a.inputs.sequences if name in run_b.inputs.sequences]
    for name in names:
        drive = run_a.drive(name)
        frames = set(run_a.rows(TABLE, name)["frame"].to_pylist()) & _frames_of(run_b, name)
        camera = run_b.inputs.camera if run_b.inputs.camera in drive.cameras else None
        for tally, run in zip(tallies, (run_a, run_b), strict=True):
            add_boxes(tally, run_a, drive, of=run, frames=frames, image=camera)
    if not names:
        raise InputError(f"{run_a.output} and {run_b.output} have no drive in common: compare runs of one scene")
    values = {"a": tallies[0].values, "b": tallies[1].values}
    return Evaluation(values, table({str(run_a.output): tallies[0], str(run_b.output): tallies[1]}))


def table(tallies: Mapping[str, BoxTally]) -> str:
    """Lines for people: a row for each source."""
    width = max(20, *(len(name) for name in tallies))
    title = "Boxes, in view"
    lines = [f"{title:{width}} truths labels recall precision IoU>.5 IoU bev  centre m  size   yaw deg"]
    for name, tally in tallies.items():
        v = tally.values
        lines.append(
            f"{name:{width}} {v['truths']:6} {v['labels']:6} {v['recall']:6.3f} {v['precision']:9.3f} {v['good']:6.3f} "
            f"{v['iou_bev']:7.3f} {v['center_error']:9.2f} {v['size_error']:5.2f} {v['yaw_error_deg']:9.1f}"
        )
    return "\n".join(lines)


def _frames_of(run: RunFolder, name: str) -> set[int]:
    """Frames of which a run has boxes."""
    return {frame for rows, _ in _box_rows(run, name) for frame in rows["frame"].to_pylist()}


def _box_rows(run: RunFolder, name: str) -> Sequence[tuple[pa.Table, UprightBoxes]]:
    kinds = [kind for kind in kinds_of(run) if kind.boxes is not None]
    if not kinds:
        raise InputError(f"{run.output} holds no boxes: compare with a run that does")
    tables = [
        (rows_of(run, kind.table, name) if kind.name == "clusters" else run.rows(kind.table, name), kind.boxes)
        for kind in kinds
    ]
    return [(rows, boxes(rows)) for rows, boxes in tables if boxes is not None]


def _by_frame(run: RunFolder, name: str) -> dict[int, tuple[UprightBoxes, np.ndarray]]:
    """Boxes of each frame and their classes, the surest first."""
    found: dict[int, tuple[UprightBoxes, np.ndarray]] = {}
    for rows, boxes in _box_rows(run, name):
        known = {one: class_named(one) for one in set(rows["class_name"].to_pylist())}
        classes = np.array(
            [_NONE if known[one] is None else known[one] for one in rows["class_name"].to_pylist()], dtype=np.int64
        )
        frames, sure = rows["frame"].to_numpy(), rows["confidence"].to_numpy()
        for frame in np.unique(frames).tolist():
            own = np.flatnonzero((frames == frame) & (classes != _NONE))
            own = own[np.argsort(-sure[own], kind="stable")]
            found[frame] = boxes[own], classes[own]
    return found


def _points_in_view(drive: Drive, row: Mapping[str, Any]) -> np.ndarray:
    """Points [N, 3] of a labelled sweep that a camera shows, in the world."""
    frame, sensor = row["frame"], row["sensor"]
    seen = unpacked(row)[2]
    xyz = drive.read(POINTS, sensor, frame)[seen, :3].astype(np.float64)
    return rigid.apply(drive.lidars[sensor].T_world_lidar[frame], xyz)


def _with_points(boxes: UprightBoxes, xyz: np.ndarray) -> np.ndarray:
    """Which boxes [T] hold enough points [N, 3]."""
    enough = np.zeros(len(boxes), dtype=bool)
    for place, box in enumerate(boxes):
        offset = xyz - box.centers
        cos, sin = np.cos(box.yaws), np.sin(box.yaws)
        local = np.column_stack([offset[:, :2] @ np.array([[cos, -sin], [sin, cos]]), offset[:, 2]])
        enough[place] = (np.abs(local) <= box.dimensions_lwh / 2).all(axis=1).sum() >= _MIN_POINTS
    return enough


def _in_image(boxes: UprightBoxes, camera: Camera, frame: int) -> np.ndarray:
    """Whether the centre of each box [P] lies in the image of a frame."""
    if frame not in camera.T_world_cam:
        return np.zeros(len(boxes), dtype=bool)
    P_cam = rigid.apply(rigid.inverse(camera.T_world_cam[frame]), boxes.centers)
    ahead = P_cam[:, 2] > 1.0
    uv = P_cam @ camera.K.T
    uv = uv[:, :2] / np.where(ahead, uv[:, 2], 1.0)[:, None]
    return ahead & ((uv >= 0) & (uv < np.array(camera.image_size))).all(axis=1)
