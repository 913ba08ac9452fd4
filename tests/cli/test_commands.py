"""Every command but `label` on a short street, from synthesizing it to looking at its labels."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from vsrd_ray.datasets.kitti360.boxes import read_boxes
from vsrd_ray.labelers.vsrd.priors import load_prior
from vsrd_ray.labels.boxes.kitti import read_frame
from vsrd_ray.labels.boxes.parquet import read_labels
from vsrd_ray.runs.reading import read_groups

SEQUENCE = "2013_05_28_drive_0000_sync"


@pytest.fixture
def output(labelled, tmp_path):
    """A copy of the labelled street's OUTPUT."""
    return shutil.copytree(labelled[1], tmp_path / "output")


@pytest.mark.ray
def test_evaluate(output, command, street):
    text = command("evaluate", output, "--root", street, "--max-range", "30")
    assert text.exit_code == 0, text.output
    assert "IoU3D" in text.stdout
    assert json.loads((output / "evaluation.json").read_text())["static"]["iou_3d"]["mean"] > 0.2
    assert json.loads(command("evaluate", output, "--root", street, "--json").stdout)["max_range"] == 40


def into_piece(part: Path, group_id: str) -> Path:
    """Write the rows of one group of a part into a file of its own beside it."""
    piece = part.with_name(f"{group_id}.parquet")
    table = pq.read_table(part, partitioning=None)
    pq.write_table(table.filter(pc.field("group_id") == group_id), piece)
    return piece


@pytest.mark.ray
def test_evaluate_takes_what_a_run_in_progress_has(output, command, street):
    """One group is marked as done; others have labels without a mark, some of them in a part that is being made."""
    whole = json.loads(command("evaluate", output, "--root", street, "--json").stdout)
    manifest = json.loads((output / "manifest.json").read_text())
    (output / "manifest.json").write_text(json.dumps(manifest | {"status": "running"}))
    (marks,), (labels,) = ([*output.glob(pattern)] for pattern in ("groups/*.parquet", "labels/*/*.parquet"))
    first, second, *_ = read_groups(output)["group_id"].to_pylist()
    done = into_piece(marks, first)
    for group_id in (first, second):
        into_piece(labels, group_id)
    marks.unlink()
    labels.rename(labels.with_name(f".{labels.name}"))
    result = command("evaluate", output, "--root", street, "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["num_frames"] == len(pq.read_table(done)["frames"].to_pylist()[0])
    assert 0 < report["static"]["count"] < whole["static"]["count"]
    done.unlink()
    assert json.loads(command("evaluate", output, "--root", street, "--json").stdout)["static"]["count"] == 0


@pytest.mark.ray
def test_convert_labels(output, command, tmp_path):
    result = command("convert", output, "--to", tmp_path / "text")
    assert result.exit_code == 0, result.output
    here, there = (folder / SEQUENCE / "image_00" / "label_2" for folder in (output / "kitti", tmp_path / "text"))
    assert {path.name: path.read_bytes() for path in here.iterdir()} == {
        path.name: path.read_bytes() for path in there.iterdir()
    }


def test_convert_truth(command, street, tmp_path):
    result = command("convert", "--truth", "--root", street, "--sequence", SEQUENCE, "--to", tmp_path)
    assert result.exit_code == 0, result.output
    assert "24 label files" in result.stdout
    folder = tmp_path / SEQUENCE / "image_00" / "label_2"
    assert any(read_frame(path) for path in folder.iterdir())


@pytest.mark.ray
def test_visualize_labels(output, command, street, tmp_path):
    result = command("visualize", "labels", output, "--root", street, "--sheet", tmp_path / "sheet.png")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "sheet.png").read_bytes().startswith(b"\x89PNG")
    assert not (output / "pictures").exists()
    assert command("visualize", "labels", output, "--root", street).exit_code == 0
    assert len(list((output / "pictures").glob("*.png"))) == len(list(output.glob("kitti/*/*/label_2/*.txt")))


