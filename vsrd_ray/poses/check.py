"""Whether steps of poses jitter so much that labels suffer."""

from collections.abc import Mapping

import numpy as np

MIN_STEP = 0.3  # metres; shorter steps are mostly noise
_JITTER = 0.03  # of a step; from here on boxes of parked cars are tenths of an IoU worse
_FEWEST = 20  # steps that tell


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
    off = (here - (before + after) / 2) / here
    # the difference from a mean of two has one and a half times the variance of a step
    return float(1.4826 * np.median(np.abs(off[counts])) / np.sqrt(1.5))


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
