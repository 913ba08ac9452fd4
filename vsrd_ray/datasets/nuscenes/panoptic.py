"""What the LiDAR points of keyframes truly are: the files of nuScenes-panoptic and nuScenes-lidarseg. Evaluation alone.

Where there is lidarseg without panoptic, labels are made of it and of the annotated boxes, by nuScenes-panoptic's rule.
A point has the instance of the one box of its own category that it lies in; it is void where it lies in none or in two.
Shapes: P points of a sweep, N annotations of a keyframe, C categories.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from zipfile import BadZipFile

import numpy as np
import pyarrow as pa

from vsrd_ray.data.classes import IDS_PER_CLASS
from vsrd_ray.datasets.nuscenes import tables
from vsrd_ray.datasets.nuscenes.boxes import annotations_of, boxes_of
from vsrd_ray.datasets.nuscenes.classes import CLASSES, number_of_category
from vsrd_ray.datasets.nuscenes.drives import Scene
from vsrd_ray.datasets.nuscenes.layers import read_points
from vsrd_ray.errors import InputError, UnreadableFrameError, one_line
from vsrd_ray.geometry import rigid
from vsrd_ray.storage import Location, names_in, read_bytes

POINTS_KIND = "points"  # the kind of label that it is the truth of
_THINGS = [one.number for one in CLASSES if one.is_thing]


@dataclass(frozen=True)
class TruthPoints:
    """True labels of the points of some frames, read when they are asked for."""

    scene: Scene
    sensor: str  # the LiDAR
    files: Mapping[int, Location]  # frame -> panoptic file
    semantic_files: Mapping[int, Location]  # frame -> lidarseg file
    categories: Mapping[str, int]  # index of each category
    class_of: np.ndarray  # [C] class number of each index
    annotations: pa.RecordBatch | None  # of the scene; None where none are needed

    @property
    def frames(self) -> tuple[int, ...]:
        """Frames, ascending, that have labels: of a panoptic file or, with annotations, of a lidarseg file."""
        made = self.semantic_files if self.annotations is not None else ()
        return tuple(sorted({*self.files, *made}))

    def labels(self, frame: int) -> np.ndarray:
        """Class number * 1000 + instance [P] uint16, in the order of the points.

        Classes are the 16 of the challenge; 0 where points count as nothing. Stuff has instance 0. Instances are
        numbered over the scene, as those of its boxes.

        Raises:
            UnreadableFrameError: the file is truncated or corrupt.
            InputError: no such file, or one of other numbers.
        """
        if frame not in self.files:
            return self._made(frame)
        path = self.files[frame]
        try:
            with np.load(BytesIO(_bytes(path)), allow_pickle=False) as arrays:
                data = arrays["data"]
        except (BadZipFile, ValueError, EOFError, OSError) as error:
            raise UnreadableFrameError(f"{path}: no .npz of arrays ({one_line(error)}): restore the file") from error
        except KeyError:
            raise InputError(f"{path}: no array 'data': expected labels of nuScenes-panoptic") from None
        if data.ndim != 1 or data.dtype != np.uint16:
            raise InputError(f"{path}: expected uint16 [P], got {data.dtype} {list(data.shape)}: restore the file")
        classes = self._classes(data // IDS_PER_CLASS, path)
        return np.where(classes > 0, classes * IDS_PER_CLASS + data % IDS_PER_CLASS, 0).astype(np.uint16)

    def classes(self, frame: int) -> np.ndarray:
        """Class number [P] uint8 of every point by lidarseg, of those too that no one box tells an instance of.

        Raises:
            InputError: no such file, or one of other numbers.
        """
        return self._classes(self._semantic(frame), self.semantic_files[frame]).astype(np.uint8)

    def _semantic(self, frame: int) -> np.ndarray:
        return np.frombuffer(_bytes(self.semantic_files[frame]), dtype=np.uint8)

    def _made(self, frame: int) -> np.ndarray:
        """Labels [P] uint16 of lidarseg and boxes."""
        categories, points = self._semantic(frame), read_points(self.scene, self.sensor, frame)
        if len(categories) != len(points):
            path = self.semantic_files[frame]
            raise InputError(f"{path}: {len(categories)} labels for {len(points)} points: restore the file")
        classes = self._classes(categories, self.semantic_files[frame])
        T_world_lidar = self.scene.lidars[self.sensor].T_world_lidar[frame]
        points_world = rigid.apply(T_world_lidar, points[:, :3].astype(np.float64))
        number, num_boxes = np.zeros(len(points), dtype=np.uint16), np.zeros(len(points), dtype=np.int64)
        rows = boxes_of(self.annotations, frame)
        for name, own, T_box_world, half in zip(*rows, strict=True):
            chosen = np.flatnonzero(categories == self.categories.get(name, -1))
            inside = chosen[(np.abs(rigid.apply(T_box_world, points_world[chosen])) <= half).all(axis=1)]
            number[inside] = own
            num_boxes[inside] += 1
        is_thing = np.isin(classes, _THINGS)
        labels = np.where(is_thing, classes * IDS_PER_CLASS + number, classes * IDS_PER_CLASS)
        return np.where(is_thing & (num_boxes != 1), 0, labels).astype(np.uint16)

    def _classes(self, categories: np.ndarray, path: Location) -> np.ndarray:
        if categories.max(initial=0) >= len(self.class_of):
            raise InputError(
                f"{path}: category {categories.max()}, and category.json has {len(self.class_of)}: "
                "take the tables that come with lidarseg"
            )
        return self.class_of[categories]


def open_points(scene: Scene) -> TruthPoints | None:
    """The true labels of a scene's points; None where it has neither panoptic files nor lidarseg files and boxes.

    Raises:
        InputError: category.json cannot be used.
    """
    folders = {kind: scene.root / kind / scene.version for kind in ("panoptic", "lidarseg")}
    names = {kind: frozenset(names_in(folder)) for kind, folder in folders.items()}
    for sensor in scene.lidars:
        tokens = {frame: token for frame, token in scene.tokens[sensor].items() if frame in scene.sample_tokens}
        files, semantic_files = (
            {
                frame: folders[kind] / f"{token}_{kind}{suffix}"
                for frame, token in tokens.items()
                if f"{token}_{kind}{suffix}" in names[kind]
            }
            for kind, suffix in (("panoptic", ".npz"), ("lidarseg", ".bin"))
        )
        rows = None if semantic_files.keys() <= files.keys() else annotations_of(scene.root, scene.version, scene.name)
        if files or rows is not None:
            categories, class_of = _categories(scene.root, scene.version)
            return TruthPoints(scene, sensor, files, semantic_files, categories, class_of, rows)
    return None


def _categories(root: Location, version: str) -> tuple[dict[str, int], np.ndarray]:
    """The index of each category, and the class number [C] uint16 of each index."""
    rows = tables.read(root, version, "category")
    if rows["index"].null_count:
        path = tables.table_file(root, version, "category")
        raise InputError(f"{path}: categories without an index: take the tables that come with lidarseg")
    indices = rows["index"].to_numpy()
    class_of = np.zeros(int(indices.max(initial=0)) + 1, dtype=np.uint16)
    names = rows["name"].to_pylist()
    class_of[indices] = [number_of_category(name) for name in names]
    return dict(zip(names, indices.tolist(), strict=True)), class_of


def _bytes(path: Location) -> bytes:
    try:
        return read_bytes(path)
    except FileNotFoundError:
        raise InputError(f"no labels {path}: restore the file") from None
