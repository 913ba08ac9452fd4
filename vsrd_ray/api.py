"""What a notebook needs: `import vsrd_ray` gives these names.

`label`, `evaluate` and `export` are the commands of these names. The rest looks into a drive: its frame groups, the
labels of one, pictures. Everything happens in this process, unless `label` is asked for Ray.
"""

import json
from collections.abc import Iterable
from collections.abc import Sequence as Names
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vsrd_ray.data.drive import MASKS, Drive
from vsrd_ray.data.given import Given
from vsrd_ray.data.groups import GroupTask, GroupTasks
from vsrd_ray.data.index import all_frames, index_frames
from vsrd_ray.datasets import base as datasets
from vsrd_ray.errors import ConfigError, InputError, one_line
from vsrd_ray.geometry import rigid
from vsrd_ray.labelers import configs as configuration
from vsrd_ray.labelers.base import Labeler, Provenance, Wanted, build_labeler, spec_of
from vsrd_ray.labels.base import Kind, exporter_of, kinds_of
from vsrd_ray.labels.boxes import parquet
from vsrd_ray.labels.boxes.columns import BOTTOM_CAM, box_of
from vsrd_ray.labels.boxes.pictures.annotated import read_image
from vsrd_ray.pipeline.plan import plan_drive
from vsrd_ray.pipeline.pool import PoolRequest
from vsrd_ray.pipeline.request import LabelRequest, Summary
from vsrd_ray.poses.source import NAMES, OWN, VISUAL
from vsrd_ray.runs.folder import RunFolder, check_root
from vsrd_ray.settings import LabelerSettings
from vsrd_ray.storage import Location, open_location
from vsrd_ray.visualization.drawing import draw_box, draw_masks, instance_color

if TYPE_CHECKING:
    from pandas import DataFrame

Folder = str | Path | Location


def load_config(name_or_file: str | Path, overrides: Iterable[str] = ()) -> LabelerSettings:
    """The settings of a labeler, validated and frozen.

    They are those of `--config` and `--set` of the command, such as

        config = vsrd_ray.load_config("fast", ["schedule.steps=200", "grouping={min_area: 40, min_box_side: 6}"])

    Args:
        name_or_file: the name of a configuration that ships with the package, such as "fast", or a YAML file.
        overrides: texts KEY=VALUE; the value is read as YAML.

    Raises:
        ConfigError: no such configuration, no valid YAML, an unknown key or a value out of its range.
    """
    if isinstance(overrides, str):
        raise ConfigError(f"overrides: expected several texts, got the text {overrides!r}: write [{overrides!r}]")
    return configuration.load_config(str(name_or_file), overrides)


def open_sequence(
    root: Folder, name: str, *, camera: str | None = None, poses: Folder | None = None, masks: Folder | None = None
) -> Drive:
    """A sequence that can be read: its intrinsics `K`, `image_size`, `T_world_cam` by frame, and `mask_frames`.

    Args:
        root: a dataset; a folder or the URI of one.
        name: such as "2013_05_28_drive_0000_sync".
        camera: such as "image_00"; by default the dataset's first.
        poses: as `label --poses` takes them: a name such as "oxts", or a file, which is scaled by the dataset's own.
        masks: as `label --masks` takes them, in place of the dataset's.

    Raises:
        InputError: a missing folder, sequence or camera, or files that cannot be used.
    """
    if str(poses) == VISUAL:
        raise InputError(f"poses={VISUAL!r} is for `label`, which makes a file: give OUTPUT/.poses of its run")
    return datasets.open_drive(open_location(str(root)), name, camera, given=_given(poses, masks))


def label(
    root: Folder,
    sequences: str | Names[str],
    output: Folder,
    *,
    config: str | Path | LabelerSettings = "fast",
    classes: Names[str] | None = None,
    camera: str | None = None,
    poses: Folder | None = None,
    masks: Folder | None = None,
    limit: int | None = None,
    ray: bool = False,
    device: Literal["auto", "cpu", "cuda"] = "auto",
) -> Summary:
    """Label sequences into an output folder, as `vsrd-ray label` does; a run that was interrupted goes on.

    Args:
        root: a dataset; a folder or the URI of one.
        sequences: one name or several, or "all".
        output: where results go; `read_labels`, `evaluate` and `export` take it.
        config: of `load_config`, or the name or file of a configuration.
        classes: names of the classes to label; by default the labeler's, cars for boxes.
        camera: such as "image_00"; by default the dataset's first.
        poses: as `label --poses` takes them: a name such as "oxts", or a file, which is scaled by the dataset's own.
        masks: as `label --masks` takes them, in place of the dataset's.
        limit: label the first frame groups alone.
        ray: on a local Ray with a worker per GPU or core, and not in this process.
        device: of the workers.

    Raises:
        InputError: something is wrong with the dataset, a sequence or the output folder.
        ConfigError: see `load_config`.
    """
    from vsrd_ray.engines import label as run  # noqa: PLC0415 - `import vsrd_ray.api` need not wait for it

    names = (sequences,) if isinstance(sequences, str) else tuple(sequences)
    request = LabelRequest(
        root=open_location(str(root)),
        sequences=names,
        output=open_location(str(output)),
        config=_settings(config),
        config_title=config.labeler if isinstance(config, LabelerSettings) else str(config),
        classes=None if classes is None else tuple(classes),
        camera=camera,
        given=_given(poses, masks),
        limit=limit,
        serial=not ray,
        pool=PoolRequest(device=device),
    )
    return run(request)


