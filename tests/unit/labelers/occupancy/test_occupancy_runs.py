"""`vsrd-ray label --config occupancy` and what follows it, on a street of toy size."""

import json
import re
import shlex
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from toy_runs import MIDDLE, SEQUENCE, STREET, label, row_of, run

pytest.importorskip("numba", reason="walks through voxels are compiled by numba")

from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.datasets.kitti360.sscbench import truth_of_voxels
from vsrd_ray.labels.voxels.classes import OCC3D
from vsrd_ray.labels.voxels.schema import OCCUPIED, decoded
from vsrd_ray.synthetic import StreetSettings, synthesize

PAGE = Path(__file__).resolve().parents[4] / "docs" / "occupancy.md"
QUICK = ("--set", "error=0", *MIDDLE)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    root = tmp_path_factory.mktemp("occupancy") / "street"
    synthesize(root, STREET)
    return root


@pytest.fixture(scope="module")
def labelled(written):
    output = written.parent / "labels"
    result = label(written, output, *QUICK)
    assert result.exit_code == 0, result.output
    return output


@pytest.fixture
def street(written, tmp_path):
    """A copy that a test may change."""
    return Path(shutil.copytree(written, tmp_path / "street"))


def test_a_row_of_the_target_frame(labelled):
    row = row_of(labelled)
    voxels = decoded(row)
    assert row["frame"] == 1 and row["source"] == "auto" and voxels.classes == "occ3d"
    is_classed = voxels.semantics < 17
    assert (voxels.state[is_classed] == OCCUPIED).all()
    assert ((voxels.semantics == 255) >= (voxels.observed == 0)).all()
    assert {4, 11, 15} <= set(np.unique(voxels.semantics[is_classed]).tolist())


def test_equal_bytes_and_resuming(written, labelled, tmp_path):
    again = label(written, tmp_path / "again", *QUICK)
    assert again.exit_code == 0, again.output
    (one,), (other,) = ((path / "voxels").rglob("*.parquet") for path in (labelled, tmp_path / "again"))
    assert one.read_bytes() == other.read_bytes()
    resumed = label(written, tmp_path / "again", *QUICK)
    assert resumed.exit_code == 0 and "1 of 1 labelled" in resumed.output
    refused = label(written, tmp_path / "again", *QUICK[:-1], "0")
    assert refused.exit_code == 2 and "frames" in refused.output


def test_figures(written, labelled):
    result = run("evaluate", labelled, "--root", written, "--json")
    assert result.exit_code == 0, result.output
    values = json.loads((labelled / "evaluation.json").read_text())
    text = json.dumps(values)
    assert "mask_camera and mask_lidar" in text
    inside = re.search(r'"mask_camera": \{"miou": ([\d.]+), "miou_15": [\d.]+, "iou": ([\d.]+)\}', text)
    assert inside is not None and float(inside[2]) > 0.5 and float(inside[1]) > 0.4


def assert_perfect_against_own_export(output, root, name, folder, tmp_path):
    """What was exported in a benchmark's own layout, put below ROOT, is truth that the labels match."""
    exported = run("export", output, "--root", root, "--format", name, "--output", tmp_path / "truth")
    assert exported.exit_code == 0, exported.output
    shutil.copytree(tmp_path / "truth" / folder, root / folder, dirs_exist_ok=True)
    result = run("evaluate", output, "--root", root, "--json")
    assert result.exit_code == 0, result.output
    found = (output / "evaluation.json").read_text()
    assert re.search(r'"iou": 1\.0', found) and not re.search(r'"iou": 0\.', found)


