"""Scenes as drives: opening one without reading a pixel, and what tells that its files have changed.

Shapes: R readings of one sensor.
"""

import hashlib
import json
import logging
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
from scipy.spatial.transform import Rotation

from vsrd_ray.data.drive import IMAGES, MASKS, POINTS, Camera, Drive, Lidar
from vsrd_ray.data.index import INDEX_VERSION
from vsrd_ray.datasets.base import check_camera, check_known
from vsrd_ray.datasets.nuscenes.cache import SceneBatches, cached
from vsrd_ray.datasets.nuscenes.frames import number_frames
from vsrd_ray.datasets.nuscenes.present import (
    SPARSE_FOLDERS,
    files_there,
    frames_there,
    frames_with_masks,
    frames_with_sparse,
    mask_names,
    sparse_layers,
    when_changed,
)
from vsrd_ray.datasets.nuscenes.readings import MODALITIES, READINGS
from vsrd_ray.datasets.nuscenes.tables import check_root, compute, table_file, versions
from vsrd_ray.errors import InputError, nearest_name
from vsrd_ray.storage import Location, absolute, plain_name, size_and_stamp

logger = logging.getLogger(__name__)

_ROUNDING = 1e-3  # by which the length of a quaternion may be off 1


@dataclass(frozen=True)
class Scene(Drive):
    """A drive that knows its files and tokens, since nothing but the tables tells them."""

    version: str = ""  # folder of its tables
    files: Mapping[str, Mapping[int, str]] = field(default_factory=dict)  # sensor -> frame -> file below root
    tokens: Mapping[str, Mapping[int, str]] = field(default_factory=dict)  # sensor -> frame -> token of sample_data
    sample_tokens: Mapping[int, str] = field(default_factory=dict)  # frame -> token of sample; keyframes alone

    def part(self, frames: Iterable[int]) -> "Scene":
        """See `Drive.part`."""
        wanted = set(frames)
        return replace(
            cast(Scene, super().part(wanted)),
            files={sensor: _some(files, wanted) for sensor, files in self.files.items()},
            tokens={sensor: _some(tokens, wanted) for sensor, tokens in self.tokens.items()},
            sample_tokens=_some(self.sample_tokens, wanted),
        )


@dataclass(frozen=True)
class _Sensor:
    """The readings of one sensor of a scene, by frame."""

    channel: str
    where: Location  # the table, for messages
    poses: dict[int, np.ndarray]  # T_world_sensor [4, 4]
    times_s: dict[int, float]
    files: dict[int, str]  # below root
    tokens: dict[int, str]  # of sample_data
    sample_tokens: dict[int, str]  # of keyframes alone
    rows: pa.RecordBatch  # [R] of readings.SCHEMA

    @cached_property
    def camera(self) -> Camera:
        """The camera that it is.

        Raises:
            InputError: it has no usable calibration or image size, or several.
        """
        return _camera(self)


def list_scenes(root: Location) -> list[str]:
    """Names of the scenes of all versions under `root`, sorted.

    Raises:
        InputError: `root` is no folder, or its tables cannot be used.
    """
    check_root(root)
    return sorted({name for version in versions(root) for name in cached(root, version, READINGS).scenes})


def version_of(root: Location, name: str) -> str:
    """The folder of tables that a scene is in.

    Raises:
        InputError: an unknown scene, told with the nearest name; or tables that cannot be used.
    """
    check_root(root)
    plain_name(name, what="sequence")
    for version in versions(root):
        if name in cached(root, version, READINGS).scenes:
            return version
    names = list_scenes(root)
    nearest = nearest_name(name, names)
    if nearest is None or len(names) < 10:
        check_known(name, names, root=root)
    raise InputError(f"no scene {name!r} under {root}: did you mean {nearest!r}? There are {len(names)}")


def open_scene(root: Location, name: str, cameras: tuple[str, ...], *, rig: tuple[str, ...]) -> Scene:
    """Calibration, poses, images, masks and points of a scene; no pixel is read.

    Args:
        root: the dataset's root folder.
        name: of the scene.
        cameras: channels; where these are all of `rig`, those that the scene has, whatever they are called.
        rig: cameras of nuScenes' own cars.

    Raises:
        InputError: an unknown scene or camera, or tables that cannot be used.
    """
    version = version_of(root, name)
    batches = cached(root, version, READINGS)
    changed = tuple(when_changed(root, folder) for folder in _folders(batches, name))
    return _opened(root, name, (cameras, rig), (batches, version), changed)


