"""Calibrations in KITTI's form: lines `name: numbers`, with P_rect and S_rect of rectified cameras."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from vsrd_ray.data.pinhole import why_no_camera, why_no_size
from vsrd_ray.errors import InputError
from vsrd_ray.storage import Location


@dataclass(frozen=True)
class RectifiedCamera:
    """One camera of a rig, x right, y down, z ahead. Axes of rectified ones are parallel to those of camera 0."""

    K: np.ndarray  # [3, 3] float64, pixels
    image_size: tuple[int, int]  # (width, height), pixels
    T_cam_cam0: np.ndarray  # [4, 4] float64, metres; camera 0 into this camera


@dataclass(frozen=True)
class CalibrationText:
    """The entries of a calibration file."""

    path: Location
    entries: Mapping[str, str]
    fix: str  # what to do where an entry is missing

    @staticmethod
    def read(path: Location, *, get: str, fix: str) -> "CalibrationText":
        """The entries of a file.

        Args:
            path: of the file.
            get: what to do where there is no file.
            fix: what to do where an entry is missing.

        Raises:
            InputError: there is no such file, it is no text, or an entry stands twice with other values.
        """
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except FileNotFoundError:
            raise InputError(f"no calibration file {path}: {get}") from None
        except (IsADirectoryError, NotADirectoryError):
            raise InputError(f"{path}: expected a file, got a folder: put the file of that name there") from None
        except UnicodeDecodeError:
            raise InputError(
                f"{path}: expected lines 'name: numbers', got a file that is no text: download it again"
            ) from None
        entries: dict[str, str] = {}
        for line in lines:
            name, _, values = line.partition(":")
            if entries.setdefault(name.strip(), values).split() != values.split():
                raise InputError(f"{path}: two entries {name.strip()} with other values: remove one of them")
        return CalibrationText(path, entries, fix)

    def numbers(self, name: str, count: int) -> np.ndarray:
        """The numbers [count] float64 of an entry.

        Raises:
            InputError: there is no such entry, or it holds others than so many finite numbers.
        """
        if name not in self.entries:
            raise InputError(f"{self.path}: no entry {name}: {self.fix}")
        try:
            numbers = np.array([float(value) for value in self.entries[name].split()])
        except ValueError:
            numbers = np.array([np.nan])
        if len(numbers) != count or not np.isfinite(numbers).all():
            got = self.entries[name].strip()
            raise InputError(f"{self.path}: expected {count} numbers after {name}, got {got!r}: restore the file")
        return numbers

    def camera(self, number: str) -> RectifiedCamera:
        """The rectified camera of a number such as "02": x_cam = x_cam0 + K^-1 P_rect[:, 3].

        Raises:
            InputError: no P_rect or S_rect of it, or one that no camera has.
        """
        P = self.numbers(f"P_rect_{number}", 12).reshape(3, 4)
        width, height = self.numbers(f"S_rect_{number}", 2)
        if reason := why_no_size(width, height):
            raise InputError(f"{self.path}: S_rect_{number} is no image size: {reason}")
        if reason := why_no_camera(P, width, height):
            raise InputError(f"{self.path}: P_rect_{number} is no camera matrix of this dataset: {reason}")
        T_cam_cam0 = np.eye(4)
        T_cam_cam0[:3, 3] = np.linalg.solve(P[:, :3], P[:, 3])
        return RectifiedCamera(P[:, :3].copy(), (round(width), round(height)), T_cam_cam0)
