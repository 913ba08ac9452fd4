"""Ground truth as datasets give it. Evaluation and pictures read it; nothing that labels does.

Shapes: N boxes, R rows, X x Y x Z voxels.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from vsrd_ray.data.lookup import instance_keys, positions
from vsrd_ray.geometry.boxes import UprightBoxes
from vsrd_ray.storage import Location

BOXES = "boxes"  # the kind of label that true boxes are of
STATIC = -1  # timestamp of a box that holds for every frame


@dataclass(frozen=True)
class TruthBoxes:
    """The upright boxes of a sequence."""

    instance_ids: np.ndarray  # [N] int32, semantic id * 1000 + instance id, numbered as in the masks
    class_names: tuple[str, ...]  # [N]
    boxes: UprightBoxes  # [N], in the world; yaws are in [-pi, pi)
    timestamps: np.ndarray  # [N] int32, frame, or STATIC
    skipped: Mapping[str, int] = field(default_factory=dict[str, int])  # other objects: their number by reason

    @property
    def num_skipped(self) -> int:
        """Objects that are no upright box, of no class that masks have, or in the place of which others count."""
        return sum(self.skipped.values())

    def in_frame(self, frame: int) -> np.ndarray:
        """Which boxes [N] bool hold for a frame: its own, and the static ones of other instances."""
        is_own = self.timestamps == frame
        return is_own | ((self.timestamps == STATIC) & ~np.isin(self.instance_ids, self.instance_ids[is_own]))

    def find(
        self,
        instance_ids: np.ndarray,  # [R]
        frames: np.ndarray,  # [R]
    ) -> np.ndarray:
        """Position [R] of each instance's box in a frame: that frame's own, else the static one, else -1."""
        keys = instance_keys(self.instance_ids, self.timestamps)
        own, static = (positions(keys, instance_keys(instance_ids, times)) for times in (frames, STATIC))
        return np.where(own >= 0, own, static)


@dataclass(frozen=True)
class TrueVoxels:
    """What truly fills a grid."""

    semantics: np.ndarray  # [X, Y, Z] uint8, numbers of `classes`
    mask_camera: np.ndarray  # [X, Y, Z] bool, seen by cameras
    mask_lidar: np.ndarray  # [X, Y, Z] bool, seen by the LiDAR
    range: np.ndarray  # [6] m
    voxel_size: float  # m
    T_world_grid: np.ndarray | None = None  # [4, 4]; None where the dataset does not say where its grid lies
    classes: str | None = None  # class table, 255 unknown; None: class numbers of the dataset, 0 free


@dataclass(frozen=True)
class TruthVoxels:
    """True voxels of some frames, each in a file that is read when it is asked for."""

    files: Mapping[int, Location]  # frame -> file
    read: Callable[[Location], TrueVoxels]  # raises UnreadableFrameError or InputError

    @property
    def frames(self) -> tuple[int, ...]:
        """Frames, ascending, that have voxels."""
        return tuple(sorted(self.files))

    def voxels(self, frame: int) -> TrueVoxels:
        """The voxels of a frame.

        Raises:
            UnreadableFrameError: a file is truncated or corrupt.
            InputError: it holds something else.
        """
        return self.read(self.files[frame])
