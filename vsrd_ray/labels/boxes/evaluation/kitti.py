"""KITTI's average precision of labels, frame by frame, by the protocol of its object benchmark.

A run's labels are the detections, with their confidence as score. Objects are the boxes of the XML in the frames that
the run labelled and whose masks show them. What counts is the protocol's, whatever the range:

- An object ought to be found at a difficulty if its 2D box is tall enough and it is not occluded or truncated more than
  that difficulty allows. Others need not be found, and a label that finds one is neither true nor false: so it is with
  one whose mask has less than `MIN_MASK_AREA` px, so that its occlusion is unknown, and with one of a class that is
  easily taken for the wanted one.
- Labels choose objects by falling confidence. Those whose 2D box is less tall than the difficulty asks come last and
  are neither true nor false. An object that such a label alone finds is not found: the objects that ought to be are
  counted from the truth alone, as in KITTI's own program.
- A label that gets no object is false, unless most of its 2D box lies in a don't-care region: where a mask shows the
  wanted class, or one that is taken for it, but the XML has no upright box of the instance; and where masks that were
  given say that what is there is to be ignored.

The objects' 2D boxes, truncation and occlusion are estimated as they are for labels. IoU is that of the boxes as
KITTI's text has them: upright along the camera's y, turned about it by rotation_y.

Shapes: D labels, G objects, P pairs of one of each. Verdicts are [D, kind, IoU, difficulty], in the order of `KINDS`,
`IOUS` and `DIFFICULTIES`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vsrd_ray.data.index import SIDES
from vsrd_ray.geometry.boxes import UprightBoxes
from vsrd_ray.geometry.cameras import box_areas, shared_areas
from vsrd_ray.labels.boxes.columns import BOTTOM_CAM, BOX_2D, ROTATION_Y, SIZE_LWH, numbers
from vsrd_ray.labels.boxes.criteria import MIN_MASK_AREA
from vsrd_ray.labels.boxes.evaluation.assignment import (
    NOTHING,
    PlacedBoxes,
    assign,
    pair_ious,
    pairs_in_one_place,
    touching_pairs,
)
from vsrd_ray.labels.boxes.evaluation.precision import (
    FALSE,
    NEITHER,
    R40,
    TRUE,
    Verdicts,
    average_precisions,
    mean_over_recalls,
)
from vsrd_ray.labels.boxes.kitti import DIFFICULTIES, Difficulty

UNKNOWN_NAME = "unknown"  # in the place of a class, of regions that may show anything
KINDS = ("3d", "bev")
IOUS = (0.3, 0.5, 0.7)
# Classes that are easily taken for another, as KITTI has vans for cars.
_NEIGHBOURS = {
    "car": ("caravan", "unknown vehicle"),
    "truck": ("trailer", "unknown vehicle"),
    "bus": ("unknown vehicle",),
    "caravan": ("car", "trailer", "unknown vehicle"),
    "trailer": ("truck", "caravan", "unknown vehicle"),
    "person": ("rider",),
    "rider": ("person",),
}
_DONT_CARE_SHARE = 0.5  # of a label's 2D box
_REGION = tuple(f"box_{side}" for side in SIDES)  # columns of the index


@dataclass(frozen=True)
class KittiAP:
    """Average precision of one class at `R40` or `R11`, 0..1; NaN where there is no object to find."""

    num_objects: dict[str, int]  # that ought to be found, by difficulty
    ap_3d: dict[str, dict[str, float]]  # by IoU, such as "0.5", and difficulty
    ap_bev: dict[str, dict[str, float]]


@dataclass(frozen=True)
class _Objects:
    """What the lines of KITTI's text hold, of many frames."""

    boxes: PlacedBoxes  # [N] by frame, in the camera turned upright: x right, y ahead, z up
    boxes_xyxy: np.ndarray  # [N, 4] px
    truncations: np.ndarray  # [N]
    occlusions: np.ndarray  # [N]

    @property
    def heights(self) -> np.ndarray:
        """[N] px."""
        return self.boxes_xyxy[:, 3] - self.boxes_xyxy[:, 1]


def with_neighbours(classes: Iterable[str]) -> set[str]:
    """Some classes, and those that are easily taken for one of them."""
    return {name for class_name in classes for name in (class_name, *_NEIGHBOURS.get(class_name, ()))}


