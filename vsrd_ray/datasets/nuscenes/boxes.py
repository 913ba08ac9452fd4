"""The annotated boxes of a scene: the truth. Evaluation and pictures read them; nothing that labels does.

Instances of a scene are numbered from 1 as they first appear, by keyframe, then by row: as the generator of
nuScenes-panoptic numbers them, so that boxes and labels of points share ids.
Shapes: N annotations.
"""

import logging
import math
from collections import Counter
from collections.abc import Callable

import numpy as np
import pyarrow as pa
from scipy.spatial.transform import Rotation

from vsrd_ray.data.classes import IDS_PER_CLASS
from vsrd_ray.data.truth import STATIC, TruthBoxes
from vsrd_ray.datasets.nuscenes import tables
from vsrd_ray.datasets.nuscenes.cache import Recipe, cached
from vsrd_ray.datasets.nuscenes.classes import CLASSES, number_of_category
from vsrd_ray.datasets.nuscenes.drives import version_of
from vsrd_ray.datasets.nuscenes.frames import KEYFRAME_STEP
from vsrd_ray.datasets.nuscenes.readings import ranks
from vsrd_ray.datasets.nuscenes.tables import compute
from vsrd_ray.geometry import rigid
from vsrd_ray.geometry.boxes import UprightBoxes, wrap_angle
from vsrd_ray.storage import Location

logger = logging.getLogger(__name__)

_NUMBERS = pa.list_(pa.float64())
# A row for each annotation of a scene, by keyframe and row.
SCHEMA = pa.schema(
    [
        ("sample", pa.int32()),  # place of its keyframe among the scene's
        ("number", pa.int32()),  # of its instance in the scene, from 1
        ("category", pa.string()),
        ("T_global_box", _NUMBERS),  # translation in metres, then quaternion w x y z
        ("size_wlh", _NUMBERS),  # metres
        ("num_lidar_pts", pa.int32()),
    ]
)
_MAX_TILT_DEG = 5.0
_STILL = 0.5  # metres; what stays within stands, and annotators have placed it anew in every keyframe
_LEAST_SIDE = 1e-3  # metres
_ROUNDING = 2e-3  # by which the squared length of a quaternion may be off 1


def read_boxes(root: Location, name: str) -> TruthBoxes:
    """The boxes of a scene, in the order of instances, then frames.

    What stands has one box for all frames, the one with the most LiDAR points: its instance's centres stay within
    half a metre. Everything else has a box for each keyframe in which it was annotated.

    Raises:
        InputError: no sample_annotation, or a table that cannot be used.
    """
    version = version_of(root, name)
    rows = cached(root, version, ANNOTATIONS).of(name)
    placements = _array(rows, "T_global_box", 7)
    sizes, numbers = _array(rows, "size_wlh", 3), rows["number"].to_numpy()
    class_numbers = np.array([number_of_category(one) for one in rows["category"].to_pylist()], dtype=np.int64)
    reasons = _why_not(class_numbers, numbers, placements, sizes)
    skipped = Counter(reason for reason in reasons if reason)
    if skipped:
        told = ", ".join(f"{count} {reason}" for reason, count in skipped.items())
        where = tables.table_file(root, version, "sample_annotation")
        logger.warning("%s: %d annotations of %s are left out: %s.", where, skipped.total(), name, told)
    timestamps = rows["sample"].to_numpy().astype(np.int32) * KEYFRAME_STEP
    chosen: list[int] = []
    counting = np.array([reason == "" for reason in reasons], dtype=bool)
    num_points = rows["num_lidar_pts"].to_numpy()
    for number in np.unique(numbers[counting]).tolist():
        own = np.flatnonzero(counting & (numbers == number))
        centers = placements[own, :3]
        if np.linalg.norm(centers - np.median(centers, axis=0), axis=1).max() <= _STILL:
            own = own[[int(num_points[own].argmax())]]
            timestamps[own] = STATIC
        chosen += own.tolist()
    ids = class_numbers[chosen] * IDS_PER_CLASS + numbers[chosen]
    forward = _forward(placements[chosen, 3:])
    return TruthBoxes(
        instance_ids=ids.astype(np.int32),
        class_names=tuple(CLASSES.name_of(instance_id) for instance_id in ids.tolist()),
        boxes=UprightBoxes(
            placements[chosen, :3], sizes[chosen][:, [1, 0, 2]], wrap_angle(np.arctan2(forward[:, 1], forward[:, 0]))
        ),
        timestamps=timestamps[chosen],
        skipped=dict(skipped),
    )


def _why_not(class_numbers: np.ndarray, numbers: np.ndarray, placements: np.ndarray, sizes: np.ndarray) -> list[str]:
    """Why each annotation [N] does not count; empty where it does."""
    w, x, y, z = placements[:, 3:].T
    is_rigid = (np.abs(w * w + x * x + y * y + z * z - 1) < _ROUNDING) & np.isfinite(placements).all(axis=1)
    up = 1 - 2 * (x * x + y * y)  # third entry of the box's z axis
    faults = (
        ("of no class of the challenges", class_numbers == 0),
        (f"of the {IDS_PER_CLASS}th instance or a later one", numbers >= IDS_PER_CLASS),
        ("without a volume", ~(sizes >= _LEAST_SIDE).all(axis=1)),
        ("that are not rigid", ~is_rigid),
        (f"tilted by more than {_MAX_TILT_DEG:g} degrees", ~(up >= math.cos(math.radians(_MAX_TILT_DEG)))),
    )
    reasons = np.full(len(numbers), "", dtype=object)
    for reason, holds in reversed(faults):
        reasons[holds] = reason
    return reasons.tolist()


