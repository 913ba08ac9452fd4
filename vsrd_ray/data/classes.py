"""Classes of objects and surfaces, and how instance maps number them.

Every instance map of the project holds class number * 1000 + instance number, whatever its dataset: instance number 0
is no instance, but stuff. Which class has which number is the dataset's `ClassTable`.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property

import numpy as np

from vsrd_ray.errors import InputError

IDS_PER_CLASS = 1000
# The value of an instance map's pixels of which nobody knows what they show: crowds, and what annotators left out. It
# may hide an object and bounds none. No class may have its number.
UNKNOWN = 65 * IDS_PER_CLASS
# Of every value of an instance map, whether it is an instance's.
IS_INSTANCE = np.arange(np.iinfo(np.uint16).max + 1) % IDS_PER_CLASS > 0

# Likeness of words, of 1, from which one may be the other with a slip of the pen: of objects, and of all else.
_LIKE, _MUCH_LIKE = 0.6, 0.85


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
    synonyms: tuple[str, ...] = ()  # what people call it, or what belongs to it, such as "lorry"; in lower case


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

    def check(self, names: Iterable[str], *, title: str, option: str = "--classes") -> None:
        """Refuse names that are no classes, one that stands twice, and none at all.

        Args:
            names: those that the user gave.
            title: of the dataset.
            option: where they were given.

        Raises:
            InputError: there is one; one that is no class is told with those that mean the same.
        """
        names = list(names)
        if not names:
            raise InputError(f"{option} names no class: give one or more with commas between them, such as car,truck")
        if (name := self.unknown(names)) is not None:
            meant = self.meant_by(name)
            things = ", ".join(one.name for one in self.classes if one.is_thing)
            hint = f"did you mean {' or '.join(map(repr, meant))}?" if meant else f"give some of {things}"
            raise InputError(f"{option}: no class {name!r} in {title}; {hint}")
        if repeated := [name for name in names if names.count(name) > 1]:
            raise InputError(f"{option}: {repeated[0]!r} is named more than once: name each class once")

    def meant_by(self, text: str) -> list[str]:
        """The classes that a text may mean: in other words or letters, or nearly so; none where nothing is like it."""
        called: dict[str, list[str]] = {}
        for one in self.classes:
            for name in (one.name, *one.names.values(), *one.synonyms):
                called.setdefault(_plain(name), []).append(one.name)
        said = _plain(text)
        known = [words for words in (said, *reversed(said.split())) if words in called]
        things = [words for words, names in called.items() if any(self.by_name[name].is_thing for name in names)]
        near = (
            known
            or get_close_matches(said, things, n=1, cutoff=_LIKE)
            or get_close_matches(said, called, n=1, cutoff=_MUCH_LIKE)
        )
        return list(dict.fromkeys(called[near[0]])) if near else []

    def unknown(self, names: Iterable[str]) -> str | None:
        """The first of some names that is no class; None where all are."""
        return next((name for name in names if name not in self), None)


def _plain(text: str) -> str:
    """A name in small letters, in the singular, with spaces between its words."""
    words = "".join(letter if letter.isalnum() else " " for letter in str(text).casefold()).split()
    return " ".join(word.removesuffix("s") for word in words)
