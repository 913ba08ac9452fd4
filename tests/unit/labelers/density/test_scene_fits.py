"""The scene fit, from files to rows, and what is made of them: figures, formats, films, the report."""

import json
import os
import shlex
import shutil
from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import yaml
from click.testing import CliRunner

from vsrd_ray.cli import main
from vsrd_ray.data.drive import DEPTH, IMAGES
from vsrd_ray.data.groups import GroupTasks
from vsrd_ray.data.index import all_frames, index_frames
from vsrd_ray.datasets.base import ALL_CAMERAS, open_drive
from vsrd_ray.labelers.base import Wanted
from vsrd_ray.labelers.density.config import DensityConfig
from vsrd_ray.labelers.density.spec import SPEC
from vsrd_ray.labels.depth import films
from vsrd_ray.labels.depth.evaluation import run as figures
from vsrd_ray.labels.depth.fields import Fields
from vsrd_ray.labels.depth.schema import TABLE, maps_of
from vsrd_ray.labels.voxels.schema import FREE, OCCUPIED, UNSEEN
from vsrd_ray.runs.folder import RunFolder
from vsrd_ray.synthetic import StreetSettings, synthesize

FRAMES = 8
PAGE = Path(__file__).resolve().parents[4] / "docs" / "density.md"
STREET = StreetSettings(
    frames=FRAMES,
    cars=4,
    seed=7,
    image_size=(192, 64),
    texture="rich",
    layers=("depth", "lidar", "right", "occupancy"),
    occupancy_grid="sscbench",
    lidar_rings=16,
    lidar_columns=256,
)
SMALL = ["frames_a_group=4", "frames_beside=2", "ahead=12", "beside=6", "voxel_size=0.25", "steps=2"]


def label(root, output, *options):
    settings = [part for setting in SMALL for part in ("--set", setting)]
    arguments = ["label", "--config", "density", "--root", root, "--sequence", STREET.sequence, "--serial"]
    return run(*arguments, *settings, *options, "--output", output)


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def textured(tmp_path_factory):
    root = tmp_path_factory.mktemp("textured")
    synthesize(root, STREET)
    return root


@pytest.fixture(scope="module")
def fitted(textured, tmp_path_factory):
    output = tmp_path_factory.mktemp("fitted") / "run"
    result = label(textured, output)
    assert result.exit_code == 0, result.output
    return RunFolder(output, textured)


def test_depth_of_every_frame(fitted, textured):
    maps = list(maps_of(fitted, STREET.sequence))
    assert [one.frame for one in maps] == list(range(FRAMES))
    truth = open_drive(textured, STREET.sequence, ALL_CAMERAS, with_ids=False).truth("depth")
    for one in maps:
        true = truth.depth(one.frame)
        counts = (one.depth > 0) & (true > 0) & (true < 10)
        assert counts.mean() > 0.2
        assert np.median(np.abs(one.depth / np.where(counts, true, 1) - 1)[counts]) < 0.06
        assert (one.spread[counts] >= 0).all()
        assert 0 < one.profile.mean() < 1


def test_voxels_of_every_group(fitted):
    fields = Fields(fitted, STREET.sequence)
    assert fields.group_ids == [f"{STREET.sequence}-{first:010d}" for first in (0, 4)]
    for group_id in fields.group_ids:
        voxels = fields.voxels(group_id)
        assert set(np.unique(voxels.state)) == {FREE, OCCUPIED, UNSEEN}
        seen = voxels.state != UNSEEN
        np.testing.assert_array_equal((voxels.density > 0.5)[seen], (voxels.state == OCCUPIED)[seen])


def test_lines_of_the_page_run_and_give_equal_bytes(fitted, textured, tmp_path, monkeypatch, files_in):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "street").symlink_to(textured)
    block = PAGE.read_text().split("```sh\n")[1].split("```")[0]
    lines = [line.removeprefix("vsrd-ray ") for line in block.splitlines() if " synthesize " not in line]
    assert len(lines) == 5
    small = [part for setting in SMALL for part in ("--set", setting)]
    for line in lines:
        result = run(*shlex.split(line), *(["--serial", *small] if line.startswith("label") else []))
        assert result.exit_code == 0, result.output
    assert files_in(tmp_path / "fields", "depth", "voxels") == files_in(fitted.output, "depth", "voxels")


