"""The annotation files of VSRD's published tools: one JSON a frame, with camera, masks and true boxes.

A research command: it may read the true boxes. Nothing that labels reads what it writes.
"""

import json
import logging
from collections.abc import Callable
from typing import Any

import numpy as np

from vsrd_ray.data.drive import MASKS, Drive
from vsrd_ray.data.index import cached_index, readable_frames
from vsrd_ray.data.masks import encode_rle
from vsrd_ray.data.truth import STATIC
from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.datasets.kitti360.boxes import TruthObject, read_objects
from vsrd_ray.datasets.kitti360.calibration import read_calibration
from vsrd_ray.datasets.kitti360.downloads import no_boxes
from vsrd_ray.datasets.kitti360.drives import fingerprint
from vsrd_ray.datasets.kitti360.spec import SPEC
from vsrd_ray.errors import InputError
from vsrd_ray.geometry import rigid
from vsrd_ray.storage import Location
from vsrd_ray.storage.staging import staging

logger = logging.getLogger(__name__)


def annotate(
    root: Location, sequence: str, camera: str = "image_00", progress: Callable[[int, int], None] | None = None
) -> int:
    """Write an annotation for every frame that has a pose and a readable mask; the number of files written.

    Where the sequence has no file of 3D boxes, `boxes_3d` is left empty. The sequence's index is made on the way.

    Args:
        root: the dataset's root folder; the files go to `annotations/` under it.
        sequence: name of the sequence.
        camera: "image_00" or "image_01".
        progress: called with the number of frames done and of all frames.

    Raises:
        InputError: input that cannot be used; see `open_with_masks` and `Drive.read`.
    """
    opened = open_with_masks(root, sequence, camera)
    # The published tools use P_rect_01's K for both cameras.
    K = read_calibration(root, "image_01").K
    boxes = _boxes_by_id(root, sequence)
    index_file = paths.annotation_index_file(root, sequence, camera)
    frames = readable_frames(cached_index(opened, index_file, fingerprint(root, sequence, camera)))
    with staging(paths.annotation_folder(root, sequence, camera)) as staged:
        for done, frame in enumerate(frames, start=1):
            name = paths.annotation_file(root, sequence, camera, frame).name
            (staged.folder / name).write_text(json.dumps(_annotation(opened, frame, K=K, boxes=boxes), indent=4))
            if progress is not None:
                progress(done, len(frames))
        staged.place()
    return len(frames)


def open_with_masks(root: Location, sequence: str, camera: str) -> Drive:
    """A drive of KITTI-360 that has instance masks.

    Raises:
        InputError: it has none, or cannot be opened.
    """
    drive = SPEC.open(root, sequence, (camera,))
    if not drive.mask_frames:
        raise InputError(SPEC.missing(root, sequence, MASKS, camera))
    return drive


def _boxes_by_id(root: Location, sequence: str) -> dict[tuple[int, int], TruthObject]:
    """True boxes by instance id and timestamp."""
    if not paths.boxes_file(root, sequence).exists():
        logger.warning("%s; boxes_3d is left empty", no_boxes(root, sequence))
        return {}
    objects, _ = read_objects(root, sequence)
    return {(entry.instance_id, entry.timestamp): entry for entry in objects}


def _annotation(
    drive: Drive, frame: int, *, K: np.ndarray, boxes: dict[tuple[int, int], TruthObject]
) -> dict[str, Any]:
    instance_map = np.asfortranarray(drive.read(MASKS, drive.camera.name, frame))
    # Poses are rounded to a few digits; the published tools invert them as general matrices.
    T_cam_world = np.linalg.inv(drive.T_world_cam[frame])
    masks: dict[str, dict[str, Any]] = {}
    boxes_3d: dict[str, dict[str, Any]] = {}
    for instance_id in np.flatnonzero(np.bincount(instance_map.ravel(order="K"))).tolist():
        name = drive.classes.name_of(instance_id)
        masks.setdefault(name, {})[str(instance_id)] = encode_rle(instance_map == instance_id)
        boxes_of_class = boxes_3d.setdefault(name, {})
        box = boxes.get((instance_id, frame)) or boxes.get((instance_id, STATIC))
        if box is not None:
            boxes_of_class[str(instance_id)] = rigid.apply(T_cam_world, box.corners_world).tolist()
    return {
        "intrinsic_matrix": K.tolist(),
        "extrinsic_matrix": T_cam_world.tolist(),
        "masks": masks,
        "boxes_3d": boxes_3d,
    }
