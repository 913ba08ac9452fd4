"""The density fields of a run, by the group that they are of; one of them is in memory at a time."""

import pyarrow.compute as pc

from vsrd_ray.errors import InputError
from vsrd_ray.labels.depth.field import Field, field_of
from vsrd_ray.labels.voxels.schema import TABLE, Voxels, decoded
from vsrd_ray.runs.folder import RunFolder


class Fields:
    """Looks up the voxels of a drive's groups, and keeps the last ones."""

    def __init__(self, run: RunFolder, sequence: str) -> None:
        """Read the rows, which stay compressed.

        Raises:
            InputError: the run holds no voxels.
        """
        self._rows = run.rows(TABLE, sequence)
        self._last: tuple[str, Voxels] | None = None

    @property
    def group_ids(self) -> list[str]:
        """Ids of the groups, in order."""
        return self._rows["group_id"].to_pylist()

    def voxels(self, group_id: str) -> Voxels:
        """The voxels of a group.

        Raises:
            InputError: there are none, or they are damaged.
        """
        if self._last is None or self._last[0] != group_id:
            rows = self._rows.filter(pc.field("group_id") == group_id).to_pylist()
            if not rows:
                raise InputError(f"no voxels of group {group_id}, whose depth is there: bring the file back")
            self._last = group_id, decoded(rows[0])
        return self._last[1]

    def of(self, group_id: str) -> Field:
        """The field of a group; see `voxels`."""
        return field_of(self.voxels(group_id))
