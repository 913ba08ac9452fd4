"""Labels of raw drives for detectors of KITTI's object benchmark, for trackers, and for VSRD's own code."""

import csv
import json
from dataclasses import replace

import cv2
import numpy as np
import pyarrow as pa
import pytest
from builders import write_manifest

from vsrd_ray.data.drive import MASKS
from vsrd_ray.data.index import index_frames, write_index
from vsrd_ray.data.masks import decode_rle
from vsrd_ray.datasets.base import open_drive
from vsrd_ray.datasets.kitti_raw.benchmark import read_benchmark
from vsrd_ray.errors import InputError
from vsrd_ray.geometry.boxes import UprightBoxes
from vsrd_ray.labels.boxes.columns import VELOCITY_WORLD, box_columns
from vsrd_ray.labels.boxes.formats.export import export
from vsrd_ray.labels.boxes.formats.kitti_object import calibration_text
from vsrd_ray.labels.boxes.rows import camera_columns
from vsrd_ray.labels.boxes.schema import LABEL_SCHEMA
from vsrd_ray.labels.boxes.selection import Selection
from vsrd_ray.masks.given import with_masks
from vsrd_ray.runs.schema import GROUP_SCHEMA
from vsrd_ray.storage.atomic import write_parquet

NAME = "2011_09_29_drive_0004_sync"
FRAMES = (2, 3, 4)
CAR = np.array([20.0, 1.0, -0.8])  # metres ahead, to the left and above the first camera
HUMAN = "Car 0.00 0 -1.57 10.00 10.00 20.00 20.00 1.50 1.60 4.00 1.00 1.50 20.00 -1.57\n"


def write_masks(root):
    folder = root / "mots" / "instances" / "0018"
    folder.mkdir(parents=True)
    instance_map = np.zeros((40, 120), np.uint16)
    instance_map[15:25, 50:70] = 1004
    instance_map[15:25, 80:90] = 1006  # the same car behind a pole
    instance_map[:5, :5] = 10000
    for frame in FRAMES:
        cv2.imwrite(str(folder / f"{frame:06d}.png"), instance_map)


def rows_of(drive, frame):
    view = drive.view(frame)
    pose = drive.T_world_cam[0]
    box = UprightBoxes(
        (pose[:3, 3] + CAR[0] * pose[:3, 2] - CAR[1] * pose[:3, 0] - [0, 0, 0.8])[None],
        np.array([[4.0, 1.7, 1.5]]),
        np.array([0.1]),
    )
    columns = box_columns(box) | camera_columns(view, box, mask_areas=np.array([200]))
    columns |= {"instance_id": [1005], "track_id": [1005], "observed": [True], "class_name": ["car"]}
    columns |= {"confidence": [0.9], "is_moving": [False], **{name: [0.0] for name in VELOCITY_WORLD}}
    columns |= {"mean_iou_2d": [0.8], "num_views": [3], "bearing_spread_deg": [9.0], "silhouette_loss": [0.1]}
    columns |= {"shape": [None], "group_id": ["g"], "labeler": ["vsrd"], "config_hash": ["abc"], "seed": [0]}
    columns |= {"source": ["auto"], "target_frame": [3], "camera": ["image_02"], "frame": [frame], "time_s": [None]}
    return pa.table(columns, schema=LABEL_SCHEMA)


@pytest.fixture
def labelled(raw, tmp_path):
    """ROOT, OUTPUT of a run with one car that has two masks, and the drive."""
    file = raw / NAME[:10] / "calib_cam_to_cam.txt"
    others = "P_rect_00: 100 0 60 0 0 100 20 0 0 0 1 0\nP_rect_01: 100 0 60 -53 0 100 20 0 0 0 1 0\n"
    file.write_text(file.read_text() + others)
    write_masks(raw)
    drive, output = open_drive(raw, NAME), tmp_path / "run"
    rows = pa.concat_tables([rows_of(drive, frame) for frame in FRAMES])
    twins = rows.set_column(rows.column_names.index("instance_id"), "instance_id", pa.array([1007] * 3, pa.int32()))
    write_parquet(pa.concat_tables([rows, twins.slice(2, 1)]), output / f"labels/sequence={NAME}/a.parquet")
    write_index(index_frames(drive, FRAMES), output / "index" / f"{NAME}.parquet", "x")
    row = {"group_id": "g", "sequence": NAME, "target_frame": 3, "frames": list(FRAMES), "instance_ids": [1005]}
    row |= {"status": "ok", "error": None, "attempts": 1, "seconds": 0.0}
    write_parquet(pa.Table.from_pylist([row], schema=GROUP_SCHEMA), output / "groups" / "g.parquet")
    write_manifest(output, [NAME], root=raw, classes=["car"], camera="image_02")
    manifest = json.loads((output / "manifest.json").read_text())
    manifest["inputs"]["dataset"] = "kitti_raw"
    (output / "manifest.json").write_text(json.dumps(manifest))
    return raw, output, drive


