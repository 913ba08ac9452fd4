"""One sequence of a run against its truth: tables in, small arrays out, to be put together with other sequences'."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vsrd_ray.data.classes import UNKNOWN
from vsrd_ray.data.drive import MASKS, Drive
from vsrd_ray.data.index import INDEX_SCHEMA, SIDES
from vsrd_ray.data.truth import TruthBoxes
from vsrd_ray.labels.boxes.criteria import MAX_RANGE
from vsrd_ray.labels.boxes.evaluation.kitti import UNKNOWN_NAME, kitti_verdicts, with_neighbours
from vsrd_ray.labels.boxes.evaluation.kitti360 import window_verdicts
from vsrd_ray.labels.boxes.evaluation.matching import Matches, match
from vsrd_ray.labels.boxes.evaluation.precision import Verdicts
from vsrd_ray.labels.boxes.identified import true_boxes
from vsrd_ray.labels.boxes.parquet import FOLDER, Preference, read_labels, read_reviewed
from vsrd_ray.labels.boxes.selection import check_poses
from vsrd_ray.labels.boxes.truth import true_rows
from vsrd_ray.labels.boxes.windows import windows
from vsrd_ray.runs.folder import RunFolder, check_files, group_frames, num_failed_groups, read_index, sequence_labels
from vsrd_ray.runs.reading import read_groups
from vsrd_ray.storage import Location

_BOX = tuple(f"box_{side}" for side in SIDES)


@dataclass(frozen=True)
class Criteria:
    """What counts."""

    camera: str
    classes: tuple[str, ...]
    max_range: float = MAX_RANGE  # metres from the camera to the true centre; label quality alone
    official: bool = False  # compute the IoU of the KITTI-360 evaluation too
    prefer: Preference = "human"  # rows where a human has corrected the labeler's
    has_ended: bool = True  # the run; else what is missing may be still to come


@dataclass(frozen=True)
class SequenceResult:
    """What the labels of one sequence are worth."""

    num_frames: int  # that the run labelled or tried to
    num_corrected_frames: int  # of them, those in which a human's rows count
    skipped_boxes: Mapping[str, int]  # objects of the XML that do not count, by reason
    num_windows: int
    matches: Matches
    kitti: dict[str, Verdicts]  # by class
    kitti_parked: dict[str, Verdicts]  # of parked objects alone
    kitti360: dict[str, Verdicts]
    num_failed_groups: int = 0


@dataclass(frozen=True)
class _Opened:
    """A sequence of a run, in memory."""

    sequence: Drive
    truth: TruthBoxes
    index: pa.Table  # in the frames that the run labelled or tried to
    labels: pa.Table  # likewise
    frames: list[int]
    num_corrected_frames: int
    num_failed_groups: int


def evaluate_sequence(output: Location, root: Location, name: str, criteria: Criteria) -> SequenceResult:
    """Everything that `vsrd-ray evaluate` measures, for one sequence.

    Args:
        output: folder of a labelling run.
        root: dataset with the 3D box XML of the sequence.
        name: of the sequence.
        criteria: what counts.

    Raises:
        InputError: no labels of the sequence in `output`, no ground truth in `root`, or another dataset there.
    """
    opened = _open(output, root, name, criteria)
    true, regions = _truth_in_frames(opened, criteria.classes)
    stretches = windows(opened.sequence)
    return SequenceResult(
        num_frames=len(opened.frames),
        num_corrected_frames=opened.num_corrected_frames,
        skipped_boxes=opened.truth.skipped,
        num_windows=len(stretches),
        matches=_match(opened, criteria),
        kitti={
            class_name: kitti_verdicts(opened.labels, true, regions, class_name=class_name)
            for class_name in criteria.classes
        },
        kitti_parked={
            class_name: kitti_verdicts(opened.labels, true, regions, class_name=class_name, parked_only=True)
            for class_name in criteria.classes
        },
        kitti360={
            class_name: window_verdicts(
                opened.labels, opened.truth, index=opened.index, windows=stretches, class_name=class_name
            )
            for class_name in criteria.classes
        },
        num_failed_groups=opened.num_failed_groups,
    )


def match_sequence(output: Location, root: Location, name: str, criteria: Criteria) -> Matches:
    """The eligible truths of one sequence and their labels; see `match`."""
    return _match(_open(output, root, name, criteria), criteria)


def _open(output: Location, root: Location, name: str, criteria: Criteria) -> _Opened:
    labels = sequence_labels(
        read_labels(output, prefer=criteria.prefer, sequence=name), sequence=name, camera=criteria.camera
    )
    groups = read_groups(output)
    check_files(output, groups, sequence=name, folder=FOLDER)
    corrected = set() if criteria.prefer == "auto" else read_reviewed(output).get((name, criteria.camera), set())
    frames = sorted(corrected.union(group_frames(groups, sequence=name)))
    is_in_frames = pc.field("frame").isin(pa.array(frames, pa.int32()))
    sequence = RunFolder(output, root).drive(name)
    check_poses(sequence, frames)
    index = read_index(output, name)
    return _Opened(
        sequence=sequence,
        truth=true_boxes(sequence, index),
        index=index.filter(is_in_frames & pc.field("instance_id").is_valid()),
        labels=labels.filter(is_in_frames),
        frames=frames,
        num_corrected_frames=len(corrected),
        num_failed_groups=num_failed_groups(groups, [name]),
    )


def _match(opened: _Opened, criteria: Criteria) -> Matches:
    return match(
        opened.labels,
        opened.truth,
        index=opened.index,
        sequence=opened.sequence,
        frames=opened.frames,
        classes=criteria.classes,
        max_range=criteria.max_range,
        official=criteria.official,
    )


def _truth_in_frames(opened: _Opened, classes: Iterable[str]) -> tuple[pa.Table, pa.Table]:
    """What the labelled frames show of the wanted classes and their neighbours.

    Those with a true box as `true_rows`, those without one as rows of the index, and so the regions that are unknown.
    """
    index = opened.index.filter(pc.field("class_name").isin(list(with_neighbours(classes))))
    frames, ids, areas = (index[name].to_numpy().astype(np.int64) for name in ("frame", "instance_id", "area"))
    boxes = opened.truth.find(ids, frames)
    has_box = boxes >= 0
    true = true_rows(
        opened.truth,
        boxes[has_box],
        frames=frames[has_box],
        mask_areas=areas[has_box],
        sequence=opened.sequence,
    )
    return true, pa.concat_tables([index.filter(pa.array(~has_box)), unknown_regions(opened.sequence, opened.frames)])


def unknown_regions(drive: Drive, frames: Iterable[int]) -> pa.Table:
    """Rows of `INDEX_SCHEMA` of the class `UNKNOWN_NAME`: the connected regions of frames whose masks do not say more.

    Masks of a dataset's own have none, and are not read.
    """
    rows = [
        {"frame": frame, "class_name": UNKNOWN_NAME, "area": area}
        | dict(zip(_BOX, (left, top, left + width - 1, top + height - 1), strict=True))
        for frame in (frames if MASKS in drive.sources else ())
        if drive.has(MASKS, drive.camera.name, frame)
        for left, top, width, height, area in _regions(drive.read(MASKS, drive.camera.name, frame) == UNKNOWN)
    ]
    return pa.Table.from_pylist(rows, schema=INDEX_SCHEMA)


def _regions(
    mask: np.ndarray,  # [H, W] bool
) -> list[list[int]]:
    """Left, top, width, height and area, px, of each connected region."""
    return cv2.connectedComponentsWithStats(mask.astype(np.uint8))[2][1:].tolist()
