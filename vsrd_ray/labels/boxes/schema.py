"""The Arrow schema of a labels dataset: one row for each box and frame. A contract with tools outside the project."""

import pyarrow as pa

from vsrd_ray.labels.boxes.columns import BOX_2D, BOX_CAM, BOX_WORLD, VELOCITY_WORLD

SCHEMA_VERSION = "1"

# The sequence is not a column: it lives in the path (hive partition `sequence=<seq>`).
LABEL_SCHEMA = pa.schema(
    [
        ("camera", pa.string()),
        ("frame", pa.int32()),
        ("instance_id", pa.int32()),  # of the mask
        # the same for all masks of one object, where a labeler has found that their ids are of one; null in rows of
        # earlier versions
        ("track_id", pa.int32()),
        ("class_name", pa.string()),
        *((name, pa.float64()) for name in BOX_WORLD),
        *((name, pa.float64()) for name in BOX_CAM),
        *((name, pa.float64()) for name in BOX_2D),
        # share of the projected box's area that the image cuts off
        ("truncation", pa.float64()),
        ("occlusion", pa.int8()),  # KITTI: 0 visible, 1 partly, 2 largely occluded, 3 unknown
        # false where the mask is missing, but the object ought to be visible; null in rows of earlier versions
        ("observed", pa.bool_()),
        ("confidence", pa.float64()),
        ("mean_iou_2d", pa.float64()),
        ("num_views", pa.int32()),
        ("bearing_spread_deg", pa.float64()),
        ("silhouette_loss", pa.float64()),
        ("is_moving", pa.bool_()),
        # of the centre along the world's x and y, in m/s; in metres per frame where the drive's camera has no times. It
        # is 0 of what stands, and null where it is not known: what moves without a motion, and rows of earlier versions
        *((name, pa.float64()) for name in VELOCITY_WORLD),
        # latents of the labeler's shape prior; null where it fitted no shape
        ("shape", pa.list_(pa.field("element", pa.float32()))),
        ("group_id", pa.string()),
        ("target_frame", pa.int32()),
        ("labeler", pa.string()),
        ("config_hash", pa.string()),
        ("seed", pa.int64()),
        ("source", pa.string()),  # auto, or human for corrected rows
    ],
    metadata={"vsrd_ray.schema_version": SCHEMA_VERSION},
)
