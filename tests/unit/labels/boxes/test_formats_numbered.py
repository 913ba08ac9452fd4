"""Formats of numbered frames, read back by readers of this file's own, which are written from the formats' papers.

MMDetection3D and OpenPCDet cannot be installed here: they need compiled parts for older versions of torch.
"""

import csv
import pickle

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from builders import make_drive

from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.labels.boxes.formats.export import export
from vsrd_ray.labels.boxes.selection import Selection

SEQUENCE = "2013_05_28_drive_0042_sync"
SIDES = ("left", "top", "right", "bottom")


def numbers(path):
    return np.array(words(path), dtype=float)


def calibration(path):
    pairs = (line.split(":") for line in path.read_text().splitlines())
    return {name: np.array(values.split(), dtype=float) for name, values in pairs}


def index_of(folder):
    with (folder / "index.csv").open() as file:
        return list(csv.DictReader(file))


def frame_rows(run, frame):
    return run.rows.filter(run.rows["frame"].to_numpy() == frame)


def words(path):
    return [line.split() for line in path.read_text().splitlines()]


def yaw_seen_at(rotation_y, R_cam_world):
    """The yaw whose heading (cos, sin, 0) is seen at rotation_y in the camera's x and -z, by looking at many."""
    yaws, step = np.linspace(-np.pi, np.pi, 2001), np.pi
    while step > 1e-9:
        x, _, z = R_cam_world[:, :2] @ np.stack([np.cos(yaws), np.sin(yaws)])
        best = yaws[np.abs(np.exp(1j * np.arctan2(-z, x)) - np.exp(1j * rotation_y)).argmin()]
        step = yaws[1] - yaws[0]
        yaws = np.linspace(best - step, best + step, 2001)
    return best


def from_camera(bottoms, sizes_lhw, rotations, T_world_cam):
    """Boxes in the world: KITTI's place is the middle of the underside, and y points down."""
    R, sizes_lhw = T_world_cam[:3, :3], np.array(sizes_lhw)
    centers = np.array(bottoms) - sizes_lhw[:, [1]] * [0, 0.5, 0]
    return centers @ R.T + T_world_cam[:3, 3], sizes_lhw[:, [0, 2, 1]], [yaw_seen_at(r, R.T) for r in rotations]


def test_kitti_comes_back(run, poses, same_boxes, tmp_path):
    export(run.output, run.root, tmp_path / "kitti", format="kitti")
    folder = tmp_path / "kitti"
    entries = index_of(folder)
    assert [(entry["sample"], int(entry["frame"])) for entry in entries] == [
        ("000000", 1), ("000001", 2), ("000002", 3), ("000003", 5)
    ]  # fmt: skip
    for entry in entries:
        rows = frame_rows(run, int(entry["frame"]))
        lines = words(folder / "training/label_2" / f"{entry['sample']}.txt")
        assert [len(line) for line in lines] == [15] * 4
        assert [line[0] for line in lines] == ["Car", "Car", "Car", "Truck"]
        values = np.array([line[1:] for line in lines], dtype=float)
        sizes_lhw = values[:, [9, 7, 8]]
        same_boxes(rows, *from_camera(values[:, 10:13], sizes_lhw, values[:, 13], poses[int(entry["frame"])]))
        np.testing.assert_allclose(values[:, 3:7], np.column_stack([rows[f"bbox_{side}"] for side in SIDES]), atol=0.01)
        assert entry["instance_ids"].split() == [str(i) for i in rows["instance_id"].to_pylist()]
        assert entry["confidences"].split() == ["0.9500", "0.4000", "0.0800", "0.7000"]


def test_kitti_calibration_projects_as_the_camera_does(run, tmp_path):
    export(run.output, run.root, tmp_path / "kitti", format="kitti")
    matrices = calibration(tmp_path / "kitti/training/calib/000002.txt")
    assert list(matrices) == ["P0", "P1", "P2", "P3", "R0_rect", "Tr_velo_to_cam", "Tr_imu_to_velo"]
    P2 = matrices["P2"].reshape(3, 4)
    np.testing.assert_array_equal(P2, [[50, 0, 10, 0], [0, 40, 8, 0], [0, 0, 1, 0]])
    np.testing.assert_array_equal(matrices["R0_rect"].reshape(3, 3), np.eye(3))
    # without a calibration of the LiDAR: x ahead becomes z, y left becomes -x, z up becomes -y
    lidar = matrices["Tr_velo_to_cam"].reshape(3, 4)
    np.testing.assert_array_equal(lidar @ [10, 2, 1, 1], [-2, -1, 10])


