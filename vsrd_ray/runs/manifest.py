"""manifest.json: what a run is, what it is made with, and how far it has come. Tools outside the project read it."""

import json
import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from typing import Any, Literal

from vsrd_ray import storage
from vsrd_ray.errors import InputError, OutputError, VSRDRayError, one_line
from vsrd_ray.runs.paths import RunPaths, is_training
from vsrd_ray.runs.plan import DrivePlan
from vsrd_ray.runs.records import Counts, Failure, Progress
from vsrd_ray.runs.wellformed import check_manifest
from vsrd_ray.settings import LabelerSettings, differences
from vsrd_ray.storage import Location, plain_name
from vsrd_ray.storage.atomic import atomic_write

logger = logging.getLogger(__name__)

Status = Literal["running", "complete", "complete_with_failures", "failed"]
SECONDS_PER_NOTE = 5.0  # at most; between two notes of a run's progress
_KEYS = {"status", "config", "config_hash", "versions", "seed", "inputs", "counts", "failures", "seconds"}
_INPUTS = {"sequences", "camera", "classes", "frames", "skipped_frames"}
_CHECK = "check that this account may read it, and for an object store the bucket, the credentials and the endpoint"
_PACKAGES = ("vsrd-ray", "torch", "ray", "numpy", "opencv-python", "pyarrow")
# What runs were before they said so.
_FIRST_DATASET, _FIRST_LABELER, _FIRST_KINDS = "kitti360", "vsrd", ("boxes",)


@dataclass(frozen=True)
class RunSettings:
    """What decides what the labels of a run are, beside its inputs."""

    config: LabelerSettings
    dataset: str
    camera: str
    classes: tuple[str, ...]
    kinds: tuple[str, ...] = _FIRST_KINDS  # of label, that the labeler writes
    given: Mapping[str, str] = field(default_factory=dict)  # of `Given.record`
    all_cameras: bool = False  # of the dataset, and `camera` gives its name to files
    mask_ids: bool = True  # ids of masks hold over frames

    def values(self) -> dict[str, Any]:
        """All of them, as a manifest holds them."""
        inputs = {"dataset": self.dataset, "camera": self.camera, "classes": list(self.classes)}
        return {**self.config.model_dump(mode="json"), **inputs, "given": dict(self.given)}


@dataclass(frozen=True)
class RunInputs:
    """What a run was asked to label, from its manifest."""

    sequences: tuple[str, ...]
    camera: str
    classes: tuple[str, ...]
    has_ended: bool
    num_groups: int | None = None  # that have their marks; None where the manifest does not say so
    dataset: str = _FIRST_DATASET
    labeler: str = _FIRST_LABELER
    kinds: tuple[str, ...] = _FIRST_KINDS  # of label
    config: dict[str, Any] | None = None  # as it was dumped, by whatever version
    root: str = ""  # of the dataset, where it was labelled
    identities: dict[str, dict[str, str]] = field(default_factory=dict)  # of the drives' inputs by content, by drive
    given: dict[str, str] = field(default_factory=dict)  # of `Given.record`
    all_cameras: bool = False  # of the dataset
    mask_ids: bool = True  # ids of masks hold over frames


def read_manifest(output: Location) -> dict[str, Any] | None:
    """The manifest of an output folder that is to be written to; None where the folder is empty or not there.

    Raises:
        OutputError: the folder holds other things than a run, or a manifest that cannot be read.
    """
    if isinstance(output, Path) and output.exists() and not output.is_dir():
        raise OutputError(f"{output} is a file: give another --output")
    manifest = _read(output, kind=OutputError, fix="give another --output")
    if manifest is None:
        names = (*storage.names_in(output), *storage.folders_in(output))
        if any(not name.startswith(".") for name in names):
            name = RunPaths(output).manifest.name
            raise OutputError(f"{output} is not empty and holds no run (no {name}): give another --output")
    return manifest


