"""Images of KITTI-360's rectified perspective cameras, and of its fisheyes as pinhole cameras see them."""

import cv2
import numpy as np

from vsrd_ray.data.drive import Drive
from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.datasets.kitti360.fisheyes import as_pinhole, read_fisheye
from vsrd_ray.errors import InputError, UnreadableFrameError
from vsrd_ray.storage import read_bytes


def read_image(drive: Drive, camera: str, frame: int) -> np.ndarray:
    """Image [H, W, 3] uint8 of a frame, BGR.

    Raises:
        UnreadableFrameError: the file cannot be decoded; only this frame is lost.
        InputError: no image, one of another size than the calibration's, or a fisheye without calibration.
    """
    path = paths.image_file(drive.root, drive.name, camera, frame)
    try:
        data = np.frombuffer(read_bytes(path), dtype=np.uint8)
    except FileNotFoundError:
        raise InputError(f"no image {path}: restore the file") from None
    image = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
    if image is None:
        raise UnreadableFrameError(f"{path}: the pixels cannot be decoded: restore the file")
    opened = drive.cameras[camera]
    model = read_fisheye(drive.root, camera) if camera in paths.FISHEYES else None
    (width, height), said = (
        (opened.image_size, "perspective.txt (S_rect)") if model is None else (model.image_size, f"{camera}.yaml")
    )
    if image.shape[:2] != (height, width):
        got = f"{image.shape[1]} x {image.shape[0]}"
        raise InputError(f"{path}: expected {width} x {height} px as in {said}, got {got} px")
    return image if model is None else as_pinhole(image, model, opened.K, opened.image_size)
