"""Labels by a trained network, through the commands; and one's own images."""

import json
import re
import shlex
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from walls import BASELINE, DRIVE, FOCAL, HEIGHT, TINY, WIDTH, job_of, open_wall, run_job, write_wall

from vsrd_ray.cli import main
from vsrd_ray.labelers.density.networks.fitted import read_scenes
from vsrd_ray.labelers.trainables import load_training_config
from vsrd_ray.labels.depth.schema import TABLE as DEPTH
from vsrd_ray.labels.voxels.schema import TABLE as VOXELS
from vsrd_ray.labels.voxels.schema import UNSEEN, decoded
from vsrd_ray.runs.folder import RunFolder
from vsrd_ray.training.record import Record, write_record


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_wall(tmp_path_factory.mktemp("wall") / "root")


@pytest.fixture(scope="module")
def runs(root, tmp_path_factory):
    """A teacher and a student that have been trained for two steps."""
    folder = tmp_path_factory.mktemp("runs")
    for name in ("teacher", "student"):
        changes = {"optimisation": {"steps": 2}, "watching": {"checkpoint_every": 2, "validation_samples": 0}}
        run_job(job_of(f"density_{name}", open_wall(root), folder / name, changes=changes))
        inputs = {"dataset": "kitti360", "camera": "image_00", "sequences": [DRIVE], "val_sequences": []}
        write_record(Record(f"density_{name}", {}, "", {}, inputs), folder / name)
    return folder


def call(*words, code=0):
    result = CliRunner().invoke(main, list(map(str, words)))
    assert result.exit_code == code, result.output
    return result.output


def label(root, checkpoint, role, output):
    words = ["label", "--root", root, "--sequence", DRIVE, "--config", "density", "--serial", "--output", output]
    grid = ["--set", "voxel_size=1.0", "--set", "ahead=12"]
    return call(*words, *grid, "--set", f"source={role}", "--set", f"checkpoint={checkpoint}")


@pytest.fixture(scope="module")
def fields(root, runs, tmp_path_factory):
    """What the teacher says of the drive."""
    output = tmp_path_factory.mktemp("fields") / "out"
    label(root, runs / "teacher", "teacher", output)
    return output


def test_a_network_labels_a_drive(root, fields):
    run = RunFolder(fields, root)
    maps = run.rows(DEPTH, DRIVE).to_pylist()
    assert [row["frame"] for row in maps] == [0, 1, 2, 3]
    (row,) = run.rows(VOXELS, DRIVE).to_pylist()
    voxels = decoded(row)
    seen = voxels.state != UNSEEN
    assert 0 < seen.sum() < voxels.state.size
    assert np.isfinite(voxels.density.astype(float)).all()
    assert not voxels.density[~seen].any()
    assert read_scenes(fields).frames == {(DRIVE, frame) for frame in range(4)}


