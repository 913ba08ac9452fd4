"""Which frames a target is seen with."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from vsrd_ray.data.drive import Drive
from vsrd_ray.data.groups import GroupPlan
from vsrd_ray.labelers.occupancy.bodies import TrackedBox
from vsrd_ray.labelers.occupancy.config import OccupancyConfig


@dataclass(frozen=True, kw_only=True)
class OccupancyPlan(GroupPlan):
    """A group with the boxes of its frames, if any are given."""

    boxes: tuple[TrackedBox, ...] = ()

    @property
    def read_frames(self) -> tuple[int, ...]:
        """Beside each frame those before and after, whose poses tell how sweeps moved."""
        return tuple(sorted({frame + shift for frame in self.view_frames for shift in (-1, 0, 1)}))


def with_boxes(plans: Iterable[OccupancyPlan], boxes: Iterable[TrackedBox]) -> list[OccupancyPlan]:
    """The same groups, each with the boxes of its own frames."""
    by_frame: dict[int, list[TrackedBox]] = {}
    for box in boxes:
        by_frame.setdefault(box.frame, []).append(box)
    return [
        replace(plan, boxes=tuple(box for frame in plan.view_frames for box in by_frame.get(frame, ())))
        for plan in plans
    ]


def shifts_of(config: OccupancyConfig) -> list[int]:
    """How many frames sources lie behind or ahead of their target."""
    return [sign * number * config.apart for number in range(1, config.sources + 1) for sign in (-1, 1)]


def plans_of(
    drive: Drive, frames: Sequence[int], targets: Iterable[int], config: OccupancyConfig
) -> list[OccupancyPlan]:
    """A group for each target, with those frames before and after it that there are.

    Args:
        drive: whose groups they are.
        frames: that can be used, ascending.
        targets: some of these.
        config: how many sources there are, and how far apart.
    """
    place = {frame: number for number, frame in enumerate(frames)}
    shifts = shifts_of(config)
    return [
        OccupancyPlan(
            group_id=f"{drive.name}-{frame:010d}",
            sequence=drive.name,
            camera=drive.camera.name,
            target_frame=frame,
            source_frames=tuple(
                sorted(frames[place[frame] + shift] for shift in shifts if 0 <= place[frame] + shift < len(frames))
            ),
            label_frames=(frame,),
        )
        for frame in targets
    ]
