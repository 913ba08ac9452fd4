"""The settings of the labeler of density."""

import hashlib
from typing import Literal, Self

from pydantic import model_validator

from vsrd_ray.settings import Count, LabelerSettings, NonNegative, Positive, PositiveCount
from vsrd_ray.storage import Location, open_location, read_bytes
from vsrd_ray.training.paths import TrainingPaths


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
        if not values.get("checkpoint"):
            return values
        path = checkpoint_file(open_location(str(values["checkpoint"])))
        if not path.exists():
            if values.get("weights"):
                return values  # of a run that is looked at where its weights are not
            raise ValueError(f"no checkpoint {values['checkpoint']}: give a run of `vsrd-ray train`, or a file")
        found = hashlib.sha256(read_bytes(path)).hexdigest()[:12]
        if values.get("weights") not in (None, "", found):
            raise ValueError(f"the weights in {values['checkpoint']} are not those of before")
        return values | {"weights": found}

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if self.source == "scene" and self.checkpoint:
            raise ValueError("a fit of the scene has no checkpoint: set source=student or teacher, or leave it out")
        if self.source != "scene" and not self.checkpoint:
            raise ValueError(f"source={self.source} needs checkpoint: a run of `vsrd-ray train`, or a file of weights")
        return self


def checkpoint_file(run_or_file: Location) -> Location:
    """The file that holds a run's weights: those that validated best, else the newest."""
    if run_or_file.suffix in (".pt", ".pth"):
        return run_or_file
    paths = TrainingPaths(run_or_file)
    return paths.best if paths.best.exists() else next(reversed(paths.checkpoints().values()), paths.best)
