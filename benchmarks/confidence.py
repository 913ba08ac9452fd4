"""Make the weights of the confidence, and say how well it tells good boxes from bad ones.

    python -m benchmarks.confidence                  built-in streets 101 to 108; the last two are held out

Nearly every box of a whole drive is good, so streets are also driven in parts: few frames show far cars, few views and
little parallax. All streets have cars that drive. The box of one that is fitted as it moves is good if its IoU is so in
the mean over its frames; that of one which is taken for standing is bad. Prints both weights of
vsrd_ray/labelers/vsrd/confidence.py, of what stands and of what moves, and for each the area under the ROC curve and a
reliability table over the streets that the weights were not made on.
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
from vsrd_ray.labels.boxes.fits import BoxFit
from vsrd_ray.synthetic import StreetSettings, synthesize

FRAMES = 60
MOVING = 6  # cars that drive, on each street
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
    for name, moves in (("WEIGHTS", False), ("MOVING_WEIGHTS", True)):
        features, is_good = (values[made[2] == moves] for values in made[:2])
        weights = regress(features, is_good)
        print(f"{name} = ({', '.join(f'{weight:.2f}' for weight in weights)})   from {len(is_good)} boxes")
        features, is_good = (values[held_out[2] == moves] for values in held_out[:2])
        report(predict(weights, features), is_good)


def measure(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features [B, F] of the boxes of one street, and whether each is good [B] bool and is fitted as it moves."""
    torch.set_num_threads(1)
    config = load_config("fast")
    labeler = VSRDLabeler(config)
    labeler.setup()
    features, is_good, moves = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        settings = StreetSettings(seed=seed, frames=FRAMES, cars=(12, 20, 28)[seed % 3], moving=MOVING)
        synthesize(Path(folder), settings)
        truth = read_boxes(Path(folder), settings.sequence)
        for group in partial_groups(Path(folder), settings.sequence, np.random.default_rng(seed)):
            prepared = labeler.prepare(group)
            bodies = labeler.bodies(prepared)
            fits = labeler.label_bodies(prepared, bodies, seed=config.seed)
            rows = [group.plan.instance_ids.index(fit.instance_id) for fit in fits]
            features.append(confidence_features(bodies.fit)[rows].numpy())
            is_good.append(np.array([overlap(fit, truth) > GOOD_IOU for fit in fits]))
            moves.append(np.array([fit.motion is not None for fit in fits]))
    return np.concatenate(features), np.concatenate(is_good), np.concatenate(moves)


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


def overlap(fit: BoxFit, truth: TruthBoxes) -> float:
    """IoU3D of a fit and the true boxes of its instance, in the mean over the frames that the fit covers."""
    own = np.flatnonzero(truth.instance_ids == fit.instance_id)
    if fit.motion is None:
        return float(fit.box.iou(truth.boxes[own[0]])[0]) if truth.timestamps[own[0]] == STATIC else 0.0
    boxes = truth.find(np.full(len(fit.motion.frames), fit.instance_id), fit.motion.frames)
    return float(fit.motion.boxes[boxes >= 0].iou(truth.boxes[boxes[boxes >= 0]])[0].mean())


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
