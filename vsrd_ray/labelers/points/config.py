"""The settings of the labeler of points."""

from typing import Literal

from vsrd_ray.settings import LabelerSettings, NonNegative, Share


class PointsConfig(LabelerSettings):
    """Everything that decides what points are labelled as."""

    labeler: Literal["points"] = "points"  # pyright: ignore[reportIncompatibleVariableOverride] - settings are frozen
    rule: Literal["objects", "published"] = "objects"  # the other settings are of `objects`
    ground_clearance: NonNegative = 0.2  # m above the ground up to which points belong to it
    front_share: Share = 0.6  # of the points of a mask's largest part that a nearer part needs to be the object
    reach: NonNegative = (
        0.4  # m around an object within which unlabelled points are its; rings are that far apart at 17 m
    )

    @property
    def in_words(self) -> str:
        """Which rule."""
        if self.rule == "published":
            return "points take the labels of masks, by the published rules"
        return "points take the labels of masks, without ground and background"