def _forward(quaternions: np.ndarray) -> np.ndarray:
    """The box's x axis [N, 2] seen from above, of quaternions w x y z [N, 4]."""
    w, x, y, z = quaternions.T
    return np.stack([1 - 2 * (y * y + z * z), 2 * (x * y + w * z)], axis=-1)


def _array(rows: pa.RecordBatch, column: str, size: int) -> np.ndarray:
    return compute.list_flatten(rows[column]).to_numpy().reshape(-1, size)


def _make(root: Location, version: str) -> tuple[list[str], Callable[[int], pa.RecordBatch]]:
    """All annotations of a version, made small while they are read, and what gives a scene's."""
    scenes, samples, instances, categories = (
        tables.read(root, version, name) for name in ("scene", "sample", "instance", "category")
    )
    files = {name: tables.table_file(root, version, name) for name in ("sample", "instance", "sample_annotation")}
    scene_of_sample = tables.places(samples["scene_token"], scenes["token"], path=files["sample"], what="scene")
    place_of_sample = ranks(scene_of_sample, samples["timestamp"].to_numpy())
    category = tables.places(instances["category_token"], categories["token"], path=files["instance"], what="category")
    names = categories["name"].combine_chunks()
    path, parts = files["sample_annotation"], []
    for part in tables.stream(root, version, "sample_annotation"):
        parts.append(
            (
                tables.places(part["sample_token"], samples["token"], path=path, what="sample"),
                tables.places(part["instance_token"], instances["token"], path=path, what="instance"),
                tables.placements(part, path=path),
                tables.numbers(part["size"], 3, path=path),
                part["num_lidar_pts"].to_numpy(),
            )
        )
    empty = (np.empty(0, np.int64), np.empty(0, np.int64), np.empty((0, 7)), np.empty((0, 3)), np.empty(0, np.int32))
    sample, instance, placements, sizes, num_points = map(np.concatenate, zip(empty, *parts, strict=True))
    scene = scene_of_sample[sample]
    order = np.lexsort((np.arange(len(sample)), place_of_sample[sample], scene))
    starts = np.searchsorted(scene[order], np.arange(len(scenes) + 1))

    def batch(place: int) -> pa.RecordBatch:
        own = order[starts[place] : starts[place + 1]]
        columns = (
            place_of_sample[sample[own]],
            _numbered(instance[own]),
            names.take(pa.array(category[instance[own]])),
            list(placements[own]),
            list(sizes[own]),
            num_points[own],
        )
        arrays = [pa.array(values, field.type) for values, field in zip(columns, SCHEMA, strict=True)]
        return pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)

    return scenes["name"].to_pylist(), batch


def _numbered(instances: np.ndarray) -> np.ndarray:
    """Number [N] from 1 of each instance, in the order in which they first appear."""
    _, first, inverse = np.unique(instances, return_index=True, return_inverse=True)
    number = np.empty(len(first), dtype=np.int32)
    number[np.argsort(first)] = np.arange(1, len(first) + 1)
    return number[inverse]


ANNOTATIONS = Recipe(
    name="annotations",
    tables=("scene", "sample", "instance", "category", "sample_annotation"),
    schema=SCHEMA,
    make=_make,
)


def annotations_of(root: Location, version: str, name: str) -> pa.RecordBatch | None:
    """The annotations of a scene, rows of `SCHEMA`; None where it has none, as scenes of the test split.

    Raises:
        InputError: a table cannot be used.
    """
    if not tables.table_file(root, version, "sample_annotation").exists():
        return None
    rows = cached(root, version, ANNOTATIONS).of(name)
    return rows if rows.num_rows else None


def boxes_of(rows: pa.RecordBatch, frame: int) -> tuple[list[str], list[int], np.ndarray, np.ndarray]:
    """The annotations of a keyframe: categories, numbers, `T_box_world` [N, 4, 4] and half extents [N, 3] (l, w, h)."""
    rows = rows.filter(pa.array(rows["sample"].to_numpy() * KEYFRAME_STEP == frame))
    placements = _array(rows, "T_global_box", 7)
    T_world_box = np.tile(np.eye(4), (rows.num_rows, 1, 1))
    if rows.num_rows:
        T_world_box[:, :3, :3] = Rotation.from_quat(placements[:, [4, 5, 6, 3]]).as_matrix()
    T_world_box[:, :3, 3] = placements[:, :3]
    half = _array(rows, "size_wlh", 3)[:, [1, 0, 2]] / 2
    return rows["category"].to_pylist(), rows["number"].to_pylist(), rigid.inverse(T_world_box), half
