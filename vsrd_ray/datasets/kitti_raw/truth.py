"""3D boxes that people drew: the tracking benchmark's where a drive is in it, else the drive's tracklets.

Evaluation and pictures read them; nothing that labels does. Both are boxes in a frame's rectified camera 0, and come
into the world by the poses that the drive was opened with. An object that stays where it is becomes one static box.
Shapes: N boxes of frames.
"""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any
from xml.etree import ElementTree

import numpy as np

from vsrd_ray.data.classes import IDS_PER_CLASS
from vsrd_ray.data.drive import Drive
from vsrd_ray.data.truth import STATIC, TruthBoxes
from vsrd_ray.datasets.kitti_raw import paths
from vsrd_ray.datasets.kitti_raw.calibration import read_camera, read_T_cam0_lidar
from vsrd_ray.datasets.kitti_raw.classes import CLASSES, TYPES
from vsrd_ray.errors import InputError, one_line
from vsrd_ray.geometry import rigid
from vsrd_ray.geometry.boxes import UprightBoxes
from vsrd_ray.storage import Location, read_bytes

_NEAR = 35.0  # metres; places of what is farther are too unsure to tell a parked object
_FEWEST = 4  # boxes that tell whether an object is parked; of fewer each holds for its own frame
_SPREAD = 1.5  # metres across all places of a parked object
_TILT = 0.09  # radians that a box may be off upright

_UNKNOWN, _FLAT, _NO_POSE, _TILTED = "of an unknown type", "without a volume", "in a frame without a pose", "tilted"


@dataclass(frozen=True)
class FrameBox:
    """One box in one frame."""

    instance_id: int  # class number * 1000 + number of its track + 1, numbered as in KITTI-MOTS's masks
    frame: int
    center_cam0: tuple[float, float, float]  # metres, of rectified camera 0
    dimensions_lwh: tuple[float, float, float]  # metres
    rotation_y: float  # radians, of the heading about the camera's y, 0 along x
    state: int = 2  # of tracklets: 0 not set, 1 interpolated, 2 labelled
    occlusion: int = -1  # 0 visible, 1 partly, 2 fully, -1 not set
    truncation: int = -1  # of tracklets: 0 in the image, 1 truncated, 2 out of it, 99 behind, -1 not set


def truth_file(root: Location, name: str) -> Location | None:
    """The file with the best truth of a drive; None where there is none."""
    files = (*paths.tracking_files(root, name), paths.tracklets_file(root, name))
    return next((file for file in files if file.is_file()), None)


def read_truth(drive: Drive) -> TruthBoxes:
    """The true boxes of a drive, in the world of its poses.

    Raises:
        InputError: there is no truth, or it cannot be read.
    """
    if (file := truth_file(drive.root, drive.name)) is None:
        place = paths.tracklets_file(drive.root, drive.name)
        raise InputError(f"no 3D boxes of {drive.name}: unpack the drive's tracklets as {place}")
    boxes, skipped = read_file(drive.root, drive.name, file)
    camera = drive.camera
    T_cam_cam0 = read_camera(drive.root, drive.name, camera.name).T_cam_cam0
    placed = [box for box in boxes if box.frame in camera.T_world_cam]
    if missing := len(boxes) - len(placed):
        skipped[_NO_POSE] = missing
    placed.sort(key=lambda box: (box.instance_id, box.frame))
    T_world_cam0 = {frame: camera.T_world_cam[frame] @ T_cam_cam0 for frame in {box.frame for box in placed}}
    objects = [_object(list(track), T_world_cam0) for _, track in groupby(placed, key=lambda box: box.instance_id)]
    ids = [one for number, times, _ in objects for one in [number] * len(times)]
    return TruthBoxes(
        instance_ids=np.array(ids, dtype=np.int32),
        class_names=tuple(CLASSES.name_of(one) for one in ids),
        boxes=UprightBoxes.concatenate([UprightBoxes.stack([]), *(one for _, _, one in objects)]),
        timestamps=np.array([time for _, times, _ in objects for time in times], dtype=np.int32),
        skipped=dict(skipped),
    )