def test_kitti_takes_the_calibration_of_the_lidar(run, tmp_path):
    path = paths.calibration_file(run.root)
    path.write_text(path.read_text() + "R_rect_00: 1 0 0 0 0 -1 0 1 0\n")
    # camera 0 lies 1 m ahead of the LiDAR and has its axes
    (path.parent / "calib_cam_to_velo.txt").write_text("1 0 0 1 0 1 0 0 0 0 1 0")
    export(run.output, run.root, tmp_path / "kitti", format="kitti")
    lidar = calibration(tmp_path / "kitti/training/calib/000000.txt")["Tr_velo_to_cam"].reshape(3, 4)
    np.testing.assert_allclose(lidar @ [5, 2, 3, 1], [4, -3, 2])


def test_images_are_relative_links_that_move_with_the_folder(run, tmp_path, caplog):
    for frame in (1, 3):
        image = paths.image_file(run.root, SEQUENCE, "image_00", frame)
        image.parent.mkdir(parents=True, exist_ok=True)
        image.write_bytes(b"image %d" % frame)
    export(run.output, run.root, tmp_path / "deep" / "kitti", format="kitti")
    links = tmp_path / "deep" / "kitti" / "training" / "image_2"
    assert {path.name: path.read_bytes() for path in links.iterdir()} == {
        "000000.png": b"image 1", "000002.png": b"image 3"
    }  # fmt: skip
    assert not (links / "000000.png").readlink().is_absolute()
    assert "2 of 4 frames have no image" in caplog.text


def test_sequences_outside_vsrds_split_are_for_training_and_a_warning_says_so(run, tmp_path, caplog):
    export(run.output, run.root, tmp_path / "kitti", format="kitti")
    sets = tmp_path / "kitti" / "ImageSets"
    assert (sets / "train.txt").read_text().split() == ["000000", "000001", "000002", "000003"]
    assert (sets / "trainval.txt").read_text() == (sets / "train.txt").read_text()
    assert (sets / "val.txt").read_text() == "" and (sets / "test.txt").read_text() == ""
    assert caplog.text.count(f"{SEQUENCE} is in no part") == 1


def as_drive(run, number):
    """The run as one of another drive."""
    name = f"2013_05_28_drive_{number:04d}_sync"
    for folder in (run.root, run.output):
        for path in sorted(folder.rglob(f"*{SEQUENCE}*"), reverse=True):
            path.rename(path.with_name(path.name.replace(SEQUENCE, name)))
    for path in (run.output / "groups").iterdir():
        groups = pq.read_table(path)
        names = pa.array([name] * groups.num_rows)
        pq.write_table(groups.set_column(groups.column_names.index("sequence"), "sequence", names), path)
    manifest = run.output / "manifest.json"
    manifest.write_text(manifest.read_text().replace(SEQUENCE, name))
    return name


def test_readers_of_the_test_split_find_its_images_and_calibrations_in_testing(run, tmp_path):
    name = as_drive(run, 10)
    image = paths.image_file(run.root, name, "image_00", 2)
    image.parent.mkdir(parents=True, exist_ok=True)
    image.write_bytes(b"image")
    export(run.output, run.root, tmp_path / "kitti", format="kitti")
    folder = tmp_path / "kitti"
    samples = (folder / "ImageSets" / "test.txt").read_text().split()
    assert samples == ["000000", "000001", "000002", "000003"]
    for sample in samples:
        calib = f"calib/{sample}.txt"
        assert (folder / "testing" / calib).read_text() == (folder / "training" / calib).read_text()
        assert (folder / "training" / "label_2" / f"{sample}.txt").is_file()
    assert (folder / "testing" / "image_2" / "000001.png").read_bytes() == b"image"
    assert not (folder / "testing" / "image_2" / "000001.png").readlink().is_absolute()
    assert sorted(path.name for path in (folder / "testing").iterdir()) == ["calib", "image_2"]


