"""The depth and the fields of a run against LiDAR, photographs and known geometry.

Shapes: Q query points, P points of a sweep, H x W pixels.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from vsrd_ray.data.drive import IMAGES, POINTS, Drive
from vsrd_ray.errors import InputError
from vsrd_ray.geometry import rigid
from vsrd_ray.labels.base import Evaluation
from vsrd_ray.labels.depth.evaluation import baselines, depth, hidden, novel_views, occupancy
from vsrd_ray.labels.depth.field import densities_at
from vsrd_ray.labels.depth.fields import Fields
from vsrd_ray.labels.depth.pictures import seen_through
from vsrd_ray.labels.depth.schema import TABLE, DepthMap, decoded
from vsrd_ray.runs.folder import RunFolder

_FRAMES = 15  # of a drive that are measured, evenly spread
_SWEEPS = 20  # the key frame's and those after it
_FAR = 1000.0  # m, true depth where nothing ends the view
_TRUTH = "true solids"  # what the figures would be of a field without a fault
_GEOMETRY = ("iou", "accuracy", "hidden_accuracy")
_OCCUPANCY = ("o_acc", "ie_acc", "ie_rec")

Scores = dict[str, float]


@dataclass
class _Tally:
    """Figures of single frames, by method and by what they are about."""

    published: dict[str, list[Mapping[str, float]]] = field(default_factory=dict)
    strict: dict[str, list[Mapping[str, float]]] = field(default_factory=dict)
    geometry: dict[str, list[Scores]] = field(default_factory=dict)
    curve: list[Scores] = field(default_factory=list)
    lidar_depth: list[Scores] = field(default_factory=list)
    true_depth: list[Scores] = field(default_factory=list)
    views: list[Scores] = field(default_factory=list)
    frames: int = 0


def evaluate(run: RunFolder, options: Mapping[str, Any]) -> Evaluation:
    """LiDAR occupancy beside its baselines, depth, novel views, and hidden points where geometry is known."""
    tally = _Tally()
    for name in run.inputs.sequences:
        _add(tally, run, run.drive(name))
    if not (tally.lidar_depth or tally.true_depth or tally.views):
        raise InputError(f"{run.output}: no sweep, true depth or second frame in {run.root}: nothing to compare with")
    values = _values(tally)
    return Evaluation(values, _text(values))


def _add(tally: _Tally, run: RunFolder, drive: Drive) -> None:
    """Count frames of a drive."""
    rows = run.rows(TABLE, drive.name)
    fields = Fields(run, drive.name)
    truth = drive.truth("depth") if drive.has_truth("depth") else None
    for place in _spread(rows.num_rows):
        one = decoded(rows.slice(place, 1).to_pylist()[0])
        tally.frames += 1
        true = None
        if truth is not None and truth.camera == one.sensor and one.frame in truth.frames:
            true = truth.depth(one.frame)
            tally.true_depth.append(_depth_scores(one, depth.within_range(true)))
        if (sweep := _sweep_depth(drive, one)) is not None:
            tally.lidar_depth.append(_depth_scores(one, sweep))
        if place + 1 < rows.num_rows:
            following = rows.slice(place + 1, 1).to_pylist()[0]
            if following["sensor"] == one.sensor:
                _add_view(tally, drive, one, decoded(following))
        sweeps = list(_sweeps(drive, one))
        solids = truth if true is not None and truth is not None and one.frame in truth.voxel_frames else None
        if len(sweeps) != _SWEEPS and drive.lidars:
            solids = None  # all columns of the table are of the same frames
        if len(sweeps) == _SWEEPS or solids is not None:
            points = occupancy.in_camera(occupancy.query_points())
            points_world = rigid.apply(one.T_world_cam, points)
            filled = None if true is None else np.where(true > 0, true, _FAR)
            shared = {
                "density": densities_at(fields.of(one.group_id), points_world),
                "points": points,
                "one": one,
                "K_norm": _normalised(one),
                "inside": None if solids is None else solids.solid(one.frame, points_world),
                "true": filled,
            }
            if len(sweeps) == _SWEEPS:
                _add_occupancy(tally, **shared, sweeps=sweeps)
            if solids is not None:
                _add_geometry(tally, **shared)


def _depth_scores(
    one: DepthMap,
    true: np.ndarray,  # [H, W] of the image at any size
) -> Scores:
    """Figures of the pixels whose depth is known in both maps, and the share of the true ones that these are."""
    height, width = true.shape
    known = cv2.resize((one.depth > 0).astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST) > 0
    count = int((true > 0).sum())
    share = float((known & (true > 0)).sum() / count) if count else float("nan")
    return depth.depth_scores(one.depth, np.where(known, true, 0.0)) | {"known": share}


def _add_occupancy(
    tally: _Tally,
    *,
    density: np.ndarray,  # [Q]
    points: np.ndarray,  # [Q, 3] in `cam`
    one: DepthMap,
    K_norm: np.ndarray,
    inside: np.ndarray | None,  # [Q] bool: in something solid, where that is known
    true: np.ndarray | None,  # [H, W]
    sweeps: Sequence[occupancy.Sweep],
) -> None:
    measured = {
        is_published: occupancy.measure(points, sweeps, published=is_published) for is_published in (True, False)
    }
    depths = {"published": measured[True], "strict": measured[False], "strict_depth": true}
    scores = baselines.compared(density > occupancy.OCCUPIED_DENSITY, points, one.depth, K_norm, **depths)
    if inside is not None:
        scores[_TRUTH] = baselines.compared(inside, points, one.depth, K_norm, **depths)["method"]
    for name, both in scores.items():
        tally.published.setdefault(name, []).append(both["published"])
        tally.strict.setdefault(name, []).append(both["strict"])


def _add_geometry(
    tally: _Tally,
    *,
    density: np.ndarray,
    points: np.ndarray,
    one: DepthMap,
    K_norm: np.ndarray,
    inside: np.ndarray,  # [Q] bool
    true: np.ndarray,
) -> None:
    unseen = baselines.behind_depth(points, true, K_norm) > 0
    methods = {"method": density > occupancy.OCCUPIED_DENSITY} | baselines.baselines(points, one.depth, K_norm)
    for name, predicted in methods.items():
        tally.geometry.setdefault(name, []).append(hidden.truth_scores(predicted, inside, unseen))
    tally.curve.append({"auc": hidden.area_under_curve(density, inside)})


def _add_view(tally: _Tally, drive: Drive, one: DepthMap, following: DepthMap) -> None:
    """Compare the image of a frame with the next frame's, seen through the frame's depth."""
    if not all(drive.has(IMAGES, one.sensor, frame) for frame in (one.frame, following.frame)):
        return
    own, other = (_image(drive, of) for of in (one, following))
    rendered, seen = seen_through(one, following, other)
    if seen.any():
        filled = np.where(seen[..., None], rendered, own)  # what the other image does not show is not held against it
        tally.views.append({"psnr": novel_views.psnr(filled, own), "ssim": novel_views.ssim(filled, own)})


def _image(drive: Drive, one: DepthMap) -> np.ndarray:
    """The image [H, W, 3] of a frame in the size of its map, 0 … 1."""
    image = drive.read(IMAGES, one.sensor, one.frame)
    return cv2.resize(image, one.size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255


def _sweeps(drive: Drive, one: DepthMap) -> Iterator[occupancy.Sweep]:
    """The sweeps of a frame and those after it, of the first LiDAR."""
    for lidar in list(drive.lidars.values())[:1]:
        frames = [frame for frame in drive.frames_with(POINTS, lidar.name) if frame in lidar.T_world_lidar]
        wanted = [frame for frame in frames if frame >= one.frame][:_SWEEPS]
        if len(wanted) == _SWEEPS and wanted[0] == one.frame:
            for frame in wanted:
                points = drive.read(POINTS, lidar.name, frame)[:, :3].astype(np.float64)
                yield occupancy.Sweep(points, rigid.inverse(one.T_world_cam) @ lidar.T_world_lidar[frame])


def _sweep_depth(drive: Drive, one: DepthMap) -> np.ndarray | None:
    """The depth [H, W] of a frame's sweep in its image at full size; None without one."""
    for lidar in list(drive.lidars.values())[:1]:
        if drive.has(POINTS, lidar.name, one.frame) and one.frame in lidar.T_world_lidar:
            camera = drive.cameras[one.sensor]
            points = drive.read(POINTS, lidar.name, one.frame)[:, :3].astype(np.float64)
            T_cam_lidar = rigid.inverse(one.T_world_cam) @ lidar.T_world_lidar[one.frame]
            return depth.within_range(depth.lidar_depth(points, camera.K @ T_cam_lidar[:3], camera.image_size))
    return None


