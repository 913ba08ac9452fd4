"""Folders of weights, as `save_pretrained` of transformers writes them and model hubs hand them out."""

import hashlib
import json
from pathlib import Path
from typing import Any

from vsrd_ray.errors import InputError, explained, one_line

CONFIG, PROCESSOR, WEIGHTS = "config.json", "preprocessor_config.json", "model.safetensors"
PROCESSORS = "processor_config.json"  # where newer models have it, beside what makes their text and videos
PACKAGED = ".data"  # of a file of assets that holds a network; see `packaged`
TORCHVISION = (".pth", ".safetensors")  # of a file of torchvision's weights; see `from_torchvision`
FILES = (PACKAGED, *TORCHVISION)  # of models that are no folder
_SHARDS = f"{WEIGHTS}.index.json"
_CHUNK = 2**24  # bytes
_DOWNLOAD = "download the whole model again, its .safetensors among it"


def read_json(folder: Path, name: str) -> dict[str, Any]:
    """A JSON file of a folder of weights.

    Raises:
        InputError: it is not there, or holds no JSON object.
    """
    path = folder / name
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder: give the folder with the model's {CONFIG} and {WEIGHTS}")
    try:
        values = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise InputError(f"{path}: no such file: {_DOWNLOAD}") from None
    except OSError as error:
        raise InputError(explained(error)) from error
    except ValueError as error:
        raise InputError(f"{path}: no JSON ({one_line(error)}): {_DOWNLOAD}") from error
    if not isinstance(values, dict):
        raise InputError(f"{path}: expected a JSON object: {_DOWNLOAD}")
    return values


def read_processor(folder: Path) -> tuple[dict[str, Any], Path]:
    """How images are made for a model, and the file that says so.

    Raises:
        InputError: nothing says it.
    """
    if not (folder / PROCESSOR).is_file() and (folder / PROCESSORS).is_file():
        values = read_json(folder, PROCESSORS)
        for name in ("image_processor", "video_processor"):
            if isinstance(values.get(name), dict):
                return values[name], folder / PROCESSORS
    return read_json(folder, PROCESSOR), folder / PROCESSOR


def weight_files(folder: Path) -> list[Path]:
    """The files of a model's weights, sorted: one, or the shards that its index names.

    Raises:
        InputError: some are not there, or only pickles are, which are never opened.
    """
    if (folder / _SHARDS).is_file():
        shards = read_json(folder, _SHARDS).get("weight_map", {})
        files = [folder / name for name in sorted(set(shards.values()))]
    else:
        files = [folder / WEIGHTS]
    if missing := next((file for file in files if not file.is_file()), None):
        pickles = [path.name for pattern in ("*.bin", "*.pth", "*.pt") for path in sorted(folder.glob(pattern))]
        hint = f" ({pickles[0]} is a pickle, which is not opened: convert it to safetensors)" if pickles else ""
        raise InputError(f"{missing}: no such file{hint}: {_DOWNLOAD}")
    return files


def digest(model: Path) -> str:
    """Hexadecimal digest (16 characters) of a model: its weights, and what says how they are used; or of a file.

    Raises:
        InputError: a file is not there or cannot be read.
    """
    sha = hashlib.sha256()
    is_file = model.suffix in FILES
    if not is_file:
        sha.update(json.dumps(read_json(model, CONFIG), sort_keys=True).encode())
        sha.update(json.dumps(read_processor(model)[0], sort_keys=True).encode())
    for path in [model] if is_file else weight_files(model):
        try:
            with path.open("rb") as file:
                while chunk := file.read(_CHUNK):
                    sha.update(chunk)
        except OSError as error:
            raise InputError(explained(error)) from error
    return sha.hexdigest()[:16]


def digest_of(model: str) -> str:
    """Hexadecimal digest (16 characters) of a folder of weights, or of a checkpoint that is one file.

    Raises:
        InputError: it is not there or cannot be read.
    """
    path = Path(model)
    if path.is_dir():
        return digest(path)
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]
    except OSError as error:
        raise InputError(f"{path}: the weights cannot be read ({one_line(error)}): {_DOWNLOAD}") from error
