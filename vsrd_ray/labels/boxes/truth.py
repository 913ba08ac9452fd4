"""Ground truth as rows like those of labels: true boxes in the frames that show them.

Shapes: N rows.
"""

import numpy as np
import pyarrow as pa

from vsrd_ray.data.drive import Drive
from vsrd_ray.data.truth import STATIC, TruthBoxes
from vsrd_ray.labels.boxes.columns import box_columns
from vsrd_ray.labels.boxes.rows import columns_in_cameras

_CHUNK = 1 << 15  # rows that are projected at a time: their corners and outlines take some hundreds of MB


def true_rows(
    truth: TruthBoxes,
    boxes: np.ndarray,  # [N] positions in `truth`
    *,
    frames: np.ndarray,  # [N] of the sequence, each with a pose
    mask_areas: np.ndarray,  # [N] px that the box's mask has in its frame
    sequence: Drive,
) -> pa.Table:
    """Frame, instance, class, motion, box and camera columns of `LABEL_SCHEMA` of true boxes, and `mask_area`.

    Truncation and occlusion are estimated as they are for labels; there is no confidence.
    """
    poses = frame_poses(sequence, frames)
    parts = []
    for start in range(0, max(len(boxes), 1), _CHUNK):
        chunk = slice(start, start + _CHUNK)
        chosen = boxes[chunk]
        columns = box_columns(truth.boxes[chosen])
        columns |= columns_in_cameras(
            poses[chunk],
            truth.boxes[chosen],
            K=sequence.K,
            image_size=sequence.image_size,
            mask_areas=mask_areas[chunk],
        )
        columns |= {"frame": frames[chunk], "instance_id": truth.instance_ids[chosen]}
        columns |= {"mask_area": mask_areas[chunk], "is_moving": truth.timestamps[chosen] != STATIC}
        names = [truth.class_names[box] for box in chosen.tolist()]
        parts.append(pa.table(columns | {"class_name": pa.array(names, pa.string())}))
    return pa.concat_tables(parts)


def frame_poses(sequence: Drive, frames: np.ndarray) -> np.ndarray:
    """`T_world_cam` [N, 4, 4] of frames [N] of a sequence, each with a pose."""
    numbers, places = np.unique(frames, return_inverse=True)
    poses = np.array([sequence.T_world_cam[frame] for frame in numbers.tolist()]).reshape(-1, 4, 4)
    return poses[places]
