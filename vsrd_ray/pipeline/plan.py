"""From a drive's index to its groups."""

from typing import Any

import pyarrow as pa

from vsrd_ray.data.classes import IDS_PER_CLASS
from vsrd_ray.data.drive import MASKS, Drive
from vsrd_ray.data.groups import check_plans
from vsrd_ray.data.index import empty_frames, readable_frames
from vsrd_ray.errors import InputError
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
    groups = spec.plan(drive, index, config, wanted)
    if wanted.frames is not None:
        groups = [group for group in groups if group.target_frame in wanted.frames]
        frames = readable_frames(index)
        if frames and not groups:
            raise InputError(
                f"--frames: {drive.name} has no group whose target is one of them: its frames are {frames[0]} to "
                f"{frames[-1]}, and the labeler may take some of them alone as targets"
            )
    has_masks = MASKS in spec.needs(config).layers
    return DrivePlan(
        drive=drive,
        index=index,
        fingerprint=fingerprint,
        groups=check_plans(groups, drive=drive.name),
        empty_frames=tuple(empty_frames(index, wanted.classes)) if has_masks else (),
    )


def why_no_group(plan: DrivePlan, *, config: Any, wanted: Wanted) -> str:
    """A sentence that says why a drive without any group has none."""
    name = plan.drive.name
    skipped = sum(plan.skipped_frames.values())
    if skipped == plan.num_frames:
        reasons = ", ".join(f"{reason}: {count}" for reason, count in plan.skipped_frames.items())
        return f"No usable group in {name}: none of its {plan.num_frames} frames can be used ({reasons})."
    why = spec_of(config).why_no_group(plan.index, config, wanted)
    return f"No usable group in {name}: {why}{_other_ids(plan, wanted)}."


def _other_ids(plan: DrivePlan, wanted: Wanted) -> str:
    """Which ids masks have that show no object at all: they may be numbered in another dataset's way, or as tracks."""
    classes, ids = plan.drive.classes, plan.index["instance_id"].drop_null().unique().sort().to_pylist()
    names = {classes.name_of(one) for one in ids}
    if (
        not ids
        or not wanted.classes
        or any(classes.by_name[name].is_thing for name in names)
        or names & {*wanted.classes}
    ):
        return ""
    first = classes.first_id(wanted.classes[0])
    return (
        f". The ids in its masks are {ids[0]} to {ids[-1]}, and those of a {wanted.classes[0]} would be {first + 1} to "
        f"{first + IDS_PER_CLASS - 1}: number them so"
    )