@pytest.mark.parametrize(("drive", "split"), [(0, "train"), (9, "train"), (3, "val"), (7, "val"), (10, "test")])
def test_vsrds_split(drive, split):
    from vsrd_ray.labels.boxes.formats.splits import split_of

    assert split_of(make_drive(f"2013_05_28_drive_{drive:04d}_sync")) == split


def test_a_drive_outside_vsrds_split_is_for_training(caplog):
    from vsrd_ray.labels.boxes.formats.splits import split_of

    assert split_of(make_drive("street")) == "train"
    assert "street is in no part of VSRD's split of KITTI-360: it goes to training." in caplog.text


def load_infos(folder, name="train"):
    with (folder / f"kitti_infos_{name}.pkl").open("rb") as file:
        return pickle.load(file)


def test_mmdet3d_comes_back(run, poses, same_boxes, tmp_path):
    export(run.output, run.root, tmp_path / "mm", format="mmdet3d")
    infos = load_infos(tmp_path / "mm")
    categories = infos["metainfo"]["categories"]
    assert (infos["metainfo"]["dataset"], infos["metainfo"]["info_version"]) == ("kitti", "1.1")
    assert (categories["Car"], categories["Truck"]) == (2, 4)
    assert len(infos["data_list"]) == 4
    for info, entry in zip(infos["data_list"], index_of(tmp_path / "mm"), strict=True):
        rows = frame_rows(run, int(entry["frame"]))
        T_world_cam = poses[int(entry["frame"])]
        assert (info["sample_idx"], info["images"]["CAM2"]["img_path"]) == (
            int(entry["sample"]),
            f"{entry['sample']}.png",
        )
        assert (info["images"]["CAM2"]["width"], info["images"]["CAM2"]["height"]) == (80, 60)
        # a point of the LiDAR, 10 m ahead, 2 m to the left, 1 m up, is 10 m deep; K is (50, 40, 10, 8)
        in_camera, in_image = (np.array(info["images"]["CAM2"][name]) for name in ("lidar2cam", "lidar2img"))
        np.testing.assert_allclose(in_camera @ [10, 2, 1, 1], [-2, -1, 10, 1])
        np.testing.assert_allclose((in_image @ [10, 2, 1, 1])[:3] / 10, [-2 / 10 * 50 + 10, -1 / 10 * 40 + 8, 1])
        instances = info["instances"]
        boxes = np.array([instance["bbox_3d"] for instance in instances])
        same_boxes(rows, *from_camera(boxes[:, :3], boxes[:, 3:6], boxes[:, 6], T_world_cam))
        # the centre is also there as a pixel and a depth
        pixels = np.array([[*instance["center_2d"], 1.0] for instance in instances])
        rays = pixels @ np.linalg.inv(np.array(info["images"]["CAM2"]["cam2img"])[:3, :3]).T
        centers_cam = rays * np.array([[instance["depth"]] for instance in instances])
        np.testing.assert_allclose(
            centers_cam @ T_world_cam[:3, :3].T + T_world_cam[:3, 3],
            np.column_stack([rows[name] for name in ("x_world", "y_world", "z_world")]),
            atol=1e-6,
        )
        assert [instance["bbox_label_3d"] for instance in instances] == [2, 2, 2, 4]
        assert [instance["score"] for instance in instances] == [0.95, 0.4, 0.08, 0.7]
        assert [instance["alpha"] for instance in instances] == pytest.approx(rows["alpha"].to_pylist())
        velocities = np.array([instance["velocity"] for instance in instances])
        np.testing.assert_array_equal(velocities, [[0, 0], [0, 0], [np.nan, np.nan], [0, 0]])
        assert info["cam_instances"]["CAM2"] == instances
    assert load_infos(tmp_path / "mm", "val")["data_list"] == []
    both = (tmp_path / "mm" / f"kitti_infos_{name}.pkl" for name in ("train", "trainval"))
    assert len({path.read_bytes() for path in both}) == 1
    assert (tmp_path / "mm" / "training" / "label_2" / "000003.txt").is_file()


