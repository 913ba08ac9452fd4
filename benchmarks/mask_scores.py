"""What scores of masks are worth to boxes: masks of real drives, some of them made bad, with low scores.

    python -m benchmarks.mask_scores --data DIR [--frames 80] [--shares 0.15 0.35] [--seeds 1 2 3]

DIR is as for `benchmarks.real_drives`. A share of the masks of cars loses a side, is 15 % thicker or 12 % thinner, or
is shifted; these have scores of 0.2 to 0.55, the others 0.8 to 1. Each drive is labelled by `vsrd-ray label` from one
COCO file with these scores, and from the same file without any.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from click.testing import CliRunner

from benchmarks.box_scores import Scores, Truths, concatenate, score, truths_of
from benchmarks.boxes import mean, print_row, share
from benchmarks.cost_and_quality import use_one_thread
from benchmarks.real_drives import DATA, drives_under, mask_file, pose_file
from vsrd_ray.cli import main as vsrd_ray
from vsrd_ray.data.drive import MASKS
from vsrd_ray.data.given import Given
from vsrd_ray.data.masks import encode_rle, mask_box
from vsrd_ray.data.truth import BOXES
from vsrd_ray.datasets.base import open_drive
from vsrd_ray.labels.boxes.parquet import read_labels
from vsrd_ray.runs.folder import RunFolder, read_index

_CAR = 1  # COCO category of the file
_LOST, _THICKER, _THINNER, _SHIFTED = (0.4, 0.7), 0.15, 0.12, 0.15  # shares of a mask's sides
_LEAST = 30  # px, below which a mask stays as it is
COLUMNS = ("drive", "bad masks", "seed", "scores", "cars", "n", "IoU3D", "> .5", "> .7")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="root of the dataset (%(default)s)")
    parser.add_argument("--frames", type=int, default=80)
    parser.add_argument("--shares", type=float, nargs="+", default=[0.15, 0.35])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    options = parser.parse_args()
    use_one_thread()
    print_row(COLUMNS, is_header=True)
    for part in options.shares:
        every: dict[bool, list[Scores]] = {False: [], True: []}
        for name in drives_under(options.data):
            for seed in options.seeds:
                content = masks_of(options.data, name, options.frames, part, np.random.default_rng(seed))
                for with_scores, found in every.items():
                    found.append(measure(options.data, name, options.frames, content, with_scores))
                    print_scores((name, f"{part:.0%}", str(seed)), with_scores, found[-1])
        for with_scores, found in every.items():
            print_scores(("all drives", f"{part:.0%}", "all"), with_scores, concatenate(found))


def masks_of(data: Path, name: str, count: int, part: float, rng: np.random.Generator) -> dict[str, Any]:
    """COCO's dataset of the first frames of a drive, with scores."""
    drive = open_drive(data, name, given=Given(mask_file(data, name), pose_file=pose_file(data, name)))
    first, images, annotations = drive.classes.first_id("car"), [], []
    for frame in [frame for frame in drive.mask_frames if frame < count]:
        instance_map = drive.read(MASKS, drive.camera.name, frame)
        height, width = instance_map.shape
        images.append({"id": frame, "file_name": f"{frame:010d}.png", "height": height, "width": width})
        for one in np.unique(instance_map[instance_map // 1000 == first // 1000]).tolist():
            mask, is_bad = instance_map == one, rng.random() < part
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": frame,
                    "category_id": _CAR,
                    "track_id": one % 1000,
                    "segmentation": encode_rle(worse(mask, rng) if is_bad else mask),
                    "score": rng.uniform(0.2, 0.55) if is_bad else rng.uniform(0.8, 1),
                }
            )
    return {"images": images, "annotations": annotations, "categories": [{"id": _CAR, "name": "car"}]}


def worse(
    mask: np.ndarray,  # [H, W] bool
    rng: np.random.Generator,
) -> np.ndarray:
    """A bad mask [H, W] bool of an object."""
    left, top, right, bottom = mask_box(mask) or (0, 0, 0, 0)
    width, height = right - left + 1, bottom - top + 1
    pixels, kind = mask.astype(np.uint8), rng.integers(4)
    if kind == 0:
        at = left + round(width * rng.uniform(*_LOST))
        pixels[:, slice(at, None) if rng.random() < 0.5 else slice(None, left + right - at)] = 0
    elif kind == 1:
        pixels = cv2.dilate(pixels, _square(_THICKER * min(width, height)))
    elif kind == 2:
        pixels = cv2.erode(pixels, _square(_THINNER * min(width, height)))
    else:
        by = np.rint(rng.normal(0, _SHIFTED, 2) * [width, height]).astype(int)
        pixels = np.roll(pixels, by[::-1], axis=(0, 1))
    return pixels > 0 if pixels.sum() >= _LEAST else mask


def _square(radius: float) -> np.ndarray:
    return np.ones((2 * max(int(radius), 1) + 1,) * 2, dtype=np.uint8)


def measure(data: Path, name: str, count: int, content: dict[str, Any], with_scores: bool) -> Scores:
    """Label the frames by the command, with scores or without, and judge the boxes."""
    kept = [one if with_scores else {**one, "score": 1.0} for one in content["annotations"]]
    with tempfile.TemporaryDirectory() as folder:
        masks, output = Path(folder) / "masks.json", Path(folder) / "labels"
        masks.write_text(json.dumps({**content, "annotations": kept}))
        options = ["--root", data, "--sequence", name, "--masks", masks, "--poses", pose_file(data, name)]
        result = CliRunner().invoke(
            vsrd_ray, ["label", "--serial", *map(str, options), "--classes", "car", "--output", str(output)]
        )
        if result.exit_code:
            raise RuntimeError(f"vsrd-ray label of {name} ended with {result.exit_code}: {result.output}")
        drive = RunFolder(output, data).drive(name)
        truths = truths_of(drive.truth(BOXES), read_index(output, name), drive)
        truths = Truths(*(values[truths.frames < count] for values in vars(truths).values()))
        return score(truths, read_labels(output, sequence=name))


def print_scores(place: tuple[str, ...], with_scores: bool, scores: Scores) -> None:
    for kind, chosen in (("parked", ~scores.is_moving), ("moving", scores.is_moving)):
        one = scores.where(chosen).by_mask
        row = (
            *place,
            "yes" if with_scores else "no",
            kind,
            str(len(one)),
            mean(one),
            share(one > 0.5),
            share(one > 0.7),
        )
        print_row(row)


if __name__ == "__main__":
    main()
