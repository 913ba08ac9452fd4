"""Makes what tests need of the package's own classes, with plain values for all that a test does not speak of.

Tests make these by calling a builder, so that a constructor that changes is followed in one place.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from vsrd_ray import storage
from vsrd_ray.data.drive import MASKS, Camera, Drive, View
from vsrd_ray.data.groups import FrameGroup, GroupFrames, GroupPlan, InstanceGroupPlan, LabelFrame
from vsrd_ray.data.index import INDEX_SCHEMA
from vsrd_ray.data.truth import STATIC, TruthBoxes
from vsrd_ray.datasets.kitti360.classes import CLASSES
from vsrd_ray.geometry.boxes import UprightBoxes
from vsrd_ray.labelers.base import PreparedGroup
from vsrd_ray.labelers.vsrd.config import VSRDConfig
from vsrd_ray.labels.boxes.columns import VELOCITY_WORLD
from vsrd_ray.labels.boxes.evaluation import evaluate_run
from vsrd_ray.labels.boxes.evaluation.run import values_of
from vsrd_ray.labels.boxes.fits import BoxFit
from vsrd_ray.labels.boxes.schema import LABEL_SCHEMA
from vsrd_ray.labels.boxes.spec import SPEC as BOXES
from vsrd_ray.pipeline.request import LabelRequest
from vsrd_ray.pipeline.work import Loaded, Work
from vsrd_ray.runs.manifest import Manifest, RunSettings, read_manifest
from vsrd_ray.runs.paths import RunPaths
from vsrd_ray.runs.plan import DrivePlan
from vsrd_ray.runs.records import Progress
from vsrd_ray.runs.results import GroupResult, Seconds
from vsrd_ray.runs.schema import GROUP_SCHEMA
from vsrd_ray.runs.sink import Sink
from vsrd_ray.runs.store import GroupStore
from vsrd_ray.runs.tables import LabelTable
from vsrd_ray.storage import Location

CAR_LWH = (4.0, 2.0, 1.5)
_SAMPLES = {pa.string(): "x", pa.bool_(): False, pa.float64(): 0.5, LABEL_SCHEMA.field("shape").type: [0.5]}

# ---- frames and groups ----


def make_view(
    frame: int = 0,
    *,
    K: np.ndarray | None = None,
    T_world_cam: np.ndarray | None = None,
    image_size: tuple[int, int] = (100, 50),
    camera: str = "image_00",
    time_s: float | None = None,
) -> View:
    return View(
        frame=frame,
        K=np.eye(3) if K is None else K,
        T_world_cam=np.eye(4) if T_world_cam is None else T_world_cam,
        image_size=image_size,
        camera=camera,
        time_s=time_s,
    )


def make_drive(
    name: str = "s",
    *,
    root: Location = Path(),
    camera: str = "image_00",
    K: np.ndarray | None = None,
    image_size: tuple[int, int] = (100, 50),
    poses: Mapping[int, np.ndarray] | None = None,  # frame -> T_world_cam [4, 4]; none by default
    times_s: Mapping[int, float] | None = None,  # frame -> seconds; none by default
    mask_frames: Iterable[int] = (),
) -> Drive:
    poses, K = dict(poses or {}), np.eye(3) if K is None else K
    return Drive(
        dataset="kitti360",
        root=root,
        name=name,
        cameras={camera: Camera(camera, K, image_size, poses, dict(times_s or {}))},
        layers={MASKS: {camera: tuple(mask_frames)}},
    )


def make_plan(
    group_id: str = "g",
    frames: Iterable[int] = (5,),
    instance_ids: Iterable[int] = (26001,),
    *,
    sequence: str = "s",
    camera: str = "image_00",
    target_frame: int | None = None,
    source_frames: Iterable[int] | None = None,
    label_frames: Iterable[int] | None = None,
    instance_views: Iterable[tuple[int, ...]] | None = None,
    best_frames: Iterable[int] | None = None,
    gap_frames: Iterable[tuple[int, ...]] = (),
    watched_frames: Iterable[tuple[int, ...]] = (),
) -> GroupPlan:
    """A group of some frames: the first is its target, the others its sources, and all of them are labelled.

    Each instance is fitted in all of them, and best seen in the target.
    """
    frames, instance_ids = tuple(frames), tuple(instance_ids)
    target_frame = frames[0] if target_frame is None else target_frame
    count = len(instance_ids)
    return InstanceGroupPlan(
        group_id=group_id,
        sequence=sequence,
        camera=camera,
        target_frame=target_frame,
        source_frames=frames[1:] if source_frames is None else tuple(source_frames),
        label_frames=frames if label_frames is None else tuple(label_frames),
        instance_ids=instance_ids,
        instance_views=(frames,) * count if instance_views is None else tuple(instance_views),
        best_frames=(target_frame,) * count if best_frames is None else tuple(best_frames),
        gap_frames=tuple(gap_frames),
        watched_frames=tuple(watched_frames),
    )


def make_label_frame(view: View, mask_boxes_xyxy: Any, mask_areas: Any) -> LabelFrame:
    return LabelFrame(view=view, mask_boxes_xyxy=np.array(mask_boxes_xyxy, np.float64), mask_areas=np.array(mask_areas))


def make_group_frames(
    plan: GroupPlan,
    views: Iterable[View] | None = None,
    label_frames: Iterable[LabelFrame] | None = None,
    *,
    class_names: Iterable[str] | None = None,
) -> GroupFrames:
    """A group without its pixels; by default its views are plain ones, and its labelled frames show nothing."""
    return GroupFrames(**_frames_of(plan, views, label_frames, class_names))


def make_frame_group(
    plan: GroupPlan,
    views: Iterable[View] | None = None,
    label_frames: Iterable[LabelFrame] | None = None,
    *,
    class_names: Iterable[str] | None = None,
    instance_maps: np.ndarray,
    times_s: Mapping[int, float] | None = None,  # frame -> seconds; a drive without times by default
) -> FrameGroup:
    frames = _frames_of(plan, views, label_frames, class_names)
    poses = {view.frame: view.T_world_cam for view in (*frames["views"], *(one.view for one in frames["label_frames"]))}
    drive = make_drive(plan.sequence, camera=plan.camera, poses=poses, times_s=times_s)
    return FrameGroup(**frames, drive=drive, read=_reader(frames["views"], instance_maps))


def with_maps(group: FrameGroup, instance_maps: np.ndarray, views: Iterable[View] | None = None) -> FrameGroup:
    """The group with other masks, and if need be other views."""
    views = group.views if views is None else tuple(views)
    return replace(group, views=views, read=_reader(views, instance_maps))


def _reader(views: Iterable[View], instance_maps: np.ndarray) -> Callable[[str, str, int], np.ndarray]:
    """Reads masks of views out of memory."""
    places = [(MASKS, view.camera, view.frame) for view in views]
    assert len(set(places)) == len(places), "two views of one frame"
    maps = dict(zip(places, instance_maps, strict=True))
    return lambda layer, sensor, frame: maps[layer, sensor, frame]


def _frames_of(
    plan: GroupPlan,
    views: Iterable[View] | None,
    label_frames: Iterable[LabelFrame] | None,
    class_names: Iterable[str] | None,
) -> dict[str, Any]:
    if views is None:
        views = (make_view(frame) for frame in (plan.target_frame, *plan.source_frames))
    if label_frames is None:
        count = len(plan.instance_ids)
        unseen = np.full((count, 4), np.nan), np.zeros(count, np.int64)
        label_frames = (make_label_frame(make_view(frame), *unseen) for frame in plan.label_frames)
    names = map(CLASSES.name_of, plan.instance_ids) if class_names is None else class_names
    return {"plan": plan, "views": tuple(views), "label_frames": tuple(label_frames), "class_names": tuple(names)}


def make_prepared(group: GroupFrames, payload: Any = None) -> PreparedGroup:
    return PreparedGroup.of(group, payload)


# ---- tables ----


def make_index(*rows: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=INDEX_SCHEMA)


def make_label(frame: int = 0, instance_id: int = 26001, **values: Any) -> dict[str, Any]:
    """A label row of a car with some value in every column; one that moves does so without a velocity."""
    row = {field.name: _SAMPLES.get(field.type, 0) for field in LABEL_SCHEMA}
    row |= dict.fromkeys(VELOCITY_WORLD, None if values.get("is_moving", False) else 0.0)
    return row | {"frame": frame, "instance_id": instance_id, "camera": "image_00", "class_name": "car"} | values


def make_labels(*rows: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=LABEL_SCHEMA)


def make_mark(group_id: str = "g", frames: Iterable[int] = (5,), status: str = "ok", **values: Any) -> dict[str, Any]:
    """What a run writes down of a group: a row of groups/."""
    frames = list(frames)
    row = {
        "group_id": group_id,
        "sequence": "s",
        "target_frame": frames[0],
        "frames": frames,
        "instance_ids": [26001],
        "status": status,
        "error": None,
        "attempts": 1,
        "seconds": 0.0,
    }
    return row | values


def make_marks(*rows: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=GROUP_SCHEMA)


# ---- boxes ----


def make_fit(instance_id: int = 26001, center_world: Any = (12.0, 0.0, 0.0), **values: Any) -> BoxFit:
    fit = {
        "instance_id": instance_id,
        "class_name": CLASSES.name_of(instance_id),
        "center_world": center_world,
        "dimensions_lwh": CAR_LWH,
        "yaw_world": 0.5,
        "confidence": 0.5,
        "mean_iou_2d": 0.5,
        "num_views": 2,
        "bearing_spread_deg": 10.0,
        "silhouette_loss": 0.1,
        "is_moving": False,
    }
    fit |= values
    box = UprightBoxes(
        *(np.array(fit.pop(name), np.float64) for name in ("center_world", "dimensions_lwh", "yaw_world"))
    )
    return BoxFit(box=box, **fit)


def make_truth(
    centers_world: Any,
    *,
    instance_ids: Any = None,  # 26000, 26001, … by default
    class_names: Iterable[str] | None = None,
    dimensions_lwh: Any = CAR_LWH,  # of each, or of all
    yaws_world: Any = 0.0,
    timestamps: Any = STATIC,
) -> TruthBoxes:
    """True boxes at centres [N, 3]: cars that stand still, unless said otherwise."""
    centers = np.array(centers_world, np.float64).reshape(-1, 3)
    count = len(centers)
    return TruthBoxes(
        instance_ids=26000 + np.arange(count) if instance_ids is None else np.array(instance_ids),
        class_names=("car",) * count if class_names is None else tuple(class_names),
        boxes=UprightBoxes(
            centers,
            np.broadcast_to(np.array(dimensions_lwh, np.float64), (count, 3)).copy(),
            np.broadcast_to(np.array(yaws_world, np.float64), count).copy(),
        ),
        timestamps=np.broadcast_to(np.array(timestamps), count).copy(),
    )


# ---- runs ----


def make_request(output: Location = Path("output"), **values: Any) -> LabelRequest:
    request = {"root": Path("root"), "sequences": ("s",), "output": output, "config": VSRDConfig()}
    return LabelRequest(**(request | values))


def make_progress(**values: Any) -> Progress:
    return Progress(**({"sequences": 1} | values))


def make_drive_plan(
    *groups: GroupPlan,
    index: pa.Table | None = None,
    empty_frames: Iterable[int] = (),
    fingerprint: str = "f",
    drive: Drive | None = None,
) -> DrivePlan:
    """The plan of a drive whose index shows its groups' instances in their labelled frames, and the empty frames."""
    empty_frames = tuple(empty_frames)
    if index is None:
        shown = {(frame, number) for group in groups for frame in group.label_frames for number in group.instance_ids}
        cars = [{"frame": f, "instance_id": n, "class_name": "car", "area": 1} for f, n in sorted(shown)]
        index = make_index(*cars, *({"frame": frame} for frame in empty_frames))
    return DrivePlan(
        drive=drive or make_drive(),
        index=index,
        fingerprint=fingerprint,
        groups=groups,
        empty_frames=empty_frames,
    )


