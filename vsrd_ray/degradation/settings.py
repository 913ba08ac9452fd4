"""How bad masks are made."""

from typing import Annotated, Any

from pydantic import Field, field_validator

from vsrd_ray.settings import Count, Settings, Share

Pixels = Annotated[int, Field(ge=0, le=5)]
_RANGES = {"mask_head": (4, 256), "blocks": (2, 64)}  # of what is not 0


class DegradeSettings(Settings):
    """What is done to the masks of a dataset, in the order in which it is done. By default nothing is."""

    seed: Count = 0
    # tracks: who is who
    cut: Share = 0.0  # share of tracks that are cut in two
    swap: Share = 0.0  # share of pairs of neighbours that exchange their ids from some frame on
    merge: Share = 0.0  # share of pairs of neighbours that share one id
    # single masks
    miss: Share = 0.0  # share of masks that are missing
    flicker: Share = 0.0  # share of masks whose class is another one
    false: Annotated[float, Field(ge=0, le=10)] = 0.0  # false objects for each true track
    # outlines
    shadow: tuple[Share, Share] = (0.0, 0.0)  # shares of a mask's height, between which its foot is lowered
    erode: Pixels = 0
    dilate: Pixels = 0
    ragged: Annotated[float, Field(ge=0, le=10)] = 0.0  # px, root mean square shift across the outline
    mask_head: int = 0  # cells along each side of the mask's box; 0: as fine as the image
    blocks: int = 0  # px; 0: single pixels

    @field_validator("shadow")
    @classmethod
    def _ascending(cls, shadow: tuple[float, float]) -> tuple[float, float]:
        if shadow[0] > shadow[1]:
            raise ValueError(f"expected the lower share first, got {shadow[0]:g}-{shadow[1]:g}")
        return shadow

    @field_validator(*_RANGES)
    @classmethod
    def _in_range(cls, value: int, info: Any) -> int:
        least, most = _RANGES[info.field_name]
        if value and not least <= value <= most:
            raise ValueError(f"expected 0, or {least} to {most}, got {value}")
        return value


PRESETS: dict[str, dict[str, Any]] = {
    "mild": {"cut": 0.2, "miss": 0.1, "false": 0.1, "ragged": 1.0, "mask_head": 28},
}
