"""Recordings for the viewer Rerun: what those of several kinds of label show alike.

Rerun computes in single precision: coordinates are metres from `world:origin`.
"""

import importlib
from importlib.util import find_spec
from typing import Any

import numpy as np

from vsrd_ray.data.drive import IMAGES, Camera, Drive
from vsrd_ray.errors import InputError
from vsrd_ray.storage import read_bytes


def check_installed() -> None:
    """Refuse to begin without the viewer's library.

    Raises:
        InputError: rerun-sdk is not installed.
    """
    if find_spec("rerun") is None:
        raise InputError("the format rerun needs rerun-sdk: pip install 'vsrd-ray[rerun]'")


def log_image(recording: Any, drive: Drive, camera: Camera, frame: int, origin: np.ndarray) -> None:
    """Show a camera at its place, and its image as the file that it is.

    Args:
        recording: a RecordingStream of Rerun, at the frame's time.
        drive: that has the image.
        camera: whose pose at the frame is known.
        frame: number of the frame.
        origin: [3] metres, in the world.
    """
    rr = importlib.import_module("rerun")
    T_world_cam = camera.T_world_cam[frame]
    width, height = camera.image_size
    pinhole = rr.Pinhole(image_from_camera=camera.K, width=width, height=height, camera_xyz=rr.ViewCoordinates.RDF)
    file = drive.file(IMAGES, camera.name, frame)
    kind = "image/jpeg" if file.suffix.lower() in (".jpg", ".jpeg") else "image/png"
    pose = rr.Transform3D(translation=T_world_cam[:3, 3] - origin, mat3x3=T_world_cam[:3, :3])
    recording.log(f"world/{camera.name}", pose)
    recording.log(f"world/{camera.name}/image", pinhole)
    recording.log(f"world/{camera.name}/image", rr.EncodedImage(contents=read_bytes(file), media_type=kind))
