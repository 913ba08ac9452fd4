"""Golden arrays of PointSAM's published stage A: prompts, SAM from an original checkpoint, its masks, painting."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from vsrd_ray.errors import InputError
from vsrd_ray.labelers.points.painting import Coarse, largest_first, paint_published
from vsrd_ray.labelers.points.prompts import dense_points, farthest_points, sweeps_around
from vsrd_ray.perception.sam import (
    MIN_IOU,
    MIN_STABILITY,
    boxes_of,
    load_point_segmenter,
    stabilities_of,
    without_duplicates,
)
from vsrd_ray.perception.sam_weights import renamed

MIN_SCORE = 0.3


@pytest.fixture(scope="module")
def golden(shared):
    prefixes = ("samtiny/", "sam/", "sweeps/", "fps/", "coarse/", "paint/")
    with np.load(shared / "reference" / "pointsam_golden.npz") as arrays:
        return {name: arrays[name] for name in arrays.files if name.startswith(prefixes)}


def pose(golden, name):
    T = np.eye(4)
    place = name.replace("*", "translation"), name.replace("*", "rotation")
    T[:3, 3] = golden[place[0]]
    T[:3, :3] = Rotation.from_quat(np.roll(golden[place[1]], -1)).as_matrix()
    return T


@pytest.mark.parametrize("case", ["first", "middle", "last"])
def test_sweeps_are_brought_together_as_published(golden, case):
    poses = [pose(golden, f"sweeps/ego_*_{one}") @ pose(golden, "sweeps/lidar_*") for one in range(4)]
    offsets = golden[f"sweeps/{case}/offsets"].tolist()
    places = sweeps_around(4, int(golden[f"sweeps/{case}/key_index"]), offsets)
    xyz = [golden[f"sweeps/file_{one}"][:, :3].astype(np.float64) for one in places]
    found = dense_points(xyz, [poses[one] for one in places])
    expected = golden[f"sweeps/{case}/points"][golden[f"sweeps/{case}/keep"], :3]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("case", range(3))
def test_prompts_are_spread_as_published(golden, case):
    coords, count, start = (golden[f"fps/{case}/{name}"] for name in ("coords", "count", "start"))
    np.testing.assert_array_equal(farthest_points(coords, int(count), int(start)), golden[f"fps/{case}/indices"])


def test_detections_are_painted_over_each_other_by_class(golden):
    kept = golden["coarse/score"] > MIN_SCORE
    coarse = Coarse.of(*(golden[f"coarse/{name}"][kept] for name in ("masks", "class", "score")))
    np.testing.assert_array_equal(coarse.semantic, golden["coarse/semantic"])


def test_masks_are_kept_as_published(golden):
    logits, ious = torch.from_numpy(golden["sam/logits"]).flatten(0, 1), golden["sam/iou_preds"].ravel()
    stability = stabilities_of(logits).numpy()
    np.testing.assert_array_equal(stability, golden["sam/stability_all"].ravel())
    good = np.flatnonzero((ious > MIN_IOU) & (stability >= MIN_STABILITY))
    masks = logits[good] > 0
    boxes = boxes_of(masks).numpy()
    order = without_duplicates(boxes, ious[good])
    np.testing.assert_array_equal(masks[order].numpy(), golden["sam/kept_masks"])
    np.testing.assert_array_equal(boxes[order, :2], golden["sam/kept_bbox_xywh"][:, :2])
    np.testing.assert_array_equal(boxes[order, 2:] - boxes[order, :2], golden["sam/kept_bbox_xywh"][:, 2:])
    np.testing.assert_allclose(ious[good][order], golden["sam/kept_iou"], rtol=0, atol=1e-7)
    np.testing.assert_array_equal(golden["sam/prompts"][good[order] // 3], golden["sam/kept_prompt"])


@pytest.mark.parametrize("case", range(4))
def test_masks_are_painted_as_published(golden, case):
    semantic, masks = golden[f"paint/{case}/coarse"], golden[f"paint/{case}/masks"]
    classes = np.arange(10)
    coarse = Coarse.of(semantic == classes[:, None, None], classes, np.ones(10))
    found = paint_published(masks, np.ones(len(masks)), coarse)
    np.testing.assert_array_equal(largest_first(masks), golden[f"paint/{case}/order"])
    np.testing.assert_array_equal(found.semantic, golden[f"paint/{case}/semantic"])
    np.testing.assert_array_equal(found.instance, golden[f"paint/{case}/instance"])


def test_an_original_checkpoint_gives_the_published_masks(golden, tmp_path):
    pytest.importorskip("transformers", reason="the extra `masks` is not installed")
    state = {
        name.removeprefix("samtiny/state/"): torch.from_numpy(values)
        for name, values in golden.items()
        if name.startswith("samtiny/state/")
    }
    for key in state:
        assert renamed(key) == str(golden[f"samtiny/hf_key/{key}"])
    path = tmp_path / "sam_tiny.pth"
    torch.save(state, path)
    network = load_point_segmenter(str(path), "cpu")._network
    points = torch.from_numpy(golden["samtiny/points"])[None]
    with torch.inference_mode():
        embedding = network.get_image_embeddings(torch.from_numpy(golden["samtiny/pixel_values"]))
        found = network(
            image_embeddings=embedding, input_points=points, input_labels=torch.ones(points.shape[:3]).long()
        )
    for ours, name in ((embedding, "embedding"), (found.pred_masks[0], "low_res_masks"), (found.iou_scores[0], "iou")):
        np.testing.assert_allclose(ours.numpy(), golden[f"samtiny/{name}"], rtol=0, atol=1e-5)
    state.pop("image_encoder.neck.2.weight")
    torch.save(state, path)
    with pytest.raises(InputError, match="another model than SAM"):
        load_point_segmenter(str(path), "cpu")
