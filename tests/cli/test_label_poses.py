"""`vsrd-ray label --poses`: poses of a file or of a name, what manifests keep of them, and what is refused."""

import json
import re
import shlex
import shutil
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.datasets.kitti360.poses import read_poses
from vsrd_ray.geometry.rigid import inverse

SEQUENCE = "2013_05_28_drive_0000_sync"
PAGE = Path(__file__).resolve().parents[2] / "docs" / "kitti_raw.md"
FRAMES = range(144, 150)  # of the real drive: parked cars on both sides


@pytest.fixture
def odometry(street, tmp_path):
    """The street's poses as visual odometry gives them: the world is that of the first camera, and twice as long."""
    poses = read_poses(street, SEQUENCE)
    lines = []
    for pose in poses.values():
        seen = inverse(poses[0]) @ pose
        seen[:3, 3] *= 2
        lines.append(" ".join(map(repr, seen[:3].ravel().tolist())))
    file = tmp_path / "orb.txt"
    file.write_text("\n".join([*lines, ""]))
    return file


@pytest.fixture
def label(command, street, quick, tmp_path):
    """Labels the street without Ray; the first groups alone."""

    def run(*options, output=tmp_path / "output", root=street):
        given = ["--serial", "--limit", "1", *quick, *options]
        return command("label", "--root", root, "--sequence", SEQUENCE, "--output", output, *given)

    return run


def boxes_of(output):
    files = sorted((output / "labels").rglob("*.parquet"))
    table = pq.read_table(files[0]).sort_by([("frame", "ascending"), ("instance_id", "ascending")])
    return np.column_stack(
        [table[name].to_numpy() for name in ("x_world", "y_world", "z_world", "length", "yaw_world")]
    )


def test_odometry_of_another_world_and_scale_gives_the_labels_of_the_datasets_own_poses(label, odometry, tmp_path):
    own, given = tmp_path / "own", tmp_path / "given"
    assert label(output=own).exit_code == 0
    result = label("--poses", odometry, output=given)
    assert result.exit_code == 0, result.output
    assert "longer" not in result.output
    assert "21 m of common path alone tell its scale by cam0_to_world.txt" in result.output
    manifest = json.loads((given / "manifest.json").read_text())
    assert manifest["inputs"]["given"] == {"pose_file": str(odometry)}
    np.testing.assert_allclose(boxes_of(given), boxes_of(own), atol=0.02)


def test_a_run_with_other_poses_is_not_gone_on_with(label, odometry, tmp_path):
    assert label("--poses", odometry).exit_code == 0
    refused = label()
    assert refused.exit_code == 2
    assert "holds a run with other settings" in refused.output and "pose_file" in refused.output
    shutil.copy2(odometry, tmp_path / "other.txt")
    assert label("--poses", tmp_path / "other.txt").exit_code == 2
    before = boxes_of(tmp_path / "output")
    lines = odometry.read_text().splitlines()
    odometry.write_text("\n".join([*lines[:-1], lines[-2], ""]))
    again = label("--poses", odometry)
    assert again.exit_code == 0, again.output
    assert (tmp_path / "output" / "superseded").is_dir()
    assert len(before)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--poses", "oxts"], "--poses oxts: KITTI-360 has none of that name: give given, or a file"),
        (["--poses", "nowhere.txt"], "no pose file nowhere.txt: check the path"),
        (["--set", "poses.scale=none"], "poses.scale is of a pose file"),
        (["--poses", "given", "--set", "poses.scale=none"], "poses.scale is of a pose file"),
        (
            ["--poses", "a.txt", "--set", "poses.scale=2"],
            "poses.scale=2: give own, by the dataset's own poses, or none",
        ),
    ],
)
def test_what_cannot_be_is_refused(label, options, message):
    result = label(*options)
    assert result.exit_code in (2, 3)
    assert message in result.output.replace("\n", " ")


def test_odometry_as_it_is_warns_of_its_scale(label, odometry):
    result = label("--poses", odometry, "--set", "poses.scale=none", "--classes", "truck")
    assert "orb.txt: its path is 100.0% longer than that by cam0_to_world.txt" in result.output


def test_odometry_where_nothing_tells_gravity_is_refused(label, odometry, root):
    paths.poses_file(root, SEQUENCE).unlink()
    result = label("--poses", odometry, root=root)
    assert result.exit_code in (2, 3)
    assert "in a world whose y axis points down" in result.output


def test_commands_of_the_page_label_and_evaluate_a_real_drive(command, shared, tmp_path):
    """The drive as it is, but with the masks of a few frames."""
    real, root = shared / "data" / "kitti_raw_mini", tmp_path / "here" / "kitti"
    root.mkdir()
    for folder in ("2011_09_26", "orb_slam3", "tracking", "object/mapping"):
        (root / folder).parent.mkdir(exist_ok=True)
        (root / folder).symlink_to(real / folder)
    (root / "object" / "ImageSets").mkdir()
    (root / "object" / "ImageSets" / "val.txt").write_text("000000\n")  # of another drive
    masks = root / "mots" / "instances_txt" / "0011.txt"
    masks.parent.mkdir(parents=True)
    lines = (real / "mots" / "instances_txt" / "0011.txt").read_text().splitlines()
    masks.write_text("\n".join(line for line in lines if int(line.split()[0]) in FRAMES))
    blocks = re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)
    label, evaluate, *exports = [
        shlex.split(line, comments=True)[1:] for block in blocks for line in block.splitlines()
    ]
    result = command(*label, "--serial")
    assert result.exit_code == 0, result.output
    assert f"Frames    {len(FRAMES)} of 373 labelled" in result.output
    assert "Poses     steps jitter by" in result.output and "the metric path is 0.98" in result.output
    assert json.loads((tmp_path / "here" / "labels" / "manifest.json").read_text())["poses"].keys() == {label[4]}
    evaluated = command(*evaluate, "--json")
    assert evaluated.exit_code == 0, evaluated.output
    figures = json.loads(evaluated.stdout)
    assert figures["static"]["count"] == figures["static"]["labelled"] > 15
    assert figures["static_by_range"]["0 - 15 m"]["iou_3d"]["mean"] > 0.6
    for words in [*exports, ["export", "labels", "--root", "kitti", "--format", "kitti", "--output", "text"]]:
        exported = command(*words)
        assert exported.exit_code == 0, exported.output
        assert f"in {len(FRAMES)} frames" in exported.output


def test_visual_poses_without_their_package_say_what_to_install(label, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pycolmap", None)
    result = label("--poses", "visual")
    assert result.exit_code == 2 and "pip install 'vsrd-ray[visual]'" in result.output
    assert not (tmp_path / "output").exists()
