from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.datasets.kitti360.poses import read_poses
from vsrd_ray.errors import InputError

SEQUENCE = "drive"
IDENTITY = "1 0 0 0 0 1 0 0 0 0 1 0 0 0 0 1"


def write(root: Path, text: str) -> Path:
    path = paths.poses_file(root, SEQUENCE)
    path.parent.mkdir(parents=True)
    path.write_text(text)
    return path


def test_tabs_trailing_spaces_blank_lines_and_gaps(tmp_path: Path) -> None:
    tabbed = IDENTITY.replace(" ", "\t")
    write(tmp_path, f"3 {IDENTITY} \n7\t{tabbed}\t\r\n\n  12 {IDENTITY}")
    poses = read_poses(tmp_path, SEQUENCE)
    assert list(poses) == [3, 7, 12]
    assert all((pose == np.eye(4)).all() and pose.dtype == np.float64 for pose in poses.values())


def test_kilometres_keep_every_digit(tmp_path: Path) -> None:
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_euler("xyz", [0.3, -1.1, 2.2]).as_matrix()
    pose[:3, 3] = [123456.78901234567, -3801.000000001, 115.1]
    write(tmp_path, f"0 {' '.join(map(repr, pose.ravel().tolist()))}\n")
    np.testing.assert_array_equal(read_poses(tmp_path, SEQUENCE)[0], pose)


def test_a_line_with_15_numbers(tmp_path: Path) -> None:
    short = " ".join(IDENTITY.split()[:14])
    path = write(tmp_path, f"0 {IDENTITY}\n1 {short}\n")
    with pytest.raises(InputError, match=rf"{path}, line 2: expected 17 numbers .*, got 15"):
        read_poses(tmp_path, SEQUENCE)


@pytest.mark.parametrize("line", [f"zero {IDENTITY}", f"0 {IDENTITY[:-1]}x"])
def test_a_line_with_a_word(tmp_path: Path, line: str) -> None:
    write(tmp_path, line)
    with pytest.raises(InputError, match="line 1: expected a frame and 16 numbers"):
        read_poses(tmp_path, SEQUENCE)


def test_a_number_that_is_not_finite(tmp_path: Path) -> None:
    write(tmp_path, f"0 {IDENTITY.replace('1 0 0 0 0', 'nan 0 0 0 0')}")
    with pytest.raises(InputError, match="line 1: expected finite numbers"):
        read_poses(tmp_path, SEQUENCE)


def test_no_file_an_empty_file_and_a_binary_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no poses file .*cam0_to_world\.txt"):
        read_poses(tmp_path, SEQUENCE)
    path = write(tmp_path, "\n")
    with pytest.raises(InputError, match="no pose in the file"):
        read_poses(tmp_path, SEQUENCE)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="no text"):
        read_poses(tmp_path, SEQUENCE)