def test_truth_in_sscbench_s_own_layout(street, tmp_path):
    shutil.rmtree(street / "data_3d_occupancy")
    output = tmp_path / "labels"
    assert label(street, output, *QUICK, "--set", "grid=sscbench").exit_code == 0
    assert_perfect_against_own_export(output, street, "sscbench", "data_2d_raw", tmp_path)
    (file,) = (street / "data_2d_raw").rglob("*.label")
    truth = truth_of_voxels(street, SEQUENCE)
    kept = truth.voxels(1).semantics
    raw = np.frombuffer(file.read_bytes(), "<u2").copy()
    raw[:4], kept = (0, 258, 77, 10), kept.copy()
    file.write_bytes(raw.tobytes())
    file.with_suffix(".invalid").write_bytes(np.ones(raw.size, np.uint8).tobytes())
    found = truth.voxels(1).semantics
    assert found.ravel()[:4].tolist() == [255, 4, 255, 1]  # empty and invalid, a moving truck, no class, a car
    assert (found[kept == 0] == 255)[1:].all() and (found.ravel()[4:][kept.ravel()[4:] > 0] != 0).all()
    preprocessed = street / "preprocess" / "labels" / SEQUENCE
    preprocessed.mkdir(parents=True)
    np.save(preprocessed / "000001_1_1.npy", kept)
    file.write_bytes(b"torn")
    result = run("evaluate", output, "--root", street)
    assert result.exit_code == 2 and "4 bytes, expected 4194304" in " ".join(result.output.split())
    shutil.rmtree(street / "data_2d_raw" / SEQUENCE / "voxels")
    assert run("evaluate", output, "--root", street).exit_code == 0
    np.testing.assert_array_equal(truth_of_voxels(street, SEQUENCE).voxels(1).semantics, kept)
    occ3d = label(street, tmp_path / "occ3d", *QUICK)
    assert occ3d.exit_code == 0
    result = run("evaluate", tmp_path / "occ3d", "--root", street)
    assert result.exit_code == 2 and "label that grid" in " ".join(result.output.split())


def test_exports_and_corrections(written, labelled, tmp_path):
    output = Path(shutil.copytree(labelled, tmp_path / "labels"))
    for name in ("npz", "occ3d", "ply"):
        result = run("export", output, "--root", written, "--format", name, "--output", tmp_path / name)
        assert result.exit_code == 0, result.output
    voxels = decoded(row_of(output))
    with np.load(tmp_path / "occ3d" / "gts" / SEQUENCE / "0000000001" / "labels.npz") as arrays:
        assert set(arrays) == {"semantics", "mask_lidar", "mask_camera"}
        np.testing.assert_array_equal(arrays["semantics"], np.where(voxels.semantics == 255, 17, voxels.semantics))
        assert not arrays["mask_camera"][voxels.semantics == 255].any()
    head = (tmp_path / "ply" / SEQUENCE / "0000000001.ply").read_bytes().split(b"end_header\n")
    assert f"element vertex {(voxels.state == OCCUPIED).sum()}".encode() in head[0]
    assert len(head[1]) == 27 * (voxels.state == OCCUPIED).sum()
    refused = run("export", output, "--root", written, "--format", "sscbench", "--output", tmp_path / "ssc")
    assert refused.exit_code == 2 and "classes=sscbench" in refused.output

    file = tmp_path / "npz" / SEQUENCE / "0000000001.npz"
    unchanged = run("import", output, tmp_path / "npz", "--root", written)
    assert unchanged.exit_code == 2 and "no grid there differs" in unchanged.output
    with np.load(file) as arrays:
        values = dict(arrays)
    values["semantics"][100, 100, 8] = 4
    np.savez_compressed(file, **values)
    imported = run("import", output, tmp_path / "npz", "--root", written)
    assert imported.exit_code == 0, imported.output
    assert run("export", output, "--root", written, "--format", "npz", "--output", tmp_path / "npz2").exit_code == 0
    with np.load(tmp_path / "npz2" / SEQUENCE / "0000000001.npz") as arrays:
        assert arrays["semantics"][100, 100, 8] == 4 and arrays["state"][100, 100, 8] == OCCUPIED
    undone = run("import", output, "--undo")
    assert (undone.exit_code, undone.output) == (0, "1 files of corrected grids removed\n")
    assert (
        "--format is not for voxels"
        in run("import", output, tmp_path / "npz", "--root", written, "--format", "kitti").output
    )
    assert run("import", output, tmp_path / "npz", "--root", written).exit_code == 0
    values["semantics"][0, 0, 0] = 99
    np.savez_compressed(file, **values)
    odd = run("import", output, tmp_path / "npz", "--root", written)
    assert odd.exit_code == 2 and "class 99 is none of occ3d's" in odd.output


