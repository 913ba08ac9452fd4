"""A folder that detectors trained on KITTI's object benchmark take as it is, and reading it back."""

import csv
import logging
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from vsrd_ray.data.drive import IMAGES, Drive
from vsrd_ray.errors import InputError, OutputError
from vsrd_ray.geometry.boxes import UprightBoxes
from vsrd_ray.labels.boxes.corrected import CorrectedFrame, check_angle, check_place, check_sizes, class_of
from vsrd_ray.labels.boxes.formats.samples import INDEX, Sample, number_samples, write_image_sets, write_index
from vsrd_ray.labels.boxes.kitti import (
    IGNORED,
    frames_of_texts,
    ignored_lines,
    label_lines,
    label_path,
    read_frame,
    read_lines,
)
from vsrd_ray.labels.boxes.selection import LabelledSequence
from vsrd_ray.storage import Location, names_in

logger = logging.getLogger(__name__)

# KITTI's LiDAR axes (x ahead, y left, z up) into its camera's (x right, y down, z ahead), where nothing else is known.
AXES_CAM_LIDAR = np.array([[0.0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]])
_FOLDER = "training"
_TEST_FOLDER = "testing"  # where readers look for the images and calibrations of the test split
_SAMPLE_DIGITS = 6
_SAMPLE = re.compile(rf"[0-9]{{{_SAMPLE_DIGITS},}}")
_INDEX_COLUMNS = ("sample", "sequence", "camera", "frame", "instance_ids")  # that reading back takes
_SEPARATORS = ",;\t"  # as spreadsheets write them
_ROUNDING = 2e-4  # of places in the world: every number of a line has four decimals


def write(sequences: Sequence[LabelledSequence], folder: Path, done: Callable[[], None]) -> None:
    """Write training/{label_2,calib,image_2}, ImageSets and index.csv, and testing/{calib,image_2} of the test split.

    Labels have 15 columns, as those to train on have them: scores are in index.csv. Images are relative links. Samples
    of the test split are in both folders: readers look for them in testing/, and their labels are in training/.

    Args:
        sequences: what to write.
        folder: an empty one, beside the one that it becomes.
        done: called after every frame.
    """
    write_samples(number_samples(sequences), folder, done)


def write_samples(samples: Sequence[Sample], folder: Path, done: Callable[[], None]) -> None:
    """As `write`, for frames that are numbered already."""
    has_test = any(sample.split == "test" for sample in samples)
    for place in (folder / _FOLDER, *([folder / _TEST_FOLDER] if has_test else [])):
        for name in ("calib", "image_2"):
            (place / name).mkdir(parents=True)
    (folder / _FOLDER / "label_2").mkdir()
    calibrations = {sample.sequence.name: calibration_text(sample.sequence) for sample in reversed(samples)}
    num_missing = 0
    for sample in samples:
        lines = [*label_lines(sample.rows.drop_columns("confidence")), *ignored_lines(sample.ignored)]
        text = "".join(f"{line}\n" for line in lines)
        (folder / _FOLDER / "label_2" / f"{sample.name}.txt").write_text(text)
        num_missing += not _write_inputs(sample, folder / _FOLDER, calibrations[sample.sequence.name])
        if sample.split == "test":
            _write_inputs(sample, folder / _TEST_FOLDER, calibrations[sample.sequence.name])
        done()
    if num_missing:
        logger.warning("%d of %d frames have no image to link: detectors need them.", num_missing, len(samples))
    write_image_sets(samples, folder)
    write_index(samples, folder)


def _write_inputs(sample: Sample, folder: Path, calibration: str) -> bool:
    """Write the calibration and the link of a sample's image; False where there is no image."""
    (folder / "calib" / f"{sample.name}.txt").write_text(calibration)
    return link_image(sample.sequence, sample.view.frame, folder / "image_2" / f"{sample.name}.png")


def T_cam_lidar(drive: Drive) -> np.ndarray:  # noqa: N802 - a transform's name
    """[4, 4] metres, from the dataset's calibration, or KITTI's axes at the camera where it has none."""
    calibrated = drive.detail("T_cam_lidar")
    return AXES_CAM_LIDAR if calibrated is None else calibrated


def calibration_text(drive: Drive, names: Sequence[str] = ("R0_rect:", "Tr_velo_to_cam:", "Tr_imu_to_velo:")) -> str:
    """KITTI's calibration of the camera: P0 to P3 are all its own, rectified, without a stereo shift.

    Args:
        drive: whose camera it is.
        names: of the rotation that rectifies, of LiDAR to camera and of IMU to LiDAR; KITTI's benchmarks differ there.
    """
    P = np.hstack([drive.K, np.zeros((3, 1))])
    matrices = {f"P{number}:": P for number in range(4)}
    # nothing that trains on images or points asks for the IMU
    matrices |= dict(zip(names, (np.eye(3), T_cam_lidar(drive)[:3], np.eye(4)[:3]), strict=True))
    return "".join(f"{name} {' '.join(f'{x:.12e}' for x in matrix.ravel())}\n" for name, matrix in matrices.items())


def link_image(drive: Drive, frame: int, link: Path) -> bool:
    """Link a frame's image by the way from one folder to the other; False where there is none."""
    image = drive.file(IMAGES, drive.camera.name, frame)
    if not isinstance(image, Path) or not image.is_file():
        return False
    try:
        link.symlink_to(os.path.relpath(image.resolve(), link.parent.resolve()))
    except OSError as error:
        raise OutputError(
            f"{link}: no link to an image can be made there ({error.strerror}): export to a file system that has links"
        ) from error
    return True


