"""Do labels train a detector? python examples/train_detector/train.py FOLDER [--streets 6] [--steps 600]

Built-in streets are made in FOLDER and labelled. One monocular 3D detector after the other is trained, from the same
random weights and with the same batches: on true boxes, on all labels, on those of a confidence of at least 0.9, and on
those below it. Each then looks at streets that none of them has seen, single images and no more, and is held against
their true boxes: average precision by distance of centres from above, as nuScenes has it.

The detector is CenterNet's form (Zhou et al., Objects as Points, section 4) on a small ResNet of transformers: heat of
the projected centre, its place within a cell, depth, sizes, and the heading as the camera sees it.
Shapes: B images, H x W pixels, h x w cells of 4 pixels, N boxes.
"""

import argparse
import random
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - its usual name
from transformers import ResNetBackbone, ResNetConfig

import vsrd_ray
from vsrd_ray.cli import main as command
from vsrd_ray.synthetic import StreetSettings, synthesize

CELL = 4  # pixels
SIZE = (352, 96)  # width and height of images, pixels
BATCH = 8
UNSEEN = (91, 92)  # seeds of the streets that judge
SETS = ("true boxes", "all labels", "labels from 0.9", "labels below 0.9")
SURE = 0.9
FARTHEST, JUDGED = 40.0, 25.0  # metres ahead, of boxes that are learned, and of true boxes that count
MEAN_LWH = (4.4, 1.8, 1.6)  # metres
DISTANCES = (1.0, 2.0)  # metres between centres from above, up to which a box is found


@dataclass(frozen=True)
class Boxes:
    """Boxes of one image in its camera."""

    centers: np.ndarray  # [N, 3] metres
    sizes: np.ndarray  # [N, 3] length, width, height, metres
    alphas: np.ndarray  # [N] radians, KITTI's
    scores: np.ndarray  # [N]


@dataclass(frozen=True)
class Shot:
    """One image with its boxes by the set that they are of."""

    image: np.ndarray  # [H, W, 3] uint8
    K: np.ndarray  # [3, 3] pixels
    boxes: dict[str, Boxes]


def make_street(folder: Path, seed: int, frames: int, *, labelled: bool) -> list[Shot]:
    """A street with its true boxes and, where asked for, its labels."""
    root, output = folder / f"street{seed}", folder / f"labels{seed}"
    settings = StreetSettings(seed=seed, frames=frames, cars=12, moving=2, image_size=SIZE)
    if not root.exists():
        synthesize(root, settings)
    drive = vsrd_ray.open_sequence(root, settings.sequence)
    truth, camera = folder / f"truth{seed}", drive.camera
    if not truth.exists():
        run("convert", "--truth", "--root", root, "--sequence", settings.sequence, "--to", truth)
    if labelled:
        run("label", "--serial", "--root", root, "--sequence", settings.sequence, "--output", output)
    shots = []
    for frame in sorted(camera.T_world_cam):
        image = cv2.imread(str(root / "data_2d_raw" / drive.name / camera.name / "data_rect" / f"{frame:010d}.png"))
        boxes = {"true boxes": read_boxes(truth, drive.name, camera.name, frame)}
        if labelled:
            found = read_boxes(output / "kitti", drive.name, camera.name, frame)
            boxes["all labels"] = found
            boxes["labels from 0.9"] = some(found, found.scores >= SURE)
            boxes["labels below 0.9"] = some(found, found.scores < SURE)
        shots.append(Shot(image, camera.K, boxes))
    return shots


def run(*words: object) -> None:
    """A command of vsrd-ray."""
    command([str(word) for word in words], standalone_mode=False)


def read_boxes(folder: Path, drive: str, camera: str, frame: int) -> Boxes:
    """The boxes of a frame from KITTI's text."""
    path = folder / drive / camera / "label_2" / f"{frame:010d}.txt"
    lines = path.read_text().splitlines() if path.exists() else []
    rows = np.array([[*line.split()[1:], "1"][:15] for line in lines], dtype=float).reshape(
        -1, 15
    )  # truth has no score
    centers = rows[:, 10:13] - [0, 0.5, 0] * rows[:, 7:8]
    return Boxes(centers, rows[:, [9, 8, 7]], rows[:, 2], rows[:, 14])


