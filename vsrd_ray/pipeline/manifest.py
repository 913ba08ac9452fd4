"""manifest.json: what a run is, what it is made with, and how far it has come. Tools outside the project read it."""

import json
import logging
import os
from collections.abc import Iterable
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from typing import Any, Literal

from vsrd_ray.config import differences
from vsrd_ray.data.atomic import atomic_write
from vsrd_ray.data.storage import absolute
from vsrd_ray.errors import OutputError
from vsrd_ray.pipeline.plan import SequencePlan
from vsrd_ray.pipeline.request import Counts, Failure, LabelRequest

logger = logging.getLogger(__name__)

Status = Literal["running", "complete", "complete_with_failures", "failed"]
_FILE = "manifest.json"
_KEYS = {"status", "config", "config_hash", "versions", "seed", "inputs", "counts", "failures", "seconds"}
_PACKAGES = ("vsrd-ray", "torch", "ray", "numpy", "opencv-python", "pyarrow")


def read_manifest(output: Path) -> dict[str, Any] | None:
    """The manifest of an output folder; None where the folder is empty or not there.

    Raises:
        OutputError: the folder holds other things than a run, or a manifest that cannot be read.
    """
    path = output / _FILE
    if output.exists() and not output.is_dir():
        raise OutputError(f"{output} is a file: give another --output")
    if not path.is_file():
        if output.is_dir() and any(not entry.name.startswith(".") for entry in output.iterdir()):
            raise OutputError(f"{output} is not empty and holds no run (no {_FILE}): give another --output")
        return None
    try:
        manifest = json.loads(path.read_text())
        if missing := _KEYS - manifest.keys():
            raise ValueError(f"without {', '.join(sorted(missing))}")
        return manifest
    except (ValueError, AttributeError) as error:
        raise OutputError(f"{path}: not the manifest of a run ({error!r}): give another --output") from error


def check_writable(output: Path) -> None:
    """Refuse an output folder that this process could not write to, before any work is done.

    Raises:
        OutputError: the folder, or where it is not there yet the nearest one above, cannot be written.
    """
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


def begin(previous: dict[str, Any] | None, request: LabelRequest, plans: Iterable[SequencePlan]) -> dict[str, Any]:
    """The manifest of a run that begins, or goes on with `previous`, as `running`.

    Sequences of earlier runs into the same folder stay listed.
    """
    inputs = previous["inputs"] if previous else {}
    frames, skipped = inputs.get("frames", {}), inputs.get("skipped_frames", {})
    fingerprints = inputs.get("fingerprints", {})
    for plan in plans:
        name = plan.sequence.name
        if fingerprints.get(name, plan.fingerprint) != plan.fingerprint:
            logger.warning(
                "The inputs of %s have changed since it was labelled into %s; all its groups are labelled again.",
                name,
                request.output,
            )
        frames = {**frames, name: plan.num_frames}
        skipped = {**skipped, name: plan.skipped_frames}
        fingerprints = {**fingerprints, name: plan.fingerprint}
    return {
        "status": "running",
        "config": request.config.model_dump(mode="json"),
        "config_hash": request.config.hash(),
        "versions": {"python": python_version(), **{name: version(name) for name in _PACKAGES}},
        "seed": request.config.seed,
        "inputs": {
            "root": str(absolute(request.root)),
            "sequences": sorted(frames),
            "camera": request.camera,
            "classes": list(request.classes),
            "limit": request.limit,
            "frames": frames,
            "skipped_frames": skipped,
            "fingerprints": fingerprints,
        },
        "counts": previous["counts"] if previous else {},
        "failures": previous["failures"] if previous else [],
        "error": None,
        "seconds": previous["seconds"] if previous else {"wall": 0.0, "device": 0.0},
    }


def progressed(
    manifest: dict[str, Any],
    *,
    status: Status,
    counts: Counts,
    failures: Iterable[Failure],
    wall_seconds: float,
    device_seconds: float,
    error: str | None = None,
) -> dict[str, Any]:
    """The manifest with what the folder holds now.

    Args:
        manifest: as the run began.
        status: how it stands.
        counts: of the whole folder.
        failures: groups without labels.
        wall_seconds: of this run; they add up over runs into the same folder.
        device_seconds: that workers spent on the groups of the folder.
        error: what ended the run as a whole, if it failed.
    """
    wall = manifest["seconds"]["wall"] + wall_seconds
    return manifest | {
        "status": status,
        "counts": asdict(counts),
        "failures": [asdict(failure) for failure in failures],
        "error": error,
        "seconds": {"wall": round(wall, 3), "device": round(device_seconds, 3)},
    }


def write_manifest(output: Path, manifest: dict[str, Any]) -> None:
    """Write the manifest of an output folder."""
    with atomic_write(output / _FILE) as temporary:
        temporary.write_text(json.dumps(manifest, indent=2) + "\n")
