"""What the benchmarks label, how its groups are planned and labelled without Ray, and how labels are judged."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from vsrd_ray.data.drive import Drive
from vsrd_ray.data.groups import FrameGroup, GroupPlan, GroupTasks
from vsrd_ray.data.index import all_frames, index_frames
from vsrd_ray.datasets.base import open_drive
from vsrd_ray.datasets.kitti360.boxes import read_boxes
from vsrd_ray.datasets.kitti360.drives import list_drives
from vsrd_ray.errors import ConfigError, InputError
from vsrd_ray.labelers.base import Labeler, PreparedGroup, Provenance
from vsrd_ray.labelers.configs import load_config
from vsrd_ray.labelers.vsrd.config import GroupingSettings, VSRDConfig
from vsrd_ray.labelers.vsrd.grouping import plan_groups
from vsrd_ray.labelers.vsrd.scene import plan_scene
from vsrd_ray.labels.boxes.criteria import MAX_RANGE
from vsrd_ray.labels.boxes.evaluation.matching import Matches, match
from vsrd_ray.labels.boxes.fits import BoxFit
from vsrd_ray.synthetic import StreetSettings, synthesize

PUBLISHED = "kitti360_vsrd"
FAST = "fast"
CLASSES = ("car",)


@dataclass(frozen=True)
class Dataset:
    """A sequence with a box XML."""

    title: str
    root: Path
    sequence: str


@dataclass(frozen=True)
class PlannedSequence:
    """A sequence, its index, and the groups that some settings make of it."""

    sequence: Drive
    index: pa.Table
    groups: list[GroupPlan]
    tasks: GroupTasks

    def load(self, group: GroupPlan) -> FrameGroup:
        """A group with its pixels."""
        return self.tasks.task(group).group()


def write_street(root: Path, seed: int) -> Dataset:
    """A built-in street, written to a folder."""
    settings = StreetSettings(seed=seed)
    synthesize(root, settings)
    return Dataset(f"built-in street, seed {seed}", root, settings.sequence)


def datasets_under(folder: Path) -> list[Dataset]:
    """The sequences of all dataset roots in a folder."""
    roots = sorted(entry for entry in folder.iterdir() if entry.is_dir())
    return [Dataset(f"{root.name} of {folder.name}", root, name) for root in roots for name in list_drives(root)]


def read_variant(text: str) -> VSRDConfig:
    """The configuration that a text such as "fast,grouping.kind=vsrd" names: a name or file, then overrides.

    Raises:
        ConfigError: no such configuration, one of another labeler, or an override that does not fit.
    """
    name, *overrides = re.split(r",(?=[\w.]+=)", text)
    config = load_config(name, overrides)
    if not isinstance(config, VSRDConfig):
        raise ConfigError(f"{name}: expected a configuration of vsrd, got one of {config.labeler}")
    return config


def plan_dataset(dataset: Dataset, settings: GroupingSettings) -> PlannedSequence:
    """The index of a data set and its groups, in their order along the drive.

    Raises:
        InputError: there is no group to be made of it.
    """
    sequence = open_drive(dataset.root, dataset.sequence)
    index = index_frames(sequence, all_frames(sequence))
    plan = {"vsrd": plan_groups, "scene": plan_scene}[settings.kind]
    groups = plan(index, sequence=sequence.name, camera=sequence.camera.name, settings=settings, classes=CLASSES)
    if not groups:
        raise InputError(f"{dataset.title}: no group of grouping.kind={settings.kind} in {dataset.root}")
    return PlannedSequence(sequence, index, groups, GroupTasks(sequence, index))


def spread(groups: list[GroupPlan], count: int) -> list[GroupPlan]:
    """At most `count` groups, spread evenly over all of them."""
    if count >= len(groups):
        return groups
    chosen = np.linspace(0, len(groups) - 1, 2 * count + 1).round().astype(int)[1::2]
    return [groups[i] for i in np.unique(chosen)]


def of_median_size(groups: list[GroupPlan]) -> GroupPlan:
    """The group in the middle when they are sorted by their numbers of instances."""
    return sorted(groups, key=lambda group: len(group.instance_ids))[len(groups) // 2]


def num_instances(groups: list[GroupPlan]) -> int:
    """Fits of instances that groups ask for; an instance of several groups counts as often."""
    return sum(len(group.instance_ids) for group in groups)


def frames_of(groups: list[GroupPlan]) -> list[int]:
    """The frames, ascending, that groups label."""
    return sorted({frame for group in groups for frame in group.label_frames})


def label_tables(
    planned: PlannedSequence, groups: list[GroupPlan], labeler: Labeler, config: VSRDConfig
) -> Iterator[pa.Table | None]:
    """Label rows of each group, one after the other as a CPU actor makes them; None for one that failed."""
    for plan in groups:
        prepared = labeler.prepare(planned.load(plan))
        (outcome,) = labeler.label_many([prepared], seed=config.seed)
        yield None if isinstance(outcome, Exception) else rows_of(outcome, prepared, labeler=labeler, config=config)


def rows_of(fits: list[BoxFit], group: PreparedGroup, *, labeler: Labeler, config: VSRDConfig) -> pa.Table:
    """The fits of a group as label rows."""
    return labeler.output(fits, group, Provenance.of(config))["boxes"]


def judge(dataset: Dataset, planned: PlannedSequence, groups: list[GroupPlan], labels: pa.Table) -> Matches:
    """The static truths that some groups of a plan ought to have labelled, and their labels.

    With all groups it is what `vsrd-ray evaluate` compares. What a frame shows of the groups that were left out is not
    asked of the others.

    Args:
        dataset: with the true boxes.
        planned: all groups.
        groups: those that were labelled.
        labels: their rows, in `LABEL_SCHEMA`.
    """
    matches = match(
        labels,
        read_boxes(dataset.root, dataset.sequence),
        index=planned.index,
        sequence=planned.sequence,
        frames=frames_of(groups),
        classes=CLASSES,
        max_range=MAX_RANGE,
        official=False,
    )
    left_out = [group for group in planned.groups if group not in groups]
    elsewhere = [_is_asked_of(group, matches) for group in left_out]
    return matches.where(~matches.is_moving & ~np.any(elsewhere, axis=0) if elsewhere else ~matches.is_moving)


def _is_asked_of(group: GroupPlan, matches: Matches) -> np.ndarray:
    """Whether a group labels each truth's instance in its frame, [T] bool."""
    return np.isin(matches.frames, group.label_frames) & np.isin(matches.instance_ids, group.instance_ids)
