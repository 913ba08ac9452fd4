"""Classes of pixels by a segmenter, where the dataset has no class maps. Shapes: H x W pixels."""

from collections.abc import Mapping, Sequence

import numpy as np

from vsrd_ray.errors import InputError
from vsrd_ray.labels.voxels.classes import CITY_IDS, NO_LABEL, VoxelClasses
from vsrd_ray.perception.models import check_models, load_segmenter

_MIN_SCORE = 0.3


def city_ids(labels: Sequence[str], names: Mapping[str, str]) -> dict[str, int]:
    """Ids of Cityscapes by those names of a segmenter that mean any: its own, unless others are given for them.

    Args:
        labels: all names that the segmenter gives.
        names: its names -> Cityscapes'.

    Raises:
        InputError: names of no class, or none that is known.
    """
    if unknown := sorted(names.keys() - set(labels)):
        raise InputError(f"names.{unknown[0]}: the segmenter gives no such name, but {', '.join(labels)}")
    if unknown := sorted(set(names.values()) - CITY_IDS.keys()):
        raise InputError(f"names: {unknown[0]} is no class of Cityscapes: give one of {', '.join(CITY_IDS)}")
    meant = {label: names.get(label, label.lower().replace("-", " ").replace("_", " ")) for label in labels}
    found = {label: CITY_IDS[name] for label, name in meant.items() if name in CITY_IDS}
    if not found:
        raise InputError(
            f"the segmenter's names are none of Cityscapes' ({', '.join(labels) or 'it has none'}): "
            "--set names='{NAME: road, …}' says which is which"
        )
    return found


def check_segmenter(folder: str, names: Mapping[str, str]) -> None:
    """Refuse a segmenter that cannot be used, or whose names nobody knows, without loading it.

    Raises:
        InputError: such a segmenter.
    """
    city_ids(check_models(folder, None), names)


class PixelClasses:
    """A segmenter that gives each pixel the class of the likeliest thing or surface there."""

    def __init__(self, folder: str, names: Mapping[str, str], classes: VoxelClasses, device: str) -> None:
        self._segmenter = load_segmenter(folder, None, device)
        self._numbers = {
            label: int(classes.of_city[number]) for label, number in city_ids(self._segmenter.labels, names).items()
        }

    def of(self, image: np.ndarray) -> np.ndarray:
        """Classes [H, W] uint8 of an image [H, W, 3] uint8, BGR; `NO_LABEL` where nothing was found."""
        (found,) = self._segmenter.segment([image], min_score=_MIN_SCORE, wanted=list(self._numbers))
        labels = np.full(image.shape[:2], NO_LABEL, dtype=np.uint8)
        for mask, label in zip(found.masks[::-1], found.labels[::-1], strict=True):  # the likeliest is painted last
            labels[mask] = self._numbers[label]
        return labels
