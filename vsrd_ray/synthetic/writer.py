"""Writes a street as a KITTI-360 sequence, with the layers that are asked for."""

import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.errors import InputError, WorkerError
from vsrd_ray.geometry import rigid
from vsrd_ray.storage import Location, listing, relative
from vsrd_ray.storage.staging import staging
from vsrd_ray.storage.targets import check_folder
from vsrd_ray.synthetic import layers, nuscenes, rig
from vsrd_ray.synthetic.clock import timestamps_text
from vsrd_ray.synthetic.frames import FrameFacts, Studio, write_frame, write_png
from vsrd_ray.synthetic.settings import StreetSettings
from vsrd_ray.synthetic.street import camera_matrix
from vsrd_ray.synthetic.truth import boxes_xml
from vsrd_ray.synthetic.views import LEFT

_ONE_THREAD: dict[str, str] = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")


@dataclass(frozen=True)
class _Place:
    """A file or folder of a sequence."""

    name: str  # what it holds, for people
    path: Callable[[Location], Location]  # from ROOT


def synthesize(
    output: Location,
    settings: StreetSettings,
    progress: Callable[[int, int], None] | None = None,
    *,
    jobs: int = 1,
) -> list[tuple[str, Location]]:
    """Write a street with known boxes as a sequence in the layout of KITTI-360.

    Images and 16-bit instance masks of the left camera, calibration, poses, the box XML, and the settings' layers.
    Equal settings write equal bytes, whatever the number of processes. The sequence appears only once all of it is
    there; in an object store its images come last, one by one.

    Args:
        output: ROOT of the dataset; it may hold other sequences with the same calibration.
        settings: the street, the drive, the images and the layers.
        progress: called after every frame with the number of frames done and of all frames.
        jobs: processes that render frames; with more than one, the calling program must be safe to import.

    Returns:
        What was written, in words, and where it lies.

    Raises:
        InputError: `output` holds this sequence already, or was calibrated for other images.
        OutputError: it is a file, or cannot be written.
        WorkerError: a process that renders frames has ended.
    """
    calibration = _calibration_files(settings)
    _refuse_what_is_there(output, settings, calibration)
    studio = Studio(settings)
    with staging(output) as staged:
        facts = _write_frames(staged.folder, studio, progress, jobs)
        _write_drive(staged.folder, studio, facts)
        for place, text in calibration.items():
            if not place.path(output).exists():
                _write_text(place.path(staged.folder), text)
                staged.place(relative(place.path(staged.folder), staged.folder))
        for place in _places(settings):
            staged.place(relative(place.path(staged.folder), staged.folder))
    return [(place.name, place.path(output)) for place in (*calibration, *_places(settings))]


def _write_frames(
    root: Path, studio: Studio, progress: Callable[[int, int], None] | None, jobs: int
) -> list[FrameFacts]:
    """Write every frame; what the files of all frames need of each, in order."""
    frames, facts = studio.settings.frames, []
    with _renderers(root, studio, min(jobs, frames)) as rendered:
        for one in rendered:
            facts.append(one)
            if progress is not None:
                progress(len(facts), frames)
    return facts


