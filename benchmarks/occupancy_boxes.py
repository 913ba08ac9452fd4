"""What a run of boxes is worth to voxels where things move: built-in streets with driving cars, labelled both ways.

    python -m benchmarks.occupancy_boxes [--seeds 7,8] [--frames 40] [--moving 6]

Each street is labelled with boxes by `vsrd-ray label`, then with voxels, without and with `--boxes`, from exact depth
maps and from its LiDAR. Figures are those of `vsrd-ray evaluate`, in %.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from benchmarks.cost_and_quality import use_one_thread
from vsrd_ray.cli import main as vsrd_ray
from vsrd_ray.synthetic import StreetSettings, synthesize

_DEPTHS = {"exact maps": ("--set", "depth=maps", "--set", "error=0"), "LiDAR": ("--set", "depth=lidar")}


def run(*arguments: object) -> None:
    result = CliRunner().invoke(vsrd_ray, [str(argument) for argument in arguments])
    if result.exit_code:
        raise SystemExit(result.output)


def figures(output: Path, root: Path) -> dict[str, Any]:
    run("evaluate", output, "--root", root, "--json")
    found = json.loads((output / "evaluation.json").read_text())
    while "masks" not in found:  # one kind, one class table
        found = next(value for value in found.values() if isinstance(value, dict))
    return found


def measure(folder: Path, seed: int, frames: int, moving: int) -> None:
    root, boxes = folder / "street", folder / "boxes"
    settings = StreetSettings(
        frames=frames,
        moving=moving,
        seed=seed,
        mask_noise=0.0,
        layers=("depth", "lidar", "semantics", "occupancy"),
    )
    synthesize(root, settings)
    common = ("--root", root, "--sequence", settings.sequence, "--serial")
    run("label", *common, "--output", boxes)
    for depth, options in _DEPTHS.items():
        for name, more in (("without boxes", ()), ("with boxes", ("--boxes", boxes))):
            output = folder / f"{depth}, {name}"
            run("label", *common, "--config", "occupancy", "--output", output, *options, *more)
            found = figures(output, root)
            cells = [
                f"{100 * found['masks'][mask]['iou']:5.1f} / {100 * found['masks'][mask]['miou']:5.1f}"
                for mask in ("mask_camera", "seen by the labels")
            ]
            print(f"{seed:>6}  {depth:10}  {name:13}  {cells[0]}   {cells[1]}  {100 * found['classes']['car']:5.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="7,8")
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--moving", type=int, default=6)
    options = parser.parse_args()
    use_one_thread()
    print("street  depth       boxes          IoU / mIoU in mask_camera, in what was seen; IoU of cars")
    for seed in map(int, options.seeds.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            measure(Path(folder), seed, options.frames, options.moving)


if __name__ == "__main__":
    main()
