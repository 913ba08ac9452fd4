"""Poses and intrinsics of nerfstudio's transforms.json, which instant-ngp and many scanning apps write too.

Its camera axes are OpenGL's (x right, y up, z backward), and pixel centres lie at halves. What its own tools did to the
world (`applied_transform`, `applied_scale`) is undone, so that poses are in the world that they come from.
"""

import json
from typing import Any

import numpy as np

from vsrd_ray.errors import InputError
from vsrd_ray.geometry.rigid import inverse
from vsrd_ray.poses.models import UNDISTORT, NumberOf, Pinhole, PoseModel, check_rigid
from vsrd_ray.storage import Location, read_bytes

_GL_CV = np.diag([1.0, -1.0, -1.0, 1.0])  # T of OpenGL's camera from OpenCV's
_DISTORTION = ("k1", "k2", "k3", "k4", "p1", "p2")
_PINHOLES = ("PINHOLE", "SIMPLE_PINHOLE", "OPENCV", "SIMPLE_RADIAL", "RADIAL", "")


def read_transforms(path: Location, number_of: NumberOf) -> PoseModel:
    """Poses of a file's frames; those whose image is no frame of the drive are counted and left out.

    Raises:
        InputError: no JSON of this form, no intrinsics, several cameras, distortion, or a pose that is no rigid motion.
    """
    content = _content(path)
    entries = content.get("frames")
    if not isinstance(entries, list) or not entries:
        raise InputError(f"{path}: no frames: expected a list 'frames' with file_path and transform_matrix")
    T_here_given, scale = _applied(content, path)
    pinhole: Pinhole | None = None
    poses: dict[int, np.ndarray] = {}
    for number, entry in enumerate(entries):
        place = f"{path}, frames[{number}]"
        name, T_here_gl = _entry(entry, place)
        found = _pinhole({**content, **entry}, place)
        pinhole = pinhole or found
        if not found.is_same(pinhole):
            raise InputError(
                f"{place}: another camera than that of frames[0] (fx {found.K[0, 0]:g} and {pinhole.K[0, 0]:g}): a "
                "drive has one camera; solve for one, or give each camera a folder of its own"
            )
        T_here_gl[:3, 3] /= scale
        pose = inverse(T_here_given) @ check_rigid(T_here_gl, place) @ _GL_CV
        if (frame := number_of(name)) is not None:
            if frame in poses:
                raise InputError(f"{place}: another pose of frame {frame}: remove one of them")
            poses[frame] = pose
    return PoseModel("transforms.json", path, poses, pinhole, num_without_frame=len(entries) - len(poses))


def _content(path: Location) -> dict[str, Any]:
    try:
        content = json.loads(read_bytes(path))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: no JSON ({' '.join(str(error).split())}): restore the file") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected an object with 'frames': restore the file")
    return content


def _entry(entry: Any, place: str) -> tuple[str, np.ndarray]:
    """Name and 4 x 4 matrix of a frame."""
    try:
        name = str(entry["file_path"])
        matrix = np.array(entry["transform_matrix"], dtype=np.float64)
    except (KeyError, TypeError, ValueError):
        raise InputError(f"{place}: expected file_path and transform_matrix, a list of 4 x 4 numbers") from None
    if matrix.shape == (3, 4):
        matrix = np.concatenate([matrix, [[0.0, 0.0, 0.0, 1.0]]])
    if matrix.shape != (4, 4):
        raise InputError(f"{place}: transform_matrix has the shape {matrix.shape}, expected 4 x 4 numbers")
    return name, matrix


def _pinhole(values: dict[str, Any], place: str) -> Pinhole:
    try:
        fx, cx, cy = (float(values[name]) for name in ("fl_x", "cx", "cy"))
        fy, size = float(values.get("fl_y", fx)), (int(values["w"]), int(values["h"]))
    except (KeyError, TypeError, ValueError):
        raise InputError(
            f"{place}: no intrinsics: expected numbers fl_x, fl_y, cx, cy, w and h for the file or for each frame"
        ) from None
    model = str(values.get("camera_model", ""))
    bent = [name for name in _DISTORTION if values.get(name)]
    if bent or model not in _PINHOLES:
        what = f"distortion {bent[0]} = {values[bent[0]]}" if bent else f"a camera of the model {model}"
        raise InputError(f"{place}: {what}: {UNDISTORT}")
    return Pinhole.of(fx, fy, cx - 0.5, cy - 0.5, size, place=place)


def _applied(content: dict[str, Any], path: Location) -> tuple[np.ndarray, float]:
    """`T_here_given` [4, 4] from the poses' first world to that of the file, and the scale that followed."""
    T_here_given = np.eye(4)
    try:
        if "applied_transform" in content:
            T_here_given[:3] = np.array(content["applied_transform"], dtype=np.float64)[:3]
        scale = float(content.get("applied_scale", 1.0))
        if not scale > 0:
            raise ValueError
    except (TypeError, ValueError):
        raise InputError(f"{path}: applied_transform is no 3 x 4 matrix, or applied_scale no number above 0") from None
    return check_rigid(T_here_given, f"{path}, applied_transform"), scale
