"""A small labeler for tests: boxes of nearly fixed size where the target view shows the masks, without any fitting."""

import os
import time
from pathlib import Path

import numpy as np

from vsrd_ray.config import VSRDConfig
from vsrd_ray.data.frames import FrameGroup
from vsrd_ray.labelers.base import PreparedGroup, TraceSink
from vsrd_ray.labels.fits import BoxFit


class StandIn:
    """Takes `seconds` for a group, and fails for the groups in `failing`."""

    name = "stand-in"

    def __init__(
        self, config: VSRDConfig, device: str, *, seconds: float = 0.0, failing: frozenset[str] = frozenset()
    ) -> None:
        self.seconds, self.failing = seconds, failing

    def setup(self) -> None:
        pass

    def prepare(self, group: FrameGroup) -> PreparedGroup:
        return PreparedGroup.of(group, group.instance_maps[0].copy())

    def label(self, prepared: PreparedGroup, *, seed: int, trace: TraceSink | None = None) -> list[BoxFit]:
        time.sleep(self.seconds)
        if prepared.plan.group_id in self.failing:
            raise ValueError("this group\n  is poisoned")
        view, instance_map = prepared.views[0], prepared.payload
        fits = []
        for n, instance_id in enumerate(prepared.plan.instance_ids):
            rows, columns = np.nonzero(instance_map == instance_id)
            if trace is not None:
                trace(n, {"loss": float(len(rows)), "boxes": np.full((2, 7), float(n))})
            if not len(rows):
                continue
            ray_cam = np.linalg.inv(view.K) @ [columns.mean(), rows.mean(), 1.0]
            center_world = (view.T_world_cam @ [*(10 * ray_cam), 1.0])[:3]
            rng = np.random.default_rng([seed, instance_id])
            fits.append(
                BoxFit(
                    instance_id=instance_id,
                    class_name=prepared.class_names[n],
                    center_world=center_world,
                    dimensions_lwh=np.array([4.0, 1.8, 1.5]) + rng.uniform(0, 0.1, 3),
                    yaw_world=0.5,
                    confidence=0.5,
                    mean_iou_2d=0.5,
                    num_views=len(prepared.views),
                    bearing_spread_deg=10.0,
                    silhouette_loss=0.1,
                    is_moving=False,
                )
            )
        return fits


class Deadly(StandIn):
    """Kills its worker over some groups, each as often as `deaths` says, and keeps count in a file for each of them."""

    def __init__(self, config: VSRDConfig, device: str, *, deaths: dict[str, int], folder: Path) -> None:
        super().__init__(config, device)
        self.deaths, self.folder = deaths, folder

    def label(self, prepared: PreparedGroup, *, seed: int, trace: TraceSink | None = None) -> list[BoxFit]:
        count = self.folder / prepared.plan.group_id
        died = count.stat().st_size if count.exists() else 0
        if died < self.deaths.get(prepared.plan.group_id, 0):
            count.write_bytes(b"x" * (died + 1))
            os._exit(9)
        return super().label(prepared, seed=seed, trace=trace)
