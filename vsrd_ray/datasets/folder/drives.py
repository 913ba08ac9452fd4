"""One's own drives: which there are, opening one, and what tells that its files have changed."""

import hashlib
import json
import logging
from dataclasses import dataclass
from functools import lru_cache

from vsrd_ray.data.drive import Camera
from vsrd_ray.data.index import INDEX_VERSION
from vsrd_ray.datasets.folder import paths
from vsrd_ray.datasets.folder.camera import CameraFile, read_camera_file
from vsrd_ray.datasets.folder.frames import Frames, read_frames
from vsrd_ray.datasets.folder.times import read_times
from vsrd_ray.datasets.folder.world import placed
from vsrd_ray.errors import InputError
from vsrd_ray.poses.align import Posed, levelled
from vsrd_ray.poses.colmap import read_model, read_points
from vsrd_ray.poses.files import COLMAP, KITTI, read_pose_file
from vsrd_ray.poses.models import Pinhole, PoseModel
from vsrd_ray.poses.nerfstudio import read_transforms
from vsrd_ray.poses.source import OWN_POSES, PoseSource
from vsrd_ray.storage import Location, folders_in, is_folder, listing, size_and_stamp

logger = logging.getLogger(__name__)

CAMERA = "camera"  # the only one of a drive


@dataclass(frozen=True)
class OwnDrive:
    """What the files of a drive say, without a pixel."""

    camera: Camera
    frames: Frames
    facts: tuple[str, ...]  # where poses, up and scale come from
    warnings: tuple[str, ...]  # sentences on what is odd
    pose_scale: float | None = None  # see `Drive`


def list_drives(root: Location) -> list[str]:
    """Names of the folders under `root` that are laid out as drives, sorted.

    Raises:
        InputError: `root` is no folder.
    """
    if not is_folder(root):
        raise InputError(f"no dataset folder {root}: give --root")
    return [name for name in folders_in(root) if not name.startswith((".", "_")) and paths.has_pixels(root / name)]


def open_folder(folder: Location, poses: PoseSource = OWN_POSES) -> OwnDrive:
    """The camera of a drive with its poses in metres and z up, and its frames.

    Args:
        folder: of the drive.
        poses: a file of other poses than its own, which level and scale these where there are any.

    Raises:
        InputError: no frames, no intrinsics, or files that cannot be used.
    """
    _known_frames.cache_clear()
    frames, file = read_frames(folder), read_camera_file(folder)
    times_s = read_times(folder, frames)
    place = paths.poses_place(folder)
    own = None if place is None else _read_poses(place, frames, times_s)
    other = None if poses.file is None else _read_poses(poses.file, frames, times_s)
    pinhole = _pinhole(folder, file, own or other)
    if frames.film is not None and frames.film.size != pinhole.image_size:
        (width, height), (w, h) = pinhole.image_size, frames.film.size
        raise InputError(f"{frames.film.path}: {w} x {h} px, and the camera's images are {width} x {height} px")
    posed, facts = (Posed({}), ()) if own is None else _placed(own, file)
    if other is not None and own is not None:
        by = levelled(
            other.T_given_cam, posed.poses, is_scaled=poses.is_scaled, place=f"{other.place}", by="the drive's own"
        )
        posed, facts = by, (f"poses: {other.form}, {other.place}, levelled by {own.place}",)
    elif other is not None:
        posed, facts = _placed(other, file)
    if own is None and other is None:
        logger.warning("%s: no poses: give poses.txt, transforms.json or a COLMAP model in sparse/0.", folder)
    known = sorted(posed.poses)
    camera = Camera(
        CAMERA,
        pinhole.K,
        pinhole.image_size,
        {frame: posed.poses[frame] for frame in known},
        {frame: times_s[frame] for frame in known} if all(frame in times_s for frame in known) else {},
    )
    return OwnDrive(camera, frames, facts, (*frames.warnings, *posed.warnings), posed.ratio)


