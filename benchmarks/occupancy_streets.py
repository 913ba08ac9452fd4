"""Built-in streets for measuring occupancy: what six cameras and the LiDAR see in three frames, and the true voxels.

Nothing is written: views are made in memory, with exact depth and classes. Shapes: H x W pixels, N points.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from vsrd_ray.data.classes import IDS_PER_CLASS
from vsrd_ray.geometry import rigid
from vsrd_ray.labels.voxels.classes import OCC3D
from vsrd_ray.synthetic import lidar
from vsrd_ray.synthetic.meshes import Mesh
from vsrd_ray.synthetic.occupancy import GRIDS, StreetSolids
from vsrd_ray.synthetic.rasterizer import rasterize
from vsrd_ray.synthetic.rig import T_EGO_CAM0, surround_mounts
from vsrd_ray.synthetic.scenery import SKY
from vsrd_ray.synthetic.settings import StreetSettings
from vsrd_ray.synthetic.street import Street, build_street

IMAGE_SIZE = (266, 150)  # (width, height), px
FRAMES, TARGET, APART = 17, 8, 4  # of the street; sources lie so many frames before and after the target


@dataclass(frozen=True)
class SeenImage:
    """What one camera sees in one frame, exactly."""

    frame: int
    K: np.ndarray  # [3, 3] px
    T_grid_cam: np.ndarray  # [4, 4]
    depth: np.ndarray  # [H, W] float32 m along the optical axis; 0 where there is nothing
    ids: np.ndarray  # [H, W] uint8 Cityscapes
    is_moving: np.ndarray  # [H, W] bool, of cars that drive
    depth_at_target: np.ndarray  # [H, W] float32 m, of the street as it stands in the target frame


@dataclass(frozen=True)
class SeenSweep:
    """A sweep of the LiDAR."""

    frame: int
    T_grid_lidar: np.ndarray  # [4, 4]
    points: np.ndarray  # [N, 3] m


@dataclass(frozen=True)
class StreetScene:
    """A group of three frames with its truth."""

    images: tuple[SeenImage, ...]
    sweeps: tuple[SeenSweep, ...]
    truth: np.ndarray  # [X, Y, Z] uint8, classes of Occ3D, 17 free


def make_scene(seed: int, *, cameras: tuple[str, ...] = ()) -> StreetScene:
    """Three frames of a street: the target and one before and after it; of all six cameras unless some are named."""
    settings = StreetSettings(frames=FRAMES, seed=seed, cars=14, moving=2, trucks=1, caravans=1)
    street = build_street(settings)
    sensor, grid = lidar.velo(settings), GRIDS["occ3d"]
    T_street_grid = lidar.pose(street, sensor, TARGET) @ grid.T_velo_grid
    T_grid_street = rigid.inverse(T_street_grid)
    images, sweeps = [], []
    for frame in (TARGET, TARGET - APART, TARGET + APART):
        images += [
            _see(street, frame, name, T_grid_street)
            for name in surround_mounts(IMAGE_SIZE)
            if name in (cameras or (name,))
        ]
        sweep = lidar.measure(street, sensor, frame)
        sweeps.append(SeenSweep(frame, T_grid_street @ sweep.T_street_sensor, sweep.points.astype(np.float64)))
    ids = StreetSolids(street).voxels(TARGET, T_street_grid, grid).semantics
    truth = np.where(ids == 0, OCC3D.free, OCC3D.of_city[ids]).astype(np.uint8)
    return StreetScene(tuple(images), tuple(sweeps), truth)


def _see(street: Street, frame: int, camera: str, T_grid_street: np.ndarray) -> SeenImage:
    mount = surround_mounts(IMAGE_SIZE)[camera]
    T_street_cam = street.T_street_cam_at(frame) @ rigid.inverse(T_EGO_CAM0) @ mount.T_ego_cam
    instances, depth = _render(street.mesh_at(frame), T_street_cam, mount.K)
    _, depth_at_target = _render(street.mesh_at(TARGET), T_street_cam, mount.K)
    is_moving = np.isin(instances, [vehicle.instance_id for vehicle in street.moving])
    ids = (instances // IDS_PER_CLASS).astype(np.uint8)
    return SeenImage(frame, mount.K, T_grid_street @ T_street_cam, depth, ids, is_moving, depth_at_target)


def _render(mesh: Mesh, T_street_cam: np.ndarray, K: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Instances [H, W] and depth [H, W] float32 of what a camera sees."""
    raster = rasterize((mesh.faces - T_street_cam[:3, 3]) @ T_street_cam[:3, :3], K, IMAGE_SIZE)
    depth = np.divide(1, raster.inverse_depth, out=np.zeros_like(raster.inverse_depth), where=raster.face >= 0)
    return np.append(mesh.ids, SKY)[raster.face], depth


def noisy(depth: np.ndarray, share: float, rng: np.random.Generator, *, kind: str = "smooth") -> np.ndarray:
    """Depth [H, W] float32 that is off by a share of itself: half of the variance of each pixel, half in common.

    Args:
        depth: exact.
        share: standard deviation, of the depth.
        rng: what chance is taken from.
        kind: of the common half: `smooth`, varying over a tenth of the width, or `scale`, one factor for the image.
    """
    own = rng.standard_normal(depth.shape)
    common = ndimage.gaussian_filter(rng.standard_normal(depth.shape), depth.shape[1] / 10, mode="wrap")
    common = common / common.std() if kind == "smooth" else np.full(depth.shape, rng.standard_normal())
    return (depth * np.exp(share * np.sqrt(0.5) * (own + common))).astype(np.float32)
