"""Boxes of KITTI-360's windows, as its evaluation of 3D boxes takes them: one array a window, in the world."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from vsrd_ray.labels.boxes.selection import LabelledSequence
from vsrd_ray.labels.boxes.windows import window_boxes, window_file_name, windows


def write(sequences: Sequence[LabelledSequence], folder: Path, done: Callable[[], None]) -> dict[str, int]:
    """Write %04d_%010d_%010d.npy (drive, first and last frame) for every window with a labelled frame.

    Rows are x y z l w h heading semanticId confidence; see `vsrd_ray.labels.boxes.windows`.

    Args:
        sequences: what to write.
        folder: an empty one.
        done: called after every frame.

    Returns:
        How many boxes are left out, by the reason.
    """
    num_moving = 0
    for labelled in sequences:
        drive = labelled.sequence
        num_moving += int(labelled.rows["is_moving"].fill_null(False).to_numpy().sum())
        for window in windows(drive):
            if any(window.first <= frame <= window.last for frame in labelled.frames):
                np.save(folder / window_file_name(drive, window), window_boxes(labelled.rows, window, drive.classes))
        for _ in labelled.frames:
            done()
    return {"moving, in windows of what stands": num_moving} if num_moving else {}
