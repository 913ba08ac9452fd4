"""The two class tables of occupancy labels, Occ3D-nuScenes' and SSCBench-KITTI-360's: names, colours, ids of others."""

from dataclasses import dataclass

import numpy as np

from vsrd_ray.data.classes import ClassTable
from vsrd_ray.errors import InputError, nearest_name

UNKNOWN = 255  # semantics of a voxel of which nothing is known
NO_LABEL = 255  # of a pixel that is of no class
SKY = 254  # of a pixel whose ray meets nothing


@dataclass(frozen=True)
class VoxelClasses:
    """What the numbers in a grid of semantics mean."""

    name: str
    names: tuple[str, ...]  # by number
    free: int  # number of a voxel that is empty
    colors: np.ndarray  # [len(names), 3] uint8 RGB, as published; white where free
    moving: tuple[int, ...]  # numbers of classes that can drive, ride or walk
    vehicles: tuple[int, ...]  # numbers of those that are closed bodies, with a roof and a floor
    flat: tuple[int, ...]  # numbers of surfaces that one drives or walks on
    upright: tuple[int, ...]  # numbers of what is built, and rises straight from where it stands
    of_city: np.ndarray  # [256] uint8, number of each Cityscapes or KITTI-360 id; `SKY`, or `NO_LABEL`

    @property
    def occupied(self) -> tuple[int, ...]:
        """All numbers but that of free."""
        return tuple(number for number in range(len(self.names)) if number != self.free)


def _lookup(pairs: dict[int, tuple[int, ...]]) -> np.ndarray:
    table = np.full(256, NO_LABEL, dtype=np.uint8)
    for number, ids in pairs.items():
        table[list(ids)] = number
    table[23] = SKY
    return table


_OCC3D_NAMES = (
    "others",
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
    "free",
)
_OCC3D_COLORS = """
140 70 70, 100 158 40, 0 0 230, 20 85 125, 220 20 60, 60 60 255, 255 140 0, 200 150 70, 255 61 99, 60 155 40,
222 184 135, 100 100 100, 165 42 42, 60 60 60, 75 0 75, 255 158 0, 0 175 0, 255 255 255"""
_SSCBENCH_NAMES = (
    "empty",
    "car",
    "bicycle",
    "motorcycle",
    "truck",
    "other-vehicle",
    "person",
    "road",
    "parking",
    "sidewalk",
    "other-ground",
    "building",
    "fence",
    "vegetation",
    "terrain",
    "pole",
    "traffic-sign",
    "other-structure",
    "other-object",
)
_SSCBENCH_COLORS = """
255 255 255, 100 150 245, 100 230 245, 30 60 150, 80 30 180, 0 0 255, 255 30 30, 255 0 255, 255 150 255, 75 0 75,
175 0 75, 255 200 0, 255 120 50, 0 175 0, 150 240 80, 255 240 150, 255 0 0, 255 150 0, 50 255 255"""


def _colors(text: str) -> np.ndarray:
    return np.array([color.split() for color in text.split(",")], dtype=np.uint8)


OCC3D = VoxelClasses(
    name="occ3d",
    names=_OCC3D_NAMES,
    free=17,
    colors=_colors(_OCC3D_COLORS),
    moving=(2, 3, 4, 5, 6, 7, 9, 10),
    vehicles=(3, 4, 5, 9, 10),
    flat=(11, 12, 13, 14),
    upright=(15,),
    of_city=_lookup(
        {
            11: (7, 9),
            12: (6, 10),
            13: (8,),
            14: (22,),
            15: (*range(11, 21), *range(34, 39)),
            16: (21,),
            7: (24,),
            4: (26,),
            10: (27,),
            3: (28,),
            9: (29, 30),
            0: (31, *range(39, 45)),
            6: (32,),
            2: (33,),
        }
    ),
)
SSCBENCH = VoxelClasses(
    name="sscbench",
    names=_SSCBENCH_NAMES,
    free=0,
    colors=_colors(_SSCBENCH_COLORS),
    moving=(1, 2, 3, 4, 5, 6),
    vehicles=(1, 4, 5),
    flat=(7, 8, 9, 10, 14),
    upright=(11, 12, 15, 16, 17),
    of_city=_lookup(
        {
            1: (26,),
            2: (33,),
            3: (32,),
            4: (27,),
            5: (28, 29, 30, 31, 43),
            6: (24,),
            7: (7,),
            8: (9,),
            9: (8,),
            10: (6, 10),
            11: (11, 34),
            12: (12, 13, 35),
            13: (21,),
            14: (22,),
            15: (17, 18, 37, 38),
            16: (19, 20, 36),
            17: (14, 15, 16, 42),
            18: (39, 40, 41, 44),
        }
    ),
)

# Cityscapes' names of classes, and their ids, which are KITTI-360's.
CITY_IDS = {
    "ground": 6,
    "road": 7,
    "sidewalk": 8,
    "parking": 9,
    "rail track": 10,
    "building": 11,
    "wall": 12,
    "fence": 13,
    "guard rail": 14,
    "bridge": 15,
    "tunnel": 16,
    "pole": 17,
    "polegroup": 18,
    "traffic light": 19,
    "traffic sign": 20,
    "vegetation": 21,
    "terrain": 22,
    "sky": 23,
    "person": 24,
    "rider": 25,
    "car": 26,
    "truck": 27,
    "bus": 28,
    "caravan": 29,
    "trailer": 30,
    "train": 31,
    "motorcycle": 32,
    "bicycle": 33,
}


def numbers_of(table: VoxelClasses, dataset: ClassTable) -> np.ndarray:
    """Number in a table, `SKY` or `NO_LABEL`, [256] uint8, of each class number of a dataset.

    Raises:
        InputError: nobody knows what the dataset's classes are in this table.
    """
    if "road" in dataset and dataset.by_name["road"].number == 7:  # numbered as Cityscapes does
        return table.of_city
    if "driveable surface" in dataset and table is OCC3D:  # nuScenes' own numbers are Occ3D's
        numbers = np.full(256, NO_LABEL, dtype=np.uint8)
        numbers[: OCC3D.free] = np.arange(OCC3D.free)
        return numbers
    raise InputError(f"the dataset's classes are neither Cityscapes' nor nuScenes': {table.name} does not know them")


_TABLES = {table.name: table for table in (OCC3D, SSCBENCH)}
TABLES = tuple(_TABLES)


def table_named(name: str) -> VoxelClasses:
    """The class table of a name.

    Raises:
        InputError: there is none.
    """
    if name not in _TABLES:
        nearest = nearest_name(name, TABLES)
        hint = "" if nearest is None else f"; did you mean {nearest!r}?"
        raise InputError(f"no table of voxel classes {name!r}: give one of {', '.join(TABLES)}{hint}")
    return _TABLES[name]