@lru_cache(maxsize=2)
def _opened(
    root: Location,
    name: str,
    channels: tuple[tuple[str, ...], tuple[str, ...]],  # that are wanted, and all of a rig
    tables: tuple[SceneBatches, str],  # readings, and their version
    changed: tuple[int | None, ...],  # when the scene's folders changed: it holds for these
) -> Scene:
    (cameras, rig), (batches, version) = channels, tables
    where = table_file(root, version, "sample_data")
    present = _sensors(batches, name, where)
    all_cameras, lidars = (tuple(present[modality]) for modality in MODALITIES)
    if cameras == rig:
        cameras = tuple(sorted(all_cameras, key=lambda channel: rig.index(channel) if channel in rig else len(rig)))
    for camera in cameras:
        check_camera(camera, all_cameras)
    sensors = {channel: present["camera"][channel] for channel in cameras} | present["lidar"]
    files = {channel: sensor.files for channel, sensor in sensors.items()}
    keys = {frame: token for sensor in sensors.values() for frame, token in sensor.sample_tokens.items()}
    return Scene(
        dataset="nuscenes",
        root=absolute(root),  # workers may run elsewhere
        name=name,
        cameras={channel: sensors[channel].camera for channel in cameras},
        lidars={channel: Lidar(channel, sensor.poses, sensor.times_s) for channel, sensor in present["lidar"].items()},
        layers={
            IMAGES: {channel: frames_there(root, sensors[channel].files) for channel in cameras},
            MASKS: {channel: frames_with_masks(root, channel, files[channel]) for channel in cameras},
            POINTS: {channel: frames_there(root, sensors[channel].files) for channel in lidars},
            **sparse_layers(root, {channel: files[channel] for channel in cameras}),
        },
        is_geographic=True,  # the world is that of a map, which begins in its south-west corner
        version=version,
        files=files,
        tokens={channel: sensor.tokens for channel, sensor in sensors.items()},
        sample_tokens=dict(sorted(keys.items())),
    )


def has_any(root: Location, name: str, layer: str, sensor: str) -> bool:
    """Whether a scene has a file of a layer: of a camera, or points of any LiDAR.

    Raises:
        InputError: an unknown scene, or tables that cannot be used.
    """
    rows = cached(root, version_of(root, name), READINGS).of(name)
    column, wanted = ("modality", "lidar") if layer == POINTS else ("channel", sensor)
    files = rows.filter(compute.equal(rows[column], wanted))["filename"].to_pylist()
    if layer == MASKS:
        return bool(frames_with_masks(root, sensor, dict(enumerate(files))))
    if layer in SPARSE_FOLDERS:
        return bool(frames_with_sparse(root, layer, dict(enumerate(files))))
    return bool(files_there(root, files))


def fingerprint(scene: Scene) -> str:
    """Hexadecimal digest of all that labels of a scene depend on: its tables, and its files as far as a look tells.

    Of keyframes' files and of masks, sizes and times count too.
    """
    digest = hashlib.sha256(json.dumps([INDEX_VERSION, scene.name, list(scene.cameras)]).encode())
    for camera in scene.cameras.values():
        digest.update(json.dumps([camera.K.tolist(), camera.image_size]).encode())
    poses = {name: camera.T_world_cam for name, camera in scene.cameras.items()}
    poses |= {name: lidar.T_world_lidar for name, lidar in scene.lidars.items()}
    for name, by_frame in poses.items():
        digest.update("\n".join([name, *map(str, scene.files[name]), *scene.files[name].values()]).encode())
        digest.update(np.array(list(by_frame.values()), dtype="<f8").tobytes())
    for layer, by_sensor in sorted(scene.layers.items()):
        for sensor, frames in by_sensor.items():
            looked = [frame for frame in frames if layer == MASKS or frame in scene.sample_tokens]
            stamps = _stamps(scene, layer, sensor, looked)
            digest.update(json.dumps([layer, sensor, frames, stamps]).encode())
    return digest.hexdigest()


def _stamps(scene: Scene, layer: str, sensor: str, frames: Iterable[int]) -> list[tuple[int, int | str]]:
    """Sizes and times of files; of hundred thousands of local ones by name, since a path costs more than a look."""
    if not isinstance(scene.root, Path):
        return [size_and_stamp(scene.file(layer, sensor, frame)) for frame in frames]
    files, root = scene.files[sensor], str(scene.root)
    if layer == MASKS and MASKS not in scene.sources:
        names = [f"{root}/masks/{sensor}/{mask_names(files[frame])[1]}" for frame in frames]
    else:
        names = [f"{root}/{files[frame]}" for frame in frames]
    found = map(os.stat, names)
    return [(one.st_size, one.st_mtime_ns) for one in found]


@lru_cache(maxsize=4)
def _folders(batches: SceneBatches, name: str) -> tuple[str, ...]:
    """Where a scene's files are, and its masks may be, below root."""
    rows = batches.of(name)
    folders = compute.replace_substring_regex(rows["filename"], "/[^/]*$", "")
    masks = [f"masks/{channel}" for channel in compute.unique(rows["channel"]).to_pylist()]
    return tuple(sorted([*compute.unique(folders).to_pylist(), *masks]))


