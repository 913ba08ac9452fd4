"""The models that users name: which segmenter a folder or file of weights is."""

from pathlib import Path

from vsrd_ray.perception import from_torchvision, packaged
from vsrd_ray.perception.base import Segmenter
from vsrd_ray.perception.by_words import GroundedDetector, VideoSegmenter, Words, WordSegmenter
from vsrd_ray.perception.from_transformers import PromptedSegmenter, QueryDetector, QuerySegmenter
from vsrd_ray.perception.loading import (
    BOXES_BY_WORDS,
    DETECTORS,
    MASKS_BY_WORDS,
    PROMPTED,
    SEGMENTERS,
    check_folder,
    labels_of,
    loaded,
)
from vsrd_ray.perception.weights import PACKAGED, TORCHVISION


def load_segmenter(model: str, detector: str | None, device: str) -> Segmenter:
    """A segmenter from a folder of weights, on a device.

    Args:
        model: folder of one of `SEGMENTERS` or `MASKS_BY_WORDS`; beside a detector, of one of `PROMPTED`; or a file, of
            `packaged` or `from_torchvision`.
        detector: folder of one of `DETECTORS` or `BOXES_BY_WORDS`, whose boxes the model fills.

    Raises:
        InputError: a folder of another model, or one that cannot be used; or its library is not installed.
    """
    if Path(model).suffix == PACKAGED:
        return packaged.PackagedSegmenter(Path(model))
    if Path(model).suffix in TORCHVISION:
        return from_torchvision.MaskRCNN(Path(model), device)
    if detector is not None:
        found = loaded(detector, (*DETECTORS, *BOXES_BY_WORDS), device)
        boxes = QueryDetector(found, device) if found.labels else GroundedDetector(found, Words.of(detector), device)
        return PromptedSegmenter(boxes, loaded(model, PROMPTED, device), device)
    found = loaded(model, (*SEGMENTERS, *MASKS_BY_WORDS), device)
    if found.labels:
        return QuerySegmenter(found, device)
    by_words = VideoSegmenter if found.name == "Sam3VideoModel" else WordSegmenter
    return by_words(found, Words.of(model), device)


def check_models(model: str, detector: str | None) -> tuple[str, ...]:
    """Refuse what `load_segmenter` cannot use, without loading it; names of what it finds, none where any word does.

    Raises:
        InputError: it cannot be used.
    """
    if Path(model).suffix == PACKAGED:
        packaged.check_file(Path(model))
        return (packaged.LABEL,)
    if Path(model).suffix in TORCHVISION:
        return from_torchvision.check_file(Path(model))
    if detector is not None:
        check_folder(model, PROMPTED)
    folder, known = (
        (model, (*SEGMENTERS, *MASKS_BY_WORDS)) if detector is None else (detector, (*DETECTORS, *BOXES_BY_WORDS))
    )
    if check_folder(folder, known) not in (*MASKS_BY_WORDS, *BOXES_BY_WORDS):
        return labels_of(folder)
    Words.of(folder)
    return ()