def make_work(labeler_factory: Any, config: VSRDConfig | None = None, **values: Any) -> Work:
    """Work on the CPU, without traces."""
    options = {"device": "cpu", "trace": False}
    return Work(config=config or VSRDConfig(), labeler_factory=labeler_factory, **(options | values))


def make_loaded(
    group_id: str = "g",
    *,
    prepared: PreparedGroup | None = None,
    error: str | None = None,
    seconds: float = 0.0,
    attempts: int = 1,
) -> Loaded:
    return Loaded(group_id=group_id, prepared=prepared, error=error, seconds=seconds, attempts=attempts)


def make_result(
    group_id: str = "g",
    *,
    labels: pa.Table | None = None,
    error: str | None = None,
    load: float = 0.0,
    fit: float = 0.0,
    attempts: int = 1,
) -> GroupResult:
    seconds = Seconds(load=load, fit=fit)
    tables = None if labels is None else {"boxes": labels}
    return GroupResult(group_id=group_id, error=error, seconds=seconds, tables=tables, attempts=attempts)


def make_table(**values: Any) -> LabelTable:
    """The table of boxes, with some values of its own."""
    return replace(BOXES.table, **values)


def make_sink(output: Location, *tables: LabelTable) -> Sink:
    """A sink of boxes, or of what the tables say."""
    return Sink(output, tables or [make_table()])


