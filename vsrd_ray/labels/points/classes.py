"""The ten classes of point labels, nuScenes' things, and what formats and other datasets call them."""

import numpy as np

NAMES = (
    "car",
    "truck",
    "trailer",
    "bus",
    "construction_vehicle",
    "bicycle",
    "motorcycle",
    "pedestrian",
    "traffic_cone",
    "barrier",
)
NONE = len(NAMES)  # class of a point without a label
NO_INSTANCE = -1

# Classes of nuScenes' panoptic challenge; 0 is void, things come before stuff.
CHALLENGE = (
    "void",
    "barrier",
    "bicycle",
    "bus",
    "car",
    "construction_vehicle",
    "motorcycle",
    "pedestrian",
    "traffic_cone",
    "trailer",
    "truck",
    "driveable_surface",
    "other_flat",
    "sidewalk",
    "terrain",
    "manmade",
    "vegetation",
)
NUM_THINGS = len(NAMES)  # challenge classes 1..10
# Challenge class [11] uint16 of each of `NAMES`; 0 of none.
CHALLENGE_OF = np.array([*(CHALLENGE.index(name) for name in NAMES), 0], dtype=np.uint16)

# Classes of datasets that are one of `NAMES` under another name; "_" and " " count the same.
_ALIASES = {"person": "pedestrian", "rider": "pedestrian", "caravan": "car"}


def class_named(name: str) -> int | None:
    """The place in `NAMES` of a dataset's class; None of those that point labels do not have."""
    plain = name.replace(" ", "_")
    plain = _ALIASES.get(plain, plain)
    return NAMES.index(plain) if plain in NAMES else None
