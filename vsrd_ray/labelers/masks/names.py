"""What a model calls the classes of a dataset, and the plan of a group."""

from collections.abc import Mapping
from dataclasses import dataclass

from vsrd_ray.data.groups import GroupPlan
from vsrd_ray.errors import InputError
from vsrd_ray.labelers.masks.config import MasksConfig


@dataclass(frozen=True, kw_only=True)
class ImageGroupPlan(GroupPlan):
    """Frames that are segmented at once."""

    classes: tuple[str, ...]  # that are wanted


def names_of_model(config: MasksConfig, classes: tuple[str, ...], labels: tuple[str, ...]) -> Mapping[str, str]:
    """The wanted classes by the model's names for them; a model without labels finds what any word says.

    Raises:
        InputError: the model has no such name, or one name stands for two classes.
    """
    named: dict[str, str] = {}
    for name in classes:
        label = config.names.get(name, name)
        if labels and label not in labels:
            known = ", ".join(labels)
            raise InputError(
                f"--classes: the model finds no {label!r}: --set names.{name}=NAME says what it calls a {name}, "
                f"one of {known}"
            )
        if label in named:
            raise InputError(f"names: {label} stands for {named[label]} and for {name}: give each a name of its own")
        named[label] = name
    return named
