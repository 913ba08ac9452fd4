"""manifest.json: what a run is, what it is made with, and how far it has come. Tools outside the project read it."""

import json
import logging
import os
import time
from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from typing import Any, Literal

from vsrd_ray import storage
from vsrd_ray.errors import OutputError, one_line
from vsrd_ray.pipeline.plan import SequencePlan
from vsrd_ray.pipeline.progress import Progress
from vsrd_ray.pipeline.request import Counts, Failure, LabelRequest
from vsrd_ray.settings import differences
from vsrd_ray.storage import Location
from vsrd_ray.storage.atomic import atomic_write

logger = logging.getLogger(__name__)

Status = Literal["running", "complete", "complete_with_failures", "failed"]
SECONDS_PER_NOTE = 5.0  # at most; between two notes of a run's progress
_FILE = "manifest.json"
_KEYS = {"status", "config", "config_hash", "versions", "seed", "inputs", "counts", "failures", "seconds"}
_INPUTS = {"sequences", "camera", "classes", "frames", "skipped_frames"}
_CHECK = "check that this account may read it, and for an object store the bucket, the credentials and the endpoint"
_PACKAGES = ("vsrd-ray", "torch", "ray", "numpy", "opencv-python", "pyarrow")


def read_manifest(output: Location) -> dict[str, Any] | None:
    """The manifest of an output folder; None where the folder is empty or not there.

    Raises:
        OutputError: the folder holds other things than a run, or a manifest that cannot be read.
    """
    path = output / _FILE
    if isinstance(output, Path) and output.exists() and not output.is_dir():
        raise OutputError(f"{output} is a file: give another --output")
    try:
        text = path.read_text()
    except (FileNotFoundError, NotADirectoryError):
        names = (*storage.names_in(output), *storage.folders_in(output))
        if any(not name.startswith(".") for name in names):
            raise OutputError(f"{output} is not empty and holds no run (no {_FILE}): give another --output") from None
        return None
    except Exception as error:  # the packages of the stores have no error in common
        raise OutputError(f"{path} cannot be read ({one_line(error)}): {_CHECK}") from error
    try:
        manifest = json.loads(text)
        if missing := _KEYS - manifest.keys():
            raise ValueError(f"without {', '.join(sorted(missing))}")
        if missing := _INPUTS - manifest["inputs"].keys():
            raise ValueError(f"without inputs.{', inputs.'.join(sorted(missing))}")
        return manifest
    except (ValueError, AttributeError) as error:
        raise OutputError(f"{path}: not the manifest of a run ({error!r}): give another --output") from error


def check_writable(output: Location) -> None:
    """Refuse a local output folder that this process could not write to, before any work is done.

    Raises:
        OutputError: the folder, or where it is not there yet the nearest one above, cannot be written.
    """
    if not isinstance(output, Path):
        return
    nearest = next(folder for folder in (output, *output.absolute().parents) if folder.exists())
    if not nearest.is_dir():
        raise OutputError(f"{output} cannot be made, since {nearest} is a file: give another --output")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise OutputError(f"{output} cannot be written, since {nearest} is not writable: give another --output")


def check_same_settings(manifest: dict[str, Any], request: LabelRequest) -> None:
    """Refuse to mix labels: a run goes on only with the settings that it began with.

    Sequences, limits and the pool may differ.

    Raises:
        OutputError: some setting differs; every one of them is named.
    """
    inputs = manifest["inputs"]
    old = {**manifest["config"], "camera": inputs["camera"], "classes": inputs["classes"]}
    new = {**request.config.model_dump(mode="json"), "camera": request.camera, "classes": list(request.classes)}
    if lines := differences(old, new):
        raise OutputError(
            f"{request.output} holds a run with other settings ({'; '.join(lines)}): "
            "give another --output, or the same settings to go on with it"
        )


