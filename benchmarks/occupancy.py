"""Occupancy labels held against streets whose voxels are known, and against LiDAR sweeps that they did not see.

    python -m benchmarks.occupancy [--seeds 1,2,3,11,12,13] [--published 45] [--real ../shared/data/kitti360_real]

Settings were chosen on streets 1 to 3, 7 and 8. `--published` gives each row of the published losses so many CPU
seconds; 0 leaves them out. Figures are IoU / mIoU (%) in the voxels that pixels of all views
see of the street as it stands in the target frame, and CPU seconds of one group on one thread.
"""

import argparse
import resource
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from benchmarks.cost_and_quality import use_one_thread
from benchmarks.occupancy_published import march, splatted
from benchmarks.occupancy_streets import TARGET, SeenImage, StreetScene, make_scene, noisy
from vsrd_ray.data.drive import POINTS
from vsrd_ray.datasets.base import open_drive
from vsrd_ray.geometry import rigid
from vsrd_ray.labelers.occupancy.config import OccupancyConfig
from vsrd_ray.labelers.occupancy.fusion import Tally, named
from vsrd_ray.labelers.occupancy.images import DepthImage, pixel_rays
from vsrd_ray.labelers.occupancy.inputs import GroupInputs, Sweep, uncurled
from vsrd_ray.labelers.occupancy.labelling import Settings, label_voxels
from vsrd_ray.labelers.occupancy.placing import grid_pose
from vsrd_ray.labels.voxels.classes import OCC3D
from vsrd_ray.labels.voxels.evaluation.metrics import occ3d_histogram, occ3d_scores
from vsrd_ray.labels.voxels.grid import OCC3D_GRID
from vsrd_ray.labels.voxels.schema import OCCUPIED
from vsrd_ray.labels.voxels.traversal import Rays, count

_TUNED = (1, 2, 3, 7, 8)
_BLIND = 2.5  # m
_IN, _OUT = (3000, 3010, 3020, 3030, 3040), (3005, 3015, 3025, 3035, 3045)
_GROUND, _FAR = 0.45, 38.0  # m
_BEFORE = 1.5  # voxels before an end that do not count as free


def image_of(seen: SeenImage, depth: np.ndarray) -> DepthImage:
    ignored = seen.is_moving if seen.frame != TARGET else None
    return DepthImage(depth, OCC3D.of_city[seen.ids], seen.K, seen.T_grid_cam, ignored)


def seen_by_truth(scene: StreetScene) -> np.ndarray:
    tally = Tally(OCC3D_GRID, OCC3D.free)
    for seen in scene.images:
        image = DepthImage(seen.depth_at_target, OCC3D.of_city[seen.ids], seen.K, seen.T_grid_cam)
        image.labels[(image.depth > 0) & (image.labels > OCC3D.free)] = 0
        tally.add_rays(pixel_rays(image))
    return (tally.hits > 0) | (tally.passed > 0)


def scores(semantics: np.ndarray, scene: StreetScene, mask: np.ndarray) -> tuple[float, float]:
    found = occ3d_scores(occ3d_histogram(scene.truth, semantics, mask))
    return 100 * found["iou"], 100 * found["miou"]


def counted(images: Sequence[DepthImage]) -> np.ndarray:
    tally = Tally(OCC3D_GRID, OCC3D.free)
    for image in images:
        tally.add_rays(pixel_rays(image))
    return named(tally.votes, tally.hits > 0, OCC3D)


def labelled(
    images: Sequence[DepthImage], frames: Sequence[int], sweeps: Sequence[Sweep], settings: Settings
) -> np.ndarray:
    inputs = GroupInputs(np.eye(4), tuple(frames), tuple(images), tuple(sweeps))
    semantics = label_voxels(OCC3D_GRID, OCC3D, inputs, settings).semantics
    assert semantics is not None
    return semantics


def methods(scene: StreetScene, seed: int, published: float = 0.0) -> dict[str, Callable[[], np.ndarray]]:
    frames = [seen.frame for seen in scene.images]
    exact = [image_of(seen, seen.depth) for seen in scene.images]
    blank = [image_of(seen, np.zeros_like(seen.depth)) for seen in scene.images]
    sweeps = []
    for sweep in scene.sweeps:
        points = sweep.points[np.linalg.norm(sweep.points, axis=1) > _BLIND]
        sweeps.append(Sweep(sweep.frame, sweep.T_grid_lidar[:3, 3], rigid.apply(sweep.T_grid_lidar, points)))
    rows: dict[str, Callable[[], np.ndarray]] = {
        "exact depth, hits alone": lambda: counted(exact),
        "exact depth": lambda: labelled(exact, frames, [], Settings(error=0.0)),
    }
    if published:
        rows["exact depth, march from nothing"] = lambda: march(exact, seconds=published, from_hits=False)
    for kind, said in (("smooth", "smooth"), ("scale", "a scale a view")):
        rng = np.random.default_rng(seed)
        off = [image_of(seen, noisy(seen.depth, 0.05, rng, kind=kind)) for seen in scene.images]
        rows[f"5 % off, half {said}: hits alone"] = lambda off=off: counted(off)
        rows[f"5 % off, half {said}"] = lambda off=off: labelled(off, frames, [], Settings(error=0.05))
        if kind == "smooth":
            rows["the same, ends expected (EM)"] = lambda off=off: labelled(
                off, frames, [], Settings(error=0.05, expects=True)
            )
            rows["the same, with LiDAR"] = lambda off=off: labelled(off, frames, sweeps, Settings())
            if published:
                rows["the same, march from hits"] = lambda off=off: march(off, seconds=published, from_hits=True)
                rows["the same, splat from hits"] = lambda off=off: splatted(off, seconds=published)
    rows["LiDAR, 3 sweeps, completed"] = lambda: labelled(blank, frames, sweeps, Settings())
    return rows


