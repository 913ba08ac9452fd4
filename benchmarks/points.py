"""What labels of points cost and how good they are: python -m benchmarks.points [ROOT SCENE MASKS]....

Each ROOT is a dataset with sweeps, SCENE one of its drives, MASKS a folder of masks or `-` for the dataset's own;
without any, a built-in street in dense traffic is made. Both configurations run in this process and on one thread:
drives are planned, files read, points labelled and rows written. Then the published rule, all pairs of points, is held
against voxels and trees as points grow.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # read when NumPy is imported

import argparse
import resource
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from click.testing import CliRunner
from scipy.sparse.csgraph import connected_components

from vsrd_ray.cli import main as main_command
from vsrd_ray.labelers.points.clustering import RANGE_SHARE, Points, components
from vsrd_ray.labels.points.evaluation.run import evaluate
from vsrd_ray.labels.points.schema import TABLE
from vsrd_ray.runs.folder import RunFolder
from vsrd_ray.synthetic import StreetSettings, synthesize

CONFIGS = ("pointsam_published", "pointsam")
STREET = StreetSettings(frames=10, cars=30, moving=6, trucks=2, buses=1, caravans=2, seed=5, layers=("panoptic",))
SIZES = (1000, 3000, 10_000, 30_000)
MOST_PAIRED = 10_000  # points of which all pairs are tested


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("places", nargs="*", metavar="ROOT SCENE MASKS")
    places = parser.parse_args().places
    if len(places) % 3:
        parser.error("expected ROOT SCENE MASKS for each drive")
    with tempfile.TemporaryDirectory() as folder:
        drives = [(Path(root), scene, masks) for root, scene, masks in zip(*[iter(places)] * 3, strict=True)]
        if not drives:
            synthesize(Path(folder) / "street", STREET)
            drives = [(Path(folder) / "street", STREET.sequence, "-")]
        print(f"{'drive':32} {'configuration':20} {'sweeps':>6} {'CPU s':>7} {'PQ':>6} {'in view':>7} {'LSTQ':>6}")
        for number, (root, scene, masks) in enumerate(drives):
            for name in CONFIGS:
                print(_line(root, scene, masks, name, Path(folder) / f"{number}-{name}"))
    print(f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GB\n")
    print(f"{'points':>7} {'trees s':>8} {'pairs s':>8}")
    for size in SIZES:
        print(_growth(size))


def _line(root: Path, scene: str, masks: str, name: str, output: Path) -> str:
    """One drive under one configuration: CPU seconds a sweep, of planning, reading, labelling and writing together."""
    given = [] if masks == "-" else ["--masks", masks]
    arguments = ["label", "--config", name, "--root", root, "--sequence", scene, "--serial", *given, "--output"]
    _run(*arguments, output)  # tables are read and code is imported
    timed = output.with_name(f"{output.name}-timed")
    with _timed() as seconds:
        _run(*arguments, timed)
    run = RunFolder(timed, root)
    sweeps = run.rows(TABLE).num_rows
    line = f"{scene:32} {name:20} {sweeps:6} {seconds[0] / sweeps:7.3f}"
    if not run.drive(scene).has_truth("points"):
        return f"{line} without truth"
    values = evaluate(run, {}).values
    pq, seen = (values[part]["occurring"]["pq"] for part in ("all_round", "in_view"))
    return f"{line} {pq:6.3f} {seen:7.3f} {values['lstq']['lstq']:6.3f}"


def _run(*arguments: object) -> None:
    result = CliRunner().invoke(main_command, [str(argument) for argument in arguments])
    if result.exit_code:
        raise SystemExit(result.output)


def _growth(size: int) -> str:
    """Seconds to cluster the surfaces of cars in a queue, by voxels and trees and by all pairs; the same components."""
    rng = np.random.default_rng(0)
    car = rng.integers(0, 60, size)
    place = np.column_stack([car % 10 * 5.5, car // 10 * 3.0, np.zeros(size)])
    points = place + rng.uniform(0, 1, (size, 3)) * (4.2, 0.1, 1.4)
    none = np.zeros(size, dtype=int)
    with _timed() as trees:
        found = components(Points(points, np.ones(size), none, none, none))
    if size > MOST_PAIRED:
        return f"{size:7} {trees[0]:8.3f} {'-':>8}"
    with _timed() as pairs:
        distance = np.linalg.norm(points, axis=1)
        reach = np.maximum(RANGE_SHARE * np.maximum(distance[:, None], distance), 1.0)
        expected = connected_components(np.linalg.norm(points[:, None] - points, axis=2) < reach, directed=False)[1]
    assert len(np.unique(np.stack([found, expected]), axis=1).T) == found.max() + 1 == expected.max() + 1
    return f"{size:7} {trees[0]:8.3f} {pairs[0]:8.3f}"


@contextmanager
def _timed() -> Iterator[list[float]]:
    seconds: list[float] = []
    started = time.process_time()
    yield seconds
    seconds.append(time.process_time() - started)


if __name__ == "__main__":
    main()
