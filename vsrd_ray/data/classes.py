"""Classes of objects and surfaces, and how instance maps number them.

Every instance map of the project holds class number * 1000 + instance number, whatever its dataset: instance number 0
is no instance, but stuff. Which class has which number is the dataset's `ClassTable`.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property

import numpy as np

IDS_PER_CLASS = 1000
# Of every value of an instance map, whether it is an instance's.
IS_INSTANCE = np.arange(np.iinfo(np.uint16).max + 1) % IDS_PER_CLASS > 0


@dataclass(frozen=True)
class ObjectClass:
    """One class of a dataset."""

    name: str  # canonical, such as "traffic light"
    number: int  # in instance maps
    is_thing: bool = False  # has instances that can be counted
    may_occlude: bool = True  # may stand in front of an object; ground and sky may not
    easily_taken_for: tuple[str, ...] = ()  # classes that neither count as found nor as false where it is evaluated
    names: Mapping[str, str] = field(
        default_factory=dict
    )  # in formats that call it otherwise, such as {"kitti": "Tram"}


@dataclass(frozen=True)
class ClassTable:
    """The classes of a dataset."""

    classes: tuple[ObjectClass, ...]  # the first one stands for numbers that are none of these

    def __iter__(self) -> Iterator[ObjectClass]:
        return iter(self.classes)

    def __contains__(self, name: object) -> bool:
        return name in self.by_name

    @cached_property
    def by_name(self) -> dict[str, ObjectClass]:
        """Classes by their canonical names."""
        return {one.name: one for one in self.classes}

    @cached_property
    def by_number(self) -> dict[int, ObjectClass]:
        """Classes by their numbers in instance maps."""
        return {one.number: one for one in self.classes}

    @cached_property
    def never_in_front(self) -> tuple[int, ...]:
        """Numbers of the classes that cannot stand in front of an object."""
        return tuple(one.number for one in self.classes if not one.may_occlude)

    def name_of(self, instance_id: int) -> str:
        """Class of an id such as 26001; the first class for numbers that the dataset does not define."""
        return self.by_number.get(instance_id // IDS_PER_CLASS, self.classes[0]).name

    def first_id(self, name: str) -> int:
        """The id of a class's stuff; its instances have the next `IDS_PER_CLASS` - 1."""
        return self.by_name[name].number * IDS_PER_CLASS

    def nearest(self, name: str) -> str:
        """The class whose name is most like a text."""
        return get_close_matches(name, self.by_name, n=1, cutoff=0.0)[0]

    def unknown(self, names: Iterable[str]) -> str | None:
        """The first of some names that is no class; None where all are."""
        return next((name for name in names if name not in self), None)