def streets(seeds: Sequence[int], published: float) -> list[str]:
    found: dict[str, list[tuple[int, float, float, float]]] = {}
    for seed in seeds:
        scene = make_scene(seed)
        mask = seen_by_truth(scene)
        for name, method in methods(scene, seed, published).items():
            started = time.process_time()
            semantics = method()
            seconds = time.process_time() - started
            found.setdefault(name, []).append((seed, *scores(semantics, scene, mask), seconds))
    lines = [f"{'IoU / mIoU, %':44} tuned on        others          CPU s"]
    for name, rows in found.items():
        cells = []
        for tuned in (True, False):
            some = np.array([row[1:3] for row in rows if (row[0] in _TUNED) is tuned])
            cells.append("-".ljust(15) if not len(some) else "{:5.1f} / {:5.1f}  ".format(*some.mean(axis=0)))
        lines.append(f"{name:44} {cells[0]} {cells[1]} {np.median([row[3] for row in rows]):5.1f}")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return [*lines, f"Memory at most {memory:.2f} GiB, the making of streets included"]


def real(root: Path) -> str:
    """Where ends of sweeps that were held out lie in the labels of others."""
    name = sorted(path.name for path in (root / "data_poses").iterdir())[0]
    drive = open_drive(root, name)
    lidar = next(iter(drive.lidars.values()))
    T_world_grid = grid_pose(drive, 3020, OccupancyConfig())
    sweeps = {}
    for frame in (*_IN, *_OUT):
        if drive.has(POINTS, lidar.name, frame):
            xyz = drive.read(POINTS, lidar.name, frame)[:, :3].astype(np.float64)
            xyz = uncurled(xyz[np.linalg.norm(xyz, axis=1) > _BLIND], lidar.T_world_lidar, frame)
            T_grid_lidar = rigid.inverse(T_world_grid) @ lidar.T_world_lidar[frame]
            sweeps[frame] = Sweep(frame, T_grid_lidar[:3, 3], rigid.apply(T_grid_lidar, xyz))
    given = [sweeps[frame] for frame in _IN if frame in sweeps]
    voxels = label_voxels(OCC3D_GRID, OCC3D, GroupInputs(T_world_grid, (), (), tuple(given)), Settings())
    assert voxels.state is not None and voxels.observed is not None
    occupied = voxels.state == OCCUPIED
    ends = np.zeros(3)
    lengths = np.zeros(2)
    for sweep in (sweeps[frame] for frame in _OUT if frame in sweeps):
        near = np.linalg.norm(sweep.points - sweep.origin, axis=1) < _FAR
        points = sweep.points[near & (sweep.points[:, 2] > _GROUND)]
        index = OCC3D_GRID.indices(points)
        index = index[OCC3D_GRID.is_inside(index)]
        state = voxels.state[tuple(index.T)]
        ends += np.bincount(state, minlength=3)[:3]
        rays = Rays.between(OCC3D_GRID, sweep.origin, points)
        before = count(Rays(rays.origins, rays.directions, rays.ranges - _BEFORE), OCC3D_GRID.shape).passed
        lengths += before[occupied].sum(), before.sum()
    held = [frame for frame in _OUT if frame in sweeps]
    free, full, unseen = 100 * ends / ends.sum()
    return (
        f"KITTI-360, sweeps {', '.join(str(sweep.frame) for sweep in given)} in, {', '.join(map(str, held))} held out: "
        f"ends above ground {full:.1f} % in occupied voxels, {free:.1f} free, {unseen:.1f} unknown; "
        f"{100 * lengths[0] / lengths[1]:.1f} % of the length before them occupied"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="1,2,3,11,12,13")
    parser.add_argument("--published", type=float, default=45.0, metavar="SECONDS")
    parser.add_argument("--real", type=Path)
    options = parser.parse_args()
    use_one_thread()
    if options.seeds:
        warm = make_scene(0, cameras=("CAM_FRONT",))
        for method in methods(warm, 0).values():  # compile
            method()
        for line in streets([int(seed) for seed in options.seeds.split(",")], options.published):
            print(line)
    if options.real is not None:
        print(real(options.real))


if __name__ == "__main__":
    main()
