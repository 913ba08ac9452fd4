"""Where a target frame's grid lies in the world.

Frames: `grid` has x forward, y left, z up; that of Occ3D lies on the road, that of SSCBench in the LiDAR.
"""

import numpy as np

from vsrd_ray.data.drive import Drive
from vsrd_ray.errors import InputError
from vsrd_ray.geometry import rigid
from vsrd_ray.labelers.occupancy.config import OccupancyConfig
from vsrd_ray.labels.voxels.grid import GRIDS, Grid


def grid_of(config: OccupancyConfig) -> Grid:
    """The grid of a configuration.

    Raises:
        InputError: a range that is none.
    """
    if config.range is not None and config.voxel_size is not None:
        return Grid.of(config.range, config.voxel_size)
    return GRIDS[config.grid]


def grid_pose(drive: Drive, frame: int, config: OccupancyConfig) -> np.ndarray:
    """`T_world_grid` [4, 4] of a frame: at the LiDAR, or without one at the first camera, levelled.

    Raises:
        InputError: the frame has neither.
    """
    camera = drive.camera
    lidar = next((one for one in drive.lidars.values() if frame in one.T_world_lidar), None)
    T_cam_lidar = drive.detail("T_cam_lidar")
    if lidar is not None:
        T_world_velo = lidar.T_world_lidar[frame] @ _ahead(lidar.T_world_lidar[frame], camera.T_world_cam[frame])
    elif T_cam_lidar is not None:
        T_world_velo = camera.T_world_cam[frame] @ T_cam_lidar
    else:
        return _lowered(_level(camera.T_world_cam[frame]), config.camera_height)
    if config.grid == "sscbench":
        return T_world_velo
    return _lowered(T_world_velo, config.lidar_height, forward=config.lidar_forward)


def _ahead(T_world_lidar: np.ndarray, T_world_cam: np.ndarray) -> np.ndarray:
    """The quarter turns [4, 4] about the LiDAR's z axis that bring its x axis nearest to where the camera looks."""
    forward = T_world_lidar[:3, :3].T @ T_world_cam[:3, 2]
    quarters = int(np.rint(np.arctan2(forward[1], forward[0]) / (np.pi / 2)))
    cos, sin = [(1, 0), (0, 1), (-1, 0), (0, -1)][quarters % 4]
    turn = np.eye(4)
    turn[:2, :2] = [[cos, -sin], [sin, cos]]
    return turn


def _level(T_world_cam: np.ndarray) -> np.ndarray:
    """The frame [4, 4] at a camera with x ahead, y left, z against gravity."""
    try:
        T_world_ref = rigid.levelled_at(T_world_cam)
    except ValueError as error:
        raise InputError(f"a camera that looks straight up or down places no grid ({error})") from error
    T_ref_grid = np.eye(4)
    T_ref_grid[:3, :3] = [[0, -1, 0], [0, 0, -1], [1, 0, 0]]
    return T_world_ref @ T_ref_grid


def _lowered(T_world_a: np.ndarray, height: float, *, forward: float = 0.0) -> np.ndarray:
    T_a_grid = np.eye(4)
    T_a_grid[[0, 2], 3] = -forward, -height
    return T_world_a @ T_a_grid
