"""Voxels as npz, as Occ3D's and SSCBench's folders, as point clouds (PLY), and as recordings."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from vsrd_ray.data.drive import Drive
from vsrd_ray.errors import InputError
from vsrd_ray.labels.base import Progress
from vsrd_ray.labels.voxels.classes import OCC3D, SSCBENCH, UNKNOWN
from vsrd_ray.labels.voxels.formats.colors import occupied_colors
from vsrd_ray.labels.voxels.formats.rerun import recorded
from vsrd_ray.labels.voxels.labelled import LabelledGrid, grids_of
from vsrd_ray.labels.voxels.schema import GRID_COLUMNS
from vsrd_ray.runs.exports import export_folder, note_of
from vsrd_ray.runs.folder import RunFolder
from vsrd_ray.storage import Location
from vsrd_ray.visualization.recording import check_installed

# SSCBench's raw id of each class; empty is 0.
_SSC_RAW = np.array([0, 10, 11, 15, 18, 20, 30, 40, 44, 48, 49, 50, 51, 70, 72, 80, 81, 52, 99], dtype=np.uint16)
_Writer = Callable[[Path, Drive, LabelledGrid], None]


def export(
    run: RunFolder, destination: Location, options: Mapping[str, Any], progress: Progress | None, *, format: str
) -> str:
    """Write all grids of a run in a format; see `vsrd_ray.labels.base.Exporter`."""
    count = 0
    if format == "rerun":
        check_installed()
    with export_folder(destination, note_of(run, format)) as folder:
        for name in run.inputs.sequences:
            with _written(format, folder, run.drive(name)) as write:
                for labelled in grids_of(run, name):
                    write(labelled)
                    count += 1
                    if progress is not None:
                        progress(count, count)
    return f"{count} grids written to {destination}"


def _written(format: str, folder: Path, drive: Drive) -> AbstractContextManager[Callable[[LabelledGrid], None]]:
    """A block with a function that writes one grid after another."""
    if format == "rerun":
        return recorded(drive, folder / f"{drive.name}.rrd")
    return nullcontext(partial(_WRITERS[format], folder, drive))


def _write_npz(folder: Path, drive: Drive, labelled: LabelledGrid) -> None:
    voxels = labelled.voxels
    arrays = {name: value for name in GRID_COLUMNS if (value := getattr(voxels, name)) is not None}
    _save(
        folder / drive.name / f"{labelled.frame:010d}.npz",
        **arrays,
        range=np.array(voxels.grid.range),
        voxel_size=np.array(voxels.grid.voxel_size),
        T_world_grid=voxels.T_world_grid,
    )


def _write_occ3d(folder: Path, drive: Drive, labelled: LabelledGrid) -> None:
    """`gts/<scene>/<sample token, or frame>/labels.npz`; what is unknown is free, and outside both masks."""
    semantics = _of_table(labelled, OCC3D.name)
    voxels = labelled.voxels
    zeros = np.zeros(voxels.grid.shape, np.uint8)
    is_known = semantics != UNKNOWN
    masks = {
        name: np.where(is_known, zeros if (mask := getattr(voxels, name)) is None else mask, 0).astype(np.uint8)
        for name in ("mask_lidar", "mask_camera")
    }
    tokens: Mapping[int, str] = drive.detail("sample_tokens") or {}
    token = tokens.get(labelled.frame, f"{labelled.frame:010d}")
    named = np.where(is_known, semantics, OCC3D.free).astype(np.uint8)
    _save(folder / "gts" / drive.name / token / "labels.npz", semantics=named, **masks)


def _write_sscbench(folder: Path, drive: Drive, labelled: LabelledGrid) -> None:
    """`data_2d_raw/<sequence>/voxels/<frame>.label` (uint16, raw ids) and `.invalid` (uint8, a byte a voxel)."""
    semantics = _of_table(labelled, SSCBENCH.name)
    is_known = semantics != UNKNOWN
    path = folder / "data_2d_raw" / drive.name / "voxels" / f"{labelled.frame:06d}.label"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_SSC_RAW[np.where(is_known, semantics, 0)].astype("<u2").tobytes())
    path.with_suffix(".invalid").write_bytes((~is_known).astype(np.uint8).tobytes())


def _write_ply(folder: Path, drive: Drive, labelled: LabelledGrid) -> None:
    """The centres of occupied voxels in the world, with the published colours of their classes."""
    voxels = labelled.voxels
    index, colors = occupied_colors(labelled)
    centers = voxels.grid.centers(index) @ voxels.T_world_grid[:3, :3].T + voxels.T_world_grid[:3, 3]
    vertices = np.empty(len(index), dtype=[("xyz", "<f8", 3), ("rgb", "u1", 3)])
    vertices["xyz"], vertices["rgb"] = centers, colors
    lines = ["ply", "format binary_little_endian 1.0", f"element vertex {len(index)}"]
    lines += [f"property double {axis}" for axis in "xyz"]
    lines += [f"property uchar {color}" for color in ("red", "green", "blue")]
    path = folder / drive.name / f"{labelled.frame:010d}.ply"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("\n".join([*lines, "end_header\n"]).encode() + vertices.tobytes())


def _of_table(labelled: LabelledGrid, name: str) -> np.ndarray:
    voxels = labelled.voxels
    if voxels.semantics is None or voxels.classes != name:
        held = "no classes" if voxels.classes is None else f"classes of {voxels.classes}"
        raise InputError(
            f"frame {labelled.frame}: its voxels have {held}, not {name}'s: label with --set classes={name}"
        )
    return voxels.semantics


def _save(path: Path, **arrays: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]


_WRITERS: dict[str, _Writer] = {
    "npz": _write_npz,
    "occ3d": _write_occ3d,
    "sscbench": _write_sscbench,
    "ply": _write_ply,
}
