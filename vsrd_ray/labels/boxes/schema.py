"""The Arrow schema of a labels dataset: one row for each box and frame. A contract with tools outside the project."""

import pyarrow as pa

SCHEMA_VERSION = "1"

# The sequence is not a column: it lives in the path (hive partition `sequence=<seq>`).
LABEL_SCHEMA = pa.schema(
    [
        ("camera", pa.string()),
        ("frame", pa.int32()),
        ("instance_id", pa.int32()),
        ("class_name", pa.string()),
        # box in the world: centre, full extents, heading about z (0 = facing +x)
        ("x_world", pa.float64()),
        ("y_world", pa.float64()),
        ("z_world", pa.float64()),
        ("length", pa.float64()),
        ("width", pa.float64()),
        ("height", pa.float64()),
        ("yaw_world", pa.float64()),
        # box in the rectified camera, as KITTI has it: bottom centre, rotation_y and alpha in [-pi, pi)
        ("x_cam", pa.float64()),
        ("y_cam", pa.float64()),
        ("z_cam", pa.float64()),
        ("rotation_y", pa.float64()),
        ("alpha", pa.float64()),
        # projected box, clipped to [0, W - 1] x [0, H - 1], and the share of its area that the image cuts off
        ("bbox_left", pa.float64()),
        ("bbox_top", pa.float64()),
        ("bbox_right", pa.float64()),
        ("bbox_bottom", pa.float64()),
        ("truncation", pa.float64()),
        ("occlusion", pa.int8()),  # KITTI: 0 visible, 1 partly, 2 largely occluded, 3 unknown
        ("confidence", pa.float64()),
        ("mean_iou_2d", pa.float64()),
        ("num_views", pa.int32()),
        ("bearing_spread_deg", pa.float64()),
        ("silhouette_loss", pa.float64()),
        ("is_moving", pa.bool_()),
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
