"""Rows of the kind `depth`: a row for each frame of a camera.

Shapes: H x W pixels, of images that may be smaller than the camera's own.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import pyarrow as pa

from vsrd_ray.errors import InputError
from vsrd_ray.runs.columns import FRAME_AND_TIME, PROVENANCE, column
from vsrd_ray.runs.folder import RunFolder
from vsrd_ray.runs.tables import LabelTable

STEPS = 256  # of 16-bit depth, a metre: KITTI's files
SCHEMA = pa.schema(
    [
        *FRAME_AND_TIME,
        column("sensor", pa.string(), "name of the camera"),
        column("width", pa.int32(), "of the map", unit="px"),
        column("height", pa.int32(), "of the map", unit="px"),
        column("K", pa.list_(pa.float64(), 9), "intrinsics of maps of this size, row by row", unit="px", frame="image"),
        column("T_world_cam", pa.list_(pa.float64(), 16), "pose of the camera, row by row", unit="m", frame="world"),
        column(
            "depth",
            pa.large_binary(),
            "PNG of 16 bits: depth along the optical axis in 256ths; 0 unknown",
            unit="m",
            frame="rectified camera",
        ),
        column("spread", pa.large_binary(), "PNG of 16 bits: standard deviation of the depth in 256ths", unit="m"),
        column("profile", pa.large_binary(), "PNG of 8 bits: free heights in 255ths, far to near and left to right"),
        *PROVENANCE,
    ]
)
TABLE = LabelTable("depth", folder="depth", schema=SCHEMA, sort_by=("sensor",), groups_a_file=4)


@dataclass(frozen=True)
class DepthMap:
    """What is known of a frame."""

    frame: int
    sensor: str
    K: np.ndarray  # [3, 3] px
    T_world_cam: np.ndarray  # [4, 4]
    depth: np.ndarray  # [H, W] float32 m, 0 unknown
    spread: np.ndarray  # [H, W] float32 m
    profile: np.ndarray  # [far to near, left to right] float32, share of free heights
    group_id: str = ""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, px."""
        return self.depth.shape[1], self.depth.shape[0]


def encoded(one: DepthMap) -> dict[str, Any]:
    """The columns of `SCHEMA` that hold a map: all but `group_id` and provenance."""
    return {
        "frame": one.frame,
        "sensor": one.sensor,
        "width": one.size[0],
        "height": one.size[1],
        "K": np.asarray(one.K, dtype=np.float64).ravel().tolist(),
        "T_world_cam": np.asarray(one.T_world_cam, dtype=np.float64).ravel().tolist(),
        "depth": _png(_steps(one.depth)),
        "spread": _png(_steps(one.spread)),
        "profile": _png(np.rint(one.profile * 255).astype(np.uint8)),
    }


def decoded(row: Mapping[str, Any]) -> DepthMap:
    """The map of a row as a dictionary.

    Raises:
        InputError: images that are damaged, or of another size than the row says.
    """
    place = f"depth of frame {row['frame']} ({row['group_id']})"
    depth, spread = (_pixels(row[name], place).astype(np.float32) / STEPS for name in ("depth", "spread"))
    if not depth.shape == spread.shape == (row["height"], row["width"]):
        raise InputError(f"{place}: {depth.shape} px, expected {row['height']} x {row['width']}: label again")
    return DepthMap(
        frame=row["frame"],
        sensor=row["sensor"],
        K=np.array(row["K"]).reshape(3, 3),
        T_world_cam=np.array(row["T_world_cam"]).reshape(4, 4),
        depth=depth,
        spread=spread,
        profile=_pixels(row["profile"], place).astype(np.float32) / 255,
        group_id=row["group_id"],
    )


def maps_of(run: RunFolder, sequence: str) -> Iterator[DepthMap]:
    """The maps of a drive by frame and camera, one in memory at a time.

    Raises:
        InputError: the run holds none, or one that cannot be read.
    """
    rows = run.rows(TABLE, sequence)
    for place in range(rows.num_rows):
        yield decoded(rows.slice(place, 1).to_pylist()[0])


def _steps(metres: np.ndarray) -> np.ndarray:
    return np.rint(metres * STEPS).clip(0, np.iinfo(np.uint16).max).astype(np.uint16)


def _png(pixels: np.ndarray) -> bytes:
    return cv2.imencode(".png", pixels)[1].tobytes()


def _pixels(data: bytes, place: str) -> np.ndarray:
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) if data else None
    if pixels is None:
        raise InputError(f"{place}: an image that cannot be decoded: remove the file, and label again")
    return pixels