def read(source: Location, drives: dict[str, Drive]) -> list[CorrectedFrame]:
    """The frames of a folder of KITTI text: an export of this format, or <sequence>/<camera>/label_2/%010d.txt.

    Place, size, heading and type of a line count; the 2D box, truncation, occlusion, alpha and score do not. Files that
    are not there say nothing of their frames; of an export, warnings name those, and files that its index lacks.

    Args:
        source: the folder.
        drives: the sequences that the frames may be of, by name; all of one camera.

    Raises:
        InputError: no such files, or one that cannot be used.
    """
    files = _exported_files(source, drives) if (source / INDEX).is_file() else _frame_files(source, drives)
    frames = [_read_file(path, drive, frame, ids) for path, drive, frame, ids in files]
    if not frames:
        raise InputError(
            f"{source}: no KITTI text: expected {INDEX} with {_FOLDER}/label_2, or <sequence>/<camera>/label_2/*.txt "
            f"of {', '.join(drives)}"
        )
    return frames


_File = tuple[Location, Drive, int, tuple[int, ...] | None]  # path, sequence, frame, instance ids of its lines


def _exported_files(source: Location, drives: dict[str, Drive]) -> Iterator[_File]:
    index, folder = source / INDEX, source / _FOLDER / "label_2"
    there = {name for name in names_in(folder) if name.endswith(".txt")}
    listed = set()
    for number, row in _index_rows(index):
        sample = row["sample"].zfill(_SAMPLE_DIGITS)  # spreadsheets take the zeros away
        try:
            frame, ids = int(row["frame"]), tuple(map(int, row["instance_ids"].split()))
        except ValueError as error:
            raise InputError(f"{index}, line {number}: not a line of an export's index ({error}): restore it") from None
        drive = drives.get(row["sequence"])
        if drive is None or drive.camera.name != row["camera"] or not _SAMPLE.fullmatch(sample):
            raise InputError(
                f"{index}, line {number}: sample {sample!r} of {row['sequence']!r}, {row['camera']!r} is none of this "
                "run: give the run that was exported"
            )
        listed.add(f"{sample}.txt")
        if f"{sample}.txt" in there:
            yield folder / f"{sample}.txt", drive, frame, ids
    if strangers := sorted(there - listed):
        logger.warning(
            "%s: not read, as are %d files in all that have no line in %s: restore the lines.",
            folder / strangers[0],
            len(strangers),
            index,
        )
    if missing := sorted(listed - there):
        logger.warning(
            "%s: no such file, as for %d lines of %s in all: their frames are left as they are.",
            folder / missing[0],
            len(missing),
            index,
        )


def _index_rows(index: Location) -> Iterator[tuple[int, dict[str, str]]]:
    """Number and columns of the lines of an index, as it was written or as a spreadsheet has saved it."""
    lines = read_lines(index)
    header = lines[0] if lines else ""
    separator = max(_SEPARATORS, key=header.count)
    names = [name.strip() for name in next(csv.reader([header], delimiter=separator), [])]
    if missing := [name for name in _INDEX_COLUMNS if name not in names]:
        raise InputError(
            f"{index}, line 1: no column {missing[0]!r} in {header!r}: expected names with commas between them, "
            f"{', '.join(_INDEX_COLUMNS)} among them: restore it"
        )
    for number, line in enumerate(lines[1:], start=2):
        values = next(csv.reader([line], delimiter=separator), [])
        if not any(value.strip() for value in values):
            continue
        if len(values) < len(names):
            raise InputError(f"{index}, line {number}: {len(values)} columns, expected {len(names)}: restore it")
        yield number, {name: value.strip() for name, value in zip(names, values, strict=False)}


def _frame_files(source: Location, drives: dict[str, Drive]) -> Iterator[_File]:
    for drive in drives.values():
        folder = label_path(source, sequence=drive.name, camera=drive.camera.name, frame=0).parent
        for frame in frames_of_texts(names_in(folder)):
            yield label_path(source, sequence=drive.name, camera=drive.camera.name, frame=frame), drive, frame, None


def _read_file(path: Location, drive: Drive, frame: int, exported_ids: tuple[int, ...] | None) -> CorrectedFrame:
    if frame not in drive.T_world_cam:
        raise InputError(f"{path}: {drive.name} has no pose of frame {frame}: remove the file")
    names, sizes, bottoms, rotations, places = [], [], [], [], []
    for number, entry in enumerate(read_frame(path), start=1):
        if entry.type != IGNORED:
            place = f"{path}, line {number}"
            height, width, length = entry.dimensions_hwl
            check_place(np.array(entry.bottom_cam), place)
            check_sizes(np.array([length, width, height]), place)
            check_angle(entry.rotation_y, "rotation_y", place)
            names.append(class_of(entry.type, drive.classes, place))
            sizes.append([length, width, height])
            bottoms.append(entry.bottom_cam)
            rotations.append(entry.rotation_y)
            places.append(place)
    boxes = UprightBoxes.from_kitti_camera(
        np.array(bottoms).reshape(-1, 3),
        np.array(sizes).reshape(-1, 3),
        np.array(rotations),
        drive.T_world_cam[frame],
    )
    nothing = (None,) * len(names)
    return CorrectedFrame(
        drive.name,
        frame,
        tuple(names),
        boxes,
        nothing,
        exported_ids,
        _ROUNDING,
        file=path,
        place=str(path),
        places=tuple(places),
    )
