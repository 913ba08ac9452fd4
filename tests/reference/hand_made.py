"""Frame groups made by hand: boxes and bodies on a plane, seen by a few cameras, with what is true of them known.

A pixel shows a thing if its centre lies in the hull of the projected vertices of one of the thing's solids; nearer
things are painted over farther ones.
"""

from dataclasses import dataclass

import numpy as np
from builders import make_frame_group, make_label_frame, make_plan, make_view
from scipy.spatial import ConvexHull

from vsrd_ray.data.masks import mask_box
from vsrd_ray.geometry import rigid
from vsrd_ray.geometry.boxes import CORNER_SIGNS_RDF, UprightBoxes
from vsrd_ray.labelers.vsrd.bodies import Body

ROAD = 7000
K = np.array([[180.0, 0, 176], [0, 180, 50], [0, 0, 1]])
IMAGE_SIZE = (352, 112)
SEDAN_LWH = (4.2, 1.74, 1.5)


@dataclass(frozen=True)
class Thing:
    """A box, or a body inside it that touches its sides."""

    instance_id: int
    center_world: tuple[float, float, float]
    yaw_world: float = 0.0
    dimensions_lwh: tuple[float, float, float] = SEDAN_LWH
    body: Body | None = None  # the box itself by default

    @property
    def box(self):
        """The one box in the world."""
        return UprightBoxes(self.center_world, self.dimensions_lwh, self.yaw_world)

    def solids_world(self):
        """Vertices [P, 3] of each convex solid."""
        solids = [CORNER_SIGNS_RDF] if self.body is None else self.body.solids
        return [self._in_world(solid * np.array(self.dimensions_lwh)[[1, 2, 0]] / 2) for solid in solids]

    def _in_world(self, points_obj):
        right, down, forward = points_obj.T
        cos, sin = np.cos(self.yaw_world), np.sin(self.yaw_world)
        x, y = cos * forward + sin * right, sin * forward - cos * right
        return np.stack([x, y, -down], axis=-1) + self.center_world


def camera_pose(x, y, *, heading=0.0, pitch=0.0, roll=0.0, height=1.6):
    """T_world_cam of a camera that looks along `heading` in the world's x-y plane (z up), tilted by pitch and roll."""

    def about_x(angle):
        return np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])

    cos, sin = np.cos(heading), np.sin(heading)
    level = np.array([[sin, 0, cos], [-cos, 0, sin], [0, -1, 0]])
    turn = np.array([[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]])
    T = np.eye(4)
    T[:3, :3] = level @ about_x(pitch) @ turn
    T[:3, 3] = x, y, height
    return T


def paint(things, T_world_cam, K=K, image_size=IMAGE_SIZE):
    """Instance map [H, W] of what a camera sees; things must lie before it."""
    T_cam_world = rigid.inverse(T_world_cam)
    instance_map = np.full(image_size[::-1], ROAD, dtype=np.uint16)
    for thing in sorted(things, key=lambda thing: -rigid.apply(T_cam_world, np.array([thing.center_world]))[0, 2]):
        for solid in thing.solids_world():
            points_cam = rigid.apply(T_cam_world, solid)
            assert points_cam[:, 2].min() > 0.1
            homogeneous = points_cam @ K.T
            _fill_hull(instance_map, homogeneous[:, :2] / homogeneous[:, 2:], thing.instance_id)
    return instance_map


def _fill_hull(instance_map, vertices, instance_id):
    low = np.ceil(vertices.min(axis=0)).astype(int).clip(min=0)
    high = np.floor(vertices.max(axis=0)).astype(int).clip(max=np.array(instance_map.shape[::-1]) - 1)
    u, v = np.meshgrid(*map(np.arange, low, high + 1))
    planes = ConvexHull(vertices).equations
    inside = (np.stack([u, v], axis=-1) @ planes[:, :2].T + planes[:, 2] <= 0).all(axis=-1)
    instance_map[v[inside], u[inside]] = instance_id


def make_group(things, poses, *, labelled=None, group_id="group", K=K, image_size=IMAGE_SIZE):
    """A group that sees things from poses (the first one's is the target); its views are its labelled frames too.

    `labelled` are the instances of the group, in the order of their ids; all things by default. Each is fitted in all
    views.
    """
    return make_scenes([things] * len(poses), poses, labelled=labelled, group_id=group_id, K=K, image_size=image_size)


def make_scenes(
    scenes, poses, *, labelled=None, group_id="group", K=K, image_size=IMAGE_SIZE, times_s=None, best_frame=0
):
    """A group like those of `make_group`, but that sees other things [V][N] from each pose, at times [V] if given."""
    frames, ids = range(len(poses)), {thing.instance_id for things in scenes for thing in things}
    labelled = tuple(sorted(ids)) if labelled is None else labelled
    views = tuple(
        make_view(frame, K=K, T_world_cam=T_world_cam, image_size=image_size) for frame, T_world_cam in enumerate(poses)
    )
    maps = np.stack([paint(*seen, K, image_size) for seen in zip(scenes, poses, strict=True)])
    plan = make_plan(group_id, frames, labelled, sequence="hand_made", best_frames=(best_frame,) * len(labelled))
    label_frames = (_label_frame(*frame, labelled) for frame in zip(views, maps, strict=True))
    times_s = None if times_s is None else dict(zip(frames, times_s, strict=True))
    return make_frame_group(plan, views, label_frames, instance_maps=maps, times_s=times_s)


def _label_frame(view, instance_map, instance_ids):
    boxes = [mask_box(instance_map == instance_id) or [np.nan] * 4 for instance_id in instance_ids]
    areas = [np.count_nonzero(instance_map == instance_id) for instance_id in instance_ids]
    return make_label_frame(view, boxes, areas)


def boxes_world(boxes, T_world_ref):
    """The boxes in the world of `parameters.Boxes` in a levelled frame."""
    locations, half_extents, R_ref_obj = (
        tensor.detach().double().cpu().numpy() for tensor in (boxes.locations, boxes.half_extents, boxes.R_ref_obj)
    )
    forward = R_ref_obj[:, :, 2] @ T_world_ref[:3, :3].T
    yaws = np.arctan2(forward[:, 1], forward[:, 0])
    return UprightBoxes(rigid.apply(T_world_ref, locations), 2 * half_extents[:, [2, 0, 1]], yaws)


def ious_3d(boxes, things, T_world_ref):
    """IoU3D [N] of boxes in a levelled frame with things."""
    return boxes_world(boxes, T_world_ref).iou(UprightBoxes.stack([thing.box for thing in things]))[0]
