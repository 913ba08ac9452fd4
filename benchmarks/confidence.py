"""Make the weights of the confidence, and say how well it tells good boxes from bad ones.

    python -m benchmarks.confidence                  built-in streets 101 to 108; the last two are held out

Nearly every box of a whole drive is good, so streets are also driven in parts: few frames show far cars, few views and
little parallax. Half of the streets have cars that drive, whose boxes are all counted as bad. Prints the weights of
vsrd_ray/labelers/vsrd/confidence.py, and the area under the ROC curve and a reliability table over the streets that the
weights were not made on.
"""

import argparse
import multiprocessing
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from scipy.optimize import minimize

from vsrd_ray.data.groups import FrameGroup, GroupTasks
from vsrd_ray.data.index import all_frames, index_frames
from vsrd_ray.data.truth import STATIC, TruthBoxes
from vsrd_ray.datasets.base import open_drive
from vsrd_ray.datasets.kitti360.boxes import read_boxes
from vsrd_ray.labelers.configs import load_config
from vsrd_ray.labelers.vsrd.confidence import confidence_features
from vsrd_ray.labelers.vsrd.labeler import VSRDLabeler
from vsrd_ray.labelers.vsrd.scene import plan_scene
from vsrd_ray.labels.boxes.evaluation.confidence import GOOD_IOU, reliability_by_tenths, roc_area
from vsrd_ray.synthetic import StreetSettings, synthesize

FRAMES = 60
PARTS = (4, 8, 15, 30, FRAMES)  # frames of a drive; each but the last at two places
RIDGE = 1.0  # penalty on squared weights


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(101, 109)))
    parser.add_argument("--held-out", type=int, default=2, help="streets at the end of the list to judge by")
    options = parser.parse_args()
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        streets = pool.map(measure, options.seeds, chunksize=1)
    made, held_out = (
        tuple(np.concatenate(columns) for columns in zip(*part, strict=True))
        for part in (streets[: -options.held_out], streets[-options.held_out :])
    )
    weights = regress(*made)
    print(f"WEIGHTS = ({', '.join(f'{weight:.2f}' for weight in weights)})   from {len(made[1])} boxes")
    features, is_good = held_out
    report(predict(weights, features), is_good)


def measure(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Features [B, F] of the boxes of one street, and whether each is good [B] bool."""
    torch.set_num_threads(1)
    config = load_config("fast")
    labeler = VSRDLabeler(config)
    labeler.setup()
    features, is_good = [], []
    with tempfile.TemporaryDirectory() as folder:
        settings = StreetSettings(seed=seed, frames=FRAMES, cars=(12, 20, 28)[seed % 3], moving=3 * (seed % 2))
        synthesize(Path(folder), settings)
        truth = read_boxes(Path(folder), settings.sequence)
        for group in partial_groups(Path(folder), settings.sequence, np.random.default_rng(seed)):
            prepared = labeler.prepare(group)
            bodies = labeler.bodies(prepared)
            fits = labeler.label_bodies(prepared, bodies, seed=config.seed)
            rows = [group.plan.instance_ids.index(fit.instance_id) for fit in fits]
            features.append(confidence_features(bodies.fit)[rows].numpy())
            is_good.append(np.array([overlap(fit, truth) > GOOD_IOU for fit in fits]))
    return np.concatenate(features), np.concatenate(is_good)


def partial_groups(root: Path, name: str, rng: np.random.Generator) -> Iterator[FrameGroup]:
    """The windows of parts of a drive."""
    sequence = open_drive(root, name)
    index = index_frames(sequence, all_frames(sequence))
    settings = load_config("fast").grouping
    for length in PARTS:
        for _ in range(2 if length < FRAMES else 1):
            first = int(rng.integers(0, FRAMES - length + 1))
            part = index.filter(pc.field("frame").isin(pa.array(range(first, first + length), pa.int32())))
            tasks = GroupTasks(sequence, part)
            for plan in plan_scene(
                part, sequence=name, camera=sequence.camera.name, settings=settings, classes=("car",)
            ):
                yield tasks.task(plan).group()


def overlap(fit, truth: TruthBoxes) -> float:
    """IoU3D of a fit and the true box of its instance; 0 if that moves."""
    box = int(np.flatnonzero(truth.instance_ids == fit.instance_id)[0])
    if truth.timestamps[box] != STATIC:
        return 0.0
    return float(fit.box.iou(truth.boxes[box])[0])


def regress(features: np.ndarray, is_good: np.ndarray) -> np.ndarray:
    """Weights [1 + F] of a constant and the features, by logistic regression."""
    columns = np.column_stack([np.ones(len(features)), features])

    def loss(weights: np.ndarray) -> float:
        logits = columns @ weights
        return float((np.logaddexp(0, logits) - is_good * logits).sum() + RIDGE / 2 * (weights[1:] ** 2).sum())

    return minimize(loss, np.zeros(columns.shape[1])).x


def predict(weights: np.ndarray, features: np.ndarray) -> np.ndarray:
    """Confidences [B]."""
    return 1 / (1 + np.exp(-(weights[0] + features @ weights[1:])))


def report(confidences: np.ndarray, is_good: np.ndarray) -> None:
    """Area under the ROC curve, and how often boxes of about one confidence are good."""
    area = roc_area(confidences, is_good)
    print(f"held out: {len(is_good)} boxes, {is_good.mean():.0%} good, AUC {area:.3f}")
    print(f"{'confidence':12}{'boxes':>7}{'mean':>7}{'good':>7}")
    for tenth in reliability_by_tenths(confidences, is_good):
        line = f"{tenth.low:.1f} - {tenth.high:.1f}".ljust(12)
        print(f"{line}{tenth.count:>7}{tenth.mean_confidence:>7.2f}{tenth.share_good:>7.2f}")


if __name__ == "__main__":
    main()
