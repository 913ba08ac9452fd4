"""Models that find what words say, on tiny random weights, and Mask R-CNN's outputs."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import tiny_models
import torch

from vsrd_ray.errors import InputError
from vsrd_ray.perception import from_torchvision
from vsrd_ray.perception.by_words import Words, _without_doubles
from vsrd_ray.perception.loading import class_of
from vsrd_ray.perception.models import check_models, load_segmenter
from vsrd_ray.perception.weights import digest

SIZE = (96, 192)


def images(count):
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8) for _ in range(count)]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {
        "boxes": (str(tiny_models.sam2(folder / "sam2")), str(tiny_models.grounding_dino(folder / "dino"))),
        "masks": (str(tiny_models.sam3(folder / "sam3")), None),
        "video": (str(tiny_models.sam3(folder / "sam3_video", video=True)), None),
    }


@pytest.mark.parametrize("kind", ["boxes", "masks", "video"])
def test_words_are_found_in_each_image_and_no_others(folders, kind):
    assert check_models(*folders[kind]) == ()
    segmenter = load_segmenter(*folders[kind], "cpu")
    assert segmenter.labels == ()
    batch = segmenter.segment(images(2), min_score=0.0, wanted=["car", "fire engine"])
    for found in batch:
        assert len(found.scores) == len(found.labels) == len(found.masks) > 0
        assert found.masks.shape[1:] == SIZE and found.masks.dtype == bool and found.masks.any((1, 2)).all()
        assert set(found.labels) <= {"car", "fire engine"} and (np.diff(found.scores) <= 0).all()
    (first,) = segmenter.segment(images(1), min_score=0.0, wanted=["car", "fire engine"])
    np.testing.assert_allclose(first.scores, batch[0].scores, rtol=1e-4)  # the first of a video knows no others
    limit = float(first.scores[0])
    (none,) = segmenter.segment(images(1), min_score=limit, wanted=["car", "fire engine"])
    assert none.masks.shape == (0, *SIZE)


def test_tokens_are_those_of_their_words(folders):
    words = Words.of(folders["masks"][0])
    tokens, is_own = words.listed(["Car", "fire engine"])
    assert tokens.tolist() == [[101, 1030, 1012, 1033, 1034, 1012, 102]]
    assert is_own.int().tolist() == [[0, 1, 0, 0, 0, 0, 0], [0, 0, 0, 1, 1, 0, 0]]
    ids, mask = words.padded("bus")
    assert ids[0, :4].tolist() == [101, 1032, 102, 102] and mask.sum() == 3 and ids.shape == mask.shape == (1, 32)


def test_of_masks_of_one_object_the_surest_stays():
    logits = torch.full((3, 4, 4), -1.0)
    logits[0, :2], logits[1, :2, :3], logits[2, 3] = 1.0, 1.0, 1.0
    scores = torch.tensor([0.6, 0.9, 0.7])
    assert _without_doubles(logits, scores, torch.arange(3)).tolist() == [1, 2]
    assert _without_doubles(logits, scores, torch.tensor([0])).tolist() == [0]


def test_a_folder_without_tokenizer_is_named(folders, tmp_path):
    folder = tiny_models.grounding_dino(tmp_path / "dino")
    before = digest(folder)
    (folder / "tokenizer.json").write_text("{")
    with pytest.raises(InputError, match=r"tokenizer\.json: no tokenizer .*: download it again"):
        check_models(folders["boxes"][0], str(folder))
    assert digest(folder) == before  # of weights
    (folder / "tokenizer.json").unlink()
    with pytest.raises(InputError, match=r"tokenizer\.json: no such file: download the whole model again"):
        check_models(folders["boxes"][0], str(folder))


def test_a_library_that_cannot_import_its_models_says_why(monkeypatch):
    class Broken:
        utils = SimpleNamespace(
            logging=SimpleNamespace(set_verbosity_error=lambda: None, disable_progress_bar=lambda: None)
        )

        def __getattr__(self, name):
            raise ModuleNotFoundError(f"Could not import {name}") from RuntimeError("operator nms does not exist")

    monkeypatch.setitem(sys.modules, "transformers", Broken())
    with pytest.raises(InputError, match=r"import SamModel \(.*nms does not exist\): .*remove it or install"):
        class_of("SamModel")


def test_outputs_of_mask_rcnn_become_detections():
    masks = torch.zeros((4, 1, *SIZE))
    masks[:3, 0, 10:20, 30:50], masks[3, 0, :5, :5] = 0.9, 0.4  # the last one nowhere likely
    output = {
        "labels": torch.tensor([3, 1, 3, 3]),
        "scores": torch.tensor([0.6, 0.9, 0.8, 0.7]),
        "masks": masks,
        "boxes": torch.zeros((4, 4)),
    }
    labels = ("__background__", "person", "bicycle", "car")
    found = from_torchvision.converted(output, labels, min_score=0.5, wanted=["car"])
    assert found.labels == ("car", "car") and found.scores.tolist() == pytest.approx([0.8, 0.6])
    assert found.masks.shape == (2, *SIZE) and found.masks.sum() == 2 * 10 * 20
    none = from_torchvision.converted(
        {key: value[:0] for key, value in output.items()}, labels, min_score=0.5, wanted=[]
    )
    assert none.masks.shape == (0, *SIZE)


def test_torchvision_that_is_not_there_is_named_with_the_fix(tmp_path):
    with pytest.raises(InputError, match=r"none\.pth: no such file: give the weights of torchvision"):
        check_models(str(tmp_path / "none.pth"), None)
    file = tmp_path / "maskrcnn.pth"
    file.write_bytes(b"")
    try:
        import torchvision  # noqa: F401
    except (ImportError, RuntimeError):
        with pytest.raises(InputError, match="needs a torchvision that is built for torch"):
            check_models(str(file), None)
    else:
        with pytest.raises(InputError, match="the weights cannot be read"):
            load_segmenter(str(file), None, "cpu")


def test_mask_rcnn_runs_where_torchvision_works(tmp_path):
    try:
        from torchvision.models import detection
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"no torchvision beside this torch: {error}")
    torch.manual_seed(0)
    network = detection.maskrcnn_resnet50_fpn_v2(weights=None, weights_backbone=None, num_classes=91)
    torch.save(network.state_dict(), tmp_path / "maskrcnn.pth")
    segmenter = load_segmenter(str(tmp_path / "maskrcnn.pth"), None, "cpu")
    assert segmenter.labels[3] == "car"
    (found,) = segmenter.segment(images(1), min_score=0.0, wanted=["car"])
    assert found.masks.shape[1:] == SIZE and set(found.labels) <= {"car"}