def _read_poses(place: Location, frames: Frames, times_s: dict[int, float]) -> PoseModel:
    """The poses of a drive's frames, in their own world.

    Raises:
        InputError: they cannot be used, or are of no frame of the drive.
    """
    if place.suffix == ".json":
        model = read_transforms(place, frames.of_image)
    elif is_folder(place):
        model = read_model(place, frames.of_image)
    else:
        given = read_pose_file(place, camera=CAMERA, times_s=times_s)
        poses = given.poses
        if given.form == KITTI:  # whose lines are numbered, and no frame is
            poses = dict(zip(frames.of_lines(len(poses), place=place), poses.values(), strict=True))
        return PoseModel(f"{given.form} text", place, poses, is_metric=given.form != COLMAP)
    if frames.film is not None and model.num_without_frame:
        raise InputError(
            f"{place}: {model.num_without_frame} images are no frames of {frames.film.path.name}, which has "
            f"{frames.film.num_frames}: number them from 0 as the video does, or give the images themselves"
        )
    if not model.T_given_cam:
        raise InputError(
            f"{place}: none of its {model.num_without_frame} images is there: give the images that it is of"
        )
    return model


def _pinhole(folder: Location, file: CameraFile, model: PoseModel | None) -> Pinhole:
    own = file.pinhole(str(paths.camera_file(folder)))
    solved = None if model is None else model.pinhole
    if own is not None and solved is not None and model is not None:
        raise InputError(
            f"{paths.camera_file(folder)}: {model.place} has intrinsics already: take fx, fy, cx, cy, width and "
            "height out"
        )
    if (found := own or solved) is None:
        raise InputError(f"{folder}: no intrinsics: write fx, fy, cx, cy, width and height, in pixels, to camera.yaml")
    return found


def _placed(model: PoseModel, file: CameraFile) -> tuple[Posed, tuple[str, ...]]:
    """Poses in metres and z up, and where they, up and the scale come from.

    Raises:
        InputError: see `placed`.
    """
    where = placed(
        model.T_given_cam,
        file,
        place=f"{model.place}",
        is_metric=model.is_metric,
        read_points=lambda: read_points(model.place if is_folder(model.place) else model.place.parent),
    )
    warnings: list[str] = []
    if lost := model.num_without_frame:
        warnings.append(f"{model.place}: {lost} poses are of images that are not there, and are left out.")
    if where.up_is_estimated:
        fix = "`up: [x, y, z]` in camera.yaml tells it"
        warnings.append(f"{model.place}: which way is up is estimated by how the camera moves; {fix}.")
    if is_folder(model.place) and (parts := paths.other_models(model.place)):
        warnings.append(f"{model.place}: not joined with {', '.join(parts)} beside it, whose frames have no pose.")
    facts = (f"poses: {model.form}, {model.place}", f"up: {where.up}", f"scale: {where.scale}")
    return Posed(where.T_world_cam, tuple(warnings)), facts


@lru_cache(maxsize=8)
def _known_frames(folder: Location) -> Frames:
    """The frames of a drive, as they were when they were first asked for since a drive was opened."""
    return read_frames(folder)


def image_place(folder: Location, frame: int) -> Location:
    """Where a frame's image lies: its file, or the video; a name that is not there for frames without one."""
    frames = _known_frames(folder)
    if frames.film is not None:
        return frames.film.path
    return paths.image_folder(folder) / frames.images.get(frame, f"{frame}.png")


def mask_place(folder: Location, frame: int) -> Location:
    """Where a frame's mask lies; a name that is not there for frames without one."""
    return paths.mask_folder(folder) / _known_frames(folder).masks.get(frame, f"{frame}.png")


def fingerprint(folder: Location) -> str:
    """Hexadecimal digest of all that labels of a drive depend on: its files as far as a listing tells of them.

    Raises:
        FileNotFoundError: there is no such drive.
    """
    if not is_folder(folder):
        raise FileNotFoundError(str(folder))
    place = paths.poses_place(folder)
    files = [paths.camera_file(folder), paths.times_file(folder), paths.video_file(folder)]
    files += [place] if place is not None and not is_folder(place) else []
    single = [(file.name, *size_and_stamp(file)) for file in files if file is not None]
    folders = [paths.image_folder(folder), paths.mask_folder(folder)]
    folders += [place] if place is not None and is_folder(place) else []
    content = json.dumps([INDEX_VERSION, folder.name, single, [listing(one) for one in folders]])
    return hashlib.sha256(content.encode()).hexdigest()
