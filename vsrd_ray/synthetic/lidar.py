"""Sweeps of a LiDAR on the car's roof, with what each point truly is.

Shapes: C columns of a turn, E rings, N points. The sensor turns clockwise seen from above: a turn begins behind the
car, looks ahead at its middle and ends behind the car. Points come in the order in which they are measured: column by
column, in each from the lowest ring up.
"""

from dataclasses import dataclass

import numpy as np

from vsrd_ray.geometry import rigid
from vsrd_ray.synthetic.meshes import Mesh, face_normals
from vsrd_ray.synthetic.rig import T_EGO_CAM0, T_EGO_TOP, T_EGO_VELO
from vsrd_ray.synthetic.settings import FRAME_PERIOD, StreetSettings
from vsrd_ray.synthetic.street import Street
from vsrd_ray.synthetic.turns import Turn, cast_turn, directions

SWEEP_PERIOD = FRAME_PERIOD  # s
_BLOCKS = 36  # parts of a turn during which a sensor that moves stands still
# Elevations of 64 rings in two blocks, degrees, lowest first.
_TWO_BLOCKS = np.concatenate([np.linspace(-24.33, -8.83, 32), np.linspace(-8.33, 2.0, 32)])
_EVEN = np.linspace(-30.67, 10.67, 32)
_TOP_COLUMNS = 1086
_INTENSITY_NOISE = 0.02


@dataclass(frozen=True)
class Sensor:
    """One LiDAR: where it sits, and where it looks."""

    T_ego_sensor: np.ndarray  # [4, 4]
    azimuths: np.ndarray  # [C] radians about the sensor's z, in the order of the turn
    elevations: np.ndarray  # [E] radians, ascending
    stream: int  # of random numbers

    @property
    def delays(self) -> np.ndarray:
        """Time [C] of each column, s after the middle of the turn."""
        count = len(self.azimuths)
        return ((np.arange(count) + 0.5) / count - 0.5) * SWEEP_PERIOD


@dataclass(frozen=True)
class Sweep:
    """The points of one turn, in the sensor's frame: at `time`, or where the sensor was when it measured them."""

    time: float  # s since the first frame, of the middle of the turn
    T_street_sensor: np.ndarray  # [4, 4] at that time
    points: np.ndarray  # [N, 3] float32 metres, with noise
    intensity: np.ndarray  # [N] float32, 0..1
    ring: np.ndarray  # [N] uint8, 0 is the lowest
    column: np.ndarray  # [N] uint16
    delay: np.ndarray  # [N] float32 s after `time`
    range: np.ndarray  # [N] float64 metres, without noise
    instance: np.ndarray  # [N] uint16, semantic id * 1000 + instance id


def velo(settings: StreetSettings) -> Sensor:
    """The LiDAR of KITTI-360's layout: 64 rings in two blocks, closer in the upper one."""
    rings = np.interp(np.linspace(0, 63, settings.lidar_rings), np.arange(64), _TWO_BLOCKS)
    return Sensor(T_EGO_VELO, _azimuths(settings.lidar_columns, np.pi), np.radians(rings), stream=300)


def top() -> Sensor:
    """The LiDAR of nuScenes' layout: 32 even rings; its y axis looks ahead."""
    return Sensor(T_EGO_TOP, _azimuths(_TOP_COLUMNS, 1.5 * np.pi), np.radians(_EVEN), stream=301)


def _azimuths(count: int, start: float) -> np.ndarray:
    return start - 2 * np.pi * (np.arange(count) + 0.5) / count


def pose(street: Street, sensor: Sensor, frame: float) -> np.ndarray:
    """`T_street_sensor` [4, 4] in a frame, or between frames."""
    return street.T_street_cam_at(frame) @ rigid.inverse(T_EGO_CAM0) @ sensor.T_ego_sensor


