"""`vsrd-ray label --config masks` with a tiny model: labelled, resumed, measured, handed over and shown."""

import json
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import tiny_models
from pycocotools.coco import COCO

SEQUENCE = "2013_05_28_drive_0000_sync"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_models.rf_detr(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def label(command, street, model):
    def run(output, *more, root=street, folder=model):
        options = ["--root", root, "--sequence", SEQUENCE, "--config", "masks", "--serial", "--output", output]
        return command("label", *options, "--set", f"model={folder}", "--set", "min_score=0.005", *more)

    return run


def test_a_run_goes_on_and_is_measured_handed_over_and_shown(command, label, street, tmp_path, files_in):
    assert label(tmp_path / "whole").exit_code == 0
    assert label(tmp_path / "parts", "--limit", "1").exit_code == 0
    done = label(tmp_path / "parts")
    assert done.exit_code == 0 and "Frames    24 of 24 labelled" in done.stdout
    assert "doubtful" in done.stdout and "Warning" not in done.stdout  # scores tell nothing of poses
    assert files_in(tmp_path / "parts", "masks") == files_in(tmp_path / "whole", "masks") != {}

    rows = pq.read_table(tmp_path / "whole" / "masks").to_pylist()
    assert {row["class_name"] for row in rows} <= {"car", "truck", "bus"}
    assert {row["frame"] for row in rows} == set(range(24)) and min(row["area"] for row in rows) >= 64

    done = command("evaluate", tmp_path / "whole", "--root", street, "--json")
    figures = json.loads(done.stdout)
    assert figures["frames"] == 24 and figures["classes"]["car"]["true"] > 24
    found = sum(one["found"] + one["wrong"] for one in figures["classes"].values())
    assert len(rows) - 24 <= found <= len(rows)  # but for those on objects that are too small to count

    path = tmp_path / "masks.json"
    assert command("export", tmp_path / "whole", "--root", street, "--format", "coco", "--output", path).exit_code == 0
    coco = COCO(path)
    first = rows[0]
    (annotation,) = [one for one in coco.loadAnns(coco.getAnnIds(imgIds=[1])) if one["score"] == first["score"]][:1]
    assert coco.annToMask(annotation).sum() == annotation["area"] == first["area"]

    done = command("report", tmp_path / "whole", "--root", street)
    assert done.exit_code == 0 and "masks in 24 frames" in (tmp_path / "whole" / "report.html").read_text()


def test_perfect_masks_are_found_all(street):
    from vsrd_ray.datasets.base import open_drive
    from vsrd_ray.labels.masks.quality import Score, _count
    from vsrd_ray.labels.masks.schema import encoded

    drive = open_drive(street, SEQUENCE)
    scores = {"car": Score()}
    instance_map = drive.read("masks", drive.camera.name, 5)
    ids = [n for n in np.unique(instance_map) if n // 1000 == 26 and n % 1000]
    rows = [{"class_name": "car", **encoded(instance_map == n)} for n in ids]
    large = sum(row["area"] >= 64 for row in rows)
    _count(drive, 5, rows, scores)
    assert scores["car"] == Score(true=large, found=large, wrong=0, overlap=float(large))
    shifted = [{"class_name": "car", **encoded(np.roll(instance_map == n, 200, axis=1))} for n in ids]
    _count(drive, 5, shifted, scores)
    assert scores["car"].true == 2 * large and scores["car"].wrong > 0


def test_other_weights_are_another_run(label, model, tmp_path):
    copy = shutil.copytree(model, tmp_path / "copy")
    output = tmp_path / "output"
    assert label(output, "--limit", "1", folder=copy).exit_code == 0
    path = copy / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-4] + b"\0\0\0\1")
    done = label(output, folder=copy)
    assert done.exit_code == 2 and "weights" in done.stderr


def test_classes_are_words_to_models_without_classes(label, tmp_path):
    model = tiny_models.sam3(tmp_path / "sam3")
    options = ["--classes", "car,train", "--set", "names.train=fire engine", "--set", "frames_a_group=2"]
    done = label(tmp_path / "output", "--limit", "1", *options, folder=model)
    assert done.exit_code == 0, done.output
    rows = pq.read_table(tmp_path / "output" / "masks").to_pylist()
    assert {row["class_name"] for row in rows} <= {"car", "train"} and {row["frame"] for row in rows} <= {0, 1}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--classes", "train"], "the model finds no 'train': --set names.train=NAME says what it calls a train"),
        (["--classes", "car,truck", "--set", "names.truck=car"], "names: car stands for car and for truck"),
        (["--set", "model=''"], "--set model=FOLDER names the folder of its weights"),
        (["--set", "model=nowhere"], "nowhere: no such folder"),
    ],
    ids=["class", "twice", "none", "nowhere"],
)
def test_bad_input_is_named_with_the_fix(label, tmp_path, options, said):
    done = label(tmp_path / "output", *options)
    assert done.exit_code == 2 and said in done.stderr
    assert not (tmp_path / "output").exists()


def test_commands_of_the_page_run(command, street, model, tmp_path, monkeypatch):
    page = (Path(__file__).resolve().parents[2] / "docs" / "masks.md").read_text()
    (block,) = re.findall(r"^```sh\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)
    monkeypatch.chdir(tmp_path)
    Path("street").symlink_to(street)
    Path("rf-detr-seg").symlink_to(model)
    for line in block.splitlines():
        words = shlex.split(line)[1:]
        more = ["--serial", "--set", "min_score=0.005", "--limit", "1"] if words[0] == "label" else []
        done = command(*words, *more)
        assert done.exit_code == 0, done.output
