"""What a drive has, lacks and is good for, asked through the dataset's protocol alone; few pixels are read."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from vsrd_ray import plugins
from vsrd_ray.data.classes import IDS_PER_CLASS
from vsrd_ray.data.drive import IMAGES, MASKS, Drive
from vsrd_ray.data.index import describe_instances
from vsrd_ray.data.placement import check_placement
from vsrd_ray.datasets.base import Dataset
from vsrd_ray.errors import InputError, UnreadableFrameError, explained
from vsrd_ray.geometry.rigid import inverse
from vsrd_ray.labelers.base import Needs
from vsrd_ray.labelers.configs import configs_of, load_config
from vsrd_ray.poses.check import jitter
from vsrd_ray.storage import Location

_LOOKS = 3  # pairs of masks that are read, and images
_MOVE = 0.2  # metres; from here on a step counts as one


@dataclass
class DriveCheck:
    """What is known of one drive."""

    name: str
    error: str | None = None  # why it cannot be used at all
    camera: str = ""
    image_size: tuple[int, int] | None = None  # (width, height), pixels
    frames: int = 0
    first_frame: int | None = None
    last_frame: int | None = None
    missing_frames: int = 0  # between the first and the last
    layers: dict[str, dict[str, int]] = field(default_factory=dict)  # layer -> sensor -> frames that have it
    other_cameras: dict[str, list[str]] = field(default_factory=dict)  # those not opened -> layers
    poses: int = 0  # frames that have one
    frames_without_pose: int = 0
    path_metres: float | None = None
    median_step_metres: float | None = None  # between neighbouring frames of a camera that moves
    step_jitter: float | None = None  # share by which steps differ from their neighbours, where enough tell
    pitch_deg: float | None = None  # of the optical axis over the level, median
    roll_deg: float | None = None
    masks_read: int = 0
    instances_a_mask: float | None = None  # mean of the masks that were read
    classes_seen: list[str] = field(default_factory=list)
    ids_kept: float | None = None  # share of instances that have their id in the next mask, where they overlap
    times: int = 0  # frames that have one
    median_period_s: float | None = None
    lidars: dict[str, int] = field(default_factory=dict)  # name -> poses
    truth: list[str] = field(default_factory=list)  # kinds of label
    facts: list[str] = field(default_factory=list)  # what the dataset itself says of the drive
    warnings: list[str] = field(default_factory=list)
    labelers: dict[str, str] = field(default_factory=dict)  # labeler (configurations) -> "yes (24 frames)", "no: why"

    @property
    def is_usable(self) -> bool:
        """Whether a labeler that is installed could label it."""
        return self.error is None and any(said.startswith("yes") for said in self.labelers.values())

    def values(self) -> dict[str, Any]:
        """What is known, for JSON."""
        return {**asdict(self), "usable": self.is_usable}


def check_drives(
    dataset: Dataset, root: Location, names: Iterable[str] | None = None, *, camera: str | None = None
) -> list[DriveCheck]:
    """Look at some drives under a root folder, or at all.

    Args:
        dataset: whose layout the folder has.
        root: the dataset's root folder.
        names: of drives.
        camera: by default the dataset's first.

    Raises:
        InputError: no such folder, or none of a drive in it.
    """
    names = dataset.drives(root) if names is None else names
    return [_check(dataset, root, name, camera or dataset.cameras[0]) for name in names]


def _check(dataset: Dataset, root: Location, name: str, camera: str) -> DriveCheck:
    found = DriveCheck(name, camera=camera)
    try:
        drive = dataset.open(root, name, (camera,))
        found.truth = [kind for kind in dataset.truths if dataset.has_truth(root, name, kind)]
        for other in (one for one in dataset.cameras if one != camera):
            if layers := [layer for layer in (IMAGES, MASKS) if dataset.has_layer(root, name, layer, other)]:
                found.other_cameras[other] = layers
        found.facts, found.warnings = list(drive.detail("facts") or ()), list(drive.warnings)
        _look_at_frames(found, drive)
        _look_at_poses(found, drive)
        _look_at_masks(found, drive)
        _look_at_images(found, drive)
        found.labelers = _labelers(found, dataset, root, drive)
    except InputError as error:
        found.error = str(error)
    except OSError as error:
        found.error = explained(error)
    return found


def _look_at_frames(found: DriveCheck, drive: Drive) -> None:
    camera = drive.camera
    found.image_size = camera.image_size
    found.layers = {
        layer: {sensor: len(frames) for sensor, frames in sensors.items() if frames}
        for layer, sensors in drive.layers.items()
    }
    frames = drive.frames_with(IMAGES, camera.name) or drive.frames_with(MASKS, camera.name)
    frames = frames or tuple(sorted(camera.T_world_cam))
    found.frames = len(frames)
    if frames:
        found.first_frame, found.last_frame = frames[0], frames[-1]
        found.missing_frames = frames[-1] - frames[0] + 1 - len(frames)
    found.poses = len(camera.T_world_cam)
    found.frames_without_pose = sum(frame not in camera.T_world_cam for frame in frames)
    found.times = len(camera.times_s)
    if len(times := sorted(camera.times_s.items())) > 1:
        periods = [(after[1] - before[1]) / (after[0] - before[0]) for before, after in pairwise(times)]
        found.median_period_s = round(float(np.median(periods)), 6)
    found.lidars = {name: len(lidar.T_world_lidar) for name, lidar in drive.lidars.items()}


def _look_at_poses(found: DriveCheck, drive: Drive) -> None:
    camera = drive.camera
    if not camera.T_world_cam:
        return
    frames = sorted(camera.T_world_cam)
    poses = np.stack([camera.T_world_cam[frame] for frame in frames])
    steps = np.linalg.norm(np.diff(poses[:, :3, 3], axis=0), axis=1)
    found.path_metres = round(float(steps.sum()), 3)
    moves = (steps / np.diff(frames))[steps > _MOVE]
    found.median_step_metres = round(float(np.median(moves)), 3) if len(moves) else None
    down = inverse(poses)[:, :3, 2]  # the world's up, in the camera's axes
    found.pitch_deg = round(float(np.degrees(np.median(np.arcsin(np.clip(down[:, 2], -1, 1))))), 2)
    found.roll_deg = round(float(np.degrees(np.median(np.arctan2(down[:, 0], -down[:, 1])))), 2)
    place = str(drive.detail("poses") or drive.name)
    share = jitter(camera.T_world_cam)
    found.step_jitter = None if np.isnan(share) else round(share, 4)
    found.warnings += check_placement(camera, place=place)


def _look_at_masks(found: DriveCheck, drive: Drive) -> None:
    """Read some pairs of neighbouring masks: how many instances, of which classes, and whether ids stay."""
    camera, frames = drive.camera.name, drive.frames_with(MASKS, drive.camera.name)
    read: dict[int, dict[str, np.ndarray]] = {}
    kept = seen = 0
    for place in _spread(len(frames) - 1) or _spread(len(frames)):
        pair = frames[place : place + 2]
        try:
            read |= {frame: describe_instances(drive.read(MASKS, camera, frame), drive.classes) for frame in pair}
        except UnreadableFrameError as error:
            found.warnings.append(str(error))
            continue
        first, second = _boxes(read[pair[0]]), _boxes(read[pair[-1]])
        if len(pair) == 2:
            seen += len(first)
            kept += sum(number in second and _overlap(box, second[number]) for number, box in first.items())
    found.masks_read = len(read)
    if read:
        numbers = np.concatenate([one["instance_id"] for one in read.values()])
        found.instances_a_mask = round(len(numbers) / len(read), 2)
        classes = {drive.classes.name_of(int(number)) for number in np.unique(numbers // IDS_PER_CLASS) * IDS_PER_CLASS}
        found.classes_seen = sorted(classes)
        found.ids_kept = round(kept / seen, 3) if seen else None
        if not len(numbers):
            found.warnings.append(f"none of the {len(read)} masks that were read shows an instance.")
        elif seen and kept < seen / 2:
            found.warnings.append(
                f"of {seen} instances {kept} have their id where they are in the next mask: labelers need ids "
                "that stay; track them first."
            )


def _look_at_images(found: DriveCheck, drive: Drive) -> None:
    """Read some images, for their size and whether they can be decoded."""
    frames = drive.frames_with(IMAGES, drive.camera.name)
    for place in _spread(len(frames)):
        try:
            drive.read(IMAGES, drive.camera.name, frames[place])
        except InputError as error:
            found.warnings.append(str(error))
            return


def _labelers(found: DriveCheck, dataset: Dataset, root: Location, drive: Drive) -> dict[str, str]:
    """Of each installed labeler, whether the configurations that it ships could label the drive."""
    said: dict[str, str] = {}
    for labeler in plugins.installed("labelers"):
        spec, alike = plugins.load("labelers", labeler), defaultdict[str, list[str]](list)
        for config in configs_of(labeler):
            needs: Needs = spec.needs(load_config(config))
            alike[_could_label(needs.layers, dataset, root, drive)].append(config)
        said |= {f"{labeler} ({', '.join(configs)})": answer for answer, configs in alike.items()}
    return said


def _could_label(layers: Sequence[str], dataset: Dataset, root: Location, drive: Drive) -> str:
    posed = set(drive.camera.T_world_cam)
    if not posed:
        return "no: no poses"
    for layer in layers:
        sensors = drive.layers.get(layer, {})
        having = set[int]().union(*sensors.values())
        if not having:
            return f"no: {dataset.missing(root, drive.name, layer, drive.camera.name)}"
        posed &= having
    return f"yes ({len(posed)} frames)" if posed else f"no: no frame has a pose and {' and '.join(layers)}"


def _spread(count: int) -> list[int]:
    """Some evenly spread places of so many."""
    return np.unique(np.linspace(0, count - 1, _LOOKS).round().astype(int)).tolist() if count > 0 else []


def _boxes(columns: dict[str, np.ndarray]) -> dict[int, tuple[int, ...]]:
    sides = [columns[f"box_{side}"].tolist() for side in ("left", "top", "right", "bottom")]
    return dict(zip(columns["instance_id"].tolist(), zip(*sides, strict=True), strict=True))


def _overlap(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    return a[0] <= b[2] and b[0] <= a[2] and a[1] <= b[3] and b[1] <= a[3]


def format_check(found: DriveCheck) -> str:
    """A drive's part of the page."""
    if found.error is not None:
        return f"{found.name}\n  cannot be used: {found.error}"
    rows = [("camera", _camera_line(found)), ("frames", _frames_line(found)), ("poses", _poses_line(found))]
    rows += [("", fact) for fact in found.facts]
    rows += [("masks", _masks_line(found))]
    rows += [(layer, _counts(sensors)) for layer, sensors in found.layers.items() if layer != MASKS and sensors]
    period = "" if found.median_period_s is None else f", {found.median_period_s:.4g} s apart"
    rows += [("times", f"{found.times} frames{period}" if found.times else "none: velocities in metres per frame")]
    rows += [("lidar", _counts(found.lidars) if found.lidars else "none")]
    rows += [("truth", ", ".join(found.truth) or "none: labels cannot be evaluated")]
    rows += [("good for", f"{labeler}: {said}") for labeler, said in found.labelers.items()]
    rows += [("warning", warning) for warning in found.warnings]
    return "\n".join([found.name, *(f"  {name:9} {text}" for name, text in rows)])


