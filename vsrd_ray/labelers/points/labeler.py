"""The labeler of points: a sweep and the masks of all cameras at its time.

Shapes: N points of a sweep, K clusters.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from vsrd_ray.data.classes import IDS_PER_CLASS, ClassTable
from vsrd_ray.data.drive import MASKS, POINTS
from vsrd_ray.data.groups import FrameGroup
from vsrd_ray.errors import InputError
from vsrd_ray.geometry import rigid
from vsrd_ray.labelers.base import Output, PreparedGroup, Provenance, TraceSink
from vsrd_ray.labelers.points.clusters import clusters_of, confidences
from vsrd_ray.labelers.points.config import PointsConfig
from vsrd_ray.labelers.points.keyframe import Seen, look_up, published
from vsrd_ray.labelers.points.objects import label_objects
from vsrd_ray.labelers.points.projection import between, project
from vsrd_ray.labelers.points.refinement import Labels
from vsrd_ray.labelers.points.spec import PointsPlan
from vsrd_ray.labels.clusters.spec import SCHEMA as CLUSTER_SCHEMA
from vsrd_ray.labels.points.classes import NAMES, NONE, class_named
from vsrd_ray.labels.points.schema import SCHEMA as POINT_SCHEMA
from vsrd_ray.labels.points.schema import packed


@dataclass(frozen=True)
class Sweep:
    """One sweep, with what the cameras show of it."""

    sensor: str
    xyz: np.ndarray  # [N, 3] float64 metres, in the sensor's frame
    T_world_lidar: np.ndarray  # [4, 4]
    views: tuple[Seen, ...]  # in the order of the cameras


class PointsLabeler:
    """See `vsrd_ray.labelers.base.Labeler` for what each of these is."""

    def __init__(self, config: PointsConfig) -> None:
        self.config = config

    def setup(self) -> None:
        """Nothing is costly here."""

    def prepare(self, group: FrameGroup) -> PreparedGroup:
        """The group's sweeps, with the labels of the pixels that their points fall on."""
        frame, drive = group.plan.target_frame, group.drive
        wanted = group.plan.classes if isinstance(group.plan, PointsPlan) else ()
        classes = class_places(drive.classes, wanted)
        sweeps = []
        for lidar in drive.lidars.values():
            if not drive.has(POINTS, lidar.name, frame) or frame not in lidar.T_world_lidar:
                continue
            xyz = _finite(group.read(POINTS, lidar.name, frame)[:, :3])
            views = []
            for camera in drive.cameras.values():
                if not drive.has(MASKS, camera.name, frame) or frame not in camera.T_world_cam:
                    continue
                instance_map = group.read(MASKS, camera.name, frame)
                _check_size(instance_map, camera.image_size, f"{drive.file(MASKS, camera.name, frame)}")
                T_cam_lidar = between(camera.T_world_cam[frame], lidar.T_world_lidar[frame])
                points = project(xyz, T_cam_lidar, camera.K, camera.image_size)
                views.append(look_up(points, instance_map, classes, camera.K))
            sweeps.append(Sweep(lidar.name, xyz, lidar.T_world_lidar[frame], tuple(views)))
        return PreparedGroup.of(group, tuple(sweeps))

    def label(self, prepared: PreparedGroup, *, seed: int, trace: TraceSink | None = None) -> list[Labels]:
        """Labels of each sweep; nothing is left to chance."""
        return [self._labels(sweep) for sweep in prepared.payload]

    def label_many(self, prepared: Sequence[PreparedGroup], *, seed: int) -> list[list[Labels] | Exception]:
        """One after the other."""
        found: list[list[Labels] | Exception] = []
        for group in prepared:
            try:
                found.append(self.label(group, seed=seed))
            except Exception as error:  # it concerns this group alone
                found.append(error)
        return found

    def output(self, found: list[Labels], prepared: PreparedGroup, provenance: Provenance) -> Output:
        """A row of points and some of clusters for each sweep."""
        of_points: list[dict[str, Any]] = []
        of_clusters: list[dict[str, Any]] = []
        for sweep, labels in zip(prepared.payload, found, strict=True):
            common = {
                "frame": prepared.plan.target_frame,
                "sensor": sweep.sensor,
                "group_id": prepared.plan.group_id,
                **asdict(provenance),
            }
            in_view = np.zeros(len(sweep.xyz), dtype=bool)
            for view in sweep.views:
                in_view[view.index] = True
            of_points.append(common | packed(labels.classes, labels.instances, in_view))
            of_clusters += [common | row for row in _cluster_rows(sweep, labels)]
        return {
            "points": pa.Table.from_pylist(of_points, schema=POINT_SCHEMA),
            "clusters": pa.Table.from_pylist(of_clusters, schema=CLUSTER_SCHEMA),
        }

    def _labels(self, sweep: Sweep) -> Labels:
        config = self.config
        if config.rule == "published":
            return published(sweep.xyz, sweep.views)
        return label_objects(
            sweep.xyz,
            sweep.T_world_lidar[:3, :3],
            sweep.views,
            ground_clearance=config.ground_clearance,
            front_share=config.front_share,
            reach=config.reach,
        )


def class_places(classes: ClassTable, wanted: Sequence[str] = ()) -> np.ndarray:
    """Place [66] in `NAMES` of each class number of a dataset; `NONE` of others, and of those that are not wanted."""
    places = np.full(np.iinfo(np.uint16).max // IDS_PER_CLASS + 1, NONE)
    for one in classes:
        if (place := class_named(one.name)) is not None and (not wanted or one.name in wanted):
            places[one.number] = place
    return places


def _finite(xyz: np.ndarray) -> np.ndarray:
    """Points in float64; those that are no place are far below, where no camera looks."""
    xyz = xyz.astype(np.float64)
    xyz[~np.isfinite(xyz).all(axis=1)] = (0.0, 0.0, -1e4)
    return xyz


def _check_size(instance_map: np.ndarray, image_size: tuple[int, int], place: str) -> None:
    height, width = instance_map.shape
    if (width, height) != tuple(image_size):
        raise InputError(
            f"{place}: a mask of {width} x {height} px, of a camera with images of {image_size[0]} x {image_size[1]}: "
            "give masks as large as the images"
        )


def _cluster_rows(sweep: Sweep, labels: Labels) -> list[dict[str, Any]]:
    clusters = clusters_of(sweep.xyz, labels)
    sure = confidences(labels, sweep.views, clusters.counts)
    world = rigid.apply(sweep.T_world_lidar, clusters.centers)
    return [
        {
            "instance": instance,
            "class_name": NAMES[clusters.classes[instance]],
            "num_points": int(clusters.counts[instance]),
            **_columns("center", clusters.centers[instance]),
            **_columns("extent", clusters.extents[instance]),
            "radius": float(clusters.radii[instance]),
            **_columns("world", world[instance]),
            "confidence": float(sure[instance]),
        }
        for instance in range(len(clusters.counts))
    ]


def _columns(name: str, values: np.ndarray) -> dict[str, float]:
    return {f"{name}_{axis}": value for axis, value in zip("xyz", values.tolist(), strict=True)}
