"""Segments the frames of a group in one batch."""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import pyarrow as pa

from vsrd_ray.data.drive import IMAGES
from vsrd_ray.data.groups import FrameGroup
from vsrd_ray.labelers.base import Output, PreparedGroup, Provenance, TraceSink
from vsrd_ray.labelers.masks.config import MasksConfig
from vsrd_ray.labelers.masks.names import ImageGroupPlan, names_of_model
from vsrd_ray.labels.masks.schema import SCHEMA, encoded
from vsrd_ray.perception.base import Detections, Segmenter
from vsrd_ray.perception.models import load_segmenter


class MaskLabeler:
    """See `vsrd_ray.labelers.base.Labeler`."""

    def __init__(self, config: MasksConfig, device: str) -> None:
        self._config, self._device = config, device
        self._segmenter: Segmenter | None = None

    def setup(self) -> None:
        """Load the weights."""
        if self._segmenter is None:
            self._segmenter = load_segmenter(self._config.model, self._config.detector or None, self._device)

    def prepare(self, group: FrameGroup) -> PreparedGroup:
        """The decoded images, [H, W, 3] uint8 each."""
        return PreparedGroup.of(group, [group.read(IMAGES, view.camera, view.frame) for view in group.views])

    def label(self, prepared: PreparedGroup, *, seed: int, trace: TraceSink | None = None) -> list[Detections]:
        """What is found in each view, in their order."""
        if self._segmenter is None:
            raise RuntimeError("a labeler is set up before its first label")
        plan = cast(ImageGroupPlan, prepared.plan)
        names = names_of_model(self._config, plan.classes, self._segmenter.labels)
        found: list[Detections] = []
        for images in _of_one_size(prepared.payload):
            found += self._segmenter.segment(images, min_score=self._config.min_score, wanted=list(names))
        return found

    def label_many(self, prepared: Sequence[PreparedGroup], *, seed: int) -> list[Any]:
        """See `Labeler`: each group is a batch already."""
        return [self._attempt(one, seed) for one in prepared]

    def _attempt(self, prepared: PreparedGroup, seed: int) -> Any:
        try:
            return self.label(prepared, seed=seed)
        except Exception as error:  # it concerns this group alone
            return error

    def output(self, found: Any, prepared: PreparedGroup, provenance: Provenance) -> Output:
        """A row for each mask that is large enough."""
        plan = cast(ImageGroupPlan, prepared.plan)
        names = names_of_model(
            self._config, plan.classes, tuple(self._config.names.get(one, one) for one in plan.classes)
        )
        rows = []
        for view, detections in zip(prepared.views, cast(list[Detections], found), strict=True):
            large = np.flatnonzero(detections.masks.sum(axis=(1, 2)) >= self._config.min_area)
            rows += [
                {
                    "frame": view.frame,
                    "time_s": view.time_s,
                    "camera": view.camera,
                    "detection": number,
                    "class_name": names[detections.labels[place]],
                    "score": float(detections.scores[place]),
                    **encoded(detections.masks[place]),
                    "group_id": plan.group_id,
                    "labeler": provenance.labeler,
                    "config_hash": provenance.config_hash,
                    "seed": provenance.seed,
                }
                for number, place in enumerate(large)
            ]
        rows.sort(key=lambda row: (row["frame"], row["camera"], row["detection"]))
        return {"masks": pa.Table.from_pylist(rows, schema=SCHEMA)}


def _of_one_size(images: Sequence[np.ndarray]) -> list[list[np.ndarray]]:
    """Stretches of images that have one size."""
    stretches: list[list[np.ndarray]] = []
    for image in images:
        if not stretches or stretches[-1][0].shape != image.shape:
            stretches.append([])
        stretches[-1].append(image)
    return stretches
