"""Label datasets and ground truth as KITTI text."""

import logging
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from vsrd_ray.data.drive import MASKS
from vsrd_ray.data.truth import BOXES
from vsrd_ray.datasets.base import dataset_named, open_drive
from vsrd_ray.errors import InputError, UnreadableFrameError
from vsrd_ray.labels.boxes.kitti import check_unedited, label_path, write_frame
from vsrd_ray.labels.boxes.parquet import read_labels
from vsrd_ray.labels.boxes.selection import failed_frames, labelled_frames, warn_of_failures
from vsrd_ray.labels.boxes.truth import true_rows
from vsrd_ray.runs.folder import sequence_labels
from vsrd_ray.runs.manifest import read_inputs
from vsrd_ray.runs.reading import read_groups
from vsrd_ray.runs.sink import rows_by_frame
from vsrd_ray.storage import Location, relative
from vsrd_ray.storage.staging import staging

logger = logging.getLogger(__name__)


def labels_to_kitti(output: Location, destination: Location) -> int:
    """Write a run's labels as DESTINATION/<sequence>/<camera>/label_2/%010d.txt and return the number of files.

    Files are written for the frames of every group that succeeded, unless another group that labels the frame failed;
    and empty ones for frames in which no instance of the wanted classes is visible at all. Frames that show such
    instances but lack their labels get no file; a warning counts those that lack them since a group failed.

    Raises:
        InputError: `output` is no folder of a labelling run.
        OutputError: a file is there with other labels, such as corrected ones; then nothing is written.
    """
    inputs, labels, groups = read_inputs(output), read_labels(output), read_groups(output)
    texts: dict[Location, pa.Table] = {}
    num_failed = 0
    for sequence in inputs.sequences:
        rows = sequence_labels(labels, sequence=sequence, camera=inputs.camera)
        frames = labelled_frames(output, groups, sequence=sequence, inputs=inputs)
        for frame, rows_of_frame in rows_by_frame(rows, frames):
            texts[label_path(destination, sequence=sequence, camera=inputs.camera, frame=frame)] = rows_of_frame
        num_failed += len(failed_frames(groups, sequence=sequence, labelled=frames))
    _write(texts, destination)
    warn_of_failures(num_failed)
    return len(texts)


def truth_to_kitti(
    root: Location, sequence: str, camera: str, destination: Location, *, classes: Sequence[str] = ("car",)
) -> int:
    """Write the 3D box XML as DESTINATION/<sequence>/<camera>/label_2/%010d.txt and return the number of files.

    Every frame with a pose and a readable mask gets a file, with the boxes of the wanted classes whose instance the
    frame's mask shows. Truncation and occlusion are estimated as they are for labels; there is no score. Which boxes
    count is told in `vsrd_ray.datasets.kitti360.boxes`.

    Raises:
        InputError: no such sequence or class, or no boxes or masks for it.
        OutputError: a file is there with other boxes, such as corrected ones; then nothing is written.
    """
    opened = open_drive(root, sequence, camera)
    opened.check_classes(classes)
    truth = opened.truth(BOXES)
    wanted = np.isin(truth.class_names, classes)
    shown: dict[int, tuple[np.ndarray, np.ndarray]] = {}  # by frame: positions of true boxes, and their mask areas
    for frame in opened.mask_frames:
        if frame not in opened.T_world_cam:
            continue
        try:
            areas = np.bincount(opened.read(MASKS, camera, frame).ravel(), minlength=1 << 16)
        except UnreadableFrameError as error:
            logger.warning("skipped: %s", error)
            continue
        present = np.flatnonzero(wanted & truth.in_frame(frame) & (areas[truth.instance_ids] > 0))
        present = present[np.argsort(truth.instance_ids[present], kind="stable")]
        shown[frame] = present, areas[truth.instance_ids[present]]
    if not opened.mask_frames:
        raise InputError(dataset_named(opened.dataset).missing(root, sequence, MASKS, camera))
    if not shown:
        raise InputError(f"{sequence} in {root}: no frame has a pose and a readable mask, so there is nothing to write")
    texts = {
        label_path(destination, sequence=sequence, camera=camera, frame=frame): true_rows(
            truth, boxes, frames=np.full(len(boxes), frame), mask_areas=areas, sequence=opened
        )
        for frame, (boxes, areas) in shown.items()
    }
    _write(texts, destination)
    return len(texts)


def _write(texts: Mapping[Location, pa.Table], destination: Location) -> None:
    """Write the rows of each file, or none of the files."""
    check_unedited(texts)
    with staging(destination) as staged:
        for path, rows in texts.items():
            write_frame(staged.folder / relative(path, destination), rows)
        staged.place()
    if not any(rows.num_rows for rows in texts.values()):
        logger.warning("No box is left to write: every file is empty.")