def evaluate(output: Folder, root: Folder, **options: Any) -> dict[str, Any]:
    """The quality of a run's labels, as `vsrd-ray evaluate --json` prints it; nothing is written.

    Args:
        output: of `label`.
        root: the dataset that was labelled, with its truth.
        options: those of the command, such as `max_range=30`.

    Raises:
        InputError: no labels, no truth, another dataset, or an option that the labels' kind does not have.
    """
    run = _run_of(output, root)
    values: dict[str, Any] = {}
    for kind in kinds_of(run):
        if kind.evaluate is not None:
            found = kind.evaluate(run, _options(kind, "evaluate", options)).values
            values |= {kind.name: dict(found)} if values else found
    return values


def export(output: Folder, root: Folder, destination: Folder, *, format: str, **options: Any) -> str:
    """Write a run's labels in another format, as `vsrd-ray export` does; what was written, as a sentence.

    Args:
        output: of `label`.
        root: the dataset that was labelled.
        destination: folder to write; an earlier export there is replaced.
        format: such as "kitti"; docs/formats.md has all of them.
        options: those of the command, such as `min_confidence=0.5`.

    Raises:
        InputError: no labels, another dataset, a format that the labels do not have, or an unknown option.
    """
    run = _run_of(output, root)
    kind, write = exporter_of(run, format)
    return write(run, open_location(str(destination)), _options(kind, "export", options), None)


def make_groups(
    sequence: Drive, *, classes: Names[str] | None = None, config: str | Path | LabelerSettings = "fast"
) -> list[GroupTask]:
    """The frame groups of a sequence, just those that `vsrd-ray label` labels, without their pixels.

    `group.plan` names the frames and instances of a group. Every mask is read once: some 8 ms a frame of KITTI-360.

    Args:
        sequence: of `open_sequence`.
        classes: names of the classes to label, such as ("car", "truck"); by default the labeler's, cars for boxes.
        config: of `vsrd_ray.load_config`, or the name or file of a configuration; what it says of groups counts.

    Raises:
        InputError: a mask that cannot be used, or classes that KITTI-360 does not have.
        ConfigError: see `load_config`.
    """
    settings = _settings(config)
    spec = spec_of(settings)
    wanted = Wanted(classes=_checked_classes(spec.classes if classes is None else classes, sequence))
    layers = spec.needs(settings).layers
    index = index_frames(sequence, all_frames(sequence, layers), layers=layers)
    plan = plan_drive(sequence, index, fingerprint="", config=settings, wanted=wanted)
    tasks = GroupTasks(sequence, index)
    return [tasks.task(group) for group in plan.groups]


def label_group(group: GroupTask, *, config: str | Path | LabelerSettings = "fast", device: str = "cpu") -> pa.Table:
    """The labels of a group, a row for each box and frame, in `vsrd_ray.labels.boxes.schema.LABEL_SCHEMA`.

    They are those of `vsrd-ray label` with the same configuration, to rounding: its workers keep to one thread each.

    Args:
        group: of `make_groups`.
        config: of `vsrd_ray.load_config`, or the name or file of a configuration.
        device: torch's, such as "cpu" or "cuda".

    Raises:
        InputError: a mask that can no longer be read, or a device that is not there.
        ConfigError: see `load_config`.
        FloatingPointError: the optimisation ended in numbers that are not finite.
    """
    settings = _settings(config)
    _check_device(device)
    labeler = _labeler(settings.model_dump_json(), device)
    prepared = labeler.prepare(group.group())
    found = labeler.label(prepared, seed=settings.seed)
    return labeler.output(found, prepared, Provenance.of(settings))[spec_of(settings).writes[0]]


