"""The settings of the labeler of points."""

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from vsrd_ray.errors import InputError
from vsrd_ray.settings import LabelerSettings, NonNegative, Share


class PointsConfig(LabelerSettings):
    """Everything that decides what points are labelled as."""

    labeler: Literal["points"] = "points"  # pyright: ignore[reportIncompatibleVariableOverride] - settings are frozen
    rule: Literal["objects", "published"] = "objects"  # the next three settings are of `objects`
    ground_clearance: NonNegative = 0.2  # m above the ground up to which points belong to it
    front_share: Share = 0.6  # of the points of a mask's largest part that a nearer part needs to be the object
    reach: NonNegative = (
        0.4  # m around an object within which unlabelled points are its; rings are that far apart at 17 m
    )
    segmenter: str = ""  # folder of weights of an instance segmenter, which finds the masks; "": they are given
    sam: str = ""  # SAM, which makes masks anew at the points: folder of weights, or an original checkpoint
    weights: tuple[str, ...] = ()  # digests of the two; found out, and checked where they are given
    names: dict[str, str] = Field(default_factory=dict)  # class -> the segmenter's name for it, where it differs
    min_score: Share = 0.3  # of the segmenter

    @property
    def models(self) -> tuple[str, ...]:
        """Where weights lie."""
        return tuple(model for model in (self.segmenter, self.sam) if model)

    @property
    def in_words(self) -> str:
        """Which rule, and by whom masks are made."""
        masks = f"masks by {' and '.join(Path(model).name for model in self.models)}" if self.models else "masks"
        if self.rule == "published":
            return f"points take the labels of {masks}, by the published rules"
        return f"points take the labels of {masks}, without ground and background"

    @model_validator(mode="before")
    @classmethod
    def _with_digests(cls, values: dict[str, object]) -> dict[str, object]:
        """Know the weights by their content: those that have changed make another run."""
        models = [str(values[name]) for name in ("segmenter", "sam") if values.get(name)]
        if not models or (values.get("weights") and any(not Path(model).exists() for model in models)):
            return values  # of a run that is looked at where its weights are not
        from vsrd_ray.perception.weights import digest_of  # noqa: PLC0415 - few runs have weights

        try:
            found = tuple(digest_of(model) for model in models)
        except InputError as error:
            raise ValueError(str(error)) from error
        if values.get("weights") and tuple(values["weights"]) != found:  # pyright: ignore
            raise ValueError(f"the weights in {' and '.join(models)} are not those of before")
        return values | {"weights": found}
