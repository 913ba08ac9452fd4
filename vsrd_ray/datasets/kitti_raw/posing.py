"""Poses of rectified camera 0: of OxTS packets, or of a pose file that these level and scale."""

import numpy as np

from vsrd_ray.datasets.kitti_raw import paths
from vsrd_ray.datasets.kitti_raw.calibration import CameraCalibration, read_T_cam0_imu
from vsrd_ray.datasets.kitti_raw.packets import packet_frames, read_lags, read_packets
from vsrd_ray.datasets.kitti_raw.times import read_times
from vsrd_ray.errors import InputError
from vsrd_ray.poses import oxts
from vsrd_ray.poses.align import Posed, levelled
from vsrd_ray.poses.check import check_steps
from vsrd_ray.poses.files import read_pose_file
from vsrd_ray.poses.source import OXTS_PUBLISHED, PoseSource
from vsrd_ray.storage import Location

# As `python -m benchmarks.real_drives` has it.
_ALONE = (
    "poses of GPS and IMU alone limit boxes (IoU3D .57 on two real drives, .72 with visual odometry): give a file "
    "of visual odometry as --poses, if there is one."
)


def read_T_world_cam0(  # noqa: N802 - a transform's name
    root: Location, name: str, source: PoseSource, *, camera: str, calibration: CameraCalibration
) -> Posed:
    """`T_world_cam0` of every frame that has one, in a world with z up by gravity.

    Args:
        root: the dataset's root folder.
        name: of the drive.
        source: which poses.
        camera: the one that COLMAP's poses are of.
        calibration: of that camera.

    Raises:
        InputError: there are no packets and no file, or they cannot be used.
    """
    if source.file is None:
        if not packet_frames(root, name):
            raise InputError(
                f"no OxTS packets in {paths.packet_folder(root, name)}: unpack the drive's _sync archive, or give "
                "poses in a file as --poses"
            )
        posed = _of_packets(root, name, is_published=source.name == OXTS_PUBLISHED)
        return Posed(posed.poses, (*posed.warnings, f"{paths.packet_folder(root, name)}: {_ALONE}"))
    times_s = read_times(paths.image_times_file(root, name, camera))
    read = read_pose_file(source.file, camera=camera, times_s=times_s)
    T_cam_cam0 = np.eye(4) if read.is_of_camera_0 else calibration.T_cam_cam0
    poses = {frame: pose @ T_cam_cam0 for frame, pose in read.poses.items()}
    reference = _of_packets(root, name, is_published=False) if packet_frames(root, name) else Posed({})
    return levelled(poses, reference.poses, is_scaled=source.is_scaled, place=f"{source.file}", by="OxTS")


def _of_packets(root: Location, name: str, *, is_published: bool) -> Posed:
    packets = read_packets(root, name)
    if not packets.frames:
        raise InputError(f"{paths.packet_folder(root, name)}: every packet is empty: restore them")
    T_world_imu = oxts.published_poses(packets.values)
    if not is_published:
        T_world_imu = oxts.moved_back(T_world_imu, packets.values, read_lags(root, name, packets))
    T_world_cam0 = T_world_imu @ np.linalg.inv(read_T_cam0_imu(root, name))  # whose rotations are rounded
    warnings = []
    if count := int(oxts.is_drifting(packets.values).sum()):
        warnings.append(
            f"{paths.packet_folder(root, name)}: the GPS is unsure by more than 0.4 m in {count} of "
            f"{len(packets.frames)} frames: poses drift, and labels of parked objects with them."
        )
    poses = dict(zip(packets.frames, T_world_cam0, strict=True))
    return Posed(poses, (*warnings, *check_steps(poses, place=f"{paths.packet_folder(root, name)}")))
