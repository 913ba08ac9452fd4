"""Models of the library transformers from folders of weights: which are known, and how they are loaded."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from vsrd_ray.errors import InputError, nearest_name, one_line
from vsrd_ray.perception.pixels import Pixels, Preprocessor
from vsrd_ray.perception.weights import CONFIG, read_json, read_processor, weight_files

# Architectures by what they give: masks of their own, boxes, or masks for given boxes.
SEGMENTERS = (
    "RfDetrForInstanceSegmentation",
    "Mask2FormerForUniversalSegmentation",
    "MaskFormerForInstanceSegmentation",
)
DETECTORS = (
    "RfDetrForObjectDetection",
    "RTDetrForObjectDetection",
    "RTDetrV2ForObjectDetection",
    "DFineForObjectDetection",
)
PROMPTED = ("SamModel", "Sam2Model")
POINTED = ("SamModel",)  # masks for given points, see `vsrd_ray.perception.sam`
# Those that find what words say, see `vsrd_ray.perception.by_words`: boxes, masks in an image, masks in a video.
BOXES_BY_WORDS = ("GroundingDinoForObjectDetection", "MMGroundingDinoForObjectDetection")
MASKS_BY_WORDS = ("Sam3Model", "Sam3VideoModel")


@dataclass(frozen=True)
class Model:
    """A model that is ready to be asked."""

    name: str  # of its architecture
    network: Any  # torch module
    preprocess: Preprocessor
    labels: tuple[str, ...]  # names of its classes; none where it has none of its own

    def __call__(self, pixels: Pixels, **more: Any) -> Any:
        """The network's outputs."""
        with torch.inference_mode():
            return self.network(pixel_values=pixels.values, **more)


def architecture(folder: Path, known: Sequence[str]) -> str:
    """The architecture that a folder's config.json names, if it is a known one."""
    names = read_json(folder, CONFIG).get("architectures") or ["none"]
    if (name := str(names[0])) not in known:
        nearest = nearest_name(name, known)
        hint = f"; did you mean {nearest}?" if nearest else ""
        raise InputError(f"{folder / CONFIG}: a {name}, expected one of {', '.join(known)}{hint}")
    return name


def loaded(folder: str, known: Sequence[str], device: str) -> Model:
    """The model of a folder, on a device.

    Raises:
        InputError: a folder of another model, or one that cannot be used; or transformers is not installed.
    """
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # read at the library's import: nothing is fetched
    path = Path(folder)
    name = architecture(path, known)
    preprocess = _preprocessor(path)
    weight_files(path)
    network = _network(path, class_of(name)).to(device).eval()
    names: dict[int, str] = dict(network.config.id2label) if name in (*SEGMENTERS, *DETECTORS) else {}
    return Model(name, network, preprocess, tuple(str(names[number]) for number in sorted(names)))


def check_folder(folder: str, known: Sequence[str]) -> str:
    """The architecture of a folder of weights that can be used as wanted; nothing is loaded.

    Raises:
        InputError: it cannot.
    """
    path = Path(folder)
    name = architecture(path, known)
    _preprocessor(path)
    weight_files(path)
    return name


def labels_of(folder: str) -> tuple[str, ...]:
    """Names of the classes of a folder's model, in the order of its config.json."""
    return tuple(map(str, read_json(Path(folder), CONFIG).get("id2label", {}).values()))


def _preprocessor(path: Path) -> Preprocessor:
    values, source = read_processor(path)
    return Preprocessor(values, source=str(source))


def class_of(name: str) -> Any:
    """A class of the library, by its name.

    Raises:
        InputError: transformers is not installed or cannot import it, or has no such class.
    """
    try:
        import transformers  # noqa: PLC0415 - an extra, and slow
    except ImportError as error:
        raise InputError(f"masks need transformers ({error}): pip install 'vsrd-ray[masks]'") from error
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    try:
        found = getattr(transformers, name, None)
    except (ImportError, RuntimeError) as error:  # a torchvision that was built for another torch stops it, too
        raise InputError(
            f"transformers cannot import {name} ({one_line(error.__cause__ or error)[:100]}): if there is a "
            f"torchvision, remove it or install the one that is built for torch {torch.__version__}"
        ) from error
    if found is None:
        raise InputError(f"transformers {transformers.__version__} has no {name}: install a newer one")
    return found


def _network(path: Path, model: Any) -> Any:
    load: Callable[..., Any] = model.from_pretrained
    try:
        network, told = load(path, local_files_only=True, use_safetensors=True, output_loading_info=True)
    except Exception as error:  # of many kinds: torn files, sizes of another model
        raise InputError(
            f"{path}: the weights cannot be loaded ({one_line(error)[:200]}): download them again"
        ) from error
    if lacking := sorted(told["missing_keys"]):
        raise InputError(
            f"{path}: the weights lack {len(lacking)} arrays, {lacking[0]} among them: they are of another model, or "
            "not all there; download the model again"
        )
    return network
