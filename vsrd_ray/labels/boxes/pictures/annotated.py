"""What pictures show of a sequence: labels, ground truth where there is some, images where there are some.

Shapes: N boxes.
"""

import logging
import math
from dataclasses import dataclass

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vsrd_ray.data.drive import IMAGES, Drive
from vsrd_ray.data.truth import BOXES, STATIC
from vsrd_ray.errors import InputError
from vsrd_ray.geometry import rigid
from vsrd_ray.geometry.boxes import UprightBoxes
from vsrd_ray.labels.boxes.columns import boxes_of
from vsrd_ray.labels.boxes.criteria import MIN_MASK_AREA
from vsrd_ray.labels.boxes.identified import true_boxes
from vsrd_ray.labels.boxes.parquet import read_labels
from vsrd_ray.labels.boxes.pictures.frames import frames_to_show
from vsrd_ray.runs.folder import open_labelled, read_index, sequence_labels
from vsrd_ray.runs.manifest import read_inputs
from vsrd_ray.runs.reading import read_groups
from vsrd_ray.storage import Location, read_bytes
from vsrd_ray.visualization.drawing import INK, WHITE, Color, draw_box, draw_text, instance_color, text_width

logger = logging.getLogger(__name__)

_NO_IMAGE = 96  # grey of frames without an image
_NEAR = 1.0  # metres ahead of the camera from which on a box gets a name


@dataclass(frozen=True)
class ShownBoxes:
    """Boxes of one frame, or of many."""

    instance_ids: np.ndarray  # [N] int64
    frames: np.ndarray  # [N] int64; STATIC for boxes that hold in every frame
    boxes: UprightBoxes  # [N], in the world
    confidences: np.ndarray  # [N]; NaN of what has none

    def where(self, chosen: np.ndarray) -> "ShownBoxes":
        """The boxes that a mask [N], or positions, choose."""
        return ShownBoxes(self.instance_ids[chosen], self.frames[chosen], self.boxes[chosen], self.confidences[chosen])

    def names(self) -> list[str]:
        """Instance and confidence of each box, such as "26003 0.97"."""
        pairs = zip(self.instance_ids.tolist(), self.confidences.tolist(), strict=True)
        return [f"{number}" if math.isnan(confidence) else f"{number} {confidence:.2f}" for number, confidence in pairs]

    def in_frame(self, frame: int) -> "ShownBoxes":
        """The boxes that hold in one frame: its own, and the static ones of other instances."""
        is_own = self.frames == frame
        return self.where(is_own | ((self.frames == STATIC) & ~np.isin(self.instance_ids, self.instance_ids[is_own])))

    def corners(self) -> np.ndarray:
        """Corners [N, 8, 3] metres, world."""
        return self.boxes.corners()

    def footprints(self) -> np.ndarray:
        """Footprints [N, 4, 2], metres in the world's x and y: front left, front right, rear right, rear left."""
        return self.corners()[:, :4, :2]

    def colors(self) -> list[Color]:
        """The colour of each box's instance."""
        return [instance_color(instance_id) for instance_id in self.instance_ids.tolist()]


@dataclass(frozen=True)
class ShownDrive:
    """A labelled sequence."""

    sequence: Drive
    frames: tuple[int, ...]  # ascending; see `frames_to_show`
    labels: ShownBoxes
    best: np.ndarray  # [N] bool: of all labels of an instance, the first of those with the highest confidence
    truth: ShownBoxes | None  # boxes of the wanted classes
    visible: frozenset[tuple[int, int]]  # (instance, frame) whose mask is large enough for a truth to be drawn

    def truth_in(self, frame: int) -> ShownBoxes | None:
        """True boxes whose instances can be seen in a frame, or are labelled in it."""
        if self.truth is None:
            return None
        boxes = self.truth.in_frame(frame)
        is_labelled = np.isin(boxes.instance_ids, self.labels.in_frame(frame).instance_ids)
        return boxes.where(self._is_visible(boxes, [frame]) | is_labelled)

    def parked_truth(self) -> ShownBoxes | None:
        """True boxes of parked instances that can be seen, or are labelled, in any labelled frame."""
        if self.truth is None:
            return None
        parked = self.truth.where(self.truth.frames == STATIC)
        is_labelled = np.isin(parked.instance_ids, self.labels.instance_ids)
        return parked.where(self._is_visible(parked, self.frames) | is_labelled)

    def _is_visible(self, boxes: ShownBoxes, frames: list[int] | tuple[int, ...]) -> np.ndarray:
        wanted = set(frames)
        seen = {instance_id for instance_id, frame in self.visible if frame in wanted}
        return np.isin(boxes.instance_ids, list(seen))


def open_shown(output: Location, root: Location, *, sequence: str | None = None) -> ShownDrive:
    """One sequence of a run with its labels, and its ground truth if the dataset has it.

    Raises:
        InputError: `output` is no folder of a labelling run, it has no labelled frame of this sequence, or the run has
            several sequences and none is named.
    """
    inputs, labels = read_inputs(output), read_labels(output)
    held = ", ".join(inputs.sequences)
    if sequence is None and len(inputs.sequences) != 1:
        raise InputError(f"{output} holds {held}: say which sequence to draw")
    name = next(iter(inputs.sequences)) if sequence is None else sequence
    if name not in inputs.sequences:
        raise InputError(f"{output} has no sequence {name}; it holds {held}")
    frames = tuple(frames_to_show(output, read_groups(output), sequence=name, inputs=inputs))
    if not frames:
        raise InputError(f"{output} has no labelled frame of {name}, so there is nothing to draw")
    rows = sequence_labels(labels, sequence=name, camera=inputs.camera)
    index = read_index(output, name)
    large = index.filter(pc.field("area") >= MIN_MASK_AREA)
    drive = open_labelled(inputs, root, name)
    return ShownDrive(
        sequence=drive,
        frames=frames,
        labels=_label_boxes(rows),
        best=_best_of_instance(rows),
        truth=_truth_boxes(drive, index, classes=inputs.classes),
        visible=frozenset(zip(large["instance_id"].to_pylist(), large["frame"].to_pylist(), strict=True)),
    )


