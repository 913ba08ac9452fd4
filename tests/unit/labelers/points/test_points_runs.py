"""`vsrd-ray label --config pointsam` and what follows it, on a street of toy size and on real keyframes."""

import csv
import json
import re
import shlex
import shutil
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from vsrd_ray.cli import main
from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.labels.points.schema import unpacked
from vsrd_ray.synthetic import StreetSettings, synthesize

SETTINGS = StreetSettings(
    frames=3,
    cars=6,
    seed=4,
    image_size=(704, 188),
    layers=("panoptic",),
    lidar_rings=32,
    lidar_columns=1024,
)
SEQUENCE = SETTINGS.sequence
PAGE = Path(__file__).resolve().parents[4] / "docs" / "points.md"


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def label(root, output, *options, config="pointsam", sequence=SEQUENCE):
    return run(
        "label", "--config", config, "--root", root, "--sequence", sequence, "--output", output, "--serial", *options
    )


def scores(output, root):
    result = run("evaluate", output, "--root", root, "--json")
    assert result.exit_code == 0, result.output
    return json.loads((output / "evaluation.json").read_text())


def rows_of(output, kind="points"):
    files = sorted((output / kind).rglob("*.parquet"))
    return [row for file in files for row in pq.read_table(file).to_pylist()]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    root = tmp_path_factory.mktemp("points") / "street"
    synthesize(root, SETTINGS)
    return root


@pytest.fixture(scope="module")
def labelled(written, tmp_path_factory):
    output = tmp_path_factory.mktemp("points") / "labels"
    result = label(written, output)
    assert result.exit_code == 0, result.output
    return output, result.output


@pytest.fixture
def street(written, tmp_path):
    """The street, to be changed."""
    return shutil.copytree(written, tmp_path / "street")


def test_a_street_is_labelled_better_than_by_the_published_rule(written, labelled, tmp_path):
    output, said = labelled
    assert "Groups    3 of 3 labelled, 0 failed" in said
    assert label(written, tmp_path / "published", config="pointsam_published").exit_code == 0
    ours, theirs = (
        scores(folder, written)["in_view"]["occurring"]["pq"] for folder in (output, tmp_path / "published")
    )
    assert ours > 0.8
    assert ours > theirs
    boxes = scores(output, written)["boxes"]
    assert boxes["recall"] > 0.6
    assert boxes["iou_bev"] > 0.5
    rows = rows_of(output, "clusters")
    assert {row["source"] for row in rows} == {"points"}
    compared = run("evaluate", "--compare", output, tmp_path / "published", "--root", written, "--json")
    assert compared.exit_code == 0, compared.output
    both = json.loads(compared.output)
    assert both["a"]["truths"] == both["b"]["truths"] > 0
    assert min(both[one]["recall"] for one in "ab") > 0.6


def test_equal_input_gives_equal_bytes(written, labelled, tmp_path):
    assert label(written, tmp_path / "again").exit_code == 0
    for kind in ("points", "clusters"):
        one, other = ((folder / kind) for folder in (labelled[0], tmp_path / "again"))
        files = sorted(path.relative_to(one) for path in one.rglob("*.parquet"))
        assert files
        assert all((one / file).read_bytes() == (other / file).read_bytes() for file in files)


def test_labels_do_not_depend_on_the_truth(street, labelled, tmp_path):
    shutil.rmtree(street / "data_3d_labels")
    shutil.rmtree(street / "data_3d_bboxes")
    assert label(street, tmp_path / "labels").exit_code == 0
    assert rows_of(tmp_path / "labels") == rows_of(labelled[0])
    assert "no labels of points" in run("evaluate", tmp_path / "labels", "--root", street).output


def test_only_the_wanted_classes_are_labelled(written, tmp_path):
    assert label(written, tmp_path / "trucks", "--classes", "truck").exit_code == 0
    assert rows_of(tmp_path / "trucks", "clusters") == []
    refused = label(written, tmp_path / "trees", "--classes", "vegetation")
    assert refused.exit_code != 0
    assert "points have no class for 'vegetation'" in refused.output


