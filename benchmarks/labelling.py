"""Cost and quality of labelling by configuration, side by side in one run, one thread, without Ray.

    python -m benchmarks.labelling                                   a built-in street
    python -m benchmarks.labelling --root ROOT --sequence SEQUENCE    a sequence with a box XML

A configuration of more than `--max-steps` steps is not run to its end: some steps before and after its residual field
comes in are timed and extrapolated, and its boxes are not judged. Peak memory is that of the process which labels.
"""

import argparse
import multiprocessing
import resource
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from vsrd_ray.config import VSRDConfig, load_config
from vsrd_ray.data.frames import FrameGroup
from vsrd_ray.data.grouping import plan_groups
from vsrd_ray.data.index import all_frames, index_frames
from vsrd_ray.data.kitti360.boxes import read_boxes
from vsrd_ray.data.kitti360.sequences import open_sequence
from vsrd_ray.data.loading import group_task, load_group
from vsrd_ray.data.synthetic import StreetSettings, synthesize
from vsrd_ray.geometry.iou import box_iou_3d
from vsrd_ray.labelers.vsrd import VSRDLabeler
from vsrd_ray.labels.fits import BoxFit

MAX_RANGE = 40.0  # m, of the true box from the target camera
TIMED_STEPS = 3  # of each phase, after one that is not counted


@dataclass(frozen=True)
class Measurement:
    """What one configuration did."""

    seconds: float  # a group, setting up left out
    extrapolated: bool
    setup_seconds: float
    peak_gigabytes: float
    ious: list[float]  # of the static true boxes in range of the target frames; 0 for a missing one


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path)
    parser.add_argument("--sequence", default="2013_05_28_drive_0000_sync")
    parser.add_argument("--seed", type=int, default=1, help="of the built-in street, without --root")
    parser.add_argument("--groups", type=int, default=4, help="spread over the sequence")
    parser.add_argument("--variants", nargs="+", default=["kitti360_vsrd", "demo"], metavar="NAME|FILE")
    parser.add_argument("--max-steps", type=int, default=500)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = options.root
        if root is None:
            root = Path(folder)
            synthesize(root, StreetSettings(seed=options.seed))
        jobs = [(root, options.sequence, options.groups, name, options.max_steps) for name in options.variants]
        measured = []
        for job in jobs:  # one after the other, each in a process of its own
            with multiprocessing.get_context("spawn").Pool(1) as process:
                measured.append(process.apply(measure, job))
    print_table(options.variants, measured)


def measure(root: Path, sequence: str, num_groups: int, variant: str, max_steps: int) -> Measurement:
    """Label some groups of a sequence with one configuration."""
    torch.set_num_threads(1)
    groups = load_groups(root, sequence, num_groups)
    config = load_config(variant)
    extrapolated = config.schedule.steps > max_steps
    started = time.perf_counter()
    labeler = VSRDLabeler(config)
    setup_seconds = time.perf_counter() - started
    ious: list[float] = []
    if extrapolated:
        seconds = extrapolate(groups[0], config)
    else:
        started = time.perf_counter()
        fits = [labeler.label(group, seed=config.seed) for group in groups]
        seconds = (time.perf_counter() - started) / len(groups)
        ious = [iou for group, fit in zip(groups, fits, strict=True) for iou in truth_ious(group, fit, root)]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return Measurement(seconds, extrapolated, setup_seconds, peak, ious)


def load_groups(root: Path, name: str, count: int) -> list[FrameGroup]:
    """Groups spread evenly over a sequence."""
    sequence = open_sequence(root, name)
    index = index_frames(sequence, all_frames(sequence))
    settings = load_config("demo").grouping
    plans = plan_groups(index, sequence=name, camera=sequence.camera, settings=settings, classes=("car",))
    chosen = np.unique(np.linspace(0, len(plans) - 1, 2 * count + 1).round().astype(int)[1::2])
    return [load_group(group_task(sequence, plans[i], index)) for i in chosen]


def extrapolate(group: FrameGroup, config: VSRDConfig) -> float:
    """Seconds that all steps of a configuration would take, from some of each phase."""
    steps = 2 * (TIMED_STEPS + 1)
    short = config.schedule.model_copy(update={"steps": steps, "residual_from": steps // 2})
    times: list[float] = []
    VSRDLabeler(config.model_copy(update={"schedule": short})).label(
        group, seed=config.seed, trace=lambda _step, _values: times.append(time.perf_counter())
    )
    durations = np.diff(times)
    before, after = durations[:TIMED_STEPS].mean(), durations[TIMED_STEPS + 1 :].mean()
    boxes_alone = min(config.schedule.residual_from, config.schedule.steps)
    return float(boxes_alone * before + (config.schedule.steps - boxes_alone) * after)


def truth_ious(group: FrameGroup, fits: list[BoxFit], root: Path) -> list[float]:
    """IoU3D of each static true box of the group's instances within range of the target camera."""
    truth = read_boxes(root, group.plan.sequence)
    camera = group.views[0].T_world_cam[:3, 3]
    fit_of = {fit.instance_id: fit for fit in fits}
    ious = []
    for b in np.flatnonzero(truth.timestamps < 0):
        near = np.linalg.norm(truth.centers_world[b] - camera) <= MAX_RANGE
        if not near or truth.instance_ids[b] not in group.plan.instance_ids:
            continue
        fit = fit_of.get(int(truth.instance_ids[b]))
        box = truth.centers_world[b], truth.dimensions_lwh[b], truth.yaws_world[b]
        iou = 0.0 if fit is None else box_iou_3d(fit.center_world, fit.dimensions_lwh, fit.yaw_world, *box)[0]
        ious.append(float(iou))
    return ious


def print_table(variants: list[str], measured: list[Measurement]) -> None:
    """One row a configuration; times relative to the first."""
    heads = f"{'configuration':16}{'s a group':>12}{'of the first':>14}{'set-up s':>10}{'peak GB':>9}"
    print(f"{heads}{'IoU3D':>8}{'>.5':>6}{'>.7':>6}")
    for variant, one in zip(variants, measured, strict=True):
        ratio = f"1/{measured[0].seconds / one.seconds:.0f}"
        row = f"{variant:16}{one.seconds:>11.1f}{'*' if one.extrapolated else ' '}{ratio:>14}{one.setup_seconds:>10.1f}"
        row += f"{one.peak_gigabytes:>9.2f}"
        if one.ious:
            ious = np.array(one.ious)
            row += f"{ious.mean():>8.3f}{(ious > 0.5).mean():>6.0%}{(ious > 0.7).mean():>6.0%}   n = {len(ious)}"
        print(row)
    if any(one.extrapolated for one in measured):
        print(f"* extrapolated from {TIMED_STEPS} steps of each phase")


if __name__ == "__main__":
    main()