def read_image(sequence: Drive, frame: int) -> np.ndarray:
    """The image [H, W, 3] of a frame, BGR; plain grey where there is none that can be read."""
    image = find_image(sequence, frame)
    width, height = sequence.image_size
    return np.full((height, width, 3), _NO_IMAGE, dtype=np.uint8) if image is None else image


def find_image(sequence: Drive, frame: int) -> np.ndarray | None:
    """The image [H, W, 3] of a frame, BGR; None where there is none of the calibration's size that can be read."""
    path = sequence.file(IMAGES, sequence.camera.name, frame)
    image = _decoded(path)
    width, height = sequence.image_size
    if image is None or image.shape[:2] != (height, width):
        logger.debug("no image %s", path)
        return None
    return image


def _decoded(path: Location) -> np.ndarray | None:
    """The image in a file, BGR; None where there is none that can be read."""
    try:
        data = np.frombuffer(read_bytes(path), dtype=np.uint8)
    except OSError:
        return None
    return cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None


def corners_in_camera(boxes: ShownBoxes, T_world_cam: np.ndarray) -> np.ndarray:
    """Corners [N, 8, 3] of the boxes in a camera, metres."""
    return rigid.apply(rigid.inverse(T_world_cam), boxes.corners())


def draw_labels(image: np.ndarray, shown: ShownDrive, frame: int) -> None:
    """Draw a frame's true boxes, thin, and its labels over them, with their names, into its image [H, W, 3]."""
    view = shown.sequence.view(frame)
    width = image.shape[1]
    thickness, size = max(1, round(width / 700)), max(0.4, width / 2300)
    truth = shown.truth_in(frame)
    if truth is not None:
        for corners in corners_in_camera(truth, view.T_world_cam):
            draw_box(image, corners, view.K, color=INK, thickness=thickness + 1, fill_front=False)
            draw_box(image, corners, view.K, color=WHITE, thickness=1, fill_front=False)
    labels = shown.labels.in_frame(frame)
    corners_cam = corners_in_camera(labels, view.T_world_cam)
    farthest_first = np.argsort(-corners_cam[:, :, 2].mean(axis=1), kind="stable")
    for position in farthest_first:
        color = instance_color(int(labels.instance_ids[position]))
        draw_box(image, corners_cam[position], view.K, color=color, thickness=thickness)
    _draw_names(image, labels.names(), corners_cam, farthest_first[::-1], K=view.K, size=size)


def _draw_names(
    image: np.ndarray, names: list[str], corners_cam: np.ndarray, order: np.ndarray, *, K: np.ndarray, size: float
) -> None:
    """Write names above boxes [N, 8, 3] in an order; one that would lie on another is left out."""
    height = 26 * size
    taken: list[tuple[float, float, float]] = []  # left, right and base line
    for position in order.tolist():
        place = _above(corners_cam[position], K)
        if place is None:
            continue
        width, y = text_width(names[position], size), max(place[1] - 4, height)
        left = float(place[0] - width / 2)
        if any(left < other[1] and other[0] < left + width and abs(y - other[2]) < height for other in taken):
            continue
        taken.append((left, left + width, y))
        draw_text(image, names[position], (left, y), color=WHITE, size=size, halo=INK)


def _above(corners_cam: np.ndarray, K: np.ndarray) -> np.ndarray | None:
    """Pixel [2] above the middle of a box of corners [8, 3] m in the camera; None unless all of it is ahead."""
    if corners_cam[:, 2].min() < _NEAR:
        return None
    pixels = corners_cam @ K.T
    pixels = pixels[:, :2] / pixels[:, 2:]
    return np.array([pixels[:, 0].mean(), pixels[:, 1].min()])


def _label_boxes(rows: pa.Table) -> ShownBoxes:
    ids, frames = (rows[name].to_numpy().astype(np.int64) for name in ("instance_id", "frame"))
    return ShownBoxes(ids, frames, boxes_of(rows), rows["confidence"].to_numpy().astype(np.float64))


def _best_of_instance(rows: pa.Table) -> np.ndarray:
    ids, confidences = rows["instance_id"].to_numpy(), rows["confidence"].to_numpy()
    order = np.lexsort([-confidences, ids])
    _, firsts = np.unique(ids[order], return_index=True)
    best = np.zeros(len(ids), dtype=bool)
    best[order[firsts]] = True
    return best


def _truth_boxes(drive: Drive, index: pa.Table, *, classes: tuple[str, ...]) -> ShownBoxes | None:
    if not drive.has_truth(BOXES):
        return None
    truth = true_boxes(drive, index)
    wanted = np.isin(truth.class_names, classes)
    unknown = np.full(int(wanted.sum()), np.nan)
    return ShownBoxes(truth.instance_ids[wanted], truth.timestamps[wanted], truth.boxes[wanted], unknown)
