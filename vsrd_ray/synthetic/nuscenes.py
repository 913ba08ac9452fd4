"""The surround layer as a root in nuScenes' layout: files, tables and point labels of one scene.

Frames: `global` is the street's world; `ego` and the sensors are those of the rig. Every few frames is a keyframe, a
`sample`; the others are sweeps. Tokens are digests of what they name, so that equal settings give equal tables.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from vsrd_ray.data.classes import IDS_PER_CLASS
from vsrd_ray.datasets.kitti360.classes import CLASSES
from vsrd_ray.geometry import rigid
from vsrd_ray.synthetic import rig
from vsrd_ray.synthetic.clock import microseconds
from vsrd_ray.synthetic.settings import FRAME_PERIOD, StreetSettings
from vsrd_ray.synthetic.street import Street

LIDAR = "LIDAR_TOP"
CHANNELS = (*rig.SURROUND, LIDAR)
VERSION = "v1.0-mini"
# All categories in the order of their indices in lidarseg.
CATEGORIES = (
    "noise",
    "animal",
    *(
        f"human.pedestrian.{kind}"
        for kind in (
            "adult",
            "child",
            "construction_worker",
            "personal_mobility",
            "police_officer",
            "stroller",
            "wheelchair",
        )
    ),
    *(f"movable_object.{kind}" for kind in ("barrier", "debris", "pushable_pullable", "trafficcone")),
    "static_object.bicycle_rack",
    *(
        f"vehicle.{kind}"
        for kind in (
            "bicycle",
            "bus.bendy",
            "bus.rigid",
            "car",
            "construction",
            "emergency.ambulance",
            "emergency.police",
            "motorcycle",
            "trailer",
            "truck",
        )
    ),
    *(f"flat.{kind}" for kind in ("driveable_surface", "other", "sidewalk", "terrain")),
    *(f"static.{kind}" for kind in ("manmade", "other", "vegetation")),
    "vehicle.ego",
)
_CATEGORY_OF = {
    "road": "flat.driveable_surface",
    "sidewalk": "flat.sidewalk",
    "terrain": "flat.terrain",
    "building": "static.manmade",
    "wall": "static.manmade",
    "pole": "static.manmade",
    "traffic sign": "static.manmade",
    "vegetation": "static.vegetation",
    "car": "vehicle.car",
    "truck": "vehicle.truck",
    "bus": "vehicle.bus.rigid",
    "caravan": "vehicle.trailer",
    "trailer": "vehicle.trailer",
}
_INDEX_OF = np.zeros(256, dtype=np.uint8)  # category's index by semantic id
for _name, _category in _CATEGORY_OF.items():
    _INDEX_OF[CLASSES.by_name[_name].number] = CATEGORIES.index(_category)


@dataclass(frozen=True)
class Files:
    """Where the files of one scene lie."""

    root: Path
    settings: StreetSettings

    def is_key(self, frame: int) -> bool:
        """Whether a frame is a keyframe."""
        return frame % self.settings.keyframe_every == 0

    def time(self, channel: str, frame: int) -> int:
        """Microseconds at which a sensor is read in a frame."""
        return microseconds(frame * FRAME_PERIOD + self.delay(channel))

    def delay(self, channel: str) -> float:
        """Seconds from a frame to the reading of a sensor: the LiDAR turns, and cameras are read as it passes."""
        return 0.0 if channel == LIDAR else rig.surround_delay(channel)

    def data(self, channel: str, frame: int) -> Path:
        """An image, or points with intensity 0..255 and ring."""
        folder = "samples" if self.is_key(frame) else "sweeps"
        suffix = ".pcd.bin" if channel == LIDAR else ".jpg"
        return self.root / folder / channel / f"{self._stem(channel, frame)}{suffix}"

    def truth(self, kind: str, channel: str, frame: int) -> Path:
        """What nuScenes has no place for: instance, semantic and depth maps of images, and ids of points."""
        suffix = ".npz" if channel == LIDAR else ".png"
        return self.root / "truth" / kind / channel / f"{self._stem(channel, frame)}{suffix}"

    def lidarseg(self, frame: int) -> Path:
        """Category of every point of a keyframe, uint8."""
        return self.root / "lidarseg" / VERSION / f"{self.token('sample_data', LIDAR, frame)}_lidarseg.bin"

    def panoptic(self, frame: int) -> Path:
        """Category * 1000 + instance of every point of a keyframe, uint16."""
        return self.root / "panoptic" / VERSION / f"{self.token('sample_data', LIDAR, frame)}_panoptic.npz"

    def token(self, *names: object) -> str:
        """The token of a row."""
        text = "/".join(map(str, (self.settings.sequence, self.settings.seed, *names)))
        return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()

    @property
    def log(self) -> str:
        """The name of the log, with which names of files begin."""
        return f"street-{self.settings.seed}"

    def _stem(self, channel: str, frame: int) -> str:
        return f"{self.log}__{channel}__{self.time(channel, frame)}"


def labels(street: Street, instance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Category index [N] uint8 and panoptic label [N] uint16 of points with ids [N] as in the masks."""
    category = _INDEX_OF[instance // IDS_PER_CLASS]
    numbers = np.zeros(1 << 16, dtype=np.uint16)
    for number, vehicle in enumerate(street.vehicles, start=1):
        numbers[vehicle.instance_id] = min(number, IDS_PER_CLASS - 1)
    return category, category.astype(np.uint16) * IDS_PER_CLASS + numbers[instance]


def write_tables(root: Path, street: Street, num_points: Mapping[int, Mapping[int, int]]) -> None:
    """Write all tables of the scene.

    Args:
        root: of the nuScenes layout, a local folder.
        street: with its settings.
        num_points: of each frame, the points of each instance in LIDAR_TOP.
    """
    files = Files(root, street.settings)
    keys = [frame for frame in range(street.settings.frames) if files.is_key(frame)]
    tables = {
        **_fixed_tables(files, keys),
        **_rig_tables(files),
        **_reading_tables(files, street, keys),
        **_annotation_tables(files, street, keys, num_points),
    }
    folder = root / VERSION
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in tables.items():
        (folder / f"{name}.json").write_text(json.dumps(rows, indent=0) + "\n")


def _fixed_tables(files: Files, keys: list[int]) -> dict[str, list[dict[str, Any]]]:
    log, scene = files.token("log"), files.token("scene")
    samples = [files.token("sample", frame) for frame in keys]
    return {
        "log": [
            {
                "token": log,
                "logfile": files.log,
                "vehicle": "street",
                "date_captured": "2013-05-28",
                "location": "street",
            }
        ],
        "map": [
            {
                "token": files.token("map"),
                "log_tokens": [log],
                "category": "semantic_prior",
                "filename": "maps/street.png",
            }
        ],
        "scene": [
            {
                "token": scene,
                "name": f"scene-{files.settings.sequence.split('_')[-2]}",
                "description": f"Built-in street, seed {files.settings.seed}",
                "log_token": log,
                "nbr_samples": len(keys),
                "first_sample_token": samples[0],
                "last_sample_token": samples[-1],
            }
        ],
        "sample": [
            {
                "token": token,
                "timestamp": files.time(LIDAR, frame),
                "scene_token": scene,
                **_neighbours(samples, i),
            }
            for i, (frame, token) in enumerate(zip(keys, samples, strict=True))
        ],
        "category": [
            {"token": files.token("category", name), "name": name, "description": "", "index": index}
            for index, name in enumerate(CATEGORIES)
        ],
        "attribute": [
            {"token": files.token("attribute", name), "name": name, "description": ""}
            for name in ("vehicle.moving", "vehicle.parked")
        ],
        "visibility": [
            {"token": str(i), "level": f"v{low}-{high}", "description": f"{low} to {high} % of the object are visible"}
            for i, (low, high) in enumerate(((0, 40), (40, 60), (60, 80), (80, 100)), start=1)
        ],
        "lidarseg": [_label_row(files, frame, files.lidarseg(frame)) for frame in keys],
        "panoptic": [_label_row(files, frame, files.panoptic(frame)) for frame in keys],
    }


def _rig_tables(files: Files) -> dict[str, list[dict[str, Any]]]:
    mounts = rig.surround_mounts(files.settings.surround_size)
    sensors, calibrated = [], []
    for channel in CHANNELS:
        is_camera = channel != LIDAR
        sensors.append(
            {
                "token": files.token("sensor", channel),
                "channel": channel,
                "modality": "camera" if is_camera else "lidar",
            }
        )
        T_ego_sensor = mounts[channel].T_ego_cam if is_camera else rig.T_EGO_TOP
        calibrated.append(
            {
                "token": files.token("calibrated_sensor", channel),
                "sensor_token": files.token("sensor", channel),
                **_placement(T_ego_sensor),
                "camera_intrinsic": mounts[channel].K.tolist() if is_camera else [],
            }
        )
    return {"sensor": sensors, "calibrated_sensor": calibrated}


def _reading_tables(files: Files, street: Street, keys: list[int]) -> dict[str, list[dict[str, Any]]]:
    """sample_data and ego_pose: a row for each reading of each sensor."""
    settings, readings, poses = files.settings, [], []
    width, height = settings.surround_size
    for channel in CHANNELS:
        tokens = [files.token("sample_data", channel, frame) for frame in range(settings.frames)]
        for frame, token in enumerate(tokens):
            pose, time = files.token("ego_pose", channel, frame), files.time(channel, frame)
            moment = frame + files.delay(channel) / FRAME_PERIOD
            T_global_ego = street.T_street_cam_at(moment) @ rigid.inverse(rig.T_EGO_CAM0)
            T_global_ego[:3, 3] += street.origin_world
            poses.append({"token": pose, "timestamp": time, **_placement(T_global_ego)})
            following = next((key for key in keys if key >= frame), keys[-1])
            readings.append(
                {
                    "token": token,
                    "sample_token": files.token("sample", following),
                    "ego_pose_token": pose,
                    "calibrated_sensor_token": files.token("calibrated_sensor", channel),
                    "timestamp": time,
                    "fileformat": "pcd" if channel == LIDAR else "jpg",
                    "is_key_frame": files.is_key(frame),
                    "width": 0 if channel == LIDAR else width,
                    "height": 0 if channel == LIDAR else height,
                    "filename": files.data(channel, frame).relative_to(files.root).as_posix(),
                    **_neighbours(tokens, frame),
                }
            )
    return {"sample_data": readings, "ego_pose": poses}


def _annotation_tables(
    files: Files, street: Street, keys: list[int], num_points: Mapping[int, Mapping[int, int]]
) -> dict[str, list[dict[str, Any]]]:
    """sample_annotation and instance: vehicles in those keyframes in which the LiDAR meets them."""
    annotations, instances = [], []
    for vehicle in street.vehicles:
        seen = [frame for frame in keys if num_points[frame].get(vehicle.instance_id, 0) > 0]
        tokens = [files.token("sample_annotation", vehicle.instance_id, frame) for frame in seen]
        instance = files.token("instance", vehicle.instance_id)
        for i, frame in enumerate(seen):
            center, yaw = vehicle.pose_at(frame)
            length, width, height = vehicle.dimensions_lwh.tolist()
            annotations.append(
                {
                    "token": tokens[i],
                    "sample_token": files.token("sample", frame),
                    "instance_token": instance,
                    "visibility_token": "4",
                    "attribute_tokens": [
                        files.token("attribute", "vehicle.moving" if vehicle.is_moving else "vehicle.parked")
                    ],
                    "translation": (center + street.origin_world).tolist(),
                    "size": [width, length, height],
                    "rotation": [float(np.cos(yaw / 2)), 0.0, 0.0, float(np.sin(yaw / 2))],
                    "num_lidar_pts": num_points[frame][vehicle.instance_id],
                    "num_radar_pts": 0,
                    **_neighbours(tokens, i),
                }
            )
        if seen:
            category = _CATEGORY_OF[CLASSES.name_of(vehicle.instance_id)]
            instances.append(
                {
                    "token": instance,
                    "category_token": files.token("category", category),
                    "nbr_annotations": len(seen),
                    "first_annotation_token": tokens[0],
                    "last_annotation_token": tokens[-1],
                }
            )
    return {"sample_annotation": annotations, "instance": instances}


def _label_row(files: Files, frame: int, path: Path) -> dict[str, Any]:
    token = files.token("sample_data", LIDAR, frame)
    return {"token": token, "sample_data_token": token, "filename": path.relative_to(files.root).as_posix()}


def _neighbours(tokens: list[str], index: int) -> dict[str, str]:
    """Tokens of the rows before and after one; empty at the ends."""
    return {
        "prev": tokens[index - 1] if index > 0 else "",
        "next": tokens[index + 1] if index + 1 < len(tokens) else "",
    }


def _placement(T_a_b: np.ndarray) -> dict[str, list[float]]:
    """Translation (m) and rotation (quaternion w x y z)."""
    x, y, z, w = Rotation.from_matrix(T_a_b[:3, :3]).as_quat(canonical=True).tolist()
    return {"translation": T_a_b[:3, 3].tolist(), "rotation": [w, x, y, z]}