class Manifest:
    """The manifest of a run under way, and its file."""

    def __init__(self, request: LabelRequest, previous: dict[str, Any] | None, progress: Progress) -> None:
        """Begin, or go on with an earlier run into the folder, whose sequences stay listed.

        Args:
            request: what to label, how, and where to.
            previous: what stands in the file.
            progress: of the run that begins.
        """
        inputs = previous["inputs"] if previous else {}
        self._path = request.output / _FILE
        self._output = request.output
        self._written = 0.0
        self._content: dict[str, Any] = {
            "status": "running",
            "config": request.config.model_dump(mode="json"),
            "config_hash": request.config.hash(),
            "versions": {"python": python_version(), **{name: version(name) for name in _PACKAGES}},
            "seed": request.config.seed,
            "inputs": {
                "root": str(storage.absolute(request.root)),
                "sequences": inputs.get("sequences", []),
                "camera": request.camera,
                "classes": list(request.classes),
                "limit": request.limit,
                "frames": inputs.get("frames", {}),
                "skipped_frames": inputs.get("skipped_frames", {}),
                "fingerprints": inputs.get("fingerprints", {}),
            },
            "counts": previous["counts"] if previous else {},
            "failures": previous["failures"] if previous else [],
            "unusable_sequences": previous.get("unusable_sequences", {}) if previous else {},
            "error": None,
            "seconds": previous["seconds"] if previous else {"wall": 0.0, "device": 0.0},
            "progress": asdict(progress) | {"time": _now()},
        }
        self.write()

    @property
    def inputs(self) -> dict[str, Any]:
        """What stands under `inputs`."""
        return self._content["inputs"]

    @property
    def unusable_sequences(self) -> dict[str, str]:
        """Why sequences were left out, by name; of earlier runs too, until a run can use them."""
        return self._content["unusable_sequences"]

    def leave_out(self, name: str, error: str) -> None:
        """List a sequence as one that cannot be used; it stands in the file with the next note."""
        self.unusable_sequences[name] = error

    def take_in(self, name: str) -> None:
        """A sequence can be used, whatever earlier runs found."""
        self.unusable_sequences.pop(name, None)

    def add(self, plan: SequencePlan) -> None:
        """List a sequence; it stands in the file with the next note."""
        name, inputs = plan.sequence.name, self.inputs
        if inputs["fingerprints"].get(name, plan.fingerprint) != plan.fingerprint:
            logger.warning(
                "The inputs of %s have changed since it was labelled into %s; all its groups are labelled again.",
                name,
                self._output,
            )
        self.take_in(name)
        inputs["frames"][name] = plan.num_frames
        inputs["skipped_frames"][name] = plan.skipped_frames
        inputs["fingerprints"][name] = plan.fingerprint
        inputs["sequences"] = sorted(inputs["frames"])

    def note(self, progress: Progress) -> None:
        """Write how far the run is, unless that was done a moment ago."""
        if time.monotonic() - self._written >= SECONDS_PER_NOTE:
            self._content["progress"] = asdict(progress) | {"time": _now()}
            self.write()

    def end(
        self,
        *,
        status: Status,
        counts: Counts,
        failures: Iterable[Failure],
        wall_seconds: float,
        device_seconds: float,
        progress: Progress,
        error: str | None = None,
        is_interrupted: bool = False,
    ) -> None:
        """Write what the folder holds now.

        Args:
            status: how the run stands.
            counts: of the whole folder.
            failures: groups without labels.
            wall_seconds: of this run; they add up over runs into the same folder.
            device_seconds: that workers spent on the groups of the folder.
            progress: how far this run came.
            error: what ended the run as a whole, if it failed.
            is_interrupted: somebody ended it before it was complete.
        """
        wall = self._content["seconds"]["wall"] + wall_seconds
        self._content |= {
            "status": status,
            "counts": asdict(counts),
            "failures": [asdict(failure) for failure in failures],
            "error": error,
            "seconds": {"wall": round(wall, 3), "device": round(device_seconds, 3)},
            "progress": asdict(progress) | {"time": _now(), "interrupted": is_interrupted},
        }
        self.write()

    def write(self) -> None:
        """Write the file."""
        with atomic_write(self._path) as temporary:
            temporary.write_text(json.dumps(self._content, indent=2) + "\n")
        self._written = time.monotonic()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
