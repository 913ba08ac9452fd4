"""The classes of the nuScenes-panoptic challenge, numbered as it numbers them, and what other numberings mean by them.

Truth numbers categories (`category.json`); PointSAM's masks number ten detector classes, and 10 is none.
"""

import numpy as np

from vsrd_ray.data.classes import ClassTable, ObjectClass

CLASSES = ClassTable(
    (
        ObjectClass("unlabeled", 0, may_occlude=False),
        ObjectClass("barrier", 1, is_thing=True, synonyms=("crash barrier",)),
        ObjectClass("bicycle", 2, is_thing=True, synonyms=("bike", "cycle", "cyclist")),
        ObjectClass("bus", 3, is_thing=True, synonyms=("buses", "coach", "minibus", "vehicle")),
        ObjectClass(
            "car",
            4,
            is_thing=True,
            synonyms=("automobile", "auto", "van", "minivan", "taxi", "suv", "jeep", "vehicle"),
        ),
        ObjectClass(
            "construction vehicle",
            5,
            is_thing=True,
            names={"nuscenes": "construction_vehicle"},
            synonyms=("construction", "excavator", "crane", "vehicle"),
        ),
        ObjectClass(
            "motorcycle", 6, is_thing=True, synonyms=("motorbike", "moped", "scooter", "motorcyclist", "biker")
        ),
        ObjectClass(
            "pedestrian",
            7,
            is_thing=True,
            names={"kitti": "Pedestrian"},
            synonyms=("person", "people", "human", "man", "woman", "child", "adult", "walker"),
        ),
        ObjectClass(
            "traffic cone",
            8,
            is_thing=True,
            names={"nuscenes": "traffic_cone"},
            synonyms=("cone", "trafficcone", "pylon"),
        ),
        ObjectClass("trailer", 9, is_thing=True, easily_taken_for=("truck",)),
        ObjectClass(
            "truck",
            10,
            is_thing=True,
            easily_taken_for=("trailer", "construction vehicle"),
            synonyms=("lorry", "pickup", "vehicle"),
        ),
        ObjectClass("driveable surface", 11, may_occlude=False, synonyms=("road", "street", "lane")),
        ObjectClass("other flat", 12, may_occlude=False),
        ObjectClass("sidewalk", 13, may_occlude=False, synonyms=("pavement", "footpath")),
        ObjectClass("terrain", 14, may_occlude=False, synonyms=("grass", "soil")),
        ObjectClass("manmade", 15, synonyms=("building", "house", "wall", "pole")),
        ObjectClass("vegetation", 16, synonyms=("tree", "bush", "hedge", "plant")),
    )
)

# Which class a category counts as in the challenges; all others, such as animals and strollers, count as none.
_CLASS_OF_CATEGORY = {
    "movable_object.barrier": "barrier",
    "vehicle.bicycle": "bicycle",
    "vehicle.bus.bendy": "bus",
    "vehicle.bus.rigid": "bus",
    "vehicle.car": "car",
    "vehicle.construction": "construction vehicle",
    "vehicle.motorcycle": "motorcycle",
    "human.pedestrian.adult": "pedestrian",
    "human.pedestrian.child": "pedestrian",
    "human.pedestrian.construction_worker": "pedestrian",
    "human.pedestrian.police_officer": "pedestrian",
    "movable_object.trafficcone": "traffic cone",
    "vehicle.trailer": "trailer",
    "vehicle.truck": "truck",
    "flat.driveable_surface": "driveable surface",
    "flat.other": "other flat",
    "flat.sidewalk": "sidewalk",
    "flat.terrain": "terrain",
    "static.manmade": "manmade",
    "static.vegetation": "vegetation",
}
# The ten classes that PointSAM's masks number from 0.
_DETECTOR_CLASSES = (
    "car",
    "truck",
    "trailer",
    "bus",
    "construction vehicle",
    "bicycle",
    "motorcycle",
    "pedestrian",
    "traffic cone",
    "barrier",
)
NO_DETECTOR_CLASS = len(_DETECTOR_CLASSES)

# [11] uint16, class number of each number in PointSAM's masks.
CLASS_OF_DETECTOR = np.array([*(CLASSES.by_name[name].number for name in _DETECTOR_CLASSES), 0], dtype=np.uint16)


def number_of_category(name: str) -> int:
    """The number of the class that a category such as "vehicle.bus.bendy" counts as; 0 for none."""
    return CLASSES.by_name[_CLASS_OF_CATEGORY[name]].number if name in _CLASS_OF_CATEGORY else 0
