"""`label --config pointsam` with models of the user's: a segmenter, SAM at the LiDAR's pixels, or both."""

import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import tiny_models
import torch
from click.testing import CliRunner

from vsrd_ray.cli import main
from vsrd_ray.labelers.points.painting import Coarse, paint_objects
from vsrd_ray.labelers.points.prompts import MOST_PROMPTS, prompts_at
from vsrd_ray.labels.points.classes import NAMES, NONE
from vsrd_ray.perception.sam import load_point_segmenter
from vsrd_ray.synthetic import StreetSettings, synthesize

SETTINGS = StreetSettings(
    frames=2, cars=4, seed=4, image_size=(352, 94), layers=("lidar",), lidar_rings=24, lidar_columns=512
)
CAR, PEDESTRIAN = NAMES.index("car"), NAMES.index("pedestrian")


@pytest.fixture(scope="module")
def street(tmp_path_factory):
    root = tmp_path_factory.mktemp("made") / "street"
    synthesize(root, SETTINGS)
    return root


@pytest.fixture(scope="module")
def checkpoint(shared, tmp_path_factory):
    """The golden file's tiny SAM as an original checkpoint, made to trust its masks, which become sharp."""
    with np.load(shared / "reference" / "pointsam_golden.npz") as arrays:
        prefix = "samtiny/state/"
        state = {
            name[len(prefix) :]: torch.from_numpy(arrays[name]) for name in arrays.files if name.startswith(prefix)
        }
    state["mask_decoder.iou_prediction_head.layers.2.bias"] += 1
    for head in range(4):
        for part in ("weight", "bias"):
            state[f"mask_decoder.output_hypernetworks_mlps.{head}.layers.2.{part}"] *= 1e4
    path = tmp_path_factory.mktemp("weights") / "sam_vit_tiny.pth"
    torch.save(state, path)
    return path


def label(root, output, *settings, options=(), config="pointsam"):
    arguments = ["label", "--config", config, "--root", root, "--sequence", SETTINGS.sequence, "--output", output]
    pairs = [word for one in settings for word in ("--set", one)]
    return CliRunner().invoke(main, [str(word) for word in (*arguments, "--serial", *pairs, *options)])


def rows_of(output, kind):
    return [row for file in sorted((output / kind).rglob("*.parquet")) for row in pq.read_table(file).to_pylist()]


def test_a_tiny_sam_runs_the_whole_stage_by_both_rules(street, checkpoint, tmp_path):
    pytest.importorskip("transformers", reason="the extra `masks` is not installed")
    for config in ("pointsam", "pointsam_published"):
        outputs = [tmp_path / f"{config}-{number}" for number in range(2)]
        for output in outputs:
            result = label(street, output, f"sam={checkpoint}", config=config)
            assert result.exit_code == 0, result.output
            assert "masks by sam_vit_tiny.pth" in result.output
        rows = [rows_of(output, "points") for output in outputs]
        assert len(rows[0]) == SETTINGS.frames
        assert rows[0] == rows[1]
        assert all(row["confidence"] <= 1 for row in rows_of(outputs[0], "clusters"))


def test_sam_gives_whole_masks_by_falling_quality(checkpoint):
    pytest.importorskip("transformers", reason="the extra `masks` is not installed")
    segmenter = load_point_segmenter(str(checkpoint), "cpu")
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 255, (60, 100, 3), dtype=np.uint8) for _ in range(2)]
    points = np.array([[3, 5], [50, 30], [90, 55]])
    together = segmenter.embed(images)
    for place, image in enumerate(images):
        found = segmenter.masks_at(together, place, points)
        alone = segmenter.masks_at(segmenter.embed([image]), 0, points)
        assert found.masks.shape[1:] == (60, 100)
        assert len(found.masks) > 0
        assert (np.diff(found.ious) <= 0).all()
        assert found.stabilities.min() >= 0.8
        np.testing.assert_allclose(found.ious, alone.ious, atol=1e-5)
    assert len(segmenter.masks_at(together, 0, points[:0]).masks) == 0


