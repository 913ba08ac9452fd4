import json
from pathlib import Path

import numpy as np
import pytest

from vsrd_ray.data.masks import decode_rle
from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.labelers.vsrd.published.annotations import annotate

SEQUENCE = "2013_05_28_drive_0042_sync"


def linked_root(source: Path, destination: Path) -> Path:
    """A root whose inputs are links, so that nothing is written beside them."""
    destination.mkdir()
    for name in ("calibration", "data_poses", "data_2d_raw", "data_2d_semantics", "data_3d_bboxes"):
        (destination / name).symlink_to(source / name)
    return destination


def some_frames(source: Path, destination: Path, name: str, frame: int) -> Path:
    """A linked root in which only one frame has a mask."""
    root = linked_root(source, destination)
    (root / "data_2d_semantics").unlink()
    mask = paths.mask_file(root, name, "image_00", frame)
    mask.parent.mkdir(parents=True)
    mask.symlink_to(paths.mask_file(source, name, "image_00", frame))
    return root


@pytest.mark.parametrize(("drive", "frame"), [("drive_0001", 59), ("drive_0011", 99)])
def test_equals_the_published_annotation(shared: Path, tmp_path: Path, drive: str, frame: int) -> None:
    name = f"2013_05_28_{drive}_sync"
    root = some_frames(shared / "data" / "kitti_geometry" / drive, tmp_path / "root", name, frame)
    assert annotate(root, name) == 1
    text = paths.annotation_file(root, name, "image_00", frame).read_text()
    published_text = (shared / "reference" / "published" / drive / f"annotation_{frame:010d}.json").read_text()
    ours, published = json.loads(text), json.loads(published_text)

    assert list(ours) == list(published)
    assert ours["intrinsic_matrix"] == published["intrinsic_matrix"]
    np.testing.assert_allclose(ours["extrinsic_matrix"], published["extrinsic_matrix"], rtol=0, atol=1e-9)
    assert [(c, list(masks.items())) for c, masks in ours["masks"].items()] == [
        (c, list(masks.items())) for c, masks in published["masks"].items()
    ]
    assert [(c, list(boxes)) for c, boxes in ours["boxes_3d"].items()] == [
        (c, list(boxes)) for c, boxes in published["boxes_3d"].items()
    ]
    for instance_id, corners in published["boxes_3d"]["car"].items():
        np.testing.assert_allclose(ours["boxes_3d"]["car"][instance_id], corners, rtol=0, atol=1e-9)
    assert [len(line) - len(line.lstrip()) for line in text.splitlines()] == [
        len(line) - len(line.lstrip()) for line in published_text.splitlines()
    ]


def test_frames_without_pose_or_readable_mask_are_left_out(write_sequence) -> None:
    instance_map = np.full((16, 20), 7000)
    instance_map[3:9, 4:12] = 26001
    root = write_sequence(dict.fromkeys((1, 2, 3), instance_map), poses={1: np.eye(4), 2: np.eye(4), 8: np.eye(4)})
    damaged = paths.mask_file(root, SEQUENCE, "image_00", 2)
    damaged.write_bytes(damaged.read_bytes()[:40])
    calls = []
    assert annotate(root, SEQUENCE, progress=lambda done, total: calls.append((done, total))) == 1
    assert calls == [(1, 1)]
    files = list((root / "annotations").rglob("*.json"))
    assert files == [paths.annotation_file(root, SEQUENCE, "image_00", 1)]
    annotation = json.loads(files[0].read_text())
    assert annotation["boxes_3d"] == {"road": {}, "car": {}}
    np.testing.assert_array_equal(decode_rle(annotation["masks"]["car"]["26001"]), instance_map == 26001)
    assert paths.annotation_index_file(root, SEQUENCE, "image_00").is_file()


def test_camera_1_is_shifted(write_sequence) -> None:
    T_world_cam0 = np.eye(4)
    T_world_cam0[:3, :3] = [[0, 0, 1], [-1, 0, 0], [0, -1, 0]]
    T_world_cam0[:3, 3] = [1000, 2000, 100]
    root = write_sequence({0: np.zeros((16, 20))}, poses={0: T_world_cam0}, camera="image_01")
    assert annotate(root, SEQUENCE, "image_01") == 1
    annotation = json.loads(paths.annotation_file(root, SEQUENCE, "image_01", 0).read_text())
    T_cam0_world = np.linalg.inv(T_world_cam0)
    T_cam0_world[0, 3] += -30 / 50  # P_rect_01[:, 3] / diag(K)
    np.testing.assert_allclose(annotation["extrinsic_matrix"], T_cam0_world, rtol=0, atol=1e-9)


def test_moving_boxes_are_those_of_the_frame(write_sequence) -> None:
    instance_map = np.zeros((16, 20))
    instance_map[3:9, 4:12] = 26001
    root = write_sequence({0: instance_map, 1: instance_map})
    vertices = ".5 .5 .5 .5 .5 -.5 .5 -.5 .5 .5 -.5 -.5 -.5 .5 -.5 -.5 .5 .5 -.5 -.5 -.5 -.5 -.5 .5"
    entries = "".join(
        f"<o><semanticId>13</semanticId><instanceId>1</instanceId><timestamp>{frame}</timestamp>"
        f"<transform><data>4 0 0 {10 * frame} 0 2 0 0 0 0 1 0 0 0 0 1</data></transform>"
        f"<vertices><data>{vertices}</data></vertices></o>"
        for frame in (0, 1)
    )
    path = paths.boxes_file(root, SEQUENCE)
    path.parent.mkdir(parents=True)
    path.write_text(f"<opencv_storage>{entries}</opencv_storage>")
    assert annotate(root, SEQUENCE) == 2
    for frame in (0, 1):
        annotation = json.loads(paths.annotation_file(root, SEQUENCE, "image_00", frame).read_text())
        corners = np.array(annotation["boxes_3d"]["car"]["26001"])
        np.testing.assert_allclose(corners.mean(axis=0), [10 * frame, 0, 0])
        np.testing.assert_allclose(corners[0], [10 * frame + 2, 1, 0.5])