def look(street: Street, sensor: Sensor, frame: float, columns: slice = slice(None)) -> tuple[Turn, Mesh]:
    """What some columns of a turn meet if all were measured at one time, and what stands on the street then."""
    T_street_sensor, mesh = pose(street, sensor, frame), street.mesh_at(frame)
    faces_sensor = (mesh.faces - T_street_sensor[:3, 3]) @ T_street_sensor[:3, :3]
    return cast_turn(faces_sensor, sensor.azimuths[columns], sensor.elevations), mesh


def measure(
    street: Street,
    sensor: Sensor,
    frame: int,
    *,
    delay: float = 0.0,
    motion: bool = False,
    looked: tuple[Turn, Mesh] | None = None,
) -> Sweep:
    """The sweep about a frame.

    Args:
        street: with the sensor's noise, drop-outs and range in its settings.
        sensor: one of this module's.
        frame: counted from the first.
        delay: s from the frame to the middle of the turn.
        motion: whether sensor and cars move during the turn, in steps; else all points are of the middle's time.
        looked: what `look` gave for the middle's time, where it is at hand; not used with motion.
    """
    settings, time = street.settings, frame * FRAME_PERIOD + delay
    rng = np.random.default_rng([settings.seed, sensor.stream, frame])
    blocks = np.array_split(np.arange(len(sensor.azimuths)), _BLOCKS if motion else 1)
    parts = []
    for columns in (block for block in blocks if len(block)):
        later = float(sensor.delays[columns].mean()) if motion else 0.0
        part = slice(int(columns[0]), int(columns[-1]) + 1)
        at_hand = None if motion else looked
        turn, mesh = at_hand or look(street, sensor, (time + later) / FRAME_PERIOD, part)
        parts.append(_returns(turn, mesh, pose(street, sensor, (time + later) / FRAME_PERIOD), sensor, part))
    column, ring, distance, instance, shine, slant = (np.concatenate(values) for values in zip(*parts, strict=True))
    noise, luck, flicker = rng.standard_normal(len(ring)), rng.uniform(size=len(ring)), rng.standard_normal(len(ring))
    farness = distance / settings.lidar_range
    lost = settings.lidar_dropout * (1 + 6 * (1 - slant) ** 4 + 6 * farness**2)
    kept = np.flatnonzero((luck >= lost) & (farness <= 1))
    rays = directions(sensor.azimuths, sensor.elevations)[column, ring]
    points = rays * np.maximum(distance + settings.lidar_noise * noise, 0)[:, None]
    return Sweep(
        time=time,
        T_street_sensor=pose(street, sensor, time / FRAME_PERIOD),
        points=points[kept].astype(np.float32),
        intensity=np.clip(shine + _INTENSITY_NOISE * flicker, 0, 1)[kept].astype(np.float32),
        ring=ring[kept].astype(np.uint8),
        column=column[kept].astype(np.uint16),
        delay=_delays(sensor, blocks, motion=motion)[column[kept]].astype(np.float32),
        range=distance[kept],
        instance=instance[kept].astype(np.uint16),
    )


def _delays(sensor: Sensor, blocks: list[np.ndarray], *, motion: bool) -> np.ndarray:
    """Time [C] of each column's sensor pose, s after the middle of the turn."""
    if not motion:
        return np.zeros(len(sensor.azimuths))
    return np.concatenate([np.full(len(block), sensor.delays[block].mean()) for block in blocks if len(block)])


def _returns(
    turn: Turn, mesh: Mesh, T_street_sensor: np.ndarray, sensor: Sensor, part: slice
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Of all rays that meet something, each [N]: column, ring, distance, id, brightness, cosine of the slant."""
    column, ring = np.nonzero(turn.face >= 0)
    face = turn.face[column, ring]
    rays = directions(sensor.azimuths[part], sensor.elevations)[column, ring] @ T_street_sensor[:3, :3].T
    normals = face_normals(mesh.faces)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    slant = np.abs(np.einsum("ni,ni->n", rays, normals[face]))
    shine = mesh.colors.mean(axis=1)[face] / 255 * (0.3 + 0.7 * slant)
    return column + part.start, ring, turn.distance[column, ring], mesh.ids[face], shine, slant
