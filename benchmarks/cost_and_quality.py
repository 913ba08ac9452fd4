"""What labelling a sequence with one configuration costs, and how good its boxes are: one process, one thread."""

import resource
import time
from dataclasses import dataclass

import cv2
import numpy as np
import pyarrow as pa
import torch

from benchmarks.datasets import (
    FAST,
    PUBLISHED,
    Dataset,
    PlannedSequence,
    frames_of,
    judge,
    label_tables,
    num_instances,
    of_median_size,
    plan_dataset,
    read_variant,
    spread,
)
from vsrd_ray.data.groups import GroupPlan
from vsrd_ray.labelers.vsrd.config import VSRDConfig
from vsrd_ray.labelers.vsrd.labeler import VSRDLabeler
from vsrd_ray.labels.boxes.evaluation.confidence import confidence_auc
from vsrd_ray.labels.boxes.evaluation.quality import Quality, summarise
from vsrd_ray.labels.boxes.schema import LABEL_SCHEMA

TIMED_STEPS = 3  # of each phase, after one that is not counted


@dataclass(frozen=True)
class Limits:
    """How much of a sequence is labelled."""

    groups: int | None  # of any variant at most; None for all of them
    slow_groups: int  # of a variant with volumetric steps at most
    max_steps: int  # a variant with more of them is extrapolated

    def of(self, config: VSRDConfig, num_groups: int) -> int:
        """How many of a sequence's groups are labelled with a configuration."""
        most = num_groups if self.groups is None else min(self.groups, num_groups)
        return min(most, self.slow_groups) if config.schedule.steps else most


@dataclass(frozen=True)
class Run:
    """Some groups of a sequence, labelled."""

    groups: list[GroupPlan]
    seconds: float  # of loading, fitting and label rows
    labels: pa.Table | None  # in `LABEL_SCHEMA`; None where the seconds are extrapolated from some steps
    num_failed: int


@dataclass(frozen=True)
class Measurement:
    """What one variant did on one data set."""

    variant: str
    num_groups: int  # that were labelled, or timed
    num_failed: int  # of those
    num_planned: int  # of the whole sequence
    instances_a_group: float
    seconds_a_group: float
    seconds_a_frame: float  # that gets labels, over the whole sequence, everything counted
    peak_gigabytes: float
    is_extrapolated: bool
    quality: Quality | None
    confidence_auc: float

    @property
    def seconds_of_six(self) -> float:
        """Seconds a group of 6 instances."""
        return 6 * self.seconds_a_group / self.instances_a_group


def measure(dataset: Dataset, variant: str, limits: Limits) -> Measurement:
    """Label a data set, or some of its groups, with one configuration; meant for a process of its own."""
    use_one_thread()
    config = read_variant(variant)
    started = time.perf_counter()
    planned = plan_dataset(dataset, config.grouping)
    labeler = _set_up(config)
    setup_seconds = time.perf_counter() - started
    is_extrapolated = config.schedule.steps > limits.max_steps
    if is_extrapolated:
        run = _extrapolate(planned, config)
    else:
        run = _label(planned, labeler, spread(planned.groups, limits.of(config, len(planned.groups))))
    peak = peak_gigabytes()  # before judging, which has no part in labelling
    matches = None if run.labels is None else judge(dataset, planned, run.groups, run.labels)
    whole_seconds = setup_seconds + run.seconds * num_instances(planned.groups) / num_instances(run.groups)
    return Measurement(
        variant=variant,
        num_groups=len(run.groups),
        num_failed=run.num_failed,
        num_planned=len(planned.groups),
        instances_a_group=num_instances(run.groups) / len(run.groups),
        seconds_a_group=run.seconds / len(run.groups),
        seconds_a_frame=whole_seconds / len(frames_of(planned.groups)),
        peak_gigabytes=peak,
        is_extrapolated=is_extrapolated,
        quality=None if matches is None else summarise(matches),
        confidence_auc=np.nan if matches is None else confidence_auc(matches),
    )


