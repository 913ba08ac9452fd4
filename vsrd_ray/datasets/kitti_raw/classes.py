"""The classes of KITTI, numbered as KITTI-MOTS numbers its masks: 1 car, 2 pedestrian."""

from vsrd_ray.data.classes import ClassTable, ObjectClass

MASKED = (1, 2)  # classes that KITTI-MOTS has masks of
IGNORE = 10  # in KITTI-MOTS's masks, of what may be anything

CLASSES = ClassTable(
    (
        ObjectClass("unlabeled", 0, may_occlude=False),
        ObjectClass(
            "car",
            1,
            is_thing=True,
            easily_taken_for=("van",),
            synonyms=("automobile", "auto", "taxi", "suv", "jeep", "vehicle"),
        ),
        ObjectClass(
            "person",
            2,
            is_thing=True,
            easily_taken_for=("person sitting", "cyclist"),
            names={"kitti": "Pedestrian"},
            synonyms=("pedestrian", "people", "human", "man", "woman", "child", "adult", "walker"),
        ),
        ObjectClass("van", 3, is_thing=True, easily_taken_for=("car",), synonyms=("minivan", "transporter")),
        ObjectClass("truck", 4, is_thing=True, easily_taken_for=("van",), synonyms=("lorry", "pickup", "bus")),
        ObjectClass(
            "cyclist",
            5,
            is_thing=True,
            easily_taken_for=("person",),
            synonyms=("rider", "bicyclist", "biker", "bicycle", "bike"),
        ),
        ObjectClass("tram", 6, is_thing=True, synonyms=("train", "streetcar", "on rails")),
        ObjectClass(
            "person sitting", 7, is_thing=True, easily_taken_for=("person",), names={"kitti": "Person_sitting"}
        ),
        ObjectClass("misc", 8, is_thing=True, synonyms=("trailer", "caravan", "other")),
    )
)

# As tracklets and the tracking benchmark write types.
TYPES = {
    "Car": "car",
    "Van": "van",
    "Truck": "truck",
    "Pedestrian": "person",
    "Person (sitting)": "person sitting",
    "Person_sitting": "person sitting",
    "Person": "person sitting",  # so the tracking benchmark calls it
    "Cyclist": "cyclist",
    "Tram": "tram",
    "Misc": "misc",
}