def write_benchmark(root, *, valid):
    """Images 0 to 3: frame 3 of the drive is image 2, frame 4 image 0; the others are of another drive."""
    folder = root / "object" / "mapping"
    folder.mkdir(parents=True)
    places = [("0004", 3), ("0071", 9), ("0004", 4), ("0071", 8)]
    lines = [f"2011_09_29 2011_09_29_drive_{drive}_sync {frame:010d}\n" for drive, frame in places]
    (folder / "train_mapping.txt").write_text("".join(lines))
    (folder / "train_rand.txt").write_text("3,2,1,4")
    (root / "object" / "ImageSets").mkdir()
    (root / "object" / "ImageSets" / "val.txt").write_text("".join(f"{number:06d}\n" for number in valid))


def mapping(folder):
    with (folder / "mapping.csv").open() as file:
        return [(row["sample"], int(row["frame"]), row["split"], row["labels"]) for row in csv.DictReader(file)]


def test_frames_keep_the_numbers_of_the_benchmark_and_boxes_are_in_camera_0(labelled, tmp_path):
    root, output, drive = labelled
    write_benchmark(root, valid=[1])
    export(output, root, tmp_path / "o", format="kitti-object", selection=Selection(sequences=(NAME,)))
    assert mapping(tmp_path / "o") == [
        ("000000", 4, "train", "run"), ("000002", 3, "train", "run"), ("000004", 2, "train", "run"),
    ]  # fmt: skip
    assert (tmp_path / "o" / "ImageSets" / "train.txt").read_text() == "000000\n000002\n000004\n"
    words = (tmp_path / "o" / "training" / "label_2" / "000002.txt").read_text().split()
    row = rows_of(drive, 3).to_pylist()[0]
    in_cam2 = np.array([row["x_cam"], row["y_cam"], row["z_cam"]])
    np.testing.assert_allclose(np.array(words[11:14], float), in_cam2 - [0.06, 0, 0], atol=1e-4)
    calibration = {
        name: np.array(values.split(), float)
        for name, values in (
            line.split(":") for line in (tmp_path / "o" / "training" / "calib" / "000002.txt").read_text().splitlines()
        )
    }
    assert list(calibration) == ["P0", "P1", "P2", "P3", "R0_rect", "Tr_velo_to_cam", "Tr_imu_to_velo"]
    # the projection with P2 of camera 0's point is that with K of camera 2's
    bottom = np.append(np.array(words[11:14], float), 1)
    projected, expected = calibration["P2"].reshape(3, 4) @ bottom, drive.K @ in_cam2
    np.testing.assert_allclose(projected[:2] / projected[2], expected[:2] / expected[2], atol=0.01)
    assert (tmp_path / "o" / "training" / "image_2" / "000002.png").is_symlink()


def test_frames_beside_images_for_validation_are_not_trained_on(labelled, tmp_path, caplog):
    root, output, _ = labelled
    write_benchmark(root, valid=[0])
    (root / "object" / "label_2").mkdir()
    (root / "object" / "label_2" / "000000.txt").write_text(HUMAN)
    summary = export(output, root, tmp_path / "o", format="kitti-object")
    assert mapping(tmp_path / "o") == [("000000", 4, "val", "human")]
    assert (tmp_path / "o" / "training" / "label_2" / "000000.txt").read_text() == HUMAN
    assert "2 frames are left out: they are in drives that hold images for validation" in caplog.text
    assert dict(summary.left_out) == {"in drives that hold images for validation": 2}


def test_images_for_validation_that_nobody_labelled_are_left_out(labelled, tmp_path, caplog):
    root, output, _ = labelled
    write_benchmark(root, valid=[0, 2])
    export(output, root, tmp_path / "o", format="kitti-object")
    assert mapping(tmp_path / "o") == []
    assert "2 frames are left out: they are of images for validation without labels of people" in caplog.text


