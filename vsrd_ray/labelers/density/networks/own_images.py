"""Density and depth of single images, without a dataset.

Shapes: H x W pixels.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from vsrd_ray.errors import InputError
from vsrd_ray.labelers.density.networks.config import Role
from vsrd_ray.labelers.density.networks.infer import PosedImage, encode, load_network
from vsrd_ray.labelers.density.networks.labels import KeyView, map_of
from vsrd_ray.labels.depth.formats import write_ply
from vsrd_ray.labels.depth.pictures import beside
from vsrd_ray.labels.depth.schema import DepthMap
from vsrd_ray.storage import Location, read_bytes
from vsrd_ray.storage.atomic import atomic_write

# fx, fy, cx, cy with the image's edges at -1 and 1 (published code, for images of one's own).
_NORMALISED = {
    "kitti360": (0.7849, 2.9391, -0.0312, 0.2701),
    "kitti_raw": (1.1619, 3.8482, -0.0184, -0.0781),
}
_STEPS = 256  # of a metre in depth maps
_REACH = 40.0  # m


def label_images(
    images: Sequence[Location], intrinsics: str, *, checkpoint: Location, role: Role, output: Location
) -> Iterator[str]:
    """Write depth, picture and points of images; a line for each.

    Raises:
        InputError: intrinsics, a checkpoint or an image that cannot be used, or two images of one name.
    """
    names = [path.name.rpartition(".")[0] or path.name for path in images]
    if doubled := [name for name, count in Counter(names).items() if count > 1]:
        raise InputError(f"two images are named {doubled[0]}: their files in {output} would be the same; rename one")
    read = [_read(path) for path in images]
    matrices = [matrix_of(intrinsics, (image.shape[1], image.shape[0])) for image in read]
    trained = load_network(checkpoint, role)
    for name, image, K in zip(names, read, matrices, strict=True):
        view = KeyView(0, "", PosedImage(image, K, np.eye(4)))
        one = map_of(trained, encode(trained, [view.image]), view)
        shown = cv2.resize(image, one.size, interpolation=cv2.INTER_AREA)
        known = np.rint(one.depth * _STEPS).clip(0, 2**16 - 1).astype(np.uint16)
        _write_png(output / f"{name}-depth.png", known)
        _write_png(output / f"{name}-seen.png", beside(shown, one))
        points, colors = _points(one, shown)
        with atomic_write(output / f"{name}.ply") as temporary:
            write_ply(Path(temporary), points, colors)
        nearest, farthest = one.depth.min(), one.depth.max()
        yield f"{name}: depth {nearest:.1f} to {farthest:.1f} m, {len(points)} points within {_REACH:g} m"


def matrix_of(intrinsics: str, image_size: tuple[int, int]) -> np.ndarray:
    """K [3, 3] px of images of (width, height), from "fx,fy,cx,cy" or a dataset's name.

    Raises:
        InputError: neither, or numbers that no camera with such images has.
    """
    width, height = image_size
    if intrinsics in _NORMALISED:
        fx, fy, cx, cy = _NORMALISED[intrinsics]
        fx, fy, cx, cy = fx * width / 2, fy * height / 2, (cx + 1) * width / 2, (cy + 1) * height / 2
    else:
        try:
            fx, fy, cx, cy = (float(text) for text in intrinsics.split(","))
        except ValueError:
            known = ", ".join(_NORMALISED)
            raise InputError(
                f"--intrinsics {intrinsics!r}: expected four numbers fx,fy,cx,cy in pixels, or {known}"
            ) from None
    K = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1.0]])
    if reason := _why_not(K, image_size):
        raise InputError(f"--intrinsics {intrinsics}: {reason}")
    return K


def _why_not(K: np.ndarray, image_size: tuple[int, int]) -> str | None:
    width, height = image_size
    if not np.isfinite(K).all() or not (K[0, 0] > 0 and K[1, 1] > 0):
        return "focal lengths are above 0, and all numbers finite"
    if K[0, 0] < width / 10 or K[1, 1] < height / 10:
        return f"focal lengths are too small for images of {width} x {height} pixels: give pixels of these images"
    if not (0 < K[0, 2] < width and 0 < K[1, 2] < height):
        return f"the principal point lies outside images of {width} x {height} pixels: give pixels of these images"
    return None


def _read(path: Location) -> np.ndarray:
    try:
        image = cv2.imdecode(np.frombuffer(read_bytes(path), np.uint8), cv2.IMREAD_COLOR)
    except FileNotFoundError:
        raise InputError(f"no image {path}: check the path") from None
    except cv2.error:
        image = None
    if image is None:
        raise InputError(f"{path}: the pixels cannot be decoded: give a PNG or JPEG")
    return image


def _write_png(path: Location, pixels: np.ndarray) -> None:
    encoded = cv2.imencode(".png", pixels)[1].tobytes()
    with atomic_write(path) as temporary:
        temporary.write_bytes(encoded)


def _points(one: DepthMap, shown: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points [P, 3] in the camera's axes within reach, and their colours [P, 3] RGB."""
    v, u = np.mgrid[: one.depth.shape[0], : one.depth.shape[1]]
    rays = np.stack([u, v, np.ones_like(u)], axis=-1) @ np.linalg.inv(one.K).T
    near = one.depth < _REACH
    return (rays * one.depth[..., None])[near], shown[near][:, ::-1]
