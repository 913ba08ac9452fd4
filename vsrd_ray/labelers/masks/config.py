"""The settings of made masks."""

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from vsrd_ray.errors import InputError
from vsrd_ray.perception.weights import digest
from vsrd_ray.settings import LabelerSettings, PositiveCount, Share


class MasksConfig(LabelerSettings):
    """Everything that decides which masks are found."""

    labeler: Literal["masks"] = "masks"  # pyright: ignore[reportIncompatibleVariableOverride]
    # folder of weights: an instance segmenter; beside a detector, one that fills boxes; or a file, see
    # `vsrd_ray.perception.models`
    model: str = ""
    detector: str = ""  # folder of weights of a detector of boxes, if any
    weights: tuple[str, ...] = ()  # digests of the folders above; found out, and checked where they are given
    names: dict[str, str] = Field(
        default_factory=dict
    )  # class of the dataset -> the model's name for it, where it differs
    min_score: Share = 0.5
    min_area: PositiveCount = 64  # px; smaller masks are left out
    frames_a_group: PositiveCount = 8  # that are segmented at once

    @property
    def folders(self) -> tuple[str, ...]:
        """Folders of weights."""
        return tuple(folder for folder in (self.model, self.detector) if folder)

    @property
    def in_words(self) -> str:
        """See `LabelerSettings`."""
        return " and ".join(Path(folder).name for folder in reversed(self.folders))

    @model_validator(mode="before")
    @classmethod
    def _with_digests(cls, values: dict[str, object]) -> dict[str, object]:
        """Know the weights by their content: a folder that has changed makes another run."""
        folders = [str(values[name]) for name in ("model", "detector") if values.get(name)]
        if any(not Path(folder).exists() for folder in folders) and values.get("weights"):
            return values  # of a run that is looked at where its weights are not
        try:
            found = tuple(digest(Path(folder)) for folder in folders)
        except InputError as error:
            raise ValueError(str(error)) from error
        if values.get("weights") and tuple(values["weights"]) != found:  # pyright: ignore
            raise ValueError(f"the weights in {' and '.join(folders)} are not those of before")
        return values | {"weights": found}
