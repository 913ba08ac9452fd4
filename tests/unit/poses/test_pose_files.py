"""Pose files of each form, and what is said of others."""

import numpy as np
import pytest

from vsrd_ray.errors import InputError
from vsrd_ray.geometry.rigid import inverse
from vsrd_ray.poses.files import COLMAP, KITTI, KITTI360, TUM, read_pose_file

TIMES = {frame: 1317042145.96 + 0.103 * frame for frame in range(20)}


def pose_of(frame):
    angle = 0.1 * frame
    pose = np.eye(4)
    pose[:3, :3] = [[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]]
    pose[:3, 3] = [0.1 * frame, 0.02 * frame, 1.2 * frame]
    return pose


def quaternion(pose):
    angle = np.arctan2(pose[0, 2], pose[0, 0])
    return np.array([0, np.sin(angle / 2), 0, np.cos(angle / 2)])  # x y z w


def words(values):
    return " ".join(repr(float(value)) for value in values)


def kitti(frame):
    return words(pose_of(frame)[:3].ravel())


def tum(first, frame):
    pose = pose_of(frame)
    return f"{first!r} {words([*pose[:3, 3], *quaternion(pose)])}"


def colmap(name, frame):
    T_cam_world = inverse(pose_of(frame))
    x, y, z, w = quaternion(T_cam_world)
    return f"{frame + 1} {words([w, x, y, z, *T_cam_world[:3, 3]])} 1 {name}\n1.5 2.5 -1 3.5 4.5 7 5 6 8 9.5 1 2"


FORMS = {
    "kitti": (KITTI, "".join(f"{kitti(frame)} \n" for frame in range(4))),
    "kitti360 of 13": (KITTI360, "".join(f"{frame} {kitti(frame)}\n" for frame in range(4))),
    "kitti360 of 17": (KITTI360, "".join(f"{frame} {kitti(frame)} 0 0 0 1\n" for frame in (3, 1, 2, 0))),
    "tum by time": (TUM, "# time\n" + "".join(tum(TIMES[frame] + 0.01, frame) + "\n" for frame in range(4))),
    "tum by time from the first image": (TUM, "".join(tum(0.103 * frame + 1e-4, frame) + "\n" for frame in range(4))),
    "tum by frame": (TUM, "".join(tum(float(frame), frame) + "\n\n" for frame in range(4))),
    "colmap": (COLMAP, "# Image list\n" + "".join(colmap(f"frame {f:06d}.png", f) + "\n" for f in range(4))),
    "colmap of two cameras": (
        COLMAP,
        "".join(
            colmap(f"{camera}/data/{frame:010d}.png", frame + shift) + "\n"
            for shift, camera in ((5, "image_03"), (0, "image_02"))
            for frame in range(4)
        ),
    ),
}


@pytest.mark.parametrize("name", FORMS)
def test_each_form_gives_the_same_poses(tmp_path, name):
    form, text = FORMS[name]
    file = tmp_path / "poses.txt"
    file.write_text(text)
    read = read_pose_file(file, camera="image_02", times_s=TIMES)
    assert (read.form, sorted(read.poses)) == (form, [0, 1, 2, 3])
    assert read.is_of_camera_0 == (form != COLMAP)
    for frame, pose in read.poses.items():
        np.testing.assert_allclose(pose, pose_of(frame), atol=1e-12)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no pose in the file"),
        ("1 2 3\n", "line 1: 3 numbers are no pose. Give 12 a line"),
        (kitti(0).replace(" ", ",") + "\n", "write spaces between them, not commas"),
        (f"{kitti(0)}\n1 2\n", "line 2: expected 12 finite numbers"),
        (f"{kitti(0)}\n\n{kitti(1)}\n", "a blank line or a comment between poses"),
        (f"{kitti(0)}\n{words(2 * pose_of(1)[:3].ravel())}\n", "line 2: the pose of frame 1 .* it scales by 2"),
        (f"3 {kitti(0)}\n3 {kitti(1)}\n", "line 2: another pose of frame 3"),
        (f"3.5 {kitti(0)}\n", "expected a whole frame number"),
        (f"{tum(0.5, 0)}\n{tum(0.7, 1)} nan\n", "line 2"),
        ("0.5 0 0 0 1 1 1 1\n", "a quaternion of length 2"),
        ("12.5 0 0 0 0 0 0 1\n12.6 0 0 0 0 0 0 1\n", "2 of 2 poses are of times at which the drive has no image"),
        (colmap("left.png", 0), "no frame number in the name 'left.png'"),
    ],
)
def test_what_is_no_pose_is_named(tmp_path, text, message):
    file = tmp_path / "poses.txt"
    file.write_text(text)
    with pytest.raises(InputError, match=rf"poses\.txt.*{message}"):
        read_pose_file(file, camera="image_02", times_s=TIMES)


def test_times_need_times_of_images(tmp_path):
    file = tmp_path / "poses.txt"
    file.write_text(tum(0.103, 0) + "\n")
    with pytest.raises(InputError, match="the drive has no times of images"):
        read_pose_file(file, camera="image_02", times_s={})


def test_files_that_are_no_text_and_none_at_all_are_named(tmp_path):
    (tmp_path / "images.bin").write_bytes(b"\xff\xfe\x00\x9d")
    with pytest.raises(InputError, match=r"images\.bin: .* no text: convert it"):
        read_pose_file(tmp_path / "images.bin", camera="a", times_s={})
    with pytest.raises(InputError, match=r"no pose file .*none\.txt"):
        read_pose_file(tmp_path / "none.txt", camera="a", times_s={})