@contextmanager
def _renderers(root: Path, studio: Studio, jobs: int) -> Iterator[Iterator[FrameFacts]]:
    """Frames being written, in their order, by this process or by others."""
    frames = range(studio.settings.frames)
    if jobs <= 1:
        yield (write_frame(root, studio, frame) for frame in frames)
        return
    with _environment(_ONE_THREAD):
        # Processes that are spawned read the environment, and inherit no threads.
        pool = ProcessPoolExecutor(
            jobs,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_start_renderer,
            initargs=(root, studio.settings),
        )
        try:
            yield pool.map(_render, frames)
        except BrokenProcessPool as error:  # such as for want of memory
            raise WorkerError(
                "a process that renders frames has ended: give fewer of them, such as --jobs 1"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Environment variables that hold for a while."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


class _Renderer:
    """What a rendering process keeps from frame to frame."""

    root: Path
    studio: Studio


def _start_renderer(root: Path, settings: StreetSettings) -> None:
    cv2.setNumThreads(1)
    _Renderer.root, _Renderer.studio = root, Studio(settings)


def _render(frame: int) -> FrameFacts:
    return write_frame(_Renderer.root, _Renderer.studio, frame)


def _write_drive(root: Path, studio: Studio, facts: list[FrameFacts]) -> None:
    """Everything that is not of one frame alone."""
    settings, street = studio.settings, studio.street
    sequence = settings.sequence
    _write_text(paths.poses_file(root, sequence), _poses_text(street.T_world_cam))
    _write_text(paths.boxes_file(root, sequence), boxes_xml(street))
    if settings.layers:
        for name in studio.camera_names:
            _write_text(paths.timestamps_file(root, sequence, name), timestamps_text(settings.frames))
    if settings.has("fisheye"):
        T_cam0_pose = rigid.inverse(rig.T_EGO_CAM0) @ rig.T_EGO_POSE
        _write_text(layers.unit_poses_file(root, sequence), _poses_text(street.T_world_cam @ T_cam0_pose, rows=3))
    if settings.has("lidar"):
        poses = np.stack([one.T_world_velo for one in facts])
        _write_text(layers.lidar_poses_file(root, sequence), _poses_text(poses))
        text = timestamps_text(settings.frames, settings.lidar_delay)
        _write_text(layers.velodyne_folder(root, sequence) / "timestamps.txt", text)
    if settings.has("surround"):
        folder = Path(str(layers.nuscenes_root(root, sequence)))
        nuscenes.write_tables(folder, street, {one.frame: one.num_points for one in facts})
        write_png(folder / "maps" / "street.png", np.zeros((16, 16), np.uint8))


def _places(settings: StreetSettings) -> list[_Place]:
    """What a sequence consists of; the images of the left camera, which mark it as there, come last."""
    sequence, has = settings.sequence, settings.has
    right = ("image_01",) if has("right") else ()
    cameras = (LEFT, *right, *(rig.FISHEYES if has("fisheye") else ()))
    places = [
        _Place("3D boxes", lambda root: paths.boxes_file(root, sequence)),
        _Place("poses", lambda root: paths.poses_file(root, sequence)),
    ]
    if has("fisheye"):
        places.append(_Place("poses of the GPS unit", lambda root: layers.unit_poses_file(root, sequence)))
    if has("lidar"):
        places.append(_Place("poses of the LiDAR", lambda root: layers.lidar_poses_file(root, sequence)))
        places.append(_Place("LiDAR sweeps", lambda root: layers.velodyne_folder(root, sequence)))
    if has("panoptic"):
        places.append(_Place("point labels", lambda root: layers.label_folder(root, sequence)))
    if has("occupancy"):
        places.append(_Place("voxels", lambda root: layers.occupancy_folder(root, sequence)))
    if has("surround"):
        places.append(_Place("six cameras around", lambda root: layers.nuscenes_root(root, sequence)))
    for camera in reversed(cameras):
        places += _camera_places(settings, camera)
    return places


def _camera_places(settings: StreetSettings, camera: str) -> list[_Place]:
    sequence = settings.sequence
    places = []
    if settings.has("depth"):
        places.append(_Place(f"depth of {camera}", lambda root: layers.depth_folder(root, sequence, camera)))
    if settings.has("semantics"):
        places.append(_Place(f"semantics of {camera}", lambda root: layers.semantic_folder(root, sequence, camera)))
    if settings.layers:
        places.append(_Place(f"times of {camera}", lambda root: paths.timestamps_file(root, sequence, camera)))
    places.append(_Place(f"masks of {camera}", lambda root: paths.mask_folder(root, sequence, camera)))
    places.append(_Place(f"images of {camera}", lambda root: paths.image_folder(root, sequence, camera)))
    return places


def _refuse_what_is_there(output: Location, settings: StreetSettings, calibration: dict[_Place, str]) -> None:
    check_folder(output, fix="give another OUT")
    for place in _places(settings):
        if (path := place.path(output)).is_file() or listing(path):
            raise InputError(f"{path} exists: nothing is overwritten; choose another OUT")
    for place, text in calibration.items():
        path = place.path(output)
        if path.exists() and path.read_text() != text:
            raise InputError(f"{path} is the calibration of other images: nothing is overwritten; choose another OUT")


def _calibration_files(settings: StreetSettings) -> dict[_Place, str]:
    """The calibration of all sensors that are asked for."""
    files = {_Place("calibration", paths.calibration_file): _perspective_text(settings)}
    if settings.has("lidar"):
        files[_Place("calibration of the LiDAR", paths.lidar_calibration_file)] = rig.velo_text()
    if settings.has("fisheye"):
        files[_Place("calibration of all cameras", paths.camera_poses_file)] = rig.pose_text()
        for name, model in rig.fisheye_models(settings.fisheye_side).items():
            place = _Place(f"calibration of {name}", lambda root, name=name: paths.fisheye_calibration_file(root, name))
            files[place] = model.yaml(name)
    return files


def _perspective_text(settings: StreetSettings) -> str:
    """perspective.txt: rectified left and right cameras."""
    width, height = settings.image_size
    K = camera_matrix(settings.image_size)
    lines = ["calib_time: 28-May-2013 00:00:00"]
    for camera, offset in (("00", 0.0), ("01", -K[0, 0] * rig.BASELINE)):
        projection = np.concatenate([K, [[offset], [0.0], [0.0]]], axis=1)
        lines += [
            f"S_rect_{camera}: {width:.6f} {height:.6f}",
            f"R_rect_{camera}: {_numbers(np.eye(3))}",
            f"P_rect_{camera}: {_numbers(projection)}",
        ]
    return "\n".join(lines) + "\n"


def _numbers(matrix: np.ndarray) -> str:
    return " ".join(f"{value:.6f}" for value in matrix.ravel())


def _poses_text(poses: np.ndarray, *, rows: int = 4) -> str:
    """A frame number and the first rows of a 4 x 4 matrix a line, of poses [frames, 4, 4]."""
    lines = []
    for frame, pose in enumerate(poses):
        lines.append(" ".join([str(frame), *(f"{value:.12g}" for value in pose[:rows].ravel())]))
    return "\n".join(lines) + "\n"


def _write_text(path: Location, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
