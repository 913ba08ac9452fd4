"""Which instances the boxes of a corrected frame are.

Shapes: N boxes of the corrected frame, M boxes or masks that are known.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.optimize import linear_sum_assignment

from vsrd_ray.data.classes import IDS_PER_CLASS, ClassTable
from vsrd_ray.errors import InputError
from vsrd_ray.geometry.boxes import UprightBoxes
from vsrd_ray.geometry.cameras import box_iou
from vsrd_ray.labels.boxes.columns import boxes_of
from vsrd_ray.labels.boxes.corrected import CorrectedFrame

MIN_OVERLAP = 0.1  # IoU seen from above, over which a box can be the same instance as another
MIN_COVER = 0.5  # IoU in the image, over which a box can be the instance of a mask


@dataclass(frozen=True)
class Sight:
    """Where boxes and masks of one frame are in its image, in px."""

    boxes_xyxy: np.ndarray  # [N, 4] projected boxes
    mask_ids: tuple[int, ...]  # [M] instance ids
    mask_boxes_xyxy: np.ndarray  # [M, 4]


@dataclass
class Identities:
    """Gives the boxes of one sequence's corrected frames their instance ids, frame by frame.

    A box is, in this order: the instance that its file gives with it; the one whose box in the frame it overlaps best;
    the one that stood in its line when the file was exported; a standing one that the frame lacks, and whose box it
    overlaps; one whose mask it covers, and that has no box; or a new one. New ids are above those in use, and a new box
    that overlaps one of an earlier frame has its id. No two boxes of a frame are the same instance.
    """

    labels: pa.Table  # rows of the sequence
    used_ids: set[int]  # in labels or masks of the sequence
    classes: ClassTable  # of the dataset
    _standing: dict[int, UprightBoxes] = field(default_factory=dict, init=False)  # one box each

    def __post_init__(self) -> None:
        rows = self.labels.filter(pc.field("is_moving").is_null() | ~pc.field("is_moving"))
        self._standing = dict(zip(rows["instance_id"].to_pylist(), boxes_of(rows), strict=True))
        self.used_ids = {*self.used_ids, *self.labels["instance_id"].to_pylist()}

    def assign(self, frame: CorrectedFrame, rows: pa.Table, look: Callable[[], Sight]) -> list[int]:
        """Instance ids [N] of a corrected frame's boxes.

        Args:
            frame: what the human left.
            rows: label rows of the same frame.
            look: tells where its boxes and all masks are in the image; asked only where that matters.

        Raises:
            InputError: a class has no number left for a new instance.
        """
        ids: list[int | None] = [self._given(frame, n) for n in range(len(frame.class_names))]
        self._overlapping(frame, ids, rows["instance_id"].to_pylist(), boxes_of(rows))
        self._in_line(frame, ids)
        here = set(rows["instance_id"].to_pylist())
        elsewhere = {instance_id: box for instance_id, box in self._standing.items() if instance_id not in here}
        self._overlapping(frame, ids, list(elsewhere), UprightBoxes.stack(list(elsewhere.values())))
        if None in ids:
            self._covering(frame, ids, look())
        return [self._new(frame, n) if known is None else known for n, known in enumerate(ids)]

    def _given(self, frame: CorrectedFrame, n: int) -> int | None:
        """What the file says, where it says so of one box alone: a copied box carries its model's id."""
        given = frame.given_ids[n]
        return given if given in self.used_ids and frame.given_ids.count(given) == 1 else None

    def _overlapping(
        self,
        frame: CorrectedFrame,
        ids: list[int | None],
        candidates: Sequence[int],  # [M] instance ids
        boxes: UprightBoxes,  # [M]
    ) -> None:
        """Give boxes without an id the free candidates whose boxes they overlap, the sum of overlaps being largest."""
        open_boxes = [n for n, known in enumerate(ids) if known is None]
        free = [m for m, candidate in enumerate(candidates) if candidate not in ids]
        if not open_boxes or not free:
            return
        _, overlaps = frame.boxes[open_boxes][:, None].iou(boxes[free])
        for row, column in _pairs(overlaps, MIN_OVERLAP):
            ids[open_boxes[row]] = candidates[free[column]]

    def _in_line(self, frame: CorrectedFrame, ids: list[int | None]) -> None:
        """Where there are as many lines as were exported, a box without an id is what stood in its line, if free."""
        if frame.exported_ids is None or len(frame.exported_ids) != len(ids):
            return
        for n, exported in enumerate(frame.exported_ids):
            if ids[n] is None and exported not in ids and exported in self.used_ids:
                ids[n] = exported

    def _covering(self, frame: CorrectedFrame, ids: list[int | None], sight: Sight) -> None:
        """Give boxes without an id the free instances of their class whose masks they cover."""
        open_boxes = [n for n, known in enumerate(ids) if known is None]
        free = [m for m, instance_id in enumerate(sight.mask_ids) if instance_id not in ids]
        overlaps = box_iou(sight.boxes_xyxy[open_boxes][:, None], sight.mask_boxes_xyxy[free][None])
        classes = np.array([self.classes.by_name[frame.class_names[n]].number for n in open_boxes])
        overlaps[classes[:, None] != np.array(sight.mask_ids)[free] // IDS_PER_CLASS] = 0
        for row, column in _pairs(overlaps, MIN_COVER):
            ids[open_boxes[row]] = sight.mask_ids[free[column]]

    def _new(self, frame: CorrectedFrame, n: int) -> int:
        first = self.classes.first_id(frame.class_names[n])
        used = [used for used in self.used_ids if first < used < first + IDS_PER_CLASS]
        new = max(used, default=first) + 1
        if new >= first + IDS_PER_CLASS:
            raise InputError(
                f"{frame.place}: no id below {first + IDS_PER_CLASS} is left for a new {frame.class_names[n]}: "
                "import fewer new boxes"
            )
        self.used_ids.add(new)
        self._standing[new] = frame.boxes[n]
        return new


def _pairs(overlaps: np.ndarray, least: float) -> list[tuple[int, int]]:
    """Rows and columns that belong together, the sum of overlaps [R, C] over `least` being largest."""
    overlaps = np.where(overlaps > least, overlaps, 0.0)
    rows, columns = linear_sum_assignment(overlaps, maximize=True)
    return [(r, c) for r, c in zip(rows.tolist(), columns.tolist(), strict=True) if overlaps[r, c] > 0]
