"""What a network says of a drive, for films: nothing is labelled before."""

from collections.abc import Iterator
from functools import cached_property

from vsrd_ray.data.drive import IMAGES, Drive
from vsrd_ray.datasets.base import ALL_CAMERAS, open_drive
from vsrd_ray.errors import InputError
from vsrd_ray.labelers.density.carving import grid_along
from vsrd_ray.labelers.density.config import DensityConfig
from vsrd_ray.labelers.density.networks.config import Role
from vsrd_ray.labelers.density.networks.infer import PosedImage, Trained, encode, load_network
from vsrd_ray.labelers.density.networks.labels import KeyView, map_of, network_labels, seen_beside
from vsrd_ray.labels.depth.field import Field, field_of
from vsrd_ray.labels.depth.schema import DepthMap
from vsrd_ray.storage import Location
from vsrd_ray.training.paths import TrainingPaths
from vsrd_ray.training.record import read_record


class FilmedNetwork:
    """The network that a run of training has come to; see `vsrd_ray.labels.depth.films.Filmed`."""

    def __init__(self, run: Location, root: Location) -> None:
        """Read the run's record.

        Raises:
            InputError: it cannot be read, or is none of a density network.
        """
        if (record := read_record(run)) is None:
            raise InputError(f"no {TrainingPaths(run).record}: expected the output folder of `vsrd-ray train`")
        role = record.trainable.removeprefix("density_")
        if role not in ("student", "teacher"):
            raise InputError(f"{run}: trained as {record.trainable}: give a run of density_teacher or _student")
        self.place = run
        self._root, self._inputs = root, record.inputs
        self._role: Role = role

    @property
    def sequences(self) -> tuple[str, ...]:
        """Those that it is validated on, where there are any, or else those that it learns from."""
        return tuple(self._inputs["val_sequences"] or self._inputs["sequences"])

    def drive(self, name: str) -> Drive:
        """Any drive of the dataset."""
        camera = ALL_CAMERAS if self._role == "teacher" else self._inputs["camera"]
        return open_drive(self._root, name, camera, dataset=self._inputs["dataset"], with_ids=False)

    def maps(self, drive: Drive, *, every: int) -> Iterator[DepthMap]:
        """See `Filmed`."""
        for frame in self._frames(drive)[::every]:
            view = self._view(drive, frame)
            yield map_of(self._trained, encode(self._trained, [view.image, *view.others]), view)

    def map(self, drive: Drive, frame: int | None) -> DepthMap | None:
        """See `Filmed`."""
        frames = [number for number in self._frames(drive) if frame is None or number == frame]
        if not frames:
            return None
        view = self._view(drive, frames[0])
        return map_of(self._trained, encode(self._trained, [view.image, *view.others]), view)

    def field(self, drive: Drive, one: DepthMap) -> Field:
        """What the network says of the voxels ahead of the frame's camera, on the grid of labels."""
        grid = DensityConfig()
        view = self._view(drive, one.frame)
        extent = {"ahead": grid.ahead, "beside": grid.beside, "below": grid.below, "above": grid.above}
        placed = grid_along([view.image.T_world_cam], voxel_size=grid.voxel_size, **extent)
        voxels, _ = network_labels(self._trained, [view], *placed, reach=grid.ahead)
        return field_of(voxels)

    @cached_property
    def _trained(self) -> Trained:
        return load_network(self.place, self._role)

    def _frames(self, drive: Drive) -> list[int]:
        camera = drive.cameras[self._inputs["camera"]]
        return [frame for frame in drive.frames_with(IMAGES, camera.name) if frame in camera.T_world_cam]

    def _view(self, drive: Drive, frame: int) -> KeyView:
        own, frames = self._inputs["camera"], self._frames(drive)
        cameras = [own, *(name for name in drive.cameras if name != own)]
        there = [
            (number, name)
            for number, name in seen_beside(frame, frames, cameras)
            if drive.has(IMAGES, name, number) and number in drive.cameras[name].T_world_cam
        ]
        key, *others = (
            PosedImage(drive.read(IMAGES, name, number), drive.cameras[name].K, drive.cameras[name].T_world_cam[number])
            for number, name in (there if self._role == "teacher" else there[:1])
        )
        return KeyView(frame, own, key, tuple(others))
