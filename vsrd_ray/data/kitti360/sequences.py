"""Sequences of a KITTI-360 root folder: which there are, and opening one."""

from pathlib import Path

from vsrd_ray.data.frames import Sequence
from vsrd_ray.data.kitti360 import paths
from vsrd_ray.data.kitti360.calibration import read_calibration
from vsrd_ray.data.kitti360.poses import read_poses
from vsrd_ray.errors import InputError
from vsrd_ray.geometry.rigid import inverse


def list_sequences(root: Path) -> list[str]:
    """Names of the sequences that have poses or masks under `root`, sorted.

    Raises:
        InputError: `root` is no folder.
    """
    if not root.is_dir():
        raise InputError(f"no dataset folder {root}: give --root, or set KITTI360_DATASET")
    folders = (paths.poses_root(root), paths.masks_root(root))
    return sorted({entry.name for folder in folders if folder.is_dir() for entry in folder.iterdir() if entry.is_dir()})


def open_sequence(root: Path, name: str, camera: str = "image_00") -> Sequence:
    """Calibration, poses and mask frames of one camera of a sequence; no pixel is read.

    Raises:
        InputError: a missing root, an unknown sequence or camera, no masks, or a calibration or poses file that cannot
            be used.
    """
    names = list_sequences(root)
    if name not in names:
        known = f"give one of {', '.join(names)}" if names else "there is none: check --root"
        raise InputError(f"no sequence {name!r} under {root}: {known}")
    calibration = read_calibration(root, camera)
    T_cam0_cam = inverse(calibration.T_cam_cam0)
    poses = read_poses(root, name)
    return Sequence(
        root=root.absolute(),  # workers may run elsewhere
        name=name,
        camera=camera,
        K=calibration.K,
        image_size=calibration.image_size,
        T_world_cam={frame: T_world_cam0 @ T_cam0_cam for frame, T_world_cam0 in poses.items()},
        mask_frames=_mask_frames(root, name, camera),
    )


def _mask_frames(root: Path, name: str, camera: str) -> tuple[int, ...]:
    folder = paths.mask_folder(root, name, camera)
    frames = tuple(sorted(paths.frame_of(path) for path in folder.glob(f"{'[0-9]' * 10}.png")))
    if not frames:
        raise InputError(f"no instance masks in {folder}: download KITTI-360's 2D semantics into the root folder")
    return frames
