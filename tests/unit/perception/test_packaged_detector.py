"""The small detector of an npm package: its arithmetic, and real images to 3D boxes where the package is there."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from vsrd_ray.cli import main
from vsrd_ray.data.drive import IMAGES, MASKS
from vsrd_ray.data.given import Given
from vsrd_ray.datasets.base import open_drive
from vsrd_ray.errors import InputError
from vsrd_ray.perception import packaged

ASSETS = "objectron_solution_packed_assets.data"
DRIVE = "2011_09_26_drive_0001_sync"


@pytest.fixture(scope="module")
def assets():
    """The package's file: where OBJECTRON_ASSETS says, or in node_modules."""
    pytest.importorskip("ai_edge_litert", reason="no ai-edge-litert: pip install 'vsrd-ray[boxes]'")
    modules = Path(__file__).resolve().parents[3] / "node_modules" / "@mediapipe" / "objectron" / ASSETS
    file = Path(os.environ.get("OBJECTRON_ASSETS", modules))
    if not file.is_file():
        pytest.skip("no @mediapipe/objectron: npm install @mediapipe/objectron@0.4.1675468480")
    return file


@pytest.fixture(scope="module")
def raw_root(shared):
    return shared / "data" / "kitti_raw_mini"


def test_anchors_are_as_many_as_the_network_has():
    anchors = packaged._anchors()
    assert anchors.shape == (1917, 4)
    np.testing.assert_allclose(anchors[0], [0.5 / 19, 0.5 / 19, 0.1, 0.1])
    np.testing.assert_allclose(anchors[-6:, :2], 0.5)
    box = packaged._decoded(np.array([[1.0, 0, 5 * np.log(2), 0]]), np.array([[0.5, 0.5, 0.2, 0.1]]))
    np.testing.assert_allclose(box, [[0.45, 0.32, 0.55, 0.72]])


@pytest.mark.parametrize("size", [(1242, 375), (300, 300), (200, 500)])
def test_tiles_cover_the_image_along_its_length(size):
    tiles = np.array(packaged._tiles(*size))
    assert (tiles[:, :2] >= 0).all() and (tiles[:, 2:] <= size).all()
    assert (0, 0, *size) in {tuple(tile) for tile in tiles.tolist()}
    squares = tiles[(tiles[:, 2] - tiles[:, 0]) == min(size)]
    covered = np.zeros(size[0], dtype=bool)
    for left, _, right, _ in squares.tolist():
        covered[left:right] = True
    assert covered.all()


def test_of_boxes_of_one_car_the_surest_stays_and_cut_ones_go():
    boxes = np.array([[0, 0, 10, 10], [1, 1, 11, 11], [2, 2, 5, 5], [20, 0, 30, 10.0]])
    assert packaged._best(boxes) == [0, 3]
    cut = packaged._is_cut(
        np.array([[100.0, 20, 140, 40], [150, 20, 170, 60], [0, 0, 99, 99]]), (100, 0, 200, 100), (100, 300)
    )
    assert cut.tolist() == [True, False, True]


def test_a_mask_lies_in_its_box():
    mask = packaged._superellipse(np.array([10.0, 5, 40, 25]), (30, 60))
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    assert (columns[0], rows[0], columns[-1], rows[-1]) == (10, 5, 39, 24)
    assert 0.8 < mask.sum() / (30 * 20) < 0.9


def test_a_file_that_is_no_detector_is_named(tmp_path):
    (tmp_path / "short.data").write_bytes(b"Car")
    for name in ("short.data", "none.data"):
        with pytest.raises(InputError, match=r"no detector: give objectron_solution_packed_assets\.data"):
            packaged.check_file(tmp_path / name)
    pytest.importorskip("ai_edge_litert", reason="no ai-edge-litert: pip install 'vsrd-ray[boxes]'")
    (tmp_path / "torn.data").write_bytes(bytes(1000))
    with pytest.raises(InputError, match="no network that LiteRT reads"):
        packaged.PackagedSegmenter(tmp_path / "torn.data")


def test_cars_that_people_outlined_are_found_and_masks_are_rough(assets, raw_root):
    name = "2011_09_26_drive_0009_sync"
    drive = open_drive(raw_root, name, given=Given(masks=raw_root / "mots" / "instances_txt" / "0001.txt"))
    segmenter = packaged.PackagedSegmenter(assets)
    overlaps = []
    for frame in (10, 15, 20):
        (found,) = segmenter.segment([drive.read(IMAGES, "image_02", frame)], min_score=0.3, wanted=["car"])
        instance_map = drive.read(MASKS, "image_02", frame)
        for one in np.unique(instance_map[instance_map // 1000 == 1]):
            true = instance_map == one
            if true.any(axis=1).sum() >= 20:
                overlaps.append(max((mask & true).sum() / (mask | true).sum() for mask in found.masks))
    assert len(overlaps) == 27 and np.mean(np.array(overlaps) > 0.4) > 0.75
    assert 0.55 < np.mean([one for one in overlaps if one > 0.4]) < 0.75


def test_real_images_become_boxes_of_the_cars_that_people_drew(assets, raw_root, tmp_path):
    """Ten images: boxes of the detector, rough masks in them, tracks, 3D boxes; held against the tracklets."""

    def run(*words):
        result = CliRunner().invoke(main, list(map(str, words)))
        assert result.exit_code == 0, result.output
        return result.stdout

    odometry = raw_root / "orb_slam3" / DRIVE[:10] / f"{DRIVE}.txt"
    given = ["label", "--serial", "--root", raw_root, "--sequence", DRIVE, "--poses", odometry, "--classes", "car"]
    made, boxes = tmp_path / "masks", tmp_path / "boxes"
    run(*given, "--config", "masks", "--set", f"model={assets}", "--set", "min_score=0.35", "--output", made)
    assert "Frames    10 of 108 labelled" in run(*given, "--masks", made, "--output", boxes)
    figures = json.loads(run("evaluate", boxes, "--root", raw_root, "--json"))
    near = figures["static_by_range"]["15 - 30 m"]["iou_3d"]
    assert near["mean"] > 0.12, figures["static_by_range"]  # rough: the mean is .22, of the first six frames alone .5