def make_store(
    output: Location, groups: Iterable[GroupPlan], *tables: LabelTable, sequence: str = "s", camera: str = "image_00"
) -> GroupStore:
    """The groups of a sequence in a folder, with what is there: boxes, or what the tables say."""
    plan = make_drive_plan(*groups, drive=make_drive(sequence, camera=camera))
    marks = storage.names_in(output / "groups")
    return GroupStore(RunPaths(output), plan, tables or [make_table()], marks=marks)


def make_settings(request: LabelRequest) -> RunSettings:
    """What decides what the labels of a request are: of KITTI-360's first camera and cars, unless it says otherwise."""
    return RunSettings(
        config=request.config,
        dataset=request.dataset or "kitti360",
        camera=request.camera or "image_00",
        classes=request.classes or ("car",),
    )


def make_manifest(request: LabelRequest, progress: Progress | None = None) -> Manifest:
    """The manifest of a run that goes on with what is in its folder."""
    return Manifest(
        request.output,
        make_settings(request),
        read_manifest(request.output),
        root=request.root,
        limit=request.limit,
        progress=progress or make_progress(),
    )


def write_manifest(
    output: Location,
    sequences: Iterable[str] = ("s",),
    *,
    root: Location = Path("root"),
    camera: str = "image_00",
    classes: Iterable[str] = ("car",),
    kinds: Iterable[str] = ("boxes",),
    **values: Any,
) -> None:
    """Write the manifest of a run by hand: one that has ended, and does not say how many groups it has."""
    config = VSRDConfig()
    inputs = {"root": str(root), "dataset": "kitti360", "sequences": list(sequences), "camera": camera}
    inputs |= {"classes": list(classes), "kinds": list(kinds), "frames": {}, "skipped_frames": {}}
    content = {
        "status": "complete",
        "config": config.model_dump(mode="json"),
        "config_hash": config.hash(),
        "versions": {},
        "seed": config.seed,
        "inputs": inputs,
        "counts": {},
        "failures": [],
        "seconds": {"wall": 0.0, "device": 0.0},
    }
    RunPaths(output).manifest.write_text(json.dumps(content | values))


def write_evaluation(output: Location, root: Location) -> None:
    """Evaluate the boxes of a run, and keep what comes of it in the run's folder, as the command does."""
    text = json.dumps(values_of(evaluate_run(output, root), root), allow_nan=False)
    RunPaths(output).evaluation.write_text(text)
