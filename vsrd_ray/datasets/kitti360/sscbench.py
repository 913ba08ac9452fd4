"""SSCBench-KITTI-360's true voxels, in its own layout below ROOT (Li et al., SSCBench, IROS 2024).

`data_2d_raw/<sequence>/voxels/<frame>.label` (uint16, raw ids, order x y z) and `.invalid` (a byte a voxel), or
`preprocess/labels/<sequence>/<frame>_1_1.npy` (classes, 255 unknown); frames in six digits. Its grid is that of the
LiDAR. Shapes: X x Y x Z voxels.
"""

from io import BytesIO

import numpy as np

from vsrd_ray.data.truth import TrueVoxels, TruthVoxels
from vsrd_ray.errors import InputError, UnreadableFrameError, one_line
from vsrd_ray.storage import Location, names_in, read_bytes

_SHAPE, _VOXEL_SIZE = (256, 256, 32), 0.2  # m
_RANGE = (0.0, -25.6, -2.0, 51.2, 25.6, 4.4)  # m
_UNKNOWN = 255
# Class of each raw id; of moving kinds that of the same thing when it stands.
_CLASSES = {
    1: (10, 252),
    2: (11,),
    3: (15,),
    4: (18, 258),
    5: (13, 16, 20, 256, 257, 259),
    6: (30, 254),
    7: (40, 60),
    8: (44,),
    9: (48,),
    10: (49,),
    11: (50,),
    12: (51,),
    13: (70,),
    14: (72,),
    15: (80,),
    16: (81,),
    17: (52,),
    18: (99,),
}
_OF_RAW = np.full(2**16, _UNKNOWN, dtype=np.uint8)
_OF_RAW[0] = 0
for _class, _ids in _CLASSES.items():
    _OF_RAW[list(_ids)] = _class


def truth_of_voxels(root: Location, sequence: str) -> TruthVoxels | None:
    """SSCBench's voxels of a drive; None where there are none."""
    for folder, suffix in (
        (root / "data_2d_raw" / sequence / "voxels", ".label"),
        (root / "preprocess" / "labels" / sequence, "_1_1.npy"),
    ):
        stems = {name.removesuffix(suffix): name for name in names_in(folder) if name.endswith(suffix)}
        if files := {int(stem): folder / name for stem, name in stems.items() if stem.isdecimal()}:
            return TruthVoxels(files, read_voxels)
    return None


def read_voxels(path: Location) -> TrueVoxels:
    """True voxels of a file.

    Raises:
        UnreadableFrameError: a file is truncated or corrupt.
        InputError: a `.label` without its `.invalid`.
    """
    semantics = _of_array(path) if path.suffix == ".npy" else _of_label(path)
    known = semantics != _UNKNOWN
    return TrueVoxels(semantics, known, known, np.array(_RANGE), _VOXEL_SIZE, classes="sscbench")


def _of_label(path: Location) -> np.ndarray:
    """Classes of raw ids; what is empty and invalid is unknown, and a label counts whatever is said of it."""
    raw = _sized(path, np.dtype("<u2"))
    try:
        invalid = _sized(path.with_suffix(".invalid"), np.dtype("u1"))
    except FileNotFoundError:
        raise InputError(f"no {path.with_suffix('.invalid')} beside {path.name}: restore the file") from None
    semantics = _OF_RAW[raw]
    semantics[(raw == 0) & (invalid > 0)] = _UNKNOWN
    return semantics


def _sized(path: Location, dtype: np.dtype) -> np.ndarray:
    data, expected = read_bytes(path), int(np.prod(_SHAPE)) * dtype.itemsize
    if len(data) != expected:
        raise UnreadableFrameError(f"{path}: {len(data)} bytes, expected {expected}: restore the file")
    return np.frombuffer(data, dtype).reshape(_SHAPE)


def _of_array(path: Location) -> np.ndarray:
    try:
        found = np.load(BytesIO(read_bytes(path)), allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise UnreadableFrameError(f"{path}: no array ({one_line(error)}): restore the file") from error
    if found.shape != _SHAPE:
        raise UnreadableFrameError(f"{path}: an array of {found.shape}, expected {_SHAPE}: restore the file")
    return found.astype(np.uint8)