def _normalised(one: DepthMap) -> np.ndarray:
    width, height = one.size
    return np.array([[2 / width, 0, 1 / width - 1], [0, 2 / height, 1 / height - 1], [0, 0, 1]]) @ one.K


def _spread(count: int) -> list[int]:
    return sorted({round(place) for place in np.linspace(0, count - 1, min(count, _FRAMES))}) if count else []


def _means(frames: Sequence[Mapping[str, float]], names: Sequence[str] | None = None) -> dict[str, float | None]:
    found = occupancy.mean_scores(frames)
    return {name: round(found[name], 4) if np.isfinite(found[name]) else None for name in names or found}


def _values(tally: _Tally) -> dict[str, Any]:
    values: dict[str, Any] = {"frames": tally.frames}
    if tally.published:
        values["occupancy"] = {
            name: {"published": _means(tally.published[name]), "strict": _means(tally.strict[name])}
            for name in tally.published
        }
    if tally.geometry:
        values["geometry"] = {name: _means(frames) for name, frames in tally.geometry.items()}
        values["geometry"]["method"] |= _means(tally.curve)
    for name in ("lidar_depth", "true_depth", "views"):
        if frames := getattr(tally, name):
            values[name] = _means(frames)
    return values


def _text(values: Mapping[str, Any]) -> str:
    lines = [f"Depth and density of {values['frames']} frames"]
    if "occupancy" in values or "geometry" in values:
        lines += ["", f"{'':12} {'LiDAR occupancy: published':>26} {'strict':>20} {'geometry':>20}"]
        lines.append(f"{'':12}    O_acc IE_acc IE_rec    O_acc IE_acc IE_rec      IoU   all hidden")
        names = ("method", *baselines.NAMES, *([_TRUTH] if _TRUTH in values.get("occupancy", {}) else []))
        lines += [_line(name, values) for name in names]
    if "geometry" in values:
        lines.append(f"Area under the curve of density against solids: {_number(values['geometry']['method']['auc'])}")
    lines.append("")
    for name, title in (("lidar_depth", "Depth against LiDAR"), ("true_depth", "Depth against the truth")):
        if name in values:
            lines.append(f"{title:24} " + ", ".join(f"{key} {_number(one)}" for key, one in values[name].items()))
    if "views" in values:
        found = values["views"]
        lines.append(
            f"{'Next frame, seen through':24} PSNR {_number(found['psnr'], 1)} dB, SSIM {_number(found['ssim'])}"
        )
    return "\n".join(lines)


def _line(name: str, values: Mapping[str, Any]) -> str:
    of_occupancy, of_geometry = values.get("occupancy", {}).get(name), values.get("geometry", {}).get(name, {})
    parts = [
        " ".join(f"{_number((of_occupancy or {}).get(protocol, {}).get(score)):>6}" for score in _OCCUPANCY)
        for protocol in ("published", "strict")
    ]
    parts.append(" ".join(f"{_number(of_geometry.get(score)):>6}" for score in _GEOMETRY))
    return f"{name:12}   " + "   ".join(parts)


def _number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
