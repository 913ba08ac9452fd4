"""Whether steps of poses jitter, and poses drift, so much that labels suffer."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

MIN_STEP = 0.3  # metres; shorter steps are mostly noise
_JITTER = 0.03  # of a step; from here on boxes of parked cars are tenths of an IoU worse
_FEWEST = 20  # steps that tell
# Metres between fits of a parked object from different stretches, from which on labels suffer: up to .36 on built-in
# streets, whose poses are exact, .2 to .3 on two real drives, .4 and more with poses that drift by half a metre.
_APART = 0.4
_FEWEST_OBJECTS = 3
DRIFT = "fits of parked objects from different stretches lie"  # how the warning begins


def jitter(T_world_cam: Mapping[int, np.ndarray]) -> float:
    """By how much steps between frames differ from the mean of their neighbours, as a share; NaN where few tell.

    A car's speed changes by the same from step to step but for a percent; what is more is noise of the poses. It is the
    standard deviation of a normal distribution with the same median of absolute values.
    """
    frames = np.array(sorted(T_world_cam))
    if len(frames) < 4:
        return float("nan")
    positions = np.stack([T_world_cam[frame][:3, 3] for frame in frames.tolist()])
    steps = np.linalg.norm(np.diff(positions, axis=0), axis=-1)
    follows = np.diff(frames) == 1
    before, here, after = steps[:-2], steps[1:-1], steps[2:]
    counts = (follows[:-2] & follows[1:-1] & follows[2:]) & (np.minimum(np.minimum(before, here), after) > MIN_STEP)
    if counts.sum() < _FEWEST:
        return float("nan")
    off = ((here - (before + after) / 2)[counts]) / here[counts]
    # the difference from a mean of two has one and a half times the variance of a step
    return float(1.4826 * np.median(np.abs(off)) / np.sqrt(1.5))


def check_steps(T_world_cam: Mapping[int, np.ndarray], *, place: str) -> list[str]:
    """A sentence on poses whose steps jitter so that labels suffer, with the mend.

    Args:
        T_world_cam: frame -> [4, 4], metres.
        place: where they are from.
    """
    share = jitter(T_world_cam)
    if not share > _JITTER:
        return []
    return [
        f"{place}: steps between frames jitter by {share:.1%}, and boxes suffer: give smoother poses, such as a file "
        "of visual odometry as --poses; they are scaled by the dataset's own."
    ]


@dataclass(frozen=True)
class PoseCheck:
    """What a run's labels and poses tell of how good the poses are."""

    step_jitter: float | None  # see `jitter`
    scale_ratio: float | None  # see `Drive.pose_scale`
    parked_scatter_m: float | None = None  # how far fits of one parked object from different stretches lie apart
    parked_objects: int = 0  # that tell it

    @staticmethod
    def of(T_world_cam: Mapping[int, np.ndarray], ratio: float | None, scatter: float, num_objects: int) -> "PoseCheck":
        """The check of a drive's camera; NaN stands for what is not known."""
        share = jitter(T_world_cam)
        return PoseCheck(_known(share), None if ratio is None else _known(ratio), _known(scatter), num_objects)

    @staticmethod
    def recorded(values: Any) -> "PoseCheck | None":
        """The check that a manifest holds; None where it is none, such as of another version."""
        try:
            found = PoseCheck(**values)
            return found if str(found) else None
        except (TypeError, ValueError):
            return None

    def __str__(self) -> str:
        """In words, for the end of a run."""
        said = [
            None if self.step_jitter is None else f"steps jitter by {self.step_jitter:.1%}",
            None if self.scale_ratio is None else f"the metric path is {self.scale_ratio:.3f} of the file's",
            "too few parked objects to tell more"
            if self.parked_scatter_m is None
            else f"fits of {self.parked_objects} parked objects from different stretches lie "
            f"{self.parked_scatter_m:.2f} m apart",
        ]
        return "; ".join(one for one in said if one is not None)

    def warnings(self, place: str) -> list[str]:
        """A sentence on poses that drift so that labels suffer, with the mend."""
        if self.parked_scatter_m is None or self.parked_objects < _FEWEST_OBJECTS or self.parked_scatter_m <= _APART:
            return []
        return [
            f"{place}: {DRIFT} {self.parked_scatter_m:.2f} m apart ({self.parked_objects} objects): poses drift or "
            "their scale varies, and boxes are off as much: give better poses, such as a file of visual odometry as "
            "--poses, scaled by the dataset's own (leave poses.scale=none out)."
        ]


def _known(value: float) -> float | None:
    return None if np.isnan(value) else round(value, 4)
