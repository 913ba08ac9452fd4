"""What pictures show of a sequence: labels, ground truth where there is some, images where there are some.

Shapes: N boxes.
"""

import logging
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
from vsrd_ray.visualization.drawing import INK, WHITE, Color, draw_box, instance_color

logger = logging.getLogger(__name__)

_NO_IMAGE = 96  # grey of frames without an image


@dataclass(frozen=True)
class ShownBoxes:
    """Boxes of one frame, or of many."""

    instance_ids: np.ndarray  # [N] int64
    frames: np.ndarray  # [N] int64; STATIC for boxes that hold in every frame
    boxes: UprightBoxes  # [N], in the world

    def where(self, chosen: np.ndarray) -> "ShownBoxes":
        """The boxes that a mask [N], or positions, choose."""
        return ShownBoxes(self.instance_ids[chosen], self.frames[chosen], self.boxes[chosen])

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
        """True boxes whose instances can be seen in a frame."""
        if self.truth is None:
            return None
        boxes = self.truth.in_frame(frame)
        return boxes.where(self._is_visible(boxes, [frame]))

    def parked_truth(self) -> ShownBoxes | None:
        """True boxes of parked instances that can be seen in any labelled frame."""
        if self.truth is None:
            return None
        parked = self.truth.where(self.truth.frames == STATIC)
        return parked.where(self._is_visible(parked, self.frames))

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
    """Draw a frame's true boxes, thin, and its labels over them into its image [H, W, 3]."""
    view = shown.sequence.view(frame)
    thickness = max(1, round(image.shape[1] / 700))
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


def _label_boxes(rows: pa.Table) -> ShownBoxes:
    ids, frames = (rows[name].to_numpy().astype(np.int64) for name in ("instance_id", "frame"))
    return ShownBoxes(ids, frames, boxes_of(rows))


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
    return ShownBoxes(truth.instance_ids[wanted], truth.timestamps[wanted], truth.boxes[wanted])
