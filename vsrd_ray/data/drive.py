"""A drive: one recording of one vehicle, as far as it is known without a pixel.

`T_a_b` maps coordinates of b into a. Shapes: H x W pixels.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from vsrd_ray import plugins
from vsrd_ray.data.classes import ClassTable
from vsrd_ray.storage import Location

# Layers of a drive: what a dataset may hold for a frame of a sensor.
IMAGES, MASKS, POINTS, DEPTH, SEMANTICS = "images", "masks", "points", "depth", "semantics"

LAST_FRAME = 2**31 - 1  # tables keep frame numbers in 32 bits


@dataclass(frozen=True)
class View:
    """One frame of one camera, without its pixels."""

    frame: int  # frame number in its drive
    K: np.ndarray  # [3, 3] float64, pixels; a pixel (u, v) names its centre
    T_world_cam: np.ndarray  # [4, 4] float64, metres
    image_size: tuple[int, int]  # (width, height), pixels
    camera: str = ""  # its name
    time_s: float | None = None  # seconds, where the dataset has times


@dataclass(frozen=True)
class Camera:
    """A camera of a drive: its calibration, and where it was in each frame."""

    name: str
    K: np.ndarray  # [3, 3] float64, pixels
    image_size: tuple[int, int]  # (width, height), pixels
    T_world_cam: dict[int, np.ndarray]  # frame -> [4, 4] float64, metres
    times_s: dict[int, float] = field(default_factory=dict)  # frame -> seconds; empty where the dataset has no times

    def view(self, frame: int) -> View:
        """The view of one frame that has a pose."""
        return View(
            frame=frame,
            K=self.K,
            T_world_cam=self.T_world_cam[frame],
            image_size=self.image_size,
            camera=self.name,
            time_s=self.times_s.get(frame),
        )

    def part(self, frames: Iterable[int]) -> "Camera":
        """The same camera with the poses and times of some frames alone."""
        wanted = sorted(set(frames))
        return replace(
            self,
            T_world_cam={frame: self.T_world_cam[frame] for frame in wanted if frame in self.T_world_cam},
            times_s={frame: self.times_s[frame] for frame in wanted if frame in self.times_s},
        )


@dataclass(frozen=True)
class Lidar:
    """A LiDAR of a drive, and where it was in each sweep."""

    name: str
    T_world_lidar: dict[int, np.ndarray]  # frame -> [4, 4] float64, metres
    times_s: dict[int, float] = field(default_factory=dict)  # frame -> seconds; empty where the dataset has no times

    def part(self, frames: Iterable[int]) -> "Lidar":
        """The same LiDAR with the poses and times of some frames alone."""
        wanted = sorted(set(frames))
        return replace(
            self,
            T_world_lidar={frame: self.T_world_lidar[frame] for frame in wanted if frame in self.T_world_lidar},
            times_s={frame: self.times_s[frame] for frame in wanted if frame in self.times_s},
        )


class LayerSource(Protocol):
    """Where a layer is read from in the dataset's stead. Small and picklable, as drives are."""

    def read(self, drive: "Drive", sensor: str, frame: int) -> np.ndarray:
        """See `Drive.read`."""
        ...

    def scores(self, drive: "Drive", sensor: str, frame: int) -> Mapping[int, float]:
        """See `Drive.mask_scores`; of masks alone."""
        ...

    def file(self, drive: "Drive", sensor: str, frame: int) -> Location:
        """See `Drive.file`; many frames may lie in one file."""
        ...

    def part(self, frames: Sequence[int]) -> "LayerSource":
        """The same source with what it needs for some frames alone."""
        ...


