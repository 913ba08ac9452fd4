"""One's own drive is labelled as the same drive in KITTI-360's layout is."""

import numpy as np
import pytest
from own_drives import SEQUENCE, write_drive

SAME_NAME = SEQUENCE  # what is drawn by chance depends on names of groups, and these on the drive's


def read_labels(output):
    import vsrd_ray

    return vsrd_ray.read_labels(output).sort_by([("frame", "ascending"), ("instance_id", "ascending")])


@pytest.mark.slow
def test_labels_are_those_of_the_street(street, tmp_path, command):
    write_drive(tmp_path / "mine", street, "colmap binary", name=SAME_NAME)
    tables = []
    for root, output in ((street, "there"), (tmp_path / "mine", "own")):
        arguments = ["--root", root, "--sequence", SEQUENCE, "--output", tmp_path / output, "--serial"]
        result = command("label", *arguments, "--set", "grouping.min_area=32", "--set", "grouping.min_box_side=4")
        assert result.exit_code == 0, result.output
        tables.append(read_labels(tmp_path / output))
    there, own = tables
    assert len(own) > 0 and own.column_names == there.column_names
    assert set(own["camera"].to_pylist()) == {"camera"}
    for name in ("frame", "instance_id", "class_name", "is_moving"):
        assert own[name].to_pylist() == there[name].to_pylist(), name
    for name in ("x_world", "y_world", "z_world", "length", "width", "height", "yaw_world", "confidence"):
        np.testing.assert_allclose(own[name].to_numpy(), there[name].to_numpy(), atol=1e-4, err_msg=name)
    text = (tmp_path / "own" / "kitti" / SEQUENCE / "camera" / "label_2").glob("*.txt")
    assert any(path.read_text() for path in text)


def test_a_drive_without_a_pose_is_unusable(street, tmp_path, command, quick):
    folder = write_drive(tmp_path / "mine", street, "kitti", name="walk")
    (folder / "poses.txt").unlink()
    result = command("label", "--root", folder.parent, "--sequence", "walk", "--output", "out", "--serial", *quick)
    assert result.exit_code == 3
    assert f"{folder}: no poses: give poses.txt, transforms.json or a COLMAP model in sparse/0." in result.stderr
    assert "none of its 24 frames can be used (no pose: 24)" in result.stdout