def test_exports_hold_the_labels_of_every_point(written, labelled, tmp_path):
    output, _ = labelled
    for name in ("nuscenes-panoptic", "mixsup", "semantickitti", "clusters"):
        result = run("export", output, "--root", written, "--format", name, "--output", tmp_path / name)
        assert result.exit_code == 0, result.output
    clusters = list(csv.DictReader((tmp_path / "clusters" / f"{SEQUENCE}.csv").read_text().splitlines()))
    for row in rows_of(output):
        classes, instances, _ = unpacked(row)
        frame = row["frame"]
        track_of = {int(one["instance"]): int(one["track_id"]) for one in clusters if int(one["frame"]) == frame}
        tracks = np.array([track_of.get(one, -1) for one in instances.tolist()])
        mixsup = np.fromfile(tmp_path / "mixsup" / "samples" / f"{frame:010d}.bin", "<u2").reshape(-1, 2)
        np.testing.assert_array_equal(mixsup, np.stack([np.where(tracks < 0, 65535, tracks), classes], axis=1))
        path = tmp_path / "nuscenes-panoptic" / "panoptic" / "train" / f"{SEQUENCE}_{frame:010d}_panoptic.npz"
        np.testing.assert_array_equal(np.load(path)["data"], np.where(tracks < 0, 0, 4000 + tracks + 1))
        path = tmp_path / "semantickitti" / "sequences" / SEQUENCE / "predictions" / f"{frame:06d}.label"
        words = np.fromfile(path, "<u4")
        np.testing.assert_array_equal(words & 0xFFFF, np.where(tracks < 0, 0, 10))
        np.testing.assert_array_equal(words >> 16, np.where(tracks < 0, 0, tracks + 1))


def test_objects_have_boxes_tracks_and_masks_in_images(written, labelled, tmp_path):
    for root, name in ((written, "with"), (shutil.copytree(written, tmp_path / "without"), "none")):
        if name == "none":
            shutil.rmtree(root / "data_2d_semantics")
        arguments = ("--root", root, "--other-root", "--format", "coco", "--output", tmp_path / name)
        assert run("export", labelled[0], *arguments).exit_code == 0
    masked, bare = (json.loads((tmp_path / name / f"{SEQUENCE}.json").read_text()) for name in ("with", "none"))
    assert len(masked["images"]) == SETTINGS.frames
    assert [one["num_points"] for one in masked["annotations"]] == [one["num_points"] for one in bare["annotations"]]
    assert {one["track_id"] for one in masked["annotations"]} <= set(range(SETTINGS.cars))
    for one, other in zip(masked["annotations"], bare["annotations"], strict=True):
        x, y, width, height = other["bbox"]
        if "segmentation" not in one:
            continue
        left, top, wide, high = one["bbox"]
        assert one["area"] <= wide * high
        assert x + width >= left and y + height >= top and x <= left + wide and y <= top + high
    assert sum("segmentation" in one for one in masked["annotations"]) > 0.8 * len(masked["annotations"])
    assert not any("segmentation" in one for one in bare["annotations"])


def test_points_are_recorded_for_rerun(written, labelled, tmp_path):
    pytest.importorskip("rerun", reason="the extra `rerun` is not installed")
    result = run("export", labelled[0], "--root", written, "--format", "rerun", "--output", tmp_path / "rerun")
    assert result.exit_code == 0, result.output
    data = (tmp_path / "rerun" / f"{SEQUENCE}.rrd").read_bytes()
    assert data[:4] == b"RRF2"
    assert len(data) > 10_000


@pytest.mark.parametrize("format", ["semantickitti", "nuscenes-panoptic"])
def test_corrected_points_come_back(written, labelled, tmp_path, format):
    output = shutil.copytree(labelled[0], tmp_path / "labels")
    again, export = tmp_path / "again", tmp_path / "export"
    arguments = ("--root", written, "--format", format, "--output")
    assert run("export", output, *arguments, export).exit_code == 0
    untouched = run("import", output, export, "--root", written)
    assert untouched.output == "0 sweeps imported, 0 points changed\n"
    file = sorted(one for one in export.rglob("*") if one.suffix in (".label", ".npz"))[0]
    step = 1 << 16 if format == "semantickitti" else 1
    words = np.fromfile(file, "<u4").astype(np.int64) if step > 1 else np.load(file)["data"].astype(np.int64)
    ids, counts = np.unique(words[words > 0], return_counts=True)
    one, other = ids[np.argsort(-counts)[:2]]
    words[np.flatnonzero(words == one)[::2]] = one + 700 * step  # a car in two
    words[words == other] = 0  # and one that is none
    if step > 1:
        words.astype("<u4").tofile(file)
    else:
        np.savez_compressed(file, data=words.astype(np.uint16))
    result = run("import", output, export, "--root", written)
    assert result.output.startswith("1 sweeps imported"), result.output
    assert f"{counts.max() + np.sort(counts)[-2]} points changed" in result.output
    assert run("export", output, *arguments, again).exit_code == 0
    path = again / file.relative_to(export)
    found = np.fromfile(path, "<u4").astype(np.int64) if step > 1 else np.load(path)["data"].astype(np.int64)
    pairs = np.unique(np.stack([words, found]), axis=1)
    assert len(np.unique(words)) == len(np.unique(found)) == pairs.shape[1]  # the same but for the numbers
    np.testing.assert_array_equal(found == 0, words == 0)
    clusters = [row for row in rows_of(output, "clusters") if row["labeler"] == "human"]
    assert sum(row["num_points"] for row in clusters) == (words > 0).sum()
    assert {row["source"] for row in clusters} == {"human"}
    assert label(written, output).exit_code == 0  # a run that goes on leaves them
    assert run("evaluate", output, "--root", written).exit_code == 0
    undone = run("import", output, "--undo", "--root", written)
    assert undone.exception is None, undone.exception
    assert undone.output == "2 files of corrected labels removed\n"
    assert rows_of(output) == rows_of(labelled[0])


