"""Settings of the occupancy network's training, and how it is found. Imports no torch."""

from typing import Any, Literal

from pydantic import model_validator

from vsrd_ray.data.drive import IMAGES, SEMANTICS
from vsrd_ray.labelers.occupancy.config import OccupancyConfig
from vsrd_ray.settings import NonNegative, Positive, PositiveCount, Settings, Share
from vsrd_ray.training.base import Trainable, TrainableSpec, TrainingNeeds
from vsrd_ray.training.settings import Backbone, Norm, TrainingSettings

Width = Literal[8, 16, 32, 64]


class NetworkSettings(Settings):
    """How large the network is, and what it sees."""

    image_size: tuple[PositiveCount, PositiveCount] = (266, 150)  # (width, height), px
    backbone: Backbone = "resnet18"
    width: Width = 32  # channels of the backbone's first stage; torchvision's are 64
    norm: Norm = "group"  # of the backbone; with torchvision's weights frozen
    features: Width = 32  # of a pixel and of a coarse voxel
    depth_bins: PositiveCount = 44  # of 1 m each, from 1 m on
    coarse: PositiveCount = 2  # voxels of the grid on a side of one that features are pulled into


class LossSettings(Settings):
    """Weights of losses."""

    ends: NonNegative = 1.0  # negative log likelihood of where rays end
    classes: NonNegative = 1.0  # cross entropy, in the voxels where a ray may have ended
    free: NonNegative = 0.5  # of what is well before a ray's end
    depth: NonNegative = 0.5  # cross entropy of pixels' depth bins
    voxels: NonNegative = 1.0  # cross entropy of occupied and free voxels


class OccupancyNetworkTraining(TrainingSettings):
    """Everything that decides what an occupancy network learns."""

    trainable: Literal["occupancy_network"] = "occupancy_network"  # pyright: ignore[reportIncompatibleVariableOverride]
    supervision: Literal["rays", "voxels"] = "rays"  # rendered rays, or the voxels that `label` finds
    network: NetworkSettings = NetworkSettings()
    # File of a classifier's weights under torchvision's names, to start the backbone from.
    backbone_weights: str = ""
    labels: OccupancyConfig = OccupancyConfig()  # the grid and its frames, and what rays and voxels are made of
    rays: PositiveCount = 1536  # drawn of a target frame
    losses: LossSettings = LossSettings()
    near_error: Positive = 0.12  # m, of depth, whatever its share
    held_out: Share = 0.1  # of the target frames, for validation
    held_out_block: PositiveCount = 4  # neighbours that are held out together

    @model_validator(mode="after")
    def _learns_from_rays(self) -> "OccupancyNetworkTraining":
        if self.labels.source != "rays":
            raise ValueError("labels.source: a network learns from rays, and not from a network: leave it out")
        if given := self.labels.given:
            raise ValueError(f"labels.{given[0]}: training reads what the dataset has: leave it out")
        return self

    @property
    def in_words(self) -> str:
        """See `TrainingSettings`."""
        return "by rendered rays" if self.supervision == "rays" else "by labelled voxels"


def _build(settings: OccupancyNetworkTraining) -> Trainable[Any]:
    from vsrd_ray.labelers.occupancy.network.trainable import OccupancyTrainable  # noqa: PLC0415 - torch and numba

    return OccupancyTrainable(settings)


TRAINABLES = (
    TrainableSpec(
        name="occupancy_network",
        summary="voxels from images alone, by rays through 2D classes and depth, or by labelled voxels",
        settings=OccupancyNetworkTraining,
        build=_build,
        needs=lambda settings: TrainingNeeds(layers=(IMAGES, SEMANTICS), all_cameras=True),
    ),
)
