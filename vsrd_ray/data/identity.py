"""Which dataset a drive is of, by content: a copy of it is the same, whatever the times of its files."""

import hashlib
from collections.abc import Iterable, Mapping

import numpy as np

from vsrd_ray.data.drive import Drive
from vsrd_ray.storage import read_bytes

_SAMPLES = 16  # files of a layer whose bytes count
_DECIMALS = 6  # of poses and calibration, below which processors may differ


def identity_of(drive: Drive, layers: Iterable[str]) -> dict[str, str]:
    """Digests of a drive's `calibration`, its `poses`, and each of some layers that it has.

    Of a layer, the frames count and the bytes of some evenly spaced files: enough to tell datasets apart, and little to
    read. Whether any pixel has changed, only reading all of them tells.

    Raises:
        OSError: a file of a layer cannot be read.
    """
    cameras = [drive.cameras[name] for name in sorted(drive.cameras)]
    calibration, poses = hashlib.sha256(), hashlib.sha256()
    for camera in cameras:
        calibration.update(f"{camera.name} {camera.image_size}".encode() + _bytes(camera.K))
        frames = sorted(camera.T_world_cam)
        poses.update(camera.name.encode() + np.array(frames, dtype="<i8").tobytes())
        poses.update(_bytes(np.array([camera.T_world_cam[frame] for frame in frames])))
    digests = {"calibration": calibration, "poses": poses}
    for layer in layers:
        sensors = {sensor: frames for sensor, frames in drive.layers.get(layer, {}).items() if frames}
        for sensor in sorted(sensors):
            frames = sensors[sensor]
            digest = digests.setdefault(layer, hashlib.sha256())
            digest.update(sensor.encode() + np.array(frames, dtype="<i8").tobytes())
            places = np.unique(np.linspace(0, len(frames) - 1, _SAMPLES).round().astype(int)).tolist()
            for file in dict.fromkeys(drive.file(layer, sensor, frames[place]) for place in places):
                digest.update(read_bytes(file))
    return {name: digest.hexdigest()[:16] for name, digest in digests.items()}


def differences(recorded: Mapping[str, str], found: Mapping[str, str]) -> list[str]:
    """What differs between two identities, of what both know."""
    return [name for name in recorded if name in found and recorded[name] != found[name]]


def _bytes(values: np.ndarray) -> bytes:
    return np.round(values * 10**_DECIMALS).astype("<i8").tobytes()
