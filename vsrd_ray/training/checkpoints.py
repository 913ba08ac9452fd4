"""Checkpoints: written whole or not at all, and read without running what is in them."""

import hashlib
import io
import json
import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from vsrd_ray.errors import InputError, one_line
from vsrd_ray.storage import Location, read_bytes, remove
from vsrd_ray.storage.atomic import atomic_write
from vsrd_ray.training.base import TrainedModel
from vsrd_ray.training.paths import TrainingPaths

_FORMAT = 1
_KEYS = {"format", "trainable", "settings", "step", "model", "average", "optimiser", "scheduler", "random", "best"}
_TOLD = 3  # tensors that an error names


@dataclass(frozen=True)
class Checkpoint:
    """All that training needs to go on as if it had never stopped."""

    trainable: str
    settings: dict[str, Any]  # dumped
    step: int  # steps that were made: the place in the data and in every stream of random numbers
    model: dict[str, Tensor]
    optimiser: dict[str, Any]
    scheduler: dict[str, Any]
    average: dict[str, Tensor] | None = None  # of the weights, where such are kept
    random: Tensor | None = None  # state of torch's generator
    best: float | None = None  # value of the figure that decides, so far


def write_checkpoint(checkpoint: Checkpoint, path: Location) -> None:
    """Write a checkpoint, atomically: what was at `path` stays until the new one is whole.

    Raises:
        OSError: it cannot be written, as on a full disk; the error names `path`.
    """
    values = {"format": _FORMAT, **{name: getattr(checkpoint, name) for name in Checkpoint.__dataclass_fields__}}
    buffer = io.BytesIO()  # torch's own writer ends in a RuntimeError where a disk is full
    torch.save(values | {"settings": json.dumps(checkpoint.settings)}, buffer)
    with atomic_write(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def read_checkpoint(path: Location) -> Checkpoint:
    """A checkpoint of training.

    Raises:
        InputError: there is none, it cannot be read, or it is none of `vsrd-ray train`.
    """
    return _checkpoint(read_torch_file(path), path)


def newest_checkpoint(run: Location) -> Checkpoint | None:
    """The checkpoint to go on from; None where there is none yet.

    Raises:
        InputError: it cannot be used; the one before can where it is removed.
    """
    found = list(TrainingPaths(run).checkpoints().values())
    if not found:
        return None
    try:
        return read_checkpoint(found[-1])
    except InputError as error:
        before = "training begins anew" if len(found) == 1 else f"training goes on from {found[-2].name}"
        raise InputError(f"{error}; if it is removed, {before}") from error


def drop_old(run: Location, *, keep: int) -> None:
    """Remove all numbered checkpoints but the newest ones."""
    remove(list(TrainingPaths(run).checkpoints().values())[:-keep])


def load_trained(run_or_file: Location) -> TrainedModel:
    """The weights that a run has come to: those that validated best, else the newest; or those of one checkpoint.

    Raises:
        InputError: no checkpoint is there, or it cannot be used.
    """
    path = run_or_file
    if path.suffix != ".pt":
        paths = TrainingPaths(run_or_file)
        found = [paths.best] if paths.best.exists() else list(paths.checkpoints().values())[-1:]
        if not found:
            raise InputError(f"{run_or_file} holds no checkpoint: expected the output folder of `vsrd-ray train`")
        path = found[0]
    content = _content(path)
    checkpoint = _checkpoint(_loaded(content, path), path)
    return TrainedModel(
        trainable=checkpoint.trainable,
        settings=checkpoint.settings,
        state=checkpoint.model if checkpoint.average is None else checkpoint.average,
        step=checkpoint.step,
        digest=hashlib.sha256(content).hexdigest()[:12],
    )


def read_torch_file(path: Location) -> Any:
    """What `torch.save` wrote to a file, of tensors and plain values alone, on the CPU.

    Raises:
        InputError: there is no such file, it is damaged, or it holds code, which is not run.
    """
    return _loaded(_content(path), path)


def load_state(model: nn.Module, state: Mapping[str, Tensor], *, source: object) -> None:
    """Give a model the weights of another, all of them.

    Args:
        model: that takes them.
        state: tensors by name.
        source: where they are from, for errors.

    Raises:
        InputError: tensors are missing, unknown or of another shape, with the first of them.
    """
    own = model.state_dict()
    faults = [
        f"{name} is {list(state[name].shape)} there and {list(tensor.shape)} here"
        for name, tensor in own.items()
        if name in state and state[name].shape != tensor.shape
    ]
    if faults:
        raise InputError(f"{source}: weights of another width: {_some(faults)}: give the settings they were trained by")
    if lacking := [name for name in own if name not in state]:
        raise InputError(f"{source}: weights of another network, without {_some(lacking)}")
    if unknown := [name for name in state if name not in own]:
        raise InputError(f"{source}: weights of another network, which has {_some(unknown)} besides")
    model.load_state_dict(dict(state))


def _some(names: list[str]) -> str:
    others = len(names) - _TOLD
    return ", ".join(names[:_TOLD]) + (f" and {others} more" if others > 0 else "")


def _content(path: Location) -> bytes:
    try:
        return read_bytes(path)
    except FileNotFoundError as error:
        raise InputError(f"no checkpoint {path}") from error


def _loaded(content: bytes, path: Location) -> Any:
    try:
        return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if zipfile.is_zipfile(io.BytesIO(content)) or content[:1] == b"\x80":
            reason = one_line(error).partition("WeightsUnpickler error: ")[2].partition(" Please")[0][:200]
            raise InputError(
                f"{path}: holds more than tensors and plain values ({reason or 'code'}), which is not run: save its "
                "state_dict alone"
            ) from error
        raise InputError(f"{path}: no checkpoint, or a damaged one") from error
    except (RuntimeError, EOFError, ValueError, LookupError, OSError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: no checkpoint, or a damaged one ({one_line(error)[:200]})") from error


def _checkpoint(values: Any, path: Location) -> Checkpoint:
    if not isinstance(values, dict) or not values.keys() >= _KEYS:
        raise InputError(f"{path}: no checkpoint of `vsrd-ray train`")
    if values["format"] != _FORMAT:
        raise InputError(f"{path}: of another version of vsrd-ray (format {values['format']}): train again")
    known = {name: values[name] for name in Checkpoint.__dataclass_fields__}
    return Checkpoint(**known | {"settings": json.loads(values["settings"])})
