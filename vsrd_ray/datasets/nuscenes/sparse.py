"""Depth and classes of the pixels that LiDAR points fall on, in the files that RenderOcc made of a key sweep.

`depth_gt/<image file name>.bin` and `seg_gt_lidarseg/<same>.bin` are float32 [M, 3]: u, v in px of the image, and the
depth along the optical axis in metres or the class 0-16. Shapes: H x W pixels, M points.
"""

import numpy as np

from vsrd_ray.data.drive import DEPTH, SEMANTICS
from vsrd_ray.datasets.nuscenes.drives import Scene
from vsrd_ray.datasets.nuscenes.present import SPARSE_FOLDERS, sparse_file
from vsrd_ray.errors import InputError, UnreadableFrameError
from vsrd_ray.storage import read_bytes

NO_CLASS = 255  # of pixels without a point
_COLUMNS = 3
_MOST = 16  # class


def read_sparse_depth(scene: Scene, camera: str, frame: int) -> np.ndarray:
    """Depth [H, W] float32 m; 0 where no point falls, and the nearest where several do.

    Raises:
        UnreadableFrameError: the file does not hold whole rows; only this frame is lost.
        InputError: no file, or depths or pixels that are none.
    """
    columns, rows, values = _read(scene, DEPTH, camera, frame)
    order = np.argsort(-values, kind="stable")
    depth = np.zeros(scene.cameras[camera].image_size[::-1], dtype=np.float32)
    depth[rows[order], columns[order]] = values[order]
    return depth


def read_sparse_semantics(scene: Scene, camera: str, frame: int) -> np.ndarray:
    """Classes [H, W] uint8, numbered as the dataset's; 255 where no point falls.

    Raises:
        UnreadableFrameError: the file does not hold whole rows; only this frame is lost.
        InputError: no file, or classes or pixels that are none.
    """
    columns, rows, values = _read(scene, SEMANTICS, camera, frame)
    if ((values < 0) | (values > _MOST) | (values != np.rint(values))).any():
        odd = values[(values < 0) | (values > _MOST) | (values != np.rint(values))][0]
        path = sparse_file(scene.root, SEMANTICS, scene.files[camera][frame])
        raise InputError(f"{path}: class {odd:g} is none of 0 to {_MOST}: map lidarseg's classes to those of Occ3D")
    labels = np.full(scene.cameras[camera].image_size[::-1], NO_CLASS, dtype=np.uint8)
    labels[rows, columns] = values.astype(np.uint8)
    return labels


def _read(scene: Scene, layer: str, camera: str, frame: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Columns [M], rows [M] and values [M]."""
    path = sparse_file(scene.root, layer, scene.files[camera][frame])
    try:
        data = read_bytes(path)
    except FileNotFoundError:
        raise InputError(f"no {SPARSE_FOLDERS[layer]} file {path}: restore it") from None
    if len(data) % (4 * _COLUMNS):
        raise UnreadableFrameError(
            f"{path}: {len(data)} bytes are no whole number of rows of {4 * _COLUMNS} bytes: restore the file"
        )
    values = np.frombuffer(data, dtype="<f4").reshape(-1, _COLUMNS)
    width, height = scene.cameras[camera].image_size
    uv = values[:, :2]
    if not np.isfinite(values).all() or (uv < 0).any() or (uv >= (width, height)).any():
        raise InputError(f"{path}: pixels outside of {width} x {height}: make it of these images")
    columns, rows = uv.astype(np.int64).T
    return columns, rows, values[:, 2]