def test_recording_for_rerun(written, labelled, tmp_path):
    pytest.importorskip("rerun", reason="no rerun-sdk: pip install 'vsrd-ray[rerun]'")
    from rerun.chunk import RrdReader

    result = run("export", labelled, "--root", written, "--format", "rerun", "--output", tmp_path / "rerun")
    assert result.exit_code == 0, result.output
    found = {}
    for chunk in RrdReader(tmp_path / "rerun" / f"{SEQUENCE}.rrd").stream():
        found.setdefault(str(chunk.entity_path), {}).update(chunk.to_record_batch().to_pydict())
    assert {"/world/voxels", "/world/image_00", "/world/image_00/image"} <= set(found)
    count = int((decoded(row_of(labelled)).state == OCCUPIED).sum())
    ((frame,), (centers,), (colors,)) = (
        found["/world/voxels"][name] for name in ("frame", "Boxes3D:centers", "Boxes3D:colors")
    )
    assert frame == 1
    assert len(centers) == len(colors) == count > 0
    assert len(set(colors)) > 2


def test_pictures(written, labelled, tmp_path):
    for place in (tmp_path / "pictures", tmp_path / "drive.mp4"):
        result = run("visualize", "voxels", labelled, "--root", written, "--to", place)
        assert result.exit_code == 0, result.output
    picture = cv2.imread(str(tmp_path / "pictures" / "0000000001.png"))
    assert picture.shape[1] == 1000
    road = (picture == 100).all(axis=-1)  # across z, in the published colour
    assert road.mean() > 0.005
    assert (tmp_path / "drive.mp4").stat().st_size > 1000
    result = run("report", labelled, "--root", written)
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    ("frames", "said"),
    [("7", "has no group whose target is one of them"), ("1:x", "expected numbers"), ("4:2", "no frame is in that")],
)
def test_frames_that_are_none(written, tmp_path, frames, said):
    result = label(written, tmp_path / "labels", "--frames", frames)
    assert result.exit_code == 2 and said in " ".join(result.output.split())
    assert not (tmp_path / "labels" / "voxels").exists()


def test_semantics_without_depth_and_the_reverse(street, tmp_path):
    shutil.rmtree(street / "data_2d_depth")
    assert label(street, tmp_path / "lidar", *QUICK[2:]).exit_code == 0  # sweeps tell how far things are
    shutil.rmtree(street / "data_3d_raw")
    result = label(street, tmp_path / "none", *QUICK)
    assert result.exit_code == 2 and "classes without depth: no depth maps in" in result.output
    shutil.rmtree(paths.semantic_folder(street, SEQUENCE, "image_00"))
    result = label(street, tmp_path / "none", *QUICK)
    assert result.exit_code == 2 and "no class maps in" in result.output


@pytest.mark.parametrize("factor", [1 / 256, 1000 / 256])
def test_depth_in_another_unit_is_named(street, tmp_path, factor):
    for file in paths.depth_folder(street, SEQUENCE, "image_00").glob("*.png"):
        depth = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
        cv2.imwrite(str(file), np.clip(depth * factor, 0, 65535).astype(np.uint16))
    result = label(street, tmp_path / "labels", *QUICK)
    assert result.exit_code == 3 and "times what the LiDAR measures" in " ".join(result.output.split())


def test_ids_that_are_no_class_are_named(street, tmp_path):
    file = paths.semantic_file(street, SEQUENCE, "image_00", 1)
    cv2.imwrite(str(file), np.full((96, 352), 77, np.uint8))
    result = label(street, tmp_path / "labels", *QUICK)
    assert result.exit_code == 3 and "class id 77 is none of KITTI-360's" in " ".join(result.output.split())


def test_a_lidar_elsewhere_is_named(street, tmp_path):
    for file in paths.sweep_folder(street, SEQUENCE).glob("*.bin"):
        points = np.fromfile(file, np.float32).reshape(-1, 4)
        points[:, [1, 2]] = points[:, [2, 1]] * [1, -1]  # y for z
        points.tofile(file)
    result = label(street, tmp_path / "labels", *QUICK)
    assert result.exit_code == 3 and "the sky: check the calibration" in " ".join(result.output.split())


def test_a_grid_that_no_camera_sees(written, tmp_path):
    own = ("--set", "grid=own", "--set", "range=[500,500,-1,510,510,3]", "--set", "voxel_size=0.5")
    result = label(written, tmp_path / "labels", *QUICK, *own)
    assert result.exit_code == 3 and "comes into the grid" in " ".join(result.output.split())


