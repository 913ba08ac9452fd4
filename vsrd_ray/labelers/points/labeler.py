"""The labeler of points: a sweep and the masks of all cameras at its time.

Shapes: K clusters.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pyarrow as pa

from vsrd_ray.data.groups import FrameGroup
from vsrd_ray.geometry import rigid
from vsrd_ray.labelers.base import Output, PreparedGroup, Provenance, TraceSink
from vsrd_ray.labelers.points.boxes import boxes_of
from vsrd_ray.labelers.points.clusters import clusters_of, confidences
from vsrd_ray.labelers.points.config import PointsConfig
from vsrd_ray.labelers.points.frames import Frame, Sweep, read_frame
from vsrd_ray.labelers.points.ground import Ground, fit_ground
from vsrd_ray.labelers.points.keyframe import Seen, look_up, published
from vsrd_ray.labelers.points.objects import label_objects
from vsrd_ray.labelers.points.refinement import Labels
from vsrd_ray.labelers.points.spec import points_plan
from vsrd_ray.labels.clusters.spec import BOX_SIZES, SOURCE
from vsrd_ray.labels.clusters.spec import SCHEMA as CLUSTER_SCHEMA
from vsrd_ray.labels.points.classes import NAMES
from vsrd_ray.labels.points.schema import SCHEMA as POINT_SCHEMA
from vsrd_ray.labels.points.schema import packed

if TYPE_CHECKING:
    from vsrd_ray.labelers.points.images import ImageModels, MadeMasks

T = TypeVar("T")


@dataclass(frozen=True)
class Found:
    """What a sweep's points are, and what cameras showed of them."""

    labels: Labels
    views: tuple[Seen, ...]
    ground: Ground


class PointsLabeler:
    """See `vsrd_ray.labelers.base.Labeler` for what each of these is."""

    def __init__(self, config: PointsConfig, device: str) -> None:
        self.config, self._device = config, device
        self._models: ImageModels | None = None

    def setup(self) -> None:
        """Load the weights, if the configuration names any."""
        if self.config.models and self._models is None:
            from vsrd_ray.labelers.points.images import ImageModels  # noqa: PLC0415 - torch takes two seconds

            self._models = ImageModels(self.config, self._device)

    def prepare(self, group: FrameGroup) -> PreparedGroup:
        """The group's sweeps, with the labels of the pixels that their points fall on; or the images, for models."""
        return PreparedGroup.of(group, read_frame(group, self.config))

    def label(self, prepared: PreparedGroup, *, seed: int, trace: TraceSink | None = None) -> list[Found]:
        """Labels of each sweep; nothing is left to chance."""
        (found,) = self.label_many([prepared], seed=seed)
        if isinstance(found, Exception):
            raise found
        return found

    def label_many(self, prepared: Sequence[PreparedGroup], *, seed: int) -> list[list[Found] | Exception]:
        """One after the other; a thread paints and labels while the device sees the next images."""
        if self._models is None:
            return [_attempt(lambda frame=group.payload: self._found(frame)) for group in prepared]
        with ThreadPoolExecutor(1) as painter, ThreadPoolExecutor(1) as labeler:
            waiting: list[Future[list[Found]] | Exception] = []
            for group in prepared:
                classes = points_plan(group.plan).classes
                masks = _attempt(lambda group=group, classes=classes: self._masks(group.payload, classes, painter))
                waiting.append(
                    masks if isinstance(masks, Exception) else labeler.submit(self._of_masks, group.payload, masks)
                )
            return [one if isinstance(one, Exception) else _attempt(one.result) for one in waiting]

    def _masks(self, frame: Frame, classes: Sequence[str], cpu: ThreadPoolExecutor) -> "list[Future[MadeMasks]]":
        if self._models is None:
            raise RuntimeError("a labeler is set up before its first label")
        return self._models.masks(frame.shots, classes, cpu)

    def _of_masks(self, frame: Frame, masks: "Sequence[Future[MadeMasks]]") -> list[Found]:
        """Labels by masks that models made."""
        from vsrd_ray.labelers.points.images import CLASSES  # noqa: PLC0415 - torch takes two seconds

        made = [one.result() for one in masks]
        sweeps = []
        for sweep in frame.sweeps:
            views = tuple(
                look_up(points, one.instance_map, CLASSES, K, one.scores)
                for (points, K), one in zip(sweep.in_view, made, strict=True)
            )
            sweeps.append(replace(sweep, views=views))
        return self._found(Frame(tuple(sweeps)))

    def _found(self, frame: Frame) -> list[Found]:
        return [self._labelled(sweep) for sweep in frame.sweeps]

    def _labelled(self, sweep: Sweep) -> Found:
        upright, config = sweep.xyz @ sweep.T_world_lidar[:3, :3].T, self.config
        ground = fit_ground(upright)
        if config.rule == "published":
            labels = published(sweep.xyz, sweep.views)
        else:
            is_ground = ground.clearance(upright) < config.ground_clearance
            labels = label_objects(
                sweep.xyz, is_ground, sweep.views, front_share=config.front_share, reach=config.reach
            )
        return Found(labels, sweep.views, ground)

    def output(self, found: list[Found], prepared: PreparedGroup, provenance: Provenance) -> Output:
        """A row of points and some of clusters for each sweep."""
        of_points: list[dict[str, Any]] = []
        of_clusters: list[dict[str, Any]] = []
        for sweep, one in zip(prepared.payload.sweeps, found, strict=True):
            labels = one.labels
            common = {
                "frame": prepared.plan.target_frame,
                "time_s": sweep.time_s,
                "sensor": sweep.sensor,
                "group_id": prepared.plan.group_id,
                **asdict(provenance),
            }
            in_view = np.zeros(len(sweep.xyz), dtype=bool)
            for view in one.views:
                in_view[view.index] = True
            of_points.append(common | packed(labels.classes, labels.instances, in_view))
            rows = cluster_rows(sweep.xyz, sweep.T_world_lidar, labels, one.ground, one.views)
            of_clusters += [common | row for row in rows]
        return {
            "points": pa.Table.from_pylist(of_points, schema=POINT_SCHEMA),
            "clusters": pa.Table.from_pylist(of_clusters, schema=CLUSTER_SCHEMA),
        }


