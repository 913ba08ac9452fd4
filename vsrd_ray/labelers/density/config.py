"""The settings of the labeler of density."""

from typing import Literal

from vsrd_ray.settings import Count, LabelerSettings, NonNegative, Positive, PositiveCount


class DensityConfig(LabelerSettings):
    """Everything that decides what density fields look like."""

    labeler: Literal["density"] = "density"  # pyright: ignore[reportIncompatibleVariableOverride] - settings are frozen
    depth: Literal["stereo", "lidar"] = "stereo"  # what space is carved by
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
