"""Fitted scenes as teachers: the voxels that `vsrd-ray label --config density` has written.

Shapes: X x Y x Z voxels, P points. Frames: `world` the drive's, `grid` the voxels' own.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vsrd_ray.errors import InputError
from vsrd_ray.labels.voxels.grid import Grid
from vsrd_ray.labels.voxels.schema import FREE, SCHEMA, TABLE, UNSEEN, decoded
from vsrd_ray.runs.reading import read_groups, read_rows
from vsrd_ray.storage import Location

OUTSIDE = 3  # beside the states of voxels: no voxel at all


@dataclass(frozen=True)
class FittedScene:
    """What is known of the space around some frames."""

    grid: Grid
    T_world_grid: np.ndarray  # [4, 4]
    state: Tensor  # [X, Y, Z] uint8

    def states_at(
        self,
        points_key: Tensor,  # [P, 3]
        T_world_key: Tensor,  # [4, 4] float64
    ) -> Tensor:
        """States [P] of the voxels that points lie in; `OUTSIDE` of the grid."""
        device = points_key.device
        T_grid_key = torch.from_numpy(np.linalg.inv(self.T_world_grid)).to(T_world_key) @ T_world_key
        points = points_key.double() @ T_grid_key[:3, :3].T + T_grid_key[:3, 3]
        low = torch.from_numpy(self.grid.low).to(points)
        index = ((points - low) / self.grid.voxel_size).floor().long()
        shape = torch.tensor(self.grid.shape, device=device)
        inside = ((index >= 0) & (index < shape)).all(dim=-1)
        x, y, z = torch.minimum(index.clamp(min=0), shape - 1).unbind(dim=-1)
        return torch.where(inside, self.state.to(device)[x, y, z].long(), OUTSIDE)


@dataclass(frozen=True)
class FittedScenes:
    """The fitted scenes of a run, by drive and frame."""

    output: Location
    scenes: Mapping[tuple[str, int], FittedScene]

    def of(self, drive: str, frame: int) -> FittedScene:
        """The scene that a frame belongs to.

        Raises:
            InputError: the run has none of it.
        """
        if (drive, frame) not in self.scenes:
            raise InputError(
                f"--teacher {self.output}: no fitted scene of frame {frame} of {drive}: "
                "label these frames with --config density first"
            )
        return self.scenes[drive, frame]

    @property
    def frames(self) -> frozenset[tuple[str, int]]:
        """Drives and frames that have a scene."""
        return frozenset(self.scenes)


def read_scenes(output: Location) -> FittedScenes:
    """The fitted scenes of a labelling run.

    Raises:
        InputError: the folder holds no voxels with states.
    """
    rows = read_rows(output, TABLE.folder, SCHEMA, needed=("frame", "group_id", "state")).to_pylist()
    frames_of = {row["group_id"]: row["frames"] for row in read_groups(output).to_pylist()}
    scenes: dict[tuple[str, int], FittedScene] = {}
    for row in rows:
        voxels = decoded(row)
        assert voxels.state is not None
        scene = FittedScene(voxels.grid, voxels.T_world_grid, torch.from_numpy(voxels.state.copy()))
        scenes.update(((row["sequence"], frame), scene) for frame in frames_of.get(row["group_id"], ()))
    if not scenes:
        raise InputError(f"{output} holds no fitted scene: give the output of `vsrd-ray label --config density`")
    return FittedScenes(output, scenes)


def occupancy_targets(
    states: Tensor,  # [P]
    *,
    unseen_weight: float,
) -> tuple[Tensor, Tensor]:
    """What points should be, [P] 0 or 1, and how much each counts, [P]: unseen ones are weakly occupied."""
    weights = torch.ones(states.shape, device=states.device)
    weights = torch.where(states == UNSEEN, unseen_weight, weights)
    weights = torch.where(states == OUTSIDE, 0.0, weights)
    return (states != FREE).to(weights), weights
