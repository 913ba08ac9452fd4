"""What every dataset is, and how one is found.

A dataset is a folder below `vsrd_ray.datasets`, or a package outside with an entry point of that name, whose module
`spec` holds an object of this protocol as `SPEC`. Nothing else knows how its files lie.
"""

import hashlib
import json
from typing import Any, Protocol, cast, runtime_checkable
from unicodedata import normalize

import numpy as np

from vsrd_ray import plugins
from vsrd_ray.data.classes import ClassTable
from vsrd_ray.data.drive import Drive
from vsrd_ray.data.given import NOTHING_GIVEN, Given
from vsrd_ray.errors import InputError, nearest_name
from vsrd_ray.masks.given import stamp_of_masks, with_masks, with_tracks
from vsrd_ray.poses.source import OWN, PoseSource, file_of
from vsrd_ray.storage import Location, size_and_stamp

ALL_CAMERAS = "*"  # no camera is called so
DEFAULT_DATASET = "kitti360"  # of a ROOT that no dataset recognises: its messages say what is missing


class Dataset(Protocol):
    """Where frames come from."""

    @property
    def name(self) -> str:
        """Name of the folder or entry point."""
        ...

    @property
    def title(self) -> str:
        """As its makers write it, for messages."""
        ...

    @property
    def summary(self) -> str:
        """One line for `vsrd-ray datasets`."""
        ...

    @property
    def classes(self) -> ClassTable:
        """The classes of its masks and its truth."""
        ...

    @property
    def cameras(self) -> tuple[str, ...]:
        """Names of its cameras; the first one is used unless the user names another."""
        ...

    @property
    def layers(self) -> tuple[str, ...]:
        """Layers that its drives can have, such as `vsrd_ray.data.drive.MASKS`."""
        ...

    @property
    def truths(self) -> tuple[str, ...]:
        """Kinds of label of which it can have the truth."""
        ...

    def recognises(self, root: Location) -> bool:
        """Whether a folder is laid out as this dataset is."""
        ...

    def drives(self, root: Location) -> list[str]:
        """Names of the drives under `root`, sorted.

        Raises:
            InputError: `root` is no folder.
        """
        ...

    def has_layer(self, root: Location, name: str, layer: str, sensor: str) -> bool:
        """Whether a drive has any frame of a layer of a sensor, by a look at its folders."""
        ...

    def missing(self, root: Location, name: str | None, layer: str, sensor: str) -> str:
        """What to say where a drive, or without a name every drive, lacks a layer: what, where, and how to get it."""
        ...

    def open(self, root: Location, name: str, cameras: tuple[str, ...]) -> Drive:
        """A drive with some of its cameras, all its LiDARs and the layers that are there; no pixel is read.

        Raises:
            InputError: an unknown drive or camera, or a calibration or poses that cannot be used.
        """
        ...

    def fingerprint(self, root: Location, name: str, cameras: tuple[str, ...]) -> str:
        """Hexadecimal digest of all that labels of a drive depend on: its files as far as a listing tells of them.

        Raises:
            FileNotFoundError: there are no poses or no calibration.
        """
        ...

    def read(self, drive: Drive, layer: str, sensor: str, frame: int) -> np.ndarray:
        """See `Drive.read`."""
        ...

    def file(self, drive: Drive, layer: str, sensor: str, frame: int) -> Location:
        """See `Drive.file`."""
        ...

    def truth(self, root: Location, name: str, kind: str) -> Any:
        """See `Drive.truth`."""
        ...

    def has_truth(self, root: Location, name: str, kind: str) -> bool:
        """Whether a drive has the truth of a kind of label."""
        ...

    def split(self, name: str) -> str | None:
        """The part of the dataset that a drive belongs to by its published division: "train", "val" or "test"."""
        ...

    def detail(self, drive: Drive, name: str) -> Any:
        """See `Drive.detail`; None for names that are not the dataset's."""
        ...


@runtime_checkable
class MaskWriter(Protocol):
    """What a dataset has beside `Dataset` if copies of its drives with other masks can be written."""

    def files_beside_masks(self, root: Location, name: str) -> list[Location]:
        """All files of a drive but the masks of any camera: calibration, poses, truth and other layers."""
        ...

    def encode_mask(self, instance_map: np.ndarray) -> bytes:
        """The bytes of a file that `Dataset.read` gives as this instance map [H, W] uint16; it lies at `file`."""
        ...


@runtime_checkable
class TakesPoses(Protocol):
    """What a dataset has beside `Dataset` if its drives can be opened with other poses."""

    @property
    def pose_names(self) -> tuple[str, ...]:
        """Poses that it has by name; the first ones are those of `Dataset.open`."""
        ...

    def open_with_poses(self, root: Location, name: str, cameras: tuple[str, ...], poses: PoseSource) -> Drive:
        """`Dataset.open` with other poses, in a world with z up, in metres.

        Raises:
            InputError: see `Dataset.open`; or poses that cannot be used.
        """
        ...


@runtime_checkable
class SideCameras(Protocol):
    """What a dataset has beside `Dataset` if it has cameras that only training looks through, such as fisheyes.

    `Dataset.open` and `fingerprint` take their names after others; those without an image are left out. They are
    opened as pinhole cameras, and their images are read as such cameras see.
    """

    @property
    def side_cameras(self) -> tuple[str, ...]:
        """Their names, in the order of `cameras` that they stand beside."""
        ...


