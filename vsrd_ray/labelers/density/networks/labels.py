"""Labels by a trained network: one density on the voxels of a stretch, and the depth of each of its frames.

Shapes: X x Y x Z voxels, H x W pixels. Metres.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vsrd_ray.labelers.density.networks.infer import PosedImage, Trained, density_field, depth_maps, encode, profile
from vsrd_ray.labelers.density.networks.model import EncodedViews
from vsrd_ray.labels.depth.evaluation.occupancy import OCCUPIED_DENSITY, T_EVAL_CAM
from vsrd_ray.labels.depth.field import PROFILE_SHAPE
from vsrd_ray.labels.depth.schema import DepthMap
from vsrd_ray.labels.voxels.grid import Grid
from vsrd_ray.labels.voxels.schema import FREE, OCCUPIED, UNSEEN, Voxels

_AT_ONCE = 262_144  # voxels


@dataclass(frozen=True)
class KeyView:
    """A frame to be labelled, and what the teacher may look at beside it."""

    frame: int
    camera: str
    image: PosedImage
    others: tuple[PosedImage, ...] = ()


def seen_beside(frame: int, frames: Sequence[int], cameras: Sequence[str]) -> list[tuple[int, str]]:
    """(frame, camera) of what the teacher looks at: the key view first, the next frame, and both of other cameras.

    Args:
        frame: that is labelled.
        frames: of the drive, ascending, this one among them.
        cameras: the frame's own first.
    """
    place = bisect_right(frames, frame)
    after = frames[min(place, len(frames) - 1)]
    return list(dict.fromkeys((number, camera) for camera in cameras for number in (frame, after)))


def network_labels(
    trained: Trained,
    views: Sequence[KeyView],
    grid: Grid,
    T_world_grid: np.ndarray,  # [4, 4]
    *,
    reach: float,  # metres ahead of a frame's camera within which it counts
) -> tuple[Voxels, list[DepthMap]]:
    """Voxels and depth maps of frames; maps have the size that the network was trained with.

    A voxel's density is the mean of those that the frames before it give, each with the inverse square of its
    distance; a voxel that none of them has within reach and in its image is unseen.
    """
    device = next(trained.network.parameters()).device
    total = torch.zeros(grid.shape, device=device).flatten()
    weight = torch.zeros_like(total)
    maps: list[DepthMap] = []
    centers = _centers(grid, T_world_grid).to(device)
    for view in views:
        encoded = encode(trained, [view.image, *view.others])
        _add(trained, encoded, centers, total, weight, reach=reach)
        maps.append(map_of(trained, encoded, view))
    density = (total / weight.clamp(min=1e-12)).reshape(grid.shape)
    state = torch.where(density > OCCUPIED_DENSITY, OCCUPIED, FREE)
    state = torch.where(weight.reshape(grid.shape) > 0, state, UNSEEN)
    voxels = Voxels(
        grid,
        T_world_grid,
        density=density.to(torch.float16).cpu().numpy(),
        state=state.to(torch.uint8).cpu().numpy(),
    )
    return voxels, maps


@torch.no_grad()
def _add(
    trained: Trained, views: EncodedViews, centers: Tensor, total: Tensor, weight: Tensor, *, reach: float
) -> None:
    """Add what a frame says of the voxels that lie in its image, in place."""
    T_cam_world = torch.inverse(views.T_world_cam[0].double()).to(centers)
    into = views.K_norm[0] @ T_cam_world[:3]
    for first in range(0, len(centers), _AT_ONCE):
        some = centers[first : first + _AT_ONCE]
        image = some @ into[:, :3].T + into[:, 3]
        depth = image[:, 2]
        seen = (depth > trained.network.settings.near / 2) & (depth < reach)
        seen &= (image[:, :2].abs() <= depth[:, None]).all(dim=-1)
        place = seen.nonzero()[:, 0]
        if len(place):
            density, _ = density_field(trained, views)(some[place])
            share = 1 / depth[place] ** 2
            total[first + place] += density * share
            weight[first + place] += share


def map_of(trained: Trained, views: EncodedViews, view: KeyView) -> DepthMap:
    """The depth map of a frame, of the size that the network was trained with."""
    near, far = trained.network.settings.near, trained.network.settings.far
    field, pose, size = density_field(trained, views), views.T_world_cam[0], trained.image_size
    depth, spread = depth_maps(field, pose, views.K_norm[0], size, near=near, far=far, corners=trained.corner_rays)
    T_eval_cam = torch.from_numpy(T_EVAL_CAM).to(pose)
    return DepthMap(
        frame=view.frame,
        sensor=view.camera,
        K=pixels_of(view.image, size),
        T_world_cam=view.image.T_world_cam,
        depth=depth.cpu().numpy().astype(np.float32),
        spread=spread.cpu().numpy().astype(np.float32),
        profile=profile(field, pose @ torch.inverse(T_eval_cam), shape=PROFILE_SHAPE).cpu().numpy().astype(np.float32),
    )


def pixels_of(view: PosedImage, size: tuple[int, int]) -> np.ndarray:
    """Intrinsics [3, 3] px of an image that is resized to (width, height); pixels name their centres."""
    height, width = view.image.shape[:2]
    into = np.diag([size[0] / width, size[1] / height, 1.0])
    into[:2, 2] = (into[[0, 1], [0, 1]] - 1) / 2
    return into @ view.K


def _centers(grid: Grid, T_world_grid: np.ndarray) -> Tensor:
    indices = np.indices(grid.shape).reshape(3, -1).T
    return torch.from_numpy(grid.centers(indices) @ T_world_grid[:3, :3].T + T_world_grid[:3, 3]).float()
