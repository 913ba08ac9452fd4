"""Depth and density as others read them: KITTI's depth PNG, point clouds, meshes, NumPy arrays, Rerun.

Shapes: P points, F faces, H x W pixels.
"""

import importlib
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from vsrd_ray.data.drive import IMAGES, Drive
from vsrd_ray.errors import InputError, UnreadableFrameError
from vsrd_ray.geometry import rigid
from vsrd_ray.labels.base import Progress
from vsrd_ray.labels.depth.field import field_of
from vsrd_ray.labels.depth.fields import Fields
from vsrd_ray.labels.depth.schema import TABLE, DepthMap, maps_of
from vsrd_ray.labels.voxels.schema import UNSEEN, Voxels
from vsrd_ray.runs.exports import check_free, export_folder, note_of
from vsrd_ray.runs.folder import RunFolder
from vsrd_ray.storage import Location

_SURE = 0.1  # spread over depth up to which a pixel becomes a point
_FAR = 20.0  # m
_CELL = 0.1  # m; of the points in one, the first is kept
_GREY = (160, 160, 160)

# Writes a drive below a local folder; told after every frame.
_Writer = Callable[[Path, RunFolder, Drive, Callable[[], None]], None]


def export(
    run: RunFolder, destination: Location, options: Mapping[str, Any], progress: Progress | None, *, format: str
) -> str:
    """Write the depth of a run in a format; see `vsrd_ray.labels.base.Exporter`."""
    library = {"mesh": "skimage", "rerun": "rerun"}.get(format)
    if library is not None and find_spec(library) is None:
        raise InputError(f"the format {format} needs a library: pip install 'vsrd-ray[{format}]'")
    check_free(destination)
    total = run.rows(TABLE).num_rows
    count = 0

    def done() -> None:
        nonlocal count
        count += 1
        if progress is not None:
            progress(count, total)

    with export_folder(destination, note_of(run, format)) as folder:
        for name in run.inputs.sequences:
            _WRITERS[format](folder, run, run.drive(name), done)
    return f"{total} frames written to {destination}"


def _write_png(folder: Path, run: RunFolder, drive: Drive, done: Callable[[], None]) -> None:
    """<sequence>/<camera>/%010d.png: 16 bits, 256ths of a metre, 0 unknown; and the intrinsics of maps of that size."""
    rows = run.rows(TABLE, drive.name)
    for place in range(rows.num_rows):
        row = rows.slice(place, 1).to_pylist()[0]
        path = folder / drive.name / row["sensor"] / f"{row['frame']:010d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(row["depth"])
        (path.parent / "intrinsics.txt").write_text(" ".join(f"{value!r}" for value in row["K"]) + "\n")
        done()


def _write_npz(folder: Path, run: RunFolder, drive: Drive, done: Callable[[], None]) -> None:
    """<sequence>/<camera>/%010d.npz of each frame, and <sequence>/<group>.npz of each field."""
    for one in maps_of(run, drive.name):
        path = folder / drive.name / one.sensor / f"{one.frame:010d}.npz"
        path.parent.mkdir(parents=True, exist_ok=True)
        arrays: dict[str, Any] = {"depth": one.depth, "spread": one.spread, "profile": one.profile}
        np.savez_compressed(path, **arrays, K=one.K, T_world_cam=one.T_world_cam, group=np.array(one.group_id))
        done()
    for group_id, voxels in _groups(run, drive.name):
        arrays = {"density": voxels.density, "state": voxels.state, "T_world_grid": voxels.T_world_grid}
        known: dict[str, Any] = {name: values for name, values in arrays.items() if values is not None}
        grid: dict[str, Any] = {"range": np.array(voxels.grid.range), "voxel_size": np.array(voxels.grid.voxel_size)}
        np.savez_compressed(folder / drive.name / f"{group_id}.npz", **known, **grid)


def _write_ply(folder: Path, run: RunFolder, drive: Drive, done: Callable[[], None]) -> None:
    """<sequence>.ply: what the frames see, in the world, with the colours of their images."""
    points, colors = [np.zeros((0, 3))], [np.zeros((0, 3), np.uint8)]
    taken = set[tuple[int, int, int]]()
    for one in maps_of(run, drive.name):
        places, found = points_of(drive, one)
        cells, first = np.unique(np.floor(places / _CELL).astype(np.int64), axis=0, return_index=True)
        keys = [(x, y, z) for x, y, z in cells.tolist()]
        new = first[[key not in taken for key in keys]]
        taken.update(keys)
        points.append(places[new])
        colors.append(found[new])
        done()
    write_ply(folder / f"{drive.name}.ply", np.concatenate(points), np.concatenate(colors))


def _write_mesh(folder: Path, run: RunFolder, drive: Drive, done: Callable[[], None]) -> None:
    """<sequence>/<group>.ply: the surface between free and filled space, where it was seen (marching cubes)."""
    (folder / drive.name).mkdir(parents=True, exist_ok=True)
    for group_id, voxels in _groups(run, drive.name):
        vertices, faces = surface_of(voxels)
        colors = np.tile(np.array(_GREY, np.uint8), (len(vertices), 1))
        write_ply(folder / drive.name / f"{group_id}.ply", vertices, colors, faces)
    for _ in range(run.rows(TABLE, drive.name).num_rows):
        done()


