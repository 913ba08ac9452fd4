"""Boxes of people: the tracking benchmark's and tracklets, in the world of whatever poses a drive has."""

import numpy as np
import pytest

from vsrd_ray.data.given import Given
from vsrd_ray.data.truth import STATIC
from vsrd_ray.datasets.base import open_drive
from vsrd_ray.datasets.kitti_raw import paths
from vsrd_ray.errors import InputError

NAME = "2011_09_29_drive_0004_sync"
CAR_LWH = (4.0, 1.8, 1.5)


def line(frame, track, kind, x, z, *, ry=-np.pi / 2):
    length, width, height = CAR_LWH
    return f"{frame} {track} {kind} 0 0 -10 1 2 3 4 {height} {width} {length} {x} 1.6 {z} {ry}\n"


def write_labels(root, text):
    file = paths.tracking_files(root, NAME)[0]
    file.parent.mkdir(parents=True)
    file.write_text(text)


def tracklets(*items, root="boost_serialization"):
    return f"<!DOCTYPE {root}><{root}><tracklets><count>1</count>{''.join(items)}</tracklets></{root}>"


def tracklet(kind, positions, *, rx=0.0, first=2):
    names = ("tx", "ty", "tz", "rx", "ry", "rz", "state", "occlusion", "truncation")
    poses = "".join(
        f"<item>{''.join(f'<{n}>{v}</{n}>' for n, v in zip(names, (*p, rx, 0, 0.5, 2, 0, 0), strict=True))}</item>"
        for p in positions
    )
    size = "<h>1.5</h><w>1.8</w><l>4.0</l>"
    return f"<item><objectType>{kind}</objectType>{size}<first_frame>{first}</first_frame><poses>{poses}</poses></item>"


def test_a_parked_car_is_one_static_box_and_a_moving_one_a_box_a_frame(raw):
    parked = [line(frame, 0, "Car", 3.0, 30.0 - frame) for frame in range(12)]  # the car drives a metre a frame
    moving = [line(frame, 7, "Car", -3.0, 20.0) for frame in range(12)]
    write_labels(raw, "".join([*parked, *moving, "0 -1 DontCare" + " -1" * 14 + "\n", line(0, 2, "Zebra", 0, 9)]))
    truth = open_drive(raw, NAME).truth("boxes")
    assert truth.instance_ids.tolist() == [1001, *[1008] * 12]
    assert truth.timestamps.tolist() == [STATIC, *range(12)]
    assert set(truth.class_names) == {"car"}
    assert truth.skipped == {"of an unknown type": 1}
    box = truth.boxes[0]
    np.testing.assert_allclose(box.dimensions_lwh, CAR_LWH)
    # camera 0 is .06 to the right (south) of camera 2; the box stands 30 m ahead and 3 m to the right of it
    camera_0 = open_drive(raw, NAME).T_world_cam[0][:3, 3] + [0, -0.06, 0]
    np.testing.assert_allclose(box.centers, camera_0 + np.array([30, -3, -1.6 + 0.75]), atol=1e-4)
    assert abs(float(box.yaws)) < 1e-9  # heads east, as the car does


def test_truth_follows_the_poses_of_the_drive(raw, tmp_path):
    write_labels(raw, "".join(line(frame, 0, "Car", 3.0, 30.0 - frame) for frame in range(12)))
    poses = tmp_path / "orb.txt"
    lines = [f"1 0 0 0 0 1 0 0 0 0 1 {2 * frame}\n" for frame in range(12)]  # twice as long as OxTS has it
    poses.write_text("".join(lines))
    scaled = open_drive(raw, NAME, given=Given(pose_file=poses))
    as_it_is = open_drive(raw, NAME, given=Given(pose_file=poses, pose_scale="none"))
    assert len(scaled.truth("boxes").instance_ids) == 1
    assert scaled.truth("boxes").timestamps.tolist() == [STATIC]
    assert len(as_it_is.truth("boxes").instance_ids) == 12  # what stands seems to move
    assert "path is 100.0% longer" in as_it_is.warnings[0]


def test_tracklets_stand_on_their_bottoms_in_the_lidars_frame(raw):
    file = paths.tracklets_file(raw, NAME)
    file.write_text(
        tracklets(tracklet("Van", [(20 - step, 2, -1.7) for step in range(4)]), tracklet("Car", [(9, 0, 0)], rx=0.3))
    )
    drive = open_drive(raw, NAME)
    truth = drive.truth("boxes")
    assert (truth.instance_ids.tolist(), truth.timestamps.tolist()) == ([3001], [STATIC])
    assert truth.skipped == {"tilted": 1}
    lidar = drive.T_world_cam[2][:3, 3] + np.array([-0.3, -0.06, 0.1])
    np.testing.assert_allclose(truth.boxes[0].centers, lidar + np.array([20, 2, -1.7 + 0.75]), atol=1e-4)
    assert float(truth.boxes[0].yaws) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not well-formed XML"),
        (tracklets(root="other"), "no tracklets of KITTI, since its root element is <other>"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "it defines entities"),
        (tracklets(tracklet("Car", [("far", 2, -1.7)])), "'far' is no tx of a tracklet"),
    ],
)
def test_bad_tracklets_are_named(raw, text, message):
    paths.tracklets_file(raw, NAME).write_text(text)
    with pytest.raises(InputError, match=rf"tracklet_labels\.xml: .*{message}"):
        open_drive(raw, NAME).truth("boxes")


def test_bad_labels_are_named_with_the_line(raw):
    write_labels(raw, line(0, 0, "Car", 0, 9) + "0 1 Car 0\n")
    with pytest.raises(InputError, match=r"0018\.txt, line 2: expected 17 columns"):
        open_drive(raw, NAME).truth("boxes")


def test_a_drive_without_truth_says_where_it_would_lie(raw):
    drive = open_drive(raw, NAME)
    assert not drive.has_truth("boxes")
    with pytest.raises(InputError, match=r"unpack the drive's tracklets as .*tracklet_labels\.xml"):
        drive.truth("boxes")
