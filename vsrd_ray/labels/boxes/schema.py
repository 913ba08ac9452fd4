"""The Arrow schema of a labels dataset: one row for each box and frame. A contract with tools outside the project."""

import pyarrow as pa

from vsrd_ray.labels.boxes.columns import ALPHA, BOX_2D, BOX_WORLD, ROTATION_Y, VELOCITY_WORLD
from vsrd_ray.runs.columns import FRAME_AND_TIME, PROVENANCE, column

SCHEMA_VERSION = "1"

_GROUP, *_MADE_BY = PROVENANCE
_CENTER, _SIZE = "centre of the box", "full extent of the box"
_IN_WORLD = dict(
    zip(
        BOX_WORLD,
        [*[(_CENTER, "m", "world")] * 3, *[(_SIZE, "m", "box")] * 3, ("heading about z, 0 facing +x", "rad", "world")],
        strict=True,
    )
)
_IN_CAMERA = {
    **{f"{axis}_cam": ("middle of the box's bottom, as KITTI has it", "m", "rectified camera") for axis in "xyz"},
    ROTATION_Y: ("heading about y, as KITTI has it, in [-pi, pi)", "rad", "rectified camera"),
    ALPHA: ("heading as the camera sees it, as KITTI has it, in [-pi, pi)", "rad", "rectified camera"),
}
_PROJECTED = "projected box, cut to [0, width - 1] x [0, height - 1]"
_VELOCITY = (
    "velocity of the centre, per frame where the drive has no times; 0 of what stands, null of what moves without a "
    "motion and in rows of earlier versions"
)

# The sequence is not a column: it lives in the path (hive partition `sequence=<seq>`).
LABEL_SCHEMA = pa.schema(
    [
        column("camera", pa.string(), "name of the camera"),
        *FRAME_AND_TIME,
        column("instance_id", pa.int32(), "of the mask"),
        column(
            "track_id",
            pa.int32(),
            "the same for all masks of one object, where a labeler found that their ids are of one; null in rows of "
            "earlier versions",
        ),
        column("class_name", pa.string(), "class, as the dataset names it"),
        *(
            column(name, pa.float64(), text, unit=unit, frame=frame)
            for name, (text, unit, frame) in (_IN_WORLD | _IN_CAMERA).items()
        ),
        *(column(name, pa.float64(), _PROJECTED, unit="px", frame="image") for name in BOX_2D),
        column("truncation", pa.float64(), "share of the projected box's area that the image cuts off, 0 to 1"),
        column("occlusion", pa.int8(), "as KITTI has it: 0 visible, 1 partly, 2 largely occluded, 3 unknown"),
        column(
            "observed",
            pa.bool_(),
            "false where the mask is missing, but the object ought to be visible; null in rows of earlier versions",
        ),
        column("confidence", pa.float64(), "probability that the box overlaps the true one by an IoU3D over 0.5"),
        column("mean_iou_2d", pa.float64(), "mean IoU of the projected box and the mask's box over the views"),
        column("num_views", pa.int32(), "frames in which the object was fitted"),
        column("bearing_spread_deg", pa.float64(), "angle over which the object was seen", unit="deg"),
        column("silhouette_loss", pa.float64(), "what of the outlines is left unexplained"),
        column("is_moving", pa.bool_(), "whether the object moves in the world"),
        *(column(name, pa.float64(), _VELOCITY, unit="m/s", frame="world") for name in VELOCITY_WORLD),
        column(
            "shape",
            pa.list_(pa.field("element", pa.float32())),
            "latents of the labeler's shape prior; null where it fitted no shape",
        ),
        _GROUP,
        column("target_frame", pa.int32(), "frame with the best view of the object"),
        *_MADE_BY,
        column("source", pa.string(), "auto, or human for corrected rows"),
    ],
    metadata={"vsrd_ray.schema_version": SCHEMA_VERSION},
)