def _object(track: list[FrameBox], T_world_cam0: dict[int, np.ndarray]) -> tuple[int, list[int], UprightBoxes]:
    """Id, timestamps and boxes of a track: a static one where it stays, else one a frame."""
    boxes = UprightBoxes.concatenate([_in_world(box, T_world_cam0[box.frame]) for box in track])
    ranges = np.linalg.norm([box.center_cam0 for box in track], axis=1)
    near = np.flatnonzero(ranges < _NEAR) if (ranges < _NEAR).any() else np.arange(len(track))
    places = boxes.centers[near, :2]
    if len(near) < _FEWEST or np.linalg.norm(np.ptp(places, axis=0)) > _SPREAD:
        return track[0].instance_id, [box.frame for box in track], boxes
    nearer = near[np.argsort(ranges[near], kind="stable")[: (len(near) + 1) // 2]]
    first = boxes.yaws[nearer[0]]
    off = (boxes.yaws[nearer] - first + math.pi) % (2 * math.pi) - math.pi
    static = UprightBoxes(
        np.median(boxes.centers[nearer], axis=0)[None],
        np.median(boxes.dimensions_lwh[nearer], axis=0)[None],
        (np.array([first + np.median(off)]) + math.pi) % (2 * math.pi) - math.pi,
    )
    return track[0].instance_id, [STATIC], static


def _in_world(box: FrameBox, T_world_cam0: np.ndarray) -> UprightBoxes:
    """One box [1] as the upright one of its centre, sizes and heading."""
    bottom = np.array([box.center_cam0])
    bottom[0, 1] += box.dimensions_lwh[2] / 2
    return UprightBoxes.from_kitti_camera(
        bottom, np.array([box.dimensions_lwh]), np.array([box.rotation_y]), T_world_cam0
    )


def read_file(root: Location, name: str, file: Location) -> tuple[list[FrameBox], Counter[str]]:
    """The boxes in a file of truth, in its order, and the number of all others by reason.

    Raises:
        InputError: it cannot be read.
    """
    skipped: Counter[str] = Counter()
    read = _tracklets(file, read_T_cam0_lidar(root, name)) if file.suffix == ".xml" else _tracking_labels(file)
    boxes: list[FrameBox] = []
    for one in read:
        if isinstance(one, str):
            skipped[one] += 1
        elif min(one.dimensions_lwh) <= 0:
            skipped[_FLAT] += 1
        else:
            boxes.append(one)
    return boxes, skipped


def _tracking_labels(file: Location) -> Iterator[FrameBox | str]:
    """Lines of the tracking benchmark: frame track type truncated occluded alpha x1 y1 x2 y2 h w l x y z ry."""
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: cannot be read ({one_line(error)}): restore the file") from error
    for number, line in enumerate(lines, 1):
        tokens = line.split()
        if not tokens or tokens[2:3] == ["DontCare"]:
            continue
        try:
            frame, track, occlusion = int(tokens[0]), int(tokens[1]), int(tokens[4])
            h, w, length, x, y, z, rotation_y = (float(token) for token in tokens[10:17])
        except (ValueError, IndexError):
            raise InputError(
                f"{file}, line {number}: expected 17 columns of the tracking benchmark, got {line[:60]!r}: restore it"
            ) from None
        yield _box(
            tokens[2],
            track,
            frame,
            center_cam0=(x, y - h / 2, z),
            dimensions_lwh=(length, w, h),
            rotation_y=rotation_y,
            occlusion=occlusion,
        )


def _tracklets(file: Location, T_cam0_lidar: np.ndarray) -> Iterator[FrameBox | str]:
    """Poses of the tracklets, whose bottom centres and headings are in the LiDAR's frame."""
    for number, item in enumerate(_read_xml(file).iterfind("tracklets/item")):
        size = tuple(_number(item, name, file) for name in "lwh")
        first = int(_number(item, "first_frame", file))
        for step, pose in enumerate(item.iterfind("poses/item")):
            tx, ty, tz, rx, ry, rz = (_number(pose, name, file) for name in ("tx", "ty", "tz", "rx", "ry", "rz"))
            if max(abs(rx), abs(ry)) > _TILT:
                yield _TILTED
                continue
            center = rigid.apply(T_cam0_lidar, np.array([[tx, ty, tz + size[2] / 2]]))[0]
            ahead = T_cam0_lidar[:3, :3] @ (math.cos(rz), math.sin(rz), 0)
            yield _box(
                item.findtext("objectType", ""),
                number,
                first + step,
                center_cam0=tuple(center.tolist()),
                dimensions_lwh=size,
                rotation_y=math.atan2(-ahead[2], ahead[0]),
                **{name: int(_number(pose, name, file)) for name in ("state", "occlusion", "truncation")},
            )


def _box(kind: str, track: int, frame: int, **fields: Any) -> FrameBox | str:
    """The box of a type and a track, or why there is none."""
    name = TYPES.get(kind)
    if name is None or not 0 <= track < IDS_PER_CLASS - 1:
        return _UNKNOWN
    return FrameBox(CLASSES.first_id(name) + track + 1, frame, **fields)


def _read_xml(file: Location) -> ElementTree.Element:
    try:
        data = read_bytes(file)
        if b"<!ENTITY" in data:
            raise ValueError("it defines entities")
        tree = ElementTree.fromstring(data)
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({one_line(error)}): restore the file") from error
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise InputError(f"{file}: not well-formed XML ({error}): download it again") from None
    if tree.tag != "boost_serialization":
        raise InputError(f"{file}: no tracklets of KITTI, since its root element is <{tree.tag}>: download it again")
    return tree


def _number(element: ElementTree.Element, name: str, file: Location) -> float:
    text = element.findtext(name, "")
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{file}: {text!r} is no {name} of a tracklet: download it again")
    return value
