"""Labelled sweeps seen from above, beside the images: worst first, by truth where there is some.

Shapes: N points of a sweep, H x W pixels.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from vsrd_ray.data.drive import IMAGES, Drive
from vsrd_ray.labels.base import Progress
from vsrd_ray.labels.points.classes import NO_INSTANCE
from vsrd_ray.labels.points.evaluation.run import qualities
from vsrd_ray.labels.points.labelled import LabelledSweep, clusters_of, sweeps_of
from vsrd_ray.labels.points.shown import InImage, images_of, points_of
from vsrd_ray.runs.folder import RunFolder
from vsrd_ray.storage import Location
from vsrd_ray.visualization.birdseye import Plan, draw_grid, draw_scale, fit_plan
from vsrd_ray.visualization.drawing import GREY, instance_color
from vsrd_ray.visualization.page import Section, write_page

_SWEEPS = 4  # that are shown of each drive
_ROWS = 20  # clusters that are listed of each drive
_SIZE = (900, 900)  # px
_REACH = 45.0  # m around the sensor
_WIDTH = 1200  # px of an image that is alone; of several, half


def report(
    run: RunFolder, destination: Location, options: Mapping[str, Any], progress: Progress | None
) -> Sequence[str]:
    """Write one HTML file; see `vsrd_ray.labels.base.Reporter`."""
    sections = [_section(run, run.drive(name)) for name in run.inputs.sequences]
    size = write_page(destination, "Points", sections)
    return [f"Report written to {destination}: {size / 1e6:.1f} MB"]


def _section(run: RunFolder, drive: Drive) -> Section:
    clusters = clusters_of(run, drive).sort_by([("confidence", "ascending"), ("frame", "ascending")])
    columns = ("frame", "instance", "track_id", "class_name", "num_points", "confidence")
    worst = clusters.select(columns).slice(0, _ROWS).to_pylist()
    quality = qualities(run, drive) if drive.has_truth("points") else {}
    frames = sorted(quality, key=lambda frame: (quality[frame], frame)) or clusters["frame"].to_pylist()
    frames = list(dict.fromkeys(frames))[:_SWEEPS]
    of_frame: dict[int, dict[str, np.ndarray]] = {frame: {} for frame in frames}
    for sweep in sweeps_of(run, drive):
        if sweep.frame not in of_frame:
            continue
        points, pictures = points_of(drive, sweep), of_frame[sweep.frame]
        score = f", PQ {quality[sweep.frame]:.2f}" if sweep.frame in quality else ""
        pictures[f"frame {sweep.frame}{score}, from above"] = _from_above(drive, sweep, points)
        views = list(images_of(drive, sweep, points))
        for view in views:
            caption = f"frame {sweep.frame}, {view.camera.name}"
            pictures[caption] = _in_image(drive, sweep, view, _WIDTH if len(views) == 1 else _WIDTH // 2)
    order = "by panoptic quality in view" if quality else "by the least confident cluster"
    text = (
        f"{clusters.num_rows} clusters; the least confident ones. Sweeps are worst first, {order}. Colours are tracks."
    )
    shown = {caption: picture for frame in frames for caption, picture in of_frame[frame].items()}
    return Section(drive.name, text, worst, shown)


def _from_above(drive: Drive, sweep: LabelledSweep, points: np.ndarray) -> np.ndarray:
    """The sweep on paper, the way that the camera looks up."""
    T_world_lidar = drive.lidars[sweep.sensor].T_world_lidar[sweep.frame]
    xy = (points @ T_world_lidar[:3, :3].T)[:, :2]
    ahead = _ahead(drive, sweep.frame)
    corners = _REACH * np.array([[-1, -1], [1, 1], [-1, 1], [1, -1]])
    plan = fit_plan(corners, _SIZE, right=np.array([ahead[1], -ahead[0]]), margin=0)
    draw_grid(plan)
    for is_labelled in (False, True):
        _dots(plan, xy, sweep, is_labelled)
    draw_scale(plan)
    return plan.image


def _ahead(drive: Drive, frame: int) -> np.ndarray:
    """Where the first camera with a pose looks [2], from above."""
    for camera in drive.cameras.values():
        if frame in camera.T_world_cam:
            return camera.T_world_cam[frame][:2, 2]
    return np.array([1.0, 0.0])


def _dots(plan: Plan, xy: np.ndarray, sweep: LabelledSweep, is_labelled: bool) -> None:
    some = np.flatnonzero((sweep.instances != NO_INSTANCE) == is_labelled)
    _paint(plan.image, plan.to_pixels(xy[some]), sweep.tracks[some], size=3 if is_labelled else 1)


def _in_image(drive: Drive, sweep: LabelledSweep, view: InImage, width: int) -> np.ndarray:
    """The image with its labelled points, so many px wide."""
    image = drive.read(IMAGES, view.camera.name, sweep.frame).copy()
    _paint(image, view.uv, sweep.tracks[view.index], size=max(3, image.shape[1] // width * 3))
    return cv2.resize(image, (width, round(image.shape[0] * width / image.shape[1])), interpolation=cv2.INTER_AREA)


def _paint(image: np.ndarray, uv: np.ndarray, tracks: np.ndarray, *, size: int) -> None:
    """Squares of `size` px at pixels [N, 2], in the colours of their tracks; grey without one."""
    height, width = image.shape[:2]
    ids, place = np.unique(tracks, return_inverse=True)
    colors = np.array([GREY if one == NO_INSTANCE else instance_color(one) for one in ids.tolist()]).reshape(-1, 3)
    for right in range(size):
        for down in range(size):
            u, v = (np.floor(uv) + np.array([right, down])).astype(np.int64).T
            inside = (u >= 0) & (u < width) & (v >= 0) & (v < height)
            image[v[inside], u[inside]] = colors[place[inside]]