def test_figures(fitted, textured, monkeypatch):
    monkeypatch.setattr(figures, "_SWEEPS", 3)
    found = run("evaluate", fitted.output, "--root", textured)
    assert found.exit_code == 0, found.output
    assert "4 m shell" in found.output
    values = json.loads((fitted.output / "evaluation.json").read_text())
    assert values["true_depth"]["abs_rel"] < 0.3
    assert values["true_depth"]["known"] > 0.8
    assert values["views"]["psnr"] > 18
    assert set(values["geometry"]) == {"method", "all free", "1 m shell", "4 m shell", "all behind"}
    assert set(values["occupancy"]) == set(values["geometry"]) | {"true solids"}
    assert values["geometry"]["all free"]["iou"] == 0
    assert values["geometry"]["method"]["auc"] > 0.8
    assert values["occupancy"]["all free"]["strict"]["o_acc"] > 0.5


def test_formats(fitted, textured, tmp_path):
    for name in ("depth-png", "npz", "ply"):
        made = run("export", fitted.output, "--root", textured, "--format", name, "--output", tmp_path / name)
        assert made.exit_code == 0, made.output
    one = next(maps_of(fitted, STREET.sequence))
    folder = tmp_path / "depth-png" / STREET.sequence / "image_00"
    pixels = cv2.imread(str(folder / "0000000000.png"), cv2.IMREAD_UNCHANGED)
    assert pixels.dtype == np.uint16
    np.testing.assert_array_equal(pixels / np.float32(256), one.depth)
    with np.load(tmp_path / "npz" / STREET.sequence / "image_00" / "0000000000.npz") as arrays:
        np.testing.assert_array_equal(arrays["depth"], one.depth)
    with np.load(tmp_path / "npz" / STREET.sequence / f"{STREET.sequence}-0000000004.npz") as arrays:
        assert arrays["density"].shape == arrays["state"].shape
    header, _, body = (tmp_path / "ply" / f"{STREET.sequence}.ply").read_bytes().partition(b"end_header\n")
    count = int(header.split(b"element vertex ")[1].split()[0])
    assert count > 1000
    assert len(body) == count * 27  # three doubles and three colours
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "notes.txt").write_text("mine")
    again = run("export", fitted.output, "--root", textured, "--format", "npz", "--output", tmp_path / "taken")
    assert again.exit_code == 2
    assert "is not empty" in again.output


def test_mesh(fitted, textured, tmp_path):
    pytest.importorskip("skimage", reason="no scikit-image: pip install 'vsrd-ray[mesh]'")
    made = run("export", fitted.output, "--root", textured, "--format", "mesh", "--output", tmp_path / "mesh")
    assert made.exit_code == 0, made.output
    for path in (tmp_path / "mesh" / STREET.sequence).glob("*.ply"):
        header = path.read_bytes().partition(b"end_header\n")[0]
        assert int(header.split(b"element face ")[1].split()[0]) > 1000


def test_recording_for_rerun(fitted, textured, tmp_path):
    pytest.importorskip("rerun", reason="no rerun-sdk: pip install 'vsrd-ray[rerun]'")
    made = run("export", fitted.output, "--root", textured, "--format", "rerun", "--output", tmp_path / "rerun")
    assert made.exit_code == 0, made.output
    assert (tmp_path / "rerun" / f"{STREET.sequence}.rrd").stat().st_size > 10_000


