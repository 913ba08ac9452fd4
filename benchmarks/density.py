"""How good density fields are, and what they cost: python -m benchmarks.density [--quick] [--real ROOT SEQUENCE].

Three built-in streets (seeds 0, 1 and 2: 60 frames of 320 x 96 px, textured, with a right camera) are labelled in this
process and on one thread, and measured by `vsrd-ray evaluate`: strict LiDAR occupancy beside the baselines that game it
and beside the true solids, IoU and accuracy where geometry is known, depth, and the next frame seen through it. No
setting was chosen on these streets; 7, 8 and 9 were watched.

Then networks, which learn on 7, 8 and 9 and label 0 and 1: a student from the fitted scenes; the same student after
further steps by colours alone, without fisheyes and with them; and the published route, a teacher by colours alone
from scratch. Each labels one image at a time, but the teacher. `--quick` takes one short street each, a coarse field,
and tiny networks for a few steps.

With `--real`, a drive of KITTI-360 is carved by every second of its sweeps, and its depth held against the others.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # read when NumPy is imported

import argparse
import json
import resource
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from click.testing import CliRunner

from vsrd_ray.cli import main as main_command
from vsrd_ray.data.drive import POINTS
from vsrd_ray.datasets.base import ALL_CAMERAS, open_drive
from vsrd_ray.geometry import rigid
from vsrd_ray.labels.depth.evaluation import depth
from vsrd_ray.labels.depth.schema import maps_of
from vsrd_ray.runs.folder import RunFolder
from vsrd_ray.synthetic import StreetSettings, synthesize

# What networks are trained by: configuration, and settings beside it.
BY_COLOURS = {"rendering.patches": 16, "rendering.samples": 48}
FURTHER = {
    "optimisation.steps": 400,
    "optimisation.schedule": "constant",
    "optimisation.learning_rate": 1e-4,
    **BY_COLOURS,
}
SIDES = FURTHER | {"groups.side_offsets": "[10, 11]", "rendering.view_sets": "crossed"}
SCRATCH = {
    "network.backbone": "resnet18",
    "network.width": 32,
    "network.decoder_channels": "[16, 16, 32, 64, 96]",
    "network.num_features": 32,
    "network.teacher_hidden": 32,
    "groups.image_size": "[320, 96]",
    "optimisation.steps": 700,
    "optimisation.batch_size": 2,
    "optimisation.schedule": "constant",
    **BY_COLOURS,
}
TINY = {
    "network.width": 8,
    "network.decoder_channels": "[4, 4, 4, 8, 8]",
    "network.num_features": 8,
    "network.teacher_hidden": 16,
    "groups.image_size": "[192, 64]",
    "losses.field_points": 512,
    "optimisation.steps": 4,
    "optimisation.batch_size": 1,
    "rendering.patches": 8,
    "watching.validation_samples": 2,
}
SEEDS = (0, 1, 2)
LAYERS = ("depth", "lidar", "right", "occupancy")
LEARNT = (7, 8, 9)  # streets that networks learn on
NAMES = ("method", "all free", "1 m shell", "4 m shell", "all behind", "true solids")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one short street, a coarse field, and tiny networks")
    parser.add_argument("--real", nargs=2, metavar=("ROOT", "SEQUENCE"), help="a drive of KITTI-360 with sweeps")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if arguments.real:
            print(_real(Path(arguments.real[0]), arguments.real[1], Path(folder)))
            return
        print(f"{'street':7} {'CPU s':>6} {'strict: O_acc IE_acc IE_rec':>41} {'IoU':>6} {'all':>6} {'hidden':>6}")
        for seed in SEEDS[:1] if arguments.quick else SEEDS:
            root = _street(seed, Path(folder) / f"street-{seed}", is_quick=arguments.quick)
            print(_scores(seed, root, Path(folder) / f"fit-{seed}", is_quick=arguments.quick), flush=True)
        for line in _networks(Path(folder), is_quick=arguments.quick):
            print(line, flush=True)
    print(f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GB")


def _street(seed: int, root: Path, *, is_quick: bool, fisheyes: bool = False) -> Path:
    shape = {"frames": 22, "image_size": (192, 64), "lidar_rings": 16, "lidar_columns": 256} if is_quick else {}
    settings = StreetSettings(
        **{"frames": 60, "image_size": (320, 96), "seed": seed, **shape},
        texture="rich",
        layers=(*LAYERS, "fisheye") if fisheyes else LAYERS,
        occupancy_grid="sscbench",
        sequence=f"2013_05_28_drive_{seed:04d}_sync",
    )
    synthesize(root, settings)
    return root


def _coarse(*, is_quick: bool) -> dict[str, object]:
    return {"voxel_size": 0.25, "steps": 5, "beside": 6} if is_quick else {}


def _scores(seed: int, root: Path, output: Path, *, is_quick: bool, first: int = 0, **settings: object) -> str:
    """The lines of a street that is labelled and evaluated; of its first frames alone, where they are so many."""
    first = 2 if is_quick else first
    some = ("--limit", "1", "--set", f"frames_a_group={first}") if first else ()
    values = _set(settings | _coarse(is_quick=is_quick))
    seconds = _label(root, f"2013_05_28_drive_{seed:04d}_sync", output, *values, *some)
    _run("evaluate", output, "--root", root)
    return "\n".join(_lines(seed, seconds, json.loads((output / "evaluation.json").read_text())))


def _networks(folder: Path, *, is_quick: bool) -> Iterator[str]:
    """Lines of each network: what its training has cost, and its labels of streets that it has not seen."""
    root, fits, tiny = folder / "learnt", folder / "fits", TINY if is_quick else {}
    for seed in LEARNT[:1] if is_quick else LEARNT:
        _street(seed, root, is_quick=is_quick, fisheyes=True)
    _label(root, "all", fits, *_set(_coarse(is_quick=is_quick)))
    student, further, sides, scratch = (folder / name for name in ("student", "further", "sides", "scratch"))
    for title, source, run, options, settings in (
        ("student of fitted scenes", "student", student, ("density_student", "--teacher", fits), {}),
        ("the student, further by colours", "student", further, ("density_student", "--init", student), FURTHER),
        ("the same with fisheyes", "student", sides, ("density_student", "--init", student), SIDES),
        ("teacher by colours from scratch", "teacher", scratch, ("density_teacher",), SCRATCH),
    ):
        started = time.process_time()
        values = _set(settings | tiny)
        _run("train", "--config", *options, "--root", root, "--sequence", "all", "--output", run, *values)
        yield f"{title}: trained for {time.process_time() - started:.0f} CPU s"
        is_slow = source == "teacher"  # at labelling: 12 CPU seconds a frame
        for seed in SEEDS[:1] if is_quick or is_slow else SEEDS[:2]:
            street, labels = folder / f"street-{seed}", folder / f"{run.name}-{seed}"
            how = {"source": source, "checkpoint": run}
            yield _scores(seed, street, labels, is_quick=is_quick, first=4 if is_slow else 0, **how)


def _lines(seed: int, seconds: float, values: dict) -> list[str]:
    lines = []
    for name in NAMES:
        strict, geometry = values["occupancy"][name]["strict"], values["geometry"].get(name, {})
        scores = " ".join(_number(strict[score]) for score in ("o_acc", "ie_acc", "ie_rec"))
        of_geometry = " ".join(_number(geometry.get(score)) for score in ("iou", "accuracy", "hidden_accuracy"))
        first = f"{seed:7} {seconds:6.1f}" if name == "method" else " " * 14
        lines.append(f"{first}  {name:19} {scores} {of_geometry}")
    auc = values["geometry"]["method"]["auc"]
    for title in ("lidar_depth", "true_depth"):
        lines.append(f"{'':16}{title}: " + ", ".join(f"{key} {one:.3f}" for key, one in values[title].items()))
    views = values["views"]
    lines.append(f"{'':16}AUC {auc:.3f}; next frame: PSNR {views['psnr']:.1f} dB, SSIM {views['ssim']:.3f}")
    return lines


def _real(root: Path, sequence: str, folder: Path) -> str:
    """Depth carved by every second sweep against the sweeps between."""
    copy, output = folder / "root", folder / "run"
    shutil.copytree(root, copy, symlinks=True, copy_function=os.symlink)
    sweeps = sorted((copy / "data_3d_raw" / sequence / "velodyne_points" / "data").glob("*.bin"))
    for path in sweeps[1::2]:
        path.unlink()
    seconds = _label(copy, sequence, output, "--set", "depth=lidar")
    whole = open_drive(root, sequence, ALL_CAMERAS, with_ids=False)
    frames = {int(path.stem): number % 2 for number, path in enumerate(sweeps)}
    scores: tuple[list, list] = ([], [])
    for one in maps_of(RunFolder(output, copy), sequence):
        if one.frame not in frames:
            continue
        (lidar,), camera = whole.lidars.values(), whole.cameras[one.sensor]
        points = whole.read(POINTS, lidar.name, one.frame)[:, :3].astype(np.float64)
        P = camera.K @ (rigid.inverse(one.T_world_cam) @ lidar.T_world_lidar[one.frame])[:3]
        true = depth.within_range(depth.lidar_depth(points, P, camera.image_size))
        rows, columns = (np.arange(a) * b // a for a, b in zip(true.shape, one.depth.shape, strict=True))
        known = one.depth[rows][:, columns] > 0
        found = depth.depth_scores(one.depth, np.where(known, true, 0))
        scores[frames[one.frame]].append(found | {"known": float((known & (true > 0)).sum() / (true > 0).sum())})
    lines = [f"{sequence}: {seconds:.1f} CPU s; depth against sweeps"]
    for title, some in zip(("that carved it", "that it did not see"), scores, strict=True):
        means = {name: float(np.nanmean([one[name] for one in some])) for name in some[0]}
        lines.append(f"{title:20} ({len(some)}) " + ", ".join(f"{name} {value:.3f}" for name, value in means.items()))
    return "\n".join(lines)


def _label(root: Path, sequence: str, output: Path, *options: str) -> float:
    """CPU seconds of a run, with reading and writing."""
    started = time.process_time()
    of = ("--config", "density", "--root", root, "--sequence", sequence)
    _run("label", *of, "--serial", *options, "--output", output)
    return time.process_time() - started


def _set(settings: dict[str, object]) -> list[str]:
    return [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]


def _run(*arguments: object) -> None:
    result = CliRunner().invoke(main_command, [str(argument) for argument in arguments])
    if result.exit_code:
        raise SystemExit(result.output)


def _number(value: float | None) -> str:
    return "     -" if value is None else f"{value:6.3f}"


if __name__ == "__main__":
    main()