def test_the_files_of_key_sweeps_of_six_cameras(tmp_path):
    """`depth_gt` and `seg_gt_lidarseg`, made here of the street's true maps."""
    settings = StreetSettings(
        frames=2,
        cars=3,
        seed=5,
        image_size=(64, 32),
        layers=("depth", "semantics", "surround"),
        surround_size=(96, 54),
        keyframe_every=1,
        mask_noise=0.0,
    )
    synthesize(tmp_path / "street", settings)
    root = next((tmp_path / "street" / "data_nuscenes").iterdir())
    for folder, kind, scale in (("depth_gt", "depth", 256.0), ("seg_gt_lidarseg", "semantic", 1.0)):
        (root / folder).mkdir()
        for image in sorted((root / "samples").glob("CAM_*/*.jpg")):
            values = cv2.imread(
                str(root / "truth" / kind / image.parent.name / f"{image.stem}.png"), cv2.IMREAD_UNCHANGED
            )
            depth = cv2.imread(
                str(root / "truth" / "depth" / image.parent.name / f"{image.stem}.png"), cv2.IMREAD_UNCHANGED
            )
            v, u = (one.ravel() for one in np.mgrid[3:54:7, 2:96:5])
            v, u = v[depth[v, u] > 0], u[depth[v, u] > 0]
            found = values[v, u] / scale
            found = OCC3D.of_city[values[v, u]] if kind == "semantic" else found
            np.stack([u + 0.5, v + 0.5, found], axis=1).astype("<f4").tofile(root / folder / f"{image.name}.bin")
    shutil.rmtree(root / "truth")
    (scene,) = json.loads((root / "v1.0-mini" / "scene.json").read_text())
    options = ("--set", "apart=1", "--set", "lidar_forward=0.95", "--set", "lidar_height=1.84", "--set", "depth=maps")
    result = run(
        "label",
        "--config",
        "occupancy",
        "--root",
        root,
        "--sequence",
        scene["name"],
        "--output",
        tmp_path / "labels",
        "--serial",
        "--frames",
        "100",
        *options,
    )
    assert result.exit_code == 0, result.output
    voxels = decoded(row_of(tmp_path / "labels"))
    road = np.argwhere(voxels.semantics == 11)
    assert len(road) > 50 and abs(np.median(road[:, 2]) - 2) <= 1  # z = 0 is in layer 2
    assert road[:, 0].min() < 95 and road[:, 0].max() > 105  # behind and ahead
    result = run("visualize", "voxels", tmp_path / "labels", "--root", root, "--to", tmp_path / "pictures")
    assert result.exit_code == 0, result.output
    assert_perfect_against_own_export(tmp_path / "labels", root, "occ3d", "gts", tmp_path)
    token = next((root / "gts").rglob("labels.npz")).parent.name
    assert token in {sample["token"] for sample in json.loads((root / "v1.0-mini" / "sample.json").read_text())}
    file = next((root / "seg_gt_lidarseg").glob("*CAM_BACK__*.bin"))
    np.array([[1.5, 1.5, 31.0]], dtype="<f4").tofile(file)
    scene_label = run(
        "label",
        "--config",
        "occupancy",
        "--root",
        root,
        "--sequence",
        scene["name"],
        "--output",
        tmp_path / "odd",
        "--serial",
        *options,
    )
    assert scene_label.exit_code == 3 and "class 31 is none of 0 to 16" in " ".join(scene_label.output.split())


def test_the_page_works(written, tmp_path, monkeypatch):
    """Its commands, in order, on a street of toy size."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(written, tmp_path / "street")
    first, *lines = re.findall(r"^vsrd-ray (.*)$", PAGE.read_text(), re.M)
    assert first.startswith("synthesize street ")
    for line in lines:
        if line.startswith("import"):
            (file,) = (tmp_path / "grids").rglob("*.npz")
            with np.load(file) as arrays:
                values = dict(arrays)
            values["semantics"][0, 0, 0] = 4
            np.savez_compressed(file, **values)
        extra = ["--serial", "--frames", "1", "--set", "apart=1"] if "--config occupancy" in line else []
        extra = ["--serial", "--set", "grouping.kind=scene"] if line.endswith("--output boxes") else extra
        result = run(*shlex.split(line), *extra)
        assert result.exit_code == 0, result.output
    assert len(lines) >= 6 and (tmp_path / "drive.mp4").is_file()
