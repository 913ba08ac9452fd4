"""Training of the occupancy network, for the loop of `vsrd_ray.training`.

Shapes: B groups, V views, H x W pixels, X x Y x Z voxels.
"""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vsrd_ray.data.drive import Drive
from vsrd_ray.data.groups import GroupPlan
from vsrd_ray.errors import InputError
from vsrd_ray.labelers.occupancy.network.labels import from_above, network_of
from vsrd_ray.labelers.occupancy.network.losses import RayBatch, depth_term, ray_terms, voxel_terms
from vsrd_ray.labelers.occupancy.network.model import OccupancyNetwork, Predicted
from vsrd_ray.labelers.occupancy.network.samples import OccupancySamples, make_targets, pieces_of, targets_of
from vsrd_ray.labelers.occupancy.placing import grid_of
from vsrd_ray.labelers.occupancy.training import OccupancyNetworkTraining
from vsrd_ray.training.backbone import load_backbone
from vsrd_ray.training.base import Batch, Part, Piece, Term, Trainable, held_out
from vsrd_ray.training.draws import Draws
from vsrd_ray.training.pieces import PieceStore, make_image

_RAYS = tuple(one.name for one in fields(RayBatch))


class OccupancyTrainable(Trainable[OccupancyNetworkTraining]):
    """Voxels from images, by rays or by labelled voxels."""

    def pieces(self, drives: Sequence[Drive]) -> Sequence[Piece]:
        """See `Trainable`."""
        targets = [target for drive in drives for target in targets_of(drive, self.settings.labels)]
        return pieces_of(targets, self.settings)

    def make(self, piece: Piece) -> np.ndarray:
        """See `Trainable`."""
        is_image = not isinstance(piece.detail[1], GroupPlan)
        return make_image(piece) if is_image else make_targets(piece, self.settings.labels)

    def samples(self, drives: Sequence[Drive], part: Part, store: PieceStore) -> OccupancySamples:
        """See `Trainable`."""
        chosen = []
        for drive in drives:
            targets = targets_of(drive, self.settings.labels)
            how = self.settings
            some = held_out(len(targets), part, share=how.held_out, block=how.held_out_block)
            chosen += [targets[number] for number in some]
        if len({len(target.drive.cameras) for target in chosen}) > 1:
            raise InputError("drives with different numbers of cameras cannot be trained on together: name --camera")
        return OccupancySamples(chosen, self.settings, store)

    def model(self, teacher: Any) -> nn.Module:
        """See `Trainable`.

        Raises:
            InputError: a teacher is given, or weights of another backbone.
        """
        if teacher is not None:
            raise InputError("--teacher: the network learns from rays or voxels: leave it out; --init takes weights")
        network = network_of(self.settings)
        if self.settings.backbone_weights:
            load_backbone(network.backbone, Path(self.settings.backbone_weights))
        return network

    def loss(self, model: nn.Module, batch: Batch, draws: Draws) -> dict[str, Term]:
        """Terms of each group, added up."""
        del draws  # rays are drawn where samples are read
        groups = []
        for number in range(len(batch["images"])):
            found = self._found(model, batch, number)
            rays = RayBatch(**{name: batch[name][number] for name in _RAYS})
            groups.append(self._terms(found, rays, batch, number) | depth_term(found, rays, self.settings.losses))
        return _summed(groups)

    def pictures(self, model: nn.Module, batch: Batch, draws: Draws) -> dict[str, np.ndarray]:
        """The voxels from above."""
        return {"above": from_above(self._found(model, batch, 0), self.settings)}

    def compile(self, model: nn.Module) -> None:
        """What looks at images: how many voxels a view sees depends on its pose."""
        assert isinstance(model, OccupancyNetwork)
        model.backbone.compile()
        model.space.compile()

    def _found(self, model: nn.Module, batch: Batch, number: int) -> Predicted:
        images: Tensor = batch["images"][number].float() / 127.5 - 1
        return model(images, batch["K"][number], batch["T_grid_cam"][number])

    def _terms(self, found: Predicted, rays: RayBatch, batch: Batch, number: int) -> dict[str, Term]:
        how = self.settings
        if how.supervision == "rays":
            return ray_terms(found, rays, how.losses)
        size = grid_of(how.labels).voxel_size
        return voxel_terms(found, batch["state"][number], batch["voxel_labels"][number], size, how.losses)


def _summed(groups: Sequence[dict[str, Term]]) -> dict[str, Term]:
    """Terms of several groups as those of one batch."""
    return {
        name: Term(
            torch.stack([group[name].sum for group in groups]).sum(),
            sum(torch.as_tensor(group[name].count, dtype=torch.float32) for group in groups),
            groups[0][name].weight,
        )
        for name in groups[0]
    }
