"""Groups of posed images around key frames, as density networks are trained on.

Shapes: V views, H x W pixels. A group is [key camera t, t + offset …, next camera t, …]; view 0 is the key view.
Cameras that look to the sides follow, at frames of their own: what the others see now, these see later.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from vsrd_ray.data.drive import IMAGES, Camera, Drive
from vsrd_ray.datasets.base import dataset_named, side_cameras
from vsrd_ray.errors import InputError
from vsrd_ray.geometry.rigid import inverse
from vsrd_ray.labelers.density.networks.splits import KeyFrame, read_split
from vsrd_ray.labelers.density.training import DensityTraining
from vsrd_ray.rendering.images import normalised_intrinsics
from vsrd_ray.training.base import Part, Piece, Sample, held_out
from vsrd_ray.training.draws import Draws
from vsrd_ray.training.pieces import PieceStore, image_piece


@dataclass(frozen=True)
class GroupView:
    """A view of a group."""

    camera: str
    frame: int
    piece: str  # name of its image
    T_world_cam: np.ndarray  # [4, 4]
    K_norm: np.ndarray  # [3, 3]


@dataclass(frozen=True)
class Group:
    """The views of a key frame, the key view first."""

    drive: str
    views: tuple[GroupView, ...]

    @property
    def id(self) -> str:
        """The name of the drive, the camera and the frame."""
        return f"{self.drive}-{self.views[0].camera}-{self.views[0].frame:010d}"


@dataclass(frozen=True)
class GroupSamples:
    """Samples by number; see `vsrd_ray.training.base.Samples`."""

    groups: Sequence[Group]
    store: PieceStore

    @property
    def ids(self) -> Sequence[str]:
        """One for each group."""
        return [group.id for group in self.groups]

    def read(self, index: int, draws: Draws) -> Sample:
        """A group.

        `images` [V, 3, H, W] uint8 RGB, `T_key_cam` [V, 4, 4] and `K_norm` [V, 3, 3] float32, `T_world_key` [4, 4]
        float64, and `key`: the names of its drive and frame.
        """
        del draws  # nothing is drawn on the CPU
        group = self.groups[index]
        images = np.stack([self.store.read(view.piece)[..., ::-1] for view in group.views])
        T_world_key = group.views[0].T_world_cam
        T_key_cam = np.stack([inverse(T_world_key) @ view.T_world_cam for view in group.views])
        return {
            "images": torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))),
            "T_key_cam": torch.from_numpy(T_key_cam).float(),
            "K_norm": torch.from_numpy(np.stack([view.K_norm for view in group.views])).float(),
            "T_world_key": torch.from_numpy(T_world_key),
            "key": (group.drive, group.views[0].frame),
        }


def pieces_of(drives: Sequence[Drive], settings: DensityTraining) -> list[Piece]:
    """The images of all frames that have a pose, resized."""
    size = settings.groups.image_size
    return [
        image_piece(drive, name, frame, size=size)
        for drive in drives
        for name, camera in drive.cameras.items()
        for frame in _frames(drive, camera)
    ]


def groups_of(drives: Sequence[Drive], part: Part, settings: DensityTraining) -> list[Group]:
    """The groups of a part: those of the key frames that a file lists, or of every frame of every camera.

    Raises:
        InputError: a file of key frames that names what is not there, or drives with different numbers of cameras.
    """
    listed = settings.groups.validation_key_frames if part == "validation" else settings.groups.key_frames
    found: list[Group] = []
    if listed:
        by_name = {drive.name: drive for drive in drives}
        for key in read_split(Path(listed)):
            if key.drive in by_name:
                found.append(_listed(by_name[key.drive], key, listed, settings))
    else:
        for drive in drives:
            for name in _cameras(drive)[0]:
                places = range(len(_frames(drive, drive.cameras[name])))
                some = held_out(len(places), part, share=settings.groups.held_out, block=settings.groups.held_out_block)
                found += [_group(drive, name, place, settings) for place in some]
    if len({len(group.views) for group in found}) > 1:
        raise InputError("drives with different numbers of cameras cannot be trained on together: name --camera")
    return found


def _listed(drive: Drive, key: KeyFrame, listed: str, settings: DensityTraining) -> Group:
    cameras, _ = _cameras(drive)
    if key.side == "r" and len(cameras) < 2:
        raise InputError(f"{listed}: {drive.name} has no right camera: remove its lines that end with r")
    name = cameras[key.side == "r"]
    count = len(_frames(drive, drive.cameras[name]))
    if key.frame >= count:
        raise InputError(f"{listed}: {drive.name} has {count} frames with image and pose, and none at {key.frame}")
    return _group(drive, name, key.frame, settings)


def _group(drive: Drive, key: str, place: int, settings: DensityTraining) -> Group:
    views: list[GroupView] = []
    target = _frames(drive, drive.cameras[key])[place]
    straight, sides = _cameras(drive)
    if key != straight[0]:
        sides = sides[::-1]  # the key camera's own side comes first
    names = (key, *(other for other in straight if other != key))
    offsets = [(name, settings.groups.offsets) for name in names]
    for name, some in [*offsets, *((name, settings.groups.side_offsets) for name in sides)]:
        camera = drive.cameras[name]
        frames = _frames(drive, camera)
        at = int(np.searchsorted(frames, target))
        for offset in some:
            frame = frames[min(max(at + offset, 0), len(frames) - 1)]
            views.append(_view(drive, camera, frame, settings))
    return Group(drive.name, tuple(views))


def _cameras(drive: Drive) -> tuple[list[str], list[str]]:
    """Names of the cameras that key frames are of, and of those that look to the sides."""
    sides = side_cameras(dataset_named(drive.dataset))
    return [name for name in drive.cameras if name not in sides], [name for name in sides if name in drive.cameras]


def _view(drive: Drive, camera: Camera, frame: int, settings: DensityTraining) -> GroupView:
    K_norm = normalised_intrinsics(
        torch.from_numpy(camera.K), camera.image_size, half_pixel=not settings.quirks.shifted_intrinsics
    )
    piece = image_piece(drive, camera.name, frame, size=settings.groups.image_size)
    return GroupView(camera.name, frame, piece.name, camera.T_world_cam[frame], K_norm.numpy())


def _frames(drive: Drive, camera: Camera) -> list[int]:
    frames = [frame for frame in drive.frames_with(IMAGES, camera.name) if frame in camera.T_world_cam]
    if not frames:
        raise InputError(f"{drive.name}: no frame of {camera.name} has an image and a pose: name other drives")
    return frames
