"""A frame's images above its voxels from the same cameras, and all from above; beside them the truth."""

from collections.abc import Iterator, Sequence
from contextlib import suppress

import cv2
import numpy as np

from vsrd_ray.data.drive import IMAGES, Drive
from vsrd_ray.errors import InputError, UnreadableFrameError
from vsrd_ray.labels.voxels.classes import UNKNOWN, VoxelClasses, table_named
from vsrd_ray.labels.voxels.drawing import draw_voxels, pose_in_grid, scaled, view_from_above
from vsrd_ray.labels.voxels.grid import Grid
from vsrd_ray.labels.voxels.labelled import LabelledGrid, grids_of
from vsrd_ray.labels.voxels.schema import OCCUPIED
from vsrd_ray.labels.voxels.truth import true_grid
from vsrd_ray.runs.folder import RunFolder
from vsrd_ray.storage import Location
from vsrd_ray.visualization.drawing import draw_text
from vsrd_ray.visualization.video import check_destination, write_pictures

_WIDTH = 1000  # px of the whole picture
_ABOVE_HEIGHT = 320  # px
_GAP = 6  # px
_CUT, _CUT_ABOVE = 3, 6  # layers from the top that are left out, in images and from above, of Occ3D's grid
_EGO = (slice(93, 107), slice(95, 105), slice(4, 8))  # voxels of Occ3D's grid, of the vehicle itself
_TEXT = (40, 40, 40)


def visualize_voxels(
    run: RunFolder, sequence: str, destination: Location, *, frames: Sequence[int] = (), frames_per_second: float = 5.0
) -> int:
    """Write a picture for each labelled frame of a drive, to a folder or as a film; how many.

    Raises:
        InputError: the run has no voxels of the drive, or none of these frames.
    """
    check_destination(destination)
    return write_pictures(pictures(run, sequence, frames), destination, frames_per_second=frames_per_second)


def pictures(run: RunFolder, sequence: str, frames: Sequence[int] = ()) -> Iterator[tuple[int, np.ndarray]]:
    """Frame and picture [H, W, 3] uint8, BGR, of all grids of a drive, or of some frames'."""
    drive = run.drive(sequence)
    truth = drive.truth("voxels") if drive.has_truth("voxels") else None
    count = 0
    for labelled in grids_of(run, sequence):
        if frames and labelled.frame not in frames:
            continue
        count += 1
        true = None
        if truth is not None and labelled.voxels.classes is not None:
            with suppress(InputError):  # of another grid
                found = true_grid(truth, labelled.frame, labelled.voxels)
                true = None if found is None else found.semantics
        yield labelled.frame, draw_frame(drive, labelled, true)
    if not count:
        raise InputError(f"{run.output} has no voxels of these frames of {sequence}: label them")


def draw_frame(drive: Drive, labelled: LabelledGrid, true: np.ndarray | None) -> np.ndarray:
    """The picture of one frame [H, W, 3] uint8, BGR.

    Args:
        drive: with its cameras and images.
        labelled: its voxels.
        true: [X, Y, Z] uint8 what they truly are.
    """
    voxels = labelled.voxels
    classes = None if voxels.classes is None else table_named(voxels.classes)
    grids = [("labels", _occupied(labelled, classes), voxels.semantics)]
    if true is not None and classes is not None:
        grids.append(("truth", (true != classes.free) & (true != UNKNOWN), true))
    rows = _camera_rows(drive, labelled, grids, classes)
    width = (_WIDTH - _GAP * (len(grids) - 1)) // len(grids)
    T_grid_cam, K = view_from_above(voxels.grid, (width, _ABOVE_HEIGHT))
    above = []
    for name, occupied, semantics in grids:
        shown = _cut(voxels.grid, occupied, _CUT_ABOVE)
        image = draw_voxels(
            voxels.grid, shown, semantics, classes, T_grid_cam=T_grid_cam, K=K, image_size=(width, _ABOVE_HEIGHT)
        )
        draw_text(image, f"{name}, frame {labelled.frame}", (8, 20), color=_TEXT)
        above.append(image)
    return _stacked([*rows, _beside(above)])


def _camera_rows(
    drive: Drive,
    labelled: LabelledGrid,
    grids: Sequence[tuple[str, np.ndarray, np.ndarray | None]],
    classes: VoxelClasses | None,
) -> list[np.ndarray]:
    """A row of images, and one of each grid from the same cameras; none without a camera that has a pose."""
    voxels, frame = labelled.voxels, labelled.frame
    cameras = [camera for camera in drive.cameras.values() if frame in camera.T_world_cam]
    images = []
    for camera in cameras:
        if drive.has(IMAGES, camera.name, frame):
            with suppress(UnreadableFrameError, InputError):
                images.append((camera, drive.read(IMAGES, camera.name, frame)))
    if not images:
        return []
    width = (_WIDTH - _GAP * (len(images) - 1)) // len(images)
    sizes = [(width, round(image.shape[0] * width / image.shape[1])) for _, image in images]
    rows = [
        _beside(
            [
                cv2.resize(image, size, interpolation=cv2.INTER_AREA)
                for (_, image), size in zip(images, sizes, strict=True)
            ]
        )
    ]
    for _, occupied, semantics in grids:
        shown = _cut(voxels.grid, occupied, _CUT)
        row = []
        for (camera, _), size in zip(images, sizes, strict=True):
            T_grid_cam = pose_in_grid(voxels.T_world_grid, camera.T_world_cam[frame])
            K = scaled(camera.K, camera.image_size, size)
            row.append(draw_voxels(voxels.grid, shown, semantics, classes, T_grid_cam=T_grid_cam, K=K, image_size=size))
        rows.append(_beside(row))
    return rows


def _occupied(labelled: LabelledGrid, classes: VoxelClasses | None) -> np.ndarray:
    voxels = labelled.voxels
    if voxels.state is not None:
        return voxels.state == OCCUPIED
    assert voxels.semantics is not None and classes is not None
    return (voxels.semantics != UNKNOWN) & (voxels.semantics != classes.free)


def _cut(grid: Grid, occupied: np.ndarray, layers: int) -> np.ndarray:
    """Without the top layers and the vehicle itself, of Occ3D's grid; others as they are."""
    if grid.shape != (200, 200, 16):
        return occupied
    shown = occupied.copy()
    shown[:, :, -layers:] = False
    shown[_EGO] = False
    return shown


def _beside(images: Sequence[np.ndarray]) -> np.ndarray:
    height = max(image.shape[0] for image in images)
    parts: list[np.ndarray] = []
    for image in images:
        if parts:
            parts.append(np.full((height, _GAP, 3), 255, np.uint8))
        parts.append(np.pad(image, ((0, height - image.shape[0]), (0, 0), (0, 0)), constant_values=255))
    return np.concatenate(parts, axis=1)


def _stacked(rows: Sequence[np.ndarray]) -> np.ndarray:
    width = max(row.shape[1] for row in rows)
    padded = [np.pad(row, ((0, _GAP), (0, width - row.shape[1]), (0, 0)), constant_values=255) for row in rows]
    return np.ascontiguousarray(np.concatenate(padded))