def kitti_verdicts(
    labels: pa.Table, truth: pa.Table, regions: pa.Table, *, class_name: str, parked_only: bool = False
) -> Verdicts:
    """The verdict on each label of a class, at every kind of IoU, threshold and difficulty.

    Args:
        labels: rows of `LABEL_SCHEMA` of one camera of a sequence; the columns in the world are not read.
        truth: the objects in the same frames, as `true_rows` gives them.
        regions: rows of `INDEX_SCHEMA` in these frames whose instances have no upright box in the XML; of the class
            `UNKNOWN_NAME`, those that may show anything.
        class_name: the wanted class.
        parked_only: moving objects need not be found, and labels that say that theirs moves have no part.
    """
    names = list(with_neighbours([class_name]))
    rows = labels.filter(pc.field("class_name") == class_name)
    if parked_only:
        rows = rows.filter(pc.field("is_moving").is_null() | ~pc.field("is_moving"))
    scores, found = rows["confidence"].to_numpy(), _objects(rows)
    rows = truth.filter(pc.field("class_name").isin(names))
    objects = _objects(rows)
    may_be_wanted = (rows["class_name"].to_numpy() == class_name) & (rows["mask_area"].to_numpy() >= MIN_MASK_AREA)
    if parked_only:
        may_be_wanted &= ~rows["is_moving"].to_numpy()
    is_excused = _in_regions(found, regions.filter(pc.field("class_name").isin([*names, UNKNOWN_NAME])))
    label, thing = touching_pairs(found.boxes, objects.boxes)
    ious = pair_ious((label, thing), found.boxes, objects.boxes)
    verdicts = np.empty((len(scores), len(KINDS), len(IOUS), len(DIFFICULTIES)), dtype=np.int8)
    num_objects = np.empty(verdicts.shape[1:], dtype=np.int64)
    for place, difficulty in enumerate(DIFFICULTIES):
        is_wanted = may_be_wanted & _ought_to_be_found(objects, difficulty)
        num_objects[..., place] = is_wanted.sum()
        counts = found.heights >= difficulty.min_height
        order = np.lexsort((-scores, ~counts))
        for kind, iou in np.ndindex(len(KINDS), len(IOUS)):
            over = ious[kind] > IOUS[iou]
            chosen = assign(label[over], thing[over], ious[kind][over], order=order, is_wanted=is_wanted)
            gets_wanted = np.append(is_wanted, False)[chosen]  # the last one stands for nothing
            is_neither = ~counts | (~gets_wanted & ((chosen != NOTHING) | is_excused))
            verdicts[:, kind, iou, place] = np.select([is_neither, gets_wanted], [NEITHER, TRUE], FALSE)
    return Verdicts(scores, verdicts, num_objects)


def kitti_ap(judged: Verdicts, levels: np.ndarray = R40) -> KittiAP:
    """The figures of one class, from precisions at some recalls: `R40` or `R11`."""
    averages = average_precisions(judged, partial(mean_over_recalls, levels=levels))
    names = [difficulty.name for difficulty in DIFFICULTIES]
    ap_3d, ap_bev = (
        {str(iou): dict(zip(names, row, strict=True)) for iou, row in zip(IOUS, table, strict=True)}
        for table in averages.tolist()
    )
    num_objects = judged.num_objects[0, 0].tolist()  # the same at every kind and IoU
    return KittiAP(dict(zip(names, num_objects, strict=True)), ap_3d, ap_bev)


def _ought_to_be_found(objects: _Objects, difficulty: Difficulty) -> np.ndarray:
    return (
        (objects.heights > difficulty.min_height)
        & (objects.occlusions <= difficulty.max_occlusion)
        & (objects.truncations <= difficulty.max_truncation)
    )


def _in_regions(found: _Objects, regions: pa.Table) -> np.ndarray:
    """Whether more than `_DONT_CARE_SHARE` of each label's 2D box [D] lies in one of the regions of its frame."""
    label, region = pairs_in_one_place(found.boxes.places, regions["frame"].to_numpy().astype(np.int64))
    boxes, edges = found.boxes_xyxy[label], numbers(regions, _REGION)[region]
    is_in = shared_areas(boxes, edges) > _DONT_CARE_SHARE * box_areas(boxes)
    return np.bincount(label[is_in], minlength=len(found.boxes.places)) > 0


def _objects(rows: pa.Table) -> _Objects:
    sizes, (x, y, z) = numbers(rows, SIZE_LWH), numbers(rows, BOTTOM_CAM).T
    centers = np.stack([x, z, sizes[:, 2] / 2 - y], axis=-1)
    boxes = UprightBoxes(centers, sizes, -rows[ROTATION_Y].to_numpy())
    return _Objects(
        boxes=PlacedBoxes(rows["frame"].to_numpy().astype(np.int64), boxes),
        boxes_xyxy=numbers(rows, BOX_2D),
        truncations=rows["truncation"].to_numpy(),
        occlusions=rows["occlusion"].to_numpy(),
    )