def test_a_segmenter_runs_where_no_masks_are(street, tmp_path):
    root = shutil.copytree(street, tmp_path / "street")
    shutil.rmtree(root / "data_2d_semantics")
    refused = label(root, tmp_path / "none")
    assert refused.exit_code != 0
    assert "--set segmenter=FOLDER" in refused.output
    folder = tiny_models.mask2former(tmp_path / "mask2former")
    result = label(root, tmp_path / "made", f"segmenter={folder}", "min_score=0.0")
    assert result.exit_code == 0, result.output
    assert len(rows_of(tmp_path / "made", "points")) == SETTINGS.frames
    both = label(root, tmp_path / "both", f"segmenter={folder}", f"sam={tiny_models.sam(tmp_path / 'sam')}")
    assert both.exit_code == 0, both.output
    assert "masks by mask2former and sam" in both.output
    instances = street / "data_2d_semantics" / "train" / SETTINGS.sequence / "image_00" / "instance"
    shutil.copytree(instances, tmp_path / "masks" / "image_00")
    twice = label(root, tmp_path / "twice", f"segmenter={folder}", options=("--masks", tmp_path / "masks"))
    assert twice.exit_code != 0
    assert "leave --masks or the setting segmenter out" in twice.output


def test_models_that_cannot_be_used_are_refused_before_anything_is_made(street, tmp_path):
    folder = tiny_models.mask2former(tmp_path / "mask2former")
    sam2 = tmp_path / "sam2"
    shutil.copytree(folder, sam2)
    for settings, told in (
        ((f"sam={folder}",), "expected one of SamModel"),
        ((f"sam={tmp_path / 'none.pth'}",), "no such file"),
        ((f"segmenter={folder}", "names.car=lorry"), "finds no 'lorry'"),
        ((f"segmenter={folder}", "names.lorry=car"), "points have no class 'lorry'"),
    ):
        result = label(street, tmp_path / "out", *settings)
        assert result.exit_code != 0
        assert told in result.output.lower() or told in result.output
        assert not (tmp_path / "out").exists()


class _Command:
    def __reduce__(self):
        return os.mkdir, ("made-by-a-pickle",)


def test_a_checkpoint_runs_no_code(street, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "bad.pth"
    path.write_bytes(pickle.dumps(_Command()))
    result = label(street, tmp_path / "out", f"sam={path}")
    assert result.exit_code != 0
    assert "no weights that can be read" in result.output
    assert not Path("made-by-a-pickle").exists()


def box(left, right, shape=(20, 60)):
    mask = np.zeros(shape, dtype=bool)
    mask[5:15, left:right] = True
    return mask


def test_fragments_inside_a_detection_are_one_object_and_a_mask_over_two_is_cut():
    coarse = Coarse.of(np.stack([box(5, 25), box(30, 50)]), np.array([CAR, CAR]), np.array([0.9, 0.8]))
    masks = np.stack([box(5, 14), box(15, 27), box(29, 50), box(20, 40)])
    found = paint_objects(masks, np.array([0.9, 0.8, 1.0, 0.95]), coarse)
    row = found.instance[10]
    assert set(row[5:14]) == set(row[15:25]) == {0}  # two fragments
    assert set(row[30:50]) == {1}
    assert row[26] == 0  # what the detection missed
    assert row[29] == 1
    assert set(found.semantic[found.instance >= 0]) == {CAR}
    np.testing.assert_allclose(found.scores, [0.9 * 0.95, 0.8])


def test_detections_that_no_mask_covers_stay_as_they_are():
    coarse = Coarse.of(np.stack([box(5, 25), box(30, 50)]), np.array([PEDESTRIAN, CAR]), np.array([0.9, 0.8]))
    found = paint_objects(np.stack([box(30, 50)]), np.array([0.5]), coarse)
    assert coarse.classes.tolist() == [CAR, PEDESTRIAN]
    np.testing.assert_array_equal(found.semantic == PEDESTRIAN, box(5, 25))
    np.testing.assert_allclose(found.scores, [0.4, 0.9])


def test_it_is_asked_at_few_pixels_of_things_alone():
    semantic = np.full((40, 60), NONE)
    semantic[:, 30:] = CAR
    pixels = np.stack(np.meshgrid(np.arange(60), np.arange(40), indexing="ij"), axis=-1).reshape(-1, 2)
    found = prompts_at(pixels, semantic)
    assert len(found) == MOST_PROMPTS
    assert found[:, 0].min() == 30
    assert len(prompts_at(pixels[:100], semantic)) == 0
