"""KITTI-360's average precision of labels, window by window, by the protocol of its 3D detection benchmark.

An object is one box in each window that shows it; a run's labels give one each too, see `window_rows`. The benchmark's
objects are the static ones that its accumulated points hold. Here, where there are no points, they are the static boxes
of the XML whose mask shows at least `MIN_MASK_AREA` px in one of the window's frames that the run labelled. A label
that overlaps any other static box of its class most is neither true nor false. IoU is exact; the benchmark's own
program biases it in world coordinates (see `official_iou`).

Shapes: D boxes of labels in all windows, G static boxes in all windows. Verdicts are [D, IoU], in the order of `IOUS`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vsrd_ray.data.truth import STATIC, TruthBoxes
from vsrd_ray.labels.boxes.columns import boxes_of
from vsrd_ray.labels.boxes.criteria import MIN_MASK_AREA
from vsrd_ray.labels.boxes.evaluation.assignment import NOTHING, PlacedBoxes, assign, pair_ious, touching_pairs
from vsrd_ray.labels.boxes.evaluation.precision import (
    FALSE,
    NEITHER,
    TRUE,
    Verdicts,
    area_under_envelope,
    average_precisions,
)
from vsrd_ray.labels.boxes.windows import Window, window_rows

IOUS = (0.25, 0.5)


@dataclass(frozen=True)
class WindowAP:
    """Average precision of one class over windows, 0..1; NaN where there is no object to find."""

    num_objects: int  # over all windows; one that several windows show counts in each
    ap_3d: dict[str, float]  # by IoU, such as "0.5"


def window_verdicts(
    labels: pa.Table, truth: TruthBoxes, *, index: pa.Table, windows: Sequence[Window], class_name: str
) -> Verdicts:
    """The verdict on each label's box of a class, at every threshold.

    A box looks at the static box alone that it overlaps most. By falling confidence, the first that overlaps it by more
    than the threshold is true, and every later one false.

    Args:
        labels: rows of `LABEL_SCHEMA` of one camera of a sequence.
        truth: its ground truth.
        index: its index, in `INDEX_SCHEMA`, in the frames that the run labelled.
        windows: its windows.
        class_name: the wanted class.
    """
    labels = labels.filter(pc.field("class_name") == class_name)
    shown = index.filter((pc.field("class_name") == class_name) & (pc.field("area") >= MIN_MASK_AREA))
    is_static = (truth.timestamps == STATIC) & (np.array(truth.class_names, dtype=object) == class_name)
    static = np.flatnonzero(is_static)
    rows_of_window = [window_rows(labels, window) for window in windows]
    is_wanted = [np.isin(truth.instance_ids[static], _instances_in(shown, window)) for window in windows]
    rows = pa.concat_tables(rows_of_window)
    confidences = rows["confidence"].to_numpy()
    found = PlacedBoxes(np.repeat(np.arange(len(windows)), [len(some) for some in rows_of_window]), boxes_of(rows))
    window_of_object, static = np.repeat(np.arange(len(windows)), len(static)), np.tile(static, len(windows))
    objects = PlacedBoxes(window_of_object, truth.boxes[static])
    verdicts = _verdicts(found, objects, confidences=confidences, is_wanted=np.concatenate(is_wanted))
    num_objects = np.full(len(IOUS), sum(map(np.sum, is_wanted)), dtype=np.int64)
    return Verdicts(confidences, verdicts, num_objects)


def window_ap(judged: Verdicts) -> WindowAP:
    """The figures of one class."""
    averages = average_precisions(judged, area_under_envelope).tolist()
    return WindowAP(int(judged.num_objects[0]), dict(zip(map(str, IOUS), averages, strict=True)))


def _verdicts(
    found: PlacedBoxes,  # [D]
    objects: PlacedBoxes,  # [G]
    *,
    confidences: np.ndarray,  # [D]
    is_wanted: np.ndarray,  # [G] bool
) -> np.ndarray:
    box, thing = touching_pairs(found, objects)
    ious, _ = pair_ious((box, thing), found, objects)
    by_overlap = np.lexsort((-ious, box))
    best = by_overlap[np.unique(box[by_overlap], return_index=True)[1]]  # the pair of each box's largest overlap
    box, thing, ious = box[best], thing[best], ious[best]
    by_confidence = np.argsort(-confidences, kind="stable")
    verdicts = np.full((len(confidences), len(IOUS)), FALSE, dtype=np.int8)
    for place, threshold in enumerate(IOUS):
        wanted = (ious > threshold) & is_wanted[thing]
        chosen = assign(box[wanted], thing[wanted], ious[wanted], order=by_confidence, is_wanted=is_wanted)
        verdicts[chosen != NOTHING, place] = TRUE
        verdicts[box[(ious > threshold) & ~is_wanted[thing]], place] = NEITHER
    return verdicts


def _instances_in(shown: pa.Table, window: Window) -> np.ndarray:
    """Ids of the instances that a window's frames show."""
    frames = shown["frame"].to_numpy()
    return np.unique(shown["instance_id"].to_numpy()[(frames >= window.first) & (frames <= window.last)])