def test_mmdet3d_has_the_velocity_in_the_camera(moving_run, poses, timed, tmp_path):
    export(moving_run.output, moving_run.root, tmp_path / "mm", format="mmdet3d")
    for info, entry in zip(load_infos(tmp_path / "mm")["data_list"], index_of(tmp_path / "mm"), strict=True):
        (instance,) = (one for one in info["instances"] if one["instance_id"] == 26003)
        row = frame_rows(moving_run, int(entry["frame"])).to_pylist()[2]
        x, y = row["velocity_x_world"], row["velocity_y_world"]
        in_camera = np.linalg.inv(poses[int(entry["frame"])][:3, :3]) @ [x, y, 0.0]
        assert instance["velocity"] == pytest.approx(in_camera[[0, 2]], abs=1e-9)
        assert instance["velocity"][1] > 1.4  # the car drives as the camera does


def test_what_is_ignored_has_the_fields_of_mmdet3ds_objects(run, tmp_path):
    """MMDetection3D takes the fields of the first instance for those of all."""
    export(run.output, run.root, tmp_path / "mm", format="mmdet3d", selection=Selection(keep_doubtful=False))
    for info in load_infos(tmp_path / "mm")["data_list"]:
        assert len({tuple(sorted(instance)) for instance in info["instances"]}) == 1
        assert [instance["bbox_label_3d"] for instance in info["instances"]] == [2, 2, 4, -1]


@pytest.mark.parametrize(
    ("height", "occlusion", "truncation", "difficulty"),
    [
        (41, 0, 0.1, 0),
        (39, 0, 0.1, 1),
        (41, 1, 0.1, 1),
        (41, 0, 0.2, 1),
        (30, 2, 0.4, 2),
        (25, 0, 0, -1),
        (50, 3, 0, -1),
    ],
)
def test_difficulties_are_kittis(height, occlusion, truncation, difficulty):
    from vsrd_ray.labels.boxes.columns import BOX_2D
    from vsrd_ray.labels.boxes.formats.mmdet3d import _difficulties

    row = dict(zip(BOX_2D, (5.0, 10.0, 25.0, 10.0 + height), strict=True))
    row |= {"occlusion": occlusion, "truncation": truncation}
    assert _difficulties(pa.Table.from_pylist([row])).tolist() == [difficulty]


def test_openpcdet_comes_back(run, poses, same_boxes, tmp_path):
    export(run.output, run.root, tmp_path / "pc", format="openpcdet")
    for entry in index_of(tmp_path / "pc"):
        lines = words(tmp_path / "pc" / "labels" / f"{entry['sample']}.txt")
        assert [line[7] for line in lines] == ["Car", "Car", "Car", "Truck"]
        boxes = np.array([line[:7] for line in lines], dtype=float)
        pose = numbers(tmp_path / "pc" / "poses" / f"{entry['sample']}.txt")
        T_world_cam = poses[int(entry["frame"])]
        np.testing.assert_allclose(pose[:3, 2], [0, 0, 1], atol=1e-9)  # gravity-aligned, at the camera, looking its way
        np.testing.assert_allclose(pose[:3, 3], T_world_cam[:3, 3], atol=1e-8)
        assert pose[:3, 0] @ T_world_cam[:3, 2] > 0.99 and np.linalg.det(pose) == pytest.approx(1)
        headings = pose[:3, :3] @ np.stack([np.cos(boxes[:, 6]), np.sin(boxes[:, 6]), np.zeros(4)])
        centers = boxes[:, :3] @ pose[:3, :3].T + pose[:3, 3]
        same_boxes(frame_rows(run, int(entry["frame"])), centers, boxes[:, 3:6], np.arctan2(headings[1], headings[0]))
        assert (boxes[:3, 0] > 0).all()
    assert (tmp_path / "pc" / "ImageSets" / "train.txt").read_text().split() == ["000000", "000001", "000002", "000003"]


def test_openpcdet_is_not_given_samples_that_it_cannot_read(run, tmp_path):
    """Its custom dataset takes the first seven columns of a label file, of which an empty one has none."""
    farthest = Selection(max_range=9.0)
    export(run.output, run.root, tmp_path / "pc", format="openpcdet", selection=farthest)
    texts = {
        entry["sample"]: words(tmp_path / "pc" / "labels" / f"{entry['sample']}.txt")
        for entry in index_of(tmp_path / "pc")
    }
    with_boxes = [sample for sample, lines in texts.items() if lines]
    assert len(texts) == 4 and 0 < len(with_boxes) < 4
    for name in ("train", "trainval"):
        assert (tmp_path / "pc" / "ImageSets" / f"{name}.txt").read_text().split() == with_boxes
