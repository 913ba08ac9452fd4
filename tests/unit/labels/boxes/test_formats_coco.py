"""COCO, read back by pycocotools."""

import io
from contextlib import redirect_stdout

import numpy as np
import pytest
from pycocotools.coco import COCO

from vsrd_ray.datasets.base import open_drive
from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.datasets.kitti360.instances import read_instance_map
from vsrd_ray.labels.boxes.formats.export import export

SEQUENCE = "2013_05_28_drive_0042_sync"
SIDES = ("left", "top", "right", "bottom")


def load(folder, split="train"):
    with redirect_stdout(io.StringIO()):
        return COCO(folder / f"instances_{split}.json")


def test_coco_comes_back(run, same_boxes, tmp_path):
    export(run.output, run.root, tmp_path / "coco", format="coco")
    coco = load(tmp_path / "coco")
    drive = open_drive(run.root, SEQUENCE)
    assert {entry["id"]: entry["name"] for entry in coco.loadCats(coco.getCatIds())} == {26: "car", 27: "truck"}
    assert [image["frame"] for image in coco.loadImgs(coco.getImgIds())] == [1, 2, 3, 5]
    for image in coco.loadImgs(coco.getImgIds()):
        rows = run.rows.filter(run.rows["frame"].to_numpy() == image["frame"])
        name = paths.image_file(run.root, SEQUENCE, "image_00", image["frame"])
        assert run.root / image["file_name"] == name and (image["width"], image["height"]) == (80, 60)
        annotations = coco.loadAnns(coco.getAnnIds(imgIds=image["id"]))
        attributes = [annotation["attributes"] for annotation in annotations]
        values = {
            key: np.array([entry[key] for entry in attributes]) for key in rows.column_names if key in attributes[0]
        }
        centers = np.column_stack([values[key] for key in ("x_world", "y_world", "z_world")])
        sizes = np.column_stack([values[key] for key in ("length", "width", "height")])
        same_boxes(rows, centers, sizes, values["yaw_world"], atol=1e-12)
        instance_map = read_instance_map(drive, "image_00", image["frame"])
        for annotation, row in zip(annotations, rows.to_pylist(), strict=True):
            mask = instance_map == row["instance_id"]
            np.testing.assert_array_equal(coco.annToMask(annotation).astype(bool), mask)
            assert annotation["area"] == mask.sum() == 120 and annotation["bbox"][2:] == [12, 10]
            u, v = annotation["bbox"][:2]
            assert mask[v, u] and not mask[v - 1, u] and not mask[v, u - 1]
            assert annotation["attributes"]["projected_box_xyxy"] == [row[f"bbox_{side}"] for side in SIDES]
    assert load(tmp_path / "coco", "val").getImgIds() == []


@pytest.mark.parametrize("damage", ["gone", "torn"])
def test_boxes_without_a_mask_have_the_projected_box(run, tmp_path, damage, caplog):
    path = paths.mask_file(run.root, SEQUENCE, "image_00", 2)
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-30])
    export(run.output, run.root, tmp_path / "coco", format="coco")
    coco = load(tmp_path / "coco")
    (image,) = (image for image in coco.loadImgs(coco.getImgIds()) if image["frame"] == 2)
    first = coco.loadAnns(coco.getAnnIds(imgIds=image["id"]))[0]
    row = run.rows.filter(run.rows["frame"].to_numpy() == 2).to_pylist()[0]
    left, top, width, height = first["bbox"]
    assert [left, top, left + width, top + height] == pytest.approx([row[f"bbox_{side}"] for side in SIDES])
    assert not coco.annToMask(first).any()
    assert ("without their masks" in caplog.text) == (damage == "torn")
