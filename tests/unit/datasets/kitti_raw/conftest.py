"""A small drive in the layout of KITTI's raw data: twelve frames eastwards at 10 m/s, packets 2 to 12 ms late."""

from pathlib import Path

import cv2
import numpy as np
import pytest

DATE = "2011_09_29"
NAME = f"{DATE}_drive_0004_sync"  # sequence 0018 of the tracking benchmark
CAMERAS = """calib_time: 09-Jan-2012 13:57:47
S_rect_02: 120 40
R_rect_00: 1 0 0 0 1 0 0 0 1
P_rect_02: 100 0 60 6 0 100 20 0 0 0 1 0
S_rect_03: 120 40
P_rect_03: 100 0 60 -47 0 100 20 0 0 0 1 0
"""
LIDAR = "calib_time: x\nR: 0 -1 0 0 0 -1 1 0 0\nT: 0 -0.1 -0.3\ndelta_f: 0 0\n"
IMU = "calib_time: x\nR: 1 0 0 0 1 0 0 0 1\nT: -0.8 0.3 -0.8\n"
SPEED, SPACING, NUM_FRAMES = 10.0, 0.1, 12
METRES_A_DEGREE = 6378137.0 * np.cos(np.radians(49.0)) * np.pi / 180


def lag(frame):
    return 0.002 + 0.005 * (frame % 3)


def stamp(seconds):
    return f"2011-09-26 13:02:{25 + int(seconds):02d}.{round(seconds % 1 * 1e9):09d}"


def packet(frame, *, late=None):
    values = np.zeros(30)
    seconds = frame * SPACING + (lag(frame) if late is None else late)
    values[[0, 1, 2]] = 49.0, 8.0 + SPEED * seconds / METRES_A_DEGREE, 116.0
    values[[7, 8]] = SPEED
    values[[23, 24]] = 0.05
    return " ".join(repr(value) for value in values.tolist())


def write_drive(root, *, name=NAME, has_times=True):
    day = root / name[:10]
    drive = day / name
    for folder in ("oxts/data", "image_02/data", "image_03/data"):
        (drive / folder).mkdir(parents=True)
    (day / "calib_cam_to_cam.txt").write_text(CAMERAS)
    (day / "calib_velo_to_cam.txt").write_text(LIDAR)
    (day / "calib_imu_to_velo.txt").write_text(IMU)
    for frame in range(NUM_FRAMES):
        (drive / "oxts" / "data" / f"{frame:010d}.txt").write_text(packet(frame) + " \n")
    cv2.imwrite(str(drive / "image_02" / "data" / "0000000003.png"), np.full((40, 120, 3), 7, np.uint8))
    if has_times:
        for stream, late in (("oxts", lag), ("image_02", lambda _: 0.0), ("image_03", lambda _: 0.0)):
            lines = [stamp(frame * SPACING + late(frame)) for frame in range(NUM_FRAMES)]
            (drive / stream / "timestamps.txt").write_text("\n".join([*lines, ""]))
    return root


@pytest.fixture
def raw(tmp_path) -> Path:
    """ROOT with the drive."""
    return write_drive(tmp_path / "raw")


@pytest.fixture
def write_raw():
    """Writes the drive somewhere, or another one."""
    return write_drive


@pytest.fixture
def write_packet():
    """Writes the packet of a frame as a text."""
    return packet
