"""The drive's camera file: intrinsics where the poses bring none, which way is up, and how long a unit is."""

from typing import Self

import numpy as np
from pydantic import model_validator

from vsrd_ray.datasets.folder import paths
from vsrd_ray.errors import ConfigError, InputError
from vsrd_ray.poses.models import Pinhole
from vsrd_ray.settings import Positive, PositiveCount, Settings, Triple, parse_yaml, validated
from vsrd_ray.storage import Location, read_bytes

_INTRINSICS = ("fx", "fy", "cx", "cy", "width", "height")


class CameraFile(Settings):
    """What camera.yaml may say."""

    fx: Positive | None = None  # pixels, as are the next three; a pixel's centre has whole coordinates
    fy: Positive | None = None
    cx: float | None = None
    cy: float | None = None
    width: PositiveCount | None = None  # pixels
    height: PositiveCount | None = None
    up: Triple | None = None  # direction in the axes of the poses' world
    scale: Positive | None = None  # metres in a unit of the poses; 1 says that they are metric
    camera_height: Positive | None = None  # metres above the road; scales a model that has points of the road

    @model_validator(mode="after")
    def _whole(self) -> Self:
        missing = [name for name in _INTRINSICS if getattr(self, name) is None]
        if 0 < len(missing) < len(_INTRINSICS):
            raise ValueError(f"{', '.join(missing)} missing: give all of {', '.join(_INTRINSICS)}, or none")
        if self.up is not None and not np.linalg.norm(self.up) > 0:
            raise ValueError("up has no direction: give three numbers, such as [0, 0, 1]")
        if self.scale is not None and self.camera_height is not None:
            raise ValueError("scale and camera_height both say how long a unit is: give one of them")
        return self

    def pinhole(self, place: str) -> Pinhole | None:
        """The intrinsics; None where there are none.

        Raises:
            InputError: see `Pinhole.of`.
        """
        if self.fx is None or self.fy is None or self.cx is None or self.cy is None:
            return None
        return Pinhole.of(self.fx, self.fy, self.cx, self.cy, (self.width or 0, self.height or 0), place=place)


def read_camera_file(folder: Location) -> CameraFile:
    """The camera file of a drive; one that says nothing where there is none.

    Raises:
        InputError: no YAML or JSON, an unknown key, or a value out of its range.
    """
    path = paths.camera_file(folder)
    if path is None:
        return CameraFile()
    try:
        return validated(CameraFile, parse_yaml(read_bytes(path), source=str(path)), source=str(path))
    except ConfigError as error:
        raise InputError(str(error)) from error
