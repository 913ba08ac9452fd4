"""The classes of one's own masks, numbered as Cityscapes and KITTI-360 do."""

from vsrd_ray.data.classes import ClassTable, ObjectClass

_NEVER_IN_FRONT = {
    0: "unlabeled",
    2: "rectification border",
    3: "out of roi",
    6: "ground",
    7: "road",
    8: "sidewalk",
    9: "parking",
    10: "rail track",
    22: "terrain",
    23: "sky",
}
_STUFF = {
    1: "ego vehicle",
    4: "static",
    5: "dynamic",
    11: "building",
    12: "wall",
    13: "fence",
    14: "guard rail",
    15: "bridge",
    16: "tunnel",
    17: "pole",
    18: "polegroup",
    19: "traffic light",
    20: "traffic sign",
    21: "vegetation",
}

CLASSES = ClassTable(
    (
        *(ObjectClass(name, number, may_occlude=False) for number, name in _NEVER_IN_FRONT.items()),
        *(ObjectClass(name, number) for number, name in _STUFF.items()),
        ObjectClass("person", 24, is_thing=True, names={"kitti": "Pedestrian"}, synonyms=("pedestrian", "people")),
        ObjectClass("rider", 25, is_thing=True, names={"kitti": "Cyclist"}, synonyms=("cyclist", "biker")),
        ObjectClass("car", 26, is_thing=True, synonyms=("automobile", "van", "taxi", "suv", "vehicle")),
        ObjectClass("truck", 27, is_thing=True, synonyms=("lorry", "van", "pickup", "vehicle")),
        ObjectClass("bus", 28, is_thing=True, synonyms=("buses", "coach", "vehicle")),
        ObjectClass("caravan", 29, is_thing=True, synonyms=("camper", "motorhome")),
        ObjectClass("trailer", 30, is_thing=True),
        ObjectClass("train", 31, is_thing=True, names={"kitti": "Tram"}, synonyms=("tram",)),
        ObjectClass("motorcycle", 32, is_thing=True, synonyms=("motorbike", "moped", "scooter")),
        ObjectClass("bicycle", 33, is_thing=True, synonyms=("bike", "cycle")),
    )
)
