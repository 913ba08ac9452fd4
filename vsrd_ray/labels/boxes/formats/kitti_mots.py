"""Text of KITTI-MOTS: `frame id class height width rle` for each mask; id = class * 1000 + number.

Masks are the drive's, ids those of the labels' tracks. Shapes: H x W pixels.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from vsrd_ray.data.classes import IDS_PER_CLASS, IS_INSTANCE, UNKNOWN, ClassTable
from vsrd_ray.data.drive import MASKS
from vsrd_ray.data.masks import encode_rle
from vsrd_ray.errors import UnreadableFrameError
from vsrd_ray.labels.boxes.columns import track_ids
from vsrd_ray.labels.boxes.selection import LabelledSequence

logger = logging.getLogger(__name__)

_CLASSES = {"car": 1, "person": 2}
_IGNORE = 10  # what is of no class of the benchmark, or unknown


def write(sequences: Sequence[LabelledSequence], folder: Path, done: Callable[[], None]) -> None:
    """Write instances_txt/<sequence>.txt, named by the number of the tracking benchmark's sequence where it has one.

    Every mask of a frame is written, whether it has a box or not. Of two masks of one track there is one line.

    Args:
        sequences: what to write.
        folder: an empty one.
        done: called after every frame.
    """
    (folder / "instances_txt").mkdir()
    for labelled in sequences:
        drive, lines = labelled.sequence, []
        ids = labelled.rows["instance_id"].to_pylist()
        tracks = dict(zip(ids, track_ids(labelled.rows).tolist(), strict=True))
        for frame in labelled.frames:
            if frame in drive.mask_frames:
                try:
                    instance_map = drive.read(MASKS, drive.camera.name, frame)
                    lines += [f"{frame} {line}\n" for line in lines_of(instance_map, drive.classes, tracks)]
                except UnreadableFrameError as error:
                    logger.warning("frame %d has no line: %s", frame, error)
            done()
        number = drive.detail("tracking_sequence")
        name = drive.name if number is None else f"{number:04d}"
        (folder / "instances_txt" / f"{name}.txt").write_text("".join(lines))


def lines_of(
    instance_map: np.ndarray,  # [H, W] uint16
    classes: ClassTable,
    tracks: Mapping[int, int],
) -> Iterator[str]:
    """Lines of a frame without its number, by ascending id; objects of other classes are to be ignored.

    Args:
        instance_map: see `vsrd_ray.data.classes`.
        classes: of the dataset.
        tracks: ids of tracks by those of instances; others keep their own.
    """
    parts: dict[int, list[int]] = {}
    for value in np.flatnonzero(np.bincount(instance_map.ravel())).tolist():
        if value != UNKNOWN and not IS_INSTANCE[value]:
            continue
        track = tracks.get(value, value)
        number = _CLASSES.get(classes.name_of(value), _IGNORE) if value != UNKNOWN else _IGNORE
        found = number * IDS_PER_CLASS + (0 if number == _IGNORE else track % IDS_PER_CLASS - 1)
        parts.setdefault(found, []).append(value)
    height, width = instance_map.shape
    for found, values in sorted(parts.items()):
        counts = encode_rle(np.isin(instance_map, values))["counts"]
        yield f"{found} {found // IDS_PER_CLASS} {height} {width} {counts}"
