"""What a notebook needs: `import vsrd_ray` gives these names.

Everything happens in this process, without Ray. For whole sequences there is `vsrd-ray label`.
"""

from collections.abc import Sequence as Names
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vsrd_ray.config import VSRDConfig, load_config
from vsrd_ray.data.frames import Sequence
from vsrd_ray.data.index import all_frames, index_frames
from vsrd_ray.data.kitti360 import sequences
from vsrd_ray.data.kitti360.instances import read_instance_map
from vsrd_ray.data.loading import GroupTask, GroupTasks, load_group
from vsrd_ray.data.storage import Location, open_location
from vsrd_ray.errors import InputError
from vsrd_ray.geometry import rigid
from vsrd_ray.geometry.boxes import corners_world
from vsrd_ray.labelers.base import Labeler
from vsrd_ray.labels import parquet
from vsrd_ray.labels.rows import label_rows
from vsrd_ray.pipeline.factory import build_labeler
from vsrd_ray.pipeline.plan import plan_sequence
from vsrd_ray.visualization.drawing import draw_box, draw_masks, instance_color
from vsrd_ray.visualization.scene import read_image

Folder = str | Path | Location


def open_sequence(root: Folder, name: str, *, camera: str = "image_00") -> Sequence:
    """A sequence that can be read: its intrinsics `K`, `image_size`, `T_world_cam` by frame, and `mask_frames`.

    Args:
        root: a dataset in KITTI-360's layout; a folder or the URI of one.
        name: such as "2013_05_28_drive_0000_sync".
        camera: "image_00" or "image_01".

    Raises:
        InputError: a missing folder, sequence or camera, or files that cannot be used.
    """
    return sequences.open_sequence(open_location(str(root)), name, camera)


def make_groups(
    sequence: Sequence, *, classes: Names[str] = ("car",), config: str | VSRDConfig = "fast"
) -> list[GroupTask]:
    """The frame groups of a sequence, just those that `vsrd-ray label` labels, without their pixels.

    `group.plan` names the frames and instances of a group. Every mask is read once: some 8 ms a frame of KITTI-360.

    Args:
        sequence: of `open_sequence`.
        classes: names of the classes to label.
        config: of `vsrd_ray.load_config`, or the name or file of a configuration; its `grouping` counts.

    Raises:
        InputError: a mask that cannot be used.
    """
    index = index_frames(sequence, all_frames(sequence))
    grouping = _settings(config).grouping
    plan = plan_sequence(sequence, index, fingerprint="", settings=grouping, classes=tuple(classes))
    tasks = GroupTasks(sequence, index)
    return [tasks.task(group) for group in plan.groups]


def label_group(group: GroupTask, *, config: str | VSRDConfig = "fast", device: str = "cpu") -> pa.Table:
    """The labels of a group, a row for each box and frame, in `vsrd_ray.labels.schema.LABEL_SCHEMA`.

    They are those of `vsrd-ray label` with the same configuration, to rounding: its workers keep to one thread each.

    Args:
        group: of `make_groups`.
        config: of `vsrd_ray.load_config`, or the name or file of a configuration.
        device: torch's, such as "cpu" or "cuda".

    Raises:
        InputError: a mask that can no longer be read.
        FloatingPointError: the optimisation ended in numbers that are not finite.
    """
    settings = _settings(config)
    labeler = _labeler(settings.model_dump_json(), device)
    prepared = labeler.prepare(load_group(group))
    fits = labeler.label(prepared, seed=settings.seed)
    return label_rows(fits, prepared, labeler=labeler.name, config_hash=settings.hash(), seed=settings.seed)


def read_labels(output: Folder) -> pa.Table:
    """All labels in the output folder of `vsrd-ray label`, with their `sequence`; `.to_pandas()` makes a DataFrame.

    In frames that a human has corrected (`vsrd-ray import`), the human's boxes alone.

    Raises:
        InputError: the folder holds no labels, or a file in it cannot be read.
    """
    return parquet.read_labels(open_location(str(output)))


def draw_frame(sequence: Sequence, frame: int, labels: pa.Table) -> np.ndarray:
    """The image of a frame with the masks and boxes of its labels, RGB [H, W, 3] uint8; on grey where none is there.

    Args:
        sequence: of `open_sequence`.
        frame: its number.
        labels: of `label_group` or `read_labels`; rows of other frames, sequences and cameras are left out.

    Raises:
        InputError: the frame has no pose, or a mask that cannot be read.
    """
    if frame not in sequence.T_world_cam:
        raise InputError(f"frame {frame} of {sequence.name} has no pose: take one of sequence.T_world_cam")
    wanted = (pc.field("frame") == frame) & (pc.field("camera") == sequence.camera)
    if "sequence" in labels.column_names:
        wanted &= pc.field("sequence") == sequence.name
    rows = labels.filter(wanted).to_pylist()
    image, view = read_image(sequence, frame), sequence.view(frame)
    if frame in sequence.mask_frames:
        draw_masks(image, read_instance_map(sequence, frame), np.array([row["instance_id"] for row in rows]))
    T_cam_world = rigid.inverse(view.T_world_cam)
    for row in sorted(rows, key=lambda row: -row["z_cam"]):
        center, size = ([row[name] for name in names] for names in (_CENTER, _SIZE))
        corners = corners_world(np.array(center), np.array(size), np.array(row["yaw_world"]))
        draw_box(image, rigid.apply(T_cam_world, corners), view.K, color=instance_color(row["instance_id"]))
    return np.ascontiguousarray(image[..., ::-1])


_CENTER, _SIZE = ("x_world", "y_world", "z_world"), ("length", "width", "height")


def _settings(config: str | VSRDConfig) -> VSRDConfig:
    return load_config(config) if isinstance(config, str) else config


@lru_cache(maxsize=4)
def _labeler(config_json: str, device: str) -> Labeler:
    """A labeler that is set up; kept, since that may take long."""
    labeler = build_labeler(VSRDConfig.model_validate_json(config_json), device)
    labeler.setup()
    return labeler
