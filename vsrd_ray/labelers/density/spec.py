"""What the house knows of the labeler of density: what it needs, and how it plans."""

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from vsrd_ray.data.drive import DEPTH, IMAGES, POINTS, Camera, Drive
from vsrd_ray.data.groups import GroupPlan
from vsrd_ray.data.index import readable_frames
from vsrd_ray.datasets.base import dataset_named
from vsrd_ray.errors import InputError
from vsrd_ray.labelers.base import Labeler, LabelerSpec, Needs, Resources, Wanted
from vsrd_ray.labelers.density.config import DensityConfig
from vsrd_ray.labelers.density.training import TRAINABLES

if TYPE_CHECKING:
    import click

_LEAST_BASELINE = 0.05  # m
_SKEW = 0.01  # of the baseline or focal length, by which a rectified pair may miss its rows
_PAYLOAD_BYTES = 2**28  # 100 frames of two cameras: images, and depth with its error


def stereo_pair(drive: Drive) -> tuple[str, str] | None:
    """Names of a left and a right camera with images, one of them the drive's own; None where no two are rectified."""
    own = drive.camera
    for other in drive.cameras.values():
        frames = sorted(own.T_world_cam.keys() & other.T_world_cam.keys())
        if other.name == own.name or not frames or not drive.frames_with(IMAGES, other.name):
            continue
        if _is_beside(own, other, frames[0]):
            return own.name, other.name
        if _is_beside(other, own, frames[0]):
            return other.name, own.name
    return None


def _is_beside(left: Camera, right: Camera, frame: int) -> bool:
    """Whether a camera is to the right of another, with the same axes and intrinsics."""
    T_left_right = np.linalg.inv(left.T_world_cam[frame]) @ right.T_world_cam[frame]
    x, y, z = T_left_right[:3, 3]
    focal = left.K[0, 0]
    return bool(
        x > _LEAST_BASELINE
        and np.hypot(y, z) < _SKEW * x
        and np.abs(T_left_right[:3, :3] - np.eye(3)).max() < _SKEW / 10
        and left.image_size == right.image_size
        and np.abs(left.K - right.K).max() < _SKEW * focal
    )


def _needs(config: DensityConfig) -> Needs:
    return Needs(layers=(IMAGES,), all_cameras=True, mask_ids=False)


def _plan(drive: Drive, index: pa.Table, config: DensityConfig, wanted: Wanted) -> list[GroupPlan]:
    """Stretches of a drive of equal length, each with frames beside it that help to carve its space."""
    frames = readable_frames(index)
    if len(frames) == 1 and config.source == "scene":
        raise InputError(f"{drive.name}: one frame with a pose: a scene is fitted to several, so give a longer drive")
    if config.source == "scene":
        _check_measured(drive, config)
    count = -(-len(frames) // config.frames_a_group)
    ends = [round(number * len(frames) / count) for number in range(count + 1)] if count else []
    plans = []
    for start, end in pairwise(ends):
        beside = frames[max(start - config.frames_beside, 0) : end + config.frames_beside]
        plans.append(
            GroupPlan(
                group_id=f"{drive.name}-{frames[start]:010d}",
                sequence=drive.name,
                camera=drive.camera.name,
                target_frame=frames[start],
                source_frames=tuple(frame for frame in beside if frame != frames[start]),
                label_frames=tuple(frames[start:end]),
            )
        )
    return plans


def _check_measured(drive: Drive, config: DensityConfig) -> None:
    """Refuse a drive without what space is to be carved by.

    Raises:
        InputError: no stereo pair, no sweep that can be placed, or no depth map.
    """
    has_sweeps = any(drive.frames_with(POINTS, name) for name in drive.lidars)
    if config.depth == "lidar" and not has_sweeps:
        raise InputError(f"{drive.name}: no LiDAR sweep that can be placed: bring the sweeps, or --set depth=stereo")
    if config.depth == "given" and not drive.frames_with(DEPTH, drive.camera.name):
        raise InputError(dataset_named(drive.dataset).missing(drive.root, drive.name, DEPTH, drive.camera.name))
    if config.depth == "stereo" and stereo_pair(drive) is None:
        fix = "--set depth=lidar" if has_sweeps else "bring the images of the second camera"
        raise InputError(
            f"{drive.name}: no camera makes a rectified stereo pair with {drive.camera.name}, of equal size and "
            f"intrinsics, beside it and with images: {fix}"
        )


def _why_no_group(index: pa.Table, config: DensityConfig, wanted: Wanted) -> str:
    return "no frame has both an image and a pose"


def _build(config: DensityConfig, device: str) -> Labeler:
    from vsrd_ray.labelers.density.labeler import DensityLabeler  # noqa: PLC0415 - torch and OpenCV

    return DensityLabeler(config, device)


def _resources(config: DensityConfig) -> Resources:
    return Resources(seconds_a_batch=3600.0, payload_bytes=_PAYLOAD_BYTES)


def _commands() -> "tuple[click.Command, ...]":
    from vsrd_ray.labelers.density.commands import density, render  # noqa: PLC0415 - when commands are asked for

    return (density, render)


SPEC = LabelerSpec(
    name="density",
    summary="density and depth of space from posed images (scene fit; BTS, KDBTS)",
    config=DensityConfig,
    writes=("depth", "voxels"),
    needs=_needs,
    plan=_plan,
    build=_build,
    why_no_group=_why_no_group,
    resources=_resources,
    trainables=lambda: TRAINABLES,
    commands=_commands,
)
