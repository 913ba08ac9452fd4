from dataclasses import replace

import numpy as np
import pytest
from builders import make_group_frames, make_label_frame, make_plan, make_view

from vsrd_ray.geometry.boxes import UprightBoxes
from vsrd_ray.labels.boxes.fits import BoxFit, Motion
from vsrd_ray.labels.boxes.rows import camera_columns, label_rows
from vsrd_ray.labels.boxes.schema import LABEL_SCHEMA

K = np.array([[500.0, 0, 320], [0, 500, 240], [0, 0, 1]])
# looks along the world's +x, x right = -y, y down = -z
LOOKING_ALONG_X = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])


def view(frame=0, position=(0.0, 0, 0)):
    T_world_cam = np.eye(4)
    T_world_cam[:3, :3], T_world_cam[:3, 3] = LOOKING_ALONG_X, position
    return make_view(frame, K=K, T_world_cam=T_world_cam, image_size=(640, 480), time_s={5: 1.5}.get(frame))


def columns_of(center, *, yaw=0.0, area=10**6, size=(4.0, 2.0, 1.5)):
    boxes = UprightBoxes(np.array([center]), np.array([size]), np.array([yaw]))
    columns = camera_columns(view(), boxes, mask_areas=np.array([area]))
    return {name: values[0] for name, values in columns.items()}


def fit(instance_id, center=(12.0, 0, 0)):
    return BoxFit(
        instance_id=instance_id,
        class_name="car",
        box=UprightBoxes(np.array(center), np.array([4.0, 2.0, 1.5]), np.array(0.1)),
        confidence=0.9,
        mean_iou_2d=0.8,
        num_views=17,
        bearing_spread_deg=20.0,
        silhouette_loss=0.05,
        is_moving=False,
        shape=(0.5, -1.0),
    )


def group():
    plan = make_plan(
        "g",
        (5, 4),
        (26001, 26002),
        label_frames=(5, 6),
        instance_views=((4, 5), (5,)),
        best_frames=(5, 4),
    )
    label_frames = (
        make_label_frame(view(5), [[1.0, 1, 9, 9], [1, 1, 5, 5]], [4000, 500]),
        make_label_frame(view(6, (1.0, 0, 0)), [[1.0, 1, 9, 9], [np.nan] * 4], [4000, 0]),
    )
    views = (view(5), view(4, (-1.0, 0, 0)))
    return make_group_frames(plan, views, label_frames)


def test_a_box_straight_ahead_by_hand():
    columns = columns_of((12.0, 0, 0))
    # near end: 2 m wide, 1.5 m high, 10 m away
    assert [columns[f"bbox_{side}"] for side in ("left", "top", "right", "bottom")] == pytest.approx(
        [320 - 50, 240 - 37.5, 320 + 50, 240 + 37.5]
    )
    assert (columns["x_cam"], columns["y_cam"], columns["z_cam"]) == pytest.approx((0, 0.75, 12))
    assert columns["rotation_y"] == pytest.approx(-np.pi / 2)  # KITTI: heading away from the camera
    assert columns["alpha"] == pytest.approx(-np.pi / 2)
    assert columns["truncation"] == pytest.approx(0, abs=1e-12)


def test_a_box_across_the_border_is_cut_there():
    # its near end spans u = 320 + 500 * (5.4 ± 1) / 10 = 540 .. 640, and its far end lies further left
    columns = columns_of((12.0, -5.4, 0))
    assert columns["bbox_right"] == 639
    left = 320 + 500 * 4.4 / 14
    assert columns["bbox_left"] == pytest.approx(left)
    assert columns["truncation"] == pytest.approx(1 / (640 - left))


@pytest.mark.parametrize("center", [(-12.0, 0, 0), (12.0, 80, 0)])
def test_boxes_out_of_sight_are_wholly_truncated(center):
    columns = columns_of(center)
    assert columns["truncation"] == 1 and columns["occlusion"] == 3


def test_a_box_that_reaches_behind_the_camera_stays_in_bounds():
    columns = columns_of((1.0, -1.5, 0))
    assert 0 <= columns["truncation"] <= 1
    assert 0 <= columns["bbox_left"] <= columns["bbox_right"] == 639
    assert 0 <= columns["bbox_top"] <= columns["bbox_bottom"] == 479


@pytest.mark.parametrize(("area", "level"), [(7500, 0), (4501, 0), (4499, 1), (2251, 1), (2249, 2), (1, 2), (0, 3)])
def test_occlusion_is_the_share_of_the_outline_that_the_mask_leaves(area, level):
    assert columns_of((12.0, 0, 0), area=area)["occlusion"] == level  # the outline has 100 x 75 px


