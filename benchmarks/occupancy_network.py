"""What the occupancy network learns of two built-in streets in so many steps, measured on one that it never saw.

    python -m benchmarks.occupancy_network [--steps 100] [--folder FOLDER]

Everything is done by commands: streets of two cameras are written, the network is trained on the first two, labels a
few frames of the first and of the third, and is held against their true voxels.
"""

import argparse
import shutil
import tempfile
import time
from pathlib import Path

from vsrd_ray.cli import main as run

_SEQUENCES = {1: "2013_05_28_drive_0001_sync", 2: "2013_05_28_drive_0002_sync", 11: "2013_05_28_drive_0011_sync"}
_STREET = (
    "--frames 20 --cars 14 --trucks 1 --caravans 1 --mask-noise 0 --image-size 266x150 --jobs 1 "
    "--layers depth,lidar,semantics,right,occupancy --lidar-rings 16 --lidar-columns 512"
)
_TRAINING = ("labels.every=1", "labels.apart=4", "labels.error=0", "labels.depth=maps", "watching.validate_every=100")
_FRAMES = "4,8,12"


def vsrd(text: str, *settings: str) -> None:
    words = [*text.split(), *(word for setting in settings for word in ("--set", setting))]
    run.main(words, standalone_mode=False)


def measure(folder: Path, steps: int) -> None:
    train, unseen = folder / "train", folder / "unseen"
    for seed, sequence in _SEQUENCES.items():
        street = folder / f"street{seed}"
        vsrd(f"synthesize {street} {_STREET} --seed {seed} --sequence {sequence}")
        shutil.copytree(street, unseen if seed == max(_SEQUENCES) else train, dirs_exist_ok=True)
        shutil.rmtree(street)
    started = time.process_time()
    words = f"train --config occupancy_network --root {train} --sequence all --output {folder / 'run'}"
    vsrd(words, *_TRAINING, f"optimisation.steps={steps}")
    print(f"trained in {time.process_time() - started:.0f} CPU s")
    for root, seed in ((train, 1), (unseen, 11)):
        output = folder / f"labels{seed}"
        words = f"label --config occupancy --root {root} --sequence {_SEQUENCES[seed]} --output {output} --serial"
        vsrd(f"{words} --frames {_FRAMES}", "source=network", f"checkpoint={folder / 'run'}", "apart=4")
        print(f"street {seed}:")
        vsrd(f"evaluate {output} --root {root}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    if options.folder is not None:
        measure(options.folder, options.steps)
        return
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), options.steps)


if __name__ == "__main__":
    main()
