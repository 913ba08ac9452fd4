"""What stand-ins for a labeler are made of: all that the protocol asks for, in its plainest form."""

from collections.abc import Sequence
from typing import Any

from vsrd_ray.data.groups import FrameGroup
from vsrd_ray.labelers.base import Output, PreparedGroup, Provenance, TraceSink
from vsrd_ray.labels.boxes.fits import BoxFit
from vsrd_ray.labels.boxes.rows import label_rows


class PlainLabeler:
    """Calls the methods that stand-ins are about, so that a protocol that changes is followed here alone."""

    def __init__(self, config: Any, device: str) -> None:
        self.config, self.device = config, device

    # ---- what a stand-in says ----

    def get_ready(self) -> None:
        """Once a process, before the first group is fitted."""

    def payload_of(self, group: FrameGroup) -> Any:
        """What is kept of a group's pixels."""
        return None

    def fits_of(self, prepared: PreparedGroup, *, seed: int, trace: TraceSink | None) -> list[BoxFit]:
        """What is found of a group: nothing."""
        return []

    # ---- the protocol ----

    def setup(self) -> None:
        self.get_ready()

    def prepare(self, group: FrameGroup) -> PreparedGroup:
        return PreparedGroup.of(group, self.payload_of(group))

    def label(self, prepared: PreparedGroup, *, seed: int, trace: TraceSink | None = None) -> list[BoxFit]:
        return self.fits_of(prepared, seed=seed, trace=trace)

    def output(self, found: list[BoxFit], prepared: PreparedGroup, provenance: Provenance) -> Output:
        rows = label_rows(
            found,
            prepared,
            labeler=provenance.labeler,
            config_hash=provenance.config_hash,
            seed=provenance.seed,
        )
        return {"boxes": rows}

    def label_many(self, prepared: Sequence[PreparedGroup], *, seed: int) -> list[list[BoxFit] | Exception]:
        """Keeps the errors of bad groups apart; what else goes wrong is the batch's."""
        outcomes: list[list[BoxFit] | Exception] = []
        for one in prepared:
            try:
                outcomes.append(self.label(one, seed=seed))
            except ValueError as error:
                outcomes.append(error)
        return outcomes