def _attempt(work: Callable[[], T]) -> T | Exception:
    """What comes of some work; the error, which concerns one group alone, if it fails."""
    try:
        return work()
    except Exception as error:
        return error


def cluster_rows(
    xyz: np.ndarray,  # [N, 3] metres, in the sensor's frame
    T_world_lidar: np.ndarray,  # [4, 4]
    labels: Labels,
    ground: Ground,
    sure: Sequence[Seen] | None,
) -> list[dict[str, Any]]:
    """Rows of clusters, but for what says where they are from.

    Args:
        xyz: the points.
        T_world_lidar: where the sensor is.
        labels: of the points.
        ground: below them.
        sure: what cameras showed, for confidences; None: they are 1.
    """
    clusters = clusters_of(xyz, labels)
    sures = np.ones(len(clusters.counts)) if sure is None else confidences(labels, sure, clusters.counts)
    world = rigid.apply(T_world_lidar, clusters.centers)
    boxes = boxes_of(xyz @ T_world_lidar[:3, :3].T, labels.instances, clusters.classes, ground)
    box_centers = boxes.centers + T_world_lidar[:3, 3]
    return [
        {
            "instance": instance,
            "class_name": NAMES[clusters.classes[instance]],
            "num_points": int(clusters.counts[instance]),
            **_columns("center", clusters.centers[instance]),
            **_columns("extent", clusters.extents[instance]),
            "radius": float(clusters.radii[instance]),
            **_columns("world", world[instance]),
            **_columns("box", box_centers[instance]),
            **dict(zip(BOX_SIZES, boxes.dimensions_lwh[instance].tolist(), strict=True)),
            "box_yaw": float(boxes.yaws[instance]),
            "confidence": float(sures[instance]),
            "source": SOURCE,
        }
        for instance in range(len(clusters.counts))
    ]


def _columns(name: str, values: np.ndarray) -> dict[str, float]:
    return {f"{name}_{axis}": value for axis, value in zip("xyz", values.tolist(), strict=True)}
