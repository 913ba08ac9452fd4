"""The true geometry of the built-in street, of which KITTI-360 has none: depth maps, and what lies in solids.

Shapes: H x W pixels, P points.
"""

from dataclasses import dataclass
from io import BytesIO
from zipfile import BadZipFile

import cv2
import numpy as np

from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.errors import UnreadableFrameError, one_line
from vsrd_ray.geometry import rigid
from vsrd_ray.storage import Location, names_in, read_bytes

_STEPS = 256  # of 16-bit depth, a metre
_HALF = 128  # of 255: a voxel is solid if at least half of it is filled


@dataclass(frozen=True)
class TruthGeometry:
    """Depth of a camera and what is solid, read when they are asked for."""

    folder: Location  # of depth maps
    voxel_folder: Location
    camera: str
    frames: tuple[int, ...]  # ascending, that have a depth map
    voxel_frames: tuple[int, ...]  # ascending, that have voxels

    def depth(self, frame: int) -> np.ndarray:
        """Depth [H, W] float32 along the optical axis, metres; 0 where nothing ends the view.

        Raises:
            UnreadableFrameError: the file cannot be decoded.
        """
        path = self.folder / f"{frame:010d}.png"
        pixels = cv2.imdecode(np.frombuffer(read_bytes(path), np.uint8), cv2.IMREAD_UNCHANGED)
        if pixels is None:
            raise UnreadableFrameError(f"{path}: the pixels cannot be decoded: restore the file")
        return pixels.astype(np.float32) / _STEPS

    def solid(self, frame: int, points_world: np.ndarray) -> np.ndarray:
        """Whether points [P, 3] lie in a voxel that solids fill by half or more, [P] bool; outside the grid not.

        Raises:
            UnreadableFrameError: the file is truncated or corrupt.
        """
        path = self.voxel_folder / f"{frame:010d}.npz"
        try:
            with np.load(BytesIO(read_bytes(path)), allow_pickle=False) as arrays:
                fill, low, size = arrays["fill"], arrays["range"][:3], float(arrays["voxel_size"])
                T_world_grid = arrays["T_world_grid"]
        except (BadZipFile, ValueError, EOFError, KeyError) as error:
            raise UnreadableFrameError(f"{path}: no .npz of voxels ({one_line(error)}): restore the file") from error
        place = np.floor((rigid.apply(rigid.inverse(T_world_grid), points_world) - low) / size).astype(np.int64)
        inside = ((place >= 0) & (place < fill.shape)).all(axis=1)
        found = np.zeros(len(place), dtype=bool)
        found[inside] = fill[tuple(place[inside].T)] >= _HALF
        return found


def truth_of_geometry(root: Location, name: str, camera: str) -> TruthGeometry | None:
    """The true geometry of a drive; None where nothing tells, as in KITTI-360's own drives."""
    folder, voxel_folder = root / "data_2d_depth" / name / camera, root / "data_3d_occupancy" / name
    frames = paths.frames_among(names_in(folder), suffix=".png")
    voxels = paths.frames_among(names_in(voxel_folder), suffix=".npz")
    return TruthGeometry(folder, voxel_folder, camera, tuple(frames), tuple(voxels)) if frames else None
