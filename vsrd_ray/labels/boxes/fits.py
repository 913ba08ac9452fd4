"""What a labeler finds, before it is written down for every frame."""

from dataclasses import dataclass

from vsrd_ray.geometry.boxes import UprightBoxes


@dataclass(frozen=True)
class BoxFit:
    """One instance's box, as fitted in a group; it serves every frame that the group labels."""

    instance_id: int
    class_name: str
    box: UprightBoxes  # one, without batch axes, in the world; its yaw is in [-pi, pi)
    confidence: float  # 0..1
    mean_iou_2d: float  # mean over the labelled frames of the IoU of projected box and mask box
    num_views: int  # views of the group that show the instance
    bearing_spread_deg: float  # largest angle at the box between two of those views
    silhouette_loss: float  # this instance's part of the silhouette loss at the end
    is_moving: bool
    shape: tuple[float, ...] | None = None  # latents of the labeler's shape prior, where it has one
