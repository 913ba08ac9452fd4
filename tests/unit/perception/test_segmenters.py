"""Adapters on tiny random models, and where on the image their masks and boxes come to lie."""

from types import SimpleNamespace

import numpy as np
import pytest
import tiny_models
import torch
from torch.nn import functional

from vsrd_ray.errors import InputError
from vsrd_ray.perception.from_transformers import PromptedSegmenter, QueryDetector, QuerySegmenter
from vsrd_ray.perception.loading import DETECTORS, SEGMENTERS, Model, check_folder
from vsrd_ray.perception.models import load_segmenter
from vsrd_ray.perception.pixels import Preprocessor
from vsrd_ray.perception.weights import digest

SIZE = (96, 352)
LABELS = ("person", "car")
PADDED = {"size": {"shortest_edge": 64, "longest_edge": 200}, "size_divisor": 32}
STRETCHED = {"size": {"height": 64, "width": 64}}
SQUARE = {"size": {"longest_edge": 128}, "pad_size": {"height": 128, "width": 128}}


def images(count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8) for _ in range(count)]


@pytest.fixture(scope="module", params=["mask2former", "rf_detr", "sam"])
def segmenter(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    model = getattr(tiny_models, request.param)(folder / "model")
    detector = tiny_models.rf_detr(folder / "detector", masks=False) if request.param == "sam" else None
    return load_segmenter(str(model), detector and str(detector), "cpu")


def test_detections_are_those_of_wanted_classes_by_falling_score(segmenter):
    assert segmenter.labels == tuple(tiny_models.NAMES.values())
    for found in segmenter.segment(images(2), min_score=0.0, wanted=["car", "truck"]):
        assert len(found.scores) == len(found.labels) == len(found.masks) > 0
        assert found.masks.shape[1:] == SIZE and found.masks.dtype == bool and found.masks.any((1, 2)).all()
        assert set(found.labels) <= {"car", "truck"}
        assert (np.diff(found.scores) <= 0).all()


def test_an_image_is_segmented_alike_alone_and_in_a_batch(segmenter):
    batch = segmenter.segment(images(3), min_score=0.0, wanted=["car"])
    for image, beside in zip(images(3), batch, strict=True):
        (alone,) = segmenter.segment([image], min_score=0.0, wanted=["car"])
        np.testing.assert_allclose(alone.scores, beside.scores, rtol=1e-4)
        assert (alone.masks != beside.masks).mean() < 1e-3


def test_a_score_leaves_out_what_is_less_sure(segmenter):
    (every,) = segmenter.segment(images(1), min_score=0.0, wanted=["car"])
    limit = float(every.scores[2])
    (some,) = segmenter.segment(images(1), min_score=limit, wanted=["car"])
    assert some.scores.tolist() == [score for score in every.scores.tolist() if score > limit]
    (none,) = segmenter.segment(images(1), min_score=1.0, wanted=["car"])
    assert none.masks.shape == (0, *SIZE)


def car() -> np.ndarray:
    """A box of an image, as a mask."""
    mask = np.zeros(SIZE, dtype=bool)
    mask[40:80, 200:320] = True
    return mask


class Seeing:
    """A network that finds the white parts of its pixels, each output at a quarter of the resolution."""

    config = SimpleNamespace(id2label=dict(enumerate(LABELS)))

    def __call__(self, pixel_values, pixel_mask):
        white = functional.avg_pool2d(pixel_values.mean(1, keepdim=True), 4) - 0.5
        logits = torch.tensor([[[-5.0, 5.0, -5.0]]]).expand(len(pixel_values), -1, -1)
        assert (pixel_mask.sum((1, 2)) <= pixel_values[0, 0].numel()).all()
        return SimpleNamespace(class_queries_logits=logits, masks_queries_logits=white * 20)


@pytest.mark.parametrize("processor", [PADDED, STRETCHED, SQUARE], ids=["padded", "stretched", "square"])
def test_masks_lie_where_the_network_saw_them(processor):
    plain = processor | {"image_mean": [0, 0, 0], "image_std": [1, 1, 1]}
    model = Model("test", Seeing(), Preprocessor(plain, source="test"), LABELS)
    image = np.where(car()[..., None], np.uint8(255), np.uint8(0)).repeat(3, axis=-1)
    (found,) = QuerySegmenter(model, "cpu").segment([image], min_score=0.5, wanted=["car"])
    (mask,), (label,) = found.masks, found.labels
    assert label == "car"
    assert (mask & car()).sum() / (mask | car()).sum() > 0.8


@pytest.mark.parametrize("processor", [PADDED, STRETCHED, SQUARE], ids=["padded", "stretched", "square"])
def test_boxes_prompt_where_the_detector_saw_them(processor):
    rows, columns = np.nonzero(car())
    box = [columns.mean() / SIZE[1], rows.mean() / SIZE[0], 120 / SIZE[1], 40 / SIZE[0]]
    outputs = SimpleNamespace(logits=torch.tensor([[[-5.0, 5.0]]]), pred_boxes=torch.tensor([[box]]))
    preprocess = Preprocessor(processor, source="test")

    def fill(pixel_values, input_boxes, multimask_output):
        assert not multimask_output
        height, width = pixel_values.shape[-2:]
        left, top, right, bottom = input_boxes[0, 0]
        y, x = torch.arange(height)[:, None], torch.arange(width)[None]
        inside = (x >= left) & (x < right) & (y >= top) & (y < bottom)
        return SimpleNamespace(pred_masks=(inside.float() * 2 - 1)[None, None, None])

    detector = Model("test", lambda pixel_values: outputs, preprocess, LABELS)
    prompted = Model("test", fill, preprocess, ())
    (found,) = PromptedSegmenter(QueryDetector(detector, "cpu"), prompted, "cpu").segment(
        images(1), min_score=0.5, wanted=["car"]
    )
    (mask,) = found.masks
    assert (mask & car()).sum() / (mask | car()).sum() > 0.85


def test_pixels_are_resized_and_normalised_as_the_file_says():
    config = {"size": {"height": 8, "width": 8}, "image_mean": [0.5, 0.25, 0], "image_std": [0.5, 0.25, 1]}
    blue = np.zeros((16, 32, 3), dtype=np.uint8)
    blue[..., 0] = 255  # BGR
    pixels = Preprocessor(config, source="test")([blue], "cpu")
    assert pixels.values.shape == (1, 3, 8, 8) and pixels.mask.all()
    assert pixels.values[0].amax((1, 2)).tolist() == pixels.values[0].amin((1, 2)).tolist() == [-1.0, -1.0, 1.0]
    raw = Preprocessor(config | {"do_rescale": False, "do_normalize": False}, source="test")([blue], "cpu")
    assert raw.values[0, 2].unique().tolist() == [255.0]


@pytest.fixture
def folder(tmp_path):
    return tiny_models.mask2former(tmp_path / "model")


def halved(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def pickled(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def of_another_model(folder):
    from safetensors.torch import load_file, save_file

    arrays = load_file(folder / "model.safetensors")
    save_file(dict(sorted(arrays.items())[:50]), folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: (folder / "config.json").unlink(), "config.json: no such file: download the whole model"),
        (lambda folder: (folder / "config.json").write_text("{"), "config.json: no JSON"),
        (
            lambda folder: (folder / "config.json").write_text('{"architectures": ["BertModel"]}'),
            "a BertModel, expected",
        ),
        (lambda folder: (folder / "preprocessor_config.json").unlink(), "preprocessor_config.json: no such file"),
        (
            lambda folder: (folder / "preprocessor_config.json").write_text('{"size": {"edge": 3}}'),
            "size: expected height",
        ),
        (lambda folder: (folder / "model.safetensors").unlink(), "model.safetensors: no such file"),
        (pickled, "pytorch_model.bin is a pickle, which is not opened"),
        (halved, "the weights cannot be loaded"),
        (of_another_model, r"the weights lack \d+ arrays"),
    ],
    ids=[
        "no config",
        "torn config",
        "another model",
        "no processor",
        "odd size",
        "no weights",
        "pickle",
        "half",
        "lacks",
    ],
)
def test_folders_that_cannot_be_used_are_named_with_the_fix(folder, spoil, said):
    spoil(folder)
    with pytest.raises(InputError, match=said):
        load_segmenter(str(folder), None, "cpu")


def test_a_detector_is_no_segmenter_and_a_digest_tells_weights_apart(tmp_path):
    detector = tiny_models.rf_detr(tmp_path / "detector", masks=False)
    check_folder(str(detector), DETECTORS)
    with pytest.raises(InputError, match="a RfDetrForObjectDetection, expected one of RfDetrForInstanceSegmentation"):
        check_folder(str(detector), SEGMENTERS)
    with pytest.raises(InputError, match="nowhere: no such folder"):
        check_folder(str(tmp_path / "nowhere"), SEGMENTERS)
    before = digest(detector)
    path = detector / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\1")
    assert digest(detector) != before
