"""Entries of JSON files of masks, checked as they are taken out: a file may come from any tool."""

import math
from collections.abc import Iterable
from typing import Any, TypeVar

from vsrd_ray.errors import InputError
from vsrd_ray.masks.base import Drive
from vsrd_ray.masks.maps import number_in
from vsrd_ray.storage import Location

T = TypeVar("T")
_NOUNS = {list: "a list", str: "a text", dict: "keys and values", int: "a whole number"}


def entry(values: Any, key: str, kind: type[T], place: str) -> T:
    """The value under a key.

    Raises:
        InputError: there is none, or one of another kind.
    """
    value = values.get(key) if isinstance(values, dict) else None
    if not isinstance(value, kind) or isinstance(value, bool):
        raise InputError(f"{place}: expected {_NOUNS[kind]} under {key!r}, got {value!r:.40}: mend the file")
    return value


def score_of(values: dict[str, Any], place: str) -> float:
    """The score; 1 where there is none.

    Raises:
        InputError: it is no number.
    """
    score = values.get("score", 1.0)
    if not isinstance(score, (int, float)) or isinstance(score, bool) or not math.isfinite(score):
        raise InputError(f"{place}: expected a number under 'score', got {score!r:.40}: mend the file")
    return float(score)


def stem_of(file_name: str) -> str:
    """The name of an image without folders and suffix."""
    name = file_name.replace("\\", "/").rpartition("/")[2]
    return name.rpartition(".")[0] or name


def of_drive(file_names: Iterable[str], drive: Drive) -> list[str]:
    """The names of images of one drive and camera, among those of many: by the folders in their names."""
    found = list(file_names)
    for wanted in (drive.name, drive.camera):
        named = [name for name in found if wanted in name.replace("\\", "/").split("/")[:-1]]
        found = named or found
    return found


def image_numbers(file_names: Iterable[str], location: Location) -> dict[str, int]:
    """Frame numbers of images by their names: the last number in each.

    Raises:
        InputError: an image has none, or two have the same.
    """
    numbers: dict[str, int] = {}
    names: dict[int, str] = {}
    for name in file_names:
        if (number := number_in(stem_of(name))) is None:
            raise InputError(f"{location}: image {name!r}: no frame number in its name: rename it")
        if number in names:
            raise InputError(
                f"{location}: images {names[number]!r} and {name!r} are both of frame {number}: give the masks of one "
                "sequence and camera, or name their folders by them"
            )
        numbers[name], names[number] = number, name
    return numbers
