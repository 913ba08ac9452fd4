"""docs/nuscenes.md: its commands, on a street in nuScenes' layout with masks of one camera."""

import json
import re
import shlex
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from vsrd_ray.cli import main
from vsrd_ray.data.drive import IMAGES
from vsrd_ray.datasets.base import open_drive
from vsrd_ray.datasets.kitti360.boxes import read_boxes

SCENE = "scene-0000"

PAGE = Path(__file__).resolve().parents[4] / "docs" / "nuscenes.md"
LINES = [
    line for block in re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(), re.M | re.S) for line in block.splitlines()
]
QUICK = ["--serial", "--set", "grouping.min_area=32", "--set", "grouping.min_box_side=4"]
SEQUENCE = "2013_05_28_drive_0000_sync"


@pytest.fixture
def masked(written_street: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write_masks) -> Path:
    """The street of the page in a working folder, with true masks whose ids are those of the true boxes."""
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "street" / "data_nuscenes" / SEQUENCE
    shutil.copytree(written_street, root, copy_function=shutil.copy2)
    drive = open_drive(root, SCENE)
    number_of = numbers_of_instances(written_street, drive.truth("boxes"))
    for frame in drive.frames_with(IMAGES, "CAM_FRONT"):
        image = drive.file(IMAGES, "CAM_FRONT", frame)
        path = root / "truth" / "instance" / "CAM_FRONT" / f"{image.stem}.png"
        ids = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        instance = np.full(ids.shape, -1)
        for own, number in number_of.items():
            instance[ids == own] = number - 1
        write_masks(root, "CAM_FRONT", image.name, np.where(instance >= 0, 0, 10), instance)
    return root


def numbers_of_instances(root: Path, boxes) -> dict[int, int]:
    """The number in nuScenes' truth of each of the street's ids whose box is there."""
    own = read_boxes(root.parents[1], SEQUENCE)
    numbers = {}
    for center, instance_id in zip(boxes.boxes.centers, boxes.instance_ids.tolist(), strict=True):
        distances = np.linalg.norm(own.boxes.centers - center, axis=1)
        assert distances.min() < 1e-3
        numbers[int(own.instance_ids[distances.argmin()])] = instance_id % 1000
    return numbers


def test_boxes_are_labelled_judged_and_exported_with_true_tokens(masked: Path) -> None:
    said = {}
    assert [shlex.split(line)[1] for line in LINES] == ["label", "evaluate", "export"]
    for line in LINES:
        words = shlex.split(line)[1:]
        result = CliRunner().invoke(main, [*words, *(QUICK if words[0] == "label" else [])])
        assert result.exit_code == 0, result.output
        said[words[0]] = result.output
    assert "Frames    6 of 6 labelled, 0 skipped" in said["label"]
    assert f"car in {SCENE}: 6 frames" in said["evaluate"]
    content = json.loads(Path("results", "results.json").read_text())
    tokens = open_drive(masked, SCENE).detail("sample_tokens")
    assert set(content["results"]) == set(tokens.values()) and len(tokens) == 2
    assert "of sweeps, which are no samples of nuScenes" in said["export"]
    boxes = open_drive(masked, SCENE).truth("boxes")
    found = [box for row in content["results"].values() for box in row]
    assert found and {box["detection_name"] for box in found} == {"car"}
    assert {int(box["tracking_id"]) for box in found} <= set(boxes.instance_ids.tolist())
    centers = dict(zip(boxes.instance_ids.tolist(), boxes.boxes.centers, strict=True))
    off = {box["tracking_id"]: np.linalg.norm(centers[int(box["tracking_id"])] - box["translation"]) for box in found}
    assert sum(distance < 0.5 for distance in off.values()) >= 2  # metres; others are some pixels wide, or cut


def test_without_masks_it_is_said_where_they_are_expected(written_street: Path, tmp_path: Path) -> None:
    words = ["label", "--root", written_street, "--sequence", SCENE, "--output", tmp_path / "out", "--serial"]
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exit_code == 2
    assert (
        f"no masks of {SCENE} in {written_street / 'masks' / 'CAM_FRONT'}: give --masks, or put instance_"
        in result.output
    )
    assert not (tmp_path / "out").exists()
