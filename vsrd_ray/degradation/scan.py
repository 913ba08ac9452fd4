"""Where every mask of a drive is.

Shapes: H x W pixels, R masks: a row for each frame and instance.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from vsrd_ray.data.classes import IDS_PER_CLASS, IS_INSTANCE, ClassTable
from vsrd_ray.data.drive import MASKS, Drive
from vsrd_ray.errors import UnreadableFrameError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Seen:
    """The masks of a drive, by frame and then by id, ascending."""

    frames: np.ndarray  # [R] int64
    ids: np.ndarray  # [R] int64
    boxes_xyxy: np.ndarray  # [R, 4] int64, px; the last pixel is included
    readable: tuple[int, ...]  # frames, ascending, with masks or without

    @property
    def tracks(self) -> list[int]:
        """Ids of all instances, ascending."""
        return np.unique(self.ids).tolist()

    def frames_of(self, track: int) -> np.ndarray:
        """Frames [K], ascending, in which an instance has a mask."""
        return self.frames[self.ids == track]

    def rows_in(self, frame: int) -> slice:
        """The rows of one frame."""
        return slice(*np.searchsorted(self.frames, [frame, frame + 1]).tolist())


def thing_ids(classes: ClassTable) -> np.ndarray:
    """Of every value of an instance map [65536] bool, whether it is an instance of a class that can be counted."""
    things = [one.number for one in classes if one.is_thing]
    return IS_INSTANCE & np.isin(np.arange(len(IS_INSTANCE)) // IDS_PER_CLASS, things)


def locate(
    instance_map: np.ndarray,  # [H, W] uint16
    is_thing: np.ndarray,  # [65536] bool
) -> dict[int, tuple[slice, slice]]:
    """Rows and columns of the box of each thing, by id, ascending."""
    ids = np.flatnonzero((np.bincount(instance_map.ravel(), minlength=len(is_thing)) > 0) & is_thing)
    label_of_id = np.zeros(len(is_thing), dtype=np.int32)
    label_of_id[ids] = np.arange(1, len(ids) + 1)
    boxes = ndimage.find_objects(label_of_id[instance_map], max_label=len(ids))
    return dict(zip(ids.tolist(), boxes, strict=True))


def scan(drive: Drive, progress: Callable[[], None]) -> Seen:
    """Read all masks of a drive's camera; those that cannot be read are left out, and warned of.

    Args:
        drive: the drive.
        progress: called after every frame.

    Raises:
        InputError: a mask that is not just damaged, such as one of another size.
    """
    is_thing = thing_ids(drive.classes)
    rows: list[tuple[int, ...]] = []
    readable: list[int] = []
    for frame in drive.mask_frames:
        try:
            found = locate(drive.read(MASKS, drive.camera.name, frame), is_thing)
        except UnreadableFrameError as error:
            logger.warning("The mask of frame %d is taken over as it is: %s", frame, error)
        else:
            readable.append(frame)
            rows += [(frame, one, x.start, y.start, x.stop - 1, y.stop - 1) for one, (y, x) in found.items()]
        progress()
    table = np.array(rows, dtype=np.int64).reshape(-1, 6)
    return Seen(table[:, 0], table[:, 1], table[:, 2:], tuple(readable))
