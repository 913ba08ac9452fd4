"""`vsrd-ray datasets` and `vsrd-ray labelers`: what is installed, for people and for programs."""

import json


def test_datasets(command):
    result = command("datasets")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[:4] == [
        "kitti360: KITTI-360: rectified cameras, 2D instance masks, poses; boxes as truth",
        "  cameras  image_00, image_01",
        "  layers   images, masks",
        "  truth    boxes",
    ]
    found = json.loads(command("datasets", "--json").stdout)
    assert found["kitti360"] == {
        "summary": "KITTI-360: rectified cameras, 2D instance masks, poses; boxes as truth",
        "cameras": ["image_00", "image_01"],
        "layers": ["images", "masks"],
        "truth": ["boxes"],
    }
    assert len(found["nuscenes"]["cameras"]) == 6
    assert found["nuscenes"]["layers"] == ["images", "masks", "points"]
    assert found["nuscenes"]["truth"] == ["boxes", "points"]


def test_labelers(command):
    result = command("labelers")
    assert result.exit_code == 0, result.output
    first, *facts = result.stdout.splitlines()
    assert first.startswith("vsrd: 3D boxes from 2D instance masks")
    assert facts == [
        "  needs    masks",
        "  writes   boxes (3D boxes in the world and in each frame)",
        "  configs  demo, fast, kitti360_vsrd",
    ]
    labelers = json.loads(command("labelers", "--json").stdout)
    assert labelers.keys() == {"vsrd"}
    assert labelers["vsrd"]["needs"] == ["masks"]
