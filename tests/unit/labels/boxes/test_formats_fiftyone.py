"""FiftyOne's format: its JSON by hand, and the same read back by FiftyOne where it and its database are installed."""

import base64
import io
import json
import os
import subprocess
import sys
import zlib
from importlib.util import find_spec

import cv2
import numpy as np
import pytest

from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.labels.boxes.formats.export import export

SEQUENCE = "2013_05_28_drive_0042_sync"
SIZE = np.array([80, 60])
FRAMES = [1, 2, 3, 5]

# Prints what FiftyOne makes of the folder in argv[1], in a database of its own.
READ = """
import json, sys
import fiftyone as fo
dataset = fo.Dataset.from_dir(sys.argv[1], dataset_type=fo.types.FiftyOneDataset, progress=False)
out = [dataset.media_type, sorted(dataset.get_field_schema()), []]
for sample in dataset.sort_by("frame"):
    boxes = [
        [b.label, b.confidence, b.index, b.mask_id, b.bounding_box, b.location, b.dimensions, b.rotation,
         None if b.mask is None else [str(b.mask.dtype), *b.mask.shape, int(b.mask.sum())]]
        for b in sample.boxes.detections
    ]
    cuboids = [[c.label, c.confidence, c.index, c.points] for c in sample.cuboids.polylines]
    out[2].append([sample.filepath, sample.frame, sample.tags, boxes, cuboids])
out.append(dataset.filter_labels("boxes", fo.ViewField("confidence") > 0.5).count("boxes.detections"))
print(json.dumps(out))
"""


@pytest.fixture
def exported(run, tmp_path):
    for frame in FRAMES:
        image = paths.image_file(run.root, SEQUENCE, "image_00", frame)
        image.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(image), np.full((*SIZE[::-1], 3), frame, np.uint8))
    export(run.output, run.root, tmp_path / "fo", format="fiftyone")
    return tmp_path / "fo"


def rows_of(run, frame):
    return run.rows.filter(np.asarray(run.rows["frame"]) == frame).to_pylist()


def declared(fields):
    return {field["db_field"]: field for field in fields}


def test_samples_hold_boxes_masks_and_cuboids(run, exported):
    samples = json.loads((exported / "samples.json").read_text())["samples"]
    assert [sample["frame"] for sample in samples] == FRAMES
    for sample in samples:
        link = exported / sample["filepath"]
        assert not link.readlink().is_absolute() and (cv2.imread(str(link)) == sample["frame"]).all()
        rows, boxes = rows_of(run, sample["frame"]), sample["boxes"]["detections"]
        for n, (row, box) in enumerate(zip(rows, boxes, strict=True)):
            assert (box["label"], box["confidence"], box["index"]) == (
                row["class_name"], row["confidence"], row["track_id"]
            )  # fmt: skip
            np.testing.assert_allclose(np.reshape(box["bounding_box"], (2, 2)) * SIZE, [[15 * n + 2, 20], [12, 10]])
            packed = zlib.decompress(base64.b64decode(box["mask"]["$binary"]["base64"]))
            mask = np.load(io.BytesIO(packed))
            assert mask.dtype == bool and mask.shape == (10, 12) and mask.all()
            assert box["location"] == [row[f"{axis}_world"] for axis in "xyz"]
            assert box["dimensions"] == [row["length"], row["width"], row["height"]]
            assert box["rotation"] == [0, 0, row["yaw_world"]]
        # A wireframe's extent is the projected box, where the image cuts neither off.
        for cuboid in sample["cuboids"]["polylines"]:
            (row,) = (row for row in rows if row["track_id"] == cuboid["index"])
            ends = np.reshape(cuboid["points"], (-1, 2)) * SIZE - 0.5
            expected = [row[f"bbox_{side}"] for side in ("left", "top", "right", "bottom")]
            np.testing.assert_allclose(np.clip([ends.min(0), ends.max(0)], 0, SIZE - 1).ravel(), expected, atol=1e-6)
    tracks = [[cuboid["index"] for cuboid in sample["cuboids"]["polylines"]] for sample in samples]
    whole = [row["track_id"] for row in rows_of(run, 1)]
    assert tracks == [whole, whole, whole, whole[1:]]  # in the last frame, the nearest reaches behind the camera


