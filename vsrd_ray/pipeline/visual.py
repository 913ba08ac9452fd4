"""Poses that a run makes of images before it labels: once, into its output folder, where later commands find them."""

import logging
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from vsrd_ray.data.drive import IMAGES, Drive
from vsrd_ray.datasets.base import TakesPoses, dataset_named, dataset_of
from vsrd_ray.errors import InputError
from vsrd_ray.pipeline.request import ALL_SEQUENCES, LabelRequest
from vsrd_ray.poses.source import VISUAL
from vsrd_ray.poses.visual import check_installed, reconstruct
from vsrd_ray.runs.paths import RunPaths
from vsrd_ray.storage.targets import check_folder

logger = logging.getLogger(__name__)


def with_visual_poses(request: LabelRequest) -> LabelRequest:
    """The request with a pose file for each drive in place of `--poses visual`; as it is where that is not asked for.

    Models that an earlier run into the folder has made are taken as they are.

    Raises:
        InputError: pycolmap is not installed, a drive takes no poses or has no images, or nothing is found of them.
        OutputError: the output folder cannot be written.
    """
    if request.given.poses != VISUAL:
        return request
    check_installed()
    output = request.output
    if not isinstance(output, Path):
        raise InputError("--poses visual writes a COLMAP model beside the labels: give a local --output")
    if ALL_SEQUENCES in request.sequences:
        raise InputError("--poses visual: name each --sequence, since poses of a drive take minutes")
    check_folder(output, fix="give another --output")
    folder = Path(str(RunPaths(output).poses))
    for name in request.sequences:
        if not (folder / name / "images.txt").is_file():
            _make(request, name, folder / name)
    return replace(request, given=replace(request.given, poses=None, pose_file=folder))


def _make(request: LabelRequest, name: str, destination: Path) -> None:
    dataset = dataset_of(request.root) if request.dataset is None else dataset_named(request.dataset)
    if not isinstance(dataset, TakesPoses):
        raise InputError(f"--poses: drives of {dataset.title} come with poses of their own: leave it out")
    camera = request.camera or dataset.cameras[0]
    drive = dataset.open(request.root, name, (camera,))
    frames = drive.frames_with(IMAGES, camera)
    if not frames:
        raise InputError(dataset.missing(request.root, name, IMAGES, camera))
    logger.info("Poses of %s by its %d images: this takes seconds a frame", name, len(frames))
    partial = destination.with_name(f".{name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        count = reconstruct(_images(drive, frames), drive.K, drive.image_size, partial)
    except InputError as error:
        raise InputError(f"{name}: {error}") from error
    partial.replace(destination)
    logger.info("%s: poses of %d of %d frames", name, count, len(frames))


def _images(drive: Drive, frames: tuple[int, ...]) -> Iterator[tuple[str, np.ndarray]]:
    for frame in frames:
        yield f"{frame:010d}.png", drive.read(IMAGES, drive.camera.name, frame)
