"""The labeler of occupancy: images and sweeps of a few frames make the voxels around one."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import pyarrow as pa

from vsrd_ray.data.groups import FrameGroup
from vsrd_ray.labelers.base import Output, PreparedGroup, Provenance, TraceSink
from vsrd_ray.labelers.occupancy.config import OccupancyConfig
from vsrd_ray.labelers.occupancy.inputs import read_group
from vsrd_ray.labelers.occupancy.labelling import Settings, label_voxels
from vsrd_ray.labelers.occupancy.placing import grid_of, grid_pose
from vsrd_ray.labels.voxels.classes import table_named
from vsrd_ray.labels.voxels.schema import SCHEMA, Voxels, encoded


class OccupancyLabeler:
    """See `vsrd_ray.labelers.base.Labeler` for what each of these is."""

    def __init__(self, config: OccupancyConfig) -> None:
        self.config = config
        self._classes = table_named(config.table)
        self._grid = grid_of(config)

    def setup(self) -> None:
        """What is compiled is compiled with the first group."""

    def prepare(self, group: FrameGroup) -> PreparedGroup:
        """Classes and depth of the group's images, and points of its sweeps, in the grid's frame."""
        T_world_grid = grid_pose(group.drive, group.plan.target_frame, self.config)
        return PreparedGroup.of(group, read_group(group, self.config, self._classes, T_world_grid))

    def label(self, prepared: PreparedGroup, *, seed: int, trace: TraceSink | None = None) -> Voxels:
        """The voxels; nothing is left to chance."""
        settings = Settings(error=self.config.error, expects=self.config.ends == "expected")
        return label_voxels(self._grid, self._classes, prepared.payload, settings)

    def label_many(self, prepared: Sequence[PreparedGroup], *, seed: int) -> list[Any]:
        """One after the other."""
        return [self._attempt(one, seed) for one in prepared]

    def _attempt(self, prepared: PreparedGroup, seed: int) -> Any:
        try:
            return self.label(prepared, seed=seed)
        except Exception as error:  # it concerns this group alone
            return error

    def output(self, found: Voxels, prepared: PreparedGroup, provenance: Provenance) -> Output:
        """One row."""
        row = {
            "frame": prepared.plan.target_frame,
            "time_s": prepared.views[0].time_s,
            "source": "auto",
            "group_id": prepared.plan.group_id,
            **asdict(provenance),
            **encoded(found),
        }
        return {"voxels": pa.Table.from_pylist([row], schema=SCHEMA)}