def recorded_manifest(output: Location) -> dict[str, Any]:
    """The manifest of the run in an output folder, as it stands in the file.

    Raises:
        InputError: there is none, or it is none of a labelling run.
    """
    manifest = _read(output, kind=InputError, fix="run `vsrd-ray label` again")
    if manifest is None and is_training(output):
        raise InputError(
            f"{output} is a run of training: label a drive with it (`vsrd-ray label`, its network as "
            f"`--set checkpoint={output}`), and give that output"
        )
    if manifest is None:
        raise InputError(f"no {RunPaths(output).manifest}: expected the output folder of `vsrd-ray label`")
    return manifest


def read_inputs(output: Location) -> RunInputs:
    """The inputs of the run in an output folder. Their names may be joined to paths.

    Raises:
        InputError: there is no manifest, or it is none of a labelling run.
    """
    path = RunPaths(output).manifest
    manifest = recorded_manifest(output)
    inputs = manifest["inputs"]
    try:
        sequences, camera = _names(inputs["sequences"], "sequences"), _names([inputs["camera"]], "camera")[0]
        config = manifest["config"] if isinstance(manifest["config"], dict) else {}
        return RunInputs(
            sequences=tuple(plain_name(name, what=f"{path}: sequence") for name in sequences),
            camera=plain_name(camera, what=f"{path}: camera"),
            classes=_classes(inputs),
            has_ended=manifest["status"] != "running",
            num_groups=_num_groups(manifest["counts"]),
            dataset=_names([inputs.get("dataset", _FIRST_DATASET)], "dataset")[0],
            labeler=_names([config.get("labeler", _FIRST_LABELER)], "labeler")[0],
            kinds=_some_names(inputs.get("kinds", list(_FIRST_KINDS)), "kinds"),
            config=config,
            root=str(inputs.get("root", "")),
            identities=inputs.get("identities", {}),
            given=inputs.get("given", {}),
            all_cameras=inputs.get("all_cameras") is True,
            mask_ids=inputs.get("mask_ids") is not False,
        )
    except (ValueError, TypeError) as error:
        raise InputError(f"{path}: not the manifest of a run ({error}): run `vsrd-ray label` again") from error


def _read(output: Location, *, kind: type[VSRDRayError], fix: str) -> dict[str, Any] | None:
    """The manifest in a folder; None where there is none.

    Raises:
        VSRDRayError: of the kind that is given, where it cannot be read or is no manifest.
    """
    path = RunPaths(output).manifest
    try:
        text = path.read_text()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except UnicodeDecodeError as error:
        raise kind(f"{path}: not the manifest of a run ({one_line(error)}): {fix}") from error
    except Exception as error:  # the packages of the stores have no error in common
        raise kind(f"{path} cannot be read ({one_line(error)}): {_CHECK}") from error
    try:
        manifest = json.loads(text)
        if not isinstance(manifest, dict) or not isinstance(manifest.get("inputs", {}), dict):
            raise ValueError("expected keys and values")
        if missing := _KEYS - manifest.keys():
            raise ValueError(f"without {', '.join(sorted(missing))}")
        if missing := _INPUTS - manifest["inputs"].keys():
            raise ValueError(f"without inputs.{', inputs.'.join(sorted(missing))}")
        check_manifest(manifest)
        return manifest
    except (ValueError, RecursionError) as error:
        raise kind(f"{path}: not the manifest of a run ({error}): {fix}") from error


def _names(names: Any, key: str) -> tuple[str, ...]:
    """A list of names, of one key of a manifest's inputs."""
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"inputs.{key}: expected names, got {names!r}")
    return tuple(names)


def _some_names(names: Any, key: str) -> tuple[str, ...]:
    if names == []:
        raise ValueError(f"inputs.{key}: expected one name at least, got none")
    return _names(names, key)


def _classes(inputs: dict[str, Any]) -> tuple[str, ...]:
    """The classes that were labelled; labelers of frames as a whole have none."""
    names = _some_names if tuple(inputs.get("kinds", _FIRST_KINDS)) == _FIRST_KINDS else _names
    return names(inputs["classes"], "classes")


def _num_groups(counts: Any) -> int | None:
    if not isinstance(counts, dict) or not {"groups_ok", "groups_failed"} <= counts.keys():
        return None
    return int(counts["groups_ok"]) + int(counts["groups_failed"])


