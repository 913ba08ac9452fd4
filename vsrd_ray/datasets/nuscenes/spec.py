"""nuScenes as a dataset: what the rest of the house asks of it."""

from typing import Any, cast

import numpy as np

from vsrd_ray.data.drive import DEPTH, IMAGES, MASKS, POINTS, SEMANTICS, Drive
from vsrd_ray.data.truth import BOXES
from vsrd_ray.datasets.nuscenes import boxes, drives, layers, occ3d, panoptic, present, sparse
from vsrd_ray.datasets.nuscenes.classes import CLASSES
from vsrd_ray.datasets.nuscenes.tables import table_file, versions
from vsrd_ray.errors import InputError
from vsrd_ray.storage import Location, is_folder

_RIG = ("CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_BACK_RIGHT", "CAM_BACK", "CAM_BACK_LEFT", "CAM_FRONT_LEFT")


class NuScenes:
    """nuScenes: see `vsrd_ray.datasets.base.Dataset` for what each of these is."""

    name = "nuscenes"
    title = "nuScenes"
    summary = "nuScenes v1.0: cameras and LiDAR all round, keyframes and sweeps; boxes and labels of points as truth"
    classes = CLASSES
    cameras = _RIG
    layers = (IMAGES, MASKS, POINTS, DEPTH, SEMANTICS)
    truths = (BOXES, panoptic.POINTS_KIND, occ3d.KIND)

    def recognises(self, root: Location) -> bool:
        """Where there is a folder of tables."""
        return bool(versions(root))

    def drives(self, root: Location) -> list[str]:
        """Names of the scenes of all versions.

        Raises:
            InputError: `root` is no folder, or its tables cannot be used.
        """
        return drives.list_scenes(root)

    def has_layer(self, root: Location, name: str, layer: str, sensor: str) -> bool:
        """Whether a scene has any frame of it."""
        if layer not in self.layers or (layer == MASKS and not is_folder(root / "masks" / sensor)):
            return False
        return drives.has_any(root, name, layer, sensor)

    def missing(self, root: Location, name: str | None, layer: str, sensor: str) -> str:
        """The folder that should have held it, and what to unpack there."""
        of = f" of {name}" if name else ""
        match layer:
            case "images" | "points":
                channel, what = (sensor, "images") if layer == IMAGES else ("LIDAR_TOP", "points")
                return f"no {what}{of} in {root / 'samples' / channel}: unpack the file blobs there"
            case "masks":
                folder = root / "masks" / sensor
                files = "instance_<image>.npz and semantic_<image>.npz"
                return f"no masks{of} in {folder}: give --masks, or put {files} there"
            case "depth" | "semantics":
                folder = root / present.SPARSE_FOLDERS[layer]
                return f"no {layer}{of} in {folder}: put <image file name>.bin there, as RenderOcc makes them of LiDAR"
            case _:
                return f"nuScenes has no {layer} here: choose a labeler that needs none, or another dataset"

    def open(self, root: Location, name: str, cameras: tuple[str, ...]) -> Drive:
        """See `Dataset.open`; of `cameras` as a whole, those that the scene's own rig has."""
        return drives.open_scene(root, name, cameras, rig=self.cameras)

    def fingerprint(self, root: Location, name: str, cameras: tuple[str, ...]) -> str:
        """Of the rows of the scene, not of whole tables: what else a release holds does not matter."""
        return drives.fingerprint(drives.open_scene(root, name, cameras, rig=self.cameras))

    def read(self, drive: Drive, layer: str, sensor: str, frame: int) -> np.ndarray:
        """See `Drive.read`. `POINTS` are [P, 5]: x right, y forward, z up (m), intensity 0..255, ring."""
        read = {
            IMAGES: layers.read_image,
            MASKS: layers.read_masks,
            POINTS: layers.read_points,
            DEPTH: sparse.read_sparse_depth,
            SEMANTICS: sparse.read_sparse_semantics,
        }[layer]
        return read(_scene(drive), sensor, frame)

    def file(self, drive: Drive, layer: str, sensor: str, frame: int) -> Location:
        """See `Drive.file`; of masks, the instance map."""
        if layer in present.SPARSE_FOLDERS:
            return present.sparse_file(drive.root, layer, _scene(drive).files[sensor][frame])
        find = layers.mask_file if layer == MASKS else layers.image_file
        return find(_scene(drive), sensor, frame)

    def truth(self, root: Location, name: str, kind: str) -> Any:
        """`TruthBoxes` of sample_annotation, `panoptic.TruthPoints`, or `TruthVoxels`."""
        if kind == BOXES:
            return boxes.read_boxes(root, name)
        if kind not in self.truths:
            raise InputError(f"nuScenes has no true {kind} here: there are {', '.join(self.truths)}")
        scene = _scene(self.open(root, name, self.cameras))
        if kind == occ3d.KIND:
            if (voxels := occ3d.truth_of_voxels(root, name, scene.sample_tokens)) is None:
                raise InputError(f"no true voxels of {name} in {root / 'gts'}: unpack Occ3D-nuScenes' gts there")
            return voxels
        if (found := panoptic.open_points(scene)) is None:
            folder = root / "panoptic" / scene.version
            raise InputError(f"no labels of points of {name} in {folder}: unpack nuScenes-panoptic or -lidarseg")
        return found

    def has_truth(self, root: Location, name: str, kind: str) -> bool:
        """Whether a scene has annotations, panoptic files, or Occ3D's voxels."""
        match kind:
            case "boxes":
                return boxes.annotations_of(root, drives.version_of(root, name), name) is not None
            case "points":
                return panoptic.open_points(_scene(self.open(root, name, self.cameras))) is not None
            case occ3d.KIND:
                tokens = _scene(self.open(root, name, self.cameras)).sample_tokens
                return occ3d.truth_of_voxels(root, name, tokens) is not None
            case _:
                return False

    def split(self, name: str) -> str | None:
        """None: the lists of scenes come with the devkit, and not with the tables."""
        return None

    def detail(self, drive: Drive, name: str) -> Any:
        """`sample_tokens` of keyframes by frame, `tokens` of sample_data by sensor and frame, file of `poses`."""
        scene = _scene(drive)
        match name:
            case "sample_tokens":
                return scene.sample_tokens
            case "tokens":
                return scene.tokens
            case "poses":
                return table_file(scene.root, scene.version, "ego_pose")
            case _:
                return None


def _scene(drive: Drive) -> drives.Scene:
    """A drive that this dataset has opened."""
    return cast(drives.Scene, drive)


SPEC = NuScenes()
