"""What is prepared of a group, the bodies of its tracks, and their boxes."""

from dataclasses import dataclass, fields, replace

import numpy as np
from torch import Tensor

from vsrd_ray.geometry.boxes import UprightBoxes
from vsrd_ray.labelers.base import PreparedGroup
from vsrd_ray.labelers.vsrd.bodyfit import BodyFit
from vsrd_ray.labelers.vsrd.joins import Suggestion, Track, TrackViews
from vsrd_ray.labelers.vsrd.movers import Motions
from vsrd_ray.labelers.vsrd.observations import Observations
from vsrd_ray.labelers.vsrd.parameters import Boxes
from vsrd_ray.labelers.vsrd.targets import Targets
from vsrd_ray.labelers.vsrd.unseen import Sight
from vsrd_ray.labelers.vsrd.way import Way, in_world

_STATES = [field.name for field in fields(BodyFit) if field.name != "motion"]


@dataclass(frozen=True)
class Evidence:
    """What is prepared of a group, on the CPU."""

    observations: Observations  # of all instances of the plan
    targets: Targets | None  # where there are volumetric steps
    way: Way | None  # where bodies may move
    suggestions: list[Suggestion]  # of tracks that have several ids
    sights: dict[int, Sight]  # by frame, of those in which an instance may be visible without a mask


def evidence(prepared: PreparedGroup) -> Evidence:
    """What was prepared of a group."""
    return prepared.payload


@dataclass(frozen=True)
class GroupBodies:
    """The bodies of all tracks of a group."""

    fit: BodyFit  # [T]; of those that move at the middle of their time
    tracks: list[Track]
    views: TrackViews  # those that show the tracks
    motions: Motions | None  # of those that move

    @staticmethod
    def of(fit: BodyFit, tracks: list[Track], views: TrackViews, motions: Motions | None = None) -> "GroupBodies":
        """The fits of tracks, on the CPU; bodies that move take the places of those that stand."""
        fit = fit.to("cpu")
        if motions is not None:
            motions = motions.to("cpu")
            moved = {
                name: getattr(fit, name).index_copy(0, motions.places, getattr(motions.fit, name)) for name in _STATES
            }
            fit = replace(fit, **moved)
        return GroupBodies(fit, tracks, views, motions)

    def found(self) -> "Found":
        """The boxes of those that any view shows."""
        rows = [n for n, frames in enumerate(self.views.frames) if frames]
        boxes = self.fit.boxes
        chosen = Boxes(boxes.locations[rows], boxes.half_extents[rows], boxes.R_ref_obj[rows])
        return Found.of(rows, chosen, self.fit.silhouette_losses[rows])


@dataclass(frozen=True)
class Found:
    """Boxes in the reference frame, float64."""

    rows: list[int]  # [N] their tracks' places in the group
    locations: np.ndarray  # [N, 3] metres
    half_extents: np.ndarray  # [N, 3] metres
    R_ref_obj: np.ndarray  # [N, 3, 3]
    silhouette_losses: np.ndarray  # [N]

    @staticmethod
    def of(rows: list[int], boxes: Boxes, silhouette_losses: Tensor) -> "Found":
        """The boxes of some tracks."""
        tensors = (boxes.locations, boxes.half_extents, boxes.R_ref_obj, silhouette_losses)
        return Found(rows, *(tensor.double().cpu().numpy() for tensor in tensors))

    def arrays(self) -> tuple[np.ndarray, ...]:
        """All numbers."""
        return self.locations, self.half_extents, self.R_ref_obj, self.silhouette_losses

    def in_world(self, T_world_ref: np.ndarray) -> UprightBoxes:
        """The boxes [N] in the world."""
        return in_world(T_world_ref, self.locations, self.half_extents, self.R_ref_obj[:, :, 2])
