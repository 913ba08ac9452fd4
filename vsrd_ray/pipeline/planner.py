"""The drives of a run in their order: opened, indexed and planned, one ahead of the one that is labelled."""

import logging
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import pyarrow as pa

from vsrd_ray.data.drive import Drive
from vsrd_ray.data.identity import identity_of
from vsrd_ray.data.placement import check_horizon, check_placement, check_projection
from vsrd_ray.datasets.base import fingerprint_with, open_with
from vsrd_ray.errors import InputError, VSRDRayError, explained, one_line
from vsrd_ray.pipeline.job import LabelJob
from vsrd_ray.pipeline.plan import plan_drive
from vsrd_ray.pipeline.queue import Engine
from vsrd_ray.runs.plan import DrivePlan
from vsrd_ray.runs.sink import Sink

logger = logging.getLogger(__name__)

_DRIVES_AHEAD = 1  # that are indexed while one is labelled


@dataclass(frozen=True)
class FinishedDrive:
    """A drive whose groups are all labelled, as far as its files tell without a plan."""

    name: str
    num_groups: int


@dataclass(frozen=True)
class UnusableDrive:
    """A drive whose inputs cannot be used."""

    name: str
    error: InputError


Planned = DrivePlan | FinishedDrive | UnusableDrive


@dataclass(frozen=True)
class Planner:
    """Plans the drives of a run."""

    job: LabelJob
    names: tuple[str, ...]
    engine: Callable[[], Engine]  # gives what indexes, and may take seconds to start it
    sink: Sink
    known: Collection[str]  # drives that earlier runs into the folder have planned

    def planned(self) -> Iterator[Planned]:
        """The drives in their order; the next one is indexed while one is worked on."""
        ahead: deque[Callable[[], Planned]] = deque()
        for name in self.names:
            ahead.append(self._begun(name))
            if len(ahead) > _DRIVES_AHEAD:
                yield ahead.popleft()()
        while ahead:
            yield ahead.popleft()()

    def _begun(self, name: str) -> Callable[[], Planned]:
        """Begin to index a drive, if that is necessary; gives its plan, if any is."""
        try:
            found = self._found(name)
        except Exception as error:
            return partial(UnusableDrive, name, because(error, name))
        if isinstance(found, FinishedDrive):
            return lambda: found
        drive, warnings, digest, kept = found
        index = self.engine().index(drive, self.job.needs.layers) if kept is None else lambda: kept
        return partial(self._plan, drive, digest, index, warnings)

    def _found(self, name: str) -> FinishedDrive | tuple[Drive, tuple[str, ...], str, pa.Table | None]:
        """A drive to plan, what is odd about it, its fingerprint, and the index of its present files, if any."""
        root, dataset, cameras = self.job.request.root, self.job.dataset, self.job.cameras
        try:
            digest = fingerprint_with(dataset, root, name, cameras, self.job.request.given)
        except FileNotFoundError:
            digest = ""  # what is missing is told of when the drive is opened
        num_groups = self.sink.finished_groups(name, cameras[0], digest) if name in self.known else None
        if num_groups is not None:
            return FinishedDrive(name, num_groups)
        drive = self._open(name)
        return drive, self._warnings(drive), digest, self.sink.load_index(name, digest)

    def _open(self, name: str) -> Drive:
        """A drive that has what the labeler needs.

        Raises:
            InputError: it cannot be opened, or lacks a layer.
        """
        dataset, root = self.job.dataset, self.job.request.root
        drive = open_with(
            dataset, root, name, self.job.cameras, self.job.request.given, with_ids=self.job.needs.mask_ids
        )
        for layer in self.job.needs.layers:
            if not any(drive.layers.get(layer, {}).values()):
                raise InputError(dataset.missing(root, name, layer, self.job.cameras[0]))
        return drive

    def _warnings(self, drive: Drive) -> tuple[str, ...]:
        """What is odd about a drive: its files, its poses and calibration, and what was given.

        Raises:
            InputError: no camera on a vehicle has them.
        """
        place = self.job.request.given.pose_file or drive.detail("poses") or f"{drive.root}, {drive.name}"
        found = [check_placement(camera, place=f"{place}") for camera in drive.cameras.values()]
        found += [check_projection(camera, place=f"{drive.root}") for camera in drive.cameras.values()]
        return tuple(dict.fromkeys([*drive.warnings, *(warning for warnings in found for warning in warnings)]))

    def _plan(
        self, drive: Drive, digest: str, index: Callable[[], pa.Table], warnings: tuple[str, ...]
    ) -> DrivePlan | UnusableDrive:
        try:
            plan = plan_drive(drive, index(), fingerprint=digest, config=self.job.config, wanted=self.job.wanted)
            place = f"{drive.root}, {drive.name}"
            hovering = check_horizon(drive.camera, plan.index, self.job.wanted.classes, place=place)
            return replace(plan, identity=_identity(drive, self.job.needs.layers), warnings=(*warnings, *hovering))
        except Exception as error:
            return UnusableDrive(drive.name, because(error, drive.name))


def _identity(drive: Drive, layers: Iterable[str]) -> dict[str, str]:
    """See `identity_of`; empty where a file cannot be read, as a frame that is skipped has it."""
    try:
        return identity_of(drive, layers)
    except OSError:
        return {}


def because(error: Exception, drive: str) -> InputError:
    """Why a drive is left out, whatever went wrong with it.

    Raises:
        VSRDRayError: what went wrong is no matter of the drive's.
    """
    if isinstance(error, InputError):
        return error
    if isinstance(error, VSRDRayError):
        raise error
    logger.debug("%s cannot be used", drive, exc_info=error)
    is_named = isinstance(error, OSError) and error.filename is not None
    reason = explained(error) if isinstance(error, OSError) else one_line(error)
    found = InputError(reason if is_named else f"{drive} cannot be used: {reason}")
    found.__cause__ = error
    return found
