"""Poses, intrinsics and points of a COLMAP model, in text or binary.

COLMAP gives world-to-camera motions, and pixel centres lie at halves. https://colmap.github.io/format.html
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from vsrd_ray.errors import InputError
from vsrd_ray.geometry.rigid import inverse
from vsrd_ray.poses.models import UNDISTORT, NumberOf, Pinhole, PoseModel, quaternion_pose
from vsrd_ray.storage import Location, names_in, read_bytes

# Models by the numbers of the binary form, with how many parameters each has.
_MODELS = {
    0: ("SIMPLE_PINHOLE", 3),
    1: ("PINHOLE", 4),
    2: ("SIMPLE_RADIAL", 4),
    3: ("RADIAL", 5),
    4: ("OPENCV", 8),
    5: ("OPENCV_FISHEYE", 8),
    6: ("FULL_OPENCV", 12),
    7: ("FOV", 5),
    8: ("SIMPLE_RADIAL_FISHEYE", 4),
    9: ("RADIAL_FISHEYE", 5),
    10: ("THIN_PRISM_FISHEYE", 12),
    11: ("RAD_TAN_THIN_PRISM_FISHEYE", 16),
}
_FILES = ("cameras.bin", "cameras.txt", "images.bin", "images.txt")
_ONE_FOCAL = ("SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL")
_TWO_FOCALS = ("PINHOLE", "OPENCV", "FULL_OPENCV")


@dataclass(frozen=True)
class ModelImage:
    """An image of a model."""

    name: str
    camera: int
    T_cam_world: np.ndarray  # [4, 4], in the unit of the model
    place: str  # where it stands, for messages


def read_model(folder: Location, number_of: NumberOf) -> PoseModel:
    """Poses of a model's images; those that are no frame of the drive are counted and left out.

    Raises:
        InputError: a file is missing, cut off or of another form; several cameras, distortion, or a pose that is no
            rigid motion.
    """
    cameras, images = dict(_cameras_of(folder)), list(_images_of(folder))
    poses: dict[int, np.ndarray] = {}
    used: dict[int, str] = {}  # camera -> the first image of it
    for image in images:
        if (frame := number_of(image.name)) is None:
            continue
        if frame in poses:
            raise InputError(
                f"{image.place}: another pose of frame {frame}: a drive has one camera, and one image a frame"
            )
        if image.camera not in cameras:
            raise InputError(f"{image.place}: its camera {image.camera} is not in the model: restore the model")
        used.setdefault(image.camera, image.name)
        poses[frame] = inverse(image.T_cam_world)
    pinholes = {name: _pinhole(*cameras[one], place=f"{folder}, camera {one}") for one, name in used.items()}
    first = next(iter(pinholes), "")
    if other := next((name for name, one in pinholes.items() if not one.is_same(pinholes[first])), None):
        raise InputError(
            f"{folder}: {first} and {other} have cameras of their own: solve for one (colmap feature_extractor "
            "--ImageReader.single_camera 1), or give each camera a folder of its own"
        )
    lost = len(images) - len(poses)
    return PoseModel("COLMAP model", folder, poses, pinholes.get(first), num_without_frame=lost)


def is_model(place: Location) -> bool:
    """Whether a folder holds a COLMAP model, or a part of one."""
    return any(name in _FILES for name in names_in(place))


def _pinhole(model: str, size: tuple[int, int], params: np.ndarray, *, place: str) -> Pinhole:
    if model in _ONE_FOCAL:
        (fx, cx, cy), bent = params[:3], params[3:]
        fy = fx
    elif model in _TWO_FOCALS:
        (fx, fy, cx, cy), bent = params[:4], params[4:]
    else:
        raise InputError(f"{place}: a camera of the model {model}: {UNDISTORT}")
    if bent.any():
        raise InputError(f"{place}: {model} with distortion {' '.join(f'{value:g}' for value in bent)}: {UNDISTORT}")
    return Pinhole.of(fx, fy, cx - 0.5, cy - 0.5, size, place=place)


def _cameras_of(folder: Location) -> Iterator[tuple[int, tuple[str, tuple[int, int], np.ndarray]]]:
    """Cameras by their numbers: model, image size and parameters."""
    if (binary := _file(folder, "cameras")) is None:
        for place, words in _lines(folder / "cameras.txt"):
            with_name = _numbers(words[:1] + words[2:], place)
            if len(with_name) < 4:
                raise InputError(f"{place}: expected a camera, its model, size and parameters: restore the model")
            number, width, height, *params = with_name
            yield int(number), _checked(words[1], (int(width), int(height)), np.array(params), place)
        return
    for _ in range(binary.count()):
        number, model, width, height = binary.take("<IiQQ")
        name, num_params = _MODELS.get(model, (f"number {model}", 0))
        yield number, _checked(name, (width, height), np.array(binary.take(f"<{num_params}d")), str(binary.path))


def _checked(
    model: str, size: tuple[int, int], params: np.ndarray, place: str
) -> tuple[str, tuple[int, int], np.ndarray]:
    counts = dict(_MODELS.values())
    if model in counts and len(params) != counts[model]:
        raise InputError(f"{place}: {model} has {counts[model]} parameters, got {len(params)}: restore the model")
    return model, size, params


def images_in_text(path: Location) -> Iterator[ModelImage]:
    """Images of images.txt: id, qw qx qy qz, x y z, camera and name; a line of points, which may be empty, after each.

    Raises:
        InputError: a line of another form.
    """
    for place, words in _lines(path, every=2):
        values = _numbers(words[:9], place)
        if len(words) < 10:
            raise InputError(f"{place}: expected an image of 10 words, got {len(words)}: restore the model")
        yield _image(" ".join(words[9:]), int(values[8]), values[1:8], place)


def _images_of(folder: Location) -> Iterator[ModelImage]:
    if (binary := _file(folder, "images")) is None:
        yield from images_in_text(folder / "images.txt")
        return
    for _ in range(binary.count()):
        _, *motion, camera = binary.take("<I7dI")
        name = binary.text()
        (num_points,) = binary.take("<Q")
        binary.skip(24 * num_points)
        yield _image(name, camera, motion, f"{binary.path}, image {name}")


def _image(name: str, camera: int, values: list[float], place: str) -> ModelImage:
    """An image whose motion is qw qx qy qz x y z."""
    motion = np.array(values)
    return ModelImage(name, camera, quaternion_pose(np.roll(motion[:4], -1), motion[4:], place), place)


def read_points(folder: Location) -> np.ndarray:
    """Points [P, 3] of a model, in its world; none where it has no file of them.

    Raises:
        InputError: the file is cut off or of another form.
    """
    if "points3D.bin" not in (names := names_in(folder)):
        rows = _lines(folder / "points3D.txt") if "points3D.txt" in names else ()
        return np.array([_numbers(words[1:4], place) for place, words in rows]).reshape(-1, 3)
    binary = _Binary(folder / "points3D.bin")
    points = np.empty((binary.count(), 3))
    for place in range(len(points)):
        _, *points[place], _, _, _, _, length = binary.take("<Q3d3BdQ")
        binary.skip(8 * length)
    return points


def _file(folder: Location, name: str) -> "_Binary | None":
    """The binary file of a name; None where the model is text.

    Raises:
        InputError: there is neither.
    """
    names = names_in(folder)
    if f"{name}.bin" in names:
        return _Binary(folder / f"{name}.bin")
    if f"{name}.txt" in names:
        return None
    raise InputError(f"{folder}: neither {name}.bin nor {name}.txt: give a whole COLMAP model")


class _Binary:
    """A binary file of a model, read from its start; names come from it as text, and nothing is unpickled."""

    def __init__(self, path: Location) -> None:
        self.path, self._data, self._at = path, read_bytes(path), 0

    def take(self, form: str) -> tuple:
        size = struct.calcsize(form)
        self.skip(size)
        return struct.unpack_from(form, self._data, self._at - size)

    def count(self) -> int:
        """The number of entries that follow."""
        (count,) = self.take("<Q")
        if count > len(self._data):
            raise self._cut_off()
        return count

    def text(self) -> str:
        end = self._data.find(b"\0", self._at)
        if end < 0:
            raise self._cut_off()
        text, self._at = self._data[self._at : end], end + 1
        return text.decode(errors="replace")

    def skip(self, size: int) -> None:
        self._at += size
        if self._at > len(self._data):
            raise self._cut_off()

    def _cut_off(self) -> InputError:
        return InputError(f"{self.path}: cut off after {len(self._data)} bytes: restore the model")


def _lines(path: Location, *, every: int = 1) -> Iterator[tuple[str, list[str]]]:
    """Place and words of every line, or every second one, that is no remark; of a pair the second line may be empty."""
    try:
        lines = read_bytes(path).decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise InputError(f"{path}: no text: restore the model") from None
    numbered = [(number, line.split()) for number, line in enumerate(lines, start=1) if not line.startswith("#")]
    for number, words in numbered[::every]:
        if words:
            yield f"{path}, line {number}", words


def _numbers(words: list[str], place: str) -> list[float]:
    try:
        return [float(word) for word in words]
    except ValueError:
        raise InputError(f"{place}: expected numbers, got {' '.join(words)[:60]!r}: restore the model") from None
