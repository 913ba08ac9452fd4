"""Classes of files of masks, and those of the dataset: whether two are the same, and how instances are numbered."""

from collections.abc import Iterable, Mapping

from vsrd_ray.data.classes import IDS_PER_CLASS, ClassTable
from vsrd_ray.errors import InputError
from vsrd_ray.storage import Location

MANIFEST = "manifest.json"  # of the output folder of a run
# Cityscapes' labels in the order of their numbers, then KITTI-360's.
CITYSCAPES = (
    *("unlabeled", "ego vehicle", "rectification border", "out of roi", "static", "dynamic", "ground", "road"),
    *("sidewalk", "parking", "rail track", "building", "wall", "fence", "guard rail", "bridge", "tunnel", "pole"),
    *("polegroup", "traffic light", "traffic sign", "vegetation", "terrain", "sky", "person", "rider", "car", "truck"),
    *("bus", "caravan", "trailer", "train", "motorcycle", "bicycle"),
)
KITTI360 = (
    *CITYSCAPES,
    *("garage", "gate", "stop", "smallpole", "lamp", "trash bin", "vending machine", "box"),
    *("unknown construction", "unknown vehicle", "unknown object"),
)
# Of these, those behind everything, which a dataset without such a class need not know of; as its background.
BACKGROUND = frozenset(
    {"unlabeled", "rectification border", "out of roi", "ground", "road", "sidewalk", "parking", "rail track"}
    | {"terrain", "sky"}
)
# What some call classes and is none.
_UNKNOWN = frozenset({"ignore", "ignored", "crowd", "dontcare", "dont care", "don't care", "void", "unknown"})


def class_of(text: str, classes: ClassTable) -> str | None:
    """The class that the dataset calls so, or that has this name elsewhere; None where none or several do."""
    if text in classes:
        return text
    plain = text.casefold().replace("_", " ").strip()
    called = [
        one.name
        for one in classes
        if plain in {name.casefold() for name in (one.name, *one.names.values(), *one.synonyms)}
    ]
    return called[0] if len(called) == 1 else None


def classes_of(names: Iterable[str], classes: ClassTable) -> dict[str, str | None]:
    """`class_of` each name."""
    return {name: class_of(name, classes) for name in names}


def strange_among(found: Mapping[str, str | None]) -> tuple[str, ...]:
    """Of `classes_of`, the names for which the dataset has no class and that ought to be of one."""
    return tuple(sorted(name for name, own in found.items() if own is None and name.casefold() not in _UNKNOWN))


def numbering(pairs: Iterable[tuple[str | None, int]], place: Location) -> dict[tuple[str | None, int], int | None]:
    """Numbers 1..999 of instances in their class, by class and id of the file; None of what is unknown.

    Ids that are such numbers stay; the others get what is free, in ascending order.

    Raises:
        InputError: a class has more instances than there are numbers.
    """
    ids: dict[str | None, set[int]] = {}
    for class_name, number in pairs:
        ids.setdefault(class_name, set()).add(number)
    numbers: dict[tuple[str | None, int], int | None] = {(None, number): None for number in ids.pop(None, ())}
    for class_name, found in ids.items():
        if len(found) >= IDS_PER_CLASS:
            raise InputError(
                f"{place}: {len(found)} instances of {class_name}, and a drive may have {IDS_PER_CLASS - 1}: "
                "split the drive, or join the tracks of one object"
            )
        kept = {one for one in found if 0 < one < IDS_PER_CLASS}
        free = iter(sorted(set(range(1, IDS_PER_CLASS)) - kept))
        numbers |= {(class_name, one): one if one in kept else next(free) for one in sorted(found)}
    return numbers
