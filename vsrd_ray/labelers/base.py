"""What every labeler is: set up once, then label many frame groups."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from vsrd_ray.data.frames import FrameGroup
from vsrd_ray.labels.fits import BoxFit

# Called with the step and its values (losses, boxes); kept by `vsrd-ray label --trace`.
TraceSink = Callable[[int, dict[str, Any]], None]


class Labeler(Protocol):
    """A labeler turns a frame group into boxes; whatever is costly to set up is set up in its constructor."""

    name: str

    def label(self, group: FrameGroup, *, seed: int, trace: TraceSink | None = None) -> list[BoxFit]:
        """Fit the group's instances.

        The result depends on the group, the configuration and the seed alone, and never on what was labelled before.
        """
        ...

    def label_many(self, groups: Sequence[FrameGroup], *, seed: int) -> list[list[BoxFit] | Exception]:
        """What `label` makes of each group, to rounding, but sooner where a device does many at once.

        Of a group that fails, the error.
        """
        ...
