"""Images, points and masks of a scene, checked.

Shapes: H x W pixels, P points.
"""

import zlib
from io import BytesIO
from zipfile import BadZipFile

import cv2
import numpy as np

from vsrd_ray.data.classes import IDS_PER_CLASS
from vsrd_ray.datasets.nuscenes.classes import CLASS_OF_DETECTOR, NO_DETECTOR_CLASS
from vsrd_ray.datasets.nuscenes.drives import Scene
from vsrd_ray.datasets.nuscenes.present import mask_files
from vsrd_ray.errors import InputError, UnreadableFrameError, one_line
from vsrd_ray.storage import Location, read_bytes

POINT_COLUMNS = 5  # x, y, z in metres of the LiDAR (x right, y forward, z up), intensity 0..255, ring


def read_image(scene: Scene, camera: str, frame: int) -> np.ndarray:
    """Image [H, W, 3] uint8 of a frame, BGR.

    Raises:
        UnreadableFrameError: the file cannot be decoded; only this frame is lost.
        InputError: no image, or one of another size than the table's.
    """
    path = image_file(scene, camera, frame)
    data = np.frombuffer(_bytes(path, "image"), dtype=np.uint8)
    image = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
    if image is None:
        raise UnreadableFrameError(f"{path}: the pixels cannot be decoded: restore the file")
    _check_size(image, path, scene.cameras[camera].image_size)
    return image


def read_points(scene: Scene, lidar: str, frame: int) -> np.ndarray:
    """Points [P, 5] float32 of a sweep, in the sensor's own frame at that time.

    Raises:
        UnreadableFrameError: the file does not hold whole points; only this frame is lost.
        InputError: no file.
    """
    path = image_file(scene, lidar, frame)
    data = _bytes(path, "points")
    if len(data) % (4 * POINT_COLUMNS):
        raise UnreadableFrameError(
            f"{path}: {len(data)} bytes are no whole number of points of {4 * POINT_COLUMNS} bytes: restore the file"
        )
    return np.frombuffer(data, dtype="<f4").reshape(-1, POINT_COLUMNS).astype(np.float32)


def read_masks(scene: Scene, camera: str, frame: int) -> np.ndarray:
    """Instance map [H, W] uint16: class number * 1000 + the file's instance id + 1, or + 0 where it has none.

    Raises:
        UnreadableFrameError: a file is truncated or corrupt; only this frame is lost.
        InputError: no file, or one of another size or with numbers that are none.
    """
    files = mask_files(scene.root, camera, _file(scene, camera, frame))
    semantic, instance = (_map(path, scene, camera) for path in files)
    for path, values, low, high in (
        (files[0], semantic, 0, NO_DETECTOR_CLASS),
        (files[1], instance, -1, IDS_PER_CLASS - 2),
    ):
        if values.min() < low or values.max() > high:
            raise InputError(f"{path}: numbers from {values.min()} to {values.max()}: expected {low} to {high}")
    is_object = semantic < NO_DETECTOR_CLASS
    numbers = np.where(is_object, instance + 1, 0).astype(np.uint16)
    return CLASS_OF_DETECTOR[semantic] * np.uint16(IDS_PER_CLASS) + numbers


def image_file(scene: Scene, sensor: str, frame: int) -> Location:
    """The file of a camera's image, or of a LiDAR's points."""
    return scene.root / _file(scene, sensor, frame)


def mask_file(scene: Scene, camera: str, frame: int) -> Location:
    """The instance map of a frame; its semantic map lies beside it."""
    return mask_files(scene.root, camera, _file(scene, camera, frame))[1]


def _file(scene: Scene, sensor: str, frame: int) -> str:
    try:
        return scene.files[sensor][frame]
    except KeyError:
        raise InputError(f"{scene.name}: no frame {frame} of {sensor}: sample_data.json has none") from None


def _map(path: Location, scene: Scene, camera: str) -> np.ndarray:
    try:
        with np.load(BytesIO(_bytes(path, "mask")), allow_pickle=False) as arrays:
            found = arrays["data"]
    except (BadZipFile, ValueError, EOFError, OSError, zlib.error) as error:
        raise UnreadableFrameError(f"{path}: no .npz of arrays ({one_line(error)}): restore the file") from error
    except KeyError:
        raise InputError(f"{path}: no array 'data': expected masks in the form of PointSAM's") from None
    if found.ndim != 2 or not np.issubdtype(found.dtype, np.integer):
        raise InputError(f"{path}: expected whole numbers [H, W], got {found.dtype} {list(found.shape)}")
    _check_size(found, path, scene.cameras[camera].image_size)
    return found.astype(np.int64)


def _check_size(pixels: np.ndarray, path: Location, image_size: tuple[int, int]) -> None:
    height, width = pixels.shape[:2]
    if (width, height) != image_size:
        expected = f"{image_size[0]} x {image_size[1]}"
        raise InputError(f"{path}: expected {expected} px as in sample_data.json, got {width} x {height} px")


def _bytes(path: Location, what: str) -> bytes:
    try:
        return read_bytes(path)
    except FileNotFoundError:
        raise InputError(f"no {what} {path}: restore the file") from None