def test_corrections_of_other_labels_are_refused(written, labelled, tmp_path):
    output = shutil.copytree(labelled[0], tmp_path / "labels")
    export = tmp_path / "export"
    for format, told in (("mixsup", "mixsup is not read back"), ("semantickitti", "")):
        assert run("export", output, "--root", written, "--format", format, "--output", export).exit_code == 0
        if told:
            assert told in run("import", output, export, "--root", written).output
    file = sorted(export.rglob("*.label"))[0]
    words = np.fromfile(file, "<u4")
    for changed, told in (
        (words[:-1], "and the sweep has"),
        (np.where(words == 0, np.uint32(44 | 1 << 16), words), "class 44"),
        (words & np.uint32(0xFFFF), "has a class and no object"),
    ):
        changed.astype("<u4").tofile(file)
        result = run("import", output, export, "--root", written)
        assert result.exit_code != 0
        assert told in result.output
        assert rows_of(output) == rows_of(labelled[0])
    assert label(written, tmp_path / "other", config="pointsam_published").exit_code == 0
    assert "another configuration" in run("import", tmp_path / "other", export, "--root", written).output
    assert "no export" in run("import", output, written, "--root", written).output


def test_an_export_replaces_an_export_and_nothing_else(written, labelled, tmp_path):
    arguments = ("export", labelled[0], "--root", written, "--format", "mixsup", "--output", tmp_path / "x")
    assert [run(*arguments).exit_code for _ in range(2)] == [0, 0]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    refused = run(*arguments[:-1], tmp_path / "mine")
    assert refused.exit_code != 0
    assert "is not empty" in refused.output
    assert (tmp_path / "mine" / "notes.txt").read_text() == "mine"


def test_the_report_shows_sweeps_from_above_and_images(written, labelled, tmp_path):
    page = tmp_path / "report.html"
    result = run("report", labelled[0], "--root", written, "--output", page)
    assert result.exit_code == 0, result.output
    text = page.read_text()
    assert text.count("from above</figcaption>") == 3
    assert text.count("image_00</figcaption>") == 3
    shown = [float(one) for one in re.findall(r"PQ ([\d.]+), from above</figcaption>", text)]
    assert shown == sorted(shown)
    assert len(shown) == 3


def test_commands_of_the_page(written, tmp_path, monkeypatch):
    """All but the first, in whose place the street of toy size stands."""
    shutil.copytree(written, tmp_path / "street")
    monkeypatch.chdir(tmp_path)
    first, *lines = re.findall(r"^vsrd-ray (.*)$", PAGE.read_text(), re.M)
    assert first.startswith("synthesize street ")
    assert len(lines) == 5
    for line in lines:
        result = run(*shlex.split(line, comments=True), *(["--serial"] if line.startswith("label") else []))
        assert result.exit_code == 0, result.output


def test_a_drive_without_sweeps_is_named(street, tmp_path):
    shutil.rmtree(street / "data_3d_raw")
    result = label(street, tmp_path / "labels")
    assert result.exit_code != 0
    assert "no sweeps of the LiDAR in" in result.output


def test_sweeps_that_nothing_places_are_named(street, tmp_path):
    paths.lidar_calibration_file(street).unlink()
    paths.lidar_poses_file(street, SEQUENCE).unlink()
    result = label(street, tmp_path / "labels")
    assert result.exit_code != 0
    assert "which places the sweeps" in result.output


