"""The labeler of occupancy: images and sweeps of a few frames make the voxels around one."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from vsrd_ray.data.groups import FrameGroup
from vsrd_ray.labelers.base import Output, PreparedGroup, Provenance, TraceSink
from vsrd_ray.labelers.occupancy.config import OccupancyConfig
from vsrd_ray.labelers.occupancy.inputs import GroupInputs, RawGroup, inputs_of, read_group, read_raw
from vsrd_ray.labelers.occupancy.labelling import Settings, label_voxels
from vsrd_ray.labelers.occupancy.placing import grid_of, grid_pose
from vsrd_ray.labels.voxels.classes import table_named
from vsrd_ray.labels.voxels.schema import SCHEMA, Voxels, encoded

if TYPE_CHECKING:
    from vsrd_ray.labelers.occupancy.semantics import PixelClasses


class OccupancyLabeler:
    """See `vsrd_ray.labelers.base.Labeler` for what each of these is."""

    def __init__(self, config: OccupancyConfig, device: str) -> None:
        self.config, self._device = config, device
        self._segmenter: PixelClasses | None = None
        self._classes = table_named(config.table)
        self._grid = grid_of(config)

    def setup(self) -> None:
        """Load the segmenter, if there is one; what is compiled is compiled with the first group."""
        if self.config.segmenter and self._segmenter is None:
            from vsrd_ray.labelers.occupancy.semantics import PixelClasses  # noqa: PLC0415 - torch takes two seconds

            self._segmenter = PixelClasses(self.config.segmenter, self.config.names, self._classes, self._device)

    def prepare(self, group: FrameGroup) -> PreparedGroup:
        """Classes and depth of the group's images, and points of its sweeps, in the grid's frame.

        For a segmenter the images themselves, in place of classes.
        """
        T_world_grid = grid_pose(group.drive, group.plan.target_frame, self.config)
        if self.config.segmenter:
            return PreparedGroup.of(group, read_raw(group, self.config, T_world_grid))
        return PreparedGroup.of(group, read_group(group, self.config, self._classes, T_world_grid))

    def label(self, prepared: PreparedGroup, *, seed: int, trace: TraceSink | None = None) -> Voxels:
        """The voxels; nothing is left to chance."""
        settings = Settings.of(self.config)
        return label_voxels(self._grid, self._classes, self._inputs(prepared.payload), settings)

    def _inputs(self, payload: GroupInputs | RawGroup) -> GroupInputs:
        if isinstance(payload, GroupInputs):
            return payload
        if self._segmenter is None:
            raise RuntimeError("a labeler is set up before its first label")
        labels = [self._segmenter.of(view.pixels) for view in payload.views]
        return inputs_of(payload, labels, self.config, self._classes)

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
