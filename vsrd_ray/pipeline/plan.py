"""From a drive's index to its groups."""

from typing import Any

import pyarrow as pa

from vsrd_ray.data.drive import MASKS, Drive
from vsrd_ray.data.groups import check_plans
from vsrd_ray.data.index import empty_frames
from vsrd_ray.labelers.base import Wanted, spec_of
from vsrd_ray.runs.plan import DrivePlan
from vsrd_ray.settings import LabelerSettings


def plan_drive(
    drive: Drive, index: pa.Table, *, fingerprint: str, config: LabelerSettings, wanted: Wanted
) -> DrivePlan:
    """The groups of a drive, and the frames that have nothing to label.

    Raises:
        InputError: the labeler's planner gives groups names that cannot be.
    """
    spec = spec_of(config)
    has_masks = MASKS in spec.needs(config).layers
    return DrivePlan(
        drive=drive,
        index=index,
        fingerprint=fingerprint,
        groups=check_plans(spec.plan(drive, index, config, wanted), drive=drive.name),
        empty_frames=tuple(empty_frames(index, wanted.classes)) if has_masks else (),
    )


def why_no_group(plan: DrivePlan, *, config: Any, wanted: Wanted) -> str:
    """A sentence that says why a drive without any group has none."""
    name = plan.drive.name
    skipped = sum(plan.skipped_frames.values())
    if skipped == plan.num_frames:
        reasons = ", ".join(f"{reason}: {count}" for reason, count in plan.skipped_frames.items())
        return f"No usable group in {name}: none of its {plan.num_frames} frames can be used ({reasons})."
    return f"No usable group in {name}: {spec_of(config).why_no_group(plan.index, config, wanted)}."