def test_without_a_list_of_images_for_validation_a_split_has_to_be_given(labelled, tmp_path):
    root, output, _ = labelled
    with pytest.raises(InputError, match=r"expected .*train_mapping\.txt, train_rand\.txt beside it.*give --split"):
        export(output, root, tmp_path / "o", format="kitti-object")
    (tmp_path / "split.txt").write_text(f"{NAME} train\n")
    chosen = Selection(split=str(tmp_path / "split.txt"))
    export(output, root, tmp_path / "o", format="kitti-object", selection=chosen)
    assert [row[:3] for row in mapping(tmp_path / "o")] == [
        ("000000", 2, "train"), ("000001", 3, "train"), ("000002", 4, "train"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("mapping/train_rand.txt", "3,2,1,1", "4 numbers are no order of the 4 lines"),
        ("mapping/train_rand.txt", "3,2,1,x", "expected whole numbers, got 'x'"),
        ("mapping/train_mapping.txt", "a b\n" * 4, "line 3: expected date, drive and frame"),
        ("ImageSets/val.txt", "000001\nimage\n", "expected whole numbers, got 'image'"),
    ],
)
def test_a_broken_mapping_is_named(labelled, file, text, message):
    root, _, drive = labelled
    write_benchmark(root, valid=[1])
    (root / "object" / file).write_text(text)
    with pytest.raises(InputError, match=message):
        read_benchmark(drive)


def test_calibration_and_mapping_are_the_benchmarks_own(shared):
    root = shared / "data" / "kitti_raw_mini"
    drive = open_drive(root, "2011_09_26_drive_0009_sync")
    benchmark = read_benchmark(drive)
    lines = (root / "tracking" / "calib" / "0001.txt").read_text().splitlines()
    assert [line.split() for line in lines if line.split()] == [
        line.split() for line in calibration_text(benchmark).splitlines()
    ]
    assert benchmark.num_images == 7481 and len(benchmark.numbers) == 287
    assert set(benchmark.numbers.values()) <= benchmark.human.keys()
    # a car that people drew in an image of the object benchmark is one of the tracking benchmark's frame
    frame, number = next(iter(benchmark.numbers.items()))
    drawn = [line.split() for line in benchmark.human[number].read_text().splitlines() if line.startswith("Car")]
    tracked = [line.split() for line in (root / "tracking" / "label_02" / "0001.txt").read_text().splitlines()]
    sizes = {tuple(np.round(np.array(words[10:13], float), 2)) for words in tracked if words[0] == str(frame)}
    assert drawn and {tuple(np.array(words[8:11], float)) for words in drawn} <= sizes


def test_masks_come_back_as_text_of_kitti_mots_with_the_ids_of_tracks(labelled, tmp_path):
    root, output, drive = labelled
    export(output, root, tmp_path / "o", format="kitti-mots")
    file = tmp_path / "o" / "instances_txt" / "0018.txt"
    assert [line.split()[:5] for line in file.read_text().splitlines()] == [
        [str(frame), *rest] for frame in FRAMES
        for rest in (["1004", "1", "40", "120"], ["10000", "10", "40", "120"])
    ]  # fmt: skip
    again = with_masks(drive, file, None)
    for frame in FRAMES:
        own = drive.read(MASKS, "image_02", frame)
        np.testing.assert_array_equal(again.read(MASKS, "image_02", frame), np.where(own == 1007, 1005, own))


def test_annotations_hold_camera_masks_and_boxes(labelled, tmp_path):
    root, output, drive = labelled
    export(output, root, tmp_path / "o", format="vsrd-annotations")
    folder = tmp_path / "o" / NAME[:10] / NAME / "annotations_02" / "data"
    assert sorted(path.name for path in folder.iterdir()) == [f"{frame:010d}.json" for frame in FRAMES]
    content = json.loads((folder / "0000000003.json").read_text())
    np.testing.assert_allclose(content["intrinsic_matrix"], drive.K)
    np.testing.assert_allclose(np.linalg.inv(content["extrinsic_matrix"]), drive.T_world_cam[3], atol=1e-9)
    inside = decode_rle(content["masks"]["car"]["1005"])
    np.testing.assert_array_equal(inside, np.isin(drive.read(MASKS, "image_02", 3), [1005, 1007]))
    corners = np.array(content["boxes_3d"]["car"]["1005"])
    row = rows_of(drive, 3).to_pylist()[0]
    bottom = corners.mean(axis=0) + np.array([0, 0.75, 0])
    np.testing.assert_allclose(bottom, [row["x_cam"], row["y_cam"], row["z_cam"]], atol=1e-9)


def test_other_datasets_are_refused_as_images_of_the_benchmark(labelled):
    _, _, drive = labelled
    right = replace(drive, cameras={"image_03": replace(drive.camera, name="image_03")})
    from vsrd_ray.labels.boxes.formats.kitti_object import _benchmark

    with pytest.raises(
        InputError, match="the format kitti-object is for image_02 of KITTI's raw data: export as kitti"
    ):
        _benchmark(right)
