"""What a built-in street is made of."""

from typing import Annotated

from pydantic import Field, model_validator

from vsrd_ray.settings import Count, Positive, PositiveCount, Settings

MAX_INSTANCES = 999  # an instance id is semantic id * 1000 + instance id
Side = Annotated[int, Field(ge=32, le=8192)]


class StreetSettings(Settings):
    """A street, the vehicles on it and the drive through it. Equal settings make equal bytes."""

    frames: PositiveCount = 60
    cars: Count = 12  # parked
    moving: Count = 0  # cars that drive, in addition to the parked ones
    trucks: Count = 0  # parked
    buses: Count = 0  # parked
    caravans: Count = 0  # parked
    trailers: Count = 0  # parked
    seed: Count = 0
    image_size: tuple[Side, Side] = (1408, 376)  # (width, height), px
    mask_noise: Annotated[float, Field(ge=0, le=10)] = (
        1.0  # px, root mean square shift of mask outlines along each axis
    )
    frame_spacing: Positive = 0.9  # m of road between frames
    sequence: Annotated[str, Field(pattern=r"^2013_05_28_drive_\d{4}_sync$")] = "2013_05_28_drive_0000_sync"

    @model_validator(mode="after")
    def _instances_fit_their_ids(self) -> "StreetSettings":
        counts = {
            "cars + moving": self.cars + self.moving,
            "trucks": self.trucks,
            "buses": self.buses,
            "caravans": self.caravans,
            "trailers": self.trailers,
        }
        for name, count in counts.items():
            if count > MAX_INSTANCES:
                raise ValueError(f"{name} must be at most {MAX_INSTANCES}, got {count}")
        return self

    @property
    def others(self) -> dict[str, int]:
        """Numbers of parked vehicles other than cars, by class."""
        return {"truck": self.trucks, "bus": self.buses, "caravan": self.caravans, "trailer": self.trailers}

    @property
    def drive_length(self) -> float:
        """Metres of road between the first and the last camera."""
        return (self.frames - 1) * self.frame_spacing
