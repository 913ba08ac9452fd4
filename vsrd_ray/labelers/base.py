"""What every labeler is: it prepares frame groups where their pixels are, and labels many of them on its device.

Instance maps are large and what a fit needs of them is little: maps stay where they were read, and what was prepared of
them goes to the device.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from vsrd_ray.data.groups import FrameGroup, GroupFrames
from vsrd_ray.labels.boxes.fits import BoxFit

# Called with the step and its values (losses, boxes); kept by `vsrd-ray label --trace`.
TraceSink = Callable[[int, dict[str, Any]], None]


@dataclass(frozen=True)
class PreparedGroup(GroupFrames):
    """A frame group with what one kind of labeler needs of its pixels: small, picklable, and on the CPU."""

    payload: Any  # of that labeler's own, and nobody else's business

    @staticmethod
    def of(group: GroupFrames, payload: Any) -> "PreparedGroup":
        """The group with a payload instead of its pixels."""
        return PreparedGroup(
            plan=group.plan,
            class_names=group.class_names,
            views=group.views,
            label_frames=group.label_frames,
            payload=payload,
        )


class Labeler(Protocol):
    """Turns frame groups into boxes in two steps: `prepare` wants pixels and a CPU, `label` the device.

    They may run in different processes, each with a labeler of the same configuration. Its constructor is cheap; one
    that only prepares is never set up.
    """

    name: str

    def setup(self) -> None:
        """Make what is costly and only labelling needs; once a process, before its first label. Again is harmless."""
        ...

    def prepare(self, group: FrameGroup) -> PreparedGroup:
        """What labelling needs of a group, worked out on the CPU; it depends on the group and the configuration alone.

        It keeps no reference to the group's instance maps.
        """
        ...

    def label(self, prepared: PreparedGroup, *, seed: int, trace: TraceSink | None = None) -> list[BoxFit]:
        """Fit the group's instances.

        The result depends on the group, the configuration and the seed alone, and never on what was labelled before.
        """
        ...

    def label_many(self, prepared: Sequence[PreparedGroup], *, seed: int) -> list[list[BoxFit] | Exception]:
        """What `label` makes of each group, to rounding, but sooner where a device does many at once.

        Of a group that fails, the error.
        """
        ...