def test_research_steps(command, root, quick, tmp_path):
    options = ("--root", root, "--sequence", SEQUENCE)
    result = command("annotate", *options)
    assert result.exit_code == 0, result.output
    assert "24 annotations" in result.stdout
    result = command("sample", *options, *quick)
    assert result.exit_code == 0, result.output
    (folder,) = (root / "filenames").glob(f"*/{SEQUENCE}")
    assert folder.parent.name == "R50-N4-M32-B4"
    result = command("visualize", "annotations", *options, "--to", tmp_path / "drive.mp4")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "drive.mp4").stat().st_size > 0


def test_synthesize(command, tmp_path):
    options = ("--frames", "2", "--cars", "2", "--moving", "1", "--seed", "4", "--image-size", "128x64")
    result = command("synthesize", tmp_path / "street", *options)
    assert result.exit_code == 0, result.output
    assert f"{SEQUENCE} written to {tmp_path / 'street'}: 2 frames, 3 cars\n" in result.stdout


def test_synthesize_other_vehicles(command, tmp_path):
    options = ("--trucks", "1", "--buses", "2", "--caravans", "1", "--trailers", "1", "--cars", "0")
    result = command("synthesize", tmp_path / "street", *options, "--frames", "1", "--image-size", "64x32")
    assert result.exit_code == 0, result.output
    assert "1 frames, 0 cars, 5 other vehicles\n" in result.stdout
    expected = ("truck", "bus", "bus", "caravan", "trailer")
    assert read_boxes(tmp_path / "street", SEQUENCE).class_names == expected


def test_train_prior_makes_the_prior_that_ships(command, tmp_path):
    out = tmp_path / "made" / "box.npz"
    result = command("train-prior", "box", out)
    assert result.exit_code == 0, result.output
    assert f"8 shapes of 4000 bodies of the family box written to {out}" in result.stdout
    made, shipped = load_prior(str(out)), load_prior("box")
    np.testing.assert_allclose(made.mean, shipped.mean, atol=1e-6)
    np.testing.assert_allclose(made.basis, shipped.basis, atol=1e-5)


def test_train_prior_of_meshes(command, tmp_path):
    mesh, out = tmp_path / "meshes" / "wedge.ply", tmp_path / "mine.npz"
    mesh.parent.mkdir()
    refused = command("train-prior", "car", out, "--shapes", mesh.parent)
    assert refused.exit_code != 0 and "no mesh in it" in refused.output and not out.exists()
    corners = [(x, y, z) for x in (-2, 2) for y in (-0.8, 0.8) for z in (0, 1.5 if x < 0 else 0.9)]
    quads = ("0 1 3 2", "4 6 7 5", "0 4 5 1", "2 3 7 6", "0 2 6 4", "1 5 7 3")
    rows = [*(" ".join(map(str, corner)) for corner in corners), *(f"4 {quad}" for quad in quads)]
    header = ["ply", "format ascii 1.0", "element vertex 8", *(f"property float {axis}" for axis in "xyz")]
    header += ["element face 6", "property list uchar int vertex_indices", "end_header"]
    mesh.write_text("\n".join([*header, *rows]))
    result = command("train-prior", "car", out, "--shapes", mesh.parent, "--samples", 100)
    assert result.exit_code == 0, result.output
    assert f"8 shapes of 1 meshes, as bodies of the family car, written to {out}" in result.stdout
    roof = load_prior(str(out)).mean
    assert roof[:, 1].min() == pytest.approx(-1, abs=1e-3)  # it fills its box


@pytest.mark.ray
def test_labels_by_a_prior_of_ones_own(command, street, tmp_path):
    out = tmp_path / "mine.npz"
    assert command("train-prior", "car", out, "--samples", 100, "--latents", 2).exit_code == 0
    arguments = ["label", "--root", street, "--sequence", SEQUENCE, "--output", tmp_path / "output", "--limit", 1]
    settings = ("grouping.min_area=32", "grouping.min_box_side=4", f"box.sizes.car.body={out}")
    result = command(*arguments, "--serial", *(word for one in settings for word in ("--set", one)))
    assert result.exit_code == 0, result.output
    assert read_labels(tmp_path / "output").num_rows > 0