@dataclass(frozen=True)
class Drive:
    """A drive that can be read: its sensors with their poses, and which frames have which layers.

    Pixels and points are read by frame, by the dataset that the drive is of. Small and picklable: workers get parts.
    """

    dataset: str  # name of the dataset
    root: Location
    name: str
    cameras: Mapping[str, Camera]  # those that it was opened with, by name
    layers: Mapping[str, Mapping[str, tuple[int, ...]]]  # layer -> sensor -> frames that have it, ascending
    lidars: Mapping[str, Lidar] = field(default_factory=dict)
    sources: Mapping[str, LayerSource] = field(default_factory=dict)  # of layers that are not the dataset's own
    warnings: tuple[str, ...] = ()  # sentences on what is odd about its files
    pose_scale: float | None = None  # a metric path over that of the pose file that was given; None where none tells
    is_geographic: bool = False  # the world's x is known to be east, and its y north

    def __repr__(self) -> str:
        counts = {
            layer: len({frame for frames in of.values() for frame in frames}) for layer, of in self.layers.items()
        }
        layers = ", ".join(f"{count} frames with {layer}" for layer, count in counts.items()) or "no layer"
        return f"<Drive {self.name} of {self.dataset}: {', '.join((*self.cameras, *self.lidars))}; {layers}>"

    @property
    def camera(self) -> Camera:
        """The camera of a drive that was opened with one; the first one of others."""
        return next(iter(self.cameras.values()))

    @property
    def K(self) -> np.ndarray:  # noqa: N802 - the field's name
        """Intrinsics [3, 3] float64 px of `camera`."""
        return self.camera.K

    @property
    def image_size(self) -> tuple[int, int]:
        """(width, height) px of `camera`."""
        return self.camera.image_size

    @property
    def T_world_cam(self) -> dict[int, np.ndarray]:  # noqa: N802 - a transform's name
        """Poses [4, 4] float64, metres, of `camera` by frame."""
        return self.camera.T_world_cam

    @property
    def mask_frames(self) -> tuple[int, ...]:
        """Frames, ascending, that have an instance mask of `camera`."""
        return self.frames_with(MASKS, self.camera.name)

    @property
    def classes(self) -> ClassTable:
        """The classes of the dataset."""
        return self._spec.classes

    def check_classes(self, names: Iterable[str], *, option: str = "--classes") -> None:
        """Refuse names that are none of its classes; see `ClassTable.check`.

        Raises:
            InputError: such a name.
        """
        self.classes.check(names, title=self._spec.title, option=option)

    @property
    def _spec(self) -> Any:
        return plugins.load("datasets", self.dataset)

    def view(self, frame: int, camera: str | None = None) -> View:
        """The view of a frame that has a pose, of `camera` unless another one is named."""
        return (self.camera if camera is None else self.cameras[camera]).view(frame)

    def frames_with(self, layer: str, sensor: str) -> tuple[int, ...]:
        """Frames, ascending, that have a layer of a sensor."""
        return self.layers.get(layer, {}).get(sensor, ())

    def has(self, layer: str, sensor: str, frame: int) -> bool:
        """Whether a frame has a layer of a sensor."""
        frames = self.frames_with(layer, sensor)
        place = bisect_left(frames, frame)
        return frames[place : place + 1] == (frame,)

    def read(self, layer: str, sensor: str, frame: int) -> np.ndarray:
        """A layer of one frame of a sensor, checked.

        `IMAGES`: [H, W, 3] uint8, BGR. `MASKS`: [H, W] uint16, see `vsrd_ray.data.classes`. `POINTS`: [P, C] float32,
        x, y, z in metres of the sensor first. `DEPTH`: [H, W] float32, metres along the optical axis; 0 where unknown.
        `SEMANTICS`: [H, W] uint8, class numbers.

        Raises:
            UnreadableFrameError: the file is truncated or corrupt; only this frame is lost.
            InputError: no such file, or one that is of another kind or size.
        """
        if layer in self.sources:
            return self.sources[layer].read(self, sensor, frame)
        return self._spec.read(self, layer, sensor, frame)

    def file(self, layer: str, sensor: str, frame: int) -> Location:
        """Where a layer of one frame of a sensor lies, whether it is there or not."""
        if layer in self.sources:
            return self.sources[layer].file(self, sensor, frame)
        return self._spec.file(self, layer, sensor, frame)

    def mask_scores(self, sensor: str, frame: int) -> Mapping[int, float]:
        """How sure the masks of a frame are, 0 to 1, by instance; empty where nothing says so, and all are 1.

        Raises:
            UnreadableFrameError: the masks are damaged.
        """
        return self.sources[MASKS].scores(self, sensor, frame) if MASKS in self.sources else {}

    @property
    def split(self) -> str | None:
        """The part of the dataset that the drive belongs to: "train", "val" or "test"; None where that is not said."""
        return self._spec.split(self.name)

    def detail(self, name: str) -> Any:
        """What formats of the dataset's own ask for, such as the "number" of the drive; None where there is none."""
        return self._spec.detail(self, name)

    def has_truth(self, kind: str) -> bool:
        """Whether the dataset has the true labels of a kind."""
        return self._spec.has_truth(self.root, self.name, kind)

    def truth(self, kind: str) -> Any:
        """The true labels of a kind, for evaluation and pictures alone.

        Raises:
            InputError: there are none, or they cannot be read.
        """
        if hasattr(self._spec, "truth_in"):  # see `vsrd_ray.datasets.base.TruthInCameras`
            return self._spec.truth_in(self, kind)
        return self._spec.truth(self.root, self.name, kind)

    def part(self, frames: Iterable[int]) -> "Drive":
        """The same drive with the poses and layers of some frames alone: little to send to a worker."""
        wanted = sorted(set(frames))
        return replace(
            self,
            cameras={name: camera.part(wanted) for name, camera in self.cameras.items()},
            lidars={name: lidar.part(wanted) for name, lidar in self.lidars.items()},
            layers={
                layer: {
                    sensor: tuple(frame for frame in wanted if self.has(layer, sensor, frame)) for sensor in sensors
                }
                for layer, sensors in self.layers.items()
            },
            sources={layer: source.part(wanted) for layer, source in self.sources.items()},
        )