def check_same_settings(manifest: dict[str, Any], settings: RunSettings, *, output: Location) -> None:
    """Refuse to mix labels: a run goes on only with the settings that it began with.

    Drives, limits and the pool may differ.

    Raises:
        OutputError: some setting differs; every one of them is named.
    """
    inputs = manifest["inputs"]
    dataset = inputs.get("dataset", _FIRST_DATASET)
    old = {**manifest["config"], "dataset": dataset, "camera": inputs["camera"], "classes": inputs["classes"]}
    old["given"] = inputs.get("given", {})
    if lines := differences(old, settings.values()):
        raise OutputError(
            f"{output} holds a run with other settings ({'; '.join(lines)}): "
            "give another --output, or the same settings to go on with it"
        )


class Manifest:
    """The manifest of a run under way, and its file."""

    def __init__(
        self,
        output: Location,
        settings: RunSettings,
        previous: dict[str, Any] | None,
        *,
        root: Location,
        limit: int | None,
        progress: Progress,
    ) -> None:
        """Begin, or go on with an earlier run into the folder, whose drives stay listed.

        Args:
            output: the folder.
            settings: what decides what the labels are.
            previous: what stands in the file.
            root: of the dataset.
            limit: groups that are labelled at most.
            progress: of the run that begins.
        """
        inputs = previous["inputs"] if previous else {}
        self._path = RunPaths(output).manifest
        self._output = output
        self._written = 0.0
        self._content: dict[str, Any] = {
            "status": "running",
            "config": settings.config.model_dump(mode="json"),
            "config_hash": settings.config.hash(),
            "versions": {"python": python_version(), **{name: version(name) for name in _PACKAGES}},
            "seed": settings.config.seed,
            "inputs": {
                "root": str(storage.absolute(root)),
                "dataset": settings.dataset,
                "sequences": inputs.get("sequences", []),
                "camera": settings.camera,
                "classes": list(settings.classes),
                "kinds": list(settings.kinds),
                "limit": limit,
                "frames": inputs.get("frames", {}),
                "skipped_frames": inputs.get("skipped_frames", {}),
                "fingerprints": inputs.get("fingerprints", {}),
                "identities": inputs.get("identities", {}),
                **({"given": dict(settings.given)} if settings.given else {}),
                **({"all_cameras": True} if settings.all_cameras else {}),
                **({} if settings.mask_ids else {"mask_ids": False}),
            },
            "counts": previous["counts"] if previous else {},
            "failures": previous["failures"] if previous else [],
            "unusable_sequences": previous.get("unusable_sequences", {}) if previous else {},
            "warnings": previous.get("warnings", {}) if previous else {},
            "poses": previous.get("poses", {}) if previous else {},
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

    @property
    def warnings(self) -> dict[str, list[str]]:
        """What is odd about the inputs of sequences, by name: sentences."""
        return self._content["warnings"]

    @property
    def poses(self) -> dict[str, dict[str, Any]]:
        """What labels tell of the poses of sequences, by name: fields of `PoseCheck`."""
        return self._content["poses"]

    def leave_out(self, name: str, error: str) -> None:
        """List a sequence as one that cannot be used; it stands in the file with the next note."""
        self.unusable_sequences[name] = error

    def take_in(self, name: str) -> None:
        """A sequence can be used, whatever earlier runs found."""
        self.unusable_sequences.pop(name, None)

    def add(self, plan: DrivePlan) -> None:
        """List a sequence; it stands in the file with the next note."""
        name, inputs = plan.drive.name, self.inputs
        self.take_in(name)
        inputs["frames"][name] = plan.num_frames
        inputs["skipped_frames"][name] = plan.skipped_frames
        inputs["fingerprints"][name] = plan.fingerprint
        inputs["identities"][name] = plan.identity
        self.warn(name, plan.warnings)
        inputs["sequences"] = sorted(inputs["frames"])

    def warn(self, name: str, sentences: Iterable[str]) -> None:
        """Say what is odd about a sequence, in place of what was said before."""
        self.warnings.pop(name, None)
        if sentences := list(sentences):
            self.warnings[name] = sentences

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