def _write_rerun(folder: Path, run: RunFolder, drive: Drive, done: Callable[[], None]) -> None:
    """<sequence>.rrd with camera, images, depth and profile; metres from the first camera (`world:origin`)."""
    rr = importlib.import_module("rerun")
    recording = rr.RecordingStream("vsrd-ray", recording_id=drive.name)
    recording.save(folder / f"{drive.name}.rrd")
    origin = None
    for one in maps_of(run, drive.name):
        if origin is None:
            origin = one.T_world_cam[:3, 3]
            recording.log("world", rr.ViewCoordinates.RIGHT_HAND_Z_UP, rr.AnyValues(origin=origin), static=True)
        recording.set_time("frame", sequence=one.frame)
        pose = rr.Transform3D(translation=one.T_world_cam[:3, 3] - origin, mat3x3=one.T_world_cam[:3, :3])
        recording.log("world/camera", pose)
        pinhole = rr.Pinhole(
            image_from_camera=one.K, width=one.size[0], height=one.size[1], camera_xyz=rr.ViewCoordinates.RDF
        )
        recording.log("world/camera/image", pinhole)
        if (image := image_of(drive, one)) is not None:
            recording.log("world/camera/image/rgb", rr.Image(image[..., ::-1]))
        recording.log("world/camera/image/depth", rr.DepthImage(one.depth, meter=1.0))
        recording.log("profile", rr.Image(np.rint(one.profile * 255).astype(np.uint8)))
        done()
    recording.disconnect()


def points_of(drive: Drive, one: DepthMap) -> tuple[np.ndarray, np.ndarray]:
    """Points [P, 3] in the world and their colours [P, 3] RGB uint8, of pixels that are near and sure."""
    sure = (one.depth > 0) & (one.depth < _FAR) & (one.spread < _SURE * one.depth)
    v, u = np.nonzero(sure)
    z = one.depth[sure].astype(np.float64)
    points = np.stack([u, v, np.ones_like(u)], axis=-1) @ np.linalg.inv(one.K).T * z[:, None]
    image = image_of(drive, one)
    colors = np.tile(np.array(_GREY, np.uint8), (len(z), 1)) if image is None else image[sure][:, ::-1]
    return rigid.apply(one.T_world_cam, points), colors


def image_of(drive: Drive, one: DepthMap) -> np.ndarray | None:
    """The image [H, W, 3] uint8, BGR, of a frame in the size of its map; None where it cannot be read."""
    if not drive.has(IMAGES, one.sensor, one.frame):
        return None
    try:
        return cv2.resize(drive.read(IMAGES, one.sensor, one.frame), one.size, interpolation=cv2.INTER_AREA)
    except UnreadableFrameError:
        return None


def surface_of(voxels: Voxels) -> tuple[np.ndarray, np.ndarray]:
    """Vertices [P, 3] in the world and triangles [F, 3] of the surface of a field, where both sides were seen."""
    measure: Any = importlib.import_module("skimage.measure")
    values = field_of(voxels).values.numpy()
    seen = np.ones_like(values, dtype=bool) if voxels.state is None else voxels.state != UNSEEN
    if not ((values > 0) & seen).any() or not ((values < 0) & seen).any():
        return np.zeros((0, 3)), np.zeros((0, 3), np.int32)
    vertices, faces, _, _ = measure.marching_cubes(values, 0.0, mask=seen)
    places = voxels.grid.low + (vertices + 0.5) * voxels.grid.voxel_size
    return rigid.apply(voxels.T_world_grid, places), faces.astype(np.int32)


def write_ply(
    path: Path,
    points: np.ndarray,  # [P, 3]
    colors: np.ndarray,  # [P, 3] uint8 RGB
    faces: np.ndarray | None = None,  # [F, 3] int32
) -> None:
    """Write a binary PLY file; coordinates are in double precision, as worlds are far from their origin."""
    vertex = np.empty(len(points), dtype=[("p", "<f8", 3), ("c", "u1", 3)])
    vertex["p"], vertex["c"] = points, colors
    lines = ["ply", "format binary_little_endian 1.0", f"element vertex {len(points)}"]
    lines += [f"property double {axis}" for axis in "xyz"]
    lines += [f"property uchar {color}" for color in ("red", "green", "blue")]
    data = vertex.tobytes()
    if faces is not None:
        lines += [f"element face {len(faces)}", "property list uchar int vertex_indices"]
        face = np.empty(len(faces), dtype=[("n", "u1"), ("i", "<i4", 3)])
        face["n"], face["i"] = 3, faces
        data += face.tobytes()
    path.write_bytes("\n".join([*lines, "end_header\n"]).encode() + data)


def _groups(run: RunFolder, sequence: str) -> Iterator[tuple[str, Voxels]]:
    fields = Fields(run, sequence)
    return ((group_id, fields.voxels(group_id)) for group_id in fields.group_ids)


_WRITERS: dict[str, _Writer] = {
    "depth-png": _write_png,
    "npz": _write_npz,
    "ply": _write_ply,
    "mesh": _write_mesh,
    "rerun": _write_rerun,
}
FORMATS = tuple(_WRITERS)