def some(boxes: Boxes, kept: np.ndarray) -> Boxes:
    """Those boxes that are kept."""
    return Boxes(boxes.centers[kept], boxes.sizes[kept], boxes.alphas[kept], boxes.scores[kept])


class Detector(nn.Module):
    """Heat of centres [B, 1, h, w] before the sigmoid, and what stands there [B, 8, h, w]."""

    def __init__(self) -> None:
        super().__init__()
        config = ResNetConfig(
            embedding_size=24, hidden_sizes=[24, 48, 96], depths=[2, 2, 2], layer_type="basic",
            out_features=["stage1", "stage2", "stage3"],
        )  # fmt: skip
        self.backbone = ResNetBackbone(config)
        self.narrow = nn.ModuleList(nn.Conv2d(channels, 48, 1) for channels in config.hidden_sizes)
        self.heat, self.rest = (
            nn.Sequential(nn.Conv2d(48, 48, 3, padding=1), nn.ReLU(), nn.Conv2d(48, channels, 1)) for channels in (1, 8)
        )
        nn.init.constant_(self.heat[-1].bias, -3.0)  # pyright: ignore[reportArgumentType] - a tensor

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Both maps of images [B, 3, H, W]."""
        maps = [layer(one) for layer, one in zip(self.narrow, self.backbone(images).feature_maps, strict=True)]
        size = maps[0].shape[-2:]
        joint = sum(F.interpolate(one, size=size, mode="bilinear", align_corners=False) for one in maps)
        return self.heat(joint), self.rest(joint)


def as_tensor(images: list[np.ndarray]) -> torch.Tensor:
    """[B, 3, H, W] about zero."""
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 64 - 2


def flipped(shot: Shot) -> Shot:
    """The image and its boxes in a mirror; the principal point moves with them."""
    K = shot.K.copy()
    K[0, 2] = SIZE[0] - 1 - K[0, 2]
    boxes = {
        name: Boxes(one.centers * [-1, 1, 1], one.sizes, np.pi - one.alphas, one.scores)
        for name, one in shot.boxes.items()
    }
    return Shot(np.ascontiguousarray(shot.image[:, ::-1]), K, boxes)


def targets(shot: Shot, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Heat [h, w], what stands in each cell [8, h, w], and whether a centre does [h, w]."""
    width, height = SIZE[0] // CELL, SIZE[1] // CELL
    heat, rest, is_center = np.zeros((height, width)), np.zeros((8, height, width)), np.zeros((height, width), bool)
    rows, columns = np.mgrid[:height, :width]
    boxes = shot.boxes[name]
    for place in np.argsort(-boxes.centers[:, 2]):  # near ones over far ones
        x, y, z = boxes.centers[place]
        if z < 2 or z > FARTHEST:
            continue
        u, v = ((shot.K[:2, :2] @ [x / z, y / z]) + shot.K[:2, 2] + 0.5) / CELL
        column, row = int(np.floor(u)), int(np.floor(v))
        if 0 <= column < width and 0 <= row < height:
            radius = max(0.8, shot.K[0, 0] * boxes.sizes[place, 2] / z / CELL / 4)
            np.maximum(heat, np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * radius**2)), out=heat)
            sizes = np.log(boxes.sizes[place] / MEAN_LWH)
            turn = np.sin(boxes.alphas[place]), np.cos(boxes.alphas[place])
            rest[:, row, column] = [u - column, v - row, np.log(z / shot.K[0, 0] * 10), *sizes, *turn]
            is_center[row, column] = True
    return heat, rest, is_center


def train(shots: list[Shot], name: str, steps: int) -> Detector:
    """A detector from one set of boxes."""
    torch.manual_seed(0)
    order = random.Random(0)
    detector = Detector().train()
    optimiser = torch.optim.AdamW(detector.parameters(), lr=2e-3, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=steps)
    for _ in range(steps):
        batch = [flipped(one) if order.random() < 0.5 else one for one in order.choices(shots, k=BATCH)]
        wanted = (
            torch.from_numpy(np.stack(one)).float() for one in zip(*(targets(one, name) for one in batch), strict=True)
        )
        heat, rest, is_center = wanted
        found_heat, found = detector(as_tensor([one.image for one in batch]))
        # focal loss as CenterNet has it (equation 1)
        chance = torch.sigmoid(found_heat[:, 0]).clamp(1e-4, 1 - 1e-4)
        count = is_center.sum().clamp(min=1)
        hit = is_center * (1 - chance) ** 2 * chance.log()
        miss = (1 - is_center) * (1 - heat) ** 4 * chance**2 * (1 - chance).log()
        error = (found - rest).abs() * is_center[:, None]
        weights = torch.tensor([0.5, 0.5, 4.0, 1.0, 1.0, 1.0, 0.5, 0.5])[:, None, None]
        loss = (-(hit + miss).sum() + (weights * error).sum()) / count
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return detector.eval()


