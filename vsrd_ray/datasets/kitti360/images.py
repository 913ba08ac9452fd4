"""Images of KITTI-360's rectified perspective cameras."""

import cv2
import numpy as np

from vsrd_ray.data.drive import Drive
from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.errors import InputError, UnreadableFrameError
from vsrd_ray.storage import read_bytes


def read_image(drive: Drive, camera: str, frame: int) -> np.ndarray:
    """Image [H, W, 3] uint8 of a frame, BGR.

    Raises:
        UnreadableFrameError: the file cannot be decoded; only this frame is lost.
        InputError: no image, or one of another size than the calibration's.
    """
    path = paths.image_file(drive.root, drive.name, camera, frame)
    try:
        data = np.frombuffer(read_bytes(path), dtype=np.uint8)
    except FileNotFoundError:
        raise InputError(f"no image {path}: restore the file") from None
    image = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
    if image is None:
        raise UnreadableFrameError(f"{path}: the pixels cannot be decoded: restore the file")
    width, height = drive.cameras[camera].image_size
    if image.shape[:2] != (height, width):
        got = f"{image.shape[1]} x {image.shape[0]}"
        raise InputError(f"{path}: expected {width} x {height} px as in perspective.txt (S_rect), got {got} px")
    return image