@pytest.mark.parametrize("what", ["depth", "novel-view"])
def test_films(fitted, textured, tmp_path, monkeypatch, what):
    monkeypatch.setattr(films, "_ROUND", FRAMES // 2)
    path = tmp_path / f"{what}.mp4"
    made = run("render", fitted.output, "--root", textured, "--what", what, "--to", path)
    assert made.exit_code == 0, made.output
    with av.open(str(path)) as film:
        assert film.streams.video[0].codec_context.name == "h264"
        assert sum(1 for _ in film.decode(video=0)) == FRAMES // 2


def test_film_of_a_frame_that_is_not_there(fitted, textured, tmp_path):
    made = run("render", fitted.output, "--root", textured, "--what", "novel-view", "--frame", 99, "--to", tmp_path)
    assert made.exit_code == 2
    assert "no depth of frame 99" in made.output


def test_report(fitted, textured, tmp_path):
    page = tmp_path / "page.html"
    made = run("report", fitted.output, "--root", textured, "--output", page)
    assert made.exit_code == 0, made.output
    assert page.read_text().count("<img") == 6


def test_carving_by_lidar(textured, tmp_path):
    result = label(textured, tmp_path / "run", "--set", "depth=lidar")
    assert result.exit_code == 0, result.output
    maps = list(maps_of(RunFolder(tmp_path / "run", textured), STREET.sequence))
    truth = open_drive(textured, STREET.sequence, ALL_CAMERAS, with_ids=False).truth("depth")
    true = truth.depth(3)
    counts = (maps[3].depth > 0) & (true > 0) & (true < 10)
    assert np.median(np.abs(maps[3].depth / np.where(counts, true, 1) - 1)[counts]) < 0.1


class ExactDepth:
    """The street's true depth as a layer; see `vsrd_ray.data.drive.LayerSource`."""

    def read(self, drive, sensor, frame):
        return drive.truth("depth").depth(frame)

    def part(self, frames):
        return self


def test_carving_by_depth_that_is_given(textured):
    drive = open_drive(textured, STREET.sequence, ALL_CAMERAS, with_ids=False)
    drive = replace(
        drive,
        layers={**drive.layers, DEPTH: {"image_00": tuple(range(FRAMES))}},
        sources={DEPTH: ExactDepth()},
    )
    values = {key: yaml.safe_load(value) for key, value in (setting.split("=") for setting in SMALL)}
    config = DensityConfig(depth="given", **values)
    index = index_frames(drive, all_frames(drive), layers=(IMAGES,))
    plan = SPEC.plan(drive, index, config, Wanted(classes=()))[0]
    labeler = SPEC.build(config, "cpu")
    prepared = labeler.prepare(GroupTasks(drive, index).task(plan).group())
    assert [shot.camera for shot in prepared.payload.shots] == ["image_00"] * 6
    found = labeler.label(prepared, seed=0)
    true = drive.truth("depth").depth(2)
    counts = (found.maps[2].depth > 0) & (true > 0) & (true < 10)
    assert np.median(np.abs(found.maps[2].depth / np.where(counts, true, 1) - 1)[counts]) < 0.05


def test_without_depth_that_is_given(textured, tmp_path):
    root = _linked(textured, tmp_path / "root", without="data_2d_depth")
    result = label(root, tmp_path / "run", "--set", "depth=given")
    assert result.exit_code == 2
    assert "depth" in result.output


def test_without_a_right_camera(textured, tmp_path):
    root = _linked(textured, tmp_path / "root", without="image_01")
    result = label(root, tmp_path / "run")
    assert result.exit_code == 2
    assert "no camera makes a rectified stereo pair with image_00" in result.output
    assert "--set depth=lidar" in result.output
    assert not (tmp_path / "run" / "depth").exists()


def test_without_sweeps(textured, tmp_path):
    root = _linked(textured, tmp_path / "root", without="velodyne_points")
    result = label(root, tmp_path / "run", "--set", "depth=lidar")
    assert result.exit_code == 2
    assert "no LiDAR sweep" in result.output


def test_one_frame(textured, tmp_path):
    root = _linked(textured, tmp_path / "root")
    poses = root / "data_poses" / STREET.sequence / "cam0_to_world.txt"
    first = poses.read_text().splitlines()[0]
    poses.unlink()
    poses.write_text(first + "\n")
    result = label(root, tmp_path / "run")
    assert result.exit_code == 2
    assert "one frame with a pose" in result.output


def test_too_many_voxels(textured, tmp_path):
    result = label(textured, tmp_path / "run", "--set", "voxel_size=0.02")
    assert result.exit_code != 0
    assert "set fewer frames_a_group" in result.output


def test_a_damaged_row(fitted, tmp_path):
    rows = fitted.rows(TABLE, STREET.sequence)
    row = rows.slice(0, 1).to_pylist()[0]
    from vsrd_ray.errors import InputError
    from vsrd_ray.labels.depth.schema import decoded

    with pytest.raises(InputError, match="cannot be decoded"):
        decoded(row | {"depth": row["depth"][:50]})
    with pytest.raises(InputError, match="label again"):
        decoded(row | {"width": 7})
    assert replace(decoded(row), frame=1).size == STREET.image_size


def _linked(root, to, *, without=""):
    """A copy of a root by hard links, without folders of a name."""
    shutil.copytree(root, to, copy_function=os.link, ignore=shutil.ignore_patterns(without) if without else None)
    return to
