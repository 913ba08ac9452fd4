"""What is to be done: sequences, their indexes and groups."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from vsrd_ray.data.groups import GroupPlan, Sequence
from vsrd_ray.data.index import empty_frames
from vsrd_ray.labelers.vsrd.config import GroupingSettings
from vsrd_ray.labelers.vsrd.grouping import plan_groups
from vsrd_ray.labelers.vsrd.scene import plan_windows


@dataclass(frozen=True)
class SequencePlan:
    """A sequence with everything that its index says."""

    sequence: Sequence
    index: pa.Table  # INDEX_SCHEMA
    fingerprint: str  # of the files that the index was made from
    groups: tuple[GroupPlan, ...]
    empty_frames: tuple[int, ...]  # readable frames that show no instance of the wanted classes

    @property
    def num_frames(self) -> int:
        """Frames that the sequence has, skipped ones included."""
        return len(np.unique(self.index["frame"].to_numpy()))

    @property
    def skipped_frames(self) -> dict[str, int]:
        """Frames that cannot be used: their number for each reason, such as "no pose" or "unreadable mask"."""
        reasons = self.index["skipped"].drop_null().to_pylist()
        return dict(sorted(Counter(reason.partition(":")[0] for reason in reasons).items()))


def plan_sequence(
    sequence: Sequence,
    index: pa.Table,
    *,
    fingerprint: str,
    settings: GroupingSettings,
    classes: tuple[str, ...],
) -> SequencePlan:
    """The groups of a sequence, and the frames that have no object to label."""
    plan_of_kind = {"vsrd": plan_groups, "scene": plan_windows}[settings.kind]
    groups = plan_of_kind(index, sequence=sequence.name, camera=sequence.camera, settings=settings, classes=classes)
    return SequencePlan(
        sequence=sequence,
        index=index,
        fingerprint=fingerprint,
        groups=tuple(groups),
        empty_frames=tuple(empty_frames(index, classes)),
    )


def is_record_of(row: dict, plan: GroupPlan) -> bool:
    """Whether a row of `GROUP_SCHEMA` is of a group just as it is planned now: of the same frames and instances."""
    return tuple(row["frames"]) == plan.label_frames and tuple(row["instance_ids"]) == plan.instance_ids


def why_no_group(plan: SequencePlan, *, settings: GroupingSettings, classes: tuple[str, ...]) -> str:
    """A sentence that says why a sequence without any group has none."""
    name, wanted = plan.sequence.name, " or ".join(classes)
    skipped = sum(plan.skipped_frames.values())
    if skipped == plan.num_frames:
        reasons = ", ".join(f"{reason}: {count}" for reason, count in plan.skipped_frames.items())
        return f"No usable group in {name}: none of its {plan.num_frames} frames can be used ({reasons})."
    if len(plan.empty_frames) == plan.num_frames - skipped:
        return f"No usable group in {name}: no frame shows a {wanted}; --classes chooses others."
    size = f"a {wanted} of at least {settings.min_area} px and {settings.min_box_side} px across"
    if settings.kind == "scene":
        return f"No usable group in {name}: no frame shows {size}; --set grouping.min_area=N asks for less."
    return (
        f"No usable group in {name}: no frame with {size} has {settings.num_sources} frames around it that share its "
        f"instances; --set grouping.num_sources=N asks for fewer."
    )