def test_the_commands_of_the_page(root, fields, tmp_path, monkeypatch):
    """Those of docs/density_networks.md, in their order, with tiny networks on the wall."""
    monkeypatch.chdir(tmp_path)
    for name, place in (("street", root), ("fields", fields)):
        (tmp_path / name).symlink_to(place)
    (tmp_path / "road.png").symlink_to(root / "data_2d_raw" / DRIVE / "image_00" / "data_rect" / "0000000000.png")
    (tmp_path / "tiny.yaml").write_text(json.dumps({"base": "density_student", **TINY}))
    page = (Path(__file__).parents[4] / "docs" / "density_networks.md").read_text()
    lines = [
        line
        for block in re.findall(r"^```sh\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
        for line in block.splitlines()
    ]
    assert [shlex.split(line)[1] for line in lines] == ["train", "label", "render", "density"]
    (train, guess, film, own) = (shlex.split(line)[1:] for line in lines)
    tiny = ["--set", "optimisation.steps=2", "--set", "optimisation.schedule=constant"]
    assert "student" in call(*(word.replace("density_student", "tiny.yaml") for word in train), *tiny)
    call(*guess, "--serial", "--set", "voxel_size=1.0", "--set", "ahead=12")
    assert "2 pictures written to profile.mp4" in call(*film)
    call(*(word.replace("552.6,552.6,682.0,238.8", "kitti360") for word in own))
    assert {path.name for path in (tmp_path / "seen").iterdir()} == {"road-depth.png", "road-seen.png", "road.ply"}


def test_configurations_that_ship_keep_or_mend_all_quirks():
    for name in ("density_teacher", "density_student"):
        assert not any(load_training_config(name).quirks.model_dump().values())
        published = load_training_config(f"density_published_{name.removeprefix('density_')}")
        assert published.trainable == name
        assert all(published.quirks.model_dump().values())


def test_a_source_without_a_checkpoint_is_told(root, tmp_path):
    words = ["label", "--root", root, "--sequence", DRIVE, "--config", "density", "--output", tmp_path / "out"]
    assert "source=student needs checkpoint" in call(*words, "--set", "source=student", code=2)
    assert "no checkpoint" in call(*words, "--set", "source=student", "--set", "checkpoint=nowhere.pt", code=2)


def test_a_network_is_filmed_as_what_it_labels_is(root, runs, fields, tmp_path):
    """The same depth, whether it is asked of the network or of the labels that it has made."""
    for what, number in (("depth", 2), ("profile", 2)):
        for run, name in ((runs / "teacher", "network"), (fields, "labels")):
            made = call("render", run, "--root", root, "--what", what, "--to", tmp_path / name / what)
            assert f"{number} pictures written" in made
        pairs = [sorted((tmp_path / name / what).glob("*.png")) for name in ("network", "labels")]
        for one, other in zip(*pairs, strict=True):
            assert one.name == other.name
            # in tables depth is in steps of 1/256 m
            difference = cv2.absdiff(*(cv2.imread(str(path)) for path in (one, other)))
            assert difference.max() <= 8 and cv2.imread(str(one)).std() > 10


def test_a_student_in_training_is_seen_from_elsewhere(root, runs, tmp_path):
    where = tmp_path / "rising"
    made = call(
        "render",
        runs / "student",
        "--root",
        root,
        "--what",
        "transition",
        "--frame",
        2,
        "--to",
        where,
        "--sequence",
        DRIVE,
    )
    assert "35 pictures written" in made
    first, *_, last = (cv2.imread(str(path)) for path in sorted(where.glob("*.png")))
    assert first.shape == (2 * HEIGHT, WIDTH, 3) and (first != last).any()
    # where the camera stands the wall has the image's own colours, wherever a surface is taken to be
    image = cv2.imread(str(root / "data_2d_raw" / DRIVE / "image_00" / "data_rect" / "0000000002.png"))
    shown = (first[:HEIGHT] > 0).any(axis=-1)
    assert shown.any() and np.abs(first[:HEIGHT][shown].astype(float) - image[shown]).mean() < 2
    call("render", runs / "student", "--root", root, "--to", tmp_path / "one.mp4")
    assert (tmp_path / "one.mp4").stat().st_size > 1000


def test_what_a_network_cannot_be_filmed_of_is_told(root, runs, tmp_path):
    words = ["render", runs / "student", "--root", root, "--to", tmp_path / "film"]
    assert "no depth of frame 99 in" in call(*words, "--what", "novel-view", "--frame", 99, code=2)
    assert f"give one of {DRIVE}" in call(*words, "--sequence", DRIVE.replace("0000", "0001"), code=2)
    other = tmp_path / "voxels"
    inputs = {"dataset": "kitti360", "camera": "image_00", "sequences": [DRIVE], "val_sequences": []}
    write_record(Record("occupancy_network", {}, "", {}, inputs), other)
    told = call("render", other, "--root", root, code=2)
    assert "trained as occupancy_network: give a run of density_teacher or _student" in told
    assert not list(tmp_path.glob("film*"))


def test_a_run_of_training_is_not_evaluated_but_what_it_labels(root, runs):
    assert "run of training: label a drive with it (`vsrd-ray label`" in call(
        "evaluate", runs / "student", "--root", root, code=2
    )


def test_ones_own_images(root, runs, tmp_path):
    image = root / "data_2d_raw" / DRIVE / "image_00" / "data_rect" / "0000000001.png"
    words = ["density", image, "--checkpoint", runs / "student", "--output", tmp_path / "seen"]
    told = call(*words, "--intrinsics", f"{FOCAL},{FOCAL},{WIDTH / 2},{HEIGHT / 2}")
    assert "0000000001: depth" in told
    depth = cv2.imread(str(tmp_path / "seen" / "0000000001-depth.png"), cv2.IMREAD_UNCHANGED)
    assert (depth.dtype, depth.shape) == (np.uint16, (HEIGHT, WIDTH))
    assert 3 * 0.5 < depth.min() / 256 < depth.max() / 256 <= 80
    assert (tmp_path / "seen" / "0000000001.ply").read_bytes().startswith(b"ply\n")
    assert (tmp_path / "seen" / "0000000001-seen.png").exists()
    assert "expected four numbers" in call(*words, "--intrinsics", "1,2", code=2)
    assert "too small for images" in call(*words, "--intrinsics", f"{BASELINE},1,10,10", code=2)
    assert "two images are named" in call("density", image, image, *words[2:], "--intrinsics", "kitti360", code=2)