@runtime_checkable
class TruthInCameras(Protocol):
    """What a dataset has beside `Dataset` if its truth is in cameras' axes, and depends on the poses in the world."""

    def truth_in(self, drive: Drive, kind: str) -> Any:
        """`Dataset.truth` in the world of an open drive."""
        ...


def dataset_named(name: str) -> Dataset:
    """The dataset of a name.

    Raises:
        InputError: none is installed.
    """
    return cast(Dataset, plugins.load("datasets", name))


def dataset_of(root: Location) -> Dataset:
    """The dataset whose layout a folder has; `DEFAULT_DATASET`, whose messages say what is missing, where none has.

    Raises:
        InputError: several recognise the folder.
    """
    found = [one for one in map(dataset_named, plugins.installed("datasets")) if one.recognises(root)]
    if len(found) > 1:
        names = " and ".join(one.name for one in found)
        raise InputError(f"{root} is laid out as {names}: say which with --dataset")
    return found[0] if found else dataset_named(DEFAULT_DATASET)


def side_cameras(dataset: Dataset) -> tuple[str, ...]:
    """Names of the cameras that only training looks through; see `SideCameras`."""
    return dataset.side_cameras if isinstance(dataset, SideCameras) else ()


def open_drive(
    root: Location,
    name: str,
    camera: str | None = None,
    *,
    dataset: str | None = None,
    given: Given = NOTHING_GIVEN,
    with_ids: bool = True,
) -> Drive:
    """A drive of whatever dataset lies under `root`, with one of its cameras; no pixel is read.

    Args:
        root: the dataset's root folder.
        name: of the drive.
        camera: by default the dataset's first; or `ALL_CAMERAS`.
        dataset: its name, where the layout does not tell.
        given: what comes in place of the dataset's own.
        with_ids: whether ids of given masks have to hold over frames, for which all of them are tracked.

    Raises:
        InputError: a missing root, an unknown drive or camera, or files that cannot be used.
    """
    found = dataset_of(root) if dataset is None else dataset_named(dataset)
    cameras = found.cameras if camera == ALL_CAMERAS else (found.cameras[0] if camera is None else camera,)
    return open_with(found, root, name, cameras, given, with_ids=with_ids)


def open_with(
    dataset: Dataset, root: Location, name: str, cameras: tuple[str, ...], given: Given, *, with_ids: bool = True
) -> Drive:
    """`Dataset.open`, with what is given laid over it.

    Raises:
        InputError: see `Dataset.open`; or what is given cannot be used.
    """
    if (poses := _poses_of(given, name)) is None:
        drive = dataset.open(root, name, cameras)
    else:
        drive = _taking_poses(dataset, poses).open_with_poses(root, name, cameras, poses)
    if given.masks is not None:
        drive = with_masks(drive, given.masks, given.masks_format)
    return with_tracks(drive) if with_ids else drive  # last, for it needs poses


def fingerprint_with(dataset: Dataset, root: Location, name: str, cameras: tuple[str, ...], given: Given) -> str:
    """`Dataset.fingerprint`, of what is given too.

    Raises:
        FileNotFoundError: there are no poses or no calibration.
    """
    digest = dataset.fingerprint(root, name, cameras)
    if given.masks is not None:
        stamp = stamp_of_masks(given.masks, name)
        digest = hashlib.sha256(json.dumps([digest, given.masks_format, stamp]).encode()).hexdigest()
    if (poses := _poses_of(given, name)) is not None:
        stamps = None if poses.file is None else size_and_stamp(poses.file)
        digest = hashlib.sha256(json.dumps([digest, poses.name, poses.is_scaled, stamps]).encode()).hexdigest()
    return digest


def _poses_of(given: Given, name: str) -> PoseSource | None:
    """The poses that are given for a drive; None where they are the dataset's own.

    Raises:
        InputError: a folder without a file of the drive.
    """
    if given.poses is None and given.pose_file is None:
        return None
    file = None if given.pose_file is None else file_of(given.pose_file, name)
    return PoseSource(given.poses or OWN, file, is_scaled=given.pose_scale != "none")


def _taking_poses(dataset: Dataset, poses: PoseSource) -> TakesPoses:
    if not isinstance(dataset, TakesPoses):
        raise InputError(f"--poses: drives of {dataset.title} come with poses of their own: leave it out")
    if poses.file is None and poses.name not in dataset.pose_names:
        names = ", ".join(dataset.pose_names)
        raise InputError(f"--poses {poses.name}: {dataset.title} has none of that name: give {names}, or a file")
    return dataset


def check_known(name: str, names: list[str], *, root: Location) -> None:
    """Refuse the name of a drive that is none of those under `root`.

    Raises:
        InputError: it is not.
    """
    if name not in names:
        known = f"give one of {', '.join(names)}" if names else "there is none: check --root"
        if twins := [other for other in names if normalize("NFC", other) == normalize("NFC", name)]:
            known = f"{twins[0]!a} is there, which looks the same and is written otherwise: rename it"
        raise InputError(f"no sequence {name!r} under {root}: {known}")


def check_camera(name: str, cameras: tuple[str, ...]) -> None:
    """Refuse the name of a camera that a dataset does not have.

    Raises:
        InputError: it does not.
    """
    if name not in cameras:
        nearest = nearest_name(name, cameras)
        hint = "" if nearest is None else f"; did you mean {nearest!r}?"
        raise InputError(f"unknown camera {name!r}: give one of {', '.join(cameras)}{hint}")
