"""A request with all that it names looked up: its dataset, its labeler, and the kinds of label that come of it."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from vsrd_ray.datasets.base import Dataset, check_camera, dataset_named, dataset_of
from vsrd_ray.labelers.base import LabelerSpec, Needs, Resources, Wanted, spec_of
from vsrd_ray.labels.base import Kind, kind_named
from vsrd_ray.pipeline.request import LabelRequest, parse_frames
from vsrd_ray.runs.manifest import RunSettings
from vsrd_ray.runs.tables import LabelTable
from vsrd_ray.settings import LabelerSettings


@dataclass(frozen=True)
class LabelJob:
    """One labelling run. See `LabelRequest` for what is asked."""

    request: LabelRequest
    dataset: Dataset
    spec: LabelerSpec[Any]
    kinds: tuple[Kind, ...]  # of label, in the order of the spec
    cameras: tuple[str, ...]  # that drives are opened with; the first one gives its name to files
    classes: tuple[str, ...]

    @staticmethod
    def of(request: LabelRequest) -> "LabelJob":
        """Look up what a request names.

        Raises:
            InputError: a dataset, labeler or kind that is not installed, a camera or class that the dataset does not
                have, or one that the labeler cannot take.
        """
        dataset = dataset_of(request.root) if request.dataset is None else dataset_named(request.dataset)
        spec = spec_of(request.config)
        camera = dataset.cameras[0] if request.camera is None else request.camera
        check_camera(camera, dataset.cameras)
        needs: Needs = spec.needs(request.config)
        classes = spec.classes if request.classes is None else request.classes
        if classes or request.classes is not None:
            dataset.classes.check(classes, title=dataset.title)
        job = LabelJob(
            request=request,
            dataset=dataset,
            spec=spec,
            kinds=tuple(kind_named(name) for name in spec.writes),
            cameras=dataset.cameras if needs.all_cameras else (camera,),
            classes=classes,
        )
        spec.check(request.config, job.wanted, dataset.classes)
        return job

    @property
    def config(self) -> LabelerSettings:
        """The labeler's configuration."""
        return self.request.config

    @cached_property
    def needs(self) -> Needs:
        """What the labeler needs of a drive."""
        return self.spec.needs(self.config)

    @cached_property
    def resources(self) -> Resources:
        """What the labeler takes of a machine."""
        return self.spec.resources(self.config)

    @property
    def wanted(self) -> Wanted:
        """What a planner is to know beside the configuration."""
        return Wanted(classes=self.classes, limit=self.request.limit, frames=parse_frames(self.request.frames))

    @property
    def _frames(self) -> dict[str, str]:
        """Target frames that are named: a folder with others is another run."""
        return {} if self.request.frames is None else {"frames": self.request.frames}

    @property
    def tables(self) -> tuple[LabelTable, ...]:
        """Tables of the kinds of label."""
        return tuple(kind.table for kind in self.kinds)

    @property
    def settings(self) -> RunSettings:
        """What decides what the labels are."""
        return RunSettings(
            config=self.config,
            dataset=self.dataset.name,
            camera=self.cameras[0],
            classes=self.classes,
            kinds=self.spec.writes,
            given=self.request.given.record(self.request.root) | self._frames,
            all_cameras=self.needs.all_cameras,
            mask_ids=self.needs.mask_ids,
        )
