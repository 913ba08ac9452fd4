"""Occ3D-nuScenes' true voxels (Tian et al., NeurIPS 2023), in their own layout below ROOT.

Files are gts/<scene>/<sample token>/labels.npz. Shapes: X x Y x Z voxels.
"""

from collections.abc import Mapping
from io import BytesIO
from zipfile import BadZipFile

import numpy as np

from vsrd_ray.data.truth import TrueVoxels, TruthVoxels
from vsrd_ray.errors import UnreadableFrameError, one_line
from vsrd_ray.storage import Location, folders_in, read_bytes

KIND = "voxels"
_SHAPE, _VOXEL_SIZE = (200, 200, 16), 0.4  # m
_RANGE = (-40.0, -40.0, -1.0, 40.0, 40.0, 5.4)  # m, in the frame of the vehicle


def truth_of_voxels(root: Location, scene: str, sample_tokens: Mapping[int, str]) -> TruthVoxels | None:
    """Occ3D's voxels of a scene's keyframes; None where there are none."""
    folder = root / "gts" / scene
    there = set(folders_in(folder))
    files = {frame: folder / token / "labels.npz" for frame, token in sample_tokens.items() if token in there}
    return TruthVoxels(files, read_voxels) if files else None


def read_voxels(path: Location) -> TrueVoxels:
    """True voxels of a file.

    Raises:
        UnreadableFrameError: it is truncated or corrupt, or holds something else.
    """
    try:
        with np.load(BytesIO(read_bytes(path)), allow_pickle=False) as arrays:
            grids = [arrays[name] for name in ("semantics", "mask_camera", "mask_lidar")]
    except (BadZipFile, ValueError, EOFError, KeyError, FileNotFoundError) as error:
        raise UnreadableFrameError(f"{path}: no labels of Occ3D ({one_line(error)}): restore the file") from error
    if any(grid.shape != _SHAPE for grid in grids):
        raise UnreadableFrameError(f"{path}: grids of {grids[0].shape}, expected {_SHAPE}: restore the file")
    semantics, mask_camera, mask_lidar = grids
    masks = mask_camera > 0, mask_lidar > 0
    return TrueVoxels(semantics.astype(np.uint8), *masks, np.array(_RANGE), _VOXEL_SIZE, classes="occ3d")
