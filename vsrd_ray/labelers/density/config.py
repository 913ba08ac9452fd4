"""The settings of the labeler of density."""

from typing import Literal, Self

from pydantic import model_validator

from vsrd_ray.settings import Count, LabelerSettings, NonNegative, Positive, PositiveCount
from vsrd_ray.training.digests import with_digest


class DensityConfig(LabelerSettings):
    """Everything that decides what density fields look like."""

    labeler: Literal["density"] = "density"  # pyright: ignore[reportIncompatibleVariableOverride] - settings are frozen
    source: Literal["scene", "student", "teacher"] = "scene"  # a fit of the scene, or a trained network
    checkpoint: str = ""  # of the network: folder of a run of `vsrd-ray train`, or a file
    weights: str = ""  # digest of the checkpoint; found out, and checked where it is given
    depth: Literal["stereo", "lidar", "given"] = "stereo"  # what space is carved by
    frames_a_group: PositiveCount = 60  # that are labelled by one field
    frames_beside: Count = 20  # before and after them, that help to carve it
    image_width: PositiveCount = 640  # px; wider images are made smaller
    voxel_size: Positive = 0.2  # m
    ahead: Positive = 25.0  # m that the grid reaches beyond the last camera
    beside: Positive = 12.0  # m that it reaches to both sides of the cameras
    below: Positive = 2.4  # m
    above: Positive = 2.0  # m
    truncation: Positive = 0.5  # m around a measured surface in which it is averaged; more where depth is less certain
    least_evidence: NonNegative = 0.02  # of one good measurement, below which a voxel counts as unseen
    steps: Count = 100  # of the photometric refinement

    @property
    def in_words(self) -> str:
        """See `LabelerSettings`."""
        return "" if self.source == "scene" else f"{self.source} of {self.checkpoint}"

    @model_validator(mode="before")
    @classmethod
    def _with_digest(cls, values: dict[str, object]) -> dict[str, object]:
        """Know the weights by their content: a checkpoint that has changed makes another run."""
        return with_digest(values)

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if self.source == "scene" and self.checkpoint:
            raise ValueError("a fit of the scene has no checkpoint: set source=student or teacher, or leave it out")
        if self.source != "scene" and not self.checkpoint:
            raise ValueError(f"source={self.source} needs checkpoint: a run of `vsrd-ray train`, or a file of weights")
        return self
