"""Poses of rectified camera 0: of OxTS packets, or of a pose file that these level and scale."""

import numpy as np

from vsrd_ray.data.rectified import RectifiedCamera
from vsrd_ray.datasets.kitti_raw import paths
from vsrd_ray.datasets.kitti_raw.calibration import read_T_cam0_imu
from vsrd_ray.datasets.kitti_raw.packets import Packets, packet_frames, read_lags, read_packets
from vsrd_ray.datasets.kitti_raw.times import read_times
from vsrd_ray.errors import InputError
from vsrd_ray.poses import oxts
from vsrd_ray.poses.align import Posed, levelled
from vsrd_ray.poses.check import check_steps
from vsrd_ray.poses.files import read_pose_file
from vsrd_ray.poses.source import OXTS_PUBLISHED, PoseSource
from vsrd_ray.storage import Location

# Degrees to the right and upwards by which a day's cameras look beside where the calibration has them. Visual odometry
# sees the car move where it goes; packets and calibration have it go elsewhere in the image. Two tools' odometry of two
# drives has .21 to .47 to the right and .02 to .09 up, with no look at boxes; the figures are of the best drives.
_TURNED = {"2011_09_26": (0.3, 0.15)}
# As `python -m benchmarks.real_drives` has it.
_ALONE = (
    "poses of GPS and IMU alone limit boxes (IoU3D .67 on two real drives, .72 with visual odometry): give a file "
    "of visual odometry as --poses, if there is one."
)


def read_T_world_cam0(  # noqa: N802 - a transform's name
    root: Location, name: str, source: PoseSource, *, camera: str, calibration: RectifiedCamera
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
        posed = _published(root, name) if source.name == OXTS_PUBLISHED else _corrected(root, name)
        return Posed(posed.poses, (*posed.warnings, f"{paths.packet_folder(root, name)}: {_ALONE}"))
    times_s = read_times(paths.image_times_file(root, name, camera))
    read = read_pose_file(source.file, camera=camera, times_s=times_s)
    T_cam_cam0 = np.eye(4) if read.is_of_camera_0 else calibration.T_cam_cam0
    poses = {frame: pose @ T_cam_cam0 for frame, pose in read.poses.items()}
    reference = _timed(root, name) if packet_frames(root, name) else Posed({})
    return levelled(poses, reference.poses, is_scaled=source.is_scaled, place=f"{source.file}", by="OxTS")


def _published(root: Location, name: str) -> Posed:
    """Poses of the packets as they are."""
    packets = _read(root, name)
    return _posed(root, name, packets, oxts.published_poses(packets.values))


def _timed(root: Location, name: str) -> Posed:
    """Poses of the packets, at the images' times."""
    packets = _read(root, name)
    return _posed(root, name, packets, _at_images(root, name, packets))


def _corrected(root: Location, name: str) -> Posed:
    """`_timed`, with positions that do not slip sideways, and the cameras turned as the day's drives show them."""
    packets = _read(root, name)
    posed = _posed(root, name, packets, oxts.steadied(_at_images(root, name, packets), packets.frames))
    T_cam0_turned = np.eye(4)
    T_cam0_turned[:3, :3] = _turned(*np.radians(_TURNED.get(name[:10], (0.0, 0.0))))
    return Posed({frame: pose @ T_cam0_turned for frame, pose in posed.poses.items()}, posed.warnings)


def _read(root: Location, name: str) -> Packets:
    packets = read_packets(root, name)
    if not packets.frames:
        raise InputError(f"{paths.packet_folder(root, name)}: every packet is empty: restore them")
    return packets


def _at_images(root: Location, name: str, packets: Packets) -> np.ndarray:
    lags_s = read_lags(root, name, packets)
    return oxts.moved_back(oxts.published_poses(packets.values), packets.values, lags_s)


def _posed(root: Location, name: str, packets: Packets, T_world_imu: np.ndarray) -> Posed:
    """Poses of camera 0, and what is odd about the packets."""
    T_world_cam0 = T_world_imu @ np.linalg.inv(read_T_cam0_imu(root, name))  # whose rotations are rounded
    folder, warnings = f"{paths.packet_folder(root, name)}", []
    if count := int(oxts.is_drifting(packets.values).sum()):
        warnings.append(
            f"{folder}: the GPS is unsure by more than 0.4 m in {count} of {len(packets.frames)} frames: poses drift, "
            "and labels of parked objects with them."
        )
    poses = dict(zip(packets.frames, T_world_cam0, strict=True))
    return Posed(poses, (*warnings, *check_steps(poses, place=folder)))


def _turned(right: float, up: float) -> np.ndarray:
    """A camera [3, 3] turned to the right, then upwards, radians."""
    (sin_r, sin_u), (cos_r, cos_u) = (function((right, up)) for function in (np.sin, np.cos))
    return np.array([[cos_r, 0, sin_r], [0, 1, 0], [-sin_r, 0, cos_r]]) @ np.array(
        [[1, 0, 0], [0, cos_u, -sin_u], [0, sin_u, cos_u]]
    )
