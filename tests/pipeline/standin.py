"""A small labeler for tests: boxes of nearly fixed size where the target view shows the masks, without any fitting."""

import os
import sys
import time
from pathlib import Path

import numpy as np
import plain_labeler
from plain_labeler import PlainLabeler

from vsrd_ray.data.groups import FrameGroup
from vsrd_ray.geometry.boxes import UprightBoxes
from vsrd_ray.labelers.base import PreparedGroup, TraceSink
from vsrd_ray.labelers.vsrd.config import VSRDConfig
from vsrd_ray.labels.boxes.fits import BoxFit


def send_along() -> None:
    """Let Ray send the labelers of this module themselves to its workers, which cannot import them."""
    from ray import cloudpickle

    for module in (plain_labeler, sys.modules[__name__]):
        cloudpickle.register_pickle_by_value(module)


class StandIn(PlainLabeler):
    """Takes `seconds` for a group, and fails for the groups in `failing`."""

    def __init__(
        self, config: VSRDConfig, device: str, *, seconds: float = 0.0, failing: frozenset[str] = frozenset()
    ) -> None:
        super().__init__(config, device)
        self.seconds, self.failing = seconds, failing
        self.is_set_up = False

    def get_ready(self) -> None:
        self.is_set_up = True

    def payload_of(self, group: FrameGroup) -> list[tuple[int, float, float]]:
        return [_spot(group.instance_maps[0], n) for n in group.plan.instance_ids]

    def fits_of(self, prepared: PreparedGroup, *, seed: int, trace: TraceSink | None) -> list[BoxFit]:
        assert self.is_set_up, "a labeler is set up before its first label"
        time.sleep(self.seconds)
        if prepared.plan.group_id in self.failing:
            raise ValueError("this group\n  is poisoned")
        view = prepared.views[0]
        fits = []
        for n, (instance_id, spot) in enumerate(zip(prepared.plan.instance_ids, prepared.payload, strict=True)):
            area, *center_uv = spot
            if trace is not None:
                trace(n, {"loss": float(area), "boxes": np.full((2, 7), float(n))})
            if not area:
                continue
            ray_cam = np.linalg.inv(view.K) @ [*center_uv, 1.0]
            center_world = (view.T_world_cam @ [*(10 * ray_cam), 1.0])[:3]
            rng = np.random.default_rng([seed, instance_id])
            fits.append(
                BoxFit(
                    instance_id=instance_id,
                    class_name=prepared.class_names[n],
                    box=UprightBoxes(center_world, np.array([4.0, 1.8, 1.5]) + rng.uniform(0, 0.1, 3), 0.5),
                    confidence=0.5,
                    mean_iou_2d=0.5,
                    num_views=len(prepared.views),
                    bearing_spread_deg=10.0,
                    silhouette_loss=0.1,
                    is_moving=False,
                )
            )
        return fits


def _spot(instance_map: np.ndarray, instance_id: int) -> tuple[int, float, float]:
    """Area and centre (u, v), px, of an instance in a view: numbers, since workers cannot import a class from here."""
    rows, columns = np.nonzero(instance_map == instance_id)
    return (len(rows), float(columns.mean()), float(rows.mean())) if len(rows) else (0, 0.0, 0.0)


class Deadly(StandIn):
    """Kills its worker over some groups, each as often as `deaths` says, and keeps count in a file for each of them."""

    def __init__(self, config: VSRDConfig, device: str, *, deaths: dict[str, int], folder: Path) -> None:
        super().__init__(config, device)
        self.deaths, self.folder = deaths, folder

    def fits_of(self, prepared: PreparedGroup, *, seed: int, trace: TraceSink | None) -> list[BoxFit]:
        count = self.folder / prepared.plan.group_id
        died = count.stat().st_size if count.exists() else 0
        if died < self.deaths.get(prepared.plan.group_id, 0):
            count.write_bytes(b"x" * (died + 1))
            os._exit(9)
        return super().fits_of(prepared, seed=seed, trace=trace)


class Scripted(StandIn):
    """Fails, ends its process, hangs or takes 8 GB of memory over some groups; files named after them hold its pid.

    Of several actors, `fails` or `sets_up` may be the lot of one alone: of the first that comes to it.
    """

    def __init__(
        self,
        config: VSRDConfig,
        device: str,
        *,
        seconds: float,
        scripts: dict[str, str],
        folder: str | None,
        one_actor: str | None = None,
    ) -> None:
        super().__init__(config, device, seconds=seconds)
        self.scripts, self.folder, self.one_actor = scripts, folder, one_actor

    def get_ready(self) -> None:
        super().get_ready()
        if self.one_actor == "sets_up" and not self._is_first_actor():
            raise ConnectionError("no device here")

    def _is_first_actor(self) -> bool:
        """Also in the processes that follow the first one of the actor."""
        import ray

        me = ray.get_runtime_context().get_actor_id()
        file = Path(self.folder, "first actor")
        try:
            with file.open("x") as new:
                new.write(me)
        except FileExistsError:
            return file.read_text() == me
        return True

    def fits_of(self, prepared: PreparedGroup, *, seed: int, trace: TraceSink | None) -> list[BoxFit]:
        group_id = prepared.plan.group_id
        if self.folder is not None:
            Path(self.folder, group_id).write_text(str(os.getpid()))
        if self.one_actor == "fails" and self._is_first_actor():
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
        match self.scripts.get(group_id):
            case "fail":
                raise ArithmeticError("not a number")
            case "exit":
                os._exit(9)
            case "hang":
                time.sleep(600)
            case "swell":
                hoard = []
                while len(hoard) < 80:
                    hoard.append(b"x" * 100_000_000)
                    time.sleep(0.05)
        return super().fits_of(prepared, seed=seed, trace=trace)