def test_all_that_samples_hold_is_declared(exported):
    metadata = json.loads((exported / "metadata.json").read_text())
    fields = declared(metadata["sample_fields"])
    for sample in json.loads((exported / "samples.json").read_text())["samples"]:
        assert set(sample) <= set(fields)
        for name, listed in (("boxes", "detections"), ("cuboids", "polylines")):
            (several,) = fields[name]["fields"]
            assert several["name"] == listed
            for label in sample[name][listed]:
                assert set(label) - {"_cls"} == set(declared(several["fields"]))


def test_the_same_run_gives_the_same_bytes(run, exported, tmp_path):
    export(run.output, run.root, tmp_path / "again", format="fiftyone")
    for name in ("samples.json", "metadata.json"):
        assert (tmp_path / "again" / name).read_bytes() == (exported / name).read_bytes()


def test_a_box_without_a_mask_has_the_projected_box(run, tmp_path):
    paths.mask_file(run.root, SEQUENCE, "image_00", 2).unlink()
    export(run.output, run.root, tmp_path / "bare", format="fiftyone")
    _, second, *_ = json.loads((tmp_path / "bare" / "samples.json").read_text())["samples"]
    for row, box in zip(rows_of(run, 2), second["boxes"]["detections"], strict=True):
        assert box["mask"] is None
        left, top, width, height = np.array(box["bounding_box"]) * [*SIZE, *SIZE]
        assert [left, top, left + width, top + height] == pytest.approx(
            [row[f"bbox_{side}"] + 0.5 for side in ("left", "top", "right", "bottom")]
        )


def test_fiftyone_reads_it_back(run, exported, tmp_path):
    if find_spec("fiftyone") is None:
        pytest.skip("no fiftyone, which needs a MongoDB: pip install fiftyone")
    environment = os.environ | {
        "HOME": str(tmp_path / "home"),
        "FIFTYONE_DATABASE_DIR": str(tmp_path / "database"),
        "FIFTYONE_DATABASE_VALIDATION": "false",
        "FIFTYONE_DO_NOT_TRACK": "true",
    }
    (tmp_path / "home").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", READ, str(exported)], env=environment, capture_output=True, text=True, check=False
    )
    if "MongoDB could not be installed" in done.stderr:
        pytest.skip("fiftyone has no mongod on this system")
    assert done.returncode == 0, done.stderr
    media_type, fields, samples, num_trusted = json.loads(done.stdout.splitlines()[-1])
    assert media_type == "image"
    assert {"id", "filepath", "boxes", "cuboids", "frame", "sequence", "time_s"} <= set(fields)
    written = json.loads((exported / "samples.json").read_text())["samples"]
    for (path, frame, tags, boxes, cuboids), sample in zip(samples, written, strict=True):
        assert (frame, tags) == (sample["frame"], sample["tags"])
        assert (cv2.imread(path) == frame).all()
        for box, row in zip(boxes, rows_of(run, frame), strict=True):
            assert box[:4] == [row["class_name"], row["confidence"], row["track_id"], row["instance_id"]]
            assert box[5] == [row[f"{axis}_world"] for axis in "xyz"]
            assert box[8] == ["bool", 10, 12, 120]
        assert [box[4] for box in boxes] == [box["bounding_box"] for box in sample["boxes"]["detections"]]
        assert [cuboid[3] for cuboid in cuboids] == [one["points"] for one in sample["cuboids"]["polylines"]]
    assert num_trusted == int((run.rows["confidence"].to_numpy() > 0.5).sum()) == 8
