"""A drive along a painted wall, whose images can be computed exactly; and tiny networks to learn it."""

from functools import partial

import cv2
import numpy as np
import torch

from vsrd_ray.datasets.kitti360 import drives, paths
from vsrd_ray.labelers.density.training import TRAINABLES
from vsrd_ray.settings import validated
from vsrd_ray.training.checkpoints import newest_checkpoint
from vsrd_ray.training.loop import TrainingJob, train
from vsrd_ray.training.pieces import PieceStore, make_piece
from vsrd_ray.training.sums import Alone

DRIVE = "2013_05_28_drive_0000_sync"
WIDTH, HEIGHT = 64, 40
FOCAL, BASELINE, WALL_Z = 32.0, 0.6, 8.0  # px, m, m from the first camera
TINY = {
    "network": {
        "backbone": "resnet18",
        "width": 8,
        "norm": "group",
        "decoder_channels": (8, 8, 8, 8, 8),
        "num_features": 8,
        "teacher_hidden": 16,
        "teacher_fused": 8,
        "student_hidden": 16,
    },
    "groups": {"image_size": (WIDTH, HEIGHT), "held_out": 0.34, "held_out_block": 1},
    "rendering": {"patches": 4, "samples": 16, "encoded_views": 2},
    "losses": {"field_points": 512},
    "optimisation": {"steps": 6, "batch_size": 2, "learning_rate": 0.003},
    "watching": {"note_every": 1, "checkpoint_every": 3, "validate_every": 6, "validation_samples": 2, "pictures": 1},
}


def paint(x, y):
    """Colours [..., 3] of the wall at metres (x, y)."""
    return 0.5 + 0.5 * np.stack([np.sin(1.7 * x + 0.4 * y), np.sin(2.3 * y - x), np.cos(1.1 * x + 1.9 * y)], axis=-1)


def pose_at(y):
    """`T_world_cam` [4, 4] of a camera that looks along the world's y, which is z up, at y metres."""
    return np.array([[1.0, 0, 0, 0], [0, 0, 1, y], [0, -1, 0, 0], [0, 0, 0, 1]])


def write_wall(root, *, num_frames=4):
    """A KITTI-360 folder of two cameras that drive towards the wall, 0.2 m a frame."""
    calibration = "".join(
        f"S_rect_0{n}: {WIDTH} {HEIGHT}\nP_rect_0{n}: {FOCAL} 0 {WIDTH / 2 - 0.5} {-FOCAL * BASELINE * n} "
        f"0 {FOCAL} {HEIGHT / 2 - 0.5} 0 0 0 1 0\n"
        for n in (0, 1)
    )
    lines = []
    v, u = np.mgrid[:HEIGHT, :WIDTH]
    for frame in range(num_frames):
        pose = pose_at(0.2 * frame)
        lines.append(f"{frame} {' '.join(map(repr, pose.ravel().tolist()))}\n")
        for number, camera in enumerate(paths.IMAGE_CAMERAS):
            z = WALL_Z - 0.2 * frame
            x = (u - WIDTH / 2 + 0.5) * z / FOCAL + BASELINE * number
            colors = paint(x, (v - HEIGHT / 2 + 0.5) * z / FOCAL)
            file = paths.image_file(root, DRIVE, camera, frame)
            file.parent.mkdir(parents=True, exist_ok=True)
            assert cv2.imwrite(str(file), np.rint(255 * colors[..., ::-1]).astype(np.uint8))
    for path, text in (
        (paths.calibration_file(root), calibration),
        (paths.poses_file(root, DRIVE), "".join(lines)),
    ):
        path.parent.mkdir(parents=True)
        path.write_text(text)
    return root


def open_wall(root):
    return drives.open_drive(root, DRIVE, paths.IMAGE_CAMERAS)


def settings_of(name, changes=None):
    """Tiny settings of a trainable, with some sections changed."""
    spec = next(one for one in TRAINABLES if one.name == name)
    values = {**TINY, "trainable": name}
    for section, change in (changes or {}).items():
        values[section] = {**values.get(section, {}), **change} if isinstance(change, dict) else change
    return spec, validated(spec.settings, values, source="test")


def job_of(name, drive, run, *, changes=None, teacher=None, init=None):
    """A job whose pieces are made."""
    spec, settings = settings_of(name, changes)
    run.mkdir(parents=True, exist_ok=True)
    (run / "training.json").write_text("{}")
    store = PieceStore(run.parent / "cache")
    store.folder.mkdir(exist_ok=True)
    trainable = spec.build(settings)
    for piece in store.missing(trainable.pieces([drive])):
        make_piece(trainable, piece, store)
    job = partial(TrainingJob, settings=settings, build=spec.build, drives=(drive,), val_drives=(), run=run)
    return job(store=store, device="cpu", teacher=teacher, init=init)


def run_job(job):
    """Train; the newest checkpoint."""
    train(job, Alone(), device=torch.device("cpu"))
    return newest_checkpoint(job.run)