@torch.no_grad()
def detect(detector: Detector, shot: Shot, most: int = 30) -> Boxes:
    """What the detector finds in an image: peaks of the heat."""
    heat, rest = detector(as_tensor([shot.image]))
    heat = torch.sigmoid(heat)
    heat = (heat * (F.max_pool2d(heat, 3, 1, 1) == heat))[0, 0]
    scores, places = heat.flatten().topk(most)
    rows, columns = (places // heat.shape[1]).numpy(), (places % heat.shape[1]).numpy()
    found = rest[0][:, rows, columns].numpy()
    z = np.exp(found[2]) * shot.K[0, 0] / 10
    uv = np.stack([columns + found[0], rows + found[1]]) * CELL - 0.5
    x, y = (uv - shot.K[:2, 2:]) / shot.K[[0, 1], [0, 1]][:, None] * z
    sizes = np.exp(found[3:6].T) * MEAN_LWH
    return Boxes(np.stack([x, y, z], axis=1), sizes, np.arctan2(found[6], found[7]), scores.numpy())


def average_precision(found: list[Boxes], true: list[Boxes], limit: float) -> float:
    """Area under precision over recall, in %; a detection is right if its centre is near one that no better one has."""
    ranked = sorted(
        ((score, image, place) for image, one in enumerate(found) for place, score in enumerate(one.scores)),
        reverse=True,
    )
    taken = [np.zeros(len(one.centers), dtype=bool) for one in true]
    right = []
    for _, image, place in ranked:
        gaps = np.hypot(*(true[image].centers - found[image].centers[place])[:, [0, 2]].T)
        gaps[taken[image]] = np.inf
        is_right = gaps.size > 0 and gaps.min() < limit
        if is_right:
            taken[image][gaps.argmin()] = True
        right.append(is_right)
    hits = np.cumsum(right)
    precision = np.maximum.accumulate((hits / np.arange(1, len(hits) + 1))[::-1])[::-1]
    return 100 * float(precision[np.array(right)].sum() / max(sum(map(len, taken)), 1))


def main() -> None:
    """Make streets, train, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--streets", type=int, default=6, help="to train on (%(default)s)")
    parser.add_argument("--frames", type=int, default=40, help="of each street (%(default)s)")
    parser.add_argument("--steps", type=int, default=600, help="of training (%(default)s)")
    options = parser.parse_args()
    seen = [
        shot
        for seed in range(11, 11 + options.streets)
        for shot in make_street(options.folder, seed, options.frames, labelled=True)
    ]
    unseen = [shot for seed in UNSEEN for shot in make_street(options.folder, seed, options.frames, labelled=False)]
    true = [some(one, one.centers[:, 2] < JUDGED) for one in (shot.boxes["true boxes"] for shot in unseen)]
    print(
        f"{len(seen)} images to train on, {len(unseen)} unseen ones with {sum(len(one.scores) for one in true)} boxes"
    )
    print(f"{'trained on':20} {'boxes':>6}" + "".join(f" {f'AP at {limit:g} m':>10}" for limit in DISTANCES))
    for name in SETS:
        count = sum(len(shot.boxes[name].scores) for shot in seen)
        detector = train(seen, name, options.steps)
        found = [detect(detector, shot) for shot in unseen]
        found = [some(one, one.centers[:, 2] < JUDGED) for one in found]
        figures = (average_precision(found, true, limit) for limit in DISTANCES)
        print(f"{name:20} {count:6}" + "".join(f" {figure:10.1f}" for figure in figures), flush=True)


if __name__ == "__main__":
    main()
