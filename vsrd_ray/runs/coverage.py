"""Which frames have all their labels: one that several groups label has them once the last of these is labelled."""

from collections import defaultdict
from collections.abc import Collection, Iterable

from vsrd_ray.data.groups import GroupPlan


class Coverage:
    """The groups of one sequence by the frames that they label, and which of them are labelled so far."""

    def __init__(self, groups: Iterable[GroupPlan], *, labelled: Collection[str]) -> None:
        """Start with what earlier runs have labelled.

        Args:
            groups: all that a frame has to wait for.
            labelled: ids of those among them that are labelled.
        """
        self._groups_of: dict[int, list[GroupPlan]] = defaultdict(list)
        for group in groups:
            for frame in group.label_frames:
                self._groups_of[frame].append(group)
        self._awaited = {
            frame: {group.group_id for group in groups_of if group.group_id not in labelled}
            for frame, groups_of in self._groups_of.items()
        }

    def complete_frames(self) -> list[int]:
        """Frames, ascending, whose groups are all labelled."""
        return sorted(frame for frame, awaited in self._awaited.items() if not awaited)

    def add(self, group: GroupPlan) -> list[int]:
        """Count a group as labelled; the frames, ascending, that waited for it alone."""
        for frame in group.label_frames:
            self._awaited[frame].remove(group.group_id)
        return [frame for frame in group.label_frames if not self._awaited[frame]]

    def groups_of(self, frames: Iterable[int]) -> list[GroupPlan]:
        """The groups that label any of some frames, each once."""
        return list({group.group_id: group for frame in frames for group in self._groups_of[frame]}.values())
