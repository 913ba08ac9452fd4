"""What the house knows of the labeler of occupancy: what it needs, and how it plans."""

from collections.abc import Sequence

import pyarrow as pa

from vsrd_ray.data.classes import ClassTable
from vsrd_ray.data.drive import DEPTH, IMAGES, POINTS, SEMANTICS, Drive
from vsrd_ray.data.groups import GroupPlan
from vsrd_ray.data.index import readable_frames
from vsrd_ray.datasets.base import dataset_named
from vsrd_ray.errors import InputError
from vsrd_ray.labelers.base import Labeler, LabelerSpec, Needs, Resources, Wanted
from vsrd_ray.labelers.occupancy.config import OccupancyConfig
from vsrd_ray.labelers.occupancy.earlier import check_run, tracked_boxes
from vsrd_ray.labelers.occupancy.planning import plans_of, with_boxes
from vsrd_ray.labelers.occupancy.training import TRAINABLES

_PAYLOAD_BYTES = 2**25  # six views of three frames, and three sweeps
_IMAGES_BYTES = 2**27  # of these, for a segmenter


def _needs(config: OccupancyConfig) -> Needs:
    layer = IMAGES if config.source == "network" or config.segmenter else SEMANTICS
    return Needs(layers=(layer,), all_cameras=True, mask_ids=False)


def _plan(drive: Drive, index: pa.Table, config: OccupancyConfig, wanted: Wanted) -> Sequence[GroupPlan]:
    """A group for every few frames, or for those that are wanted, with some before and after it."""
    if config.source == "rays":
        _check_depth(drive, config)
    frames = readable_frames(index)
    targets = frames[:: config.every] if wanted.frames is None else [one for one in frames if one in wanted.frames]
    plans = plans_of(drive, frames, targets, config)
    return with_boxes(plans, tracked_boxes(config.boxes, drive)) if config.boxes else plans


def _check_depth(drive: Drive, config: OccupancyConfig) -> None:
    if config.depth_run:
        check_run(config.depth_run, drive, option="depth", kind="depth")
        return
    wanted = {"auto": (DEPTH, POINTS), "lidar": (POINTS,), "maps": (DEPTH,)}[config.depth]
    if not any(frames for layer in wanted for frames in drive.layers.get(layer, {}).values()):
        dataset = dataset_named(drive.dataset)
        raise InputError(
            "there are classes without depth: " + dataset.missing(drive.root, drive.name, wanted[0], drive.camera.name)
        )


def _check(config: OccupancyConfig, wanted: Wanted, classes: ClassTable) -> None:
    if config.segmenter:
        from vsrd_ray.labelers.occupancy.semantics import check_segmenter  # noqa: PLC0415 - torch takes two seconds

        check_segmenter(config.segmenter, config.names)


def _build(config: OccupancyConfig, device: str) -> Labeler:
    if config.source == "network":
        from vsrd_ray.labelers.occupancy.network.labeler import NetworkLabeler  # noqa: PLC0415 - torch and numba

        return NetworkLabeler(config, device)
    from vsrd_ray.labelers.occupancy.labeler import OccupancyLabeler  # noqa: PLC0415 - numba

    return OccupancyLabeler(config, device)


SPEC = LabelerSpec(
    name="occupancy",
    summary="voxels around the vehicle from classes and depth of images, and LiDAR",
    config=OccupancyConfig,
    writes=("voxels",),
    needs=_needs,
    plan=_plan,
    build=_build,
    check=_check,
    resources=lambda config: Resources(payload_bytes=_PAYLOAD_BYTES + bool(config.segmenter) * _IMAGES_BYTES),
    trainables=lambda: TRAINABLES,
)