def _camera_line(found: DriveCheck) -> str:
    width, height = found.image_size or (0, 0)
    others = "; ".join(f"{name} has {', '.join(layers)}" for name, layers in found.other_cameras.items())
    return f"{found.camera}, {width} x {height} px{f'; {others}' if others else ''}"


def _frames_line(found: DriveCheck) -> str:
    if not found.frames:
        return "none"
    gaps = f", {found.missing_frames} missing between them" if found.missing_frames else ", none missing"
    return f"{found.frames}, from {found.first_frame} to {found.last_frame}{gaps}"


def _poses_line(found: DriveCheck) -> str:
    if not found.poses:
        return "none"
    lost = f", {found.frames_without_pose} frames have none" if found.frames_without_pose else ""
    step = "hardly moves" if found.median_step_metres is None else f"{found.median_step_metres:.2f} m a frame"
    shake = "" if found.step_jitter is None else f" that jitters by {found.step_jitter:.1%}"
    return (
        f"{found.poses}{lost}; {found.path_metres:.0f} m, {step}{shake}; camera pitched by {found.pitch_deg:.1f} and "
        f"rolled by {found.roll_deg:.1f} degrees against z"
    )


def _masks_line(found: DriveCheck) -> str:
    if not (frames := found.layers.get(MASKS, {}).get(found.camera, 0)):
        return "none"
    if not found.instances_a_mask:
        return f"{frames}, no instance in the {found.masks_read} that were read"
    ids = "" if found.ids_kept is None else f", {100 * found.ids_kept:.0f} % of ids stay from one to the next"
    seen = f"{found.instances_a_mask:.1f} instances in each of {found.masks_read} ({', '.join(found.classes_seen)})"
    return f"{frames}; {seen}{ids}"


def _counts(sensors: dict[str, int]) -> str:
    return ", ".join(f"{count} of {sensor}" for sensor, count in sensors.items())