def published_boxes(dataset: Dataset, steps: int) -> str:
    """Mean IoU3D of the published configuration and of `fast` over the static instances of one group's target frame.

    The published configuration takes `steps` steps in the proportions of its schedule, all others as they are; `fast`
    labels those of its windows that hold the group's instances.
    """
    use_one_thread()
    published = read_variant(PUBLISHED)
    planned = plan_dataset(dataset, published.grouping)
    group = of_median_size(planned.groups)
    short = with_steps(published, steps)
    means = {PUBLISHED: _mean_in_target(dataset, planned, group, config=short, labelled=[group])}
    fast = read_variant(FAST)
    in_windows = plan_dataset(dataset, fast.grouping)
    windows = [window for window in in_windows.groups if set(window.instance_ids) & set(group.instance_ids)]
    means[FAST] = _mean_in_target(dataset, in_windows, group, config=fast, labelled=windows)
    ious = ", ".join(f"{name} {mean:.3f}" for name, mean in means.items())
    subject = f"{dataset.title}, frame {group.target_frame}, {len(group.instance_ids)} instances"
    return f"{subject}, {steps} of {published.schedule.steps} steps: mean IoU3D {ious}"


def with_steps(config: VSRDConfig, steps: int) -> VSRDConfig:
    """The same configuration with another number of steps, its phases in proportion."""
    schedule = config.schedule
    residual_from = round(schedule.residual_from * steps / schedule.steps)
    return config.model_copy(
        update={"schedule": schedule.model_copy(update={"steps": steps, "residual_from": residual_from})}
    )


def use_one_thread() -> None:
    """Keep torch and OpenCV to one thread; NumPy's libraries read their limits when they are loaded."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)


def peak_gigabytes() -> float:
    """Largest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def _set_up(config: VSRDConfig) -> VSRDLabeler:
    """A labeler that can label."""
    labeler = VSRDLabeler(config)
    labeler.setup()
    return labeler


def _label(planned: PlannedSequence, labeler: VSRDLabeler, groups: list[GroupPlan]) -> Run:
    started = time.perf_counter()
    tables = list(label_tables(planned, groups, labeler, labeler.config))
    seconds = time.perf_counter() - started
    labels = pa.concat_tables([LABEL_SCHEMA.empty_table(), *(table for table in tables if table is not None)])
    return Run(groups, seconds, labels, num_failed=sum(table is None for table in tables))


def _extrapolate(planned: PlannedSequence, config: VSRDConfig) -> Run:
    """What all steps of a configuration would take in the group of median size, from some steps of each phase."""
    steps = 2 * (TIMED_STEPS + 1)
    short = config.schedule.model_copy(update={"steps": steps, "residual_from": steps // 2})
    labeler = _set_up(config.model_copy(update={"schedule": short}))
    plan = of_median_size(planned.groups)
    times: list[float] = []
    started = time.perf_counter()
    prepared = labeler.prepare(planned.load(plan))
    labeler.label(prepared, seed=config.seed, trace=lambda _step, _values: times.append(time.perf_counter()))
    around_steps = time.perf_counter() - started - (times[-1] - times[0])
    durations = np.diff(times)
    before, after = durations[:TIMED_STEPS].mean(), durations[TIMED_STEPS + 1 :].mean()
    boxes_alone = min(config.schedule.residual_from, config.schedule.steps)
    seconds = around_steps + boxes_alone * before + (config.schedule.steps - boxes_alone) * after
    return Run([plan], float(seconds), labels=None, num_failed=0)


def _mean_in_target(
    dataset: Dataset, planned: PlannedSequence, group: GroupPlan, *, config: VSRDConfig, labelled: list[GroupPlan]
) -> float:
    """Mean IoU3D over the static instances of `group` in its target frame, after labelling groups of some plan."""
    run = _label(planned, _set_up(config), labelled)
    matches = judge(dataset, planned, labelled, run.labels)
    wanted = (matches.frames == group.target_frame) & np.isin(matches.instance_ids, group.instance_ids)
    return summarise(matches.where(wanted)).iou_3d.mean