def test_rows_for_each_frame_in_which_an_instance_is_seen():
    rows = label_rows([fit(26002, (20.0, 3, 0)), fit(26001)], group(), labeler="vsrd", config_hash="abc", seed=3)
    assert rows.schema.equals(LABEL_SCHEMA, check_metadata=True)
    assert list(zip(rows["frame"].to_pylist(), rows["instance_id"].to_pylist(), strict=True)) == [
        (5, 26001), (5, 26002), (6, 26001)
    ]  # fmt: skip
    first = rows.to_pylist()[0]
    assert first["x_world"] == 12 and first["length"] == 4 and first["width"] == 2 and first["height"] == 1.5
    assert first["confidence"] == 0.9 and first["num_views"] == 17 and first["is_moving"] is False
    assert first["group_id"] == "g" and first["labeler"] == "vsrd"
    assert first["config_hash"] == "abc" and first["seed"] == 3 and first["source"] == "auto"
    assert first["shape"] == [0.5, -1.0] and first["camera"] == "image_00" and first["class_name"] == "car"
    assert rows["z_cam"].to_pylist() == pytest.approx([12, 20, 11])
    assert rows["target_frame"].to_pylist() == [5, 4, 5]
    assert rows["time_s"].to_pylist() == [1.5, 1.5, None]
    assert all(rows[name].null_count == 0 for name in rows.column_names if name != "time_s")


def motion(frames, centers, velocities):
    count = len(frames)
    boxes = UprightBoxes(np.array(centers), np.tile([4.0, 2.0, 1.5], (count, 1)), np.linspace(0.1, 0.2, count))
    return Motion(np.array(frames), boxes, np.array(velocities))


def test_an_object_that_moves_has_a_box_and_a_velocity_in_each_frame():
    its = motion((5, 6), [(13.0, 0, 0), (15.0, 0.5, 0)], [(19.0, 4.0), (20.0, 5.0)])
    fits = [replace(fit(26001), is_moving=True, motion=its), fit(26002)]
    rows = label_rows(fits, group(), labeler="vsrd", config_hash="abc", seed=3)
    of_mover = rows.filter(rows["instance_id"].to_numpy() == 26001)
    assert of_mover["frame"].to_pylist() == [5, 6] and of_mover["is_moving"].to_pylist() == [True, True]
    assert of_mover["x_world"].to_pylist() == [13, 15] and of_mover["y_world"].to_pylist() == [0, 0.5]
    assert of_mover["yaw_world"].to_pylist() == [0.1, 0.2]
    assert of_mover["z_cam"].to_pylist() == pytest.approx([13, 14])  # the camera has driven a metre
    assert of_mover["velocity_x_world"].to_pylist() == [19, 20]
    assert of_mover["velocity_y_world"].to_pylist() == [4, 5]
    assert of_mover["mean_iou_2d"].to_pylist() == [0.8, 0.8]  # as the fit says
    standing = rows.filter(rows["instance_id"].to_numpy() == 26002).to_pylist()
    assert [(row["x_world"], row["velocity_x_world"], row["velocity_y_world"]) for row in standing] == [(12, 0, 0)]


def test_an_object_that_moves_may_have_a_confidence_in_each_frame():
    its = replace(motion((5, 6), [(13.0, 0, 0), (15.0, 0, 0)], [(20.0, 0)] * 2), confidences=np.array([0.8, 0.6]))
    fits = [replace(fit(26001), is_moving=True, motion=its), fit(26002)]
    rows = label_rows(fits, group(), labeler="vsrd", config_hash="abc", seed=3)
    told = [(row["instance_id"], row["frame"], row["confidence"]) for row in rows.to_pylist()]
    assert told == [(26001, 5, 0.8), (26002, 5, 0.9), (26001, 6, 0.6)]


def test_the_velocity_of_what_moves_without_a_motion_is_not_known():
    rows = label_rows([replace(fit(26001), is_moving=True)], group(), labeler="vsrd", config_hash="abc", seed=3)
    assert rows["x_world"].to_pylist() == [12, 12]
    assert rows["velocity_x_world"].to_pylist() == rows["velocity_y_world"].to_pylist() == [None, None]


@pytest.mark.parametrize("frames", [(5,), (5, 7), (4, 5)])
def test_a_motion_that_lacks_a_frame_is_a_mistake(frames):
    its = motion(frames, [(13.0, 0, 0)] * len(frames), [(19.0, 4.0)] * len(frames))
    with pytest.raises(ValueError, match="the motion has no frame 6, only"):
        label_rows(
            [replace(fit(26001), is_moving=True, motion=its)], group(), labeler="vsrd", config_hash="abc", seed=0
        )


def test_a_motion_of_what_stands_is_a_mistake():
    with pytest.raises(ValueError, match="instance 26001 has a motion, but is_moving is False"):
        replace(fit(26001), motion=motion((5,), [(13.0, 0, 0)], [(0.0, 0.0)]))


def test_no_fits_give_no_rows():
    rows = label_rows([], group(), labeler="vsrd", config_hash="abc", seed=0)
    assert rows.num_rows == 0 and rows.schema.equals(LABEL_SCHEMA, check_metadata=True)


def test_a_fit_from_elsewhere_is_a_mistake():
    with pytest.raises(ValueError, match="26009"):
        label_rows([replace(fit(26001), instance_id=26009)], group(), labeler="vsrd", config_hash="abc", seed=0)
