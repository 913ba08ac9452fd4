"""`vsrd-ray datasets` and `vsrd-ray labelers`: what is installed, for people and for programs."""

import json


def part(text: str, name: str) -> list[str]:
    """The lines on one of the things that are listed."""
    lines = text.splitlines()
    (first,) = [n for n, line in enumerate(lines) if line.startswith(f"{name}: ")]
    facts = [n for n in range(first + 1, len(lines) + 1) if n == len(lines) or not lines[n].startswith("  ")]
    return lines[first : facts[0]]


def test_datasets(command):
    result = command("datasets")
    assert result.exit_code == 0, result.output
    assert part(result.stdout, "kitti360") == [
        "kitti360: KITTI-360: rectified cameras, 2D instance masks, LiDAR sweeps, poses; boxes as truth",
        "  cameras  image_00, image_01",
        "  layers   images, masks, points, depth, semantics",
        "  truth    boxes, points, depth, voxels",
    ]
    found = json.loads(command("datasets", "--json").stdout)
    assert found["kitti360"] == {
        "summary": "KITTI-360: rectified cameras, 2D instance masks, LiDAR sweeps, poses; boxes as truth",
        "cameras": ["image_00", "image_01"],
        "layers": ["images", "masks", "points", "depth", "semantics"],
        "truth": ["boxes", "points", "depth", "voxels"],
    }
    assert len(found["nuscenes"]["cameras"]) == 6
    assert found["nuscenes"]["layers"] == ["images", "masks", "points", "depth", "semantics"]
    assert found["nuscenes"]["truth"] == ["boxes", "points", "voxels"]


def test_labelers(command):
    result = command("labelers")
    assert result.exit_code == 0, result.output
    first, *facts = part(result.stdout, "vsrd")
    assert first.startswith("vsrd: 3D boxes from 2D instance masks")
    assert facts == [
        "  needs    masks",
        "  writes   boxes (3D boxes in the world and in each frame)",
        "  configs  demo, fast, kitti360_vsrd",
    ]
    labelers = json.loads(command("labelers", "--json").stdout)
    assert labelers["vsrd"]["needs"] == ["masks"]
    assert labelers["masks"]["needs"] == ["images"]