def read_labels(output: Folder) -> pa.Table:
    """All labels in the output folder of `vsrd-ray label`, with their `sequence`; `.to_pandas()` makes a DataFrame.

    In frames that a human has corrected (`vsrd-ray import`), the human's boxes alone.

    Raises:
        InputError: the folder holds no labels, or a file in it cannot be read.
    """
    return parquet.read_labels(open_location(str(output)))


def draw_frame(sequence: Drive, frame: int, labels: "pa.Table | DataFrame") -> np.ndarray:
    """The image of a frame with the masks and boxes of its labels, RGB [H, W, 3] uint8; on grey where none is there.

    Args:
        sequence: of `open_sequence`.
        frame: its number.
        labels: of `label_group` or `read_labels`, as a table or a DataFrame; rows of other frames, sequences and
            cameras are left out.

    Raises:
        InputError: the frame has no pose, or a mask that cannot be read, or the labels are neither.
    """
    if frame not in sequence.T_world_cam:
        raise InputError(f"frame {frame} of {sequence.name} has no pose: take one of sequence.T_world_cam")
    rows = _rows_in(sequence, frame, _table(labels))
    image, view = read_image(sequence, frame), sequence.view(frame)
    if frame in sequence.mask_frames:
        draw_masks(
            image, sequence.read(MASKS, sequence.camera.name, frame), np.array([row["instance_id"] for row in rows])
        )
    T_cam_world = rigid.inverse(view.T_world_cam)
    for row in sorted(rows, key=lambda row: -row[BOTTOM_CAM[2]]):
        corners_cam = rigid.apply(T_cam_world, box_of(row).corners())
        draw_box(image, corners_cam, view.K, color=instance_color(row["instance_id"]))
    return np.ascontiguousarray(image[..., ::-1])


def _given(poses: Folder | None, masks: Folder | None) -> Given:
    is_named = poses is not None and str(poses) in NAMES
    return Given(
        masks=None if masks is None else open_location(str(masks)),
        poses=str(poses) if is_named and str(poses) != OWN else None,
        pose_file=None if poses is None or is_named else open_location(str(poses)),
    )


def _run_of(output: Folder, root: Folder) -> RunFolder:
    run = RunFolder(open_location(str(output)), open_location(str(root)))
    check_root(run.output, run.root)
    return run


def _options(kind: Kind, verb: str, given: dict[str, Any]) -> dict[str, Any]:
    """What a kind's own options are worth: those that are given, and defaults."""
    known = {option.name or "": option for option in kind.options().get(verb, ())}
    if unknown := sorted(given.keys() - known.keys()):
        raise InputError(f"{unknown[0]}: {verb} of {kind.name} has the options {', '.join(sorted(known)) or 'none'}")
    context = click.Context(click.Command(verb))
    defaults = {name: option.process_value(context, option.get_default(context)) for name, option in known.items()}
    return defaults | given


def _rows_in(sequence: Drive, frame: int, labels: pa.Table) -> list[dict[str, Any]]:
    if not labels.num_rows:  # a DataFrame without rows says nothing of its columns' types
        return []
    wanted = (pc.field("frame") == frame) & (pc.field("camera") == sequence.camera.name)
    if "sequence" in labels.column_names:
        wanted &= pc.field("sequence") == sequence.name
    return labels.filter(wanted).to_pylist()


def _table(labels: "pa.Table | DataFrame") -> pa.Table:
    if isinstance(labels, pa.Table):
        return labels
    try:
        return pa.Table.from_pandas(labels, preserve_index=False)
    except (AttributeError, TypeError) as error:
        raise InputError(
            f"labels: expected an Arrow table or a DataFrame, got {type(labels).__name__}: give what label_group or "
            "read_labels returned"
        ) from error


def _checked_classes(classes: Names[str], drive: Drive) -> tuple[str, ...]:
    if isinstance(classes, str):
        raise InputError(f"classes: expected several names, got the text {classes!r}: write classes=({classes!r},)")
    if not classes:
        raise InputError('classes: none is named: give some, such as classes=("car",)')
    drive.check_classes(classes, option="classes")
    return tuple(classes)


def _check_device(device: str) -> None:
    import torch  # noqa: PLC0415 - takes two seconds, which reading labels need not wait for

    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = one_line(error)
        raise InputError(f'device {device!r} cannot be used ({reason}): give "cpu", or one that is there') from error


def _settings(config: str | Path | LabelerSettings) -> LabelerSettings:
    return config if isinstance(config, LabelerSettings) else load_config(config)


@lru_cache(maxsize=4)
def _labeler(config_json: str, device: str) -> Labeler:
    """A labeler that is set up; kept, since that may take long."""
    labeler = build_labeler(configuration.from_values(json.loads(config_json)), device)
    labeler.setup()
    return labeler
