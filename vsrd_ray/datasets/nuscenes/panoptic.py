"""What the LiDAR points of keyframes truly are: the files of nuScenes-panoptic and nuScenes-lidarseg. Evaluation alone.

Shapes: P points of a sweep, C categories.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from zipfile import BadZipFile

import numpy as np

from vsrd_ray.data.classes import IDS_PER_CLASS
from vsrd_ray.datasets.nuscenes import tables
from vsrd_ray.datasets.nuscenes.classes import number_of_category
from vsrd_ray.datasets.nuscenes.drives import Scene
from vsrd_ray.errors import InputError, UnreadableFrameError, one_line
from vsrd_ray.storage import Location, names_in, read_bytes

POINTS_KIND = "points"  # the kind of label that it is the truth of


@dataclass(frozen=True)
class TruthPoints:
    """True labels of the points of some frames, read when they are asked for."""

    sensor: str  # the LiDAR
    files: Mapping[int, Location]  # frame -> panoptic file; these frames have truth
    semantic_files: Mapping[int, Location]  # frame -> lidarseg file
    class_of: np.ndarray  # [C] class number of each category

    @property
    def frames(self) -> tuple[int, ...]:
        """Frames, ascending, that have labels."""
        return tuple(sorted(self.files))

    def labels(self, frame: int) -> np.ndarray:
        """Class number * 1000 + instance [P] uint16, in the order of the points.

        Classes are the 16 of the challenge; 0 where points count as nothing. Stuff has instance 0. Instances are
        numbered over the scene, as those of its boxes.

        Raises:
            UnreadableFrameError: the file is truncated or corrupt.
            InputError: no such file, or one of other numbers.
        """
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
        path = self.semantic_files[frame]
        return self._classes(np.frombuffer(_bytes(path), dtype=np.uint8), path).astype(np.uint8)

    def _classes(self, categories: np.ndarray, path: Location) -> np.ndarray:
        if categories.max(initial=0) >= len(self.class_of):
            raise InputError(
                f"{path}: category {categories.max()}, and category.json has {len(self.class_of)}: "
                "take the tables that come with lidarseg"
            )
        return self.class_of[categories]


def open_points(scene: Scene) -> TruthPoints | None:
    """The true labels of a scene's points; None where it has no panoptic file.

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
        if files:
            return TruthPoints(sensor, files, semantic_files, _class_of_category(scene.root, scene.version))
    return None


def _class_of_category(root: Location, version: str) -> np.ndarray:
    """Class number [C] uint16 of each index of a category."""
    rows = tables.read(root, version, "category")
    if rows["index"].null_count:
        path = tables.table_file(root, version, "category")
        raise InputError(f"{path}: categories without an index: take the tables that come with lidarseg")
    indices = rows["index"].to_numpy()
    class_of = np.zeros(int(indices.max(initial=0)) + 1, dtype=np.uint16)
    class_of[indices] = [number_of_category(name) for name in rows["name"].to_pylist()]
    return class_of


def _bytes(path: Location) -> bytes:
    try:
        return read_bytes(path)
    except FileNotFoundError:
        raise InputError(f"no labels {path}: restore the file") from None
