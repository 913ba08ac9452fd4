"""Info files of MMDetection3D 1.1 and later, for its `KittiDataset`, beside the folder of the format `kitti`.

Shapes: N boxes of one frame.
"""

import pickle
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vsrd_ray.labels.boxes.columns import (
    ALPHA,
    BOTTOM_CAM,
    BOX_2D,
    HEIGHT,
    LENGTH,
    ROTATION_Y,
    WIDTH,
    centers_cam,
    numbers,
    velocities_of,
)
from vsrd_ray.labels.boxes.formats import kitti
from vsrd_ray.labels.boxes.formats.samples import Sample, number_samples
from vsrd_ray.labels.boxes.formats.splits import SPLITS
from vsrd_ray.labels.boxes.kitti import DIFFICULTIES, kitti_type
from vsrd_ray.labels.boxes.selection import LabelledSequence

INFO_VERSION = "1.1"
# A box as CameraInstance3DBoxes has it.
_BOX_3D = (*BOTTOM_CAM, LENGTH, HEIGHT, WIDTH, ROTATION_Y)
# Labels as KittiDataset numbers them; types that KITTI does not have come after these.
_KITTI_TYPES = ("Pedestrian", "Cyclist", "Car", "Van", "Truck", "Person_sitting", "Tram", "Misc")


def write(sequences: Sequence[LabelledSequence], folder: Path, done: Callable[[], None]) -> None:
    """Write what `kitti` writes, and kitti_infos_{train,val,test,trainval}.pkl.

    Args:
        sequences: what to write.
        folder: an empty one, beside the one that it becomes.
        done: called after every frame.
    """
    samples = number_samples(sequences)
    kitti.write_samples(samples, folder, done)
    names = {kitti_type(name) for sample in samples for name in sample.rows["class_name"].to_pylist()}
    labels = {name: number for number, name in enumerate((*_KITTI_TYPES, *sorted(names - set(_KITTI_TYPES))))}
    T_cam_lidar = {sample.sequence.name: kitti.T_cam_lidar(sample.sequence) for sample in reversed(samples)}
    infos = {sample.number: _info(sample, labels, T_cam_lidar[sample.sequence.name]) for sample in samples}
    for name, splits in {**{split: (split,) for split in SPLITS}, "trainval": ("train", "val")}.items():
        chosen = [infos[sample.number] for sample in samples if sample.split in splits]
        _write_infos(chosen, labels, folder / f"kitti_infos_{name}.pkl")


def _write_infos(infos: Iterable[dict[str, Any]], labels: dict[str, int], path: Path) -> None:
    metainfo = {"categories": labels, "dataset": "kitti", "info_version": INFO_VERSION}
    with path.open("wb") as file:
        pickle.dump({"metainfo": metainfo, "data_list": list(infos)}, file)


def _info(sample: Sample, labels: dict[str, int], T_cam_lidar: np.ndarray) -> dict[str, Any]:
    """One entry of `data_list`."""
    cam2img = np.eye(4)
    cam2img[:3, :3] = sample.view.K
    camera = {
        "img_path": f"{sample.name}.png",
        "height": sample.view.image_size[1],
        "width": sample.view.image_size[0],
        "cam2img": cam2img.tolist(),
        "lidar2cam": T_cam_lidar.tolist(),
        "lidar2img": (cam2img @ T_cam_lidar).tolist(),
    }
    instances = _instances(sample, labels)
    instances += [_ignored(row, len(instances) + n) for n, row in enumerate(sample.ignored.to_pylist())]
    return {
        "sample_idx": sample.number,
        "images": {"CAM2": camera, "R0_rect": np.eye(4).tolist()},
        "lidar_points": {
            "num_pts_feats": 4,
            "lidar_path": f"{sample.name}.bin",
            "Tr_velo_to_cam": T_cam_lidar.tolist(),
        },
        "instances": instances,
        "cam_instances": {"CAM2": instances},
    }


def _instances(sample: Sample, labels: dict[str, int]) -> list[dict[str, Any]]:
    rows = sample.rows
    centers = centers_cam(rows)
    pixels = centers @ sample.view.K.T
    difficulties = _difficulties(rows)
    velocities = velocities_of(rows, has_times=bool(sample.sequence.camera.times_s))
    velocities_cam = velocities @ sample.view.T_world_cam[:2, :3]
    return [
        {
            "bbox": [row[name] for name in BOX_2D],
            "bbox_label": labels[kitti_type(row["class_name"])],
            "bbox_3d": [row[name] for name in _BOX_3D],
            "bbox_3d_isvalid": True,
            "bbox_label_3d": labels[kitti_type(row["class_name"])],
            "depth": float(centers[n, 2]),
            "center_2d": (pixels[n, :2] / pixels[n, 2]).tolist(),
            "num_lidar_pts": -1,  # not known: there are no points
            "difficulty": int(difficulties[n]),
            "truncated": row["truncation"],
            "occluded": row["occlusion"],
            "alpha": row[ALPHA],
            "velocity": velocities_cam[n, [0, 2]].tolist(),  # along the camera's x and z, as its nuScenes infos have it
            "score": row["confidence"],
            "index": n,
            "group_id": n,
            "instance_id": row["instance_id"],
        }
        for n, row in enumerate(rows.to_pylist())
    ]


def _ignored(row: dict[str, Any], number: int) -> dict[str, Any]:
    """A region that is neither an object nor background, as MMDetection3D has KITTI's DontCare: its label is -1."""
    return {
        "bbox": [row[name] for name in BOX_2D],
        "bbox_label": -1,
        "bbox_3d": [-1000.0, -1000.0, -1000.0, -1.0, -1.0, -1.0, -10.0],
        "bbox_3d_isvalid": False,
        "bbox_label_3d": -1,
        "depth": -1000.0,
        "center_2d": [-1.0, -1.0],
        "num_lidar_pts": -1,
        "difficulty": -1,
        "truncated": -1.0,
        "occluded": -1,
        "alpha": -10.0,
        "velocity": [np.nan, np.nan],
        "score": row["confidence"],
        "index": number,
        "group_id": number,
        "instance_id": row["instance_id"],
    }


def _difficulties(rows: Any) -> np.ndarray:
    """KITTI's difficulty of each box [N]: 0 easy, 1 moderate, 2 hard, -1 none of them."""
    _, tops, _, bottoms = numbers(rows, BOX_2D).T
    heights = bottoms - tops
    occlusion, truncation = rows["occlusion"].to_numpy(), rows["truncation"].to_numpy()
    difficulties = np.full(len(heights), -1)
    for level, difficulty in reversed(list(enumerate(DIFFICULTIES))):
        is_tall, is_seen = heights > difficulty.min_height, occlusion <= difficulty.max_occlusion
        difficulties[is_tall & is_seen & (truncation <= difficulty.max_truncation)] = level
    return difficulties
