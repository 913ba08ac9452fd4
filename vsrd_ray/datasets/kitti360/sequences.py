"""Sequences of a KITTI-360 root folder: which there are, and opening one."""

import re

from vsrd_ray.data.groups import Sequence
from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.datasets.kitti360.calibration import read_calibration
from vsrd_ray.datasets.kitti360.poses import read_poses
from vsrd_ray.errors import InputError
from vsrd_ray.geometry.rigid import inverse
from vsrd_ray.storage import Location, absolute, folders_in, is_folder, names_in, plain_name

_NAME = re.compile(r"[0-9]{4}_[0-9]{2}_[0-9]{2}_drive_([0-9]{4})_sync")


def list_sequences(root: Location) -> list[str]:
    """Names of the sequences that have poses or masks under `root`, sorted.

    Raises:
        InputError: `root` is no folder.
    """
    if not is_folder(root):
        raise InputError(f"no dataset folder {root}: give --root, or set KITTI360_DATASET")
    return sorted({name for folder in _folders(root) for name in folders_in(folder)})


def _folders(root: Location) -> tuple[Location, Location]:
    return paths.poses_root(root), paths.masks_root(root)


def drive_number(name: str) -> int | None:
    """The number of a sequence that is named as KITTI-360's are: 3 of `2013_05_28_drive_0003_sync`; None of others."""
    match = _NAME.fullmatch(name)
    return int(match[1]) if match else None


def check_known(name: str, names: list[str], *, root: Location) -> None:
    """Refuse the name of a sequence that is none of those under `root`.

    Raises:
        InputError: it is not.
    """
    if name not in names:
        known = f"give one of {', '.join(names)}" if names else "there is none: check --root"
        raise InputError(f"no sequence {name!r} under {root}: {known}")


def open_sequence(root: Location, name: str, camera: str = "image_00") -> Sequence:
    """Calibration, poses and mask frames of one camera of a sequence; no pixel is read.

    Raises:
        InputError: a missing root, an unknown sequence or camera, no masks, or a calibration or poses file that cannot
            be used.
    """
    plain_name(name, what="sequence")
    if not any(is_folder(folder / name) for folder in _folders(root)):
        check_known(name, list_sequences(root), root=root)
    calibration = read_calibration(root, camera)
    T_cam0_cam = inverse(calibration.T_cam_cam0)
    poses = read_poses(root, name)
    return Sequence(
        root=absolute(root),  # workers may run elsewhere
        name=name,
        camera=camera,
        K=calibration.K,
        image_size=calibration.image_size,
        T_world_cam={frame: T_world_cam0 @ T_cam0_cam for frame, T_world_cam0 in poses.items()},
        mask_frames=_mask_frames(root, name, camera),
    )


def _mask_frames(root: Location, name: str, camera: str) -> tuple[int, ...]:
    folder = paths.mask_folder(root, name, camera)
    frames = tuple(paths.frames_among(names_in(folder), suffix=".png"))
    if not frames:
        raise InputError(f"no instance masks in {folder}: download KITTI-360's 2D semantics into the root folder")
    return frames
