"""Writes a built-in street as one's own drive, with its poses in each of the forms that can be read."""

import json
import shutil
import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import yaml
from scipy.spatial.transform import Rotation

from vsrd_ray.datasets.base import open_drive
from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.geometry.rigid import inverse

SEQUENCE, DRIVE = "2013_05_28_drive_0000_sync", "mine"
GL = np.diag([1.0, -1.0, -1.0, 1.0])


def write_drive(root: Path, street: Path, form: str, *, name: str = DRIVE) -> Path:
    """ROOT/<name> with the street's images and masks, and its poses in a form; gives the drive's folder."""
    drive, folder = open_drive(street, SEQUENCE), root / name
    shutil.copytree(paths.image_folder(street, SEQUENCE, "image_00"), folder / "images")
    shutil.copytree(paths.mask_folder(street, SEQUENCE, "image_00"), folder / "masks")
    names = {frame: f"{frame:010d}.png" for frame in drive.T_world_cam}
    WRITERS[form](folder, drive.T_world_cam, drive.K, drive.image_size, names)
    return folder


def intrinsics(K: np.ndarray, size: tuple[int, int]) -> dict[str, float]:
    values = {"fx": K[0, 0], "fy": K[1, 1], "cx": K[0, 2], "cy": K[1, 2]}
    return {**{name: float(value) for name, value in values.items()}, "width": size[0], "height": size[1]}


def write_camera(folder: Path, values: Mapping[str, object]) -> None:
    (folder / "camera.yaml").write_text(yaml.safe_dump(dict(values)))


def numbers(values: np.ndarray) -> str:
    return " ".join(repr(float(value)) for value in np.ravel(values))


def write_kitti(folder, poses, K, size, names) -> None:
    write_camera(folder, intrinsics(K, size))
    (folder / "poses.txt").write_text("".join(f"{numbers(pose[:3])}\n" for pose in poses.values()))


def write_kitti360(folder, poses, K, size, names, *, rows=4) -> None:
    (folder / "camera.json").write_text(json.dumps(intrinsics(K, size)))
    (folder / "poses.txt").write_text("".join(f"{frame} {numbers(pose[:rows])}\n" for frame, pose in poses.items()))


def write_kitti360_short(folder, poses, K, size, names) -> None:
    write_kitti360(folder, poses, K, size, names, rows=3)


def write_tum(folder, poses, K, size, names) -> None:
    write_camera(folder, intrinsics(K, size))
    start, lines, times = 1700000000.0, [], []
    for frame, pose in poses.items():
        time = start + 0.1 * frame + 0.003
        times.append(f"{time:.6f}\n")
        lines.append(f"{time:.6f} {numbers(pose[:3, 3])} {numbers(Rotation.from_matrix(pose[:3, :3]).as_quat())}\n")
    (folder / "poses.txt").write_text("# time x y z qx qy qz qw\n" + "".join(lines))
    (folder / "times.txt").write_text("".join(times))


def write_transforms(folder, poses, K, size, names, *, a_frame=False) -> None:
    """As nerfstudio's tools write it: the world turned and scaled, which the file says."""
    applied, scale = np.eye(4), 0.25
    applied[:3, :3] = [[1, 0, 0], [0, 0, 1], [0, -1, 0]]
    applied[:3, 3] = [3.0, -2.0, 1.0]
    camera = {"fl_x": K[0, 0], "fl_y": K[1, 1], "cx": K[0, 2] + 0.5, "cy": K[1, 2] + 0.5, "w": size[0], "h": size[1]}
    frames = []
    for frame, pose in poses.items():
        matrix = applied @ pose @ GL
        matrix[:3, 3] *= scale
        entry = {"file_path": f"./images/{names[frame]}", "transform_matrix": matrix.tolist()}
        frames.append({**entry, **camera} if a_frame else entry)
    content = {"camera_model": "OPENCV", "k1": 0.0, "k2": 0, "frames": frames, "applied_scale": scale}
    content |= {"applied_transform": applied[:3].tolist()}
    (folder / "transforms.json").write_text(json.dumps(content if a_frame else {**content, **camera}))
    write_camera(folder, {"up": [0.0, 0.0, 1.0], "scale": 1.0})


def write_transforms_a_frame(folder, poses, K, size, names) -> None:
    write_transforms(folder, poses, K, size, names, a_frame=True)


def motions(poses):
    """Number, quaternion (w first) and translation of world-to-camera motions."""
    for number, (frame, pose) in enumerate(poses.items(), start=1):
        T_cam_world = inverse(pose)
        quaternion = np.roll(Rotation.from_matrix(T_cam_world[:3, :3]).as_quat(), 1)
        yield number, frame, np.concatenate([quaternion, T_cam_world[:3, 3]])


def write_colmap_text(folder, poses, K, size, names) -> None:
    model = folder / "sparse" / "0"
    model.mkdir(parents=True)
    params = [K[0, 0], K[1, 1], K[0, 2] + 0.5, K[1, 2] + 0.5, 0, 0, 0, 0]
    (model / "cameras.txt").write_text(f"# cameras\n1 OPENCV {size[0]} {size[1]} {numbers(params)}\n")
    lines = [f"{number} {numbers(motion)} 1 {names[frame]}\n" for number, frame, motion in motions(poses)]
    points = ["\n", "10.5 3.25 -1 11.5 4.25 7\n"]
    (model / "images.txt").write_text("# images\n" + "".join(line + points[i % 2] for i, line in enumerate(lines)))
    (model / "points3D.txt").write_text("# points\n")
    write_camera(folder, {"up": [0.0, 0.0, 1.0], "scale": 1.0})


def write_colmap_binary(folder, poses, K, size, names, *, model=1, params=None, points=()) -> None:
    where = folder / "sparse" / "0"
    where.mkdir(parents=True)
    if params is None:
        params = [K[0, 0], K[1, 1], K[0, 2] + 0.5, K[1, 2] + 0.5]
    camera = struct.pack(f"<QIiQQ{len(params)}d", 1, 1, model, *size, *params)
    (where / "cameras.bin").write_bytes(camera)
    data = struct.pack("<Q", len(poses))
    for number, frame, motion in motions(poses):
        seen = number % 3
        data += struct.pack("<I7dI", number, *motion, 1) + names[frame].encode() + b"\0"
        data += struct.pack("<Q", seen) + seen * struct.pack("<ddq", 1.0, 2.0, -1)
    (where / "images.bin").write_bytes(data)
    data = struct.pack("<Q", len(points))
    for number, point in enumerate(points):
        data += struct.pack("<Q3d3BdQ", number, *point, 9, 9, 9, 0.5, 2) + struct.pack("<4I", 1, 0, 2, 0)
    (where / "points3D.bin").write_bytes(data)
    write_camera(folder, {"up": [0.0, 0.0, 1.0], "scale": 1.0})


WRITERS = {
    "kitti": write_kitti,
    "kitti360": write_kitti360,
    "kitti360, 3 rows": write_kitti360_short,
    "tum": write_tum,
    "transforms.json": write_transforms,
    "transforms.json, cameras of frames": write_transforms_a_frame,
    "colmap text": write_colmap_text,
    "colmap binary": write_colmap_binary,
}