def test_a_drive_without_masks_is_named(street, tmp_path):
    shutil.rmtree(paths.masks_root(street))
    result = label(street, tmp_path / "labels")
    assert result.exit_code != 0
    assert "no instance masks of image_00" in result.output or "no instance masks in" in result.output


def test_a_camera_without_masks_is_told_once_and_labels_nothing(street, labelled, tmp_path, caplog):
    images = paths.image_folder(street, SEQUENCE, "image_00")
    shutil.copytree(images, paths.image_folder(street, SEQUENCE, "image_01"))
    assert label(street, tmp_path / "labels").exit_code == 0
    told = [record.message for record in caplog.records if "no masks of image_01" in record.message]
    assert len(told) == 1
    assert [row["instances"] for row in rows_of(tmp_path / "labels")] == [
        row["instances"] for row in rows_of(labelled[0])
    ]


def test_a_sweep_that_was_cut_off_costs_its_frame_alone(street, tmp_path):
    path = paths.sweep_file(street, SEQUENCE, 1)
    path.write_bytes(path.read_bytes()[:-3])
    result = label(street, tmp_path / "labels")
    assert result.exit_code != 0
    assert "bytes are no whole number of points" in result.output
    assert [row["frame"] for row in rows_of(tmp_path / "labels")] == [0, 2]


def test_a_mask_of_another_size_is_refused(street, tmp_path):
    path = paths.mask_file(street, SEQUENCE, "image_00", 2)
    mask = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    cv2.imwrite(str(path), mask[:-8])
    result = label(street, tmp_path / "labels")
    assert result.exit_code != 0
    assert "704 x 188" in result.output
    assert "704 x 180" in result.output


def test_truth_of_other_sweeps_is_refused(street, labelled, tmp_path):
    path = paths.point_label_folder(street, SEQUENCE) / f"{1:010d}.npz"
    values = dict(np.load(path))
    np.savez(path, **{**values, "instance": values["instance"][:-5]})
    result = run("evaluate", labelled[0], "--root", street)
    assert result.exit_code != 0
    assert "frame 1:" in result.output
    assert "evaluate with the sweeps that were labelled" in result.output


@pytest.mark.parametrize(
    ("name", "scene", "least_and_published"),
    [("nuscenes_keyframe", "scene-0061", (0.72, 0.677)), ("ddad_nuscenes_layout", "scene-0103", (0.65, 0.552))],
)
def test_real_keyframes_with_six_cameras(shared, tmp_path, name, scene, least_and_published):
    least, published = least_and_published
    root = shared / "data" / name
    for config in ("pointsam", "pointsam_published"):
        masks = ("--masks", root / "masks" / "body")
        result = label(root, tmp_path / config, *masks, config=config, sequence=scene)
        assert result.exit_code == 0, result.output
    assert scores(tmp_path / "pointsam", root)["all_round"]["occurring"]["pq"] >= least
    found = scores(tmp_path / "pointsam_published", root)["all_round"]["occurring"]["pq"]
    assert found == pytest.approx(published, abs=5e-4)


def test_the_real_keyframe_is_labelled_as_published(shared, tmp_path):
    """From files to files: poses, masks and points as the dataset reads them."""
    root = shared / "data" / "nuscenes_keyframe"
    masks = ("--masks", root / "masks" / "body")
    assert label(root, tmp_path / "o", *masks, config="pointsam_published", sequence="scene-0061").exit_code == 0
    with np.load(shared / "reference" / "pointsam_golden.npz") as golden:
        classes, instances, _ = unpacked(rows_of(tmp_path / "o")[0])
        np.testing.assert_array_equal(classes, golden["keyframe/body/final_semantic"])
        np.testing.assert_array_equal(instances, golden["keyframe/body/final_instance"])


def test_real_sweeps_of_kitti360(shared, tmp_path):
    root, sequence = shared / "data" / "kitti360_real", "2013_05_28_drive_0008_sync"
    result = label(root, tmp_path / "labels", sequence=sequence)
    assert result.exit_code == 0, result.output
    clusters = rows_of(tmp_path / "labels", "clusters")
    at_3018 = [row for row in clusters if row["frame"] == 3018]
    assert {row["class_name"] for row in clusters} == {"car"}
    # 26001, of which 121 points fall on the mask, some 28.7 m ahead.
    nearest = min(at_3018, key=lambda row: abs(row["center_x"] - 29))
    assert 70 <= nearest["num_points"] <= 130
    assert max(nearest["extent_x"], nearest["extent_y"]) < 5
