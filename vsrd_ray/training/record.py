"""What a run of training is and how far it is: the files that `vsrd-ray status` and the next run read."""

import json
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from vsrd_ray.errors import InputError, OutputError, one_line
from vsrd_ray.settings import differences
from vsrd_ray.storage import Location, folders_in, names_in, read_bytes
from vsrd_ray.storage.atomic import atomic_write
from vsrd_ray.training.paths import TrainingPaths

Status = Literal["running", "complete", "interrupted", "failed"]


@dataclass(frozen=True)
class Record:
    """What a run is."""

    trainable: str
    config: dict[str, Any]  # dumped settings
    config_hash: str
    decisive: dict[str, Any]  # the settings that may not change
    inputs: dict[
        str, Any
    ]  # dataset, root, sequences, their fingerprints, teacher and init: may not change but for root
    status: Status = "running"
    error: str | None = None
    workers: int = 0
    versions: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainingProgress:
    """How far a run is."""

    step: int = 0
    steps: int = 0
    loss: float | None = None  # mean since the note before the last
    best: float | None = None
    rate: float | None = None  # steps a second of this start, all workers together making one
    memory_bytes: int = 0  # the most that the first worker's device held
    time: str = ""  # of this note, UTC


def write_record(record: Record, run: Location) -> None:
    """Write training.json."""
    _write(asdict(record), TrainingPaths(run).record)


def write_progress(progress: TrainingProgress, run: Location) -> None:
    """Write progress.json."""
    _write(asdict(progress) | {"time": datetime.now(UTC).isoformat()}, TrainingPaths(run).progress)


def read_record(run: Location) -> Record | None:
    """The record of a run; None where there is none.

    Raises:
        InputError: it cannot be read.
    """
    values = _read(TrainingPaths(run).record)
    if values is None:
        return None
    try:
        return Record(**{name: values[name] for name in Record.__dataclass_fields__})
    except KeyError as error:
        raise InputError(f"{TrainingPaths(run).record}: no {error}: expected the record of `vsrd-ray train`") from error


def read_progress(run: Location) -> TrainingProgress | None:
    """How far a run is; None where nothing is noted yet.

    Raises:
        InputError: the note cannot be read.
    """
    values = _read(TrainingPaths(run).progress)
    known = TrainingProgress.__dataclass_fields__
    return None if values is None else TrainingProgress(**{key: values[key] for key in values if key in known})


def check_folder_of(record: Record, run: Location) -> bool:
    """Whether a run can go on in a folder; False where the folder is empty or not there.

    Raises:
        OutputError: the folder holds something else, or a run that other settings or inputs would make another one.
    """
    before = read_record(run)
    if before is None:
        if any(not name.startswith(".") for name in (*names_in(run), *folders_in(run))):
            raise OutputError(f"{run} is not empty and holds no run of training: give another --output")
        return False
    told = differences(before.decisive, record.decisive)
    told += differences(_lasting(before.inputs), _lasting(record.inputs), "inputs.")
    if told:
        raise OutputError(f"{run} holds a run with other settings ({'; '.join(told[:5])}): give another --output")
    return True


def _lasting(inputs: dict[str, Any]) -> dict[str, Any]:
    """Inputs as they are compared: what they hold, and not where they lie."""
    return json.loads(json.dumps({key: value for key, value in inputs.items() if key not in ("root", "places")}))


def _write(values: dict[str, Any], path: Location) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(values, indent=2) + "\n")


def _read(path: Location) -> dict[str, Any] | None:
    try:
        values = json.loads(read_bytes(path))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} cannot be read ({one_line(error)}): restore it, or train into another folder"
        ) from error
    if not isinstance(values, dict):
        raise InputError(f"{path}: expected the record of `vsrd-ray train`")
    return values