def _some(values: Mapping[int, Any], wanted: set[int]) -> dict[int, Any]:
    return {frame: value for frame, value in values.items() if frame in wanted}


@lru_cache(maxsize=4)
def _sensors(batches: SceneBatches, name: str, where: Location) -> dict[str, dict[str, _Sensor]]:
    """The sensors of a scene by modality and channel, sorted."""
    rows = batches.of(name)
    found: dict[str, dict[str, _Sensor]] = {modality: {} for modality in MODALITIES}
    channels = np.array(rows["channel"].to_pylist(), dtype=object)
    poses = _transforms(rows, "T_global_ego", where=where.with_name("ego_pose.json"))
    poses = poses @ _transforms(rows, "T_ego_sensor", where=where.with_name("calibrated_sensor.json"))
    starts = [0, *(np.flatnonzero(channels[1:] != channels[:-1]) + 1).tolist(), len(channels)]
    for start, end in pairwise(starts):
        if end > start:
            part = rows.slice(start, end - start)
            found[part["modality"][0].as_py()][channels[start]] = _sensor(
                part, channels[start], poses[start:end], where=where
            )
    return found


def _sensor(rows: pa.RecordBatch, channel: str, poses: np.ndarray, *, where: Location) -> _Sensor:
    keyframes, is_key, times = (rows[name].to_numpy(zero_copy_only=False) for name in _NUMBERED)
    try:
        frames = number_frames(keyframes, is_key, times)
    except ValueError as error:
        raise InputError(f"{where}: {channel} {error}: download the metadata again") from error
    if not (frames >= 0).all():
        count = int((frames < 0).sum())
        logger.warning("%s: %d sweeps of %s before its first keyframe are left out.", where, count, channel)
        kept = frames >= 0
        rows, poses, times, is_key = rows.filter(pa.array(kept)), poses[kept], times[kept], is_key[kept]
        frames = frames[kept]
    numbers = frames.tolist()
    samples = zip(numbers, rows["sample_token"].to_pylist(), is_key.tolist(), strict=True)
    return _Sensor(
        channel=channel,
        where=where,
        poses=dict(zip(numbers, poses, strict=True)),
        times_s=dict(zip(numbers, (times / 1e6).tolist(), strict=True)),
        files=dict(zip(numbers, rows["filename"].to_pylist(), strict=True)),
        tokens=dict(zip(numbers, rows["token"].to_pylist(), strict=True)),
        sample_tokens={frame: token for frame, token, key in samples if key},
        rows=rows,
    )


_NUMBERED = ("sample", "is_key_frame", "timestamp")


def _transforms(rows: pa.RecordBatch, column: str, *, where: Location) -> np.ndarray:
    """`T_a_b` [R, 4, 4] of translations and quaternions w x y z.

    Raises:
        InputError: a number that is not finite, or a quaternion whose length is not 1.
    """
    values = compute.list_flatten(rows[column]).to_numpy().reshape(-1, 7)
    lengths = np.linalg.norm(values[:, 3:], axis=1)
    bad = ~(np.isfinite(values).all(axis=1) & (np.abs(lengths - 1) <= _ROUNDING))
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise InputError(
            f"{where}: {rows['filename'][row]} has the translation {values[row, :3].tolist()} and the rotation "
            f"{values[row, 3:].tolist()}, which are not rigid: expected finite numbers and a quaternion of length 1"
        )
    T_a_b = np.tile(np.eye(4), (len(values), 1, 1))
    T_a_b[:, :3, :3] = Rotation.from_quat(values[:, [4, 5, 6, 3]]).as_matrix()
    T_a_b[:, :3, 3] = values[:, :3]
    return T_a_b


def _camera(sensor: _Sensor) -> Camera:
    channel, where = sensor.channel, sensor.where
    K = compute.list_flatten(sensor.rows["intrinsic"]).to_numpy().reshape(-1, 3, 3)
    sizes = np.stack([sensor.rows[side].to_numpy(zero_copy_only=False) for side in ("width", "height")], axis=-1)
    if np.ptp(K, axis=0).any() or np.ptp(sizes, axis=0).any():
        raise InputError(f"{where}: {channel} has several image sizes or calibrations in one scene: split the scene")
    if not (K[0, 0, 0] > 0 and K[0, 1, 1] > 0 and np.isfinite(K[0]).all() and K[0, 2].tolist() == [0, 0, 1]):
        raise InputError(
            f"{where.with_name('calibrated_sensor.json')}: camera_intrinsic of {channel} is no camera matrix: "
            f"{K[0].tolist()}"
        )
    if not (sizes[0] > 0).all():
        raise InputError(f"{where}: {channel} has images without a width and a height: download the metadata again")
    width, height = sizes[0].astype(int).tolist()
    return Camera(channel, K[0].copy(), (width, height), sensor.poses, sensor.times_s)
